#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Side by side: what a user writes in Python with Outflow, and with normflows on PyTorch.

Both scripts (bench/peers/user_*.py) train a Glow of 3 scales, 8 steps and 64 hidden channels for one
pass over the same images, and score others. Printed are the lines of each script without comments
and blank lines, images/s of training and of scoring (each whole, with everything that belongs to it
but reading the arrays), the peak of resident memory, and bits/dim of the scored images (of so short
a training, to see that both learn).

    python bench/compare_python.py cifar10-train.tar cifar10-test.tar --torch-python venv/bin/python

The Python that runs it has the package; the other one has torch and normflows from PyPI.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import List

import numpy as np

import outflow

PEERS = Path(__file__).resolve().parent / "peers"


@dataclass(frozen=True)
class Run:
    train_seconds: float
    score_seconds: float
    bits_per_dim: float
    peak_bytes: int


def main() -> None:
    options = read_options()
    scripts = {
        "Outflow": (sys.executable, PEERS / "user_outflow.py"),
        "normflows": (options.torch_python, PEERS / "user_normflows.py"),
    }
    with tempfile.TemporaryDirectory() as folder:
        save_images(options.train, options.train_images, Path(folder, "train.npy"))
        save_images(options.test, options.score_images, Path(folder, "test.npy"))
        runs = {name: [] for name in scripts}
        for _ in range(options.rounds):
            for name, (python, script) in scripts.items():
                runs[name].append(run(python, script, Path(folder), options.threads))
    print("| | lines | training, images/s | scoring, images/s | peak memory, MB | bits/dim |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, (_, script) in scripts.items():
        print(row(name, count_lines(script), runs[name], options))


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Outflow and normflows in the hands of a user, side by side."
    )
    parser.add_argument("train", help="source of images to train on")
    parser.add_argument("test", help="source of images to score")
    parser.add_argument("--torch-python", required=True, help="Python with torch and normflows")
    parser.add_argument("--train-images", type=int, default=4000)
    parser.add_argument("--score-images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3, help="in turn; medians are printed")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args()


def save_images(source: str, count: int, path: Path) -> None:
    parts = [batch.pixels for batch in outflow.Source(source, limit=count)]
    np.save(path, np.concatenate(parts))


def run(python: str, script: Path, folder: Path, threads: int) -> Run:
    """One process; its peak of memory is what the system has counted."""
    (folder / "outflow.safetensors").unlink(missing_ok=True)
    (folder / "outflow.safetensors.checkpoint").unlink(missing_ok=True)
    cpus = sorted(os.sched_getaffinity(0))[:threads]
    with subprocess.Popen(
        [python, script, "train.npy", "test.npy"], cwd=folder, stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cpus),
    ) as child:  # fmt: skip
        assert child.stdout is not None
        printed = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{script.name} failed with status {child.returncode}")
    train_seconds, score_seconds, bits = map(float, printed.split()[-3:])
    return Run(train_seconds, score_seconds, bits, usage.ru_maxrss * 1024)


def count_lines(script: Path) -> int:
    """Lines that hold code: no comments, no docstring, no blank ones."""
    lines = set()
    tokens = list(tokenize.generate_tokens(io.StringIO(script.read_text()).readline))
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    docstring = next(token for token in tokens if token.type == tokenize.STRING)
    for token in tokens:
        if token.type not in (*skipped, tokenize.ENDMARKER) and token is not docstring:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines)


def row(name: str, lines: int, runs: List[Run], options: argparse.Namespace) -> str:
    def median(values: List[float]) -> float:
        return statistics.median(values)

    return (
        f"| {name} | {lines} "
        f"| {median([options.train_images / run.train_seconds for run in runs]):.1f} "
        f"| {median([options.score_images / run.score_seconds for run in runs]):.1f} "
        f"| {median([run.peak_bytes / 1e6 for run in runs]):.0f} "
        f"| {median([run.bits_per_dim for run in runs]):.3f} |"
    )


if __name__ == "__main__":
    main()
