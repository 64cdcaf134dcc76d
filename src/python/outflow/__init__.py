# SPDX-License-Identifier: Apache-2.0
"""Finds images that do not belong, with invertible networks on CPUs."""

from ._bench import BenchResult, bench
from ._evaluate import Evaluation, evaluate
from ._fit import fit
from ._train import TrainResult, train
from .errors import OutflowError

__all__ = [
    "BenchResult",
    "Evaluation",
    "OutflowError",
    "TrainResult",
    "bench",
    "evaluate",
    "fit",
    "train",
]
