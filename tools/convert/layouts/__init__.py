# SPDX-License-Identifier: Apache-2.0
"""The implementations whose weights are understood: one file each, one line here."""
from typing import Tuple

from .base import Layout
from .chaiyujin import Chaiyujin
from .chrischute import Chrischute
from .flows_ood import FlowsOod
from .freia import Freia
from .invglow import Invglow
from .kamen import Kamen
from .normflows import Normflows
from .openai import OpenAi
from .outflow import Outflow
from .pclucas14 import Pclucas14
from .rosinality import Rosinality
from .y0ast import Y0ast

LAYOUTS: Tuple[Layout, ...] = (Outflow(), Invglow(), Y0ast(), Chaiyujin(), Rosinality(), OpenAi(),
                               Pclucas14(), Kamen(), Normflows(), Chrischute(), FlowsOod(),
                               Freia())
