# SPDX-License-Identifier: Apache-2.0
"""pclucas14/pytorch-glow: layers.N is flat: squeeze, then for each step ActNorm (b, logs; or none),
mixing (weight or indices) and coupling (NN), then the split (conv_zero)."""
from dataclasses import dataclass, field
from typing import List, Optional

import numpy as np

from ..evaluate import Scores
from ..facts import Facts, image_size
from ..folds import biased_layer
from ..network import (ActNorm, Layer, Mix, Net, Network, Scale, SplitPrior, Step, affine_coupling,
                       constant_prior)
from ..numerics import double, gaussian
from ..reference import (Moved, Transform, convolution, coupled, mapped, multiscale, relu, scaled,
                         sigmoid_change)
from ..refusal import Refusal
from ..state import State
from .base import Layout, agree, bytes_of, scaled_bytes


@dataclass
class Numbers:
    """Which layers make a step; None where there is no such layer."""
    norm: Optional[int]
    mix: Optional[int]
    net: int


@dataclass
class Plan:
    scales: List[List[Numbers]] = field(default_factory=list)
    splits: List[int] = field(default_factory=list)
    top: Optional[int] = None


class Pclucas14(Layout):
    name = "pclucas14"
    signature = r"layers\.\d+\.NN\.4\.logs"

    def plan_of(self, state: State) -> Plan:
        plan, steps = Plan(), []
        norm: Optional[int] = None
        mix: Optional[int] = None
        for n in state.numbers(r"layers\.(\d+)\."):
            at = f"layers.{n}."
            if at + "b" in state:
                norm = n
            elif at + "weight" in state or at + "indices" in state:
                mix = n
            elif at + "NN.4.weight" in state:
                steps.append(Numbers(norm, mix, n))
                norm = mix = None
            elif at + "conv_zero.weight" in state:
                plan.scales.append(steps)
                plan.splits.append(n)
                steps = []
            elif at + "conv.weight" in state:
                plan.top = n
        plan.scales.append(steps)
        return plan

    # ---- Conversion ----

    def mix_of(self, state: State, number: Optional[int], net: int) -> Mix:
        if number is None:
            raise Refusal(f"tensor 'layers.{net - 1}.indices': is missing")
        at = f"layers.{number}."
        if at + "weight" in state:
            return Mix.plain(state.square(at + "weight"))
        return Mix.shuffle(state.indices(at + "indices"))

    def layer_of(self, state: State, at: str) -> Layer:
        if at + "conv.weight" not in state:
            return biased_layer(state.take(at + "weight"), state.optional(at + "bias"))
        if at + "actnorm.b" not in state:
            return biased_layer(state.take(at + "conv.weight"), state.optional(at + "conv.bias"))
        return Layer(state.take(at + "conv.weight"),
                     ActNorm(state.vector(at + "actnorm.b"), state.vector(at + "actnorm.logs")))

    def step_of(self, state: State, numbers: Numbers) -> Step:
        at = f"layers.{numbers.net}.NN."
        net = Net([self.layer_of(state, f"{at}{number}.") for number in (0, 2)],
                  state.take(at + "4.weight"), state.take(at + "4.bias"),
                  state.vector(at + "4.logs"))
        mix = self.mix_of(state, numbers.mix, numbers.net)
        actnorm = ActNorm.neutral(len(mix.matrix()))
        if numbers.norm is not None:
            norm = f"layers.{numbers.norm}."
            actnorm = ActNorm(state.vector(norm + "b"), state.vector(norm + "logs"))
        return Step(actnorm, mix, net)

    def convert(self, state: State, facts: Facts) -> Network:
        plan = self.plan_of(state)
        scales = [Scale([self.step_of(state, numbers) for numbers in steps])
                  for steps in plan.scales]
        for scale, number in zip(scales, plan.splits):
            at = f"layers.{number}.conv_zero."
            scale.split = SplitPrior(state.take(at + "weight"), state.take(at + "bias"),
                                     state.vector(at + "logs"))
        channels = scales[0].steps[0].actnorm.loc.size
        stated = facts.stated("input_shape")
        image = image_size(facts, channels // 4, None,
                           stated[-3:] if isinstance(stated, list) else None)
        if plan.top is not None:
            at = f"layers.{plan.top}.conv."
            state.take(at + "weight")  # it sees zeros
            top = state.take(at + "bias") * np.exp(3 * state.vector(at + "logs"))
            positions = (image[1] >> len(scales)) * (image[2] >> len(scales))
            scales[-1].prior = constant_prior(*np.split(top, 2), positions)
        state.ignore(r"layers\.\d+\.rev_indices")
        agree(facts, ("depth",), len(plan.scales[0]), "depth")
        agree(facts, ("n_levels",), len(scales), "n_levels")
        return Network(image, scales, affine_coupling(scales[0].steps[0].net, channels // 2),
                       extension={"input": scaled_bytes(1 / 255, 1 / 512), "latents": "second"})

    # ---- The original's density ----

    def hidden(self, t, at: str, x: np.ndarray) -> np.ndarray:
        name = at + "conv." if at + "conv.weight" in t else at
        x = convolution(x, t[name + "weight"], t.get(name + "bias"))
        if at + "actnorm.b" in t:
            x, _ = scaled(x, *factor_and_shift(t, at + "actnorm."))
        return relu(x)

    def transforms(self, t, numbers: Numbers) -> List[Transform]:
        net, mix, found = f"layers.{numbers.net}.NN.", f"layers.{numbers.mix}.", []

        def change(a: np.ndarray, b: np.ndarray) -> Moved:
            a = self.hidden(t, net + "2.", self.hidden(t, net + "0.", a))
            a = convolution(a, t[net + "4.weight"], t[net + "4.bias"], t[net + "4.logs"])
            if a.shape[1] == b.shape[1]:
                return b + a, np.zeros_like(a)
            return sigmoid_change(b, a[:, 0::2], a[:, 1::2])

        def permute(x: np.ndarray) -> Moved:
            if mix + "weight" in t:
                return mapped(x, t[mix + "weight"])
            return x[:, t[mix + "indices"]], np.zeros(len(x))

        if numbers.norm is not None:
            norm = f"layers.{numbers.norm}."
            found.append(lambda x: scaled(x, *factor_and_shift(t, norm)))
        return [*found, permute, lambda x: coupled(x, change)]

    def score(self, state: State, facts: Facts, images: np.ndarray) -> Scores:
        t, plan = state.tensors, self.plan_of(state)

        def split(scale: int, x: np.ndarray) -> Moved:
            on, latents = np.split(x, 2, 1)
            at = f"layers.{plan.splits[scale]}.conv_zero."
            h = convolution(on, t[at + "weight"], t[at + "bias"], t[at + "logs"])
            return on, gaussian(latents, h[:, 0::2], h[:, 1::2])

        def last(x: np.ndarray) -> np.ndarray:
            h = np.zeros((1, 2 * x.shape[1], *x.shape[2:]))
            if plan.top is not None:
                at = f"layers.{plan.top}.conv."
                h = convolution(h, t[at + "weight"], t[at + "bias"], t[at + "logs"])
            return gaussian(x, *np.split(h, 2, 1))

        transforms = [[f for numbers in steps for f in self.transforms(t, numbers)]
                      for steps in plan.scales]
        return multiscale(bytes_of(images) / 255 + 1 / 512, transforms, split, last)


def factor_and_shift(t, at: str) -> Moved:
    """exp(logs) (x + b)"""
    factor = np.exp(double(t[at + "logs"]).reshape(-1))
    return factor, double(t[at + "b"]).reshape(-1) * factor
