# SPDX-License-Identifier: Apache-2.0
"""y0ast/Glow-PyTorch: flow.layers.N counts squeeze, steps and split through all scales.

chaiyujin/glow-pytorch, from which it comes, differs in names and input (chaiyujin.py)."""
import json
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from ..evaluate import Scores
from ..facts import REQUIRED, Fact, Facts, image_size, parse_value
from ..network import (ActNorm, ClassTerms, Layer, Mix, Net, Network, Scale, SplitPrior, Step,
                       affine_coupling, constant_prior)
from ..numerics import double, gaussian, lu_matrix
from ..reference import (Moved, Transform, convolution, coupled, mapped, multiscale, relu, scaled,
                         sigmoid_change)
from ..refusal import Refusal
from ..state import State, by_channels
from .base import BITS, Layout, agree, fewer_bits, quantised

INDICES = "indices_not_in_state_dict"


class Y0ast(Layout):
    name = "y0ast"
    signature = r"flow\.layers\.\d+\.block\.0\.conv\.weight"
    facts = (Fact("bits", BITS, 8, ("n_bits",)),
             Fact("permutation", "without invconv, channels are permuted by 'reverse' or "
                  "'shuffle', which leave no tensor", REQUIRED, ("flow_permutation",)),
             Fact("indices", "the shuffles' indices, which a state dict does not hold: a JSON "
                  "object, by number of the layer", REQUIRED, (INDICES,)))
    # Names that differ between the two implementations.
    net, convolution_weight, zero_weight, zero_bias = "block", ".conv.weight", "conv.weight", \
        "conv.bias"
    lower, upper = "lower", "upper"
    top, class_weight, class_bias = "learn_top_fn.", "linear.weight", "linear.bias"

    # ---- Structure ----

    def scales_of(self, state: State) -> List[List[int]]:
        """The numbers of the steps, scale by scale."""
        numbers = state.numbers(r"flow\.layers\.(\d+)\.actnorm\.bias")
        return by_channels([(n, state.vector(f"flow.layers.{n}.actnorm.bias").size)
                            for n in numbers])

    def image_of(self, state: State, facts: Facts, scales: int, channels: int) -> List[int]:
        found = None
        if "prior_h" in state:
            _, _, height, width = state.take("prior_h").shape
            found = [channels, height << scales, width << scales]
        stated = facts.stated("image_shape")
        if isinstance(stated, list) and len(stated) == 3:
            stated = [stated[2], stated[0], stated[1]]
        return image_size(facts, channels, found, stated)

    def indices_of(self, facts: Facts, number: int, size: int) -> np.ndarray:
        """The indices of a permutation that the tensors do not hold."""
        kind = facts.choice("permutation", ("reverse", "shuffle", "invconv"))
        if kind == "invconv":
            raise Refusal(f"tensor 'flow.layers.{number}.invconv.weight': is missing")
        if kind == "reverse":
            return np.arange(size)[::-1].copy()
        table = facts.get("indices")
        table = parse_value(table) if isinstance(table, str) else table
        values = table.get(str(number)) if isinstance(table, dict) else None
        if not isinstance(values, list) or sorted(map(str, values)) != \
                sorted(map(str, range(size))):
            raise Refusal(f"fact '{INDICES}' has no permutation of {size} channels for layer "
                          f"{number}: {json.dumps(values)}")
        return np.array(values, np.int64)

    # ---- Conversion ----

    def mix_of(self, state: State, facts: Facts, number: int, size: int) -> Mix:
        at = f"flow.layers.{number}.invconv."
        if at + "weight" in state:
            return Mix.plain(state.square(at + "weight"))
        if at + "log_s" in state:
            return Mix.lu(*(state.take(at + name) for name in
                            ("p", "sign_s", self.lower, "log_s", self.upper)))
        return Mix.shuffle(self.indices_of(facts, number, size))

    def actnorm_of(self, state: State, at: str) -> ActNorm:
        return ActNorm(state.vector(at + "actnorm.bias"), state.vector(at + "actnorm.logs"))

    def net_of(self, state: State, number: int) -> Net:
        at = f"flow.layers.{number}.{self.net}."
        layers = [Layer(state.take(f"{at}{layer}{self.convolution_weight}"),
                        self.actnorm_of(state, f"{at}{layer}.")) for layer in (0, 2)]
        return Net(layers, *self.zero_convolution(state, at + "4."))

    def zero_convolution(self, state: State, at: str) -> Tuple[np.ndarray, ...]:
        return (state.take(at + self.zero_weight), state.vector(at + self.zero_bias),
                state.vector(at + "logs"))

    def split_of(self, state: State, number: int) -> SplitPrior:
        return SplitPrior(*self.zero_convolution(state, f"flow.layers.{number}.conv."))

    def step_of(self, state: State, facts: Facts, number: int) -> Step:
        actnorm = self.actnorm_of(state, f"flow.layers.{number}.")
        return Step(actnorm, self.mix_of(state, facts, number, actnorm.loc.size),
                    self.net_of(state, number))

    def top_of(self, state: State, size: int) -> np.ndarray:
        """[mean, log_std] of the last scale's channels."""
        if self.top + "logs" not in state:
            return np.zeros(2 * size)
        state.take(self.top + self.zero_weight)  # it sees zeros
        return state.vector(self.top + self.zero_bias, 2 * size) * \
            np.exp(3 * state.vector(self.top + "logs", 2 * size))

    def classes_of(self, state: State) -> Optional[np.ndarray]:
        """[K, 2C]: what a class adds to the top prior."""
        at = "project_ycond."
        if at + "logs" not in state:
            return None
        weight, bias = state.take(at + self.class_weight), state.take(at + self.class_bias)
        return (weight.T + bias) * np.exp(3 * state.vector(at + "logs"))

    def input_of(self, facts: Facts) -> Dict[str, Any]:
        return fewer_bits(facts.integer("bits", 1, 8))

    def convert(self, state: State, facts: Facts) -> Network:
        numbers = self.scales_of(state)
        scales = [Scale([self.step_of(state, facts, n) for n in steps]) for steps in numbers]
        for scale, steps in zip(scales[:-1], numbers):
            scale.split = self.split_of(state, steps[-1] + 1)
        first, last = scales[0].steps[0], scales[-1].steps[0].actnorm.loc.size
        image = self.image_of(state, facts, len(scales), first.actnorm.loc.size // 4)
        if "prior_h" in state:
            state.zeros("prior_h")
        network = Network(image, scales, affine_coupling(first.net, first.actnorm.loc.size // 2),
                          extension={"input": self.input_of(facts), "latents": "second"})
        self.put_priors(network, state, last)
        state.ignore(r"project_class\..+")
        agree(facts, ("K",), len(numbers[0]), "K")
        agree(facts, ("L",), len(numbers), "L")
        agree(facts, ("flow_coupling",), "affine" if network.affine else "additive", "a coupling")
        return network

    def put_priors(self, network: Network, state: State, channels: int) -> None:
        shrink = len(network.scales)
        positions = (network.image[1] >> shrink) * (network.image[2] >> shrink)
        top, classes = self.top_of(state, channels), self.classes_of(state)
        if classes is None:
            network.scales[-1].prior = constant_prior(*np.split(top, 2), positions)
            return
        elements = channels * positions
        for terms in classes + top:
            mean, log_std = np.split(np.repeat(terms, positions), 2)
            others = [elements << (shrink - 2 - n) for n in range(shrink - 1)]
            network.classes.append([neutral_class(size) for size in others] +
                                   [ClassTerms(ActNorm.neutral(elements), mean, log_std)])

    # ---- The original's density ----

    def matrix(self, state: State, facts: Facts, number: int, size: int) -> np.ndarray:
        at = f"flow.layers.{number}.invconv."
        t = state.tensors
        if at + "weight" in t:
            return double(t[at + "weight"])
        if at + "log_s" in t:
            return lu_matrix(t[at + "p"], t[at + self.lower], t[at + self.upper],
                             t[at + "sign_s"], t[at + "log_s"])
        return np.eye(size)[self.indices_of(facts, number, size)]

    def transforms(self, state: State, facts: Facts, number: int) -> List[Transform]:
        t, at = state.tensors, f"flow.layers.{number}."
        bias, logs = t[at + "actnorm.bias"].reshape(-1), double(t[at + "actnorm.logs"]).reshape(-1)
        weight = self.matrix(state, facts, number, bias.size)

        def change(a: np.ndarray, b: np.ndarray) -> Moved:
            for layer in (0, 2):
                name = f"{at}{self.net}.{layer}"
                a = convolution(a, t[name + self.convolution_weight])
                a, _ = scaled(a, *bias_and_logs(t, name + ".actnorm."))
                a = relu(a)
            a = self.zeros(t, f"{at}{self.net}.4.", a)
            if a.shape[1] == b.shape[1]:
                return b + a, np.zeros_like(a)
            return sigmoid_change(b, a[:, 0::2], a[:, 1::2])

        scale = np.exp(logs)
        return [lambda x: scaled(x, scale, bias * scale), lambda x: mapped(x, weight),
                lambda x: coupled(x, change)]

    def zeros(self, t, at: str, x: np.ndarray) -> np.ndarray:
        return convolution(x, t[at + self.zero_weight], t[at + self.zero_bias], t[at + "logs"])

    def to_x(self, facts: Facts, images: np.ndarray) -> np.ndarray:
        return quantised(images, facts.integer("bits", 1, 8))

    def score(self, state: State, facts: Facts, images: np.ndarray) -> Scores:
        t, numbers = state.tensors, self.scales_of(state)

        def split(scale: int, x: np.ndarray) -> Moved:
            on, latents = np.split(x, 2, 1)
            prior = self.zeros(t, f"flow.layers.{numbers[scale][-1] + 1}.conv.", on)
            return on, gaussian(latents, prior[:, 0::2], prior[:, 1::2])

        def last(x: np.ndarray) -> np.ndarray:
            h = np.zeros((1, 2 * x.shape[1], *x.shape[2:]))
            if self.top + "logs" in t:
                h = self.zeros(t, self.top, h)
            if "project_ycond.logs" not in t:
                return gaussian(x, *np.split(h, 2, 1))
            weight = double(t["project_ycond." + self.class_weight])
            densities = []
            for one_hot in np.eye(weight.shape[1]):
                y = weight @ one_hot + t["project_ycond." + self.class_bias]
                y = y * np.exp(3 * double(t["project_ycond.logs"]).reshape(-1))
                densities.append(gaussian(x, *np.split(h + y.reshape(1, -1, 1, 1), 2, 1)))
            return np.stack(densities, -1)

        transforms = [[f for n in steps for f in self.transforms(state, facts, n)]
                      for steps in numbers]
        return multiscale(self.to_x(facts, images), transforms, split, last)


def neutral_class(size: int) -> ClassTerms:
    return ClassTerms(ActNorm.neutral(size), np.zeros(size), np.zeros(size))


def bias_and_logs(t, at: str) -> Moved:
    """exp(logs) (x + bias) as scale and shift"""
    scale = np.exp(double(t[at + "logs"]).reshape(-1))
    return scale, double(t[at + "bias"]).reshape(-1) * scale
