# SPDX-License-Identifier: Apache-2.0
"""chrischute/glow, evaluation mode: the second half conditions, networks are BatchNorm-ReLU before
each convolution, log s = scale tanh(raw), and the input is a logit."""
import re
from typing import List

import numpy as np

from ..evaluate import Scores
from ..facts import Facts, image_size
from ..folds import batch_norm_scale, scaled_layer, second_half_conditions
from ..network import ActNorm, Mix, Net, Network, Scale, Step, swap_pairs
from ..numerics import column, convolve, double, gaussian
from ..reference import Moved, Transform, coupled, mapped, multiscale, relu, scaled
from ..refusal import Refusal
from ..state import State, consecutive
from .base import Layout, agree, bytes_of, scaled_bytes

EPSILON = 1e-5  # of torch.nn.BatchNorm2d
NORM = ("weight", "bias", "running_mean", "running_var")


class Chrischute(Layout):
    name = "chrischute"
    signature = r"flows\.steps\.0\.coup\.nn\.in_norm\.weight"

    def steps_of(self, state: State) -> List[List[str]]:
        depth = max(name.count("next.") for name in state.tensors) + 1
        prefixes = ["flows." + "next." * level + "steps." for level in range(depth)]
        return [[f"{prefix}{step}." for step in range(consecutive(
            state.numbers("^" + re.escape(prefix) + r"(\d+)\."), "steps"))]
            for prefix in prefixes]

    def bound(self, state: State) -> float:
        """A of p = A + (1 - 2A) x"""
        bounds = double(state.tensors.get("bounds", np.array([np.float32(0.9)]))).reshape(-1)
        if bounds.size != 1 or not 0 < bounds[0] <= 1:
            raise Refusal("tensor 'bounds': should be one number between 0 and 1")
        return float((1 - bounds[0]) / 2)

    # ---- Conversion ----

    def net_of(self, state: State, at: str) -> Net:
        norms = [batch_norm_scale(*(state.vector(f"{at}nn.{name}_norm.{part}") for part in NORM),
                                  EPSILON) for name in ("in", "mid", "out")]
        layers = [scaled_layer(state.take(f"{at}nn.{name}_conv.weight"), *norm)
                  for name, norm in zip(("in", "mid"), norms[1:])]
        weight, bias = swap_pairs(state.take(at + "nn.out_conv.weight")), swap_pairs(
            state.take(at + "nn.out_conv.bias"))
        return Net(layers, weight, bias, np.zeros(len(bias)), gain=state.vector(at + "scale"),
                   input_scale=norms[0][0], input_shift=norms[0][1])

    def step_of(self, state: State, at: str) -> Step:
        return Step(ActNorm(state.vector(at + "norm.bias"), state.vector(at + "norm.logs")),
                    Mix.plain(state.square(at + "conv.weight")), self.net_of(state, at + "coup."))

    def convert(self, state: State, facts: Facts) -> Network:
        prefixes = self.steps_of(state)
        scales = [Scale([self.step_of(state, at) for at in steps]) for steps in prefixes]
        for number, scale in enumerate(scales):
            second_half_conditions(scale, number == len(scales) - 1)
        image = image_size(facts, scales[0].steps[0].actnorm.loc.size // 4, None,
                           facts.stated("image"))
        state.ignore(r"bounds|.*\.(is_initialized|num_batches_tracked)")
        agree(facts, ("num_steps",), len(prefixes[0]), "num_steps")
        agree(facts, ("num_levels",), len(prefixes), "num_levels")
        return Network(image, scales, True, extension={
            "input": scaled_bytes(1 / 256, 1 / 512, self.bound(state)),
            "scale_map": "tanh", "net_input": "affine-relu"})

    # ---- The original's density ----

    def transforms(self, t, at: str) -> List[Transform]:
        logs = double(t[at + "norm.logs"]).reshape(-1)
        bias = double(t[at + "norm.bias"]).reshape(-1)

        def norm(name: str, x: np.ndarray) -> np.ndarray:
            weight, bias, mean, variance = (column(t[f"{at}coup.nn.{name}_norm.{part}"])
                                            for part in NORM)
            return relu((x - mean) / np.sqrt(variance + EPSILON) * weight + bias)

        def change(a: np.ndarray, b: np.ndarray) -> Moved:
            a = convolve(t[at + "coup.nn.in_conv.weight"], norm("in", a))
            a = convolve(t[at + "coup.nn.mid_conv.weight"], norm("mid", a), 0)
            a = convolve(t[at + "coup.nn.out_conv.weight"], norm("out", a)) + \
                column(t[at + "coup.nn.out_conv.bias"])
            log_s = column(t[at + "coup.scale"]) * np.tanh(a[:, 0::2])
            return (b + a[:, 1::2]) * np.exp(log_s), log_s

        return [lambda x: scaled(x, np.exp(logs), bias * np.exp(logs)),
                lambda x: mapped(x, t[at + "conv.weight"]),
                lambda x: coupled(x, change, second_conditions=True)]

    def score(self, state: State, facts: Facts, images: np.ndarray) -> Scores:
        transforms = [[f for at in steps for f in self.transforms(state.tensors, at)]
                      for steps in self.steps_of(state)]
        return score_of_logit(images, self.bound(state), transforms)


def score_of_logit(images: np.ndarray, bound: float,
                   transforms: List[List[Transform]]) -> Scores:
    """p = A + (1 - 2A) (v + 1/2) / 256, x = ln p - ln(1 - p); all latents N(0, 1), the first half
    goes on."""
    p = bound + (1 - 2 * bound) * (bytes_of(images) + 0.5) / 256
    logdet = np.log(1 - 2 * bound) - np.log(p * (1 - p))

    def split(_: int, x: np.ndarray) -> Moved:
        on, latents = np.split(x, 2, 1)
        return on, gaussian(latents)

    scores = multiscale(np.log(p / (1 - p)), transforms, split, gaussian)
    scores.per_scale[0] = scores.per_scale[0] + logdet.reshape(len(p), -1).sum(1)
    scores.logp = sum(scores.per_scale)
    return scores
