# SPDX-License-Identifier: Apache-2.0
"""What scores are worth: the same rules for every detector."""

from __future__ import annotations

import numpy as np


def auroc(normal: np.ndarray, outliers: np.ndarray) -> float:
    """How often an outlier scores above a normal image; equal scores count half."""
    values, places = np.unique(np.concatenate([normal, outliers]), return_inverse=True)
    below_normal = np.bincount(places[: len(normal)], minlength=len(values))
    below = np.concatenate([[0], np.cumsum(below_normal)])
    at = places[len(normal) :]
    wins = below[at] + 0.5 * below_normal[at]
    return float(wins.sum() / (len(normal) * len(outliers)))


def p_values(held_out: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Conformal: the share of normal images that score at least as high."""
    ordered = np.sort(held_out)
    at_least = len(ordered) - np.searchsorted(ordered, scores, side="left")
    return (1 + at_least) / (len(ordered) + 1)


def flagged(held_out: np.ndarray, scores: np.ndarray, rate: float) -> float:
    """Share of images whose p-value is at most `rate`."""
    return float((p_values(held_out, scores) <= rate).mean())
