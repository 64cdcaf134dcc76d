# SPDX-License-Identifier: Apache-2.0
"""PolinaKirichenko/flows_ood with st_type glow_convnet: body.N.{0,1,2}.module1; the second half
conditions, outputs come in halves [raw, add], log s = g v/|v| tanh(raw), the input is a logit."""
from typing import List

import numpy as np

from ..evaluate import Scores
from ..facts import Facts, image_size
from ..folds import biased_layer, second_half_conditions
from ..network import ActNorm, Mix, Net, Network, Scale, Step, interleave
from ..numerics import column, double
from ..reference import Moved, Transform, convolution, coupled, mapped, relu, scaled
from ..refusal import Refusal
from ..state import State, by_channels
from .base import Layout, agree, scaled_bytes
from .chrischute import score_of_logit

BOUND = 0.05


class FlowsOod(Layout):
    name = "flows_ood"
    signature = r"body\.\d+\.\d+\.module1\.rescale\.(weight_g|parametrizations\.weight\.original0)"

    def scales_of(self, state: State) -> List[List[int]]:
        numbers = state.numbers(r"body\.(\d+)\.0\.module1\.bias")
        return by_channels([(n, state.vector(f"body.{n}.0.module1.bias").size) for n in numbers])

    # ---- Conversion ----

    def gain_of(self, state: State, at: str) -> np.ndarray:
        """g v/|v|, a channel"""
        names = ("weight_g", "weight_v")
        if at + "weight_g" not in state:
            names = ("parametrizations.weight.original0", "parametrizations.weight.original1")
        return state.vector(at + names[0]) * np.sign(state.vector(at + names[1]))

    def step_of(self, state: State, number: int) -> Step:
        at = f"body.{number}."
        net = at + "2.module1."
        if net + "st_net.0.conv.weight" not in state:
            raise Refusal(f"tensor '{net}st_net.0.conv.weight': is missing: only the network "
                          "'glow_convnet' is understood")
        layers = [biased_layer(state.take(f"{net}st_net.{layer}.conv.weight"),
                               state.take(f"{net}st_net.{layer}.conv.bias")) for layer in (0, 2)]
        weight = interleave(state.take(net + "st_net.4.conv.weight"))
        bias = interleave(state.take(net + "st_net.4.conv.bias"))
        norm = at + "0.module1."
        return Step(ActNorm(state.vector(norm + "bias"), state.vector(norm + "logs")),
                    Mix.plain(state.square(at + "1.module1.weight")),
                    Net(layers, weight, bias, np.zeros(len(bias)),
                        gain=self.gain_of(state, net + "rescale.")))

    def convert(self, state: State, facts: Facts) -> Network:
        numbers = self.scales_of(state)
        scales = [Scale([self.step_of(state, n) for n in steps]) for steps in numbers]
        for number, scale in enumerate(scales):
            second_half_conditions(scale, number == len(scales) - 1)
        image = image_size(facts, scales[0].steps[0].actnorm.loc.size // 4, None,
                           facts.stated("image_shape"))
        state.ignore(r".*\.(initialized|is_initialized|inited)")
        agree(facts, ("num_scales",), len(scales), "num_scales")
        agree(facts, ("num_coupling_layers_per_scale",), len(numbers[0]), "coupling layers a scale")
        return Network(image, scales, True, extension={
            "input": scaled_bytes(1 / 256, 1 / 512, BOUND), "scale_map": "tanh"})

    # ---- The original's density ----

    def transforms(self, state: State, number: int) -> List[Transform]:
        t, at = state.tensors, f"body.{number}."
        logs, bias = double(t[at + "0.module1.logs"]), double(t[at + "0.module1.bias"])
        scale = np.exp(logs.reshape(-1))
        net = at + "2.module1."
        if net + "rescale.weight_g" in t:
            g, v = t[net + "rescale.weight_g"], t[net + "rescale.weight_v"]
        else:
            g, v = (t[f"{net}rescale.parametrizations.weight.original{i}"] for i in (0, 1))
        gain = double(g) * double(v) / np.abs(double(v))

        def change(a: np.ndarray, b: np.ndarray) -> Moved:
            for layer in (0, 2, 4):
                name = f"{net}st_net.{layer}.conv."
                a = convolution(a, t[name + "weight"], t[name + "bias"])
                a = relu(a) if layer < 4 else a
            raw, add = np.split(a, 2, 1)
            log_s = column(gain) * np.tanh(raw)
            return (b + add) * np.exp(log_s), log_s

        return [lambda x: scaled(x, scale, bias.reshape(-1) * scale),
                lambda x: mapped(x, t[at + "1.module1.weight"]),
                lambda x: coupled(x, change, second_conditions=True)]

    def score(self, state: State, facts: Facts, images: np.ndarray) -> Scores:
        transforms = [[f for n in steps for f in self.transforms(state, n)]
                      for steps in self.scales_of(state)]
        return score_of_logit(images, BOUND, transforms)
