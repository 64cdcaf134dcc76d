# SPDX-License-Identifier: Apache-2.0
"""Shapes of networks."""

from __future__ import annotations

import dataclasses
from typing import cast
from ._types import ArchitectureFields
from .lib import _core


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Shape of a network; fully determines names and shapes of its parameters.

    Attributes:
        channels, height, width: of the images; 1 or 3 channels, pixels divisible by 2^scales
            (patch-glow: by 8).
        scales: 1 to 6. steps: flow steps a scale. hidden: width of the coupling networks.
        family: "glow" or "patch-glow". coupling: "affine" or "additive".
        permutation: "invconv", "invconvfixed" or "shuffle". lu: mixing matrices stored as
            P (L+I) (U+diag). block: "conv" or "dense".
        classes: 0, or the number of class-conditional densities.

    Raises ValueError for values out of range and for combinations that make no network.

    >>> Architecture(height=28, width=28, channels=1, scales=2).shape
    (28, 28, 1)
    >>> Architecture(height=31)
    Traceback (most recent call last):
    ...
    outflow.errors.OutflowValueError: ...
    """

    family: str = "glow"
    channels: int = 3
    height: int = 32
    width: int = 32
    scales: int = 3
    steps: int = 8
    hidden: int = 64
    coupling: str = "affine"
    permutation: str = "invconv"
    lu: bool = True
    block: str = "conv"
    classes: int = 0

    def __post_init__(self) -> None:
        _core.check_architecture(self.fields())

    def fields(self) -> ArchitectureFields:
        """The fields by their names in weight files."""
        return cast(ArchitectureFields, dataclasses.asdict(self))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return self.height, self.width, self.channels

    @property
    def flops(self) -> float:
        """Floating-point operations of one image's direct convolutions."""
        return _core.flops(self.fields())
