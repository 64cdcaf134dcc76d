# SPDX-License-Identifier: Apache-2.0
"""The same bits as the program."""

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
