# SPDX-License-Identifier: Apache-2.0
"""What every contender gets and gives."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Optional

import numpy as np

# The folders of images: normal ones to train on and to set the threshold with, and `all`, both.
TRAIN, HELD_OUT, ALL, NORMAL = "train", "held-out", "all", "normal"
OUTLIERS = "outliers-"


@dataclass(frozen=True)
class Task:
    """`images` has the folders above, normal test images, and a folder for each set of outliers."""

    images: Path
    scratch: Path
    minutes: float  # of the clock for Outflow, of each thread's processor time for peers
    threads: int
    program: str
    general: Optional[str]  # images of all kinds
    side: int  # of the pixels that PyOD's detectors get
    network_side: int  # of those that anomalib's get

    def scored_sets(self) -> List[str]:
        names = [HELD_OUT, NORMAL]
        return names + sorted(p.name for p in self.images.iterdir() if p.name.startswith(OUTLIERS))


@dataclass
class Result:
    """Scores of each set, higher for outliers. `p_values` of the normal set, where the contender
    has its own; else they come from the held-out scores."""

    scores: Dict[str, np.ndarray]
    fit_seconds: float
    score_seconds: float
    p_values: Optional[np.ndarray] = None


@dataclass(frozen=True)
class Contender:
    name: str
    package: Optional[str]  # what has to be importable
    run: Callable[[Task], List["Named"]]


@dataclass(frozen=True)
class Named:
    """One fit may give several scores."""

    name: str
    result: Result


@dataclass
class Stopwatch:
    started: float = field(default_factory=time.monotonic)

    def lap(self) -> float:
        now = time.monotonic()
        passed, self.started = now - self.started, now
        return passed
