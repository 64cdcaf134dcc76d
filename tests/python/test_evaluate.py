# SPDX-License-Identifier: Apache-2.0
"""outflow.evaluate against `outflow eval`, and outflow.bench."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest

import outflow

MODELS = ("demo-shapes", "demo-general")
SETS = {"digits": "synthetic:digits:120", "noise": "synthetic:noise:80"}
INLIERS = "synthetic:shapes:200"


def program() -> str:
    """The program of the same build: OUTFLOW_PROGRAM, or where the presets put it."""
    built = Path(__file__).resolve().parents[2] / "build" / "release" / "outflow"
    path = os.environ.get("OUTFLOW_PROGRAM") or (str(built) if built.exists() else None)
    path = path or shutil.which("outflow")
    if path is None:
        pytest.skip("not compared with the program: set OUTFLOW_PROGRAM to it")
    return path


@pytest.fixture(scope="module")
def detector() -> outflow.Detector:
    return outflow.Detector(MODELS[0], general=MODELS[1])


@pytest.fixture(scope="module")
def evaluation(detector: outflow.Detector) -> outflow.Evaluation:
    return outflow.evaluate(detector, INLIERS, SETS)


def test_same_numbers_as_the_program(
    detector: outflow.Detector, evaluation: outflow.Evaluation, tmp_path: Path
) -> None:
    models = str(Path(detector.info["model"]["file"]).parent)  # files are named in the numbers
    sets = [f"{name}={source}" for name, source in SETS.items()]
    command = [program(), "eval", "-m", MODELS[0], "-g", MODELS[1], "--in", INLIERS, *sets]
    subprocess.run(
        [*command, "--json", tmp_path / "eval.json"],
        check=True, capture_output=True, env={**os.environ, "OUTFLOW_MODELS": models},
    )  # fmt: skip
    theirs: Dict[str, Any] = json.loads((tmp_path / "eval.json").read_text())
    ours = evaluation.to_dict()
    assert theirs.pop("images_per_second") > 0 and ours.pop("images_per_second") > 0
    assert ours == theirs
    for name in SETS:
        for score, metrics in evaluation.metrics[name].items():
            assert metrics["auroc"] == theirs["out"][name][score]["auroc"]


def test_arrays_and_sources_are_the_same(detector: outflow.Detector, tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (50, 32, 32, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    evaluation = outflow.evaluate(
        detector, INLIERS, {"file": tmp_path / "images.npy", "array": images}, limit=40
    )
    assert len(evaluation.values("array")) == 40
    for score in evaluation.scores:
        np.testing.assert_array_equal(
            evaluation.values("array", score), evaluation.values("file", score)
        )


def test_other_forms_of_images(detector: outflow.Detector) -> None:
    images = np.random.default_rng(3).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    evaluation = outflow.evaluate(
        detector, images, {"generator": (one for one in images), "floats": images / 255.0}
    )
    for name in ("generator", "floats"):
        np.testing.assert_array_equal(evaluation.values(name), evaluation.values("in"))
    with pytest.raises(ValueError, match="32 x 32 x 3"):
        outflow.evaluate(detector, images[:, :16])


def test_values_are_those_of_the_detector(detector: outflow.Detector) -> None:
    images = np.random.default_rng(2).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    evaluation = outflow.evaluate(detector, images)
    assert evaluation.metrics == {} and evaluation.sets == ["in"]
    np.testing.assert_array_equal(
        evaluation.values("in", "nll"), np.asarray(detector.score(images, "nll"))
    )


def test_written(evaluation: outflow.Evaluation, tmp_path: Path) -> None:
    evaluation.report(tmp_path / "report.html", command="outflow eval <of> 'mine'")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!") and "&lt;of&gt;" in page
    evaluation.figure(tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").read_text(encoding="utf-8") == evaluation.svg()
    evaluation.write_json(tmp_path / "numbers.json")
    assert json.loads((tmp_path / "numbers.json").read_text()) == evaluation.to_dict()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "figure.svg",
        "numbers.json",
        "report.html",
    ]
    with pytest.raises(OSError):
        evaluation.report(tmp_path / "missing" / "report.html")


def test_shown(evaluation: outflow.Evaluation) -> None:
    lines = evaluation.table().splitlines()
    assert lines[0].split() == ["AUROC", "digits", "noise"]
    assert [line.split()[0] for line in lines[1:]] == evaluation.scores
    assert evaluation.table() in repr(evaluation)
    shown = evaluation._repr_html_()
    assert "<svg" in shown and '<td style="text-align:left">nll</td>' in shown
    assert {row["set"] for row in evaluation.rows()} == set(SETS)


def test_unknown_names(evaluation: outflow.Evaluation) -> None:
    with pytest.raises(KeyError, match="digits"):
        evaluation.values("digit")
    with pytest.raises(KeyError, match="nll"):
        evaluation.values("in", "nil")


def test_refused(detector: outflow.Detector) -> None:
    with pytest.raises(ValueError, match="in"):
        outflow.evaluate(detector, INLIERS, {"in": "synthetic:noise:10"})
    with pytest.raises(ValueError):
        outflow.evaluate(detector, INLIERS, SETS, score="no-score")
    with pytest.raises(OSError):
        outflow.evaluate(detector, "missing/folder", SETS)
    evaluation = outflow.evaluate(detector, INLIERS, limit=10, keep_images=False)
    with pytest.raises(ValueError):
        evaluation.html()


def test_progress_and_exceptions(detector: outflow.Detector) -> None:
    seen: List[int] = []
    outflow.evaluate(
        detector, INLIERS, SETS, batch=50, progress=lambda images, *_: seen.append(images)
    )
    assert seen == sorted(seen) and seen[-1] == 400

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outflow.evaluate(detector, INLIERS, SETS, batch=50, progress=fail)


def test_unreadable_files_are_warned_of(detector: outflow.Detector, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "grey.pgm").write_bytes(b"P5 32 32 255\n" + bytes(1024))
    with pytest.warns(UserWarning, match="broken.png"):
        evaluation = outflow.evaluate(detector, tmp_path)
    assert len(evaluation.values("in")) == 1
    (tmp_path / "broken.png").rename(os.fsdecode(bytes(tmp_path) + b"/n\xff.png"))
    with pytest.warns(UserWarning, match="n\udcff.png"):
        outflow.evaluate(detector, tmp_path)


def test_bench(detector: outflow.Detector) -> None:
    result = outflow.bench(detector, batch=16, repetitions=3, seconds=0.05)
    assert len(result.rates) == 3 and min(result.rates) <= result.images_per_second
    assert 0 < result.seconds[50] <= result.seconds[99] and result.calls >= 3
    assert "images/s" in result._repr_html_()
    with pytest.raises(ValueError):
        outflow.bench(detector, batch=0)
