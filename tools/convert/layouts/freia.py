# SPDX-License-Identifier: Apache-2.0
"""FrEIA 0.2: IRevNetDownsampling, AllInOneBlock and Split. A block couples, then scales, then
mixes: its scaling and mixing are the front of the next step, and the last ones close the scale."""
from typing import List, Tuple

import numpy as np

from ..evaluate import Scores
from ..facts import Fact, Facts, image_size
from ..folds import biased_layer
from ..network import ActNorm, Closing, Mix, Net, Network, Scale, Step, interleave
from ..numerics import double, gaussian, sigmoid
from ..numerics import mix as mix_channels
from ..reference import Moved, Transform, convolution, coupled, multiscale, relu, scaled
from ..refusal import Refusal, about
from ..state import State
from .base import Layout, quantised

PARTS = (0, 2, 4)


class Freia(Layout):
    name = "freia"
    signature = r"module_list\.\d+\.w_perm"
    facts = (Fact("affine_clamping", "the clamp of the blocks", 2.0),
             Fact("global_affine_type", "the activation of global_scale: SOFTPLUS, SIGMOID or EXP",
                  "SOFTPLUS"))

    def blocks_of(self, state: State) -> List[Tuple[int, List[int]]]:
        """Of every scale the number of its squeeze, and those of its blocks."""
        squeezes = state.numbers(r"module_list\.(\d+)\.downsample_kernel")
        blocks = state.numbers(r"module_list\.(\d+)\.global_scale")
        ends = squeezes[1:] + [max(blocks, default=0) + 1]
        if not squeezes or not blocks or blocks[0] < squeezes[0]:
            raise Refusal("tensor 'module_list.0.downsample_kernel': is missing: only a graph that "
                          "begins with IRevNetDownsampling is understood")
        return [(start, [n for n in blocks if start < n < end])
                for start, end in zip(squeezes, ends)]

    def check(self, state: State, facts: Facts) -> None:
        for name in ("reverse_permutation", "gin_block"):
            if facts.stated(name):
                raise Refusal(f"fact '{name}' is {facts.stated(name)}: not understood")
        for name in state.tensors:
            if name.endswith(".vk_householder"):
                raise about(name, "learned Householder permutations are not understood")

    # ---- Conversion ----

    def order_of(self, state: State, number: int) -> np.ndarray:
        """The indices that turn our squeeze's channels into the kernel's."""
        name = f"module_list.{number}.downsample_kernel"
        kernel = state.take(name)
        flat = kernel.reshape(len(kernel), -1)
        if flat.shape[1] != 4 or len(flat) % 4 or not np.isin(flat, (0, 1)).all() or \
                (flat.sum(1) != 1).any():
            raise about(name, "is no squeeze of 2x2 pixels")
        return 4 * (np.arange(len(flat)) // 4) + flat.argmax(1)

    def scaling_of(self, state: State, facts: Facts, number: int) -> Tuple[ActNorm, Mix]:
        at = f"module_list.{number}."
        scale = activated(state.vector(at + "global_scale"), facts)
        actnorm = ActNorm.of_scale(state.vector(at + "global_offset") / scale, scale)
        state.ignore(rf"module_list\.{number}\.w_perm_inv")
        return actnorm, Mix.plain(state.square(at + "w_perm"))

    def net_of(self, state: State, facts: Facts, number: int) -> Net:
        at = f"module_list.{number}.subnet."
        layers = [biased_layer(state.take(f"{at}{part}.weight"), state.optional(f"{at}{part}.bias"))
                  for part in PARTS[:2]]
        weight = interleave(0.1 * state.take(at + "4.weight"))
        bias = interleave(0.1 * state.take(at + "4.bias"))
        return Net(layers, weight, bias, np.zeros(len(bias)),
                   gain=np.full(len(bias) // 2, facts.number("affine_clamping")))

    def scale_of(self, state: State, facts: Facts, squeeze: int, blocks: List[int]) -> Scale:
        order = self.order_of(state, squeeze)
        front = (ActNorm.neutral(order.size), Mix.plain(np.eye(order.size)[order]))
        steps = []
        for number in blocks:
            steps.append(Step(*front, self.net_of(state, facts, number)))
            front = self.scaling_of(state, facts, number)
        return Scale(steps, closing=Closing(*front))

    def convert(self, state: State, facts: Facts) -> Network:
        self.check(state, facts)
        scales = [self.scale_of(state, facts, *place) for place in self.blocks_of(state)]
        image = image_size(facts, scales[0].steps[0].actnorm.loc.size // 4, None,
                           facts.stated("image"))
        return Network(image, scales, True, extension={
            "latents": "second", "scale_map": "tanh", "shift": "after"})

    # ---- The original's density ----

    def transforms(self, state: State, facts: Facts, number: int) -> List[Transform]:
        t, at = state.tensors, f"module_list.{number}."
        clamp = facts.number("affine_clamping")
        scale = activated(double(t[at + "global_scale"]).reshape(-1), facts)
        offset = double(t[at + "global_offset"]).reshape(-1)
        permutation = double(t[at + "w_perm"]).reshape(scale.size, scale.size)

        def change(a: np.ndarray, b: np.ndarray) -> Moved:
            for part in PARTS:
                a = convolution(a, t[f"{at}subnet.{part}.weight"], t.get(f"{at}subnet.{part}.bias"))
                a = relu(a) if part != PARTS[-1] else 0.1 * a
            raw, add = np.split(a, 2, 1)
            log_s = clamp * np.tanh(raw)
            return b * np.exp(log_s) + add, log_s

        return [lambda x: coupled(x, change), lambda x: scaled(x, scale, offset),
                lambda x: (mix_channels(permutation, x), np.zeros(len(x)))]

    def score(self, state: State, facts: Facts, images: np.ndarray) -> Scores:
        def split(_: int, x: np.ndarray) -> Moved:
            on, latents = np.split(x, 2, 1)
            return on, gaussian(latents)

        transforms: List[List[Transform]] = []
        for squeeze, blocks in self.blocks_of(state):
            order = self.order_of(state, squeeze)
            transforms.append([lambda x, order=order: (x[:, order], np.zeros(len(x)))] + [
                f for number in blocks for f in self.transforms(state, facts, number)])
        return multiscale(quantised(images, 8), transforms, split, gaussian)


def activated(scale: np.ndarray, facts: Facts) -> np.ndarray:
    """Of global_scale"""
    kind = facts.choice("global_affine_type", ("SOFTPLUS", "SIGMOID", "EXP"))
    if kind == "EXP":
        return np.exp(scale)
    if kind == "SIGMOID":
        return 10 * sigmoid(scale - 2)
    return 0.1 * 2 * np.logaddexp(0, 0.5 * scale)
