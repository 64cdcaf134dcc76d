# SPDX-License-Identifier: Apache-2.0
"""Outflow: `fit`, and the commands that it takes the place of."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path
from typing import Dict, List

import numpy as np

from contender import ALL, HELD_OUT, NORMAL, TRAIN, Contender, Named, Result, Stopwatch, Task

JUDGED = ("combined", "ratio")
LEFT_OUT = 3  # exit status: done, but some files could not be used


def outflow(task: Task, *arguments: str) -> None:
    command = [task.program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, LEFT_OUT):
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-400:]}")


def score(task: Task, model: Path, name: str, *options: str) -> Dict[str, np.ndarray]:
    """Columns of the rows that `outflow score` writes."""
    rows = task.scratch / f"{model.name}-{name}.csv"
    outflow(
        task,
        *("score", "--model", str(model), "--threads", str(task.threads), *options),
        *("--out", str(rows), str(task.images / name)),
    )
    with open(rows, newline="", encoding="utf-8") as file:
        read = sorted(csv.DictReader(file), key=lambda row: row["path"])
    return {key: np.array([float(row[key]) for row in read]) for key in (*JUDGED, "p_value")}


def score_all(task: Task, model: Path, title: str, fit_seconds: float) -> List[Named]:
    watch = Stopwatch()
    columns = {name: score(task, model, name) for name in task.scored_sets()}
    seconds = watch.lap()
    found = []
    for judged in JUDGED:
        p_values = score(task, model, NORMAL, "--score", judged)["p_value"]
        scores = {name: columns[name][judged] for name in columns}
        found.append(Named(f"{title}, {judged}", Result(scores, fit_seconds, seconds, p_values)))
    return found


def fit(task: Task, title: str, general: List[str]) -> List[Named]:
    model = task.scratch / "detector.safetensors"
    watch = Stopwatch()
    outflow(
        task,
        *("fit", str(task.images / ALL), "--out", str(model), "--minutes", str(task.minutes)),
        *("--threads", str(task.threads), *general),
    )
    return score_all(task, model, title, watch.lap())


def fit_alone(task: Task) -> List[Named]:
    return fit(task, "outflow fit", [])


def fit_with_general(task: Task) -> List[Named]:
    if task.general is None:
        raise RuntimeError("needs --general")
    return fit(task, "outflow fit --general", ["--general", task.general])


def five_commands(task: Task) -> List[Named]:
    """Train a general model, train the normal one against it, calibrate; score does the rest."""
    if task.general is None:
        raise RuntimeError("needs --general")
    general, normal = task.scratch / "general.safetensors", task.scratch / "normal.safetensors"
    calibrated = task.scratch / "calibrated.safetensors"
    threads = ("--threads", str(task.threads))
    half = ("--minutes", f"{0.47 * task.minutes:g}")
    watch = Stopwatch()
    outflow(
        task,
        *("train", "--data", task.general, "--steps", "8", "--hidden", "64", "--lr", "2e-3"),
        *("--warmup", "100", "--flip", *half, *threads, "--out", str(general)),
    )
    outflow(
        task,
        *("train", "--data", str(task.images / TRAIN), "--init", str(general), "--lr", "1e-3"),
        *("--flip", "--batch", "32", "--outlier-loss", "ratio", "--general-data", task.general),
        *("--general-model", str(general), *half, *threads, "--out", str(normal)),
    )
    outflow(
        task,
        *("calibrate", "--model", str(normal), "--general-model", str(general), "--bundle"),
        *("--data", str(task.images / HELD_OUT), *threads, "--out", str(calibrated)),
    )
    return score_all(task, calibrated, "train, train, calibrate by hand", watch.lap())


CONTENDERS = [
    Contender("fit", None, fit_alone),
    Contender("fit-general", None, fit_with_general),
    Contender("by-hand", None, five_commands),
]
