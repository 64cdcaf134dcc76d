# SPDX-License-Identifier: Apache-2.0
"""chaiyujin/glow-pytorch: as y0ast's with other names, and x = v / 255."""
from typing import Any, Dict

import numpy as np

from ..facts import REQUIRED, Fact, Facts
from .base import bytes_of, scaled_bytes
from .y0ast import INDICES, Y0ast


class Chaiyujin(Y0ast):
    name = "chaiyujin"
    signature = r"flow\.layers\.\d+\.f\.0\.weight"
    facts = (Fact("permutation", "without invconv, channels are permuted by 'reverse' or "
                  "'shuffle', which leave no tensor", REQUIRED, ("flow_permutation",)),
             Fact("indices", "the shuffles' indices, which a state dict does not hold: a JSON "
                  "object, by number of the layer", REQUIRED, (INDICES,)))
    net, convolution_weight, zero_weight, zero_bias = "f", ".weight", "weight", "bias"
    lower, upper = "l", "u"
    top, class_weight, class_bias = "learn_top.", "weight", "bias"

    def input_of(self, facts: Facts) -> Dict[str, Any]:
        return scaled_bytes(1 / 255, 0)

    def to_x(self, facts: Facts, images: np.ndarray) -> np.ndarray:
        return bytes_of(images) / 255
