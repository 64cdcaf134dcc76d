# SPDX-License-Identifier: Apache-2.0
"""Images in the folder of a row, as the peers take them: bytes [N, C, H, W].

pixels.nchw       the batch that is timed        judged.nchw   n usual images, then n others
calibration.nchw  for quantizers                 *.nhwc        the same, for Outflow
"""
from __future__ import annotations

import os

import numpy as np


def write(folder: str, name: str, images: np.ndarray) -> None:
    """`images` is [N, H, W, C]."""
    images.tofile(os.path.join(folder, name + ".nhwc"))
    images.transpose(0, 3, 1, 2).tofile(os.path.join(folder, name + ".nchw"))


def read(job: dict, name: str) -> np.ndarray:
    pixels = np.fromfile(os.path.join(job["folder"], name + ".nchw"), np.uint8)
    return pixels.reshape(-1, *job["image"])


def parts(images: np.ndarray, size: int) -> list[np.ndarray]:
    """Groups of exactly `size` images; the last one is filled up with copies of the last image."""
    lacking = -len(images) % size
    padded = np.concatenate([images] + [images[-1:]] * lacking)
    return [np.ascontiguousarray(padded[i:i + size]) for i in range(0, len(padded), size)]
