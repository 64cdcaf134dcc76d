# SPDX-License-Identifier: Apache-2.0
"""normflows: MultiscaleFlow of GlowBlocks. flows.LEVEL.K: level 0 is the last scale, and blocks run
from the highest index down; ActNorm is (x - t) exp(-s), the coupling subtracts, no exp(3 .)."""
from typing import Dict, List, Optional, Tuple

import numpy as np

from ..evaluate import Scores
from ..facts import Fact, Facts, image_size
from ..folds import biased_layer, second_half_conditions
from ..network import (ActNorm, ClassTerms, Layer, Mix, Net, Network, Scale, Step, affine_coupling,
                       element_prior)
from ..numerics import double, gaussian, log_mean_exp, sigmoid
from ..reference import Moved, Transform, convolution, coupled, mapped, multiscale, relu, scaled
from ..refusal import Refusal, about
from ..state import State, consecutive
from .base import Layout, bytes_of

SCALE_MAPS = {"sigmoid": "sigmoid", "exp": "exp", "sigmoid_inv": "sigmoid_inverse"}
Base = Tuple[np.ndarray, np.ndarray]  # mean and log_std, [K, C, 1 or H, 1 or W]


class Normflows(Layout):
    name = "normflows"
    signature = r"flows\.0\.\d+\.flows\.0\.flows\.1\.param_map\.net\.0\.weight"
    facts = (Fact("scale_map", "the map of the coupling's scales: sigmoid, exp or sigmoid_inv",
                  "sigmoid"),
             Fact("split_mode", "which half conditions: channel (the first) or channel_inv",
                  "channel"),
             Fact("leaky", "the slope of LeakyReLU", 0.0))

    def levels_of(self, state: State) -> List[List[str]]:
        """The prefixes of the steps, first scale first, each scale in the order of the density."""
        count = consecutive(state.numbers(r"flows\.(\d+)\."), "levels")
        return [[f"flows.{level}.{block}." for block in
                 reversed(state.numbers(rf"flows\.{level}\.(\d+)\.flows\."))]
                for level in reversed(range(count))]

    def bases_of(self, state: State, count: int) -> List[Tuple[Base, bool]]:
        """Of every scale, first scale first: base and whether it has classes."""
        return [self.base_of(state, f"q0.{level}.") for level in reversed(range(count))]

    def base_of(self, state: State, at: str) -> Tuple[Base, bool]:
        loc, log_scale = state.take(at + "loc"), state.take(at + "log_scale")
        if at + "loc_logs" in state:
            loc = loc * np.exp(3 * state.take(at + "loc_logs"))
            log_scale = log_scale * np.exp(3 * state.take(at + "log_scale_logs"))
            if at + "loc_cc" not in state:
                return (loc, log_scale), False
            return (loc + state.take(at + "loc_cc")[:, :, None, None],
                    log_scale + state.take(at + "log_scale_cc")[:, :, None, None]), True
        if loc.ndim != 4:
            raise about(at + "loc", f"a base of shape {list(loc.shape)} is not understood")
        if len(loc) == 1:  # no scale has one channel: [1, C, H, W], not [C, H, W, K]
            return (loc, log_scale), False
        return (loc.transpose(3, 0, 1, 2), log_scale.transpose(3, 0, 1, 2)), True

    def layers_of(self, state: State, at: str) -> List[int]:
        """The numbers of the three convolutions in the network."""
        return [0, 2, 4] if at + "net.4.weight" in state else [0, 3, 6]

    # ---- Conversion ----

    def mix_of(self, state: State, at: str) -> Mix:
        if at + "W" in state:
            return Mix.plain(state.square(at + "W"))
        return Mix.lu(*(state.take(at + name) for name in ("P", "sign_S", "L", "log_S", "U")))

    def layer_of(self, state: State, at: str, number: int) -> Layer:
        weight = state.take(f"{at}net.{number}.weight")
        norm = f"{at}net.{number + 1}.actNorm."
        if norm + "s" not in state:
            return biased_layer(weight, state.optional(f"{at}net.{number}.bias"))
        s, t = state.vector(norm + "s"), state.vector(norm + "t")
        bias = state.optional(f"{at}net.{number}.bias")
        return Layer(weight, ActNorm(t * np.exp(-s) + (0 if bias is None else bias), s))

    def net_of(self, state: State, facts: Facts, at: str, half: int) -> Net:
        at += "flows.0.flows.1.param_map."
        numbers = self.layers_of(state, at)
        weight = state.take(f"{at}net.{numbers[2]}.weight").copy()
        bias = state.take(f"{at}net.{numbers[2]}.bias").copy()
        for values in (weight, bias):
            if len(weight) == half:
                values *= -1
            else:
                values[0::2] *= -1
                if facts.get("scale_map") == "exp":
                    values[1::2] *= -1
        return Net([self.layer_of(state, at, number) for number in numbers[:2]], weight, bias,
                   np.zeros(len(bias)))

    def step_of(self, state: State, facts: Facts, at: str) -> Step:
        """(x - t) exp(-s)"""
        actnorm = ActNorm(-state.vector(at + "flows.2.t"), -state.vector(at + "flows.2.s"))
        return Step(actnorm, self.mix_of(state, at + "flows.1."),
                    self.net_of(state, facts, at, actnorm.loc.size // 2))

    def image_of(self, state: State, facts: Facts, scales: int, channels: int) -> List[int]:
        (loc, _), _ = self.base_of(state, "q0.0.")
        height, width = loc.shape[2:]
        found = None if "q0.0.loc_logs" in state else \
            [channels, height << scales, width << scales]
        stated = facts.stated("image", "input_shape")
        return image_size(facts, channels, found, stated if isinstance(stated, list) else None)

    def convert(self, state: State, facts: Facts) -> Network:
        self.check(state, facts)
        levels = self.levels_of(state)
        scales = [Scale([self.step_of(state, facts, at) for at in steps]) for steps in levels]
        first = scales[0].steps[0]
        channels = first.actnorm.loc.size
        network = Network(self.image_of(state, facts, len(scales), channels // 4), scales,
                          affine_coupling(first.net, channels // 2))
        self.put_bases(network, state)
        first.actnorm.loc = first.actnorm.loc + 0.5  # x = (v + 1/2)/256, without Outflow's -1/2
        network.extension = {"scale_map": SCALE_MAPS[facts.get("scale_map")],
                             "leak": facts.number("leaky")}
        if facts.get("split_mode") == "channel":
            network.extension["latents"] = "second"
        else:
            self.swap(network)
        state.ignore(r".*\.(data_dep_init_done(_cpu)?|eye)|class_probs|class_weights")
        return network

    def swap(self, network: Network) -> None:
        if network.classes:
            raise Refusal("fact 'split_mode' is channel_inv, which together with classes is not "
                          "understood")
        for number, scale in enumerate(network.scales):
            second_half_conditions(scale, number == len(network.scales) - 1)

    def check(self, state: State, facts: Facts) -> None:
        facts.choice("scale_map", tuple(SCALE_MAPS))
        facts.choice("split_mode", ("channel", "channel_inv"))
        if not 0 <= facts.number("leaky") < 1:
            raise Refusal(f"fact 'leaky' is {facts.number('leaky')}, must be 0 or more, "
                          "below 1")

    def put_bases(self, network: Network, state: State) -> None:
        bases = self.bases_of(state, len(network.scales))
        shapes = base_shapes(network.image, len(network.scales))
        spread = [[np.broadcast_to(part, (len(part), *shape)) for part in base]
                  for (base, _), shape in zip(bases, shapes)]
        if not any(classes for _, classes in bases):
            for scale, (mean, log_std) in zip(network.scales, spread):
                scale.prior = element_prior(mean[0], log_std[0])
            return
        count = max(len(mean) for mean, _ in spread)
        for number in range(count):
            network.classes.append([class_terms(mean, log_std, number) for mean, log_std in spread])

    # ---- The original's density ----

    def transforms(self, state: State, facts: Facts, at: str) -> List[Transform]:
        t, net = state.tensors, at + "flows.0.flows.1.param_map."
        s, shift = double(t[at + "flows.2.s"]).reshape(-1), double(t[at + "flows.2.t"]).reshape(-1)
        mix = at + "flows.1."
        if mix + "W" in t:
            weight = t[mix + "W"]
        else:
            lower = np.tril(double(t[mix + "L"]), -1) + np.eye(s.size)
            upper = np.triu(double(t[mix + "U"]), 1)
            weight = double(t[mix + "P"]) @ lower @ (
                upper + np.diag(t[mix + "sign_S"] * np.exp(double(t[mix + "log_S"]))))

        def change(a: np.ndarray, b: np.ndarray) -> Moved:
            a = self.network(t, facts, net, self.layers_of(state, net), a)
            if a.shape[1] == b.shape[1]:
                return b - a, np.zeros_like(a)
            add, raw = a[:, 0::2], a[:, 1::2]
            factor = {"sigmoid": lambda: sigmoid(raw + 2), "exp": lambda: np.exp(-raw),
                      "sigmoid_inv": lambda: 1 / sigmoid(raw + 2)}[facts.get("scale_map")]()
            return (b - add) * factor, np.log(factor)

        second = facts.get("split_mode") == "channel_inv"
        return [lambda x: scaled(x, np.exp(-s), -shift * np.exp(-s)),
                lambda x: mapped(x, weight), lambda x: coupled(x, change, second)]

    def network(self, t: Dict[str, np.ndarray], facts: Facts, at: str, numbers: List[int],
                x: np.ndarray) -> np.ndarray:
        slope = facts.number("leaky")
        for number in numbers:
            x = convolution(x, t[f"{at}net.{number}.weight"], t.get(f"{at}net.{number}.bias"))
            norm = f"{at}net.{number + 1}.actNorm."
            if number != numbers[-1] and norm + "s" in t:
                s, shift = (double(t[norm + name]).reshape(-1) for name in "st")
                x, _ = scaled(x, np.exp(s), shift)
            if number != numbers[-1]:
                x = relu(x) - slope * relu(-x)
        return x

    def score(self, state: State, facts: Facts, images: np.ndarray) -> Scores:
        levels = self.levels_of(state)
        bases = self.bases_of(state, len(levels))

        def density(scale: int, x: np.ndarray) -> np.ndarray:
            (mean, log_std), classes = bases[scale]
            per_class = [gaussian(x, one, other) for one, other in zip(mean, log_std)]
            return np.stack(per_class, -1) if classes else per_class[0]

        return score_of_classes(bytes_of(images) / 256 + 1 / 512, [
            [f for at in steps for f in self.transforms(state, facts, at)] for steps in levels],
            density)


def score_of_classes(x: np.ndarray, transforms: List[List[Transform]], density) -> Scores:
    """As `multiscale`, where the latents of every scale depend on the class; first half goes on."""
    classes: List[Optional[np.ndarray]] = []

    def of_latents(scale: int, latents: np.ndarray) -> np.ndarray:
        found = density(scale, latents)
        if found.ndim == 1:
            return found
        classes.append(found)
        return np.zeros(len(latents))

    def split(scale: int, state: np.ndarray) -> Moved:
        on, latents = np.split(state, 2, 1)
        return on, of_latents(scale, latents)

    scores = multiscale(x, transforms, split, lambda z: of_latents(len(transforms) - 1, z))
    if not classes:
        return scores
    per_class = scores.logp[:, None] + sum(classes)
    return Scores(log_mean_exp(per_class), [], per_class)


def base_shapes(image: List[int], count: int) -> List[Tuple[int, int, int]]:
    """[C, H, W] of every scale's latents."""
    channels, height, width = image
    shapes = [(channels * 2 << s, height >> s + 1, width >> s + 1) for s in range(count)]
    shapes[-1] = (2 * shapes[-1][0], *shapes[-1][1:])
    return shapes


def class_terms(mean: np.ndarray, log_std: np.ndarray, number: int) -> ClassTerms:
    """A base without classes counts for each of them."""
    number = min(number, len(mean) - 1)
    return ClassTerms(ActNorm.neutral(mean[number].size), mean[number].reshape(-1),
                      log_std[number].reshape(-1))
