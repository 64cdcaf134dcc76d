# SPDX-License-Identifier: Apache-2.0
"""Images in all their forms, as batches of pixels that the library takes."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple, Optional, Union, cast

import numpy as np
import numpy.typing as npt

from .errors import OutflowError, OutflowValueError, of_os_error
from .lib import _core
from .source import Source

Shape = tuple[int, int, int]
"""Height, width and channels."""

Pixels = Union[npt.NDArray[np.uint8], npt.NDArray[np.float32]]
"""Contiguous [n, height, width, channels]: bytes, or floats from 0 (black) to 1 (white)."""

Images = Any
"""What can be scored: see `batches`."""

Errors = Literal["raise", "nan"]
"""What is done about an image of a list or generator that cannot be taken."""

BATCH = 256
"""Images in memory at a time where they come one by one."""


class Batch(NamedTuple):
    """Consecutive images with their names, labels and failures ([] where there are none)."""

    pixels: Pixels
    names: list[str]
    labels: list[str]
    failures: list[str]
    """Why an image could not be read, "" where it was; a black image stands in its place."""


def batches(
    images: Images, shape: Shape, size: int = BATCH, errors: Errors = "raise"
) -> Iterator[Batch]:
    """Turns images of any form into batches of pixels, one after the other.

    Args:
        images: one of
            - an array, [n, h, w, c] or [n, h, w] or one image [h, w, c] or [h, w], uint8 or floats
              from 0 to 1, or what NumPy makes one of (array, buffer and DLPack protocols). It must
              have the model's size. C-contiguous uint8 and float32 are not copied;
            - an image file's bytes, or a Pillow image: converted and resized;
            - a list, generator or pandas column of such images, and of paths of image files;
            - a source: a path (str or Path) of a folder, image, archive or record file, or
              "synthetic:NAME"; or an `outflow.Source`.
        shape: height, width and channels of the model's images.
        size: images of a batch of lists, generators and sources.
        errors: for an image of a list or generator that cannot be taken, "raise", which names its
            index, or "nan", which says why in the batch's `failures`. (Sources leave such files out
            with a warning, or raise if they are `Source(..., strict=True)`.)

    Raises:
        ValueError: for arrays of another size or type. FileNotFoundError, OutflowError: for files
            that are not there, or are no images.

    >>> [batch] = batches([np.zeros((4, 4, 3), np.uint8), b"no image"], (4, 4, 3), errors="nan")
    >>> batch.pixels.shape, batch.failures[0], "not" in batch.failures[1]
    ((2, 4, 4, 3), '', True)
    """
    if errors not in ("raise", "nan"):
        raise ValueError(f"errors is 'raise' or 'nan', not {errors!r}")
    if isinstance(images, (str, os.PathLike)):
        images = Source(images, size=shape[:2], channels=shape[2])
    if isinstance(images, Source):
        for taken in images.batches(size):
            yield Batch(taken.pixels, taken.paths, taken.labels, [])
    elif (items := _items_of(images)) is not None:
        yield from _collected(items, shape, size, errors)
    elif _is_single(images):
        yield Batch(_pixels(images, shape), [], [], [])
    elif isinstance(images, Iterable):
        yield from _collected(images, shape, size, errors)
    else:
        raise _no_images(images)


def array_of(images: Images, shape: Shape) -> Pixels:
    """All the images at once, [n, height, width, channels]."""
    parts = [batch.pixels for batch in batches(images, shape)]
    if not parts:
        return np.empty((0, *shape), np.uint8)
    return _concatenated(parts)


def _concatenated(parts: list[Pixels]) -> Pixels:
    return parts[0] if len(parts) == 1 else cast(Pixels, np.concatenate(parts))


def bytes_of(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """Pixels as bytes, floats rounded."""
    if pixels.dtype == np.uint8:
        return pixels  # type: ignore[return-value]
    rounded: npt.NDArray[np.uint8] = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    return rounded


def _items_of(images: Images) -> Optional[list[Any]]:
    """A column of paths or other objects, as pandas and NumPy have them, as a list."""
    if not hasattr(images, "__array__") or getattr(images, "ndim", 0) != 1:
        return None
    array = np.asarray(images)
    return array.tolist() if array.dtype.kind in "OU" else None


def _is_single(images: Images) -> bool:
    return (
        isinstance(images, (np.ndarray, bytes, bytearray))
        or _is_array(images)
        or _is_pillow(images)
    )


def _is_array(images: Images) -> bool:
    return (
        isinstance(images, memoryview)
        or hasattr(images, "__array__")
        or hasattr(images, "__array_interface__")
        or hasattr(images, "__dlpack__")
    )


def _is_pillow(images: Images) -> bool:
    return hasattr(images, "getbands") and hasattr(images, "convert")


def _pixels(images: Images, shape: Shape) -> Pixels:
    if isinstance(images, np.ndarray):
        return from_array(images, shape)
    if isinstance(images, (bytes, bytearray)):
        return _decoded(bytes(images), "", shape)
    if _is_pillow(images):
        return _from_pillow(images, shape)
    if hasattr(images, "__array__") or not hasattr(images, "__dlpack__"):
        return from_array(np.asarray(images), shape)
    return from_array(np.from_dlpack(images), shape)


def from_array(array: npt.NDArray[Any], shape: Shape) -> Pixels:
    """An array of images, or one image, as [n, height, width, channels]; contiguous bytes and
    float32 without a copy."""
    images = _four_dimensional(array, shape)
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    if images.dtype.kind == "f":
        floats = np.ascontiguousarray(images, dtype=np.float32)
        if floats.size and np.max(floats) > 16:
            raise OutflowValueError(
                "argument", "", "floats stand for 0 (black) to 1 (white), but the largest is "
                f"{np.max(floats):g}: divide by 255, or convert to uint8"
            )
        return floats
    raise OutflowValueError(
        "argument", "", f"expected uint8, or floats from 0 to 1; got an array of {array.dtype}"
    )


def _four_dimensional(array: npt.NDArray[Any], shape: Shape) -> npt.NDArray[Any]:
    given = array.shape
    if given[1:] == shape:
        return array
    if given == shape or (shape[2] == 1 and given == shape[:2]):
        return array.reshape(1, *shape)
    if shape[2] == 1 and given[1:] == shape[:2]:
        return array[..., np.newaxis]
    raise OutflowValueError("argument", "", _shape_message(given, shape))


def _shape_message(given: tuple[int, ...], shape: Shape) -> str:
    height, width, channels = shape
    expected = f"N x {height} x {width} x {channels}" + (
        f" or N x {height} x {width}" if channels == 1 else ""
    )
    message = f"expected images of {expected}; got an array of {' x '.join(map(str, given)) or '1'}"
    if given[-3:] == (channels, height, width):
        axes = "(1, 2, 0)" if len(given) == 3 else "(0, 2, 3, 1)"
        message += f"; its channels come first: transpose it to {axes}"
    return message


def _decoded(encoded: bytes, name: str, shape: Shape) -> npt.NDArray[np.uint8]:
    return _core.decode(encoded, name, *shape)[np.newaxis]


def _from_pillow(image: Any, shape: Shape) -> npt.NDArray[np.uint8]:
    fits = image.size == (shape[1], shape[0]) and image.mode == ("L" if shape[2] == 1 else "RGB")
    transparent = getattr(image, "has_transparency_data", "transparency" in image.info)
    if fits and not transparent:
        return np.ascontiguousarray(image).reshape(1, *shape)
    if image.mode not in ("1", "L", "LA", "I;16", "RGB", "RGBA"):
        image = image.convert("RGBA" if transparent else "RGB")
    encoded = io.BytesIO()
    image.save(encoded, format="PNG", compress_level=1, exif=b"")  # turned as it is in memory
    return _decoded(encoded.getvalue(), "", shape)


def _from_file(path: str, shape: Shape) -> npt.NDArray[np.uint8]:
    try:
        with open(path, "rb") as file:
            encoded = file.read()
    except OSError as error:
        raise of_os_error(error, path) from error
    return _decoded(encoded, path, shape)


class _Item(NamedTuple):
    """One of a list's: mostly one image."""

    pixels: Pixels
    name: str
    failure: str


def _taken(item: Any, shape: Shape) -> _Item:
    if isinstance(item, (str, os.PathLike)):
        path = os.fspath(item)
        return _Item(_from_file(path, shape), path, "")
    if not _is_single(item):
        raise _no_images(item)
    return _Item(_pixels(item, shape), "", "")


def _placed(error: Exception, index: int) -> Exception:
    """The error of an item, which says which one it was."""
    place = f"images[{index}]"
    if isinstance(error, OutflowError):
        return error.placed(place)
    if isinstance(error, OSError):  # Pillow's
        return of_os_error(error, place)
    return (TypeError if isinstance(error, TypeError) else ValueError)(f"{place}: {error}")


def _failed(item: Any, reason: Exception, shape: Shape) -> _Item:
    name = os.fspath(item) if isinstance(item, (str, os.PathLike)) else ""
    return _Item(np.zeros((1, *shape), np.uint8), name, str(reason))


def _items(items: Iterable[Any], shape: Shape, errors: Errors) -> Iterator[_Item]:
    for index, item in enumerate(items):
        try:
            taken = _taken(item, shape)
        except MemoryError:
            raise
        except (OutflowError, OSError, TypeError, ValueError) as error:
            if errors == "raise":
                raise _placed(error, index) from error
            taken = _failed(item, error, shape)
        yield taken


def _collected(
    items: Iterable[Any], shape: Shape, size: int, errors: Errors
) -> Iterator[Batch]:
    parts: list[_Item] = []
    count = 0
    for item in _items(items, shape, errors):
        other = bool(parts) and item.pixels.dtype != parts[0].pixels.dtype
        if parts and (count + len(item.pixels) > size or other):
            yield _joined(parts)
            parts, count = [], 0
        parts.append(item)
        count += len(item.pixels)
    if parts:
        yield _joined(parts)


def _joined(items: list[_Item]) -> Batch:
    pixels = [item.pixels for item in items]
    names = [item.name for item in items for _ in item.pixels]
    failures = [item.failure for item in items for _ in item.pixels]
    return Batch(
        _concatenated(pixels),
        names if any(names) else [],
        [],
        failures if any(failures) else [],
    )


def _no_images(given: object) -> TypeError:
    return TypeError(
        "expected an array, an image file's bytes or path, a Pillow image, a list of these, or a "
        f"source; got {type(given).__name__}"
    )
