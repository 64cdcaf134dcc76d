# SPDX-License-Identifier: Apache-2.0
"""What a layout is: one implementation's names, equations and facts."""
import re
from typing import Any, Dict, Iterable, Sequence

import numpy as np

from ..evaluate import Scores
from ..facts import Fact, Facts
from ..network import Network
from ..refusal import Refusal
from ..state import State

BITS = "bits of the images that it was trained on"


class Layout:
    """`signature`: a name that only this layout has, as a pattern. `convert` folds the tensors
    into a network, `score` computes the original's density from them as they are."""
    name = ""
    signature = ""
    facts: Sequence[Fact] = ()

    def recognises(self, names: Iterable[str]) -> bool:
        return any(re.fullmatch(self.signature, name) for name in names)

    def convert(self, state: State, facts: Facts) -> Network:
        raise NotImplementedError

    def score(self, state: State, facts: Facts, images: np.ndarray) -> Scores:
        raise NotImplementedError


def fewer_bits(bits: int) -> Dict[str, Any]:
    """x = (floor(v / 2^(8-bits)) + 1/2) / 2^bits - 1/2"""
    step = 1 / (1 << bits)
    return {"bits": bits, "scale": step, "shift": step / 2 - 0.5, "bin": step, "logit": 0}


def scaled_bytes(scale: float, shift: float, logit: float = 0) -> Dict[str, Any]:
    return {"bits": 8, "scale": scale, "shift": shift, "bin": 1 / 256, "logit": logit}


def bytes_of(images: np.ndarray) -> np.ndarray:
    """[N, H, W, C] bytes -> [N, C, H, W] numbers"""
    return images.astype(np.float64).transpose(0, 3, 1, 2)


def quantised(images: np.ndarray, bits: int) -> np.ndarray:
    """(floor(v / 2^(8-bits)) + 1/2) / 2^bits - 1/2"""
    return (np.floor(bytes_of(images) / 2 ** (8 - bits)) + 0.5) / 2 ** bits - 0.5


def agree(facts: Facts, words: Sequence[str], found: Any, what: str) -> None:
    """Refuses hyperparameters that are of another model than the tensors."""
    stated = facts.stated(*words)
    if stated is not None and type(stated) is type(found) and stated != found:
        raise Refusal(f"the hyperparameters say {what} {stated}, the tensors are of {found}: they "
                      "belong to another model")
