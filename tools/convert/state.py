# SPDX-License-Identifier: Apache-2.0
"""The tensors of a state dict, and which of them a layout has understood."""
import re
from typing import Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from .numerics import double
from .refusal import Refusal, about, grouped


class State:
    def __init__(self, tensors: Mapping[str, np.ndarray]) -> None:
        self.tensors = tensors
        self.used: set = set()

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def take(self, name: str, shape: Optional[Sequence[int]] = None) -> np.ndarray:
        """In double precision; refused where it is missing, of another shape or not finite."""
        values = self.raw(name)
        if values.dtype.kind not in "fiub":
            raise about(name, f"type {values.dtype} is no number")
        if shape is not None and tuple(values.shape) != tuple(shape):
            raise about(name, f"shape is {list(values.shape)}, must be {list(shape)}")
        values = double(values)
        if not np.isfinite(values).all():
            raise about(name, "holds values that are not finite")
        return values

    def raw(self, name: str) -> np.ndarray:
        if name not in self.tensors:
            raise about(name, "is missing")
        self.used.add(name)
        return self.tensors[name]

    def vector(self, name: str, size: Optional[int] = None) -> np.ndarray:
        """[1, C, 1, 1], [C, 1, 1] ... -> [C]"""
        values = self.take(name)
        if max(values.shape, default=1) != values.size:
            raise about(name, f"shape {list(values.shape)} is more than one vector")
        if size is not None and values.size != size:
            raise about(name, f"has {values.size} elements, must have {size}")
        return values.reshape(-1)

    def square(self, name: str) -> np.ndarray:
        """[C, C, 1, 1] or [C, C] -> [C, C]"""
        values = self.take(name)
        if values.ndim < 2 or values.shape[0] ** 2 != values.size:
            raise about(name, f"shape {list(values.shape)} is no square matrix")
        return values.reshape(values.shape[0], -1)

    def indices(self, name: str) -> np.ndarray:
        values = self.raw(name).reshape(-1)
        if sorted(values.tolist()) != list(range(values.size)):
            raise about(name, "is not a permutation of the channels")
        return values.astype(np.int64)

    def optional(self, name: str) -> Optional[np.ndarray]:
        return self.take(name) if name in self.tensors else None

    def zeros(self, name: str) -> np.ndarray:
        values = self.take(name)
        if np.any(values):
            raise about(name, "should be zero")
        return values

    def ignore(self, pattern: str) -> None:
        """Tensors that say nothing of the density."""
        self.used.update(name for name in self.tensors if re.fullmatch(pattern, name))

    def refuse_unused(self, layout: str) -> None:
        left = [(name, f"unknown to layout '{layout}'") for name in self.tensors
                if name not in self.used]
        if left:
            raise Refusal(*grouped(left))

    def numbers(self, pattern: str) -> List[int]:
        """The numbers at the pattern's first group, in order."""
        found = (re.match(pattern, name) for name in self.tensors)
        return sorted({int(match[1]) for match in found if match})


def consecutive(numbers: Iterable[int], what: str) -> int:
    """How many numbers 0, 1, 2 ... there are; a gap is refused."""
    found = list(numbers)
    if found != list(range(len(found))) or not found:
        raise Refusal(f"{what} are numbered {found}")
    return len(found)


def by_channels(steps: Sequence[Tuple[int, int]]) -> List[List[int]]:
    """Steps numbered through all scales, as (number, channels), in their scales: the channels
    double from scale to scale."""
    scales: List[List[int]] = []
    width = 0
    for number, channels in sorted(steps):
        if channels != width:
            if width and channels != 2 * width:
                raise Refusal(f"step {number} has {channels} channels after {width}")
            scales.append([])
            width = channels
        scales[-1].append(number)
    return scales
