# SPDX-License-Identifier: Apache-2.0
"""outflow.clean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import outflow
from files import png


def stripes(kind: int, seed: int) -> np.ndarray:
    """Across or down, with noise."""
    random = np.random.default_rng(seed)
    place = np.indices((32, 32))[kind] + random.integers(8)
    grey = np.where(place % 8 < 4, 60, 160) + random.integers(0, 50, (32, 32))
    return np.repeat(grey[..., np.newaxis], 3, axis=2).astype(np.uint8)


def test_findings(tmp_path: Path) -> None:
    for kind, name in enumerate(("down", "across")):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(30):
            (tmp_path / "set" / name / f"{i}.png").write_bytes(png(stripes(kind, 100 * kind + i)))
    assert outflow.clean(tmp_path / "set") == []
    (tmp_path / "set" / "down" / "wrong.png").write_bytes(png(stripes(1, 999)))
    (tmp_path / "set" / "across" / "same.png").write_bytes(png(stripes(0, 5)))
    report = tmp_path / "report.html"
    found = outflow.clean(tmp_path / "set", report=report)
    assert found[0]["issue"] == "conflict"
    assert {found[0]["path"], found[0]["duplicate_of"]} == {"across/same.png", "down/5.png"}
    assert found[0]["p_value"] is None
    wrong = [one for one in found if one["path"] == "down/wrong.png"]
    assert [(one["issue"], one["suggested"]) for one in wrong] == [("misfiled", "across")]
    assert b"data:image/png" in report.read_bytes()


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        outflow.clean("synthetic:noise:30", rate=2)
    with pytest.raises(OSError):
        outflow.clean(tmp_path / "nowhere")
