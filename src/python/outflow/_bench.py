# SPDX-License-Identifier: Apache-2.0
"""How fast a detector or a plan is, in the manner of `outflow bench`."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any, Callable, List, Optional, Tuple

import numpy as np
import numpy.typing as npt

from ._html import table


@dataclass(frozen=True)
class BenchResult:
    """Attributes:
    batch: images a call.
    images_per_second: the median of `rates`, those of the repetitions.
    seconds: percentiles of single calls: {50: ..., 90: ..., 99: ...}.
    calls: timed.
    """

    batch: int
    images_per_second: float
    rates: Tuple[float, ...]
    seconds: "dict[int, float]"
    calls: int

    def _repr_html_(self) -> str:
        head = ["batch", "images/s", "ms a call (median)", "p99"]
        row = [self.batch, self.images_per_second, 1e3 * self.seconds[50], 1e3 * self.seconds[99]]
        return table(head, [row])


def time_calls(
    call: Callable[[], object], batch: int, repetitions: int, seconds: float
) -> BenchResult:
    """Two calls and a tenth of a repetition to warm up; then repetitions of at least `seconds`."""
    started, warm_ups = time.perf_counter(), 0
    while warm_ups < 2 or time.perf_counter() - started < 0.1 * seconds:
        call()
        warm_ups += 1
    rates: List[float] = []
    times: List[float] = []
    for _ in range(repetitions):
        start = now = time.perf_counter()
        calls = 0
        while calls == 0 or now - start < seconds:
            before = now
            call()
            now = time.perf_counter()
            times.append(now - before)
            calls += 1
        rates.append(batch * calls / (now - start))
    percentiles = {p: float(np.percentile(times, p)) for p in (50, 90, 99)}
    return BenchResult(batch, statistics.median(rates), tuple(rates), percentiles, len(times))


def bench(
    subject: Any,
    batch: int = 64,
    *,
    score: Optional[str] = None,
    repetitions: int = 5,
    seconds: float = 1.0,
    seed: int = 0,
) -> BenchResult:
    """Times whole calls on random images in memory.

    Args:
        subject: a Detector (its `score` is called, with the score named `score`; by default "nll",
            which is one pass of the model) or a Plan (its log-likelihoods).
        batch: images a call.
        repetitions, seconds: the median over so many parts of at least so many seconds.
        seed: of the images.

    Returns:
        A BenchResult: images a second as Python sees them.
    """
    if batch < 1 or repetitions < 1 or seconds <= 0:
        raise ValueError("batch and repetitions are at least 1, and seconds above 0")
    shape = (batch, *subject.architecture.shape)
    images: npt.NDArray[np.uint8] = np.random.default_rng(seed).integers(
        0, 256, size=shape, dtype=np.uint8
    )
    if hasattr(subject, "score"):
        name = score or "nll"
        return time_calls(lambda: subject.score(images, name), batch, repetitions, seconds)
    return time_calls(lambda: subject.likelihoods(images), batch, repetitions, seconds)
