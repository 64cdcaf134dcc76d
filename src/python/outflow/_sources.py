# SPDX-License-Identifier: Apache-2.0
"""Images in memory as sources that the library reads by name."""

from __future__ import annotations

import os
import shutil
import tempfile
from types import TracebackType
from typing import Any, List, Optional, Sequence, Type, Union

import numpy as np
import numpy.typing as npt

from .images import Shape, array_of, bytes_of

Source = Any
"""A source by name ("photos/", "test.tar", "synthetic:noise:100"; see `outflow score --help`), or
images: an array N x H x W or N x H x W x C, or a sequence of such images (Pillow's as well)."""


def is_named(source: Any) -> bool:
    """Is it a path, or another source by name, rather than images?"""
    return isinstance(source, (str, os.PathLike))


def as_bytes(images: Any) -> npt.NDArray[np.uint8]:
    """Images as uint8, N x H x W x C with C 1 or 3. Floats are v/255, as everywhere: 0 is black, 1
    is white; they are rounded to bytes.

    >>> as_bytes(np.ones((2, 4, 4))).shape
    (2, 4, 4, 1)
    >>> as_bytes(np.zeros((4, 4)))
    Traceback (most recent call last):
    ...
    ValueError: expected images N x H x W or N x H x W x C with C 1 or 3, got an array of shape (4, 4)
    """
    if isinstance(images, (list, tuple)):
        images = [np.asarray(image) for image in images]
        for i, image in enumerate(images):
            if image.shape != images[0].shape:
                raise ValueError(
                    f"images[{i}] has the shape {image.shape}, images[0] {images[0].shape}"
                )
    array = np.asarray(images)
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.ndim != 4 or array.shape[3] not in (1, 3) or array.size == 0:
        raise ValueError(
            "expected images N x H x W or N x H x W x C with C 1 or 3, got an array of shape "
            f"{np.asarray(images).shape}"
        )
    if array.dtype == np.bool_:
        return np.where(array, 255, 0).astype(np.uint8)
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all():
            raise ValueError("some pixels are not finite")
        return bytes_of(array)
    if array.dtype != np.uint8:
        if not np.issubdtype(array.dtype, np.integer):
            raise TypeError(f"expected pixels as uint8 or floats in 0..1, got {array.dtype}")
        if array.min() < 0 or array.max() > 255:
            raise ValueError("integers as pixels must lie in 0..255")
    return np.ascontiguousarray(array, dtype=np.uint8)


class Sources:
    """Names for sources. Images become temporary .npy files, which are removed at the end. With
    `shape` they may have any form that `outflow.images.batches` takes, and are held in memory once.

    >>> with Sources() as sources:
    ...     sources.name("photos.tar"), os.path.basename(sources.name(np.zeros((3, 4, 4))))
    ('photos.tar', 'images-0.npy')
    """

    def __init__(self, shape: Optional[Shape] = None) -> None:
        self._shape = shape
        self._folder: Optional[str] = None
        self._count = 0

    def __enter__(self) -> "Sources":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def name(self, source: Source) -> str:
        """The name of one source."""
        if is_named(source):
            return str(os.fspath(source))
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="outflow-")
        path = os.path.join(self._folder, f"images-{self._count}.npy")
        self._count += 1
        np.save(path, as_bytes(source) if self._shape is None else self._converted(source))
        return path

    def _converted(self, images: Any) -> npt.NDArray[np.uint8]:
        assert self._shape is not None
        pixels = bytes_of(array_of(images, self._shape))
        if len(pixels) == 0:
            raise ValueError("there are no images")
        return pixels

    def names(self, sources: Union[Source, Sequence[Source]]) -> List[str]:
        """The names of a source, or of a list of named ones and arrays of four dimensions."""
        if isinstance(sources, (list, tuple)) and sources and all(map(_is_set, sources)):
            return [self.name(source) for source in sources]
        return [self.name(sources)]


def _is_set(source: Any) -> bool:
    """A list of these is several sources; a list of single images is one."""
    return is_named(source) or getattr(source, "ndim", 0) == 4
