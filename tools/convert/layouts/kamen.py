# SPDX-License-Identifier: Apache-2.0
"""kamenbliznashki/normalizing_flows: the second half conditions the first, what is added comes
after the scale, and the second hidden layer is a 1x1 convolution whose padding the third sees."""
from typing import Any, Dict, List, Tuple

import numpy as np

from ..evaluate import Scores
from ..facts import Fact, Facts, image_size
from ..folds import edge_of_padding, second_half_conditions
from ..network import (ActNorm, Layer, Mix, Net, Network, Scale, SplitPrior, Step, constant_prior)
from ..numerics import convolve, double, gaussian, sigmoid
from ..reference import Moved, Transform, convolution, coupled, mapped, multiscale, relu, scaled
from ..refusal import about
from ..state import State, consecutive
from .base import BITS, Layout, agree, bytes_of, fewer_bits, quantised, scaled_bytes


class Kamen(Layout):
    name = "kamen"
    signature = r"flowstep\.0\.2\.log_scale_factor"
    facts = (Fact("bits", BITS, 5, ("n_bits",)),
             Fact("dataset", "the data set; mnist has an input of its own", "celeba"))

    def steps_of(self, state: State) -> List[List[str]]:
        """The prefixes of the steps, scale by scale."""
        levels = state.numbers(r"flowlevels\.(\d+)\.")
        prefixes = [f"flowlevels.{level}.flowsteps." for level in levels] + ["flowstep."]
        return [[f"{prefix}{step}." for step in range(consecutive(
            state.numbers(prefix.replace(".", r"\.") + r"(\d+)\."), "steps"))]
            for prefix in prefixes]

    # ---- Conversion ----

    def actnorm_of(self, state: State, at: str) -> ActNorm:
        """(x - bias) / scale"""
        return ActNorm.of_scale(-state.take(at + "bias"), 1 / state.take(at + "scale"))

    def net_of(self, state: State, at: str) -> Net:
        layers = [Layer(state.take(f"{at}conv{number}.weight"),
                        self.actnorm_of(state, f"{at}actnorm{number}.")) for number in (1, 2)]
        outside = relu(-state.vector(at + "actnorm2.bias") / state.vector(at + "actnorm2.scale"))
        weight = state.take(at + "conv3.weight")
        return Net(layers, weight, state.take(at + "conv3.bias"),
                   state.vector(at + "log_scale_factor") / 3, edge_of_padding(weight, outside))

    def step_of(self, state: State, at: str) -> Step:
        if at + "1.w" not in state and at + "1.log_s" in state:
            raise about(at + "1.log_s", "an LU matrix whose permutation is trained and whose "
                                        "log-determinant leaves that out: no density")
        return Step(self.actnorm_of(state, at + "0."), Mix.plain(state.square(at + "1.w")),
                    self.net_of(state, at + "2."))

    def split_of(self, state: State, at: str) -> SplitPrior:
        return SplitPrior(state.take(at + "net.weight"), state.take(at + "net.bias"),
                          state.vector(at + "log_scale_factor") / 3)

    def convert(self, state: State, facts: Facts) -> Network:
        prefixes = self.steps_of(state)
        scales = [Scale([self.step_of(state, at) for at in steps]) for steps in prefixes]
        for number, scale in enumerate(scales[:-1]):
            scale.split = self.split_of(state, f"flowlevels.{number}.split.gaussianize.")
        image = image_size(facts, scales[0].steps[0].actnorm.loc.size // 4, None,
                           facts.stated("input_dims"))
        top = state.take("gaussianize.net.bias") * np.exp(
            state.vector("gaussianize.log_scale_factor"))
        state.take("gaussianize.net.weight")  # it sees zeros
        positions = (image[1] >> len(scales)) * (image[2] >> len(scales))
        scales[-1].prior = constant_prior(top[0::2], top[1::2], positions)
        for number, scale in enumerate(scales):
            second_half_conditions(scale, number == len(scales) - 1)
        self.check_base(state)
        state.ignore(r".*\.initialized")
        agree(facts, ("depth",), len(prefixes[0]), "depth")
        return Network(image, scales, True, extension={"input": self.input_of(facts),
                                                       "shift": "after"})

    def check_base(self, state: State) -> None:
        for name, value in (("base_dist_mean", 0), ("base_dist_var", 1)):
            if name in state and np.any(state.take(name) != value):
                raise about(name, f"should be {value}")

    def input_of(self, facts: Facts) -> Dict[str, Any]:
        if facts.get("dataset") == "mnist":
            return scaled_bytes(1 / 255, 1 / 512 - 0.5)
        return fewer_bits(facts.integer("bits", 1, 8))

    # ---- The original's density ----

    def transforms(self, t, at: str) -> List[Transform]:
        def change(a: np.ndarray, b: np.ndarray) -> Moved:
            net = at + "2."
            h, _ = scaled(convolve(t[net + "conv1.weight"], a), *inverse(t, net + "actnorm1."))
            h, _ = scaled(convolve(t[net + "conv2.weight"], relu(h), 1),
                          *inverse(t, net + "actnorm2."))
            h = convolve(t[net + "conv3.weight"], relu(h), 0)
            h = (h + double(t[net + "conv3.bias"]).reshape(1, -1, 1, 1)) * np.exp(
                double(t[net + "log_scale_factor"]))
            s = sigmoid(h[:, 1::2] + 2)
            return s * b + h[:, 0::2], np.log(s)

        return [lambda x: scaled(x, *inverse(t, at + "0.")), lambda x: mapped(x, t[at + "1.w"]),
                lambda x: coupled(x, change, second_conditions=True)]

    def score(self, state: State, facts: Facts, images: np.ndarray) -> Scores:
        t = state.tensors

        def prior(at: str, x: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
            h = convolution(x, t[at + "net.weight"], t[at + "net.bias"],
                            t[at + "log_scale_factor"], factor=1)
            return h[:, 0::2], h[:, 1::2]

        def split(scale: int, x: np.ndarray) -> Moved:
            on, latents = np.split(x, 2, 1)
            return on, gaussian(latents, *prior(f"flowlevels.{scale}.split.gaussianize.", on))

        transforms = [[f for at in steps for f in self.transforms(t, at)]
                      for steps in self.steps_of(state)]
        if facts.get("dataset") == "mnist":
            x = bytes_of(images) / 255 + 1 / 512 - 0.5
        else:
            x = quantised(images, facts.integer("bits", 1, 8))
        return multiscale(x, transforms, split,
                          lambda x: gaussian(x, *prior("gaussianize.", np.zeros_like(x[:1]))))


def inverse(t, at: str) -> Moved:
    """(x - bias) / scale as factor and shift"""
    factor = 1 / double(t[at + "scale"]).reshape(-1)
    return factor, -double(t[at + "bias"]).reshape(-1) * factor
