# SPDX-License-Identifier: Apache-2.0
"""Shapes of networks."""

from __future__ import annotations

import dataclasses
from typing import Any, List, Mapping, Tuple, Union, cast

from ._types import ArchitectureFields
from .lib import _core


@dataclasses.dataclass(frozen=True)
class InputMap:
    """From bytes v to what the flow sees: x = scale floor(v / 2^(8 - bits)) + shift.

    `bin` is the width of a level in units of x. With `logit` A > 0 the flow sees
    ln p - ln(1 - p), p = A + (1 - 2A) x.
    """

    bits: int = 8
    scale: float = 1 / 256
    shift: float = 1 / 512 - 1 / 2
    bin: float = 1 / 256
    logit: float = 0.0

    @classmethod
    def of_bits(cls, bits: int) -> InputMap:
        """The usual map of images with `bits` bits a value: x from -1/2 to 1/2."""
        width = 2.0**-bits
        return cls(bits, width, width / 2 - 0.5, width)


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
        input: how bytes become what the flow sees; a dictionary of InputMap's fields will do.
        latents: "first" or "second" half of a split. split_prior: "none" or "conv".
        edges: of "conv1", "conv3", "split". scale_map: "sigmoid", "exp", "sigmoid_inverse" or
            "tanh". shift: "before" or "after". net_input: "none" or "affine-relu".
        leak: slope of the ReLUs below zero. closing: one more map after a scale's last step.
            Equations: of_architecture in outflow.h.

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
    input: Union[InputMap, Mapping[str, Any]] = InputMap()
    latents: str = "first"
    split_prior: str = "none"
    edges: Tuple[str, ...] = ()
    scale_map: str = "sigmoid"
    shift: str = "before"
    net_input: str = "none"
    leak: float = 0.0
    closing: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.input, InputMap):
            object.__setattr__(self, "input", InputMap(**self.input))
        object.__setattr__(self, "edges", tuple(self.edges))
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

    def variants(self) -> List[Tuple[str, Any]]:
        """From `input` on: the fields that are not their default, with their values."""
        names = [field.name for field in dataclasses.fields(self)]
        standard = Architecture()
        return [
            (name, getattr(self, name))
            for name in names[names.index("input") :]
            if getattr(self, name) != getattr(standard, name)
        ]
