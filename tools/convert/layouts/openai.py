# SPDX-License-Identifier: Apache-2.0
"""openai/glow (TensorFlow): model/SCALE/STEP/...; images are NHWC, convolutions [rows, columns, in,
out] with one more input channel that is 1 outside the image, W is [in, out], all logs count three
times."""
from typing import Dict, List, Tuple

import numpy as np

from ..evaluate import Scores
from ..facts import Fact, Facts, image_size, sizes
from ..folds import convolution_of_zeros
from ..network import (ActNorm, ClassTerms, Layer, Mix, Net, Network, Scale, SplitPrior, Step,
                       affine_coupling, element_prior)
from ..numerics import convolve, double, gaussian
from ..reference import Moved, Transform, coupled, mapped, multiscale, relu, scaled, sigmoid_change
from ..refusal import about
from ..state import State, consecutive
from .base import BITS, Layout, agree, fewer_bits, quantised
from .y0ast import neutral_class


class OpenAi(Layout):
    name = "openai"
    signature = r"model/0/0/f1/l_1/W"
    facts = (Fact("bits", BITS, 8, ("n_bits_x",)),)

    def counts(self, state: State) -> Tuple[int, int]:
        return (consecutive(state.numbers(r"model/(\d+)/"), "levels"),
                consecutive(state.numbers(r"model/0/(\d+)/"), "steps"))

    # ---- Conversion ----

    def mix_of(self, state: State, facts: Facts, at: str, size: int) -> Mix:
        if at + "invconv/W" in state:
            return Mix.plain(state.square(at + "invconv/W").T)
        if at + "shuffle/indices" in state:
            return Mix.shuffle(state.indices(at + "shuffle/indices"))
        self.check_reverse(facts, at)
        return Mix.shuffle(np.arange(size)[::-1])

    def check_reverse(self, facts: Facts, at: str) -> None:
        """Reversed channels alone leave no tensor."""
        kind = facts.stated("flow_permutation")
        if kind not in (None, 0):
            name = {1: "shuffle/indices"}.get(kind, "invconv/W")
            raise about(at + name, "is missing")

    def actnorm_of(self, state: State, at: str) -> ActNorm:
        return ActNorm(state.vector(at + "actnorm_center/b"),
                       3 * state.vector(at + "actnorm_scale/logs"))

    def net_of(self, state: State, at: str) -> Net:
        weight, edge = self.with_border(state, at + "l_1/W")
        layers = [Layer(weight, self.actnorm_of(state, at + "l_1/"), edge),
                  Layer(state.take(at + "l_2/W").transpose(3, 2, 0, 1),
                        self.actnorm_of(state, at + "l_2/"))]
        weight, bias, log_scale, edge = self.zero_convolution(state, at + "l_last/")
        return Net(layers, weight, bias, log_scale, edge)

    def with_border(self, state: State, name: str) -> Tuple[np.ndarray, np.ndarray]:
        """[o, i, r, c] without the channel of the border, and that channel's weights."""
        weight = state.take(name).transpose(3, 2, 0, 1)
        return weight[:, :-1], weight[:, -1]

    def zero_convolution(self, state: State, at: str):
        weight, edge = self.with_border(state, at + "W")
        return weight, state.vector(at + "b"), state.vector(at + "logs"), edge

    def step_of(self, state: State, facts: Facts, at: str) -> Step:
        actnorm = self.actnorm_of(state, at)
        return Step(actnorm, self.mix_of(state, facts, at, actnorm.loc.size),
                    self.net_of(state, at + "f1/"))

    def convert(self, state: State, facts: Facts) -> Network:
        count, steps = self.counts(state)
        scales = [Scale([self.step_of(state, facts, f"model/{i}/{j}/") for j in range(steps)])
                  for i in range(count)]
        for number, scale in enumerate(scales[:-1]):
            scale.split = SplitPrior(*self.zero_convolution(state, f"model/pool{number}/conv/"))
        first = scales[0].steps[0]
        channels = first.actnorm.loc.size
        network = Network(self.image_of(facts, channels // 4), scales,
                          affine_coupling(first.net, channels // 2), extension={
                              "input": fewer_bits(facts.integer("bits", 1, 8)),
                              "latents": "second"})
        self.put_priors(network, state)
        self.ignore_training(state)
        agree(facts, ("depth",), steps, "depth")
        agree(facts, ("n_levels",), count, "n_levels")
        return network

    def image_of(self, facts: Facts, channels: int) -> List[int]:
        stated = facts.stated("image_size")
        if stated is not None:
            sides = sizes(stated)
            stated = [channels, sides[0], sides[-1]]
        return image_size(facts, channels, None, stated)

    def put_priors(self, network: Network, state: State) -> None:
        count, channels = len(network.scales), network.scales[-1].steps[0].actnorm.loc.size
        height, width = network.image[1] >> count, network.image[2] >> count
        top = np.zeros((2 * channels, height, width))
        if "model/prior/p/W" in state:
            _, bias, logs, edge = self.zero_convolution(state, "model/prior/p/")
            top = convolution_of_zeros(edge, bias, height, width) * \
                np.exp(3 * logs).reshape(-1, 1, 1)
        if "model/prior/y_emb/W" not in state:
            network.scales[-1].prior = element_prior(*np.split(top, 2))
            return
        at = "model/prior/y_emb/"
        classes = (state.take(at + "W") + state.vector(at + "b")) * \
            np.exp(3 * state.vector(at + "logs"))
        elements = channels * height * width
        for terms in classes:
            mean, log_std = np.split(top + terms.reshape(-1, 1, 1), 2)
            others = [neutral_class(elements << (count - 2 - n)) for n in range(count - 1)]
            network.classes.append(others + [ClassTerms(
                ActNorm.neutral(elements), mean.reshape(-1), log_std.reshape(-1))])

    def ignore_training(self, state: State) -> None:
        """Inverses, the classifier, and what optimizers keep of each weight."""
        state.ignore(r"model/\d+/\d+/shuffle/indices_inverse|model/classifier/.*|(?!model/).*")
        weights = tuple(name for name in state.used if name.startswith("model/"))
        for name in state.tensors:
            if name not in state.used and any(name.startswith(weight + separator)
                                              for weight in weights for separator in "/_"):
                state.used.add(name)

    # ---- The original's density ----

    def transforms(self, t: Dict[str, np.ndarray], facts: Facts, at: str) -> List[Transform]:
        def change(a: np.ndarray, b: np.ndarray) -> Moved:
            a = convolution_with_border(t[at + "f1/l_1/W"], a)
            a = relu(normed(t, at + "f1/l_1/", a)[0])
            a = np.einsum("io,nihw->nohw", double(t[at + "f1/l_2/W"][0, 0]), a)
            a = relu(normed(t, at + "f1/l_2/", a)[0])
            a = zeros(t, at + "f1/l_last/", a)
            if a.shape[1] == b.shape[1]:
                return b + a, np.zeros_like(a)
            return sigmoid_change(b, a[:, 0::2], a[:, 1::2])

        def permute(x: np.ndarray) -> Moved:
            if at + "invconv/W" in t:
                return mapped(x, double(t[at + "invconv/W"]).T)
            if at + "shuffle/indices" in t:
                return x[:, t[at + "shuffle/indices"]], np.zeros(len(x))
            return x[:, ::-1], np.zeros(len(x))

        return [lambda x: normed(t, at, x), permute, lambda x: coupled(x, change)]

    def score(self, state: State, facts: Facts, images: np.ndarray) -> Scores:
        t = state.tensors
        count, steps = self.counts(state)

        def split(scale: int, x: np.ndarray) -> Moved:
            on, latents = np.split(x, 2, 1)
            h = zeros(t, f"model/pool{scale}/conv/", on)
            return on, gaussian(latents, h[:, 0::2], h[:, 1::2])

        def last(x: np.ndarray) -> np.ndarray:
            h = np.zeros((1, 2 * x.shape[1], *x.shape[2:]))
            h = zeros(t, "model/prior/p/", h) if "model/prior/p/W" in t else h
            if "model/prior/y_emb/W" not in t:
                return gaussian(x, *np.split(h, 2, 1))
            at = "model/prior/y_emb/"
            embedded = (double(t[at + "W"]) + double(t[at + "b"])) * \
                np.exp(3 * double(t[at + "logs"]))
            return np.stack([gaussian(x, *np.split(h + y.reshape(1, -1, 1, 1), 2, 1))
                             for y in embedded], -1)

        transforms = [[f for j in range(steps)
                       for f in self.transforms(t, facts, f"model/{i}/{j}/")]
                      for i in range(count)]
        return multiscale(quantised(images, facts.integer("bits", 1, 8)), transforms, split, last)


def normed(t, at: str, x: np.ndarray) -> Moved:
    scale = np.exp(3 * double(t[at + "actnorm_scale/logs"]).reshape(-1))
    return scaled(x, scale, double(t[at + "actnorm_center/b"]).reshape(-1) * scale)


def convolution_with_border(weight: np.ndarray, x: np.ndarray) -> np.ndarray:
    """[r, c, in + 1, out]: the last input is 1 outside the image and 0 inside."""
    bordered = np.concatenate([x, np.zeros_like(x[:, :1])], 1)
    outside = np.zeros(bordered.shape[1])
    outside[-1] = 1
    return convolve(weight.transpose(3, 2, 0, 1), bordered, weight.shape[0] // 2, outside)


def zeros(t, at: str, x: np.ndarray) -> np.ndarray:
    y = convolution_with_border(t[at + "W"], x) + double(t[at + "b"]).reshape(1, -1, 1, 1)
    return y * np.exp(3 * double(t[at + "logs"]).reshape(1, -1, 1, 1))
