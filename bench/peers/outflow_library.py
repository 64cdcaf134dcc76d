# SPDX-License-Identifier: Apache-2.0
"""liboutflow by ctypes: its structures, its errors, images of its sources. Needs no numpy."""
from __future__ import annotations

import ctypes
import os

ROOM = 512  # bytes for a structure, to which a later version may add fields


class PlanOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("threads", ctypes.c_uint), ("isa", ctypes.c_int),
                ("micro_batch", ctypes.c_uint), ("precision", ctypes.c_int),
                ("room", ctypes.c_char * ROOM)]


class Batch(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("pixels", ctypes.c_void_p), ("count", ctypes.c_size_t),
                ("room", ctypes.c_char * ROOM)]


class Likelihoods(ctypes.Structure):
    _fields_ = [("logp", ctypes.c_void_p), ("room", ctypes.c_char * ROOM)]


class SourceOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("channels", ctypes.c_uint32),
                ("height", ctypes.c_uint32), ("width", ctypes.c_uint32),
                ("threads", ctypes.c_uint), ("limit", ctypes.c_uint64),
                ("room", ctypes.c_char * ROOM)]


class SourceBatch(ctypes.Structure):
    _fields_ = [("count", ctypes.c_size_t), ("pixels", ctypes.c_void_p),
                ("items", ctypes.c_void_p)]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 1024),
                ("room", ctypes.c_char * ROOM)]


def call(function, *arguments) -> None:
    error = Error()
    if function(*arguments, ctypes.byref(error)) != 0:
        raise RuntimeError(error.message.decode(errors="replace"))


def load(build: str) -> ctypes.CDLL:
    library = ctypes.CDLL(os.path.join(build, "liboutflow.so"))
    for name in ("of_version", "of_convolutions"):
        getattr(library, name).restype = ctypes.c_char_p
    library.of_plan_options_default.restype = PlanOptions
    library.of_source_options_default.restype = SourceOptions
    library.of_source_free.argtypes = [ctypes.c_void_p]
    return library


def read_source(library: ctypes.CDLL, spec: str, image: list[int], limit: int) -> list[bytes]:
    """The first images of a source, each [H][W][C] bytes; `image` is channels, height, width."""
    options = library.of_source_options_default(None)
    options.channels, options.height, options.width = image
    options.limit = limit
    source, batch, size = ctypes.c_void_p(), SourceBatch(), image[0] * image[1] * image[2]
    call(library.of_source_open, os.fsencode(spec), ctypes.byref(options), ctypes.byref(source))
    found: list[bytes] = []
    try:
        while True:
            call(library.of_source_next, source, ctypes.c_size_t(256), ctypes.byref(batch))
            if batch.count == 0:
                return found
            data = ctypes.string_at(batch.pixels, batch.count * size)
            found += [data[i * size:(i + 1) * size] for i in range(batch.count)]
    finally:
        library.of_source_free(source)
