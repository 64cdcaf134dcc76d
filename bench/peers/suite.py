# SPDX-License-Identifier: Apache-2.0
"""The rows that Outflow has goals for."""
from __future__ import annotations

import os
import typing

HERE = os.path.dirname(os.path.realpath(__file__))
# Of the size K 8, hidden 128: what int8 and bf16 cost is only to be seen in trained weights.
TRAINED = os.path.join(HERE, "..", "..", "models", "cifar10.safetensors")


class Goal(typing.NamedTuple):
    """At least `ratio` times the rate of the best peer in a precision, or in any ("best")."""
    precision: str
    ratio: float
    peak_percent: float | None = None  # of the multiply-add peak, of f32
    memory_mb: float | None = None     # at most, in f32
    ours: float | None = None          # times Outflow's own bf16


def score(steps: int, hidden: int, batch: int, model: str | None = None) -> dict:
    return {"mode": "score", "steps": steps, "hidden": hidden, "batch": batch, "model": model}


def train(steps: int, hidden: int, batch: int) -> dict:
    return {**score(steps, hidden, batch), "mode": "train"}


SUITE: list[tuple[dict, list[Goal]]] = [
    (score(8, 128, 64, TRAINED), [Goal("f32", 1.3), Goal("bf16", 1.4),
                                  Goal("int8", 1.0, ours=1.6)]),
    (score(8, 128, 1, TRAINED), [Goal("f32", 2.0), Goal("bf16", 2.0)]),
    (score(32, 512, 32), [Goal("f32", 1.15, peak_percent=95)]),
    (score(32, 512, 1), [Goal("f32", 1.35, peak_percent=88)]),
    (train(8, 128, 64), [Goal("best", 2.0, memory_mb=150)]),
    (train(32, 512, 16), [Goal("best", 1.6, memory_mb=1200)]),
]


def rows_of(args) -> list[dict]:
    """The rows that a command line asks for; each may be changed."""
    if args.suite:
        return [dict(SUITE[i - 1][0]) for i in args.rows or range(1, len(SUITE) + 1)]
    return [{"mode": args.mode, "steps": steps, "hidden": hidden, "batch": batch,
             "model": args.model}
            for steps in args.steps for hidden in args.hidden for batch in args.batch]


def goals_of(args) -> list[list[Goal]]:
    return [SUITE[i - 1][1] for i in args.rows or range(1, len(SUITE) + 1)]
