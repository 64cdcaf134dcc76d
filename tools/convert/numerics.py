# SPDX-License-Identifier: Apache-2.0
"""The few operations that a Glow needs, in double precision: images are [N, C, H, W]."""
import math
from typing import Optional

import numpy as np

LN_TWO_PI = math.log(2 * math.pi)


def double(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float64)


def column(values: np.ndarray) -> np.ndarray:
    """A value a channel, to be broadcast over [N, C, H, W]."""
    return double(values).reshape(1, -1, 1, 1)


def squeeze(x: np.ndarray) -> np.ndarray:
    """Channel c, row offset dy, column offset dx become channel 4 c + 2 dy + dx."""
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 5, 2, 4)
    return x.reshape(n, 4 * c, h // 2, w // 2)


def mix(weight: np.ndarray, x: np.ndarray) -> np.ndarray:
    """y = W x at every position."""
    n, c, h, w = x.shape
    return np.matmul(double(weight), x.reshape(n, c, h * w)).reshape(n, -1, h, w)


def convolve(weight: np.ndarray, x: np.ndarray, padding: int = 1,
             outside: Optional[np.ndarray] = None) -> np.ndarray:
    """Cross-correlation; `outside` is the value of a channel beyond the border, else 0."""
    outputs, inputs, rows, columns = weight.shape
    n, _, h, w = x.shape
    padded = np.empty((n, inputs, h + 2 * padding, w + 2 * padding))
    padded[:] = 0.0 if outside is None else column(outside)
    padded[:, :, padding:padding + h, padding:padding + w] = x
    height, width = h + 2 * padding - rows + 1, w + 2 * padding - columns + 1
    output = np.zeros((n, outputs, height * width))
    for dy in range(rows):
        for dx in range(columns):
            taps = padded[:, :, dy:dy + height, dx:dx + width].reshape(n, inputs, -1)
            output += np.matmul(double(weight[:, :, dy, dx]), taps)
    return output.reshape(n, outputs, height, width)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(log_sigmoid(x))


def log_sigmoid(x: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0.0, -x)


def total(values: np.ndarray) -> np.ndarray:
    """The sum of every image."""
    return values.reshape(len(values), -1).sum(1)


def gaussian(z: np.ndarray, mean=0.0, log_std=0.0) -> np.ndarray:
    """log N(z; mean, exp(log_std)^2), summed over an image."""
    standard = (z - mean) * np.exp(-np.asarray(log_std))
    return total(-0.5 * standard ** 2 - log_std - 0.5 * LN_TWO_PI + np.zeros_like(z))


def log_mean_exp(values: np.ndarray) -> np.ndarray:
    """log of the mean of exp over the last axis."""
    highest = values.max(-1, keepdims=True)
    return highest[..., 0] + np.log(np.exp(values - highest).mean(-1))


def log_abs_det(weight: np.ndarray) -> float:
    return float(np.linalg.slogdet(double(weight))[1])


def lu_matrix(permutation, lower, upper, sign, log_diag) -> np.ndarray:
    """P (L + I) (U + diag(sign exp(log_diag)))."""
    left = np.tril(double(lower), -1) + np.eye(len(lower))
    right = np.triu(double(upper), 1) + np.diag(double(sign) * np.exp(double(log_diag)))
    return double(permutation) @ left @ right
