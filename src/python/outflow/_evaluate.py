# SPDX-License-Identifier: Apache-2.0
"""Evaluation: how well the scores of a detector tell sets of images apart."""

from __future__ import annotations

import html
import json
import os
import warnings
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple, Union

import numpy as np
import numpy.typing as npt

from .lib import _core
from ._html import table
from ._progress import Progress, progress_callable
from ._sources import Source, Sources
from ._types import FlaggedShare, Metrics

if TYPE_CHECKING:
    from .detector import Detector

Path = Union[str, "os.PathLike[str]"]


class _Hooks:
    """What the extension calls; see ext/watch.h."""

    def __init__(self, progress: Progress = None) -> None:
        self._progress = progress_callable(progress)
        self._total = 0
        self._before = 0
        self._here = 0
        self.progressed = None if self._progress is None else self._progressed

    def started(self, source: str, expected: int) -> None:
        self._before += self._here
        self._here = 0
        self._total = self._before + expected if expected else 0

    def _progressed(self, images: int) -> None:
        assert self._progress is not None
        self._here = images
        self._progress(self._before + images, self._total, float("nan"))

    def unreadable(self, source: str, path: str, reason: str) -> None:
        warnings.warn(f"{source}: {path} is left out: {reason}", stacklevel=4)

    def warn(self, text: str) -> None:
        warnings.warn(text, stacklevel=4)

    def close(self) -> None:
        close = getattr(self._progress, "close", None)
        if close is not None:
            close()


class Evaluation:
    """Numbers of sets that went through a detector, and what is written about them.

    Used by one thread at a time.

    Attributes:
        scores: names of the scores, in the order of reports.
        sets: names of the sets; the first is the in-distribution one.
        main_score: the score that orders a report's images.
        convention: what the metrics mean, a sentence.
        images_per_second: reading and decoding included.
    """

    def __init__(self, native_evaluation: _core.Evaluation) -> None:
        self._native = native_evaluation
        summary = native_evaluation.summary()
        self.scores: List[str] = native_evaluation.scores()
        self.sets: List[str] = [one["name"] for one in native_evaluation.sets()]
        self.main_score: str = self.scores[native_evaluation.main_score()]
        self.convention: str = summary["convention"]
        self.images_per_second: float = summary["images_per_second"]

    # ---- Numbers

    @property
    def metrics(self) -> Dict[str, Dict[str, Metrics]]:
        """{set: {score: {"auroc", "aupr_out", "aupr_in", "fpr95"}}} for every set but the first,
        each against the first. Outliers are the positive class; higher scores are more anomalous.
        """
        return {
            name: {score: self._metrics(i, j) for j, score in enumerate(self.scores)}
            for i, name in enumerate(self.sets)
            if i > 0
        }

    def _metrics(self, i: int, j: int) -> Metrics:
        metrics = self._native.metrics(i, j)
        assert metrics is not None  # every set but the first has some
        return metrics

    def flagged(self, score: Optional[str] = None) -> Dict[str, Optional[FlaggedShare]]:
        """What of each set is flagged under a score (None: the main one): {set: {"count", "share",
        "low", "high"}}, the last two the exact 99 % interval of the share; None where the score is
        not calibrated on enough images for the rate."""
        j = self._score(score)
        return {name: self._native.flags(i, j) for i, name in enumerate(self.sets)}

    def values(self, name: str, score: Optional[str] = None) -> npt.NDArray[np.float64]:
        """The values of a score (None: the main one) for all images of a set, in their order: [N].
        """
        values = self._native.values(self._set(name), self._score(score))
        assert isinstance(values, np.ndarray)
        return values

    def logp(self, name: str) -> npt.NDArray[np.float64]:
        """Log-likelihoods of a set's images under the model: [N] nats."""
        values = self._native.logp(self._set(name))
        assert isinstance(values, np.ndarray)
        return values

    def general_logp(self, name: str) -> Optional[npt.NDArray[np.float64]]:
        """The same under the general model; None without one."""
        return self._native.general_logp(self._set(name))

    def to_dict(self) -> Dict[str, Any]:
        """All numbers: the object that `outflow eval --json` writes, in full precision."""
        numbers = json.loads(self._native.json(None) or b"")
        assert isinstance(numbers, dict)
        return numbers

    def rows(self) -> List[Dict[str, Any]]:
        """One dictionary for each set but the first and each score: set, score and the metrics.
        `pandas.DataFrame(evaluation.rows())` makes a table of them."""
        return [
            {"set": name, "score": score, **values}
            for name, scores in self.metrics.items()
            for score, values in scores.items()
        ]

    def table(self) -> str:
        """The AUROC of every score (lines) for every set but the first (columns), as text."""
        head, rows = self._auroc()
        cells = [head] + [[row[0]] + [f"{value:.4f}" for value in row[1:]] for row in rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths))
            ).rstrip()
            for row in cells
        )

    def _auroc(self) -> Tuple[List[str], List[List[Any]]]:
        metrics = self.metrics
        head = ["AUROC"] + list(metrics)
        return head, [
            [score] + [metrics[name][score]["auroc"] for name in metrics] for score in self.scores
        ]

    # ---- Written

    def html(self, command: Optional[str] = None) -> str:
        """The report: one page that needs nothing else, with distributions, ROC curves, and the
        most and least anomalous images of each set with heat maps. `command` says on it how the
        evaluation was asked for. Needs an evaluation with `keep_images`."""
        page = self._native.report(None, command, _Hooks())
        assert isinstance(page, bytes)
        return page.decode("utf-8", "replace")

    def report(self, path: Path, command: Optional[str] = None) -> None:
        """Writes the report to a file."""
        self._native.report(os.fspath(path), command, _Hooks())

    def svg(self) -> str:
        """The distributions of nll and of the main score in all sets, as SVG."""
        figure = self._native.figure(None)
        assert isinstance(figure, bytes)
        return figure.decode("utf-8", "replace")

    def figure(self, path: Path) -> None:
        """Writes them to a file."""
        self._native.figure(os.fspath(path))

    def write_json(self, path: Path) -> None:
        """Writes all numbers to a file, as `outflow eval --json` does."""
        self._native.json(os.fspath(path))

    def __repr__(self) -> str:
        sets = ", ".join(self.sets)
        return f"<outflow.Evaluation of {sets}>\n{self.table()}"

    def _repr_html_(self) -> str:
        """In a notebook: the table, and under it the distributions."""
        head, rows = self._auroc()
        note = html.escape(self.convention)
        return f"{table(head, rows, '.4f')}<p><small>{note}</small></p>{self.svg()}"

    # ---- Names

    def _set(self, name: str) -> int:
        if name not in self.sets:
            raise KeyError(f"there is no set '{name}'; there are {', '.join(self.sets)}")
        return self.sets.index(name)

    def _score(self, name: Optional[str]) -> int:
        name = self.main_score if name is None else name
        if name not in self.scores:
            raise KeyError(f"there is no score '{name}'; there are {', '.join(self.scores)}")
        return self.scores.index(name)


def evaluate(
    detector: "Detector",
    inliers: Source,
    others: Optional[Mapping[str, Source]] = None,
    *,
    fpr: Optional[float] = None,
    score: Optional[str] = None,
    threshold: Optional[float] = None,
    keep_images: bool = True,
    limit: int = 0,
    every: int = 1,
    seed: int = 0,
    batch: int = 0,
    strict: bool = False,
    progress: Progress = None,
) -> Evaluation:
    """Runs sets of images through a detector and compares them, with all scores that it allows.

    Args:
        detector: what scores the images.
        inliers: in-distribution images that the model was not trained on: a source by name, or
            images in any form that `Detector.score` takes. The set is named "in".
        others: {name: source or images}, each compared with the inliers.
        fpr: flag images of calibrated scores at this false-positive rate in (0, 1); None:
            0.05 where the detector is calibrated, else none are.
        score: one that is to be among those evaluated; it decides under `threshold`, and orders the
            images of the report. None: the detector's own choice.
        threshold: flag images whose score is at or above this instead.
        keep_images: keep the 8 most and least anomalous images of each set, for the report.
        limit: take only the first images of each set; 0: all. every: only every N-th of those.
        seed: of synthetic sources. batch: images in memory at a time; 0: chosen.
        strict: the first file that cannot be read is an error, and not left out with a warning.
        progress: "tqdm", or called with (images, total, nan).

    Returns:
        An Evaluation.

    Raises:
        ValueError: a score that this detector cannot compute, two sets of one name.
        OutflowError: a set without any readable image; other failures of the library.
        KeyboardInterrupt: Ctrl-C ends it.
    """
    hooks = _Hooks(progress)
    sets = {"in": inliers, **(others or {})}
    if others is not None and "in" in others:
        raise ValueError("two sets are named 'in', which is the in-distribution set's name")
    try:
        with Sources(detector.architecture.shape) as sources:
            named = [(name, sources.name(source)) for name, source in sets.items()]
            return Evaluation(
                _core.evaluate(
                    detector._core, named, score, fpr, threshold, keep_images, limit, every,
                    seed, batch, strict, hooks,
                )  # fmt: skip
            )
    finally:
        hooks.close()

