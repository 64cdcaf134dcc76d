# SPDX-License-Identifier: Apache-2.0
"""What works wherever the package is installed, with NumPy alone. pytest runs it, and without
pytest so does `python test_installed.py`: tools/wheel checks a wheel with it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

import outflow
from files import archives_of

SOURCE = "synthetic:shapes:40"


def pixels() -> np.ndarray:
    return np.concatenate([batch.pixels for batch in outflow.Source(SOURCE)])


def test_models_by_name(tmp_path: Path) -> None:
    """The pairs of models that the package holds score images, as an array and as a source."""
    for name, general in ("demo-shapes", "demo-general"), ("cifar10", "cifar10-general"):
        scores = outflow.Detector(name, general=general).score(SOURCE)
        again = outflow.Detector(name, general=general).score(pixels())
        assert scores.shape == (40,) and np.isfinite(scores).all()
        assert np.array_equal(scores, again)


def test_archives(tmp_path: Path) -> None:
    detector = outflow.Detector("demo-shapes", general="demo-general")
    expected = detector.score(SOURCE)
    for name, content in archives_of(pixels()).items():
        path = tmp_path / name
        path.write_bytes(content)
        assert np.array_equal(detector.score(path), expected), name


def test_fit(tmp_path: Path) -> None:
    """Training, calibration, and the file that they write."""
    path = tmp_path / "own.safetensors"
    made = outflow.fit(
        "synthetic:shapes:400",
        path,
        architecture={"steps": 1, "hidden": 8},
        hold_out=0.5,
        batch=8,
        images=800,
        seed=3,
    )
    table = outflow.Detector(path).table(SOURCE)
    assert np.array_equal(table["nll"], made.score(pixels(), "nll"))
    p_values = np.asarray(table["p_value"])
    assert ((p_values > 0) & (p_values <= 1)).all()


if __name__ == "__main__":
    for test in test_models_by_name, test_archives, test_fit:
        with tempfile.TemporaryDirectory() as folder:
            test(Path(folder))
        print(f"{test.__name__}: passed")
    print(f"outflow {outflow.__version__}, NumPy {np.__version__}, Python {sys.version.split()[0]}")
