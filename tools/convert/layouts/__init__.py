# SPDX-License-Identifier: Apache-2.0
"""The implementations whose weights are understood: one file each, one line here."""
from typing import Tuple

from .base import Layout
from .chaiyujin import Chaiyujin
from .chrischute import Chrischute
from .flows_ood import FlowsOod
from .freia import Freia
from .kamen import Kamen
from .pclucas14 import Pclucas14
from .rosinality import Rosinality
from .y0ast import Y0ast

LAYOUTS: Tuple[Layout, ...] = (Y0ast(), Chaiyujin(), Rosinality(), Kamen(), Pclucas14(),
                               Chrischute(), FlowsOod(), Freia())
