#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the Python package costs over the library, which it calls.

Two comparisons, in rounds that take turns, so that other work on the machine meets both:
- throughput: images/s of `Detector.score` on one NumPy array against `outflow bench` at that batch;
- one image a call: `Detector.score` against of_detector_score called from C (detector_calls), on a
  network so small that the difference shows.

    cmake --preset release -DOUTFLOW_BENCH=ON
    cmake --build --preset release --target outflow_program detector_calls
    python bench/python_overhead.py build/release

with a Python that has the package (`pip install .`, or PYTHONPATH=build/release/python/site after
the test "python").
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Callable, List, Tuple

import numpy as np

import outflow


def main() -> None:
    options = read_options()
    with tempfile.TemporaryDirectory() as folder:
        if options.what in ("throughput", "both"):
            throughput(options)
        if options.what in ("call", "both"):
            single_calls(options, Path(folder))


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What the Python package costs over the library.")
    parser.add_argument("build", type=Path, help="build folder with outflow and bench/")
    parser.add_argument("--what", choices=("throughput", "call", "both"), default="both")
    parser.add_argument("--model", default="cifar10", help="of the throughput")
    parser.add_argument("--batch", type=int, default=4000, help="images of the throughput")
    parser.add_argument("--calls", type=int, default=2000, help="single calls a round")
    parser.add_argument("--rounds", type=int, default=9)
    return parser.parse_args()


def in_turn(
    rounds: int, first: Callable[[], float], second: Callable[[], float]
) -> Tuple[List[float], List[float]]:
    """Values of both, who begins alternating; a round that is not counted comes first."""
    pairs: List[Tuple[float, float]] = []
    for i in range(rounds + 1):
        if i % 2 == 0:
            a = first()
            pairs.append((a, second()))
        else:
            b = second()
            pairs.append((first(), b))
    counted = pairs[1:]
    return [a for a, _ in counted], [b for _, b in counted]


# ---- Images a second


def throughput(options: argparse.Namespace) -> None:
    detector = outflow.Detector(options.model)
    shape = (options.batch, *detector.architecture.shape)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    def python() -> float:
        start = time.perf_counter()
        detector.score(images, "nll")
        return options.batch / (time.perf_counter() - start)

    def program() -> float:
        command = [
            str(options.build / "outflow"), "bench", "--model", detector.info["model"]["file"],
            "--batch", str(options.batch), "--repetitions", "1", "--seconds", "0.01",
            "--format", "json",
        ]  # fmt: skip
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return float(rows_of(done.stdout)[0]["images_per_second"])

    ours, theirs = in_turn(options.rounds, python, program)
    ratios = [a / b for a, b in zip(ours, theirs)]
    print(
        f"{options.batch} images of one array, {options.model}: Python "
        f"{statistics.median(ours):.1f} images/s, outflow bench {statistics.median(theirs):.1f}; "
        f"ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}, "
        f"{options.rounds} rounds; goal: 0.98)"
    )


def rows_of(text: str) -> List[dict]:
    parsed = json.loads(text)
    return parsed if isinstance(parsed, list) else parsed["rows"]


# ---- One image a call


def single_calls(options: argparse.Namespace, folder: Path) -> None:
    path = folder / "small.safetensors"
    shape = outflow.Architecture(height=8, width=8, scales=1, steps=1, hidden=8)
    outflow.Model.create(shape).save(path)
    detector = outflow.Detector(path, threads=1)
    batch = np.random.default_rng(0).integers(0, 256, (1, *shape.shape), dtype=np.uint8)
    from_c = start_calls(options.build / "bench" / "detector_calls", path)

    def in_c() -> float:
        assert from_c.stdin is not None and from_c.stdout is not None
        from_c.stdin.write(f"{options.calls}\n")
        from_c.stdin.flush()
        return float(from_c.stdout.readline())

    for name, images in (("[1, h, w, c]", batch), ("[h, w, c]", batch[0])):
        ours, theirs = in_turn(
            options.rounds, lambda: median_seconds(detector, images, options.calls), in_c
        )
        extra = [1e6 * (a - b) for a, b in zip(ours, theirs)]
        print(
            f"one image a call, {name}: Python {1e6 * statistics.median(ours):.1f} µs, C "
            f"{1e6 * statistics.median(theirs):.1f} µs; difference {statistics.median(extra):.1f} "
            f"µs ({min(extra):.1f} to {max(extra):.1f}, {options.rounds} rounds; goal: 30)"
        )
    from_c.communicate()


def start_calls(program: Path, model: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [program, model, "1", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def median_seconds(detector: outflow.Detector, images: np.ndarray, calls: int) -> float:
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        detector.score(images, "nll")
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
