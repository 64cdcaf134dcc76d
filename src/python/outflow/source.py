# SPDX-License-Identifier: Apache-2.0
"""Streams of images from folders, archives and record files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import NamedTuple, Optional, Union

import numpy as np
import numpy.typing as npt

from .lib import _core


class SourceBatch(NamedTuple):
    """Consecutive images of a source: pixels [n, height, width, channels], paths and labels ("")."""

    pixels: npt.NDArray[np.uint8]
    paths: list[str]
    labels: list[str]


class Source:
    """Images of one size from a folder, an image file, a .tar, .tar.gz or .zip, CIFAR and IDX
    files, .npy, .mat or "synthetic:NAME[:COUNT]"; "part:FROM-TO:SRC" takes a part of one.

    Args:
        spec: what to read. size: height and width that images are resized to.
        channels: 1 or 3. limit: at most that many images. seed: of synthetic images.
        strict: the first file that cannot be read raises; else it is left out, with a warning.
        background: what lies below transparent pixels: "white", "black", "grey" or "#rrggbb".
        frames: "first", or "all" for each frame of an animation and each page of a TIFF, whose
            path ends in "#" and its number.

    Iterating gives batches and starts anew each time. Memory does not grow with the number of
    images. Raises FileNotFoundError or OutflowError for what cannot be read.

    >>> source = Source("synthetic:digits:10", size=(16, 16), channels=1)
    >>> [batch.pixels.shape for batch in source.batches(4)]
    [(4, 16, 16, 1), (4, 16, 16, 1), (2, 16, 16, 1)]
    """

    def __init__(
        self,
        spec: Union[str, os.PathLike[str]],
        *,
        size: tuple[int, int] = (32, 32),
        channels: int = 3,
        limit: Optional[int] = None,
        seed: int = 0,
        strict: bool = False,
        background: str = "white",
        frames: str = "first",
    ) -> None:
        if frames not in ("first", "all"):
            raise ValueError(f"frames is 'first' or 'all', not {frames!r}")
        self.spec = os.fspath(spec)
        self.size = size
        self.channels = channels
        self._options = (limit or 0, seed)
        self.strict = strict
        self._pictures = (background, frames == "all")

    def batches(self, size: int = 256) -> Iterator[SourceBatch]:
        """Batches of up to `size` images."""
        height, width = self.size
        limit, seed = self._options
        source = _core.Source(
            self.spec, height, width, self.channels, limit, seed, self.strict, *self._pictures
        )
        while (taken := source.next(size)) is not None:
            yield SourceBatch(*taken)
        if source.unreadable:
            path, reason = source.unreadable[0]
            warnings.warn(
                f"{self.spec}: {len(source.unreadable)} files could not be read, the first: "
                f"{path}: {reason}",
                stacklevel=2,
            )

    def __iter__(self) -> Iterator[SourceBatch]:
        return self.batches()

    def __repr__(self) -> str:
        return f"outflow.Source({self.spec!r}, size={self.size}, channels={self.channels})"
