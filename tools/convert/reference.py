# SPDX-License-Identifier: Apache-2.0
"""Parts of the direct evaluators: what the originals compute, from their own tensors.

A layout's `score` is written from the equations of its implementation with these, and shares
nothing with its conversion; a fold that is wrong makes the two differ."""
from typing import Callable, List, Sequence, Tuple

import numpy as np

from .evaluate import Scores
from .numerics import (column, convolve, double, log_abs_det, log_mean_exp, mix, sigmoid, squeeze,
                       total)

Moved = Tuple[np.ndarray, np.ndarray]
Transform = Callable[[np.ndarray], Moved]
CUT = 1e-300


def per_image(x: np.ndarray, value: float) -> np.ndarray:
    return np.full(len(x), float(value))


def scaled(x: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> Moved:
    """scale x + shift a channel"""
    positions = x.shape[2] * x.shape[3]
    logdet = positions * np.log(np.abs(double(scale))).sum()
    return column(scale) * x + column(shift), per_image(x, logdet)


def mapped(x: np.ndarray, weight: np.ndarray) -> Moved:
    """W x at every position"""
    weight = double(weight).reshape(len(weight), -1)
    return mix(weight, x), per_image(x, x.shape[2] * x.shape[3] * log_abs_det(weight))


def coupled(x: np.ndarray, change: Callable[[np.ndarray, np.ndarray], Moved],
            second_conditions: bool = False) -> Moved:
    """change(a, b) gives the new b and log of its scales; a conditions."""
    one, other = np.split(x, 2, 1)
    a, b = (other, one) if second_conditions else (one, other)
    b, log_s = change(a, b)
    joined = [b, a] if second_conditions else [a, b]
    return np.concatenate(joined, 1), total(log_s)


def sigmoid_change(b: np.ndarray, add: np.ndarray, raw: np.ndarray) -> Moved:
    """(b + add) sigmoid(raw + 2)"""
    s = sigmoid(raw + 2)
    return (b + add) * s, np.log(np.maximum(s, CUT))


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def convolution(x: np.ndarray, weight, bias=None, logs=None, factor: float = 3,
                outside=None) -> np.ndarray:
    """(w x + bias) exp(factor logs)"""
    padding = weight.shape[2] // 2
    y = convolve(double(weight), x, padding, outside)
    y = y if bias is None else y + column(bias)
    return y if logs is None else y * np.exp(factor * column(logs))


def multiscale(x: np.ndarray, scales: Sequence[Sequence[Transform]],
               split: Callable[[int, np.ndarray], Moved],
               last: Callable[[np.ndarray], np.ndarray]) -> Scores:
    """split(scale, x) gives what goes on and the log density of the rest; last(x) the log density
    of the last scale's latents, [N], or [N, K] for classes."""
    per_scale: List[np.ndarray] = []
    for number, transforms in enumerate(scales):
        x = squeeze(x)
        logp = np.zeros(len(x))
        for transform in transforms:
            x, logdet = transform(x)
            logp = logp + logdet
        if number < len(scales) - 1:
            x, density = split(number, x)
        else:
            density = last(x)
        per_scale.append(logp + density if density.ndim == 1 else density + logp[:, None])
    if per_scale[-1].ndim == 1:
        return Scores(sum(per_scale), per_scale)
    per_class = sum(per_scale[:-1], np.zeros(len(x)))[:, None] + per_scale[-1]
    return Scores(log_mean_exp(per_class), [], per_class)
