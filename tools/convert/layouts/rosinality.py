# SPDX-License-Identifier: Apache-2.0
"""rosinality/glow-pytorch: convolutions of coefficients and priors are padded with ones, outputs
come in halves [raw, add], and ActNorm multiplies with a scale that may be negative."""
from typing import List, Tuple

import numpy as np

from ..evaluate import Scores
from ..facts import Fact, Facts, image_size, sizes
from ..folds import biased_layer, convolution_of_zeros, edge_of_padding
from ..network import (ActNorm, Mix, Net, Network, Scale, SplitPrior, Step, element_prior,
                       interleave)
from ..numerics import column, convolve, double, gaussian
from ..reference import (Moved, Transform, convolution, coupled, mapped, multiscale, relu, scaled,
                         sigmoid_change)
from ..state import State, consecutive
from .base import BITS, Layout, agree, fewer_bits, quantised


class Rosinality(Layout):
    name = "rosinality"
    signature = r"blocks\.0\.flows\.0\.actnorm\.loc"
    facts = (Fact("bits", BITS, 5, ("n_bits", "n_bit")),)

    def counts(self, state: State) -> Tuple[int, int]:
        """Scales and steps."""
        return (consecutive(state.numbers(r"blocks\.(\d+)\.flows\."), "blocks"),
                consecutive(state.numbers(r"blocks\.0\.flows\.(\d+)\."), "flows"))

    # ---- Conversion ----

    def mix_of(self, state: State, at: str) -> Mix:
        if at + "weight" in state:
            return Mix.plain(state.square(at + "weight"))
        return Mix.lu(*(state.take(at + name) for name in
                        ("w_p", "s_sign", "w_l", "w_s", "w_u")))

    def step_of(self, state: State, at: str) -> Step:
        actnorm = ActNorm.of_scale(state.take(at + "actnorm.loc"), state.take(at + "actnorm.scale"))
        net = at + "coupling.net."
        layers = [biased_layer(state.take(f"{net}{number}.weight"),
                               state.take(f"{net}{number}.bias"))
                  for number in (0, 2)]
        weight, bias = state.take(net + "4.conv.weight"), state.take(net + "4.conv.bias")
        log_scale = state.vector(net + "4.scale")
        if len(weight) == actnorm.loc.size:
            weight, bias, log_scale = interleave(weight), interleave(bias), interleave(log_scale)
        return Step(actnorm, self.mix_of(state, at + "invconv."),
                    Net(layers, weight, bias, log_scale, edge_of_ones(weight)))

    def split_of(self, state: State, at: str) -> SplitPrior:
        weight, bias = interleave(state.take(at + "conv.weight"), "add"), \
            state.take(at + "conv.bias")
        return SplitPrior(weight, interleave(bias, "add"),
                          interleave(state.vector(at + "scale"), "add"), edge_of_ones(weight))

    def top_of(self, state: State, at: str, height: int, width: int) -> ActNorm:
        edge = edge_of_ones(state.take(at + "conv.weight"))
        prior = convolution_of_zeros(edge, state.take(at + "conv.bias"), height, width)
        prior *= np.exp(3 * state.vector(at + "scale")).reshape(-1, 1, 1)
        return element_prior(*np.split(prior, 2))

    def convert(self, state: State, facts: Facts) -> Network:
        count, steps = self.counts(state)
        scales = [Scale([self.step_of(state, f"blocks.{i}.flows.{j}.") for j in range(steps)])
                  for i in range(count)]
        for number, scale in enumerate(scales[:-1]):
            scale.split = self.split_of(state, f"blocks.{number}.prior.")
        first = scales[0].steps[0]
        image = self.image_of(facts, first.actnorm.loc.size // 4)
        scales[-1].prior = self.top_of(state, f"blocks.{count - 1}.prior.", image[1] >> count,
                                       image[2] >> count)
        state.ignore(r"blocks\.\d+\.flows\.\d+\.(actnorm\.initialized|"
                     r"invconv\.(u_mask|l_mask|l_eye))")
        agree(facts, ("n_flow",), steps, "n_flow")
        agree(facts, ("n_block",), count, "n_block")
        affine = len(first.net.weight) == first.actnorm.loc.size
        return Network(image, scales, affine, extension={
            "input": fewer_bits(facts.integer("bits", 1, 8)), "latents": "second"})

    def image_of(self, facts: Facts, channels: int) -> List[int]:
        stated = facts.stated("img_size")
        if stated is not None:
            sides = sizes(stated)
            stated = [channels, sides[0], sides[-1]]
        return image_size(facts, channels, None, stated)

    # ---- The original's density ----

    def transforms(self, state: State, at: str) -> List[Transform]:
        t = state.tensors
        scale = double(t[at + "actnorm.scale"]).reshape(-1)
        shift = scale * double(t[at + "actnorm.loc"]).reshape(-1)
        inv = at + "invconv."
        if inv + "weight" in t:
            weight = t[inv + "weight"]
        else:
            lower = np.tril(double(t[inv + "w_l"]), -1) + np.eye(scale.size)
            upper = np.triu(double(t[inv + "w_u"]), 1)
            weight = double(t[inv + "w_p"]) @ lower @ (
                upper + np.diag(t[inv + "s_sign"] * np.exp(double(t[inv + "w_s"]))))
        net = at + "coupling.net."

        def change(a: np.ndarray, b: np.ndarray) -> Moved:
            for number in (0, 2):
                a = relu(convolution(a, t[f"{net}{number}.weight"], t[f"{net}{number}.bias"]))
            a = padded_with_ones(t, net + "4.", a)
            if a.shape[1] == b.shape[1]:
                return b + a, np.zeros_like(a)
            raw, add = np.split(a, 2, 1)
            return sigmoid_change(b, add, raw)

        return [lambda x: scaled(x, scale, shift), lambda x: mapped(x, weight),
                lambda x: coupled(x, change)]

    def score(self, state: State, facts: Facts, images: np.ndarray) -> Scores:
        t = state.tensors
        count, steps = self.counts(state)

        def split(scale: int, x: np.ndarray) -> Moved:
            on, latents = np.split(x, 2, 1)
            prior = padded_with_ones(t, f"blocks.{scale}.prior.", on)
            return on, gaussian(latents, *np.split(prior, 2, 1))

        def last(x: np.ndarray) -> np.ndarray:
            prior = padded_with_ones(t, f"blocks.{count - 1}.prior.", np.zeros_like(x[:1]))
            return gaussian(x, *np.split(prior, 2, 1))

        transforms = [[f for j in range(steps)
                       for f in self.transforms(state, f"blocks.{i}.flows.{j}.")]
                      for i in range(count)]
        return multiscale(quantised(images, facts.integer("bits", 1, 8)), transforms, split, last)


def edge_of_ones(weight: np.ndarray) -> np.ndarray:
    return edge_of_padding(weight, np.ones(weight.shape[1]))


def padded_with_ones(t, at: str, x: np.ndarray) -> np.ndarray:
    weight = t[at + "conv.weight"]
    y = convolve(weight, x, 1, np.ones(weight.shape[1])) + column(t[at + "conv.bias"])
    return y * np.exp(3 * column(t[at + "scale"]))
