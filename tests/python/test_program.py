# SPDX-License-Identifier: Apache-2.0
"""The same bits as the program."""

import json
import os
import pathlib
import tempfile

import numpy as np
import pytest

import outflow
from conftest import ROOT, pixels_of, program, program_scores

REAL = ROOT.parent / "shared" / "data" / "cifar10-test.tar"


def compare(detector, plan, pixels, arguments):
    theirs = program_scores(*arguments)
    for name in detector.scores:
        if name[:6] == "scale:":
            expected = -theirs[f"logp_scale{name[6:]}"]
        elif name in theirs:
            expected = theirs[name]
        else:  # one that takes its time: the program computes it if it is asked for
            asked = program_scores("--score", name, *arguments)
            expected = asked.get(name, asked.get("score"))
        assert np.array_equal(detector.score(pixels, name), expected), name
    found = plan.likelihoods(pixels)
    assert np.array_equal(found.logp, theirs["logp"])
    for scale in range(found.contributions.shape[1]):
        assert np.array_equal(found.contributions[:, scale], theirs[f"logp_scale{scale}"])


def test_synthetic(detector, shapes):
    arguments = "--model", "demo-shapes", "--general-model", "demo-general", "synthetic:shapes:40"
    compare(detector, outflow.Plan("demo-shapes"), shapes, arguments)


def test_p_values_of_a_saved_detector(calibrated, shapes, tmp_path):
    path = tmp_path / "own.safetensors"
    calibrated.save(path, bundle=True)
    theirs = program_scores("--model", path, "--fpr", "0.1", "synthetic:shapes:40")
    assert np.array_equal(calibrated.p_values(shapes), theirs["p_value"])
    again = outflow.Detector(path)
    assert again.scores == calibrated.scores
    assert np.array_equal(again.p_values(shapes), theirs["p_value"])
    assert np.array_equal(again.flag(shapes, 0.1), theirs["p_value"] <= 0.1)


def test_heat_pictures(detector, tmp_path):
    program(
        "score", "--model", "demo-shapes", "--general-model", "demo-general", "--heatmaps",
        tmp_path, "--heatmap-count", "3", "synthetic:shapes:3",
    )  # fmt: skip
    theirs = {path.read_bytes() for path in tmp_path.glob("*.png")}
    assert len(theirs) == 3
    ours = set(detector.heatmap_png("synthetic:shapes:3"))
    assert ours == theirs


@pytest.mark.skipif(not REAL.exists(), reason=f"SKIPPED: no {REAL}")
@pytest.mark.slow
def test_thousand_real_images():
    detector = outflow.Detector("cifar10", general="cifar10-general")
    pixels = pixels_of(REAL, limit=1000)
    models = "--model", "cifar10", "--general-model", "cifar10-general"
    assert len(pixels) == 1000
    compare(detector, outflow.Plan("cifar10"), pixels, (*models, "--limit", "1000", REAL))
    program_heat(detector, pixels[:4], models)


def program_heat(detector, pixels, models):
    """Heat is not printed by the program; its pictures are made of it."""
    with tempfile.TemporaryDirectory() as folder:
        program("score", *models, "--heatmaps", folder, "--heatmap-count", "4", "--limit", "4", REAL)
        theirs = sorted(path.read_bytes() for path in pathlib.Path(folder).glob("*.png"))
    assert len(theirs) == 4
    assert sorted(detector.heatmap_png(pixels)) == theirs


DATA = ROOT.parent / "shared" / "data"
OTHERS = {
    "GTSRB": "gtsrb-test.tar",
    "Fashion-MNIST": "fashion-mnist-test.tar",
    "MNIST": "mnist-test.tar",
    "CIFAR-100": "cifar100-test.tar",
}
TABLE_LIMIT = int(os.environ.get("OUTFLOW_TABLE_LIMIT", "60"))
"""Images of each set; 0: all, as the README has them (OUTFLOW_TABLE_LIMIT=0, minutes)."""


@pytest.mark.skipif(not REAL.exists(), reason=f"SKIPPED: no {REAL}")
def test_the_table_of_the_readme(tmp_path):
    detector = outflow.Detector("cifar10", general="cifar10-general")
    sets = {name: DATA / file for name, file in OTHERS.items()}
    file = tmp_path / "eval.json"
    program(
        "eval", "-m", detector.info["model"]["file"], "-g", detector.info["general"]["file"],
        "--in", REAL, *(f"{name}={source}" for name, source in sets.items()),
        *(("--limit", TABLE_LIMIT) if TABLE_LIMIT > 0 else ()), "--json", file,
    )  # fmt: skip
    theirs = json.loads(file.read_text())
    evaluation = outflow.evaluate(detector, REAL, sets, limit=TABLE_LIMIT)
    ours = evaluation.to_dict()
    del theirs["images_per_second"], ours["images_per_second"]
    assert ours == theirs
    assert set(ours["out"]) == set(OTHERS)
    if TABLE_LIMIT == 0:
        compare_readme(evaluation)


def compare_readme(evaluation):
    """What the README's two tables say of this detector, to their last digit."""
    compared = 0
    for name, values in readme_rows():
        for score, text in values.items():
            if score in evaluation.scores:  # one column is another detector's
                assert f"{evaluation.metrics[name][score]['auroc']:.3f}" == text, (name, score)
                compared += 1
    assert compared == 4 * (4 + 6)


def readme_rows():
    """Rows of tables "CIFAR-10 against": (set, {score: AUROC as text})."""
    scores = None
    for line in (ROOT / "README.md").read_text().splitlines():
        name, *values = [cell.strip() for cell in line.split("|")[1:-1]] or [""]
        if name == "CIFAR-10 against":
            scores = values
        elif not line.startswith("|"):
            scores = None
        elif scores is not None and not name.startswith("---"):
            yield name.split(" (")[0], dict(zip(scores, values))
