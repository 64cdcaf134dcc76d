# SPDX-License-Identifier: Apache-2.0
"""Whether a contender computes what Outflow does in f32: in f32 by log-likelihoods, in bf16 and
int8, which change those, by how well they tell usual images from others."""
from __future__ import annotations

import math

from processes import Failure

NATS, RELATIVE = 0.05, 1e-5  # how far log-likelihoods may differ: the larger of the two
AUROC, LARGEST = 0.01, 0.05  # how far an AUROC may, and where it is no longer the same task


class Disagreement(Exception):
    """Log-likelihoods in f32 that are not the same: nothing of a row can be compared."""


def auroc(usual: list[float], others: list[float]) -> float:
    """How often an image of `others` has a lower log-likelihood than one of `usual`; ties count
    half."""
    ranked = sorted([(logp, 0) for logp in usual] + [(logp, 1) for logp in others])
    wins, usual_above, begin = 0.0, len(usual), 0
    while begin < len(ranked):
        end = begin
        while end < len(ranked) and ranked[end][0] == ranked[begin][0]:
            end += 1
        tied_others = sum(kind for _, kind in ranked[begin:end])
        tied_usual = end - begin - tied_others
        usual_above -= tied_usual
        wins += tied_others * (usual_above + tied_usual / 2)
        begin = end
    return wins / (len(usual) * len(others))


def auroc_of(judged: list[float]) -> float:
    """Of as many usual images and then others; NaN where a log-likelihood is no number."""
    half = len(judged) // 2
    if not all(math.isfinite(logp) for logp in judged):
        return math.nan
    return auroc(judged[:half], judged[half:])


def check_likelihoods(title: str, ours: list[float], theirs: list[float]) -> float:
    """The largest difference in nats; Disagreement where it is too large."""
    if len(theirs) != len(ours):
        raise Disagreement(f"{title}: {len(theirs)} results for {len(ours)} images")
    worst = 0.0
    for one, other in zip(ours, theirs):
        far = abs(one - other)
        if not far <= max(NATS, RELATIVE * abs(one)):
            raise Disagreement(f"{title} gives a log-likelihood of {other:.6g}, Outflow "
                               f"{one:.6g}: they do not compute the same, so nothing is timed")
        worst = max(worst, far)
    return worst


def close(ours: float, theirs: float) -> bool:
    """Whether a low precision costs no more than it may; one that does is marked."""
    return abs(ours - theirs) <= AUROC


def check_auroc(ours: float, theirs: float) -> None:
    """Failure where a low precision costs so much that it is not a way of doing the same."""
    if not abs(ours - theirs) <= LARGEST:
        raise Failure(f"its AUROC is {theirs:.4f}, that of Outflow in f32 {ours:.4f}")
