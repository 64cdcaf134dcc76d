# SPDX-License-Identifier: Apache-2.0
"""outflow.train and outflow.fit."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest

import outflow
from outflow.lib import _core

SOURCE = "synthetic:shapes:400"
SMALL: Dict[str, Any] = {
    "architecture": {"steps": 1, "hidden": 8},
    "batch": 8,
    "images": 800,
    "seed": 3,
}


def tensors(path: Path) -> bytes:
    """What comes after a safetensors file's header, which tells how long the run took."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    return content[8 + length :]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a run that nobody interrupts."""
    out = tmp_path_factory.mktemp("whole") / "whole.safetensors"
    result = outflow.train(SOURCE, out, **SMALL)
    assert result.end == "finished" and result.finished
    assert (result.step, result.images, result.skipped) == (100, 800, 0)
    return out


def test_every_field_of_the_library_is_a_setting() -> None:
    """The header's fields, but those that say sizes and counts, and `ranks`."""
    header = Path(__file__).resolve().parents[2] / "include" / "outflow" / "train.h"
    text = header.read_text(encoding="utf-8")
    body = text[text.index("typedef struct of_train_options {") : text.index("} of_train_options;")]
    import re

    body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
    fields = set(re.findall(r"(\w+)(?=[;,])", body))
    fields -= {"size", "data_count", "general_count", "valid_count", "out_of_count"}
    fields -= {"ranks", "init", "rate"}  # MPI; a model in memory (init_file is); "lr"
    assert fields | {"lr"} == set(_core.train_settings())
    import inspect

    keywords = set(inspect.signature(outflow.train).parameters)
    assert set(_core.train_settings()) - {"init_file"} <= keywords


def test_reports_and_progress(tmp_path: Path) -> None:
    seen: List[Any] = []
    reports: List[Dict[str, Any]] = []
    result = outflow.train(
        SOURCE,
        tmp_path / "w.safetensors",
        hold_out=0.1,
        out_of={"noise": "synthetic:noise:40"},
        valid_every=400,
        log=tmp_path / "log",
        log_every=20,
        progress=lambda images, total, bits: seen.append((images, total, bits)),
        on_report=reports.append,
        **SMALL,
    )
    assert [images for images, _, _ in seen] == list(range(8, 808, 8))
    assert {total for _, total, _ in seen} == {800}
    assert result.reports == reports and reports[-1]["step"] == 100
    validations = [r["validation"] for r in reports if r["validation"] is not None]
    assert validations and 0 <= validations[-1]["out_of"]["noise"]["auroc_nll"] <= 1
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    logged = {line["step"]: line["bits_per_dim"] for line in lines if "bits_per_dim" in line}
    assert logged[20] == reports[0]["bits_per_dim"]
    assert "bits/dim" in result._repr_html_()


def test_stop_and_resume_give_the_same_bits(whole_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    images = 0

    def progress(so_far: int, total: int, bits: float) -> None:
        nonlocal images
        images = so_far

    result = outflow.train(SOURCE, out, progress=progress, stop=lambda: images >= 320, **SMALL)
    assert (result.end, result.images, out.exists()) == ("interrupted", 320, False)
    assert os.path.exists(result.checkpoint)
    assert outflow.train(SOURCE, out, resume=True, **SMALL).end == "finished"
    assert tensors(out) == tensors(whole_run)


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_precision(precision: str, whole_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    try:
        outflow.train(SOURCE, out, precision=precision, **SMALL)
    except outflow.OutflowError as error:
        assert precision == "bf16" and "precision bf16" in str(error)
        pytest.skip(str(error))
    assert (tensors(out) == tensors(whole_run)) == (precision == "f32")


def test_gradient_precision(whole_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    outflow.train(SOURCE, out, gradient_precision="bf16", **SMALL)
    assert tensors(out) != tensors(whole_run)
    with pytest.raises(ValueError, match="gradient_precision"):
        outflow.train(SOURCE, out, gradient_precision="int8", overwrite=True, **SMALL)


def test_ctrl_c_leaves_a_resumable_checkpoint(whole_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    script = f"""
        import os, signal, time, outflow
        def progress(images, total, bits):
            if images == 240:
                os.kill(os.getpid(), signal.SIGINT)
        try:
            outflow.train({SOURCE!r}, {str(out)!r}, progress=progress, **{SMALL!r})
        except KeyboardInterrupt:
            print("interrupted")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True
    )
    assert done.stdout == "interrupted\n", done.stderr
    assert not out.exists() and Path(f"{out}.checkpoint").exists()
    outflow.train(SOURCE, out, resume=True, **SMALL)
    assert tensors(out) == tensors(whole_run)


def test_ctrl_c_without_any_callback(tmp_path: Path) -> None:
    """The signal is looked for although no Python runs."""
    out = tmp_path / "w.safetensors"
    script = f"""
        import outflow
        print("ready", flush=True)
        try:
            outflow.train({SOURCE!r}, {str(out)!r}, architecture={{"steps": 1, "hidden": 8}},
                          minutes=5)
        except KeyboardInterrupt:
            print("interrupted")
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    time.sleep(1.0)
    child.send_signal(signal.SIGINT)
    said, _ = child.communicate(timeout=60)
    assert said == "interrupted\n" and child.returncode == 0
    assert Path(f"{out}.checkpoint").exists()


def test_an_exception_in_a_callback_ends_the_run(whole_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"

    def fail(report: Dict[str, Any]) -> None:
        raise ZeroDivisionError("of the caller's")

    with pytest.raises(ZeroDivisionError, match="of the caller's"):
        outflow.train(SOURCE, out, on_report=fail, **SMALL)
    outflow.train(SOURCE, out, resume=True, **SMALL)
    assert tensors(out) == tensors(whole_run)


def test_arrays_are_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same images give the same weights, and no temporary file stays."""
    images = np.random.default_rng(0).integers(0, 256, (64, 16, 16), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    settings = {**SMALL, "images": 160}
    outflow.train(tmp_path / "images.npy", tmp_path / "a.safetensors", **settings)
    outflow.train(images, tmp_path / "b.safetensors", **settings)
    outflow.train(images / 255.0, tmp_path / "c.safetensors", **settings)
    first = tensors(tmp_path / "a.safetensors")
    assert first == tensors(tmp_path / "b.safetensors") == tensors(tmp_path / "c.safetensors")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"lr": "fast"}, TypeError, "lr"),
        ({"epochs": -1}, ValueError, "epochs"),
        ({"lr": 1e9}, ValueError, "rate"),
        ({"outlier_loss": "some"}, ValueError, "some"),
        ({"architecture": {"depth": 3}}, TypeError, "depth"),
        ({"architecture": {"edges": ["conv2"]}}, ValueError, "conv2"),
        ({"architecture": {"input": outflow.InputMap(bits=9)}}, ValueError, "input.bits"),
        ({"architecture": {"input": {"gamma": 1}}}, TypeError, "gamma"),
        ({"architecture": {"scale_map": "exp", "coupling": "additive"}}, ValueError, "scale_map"),
        ({"data_shares": [1, 2]}, ValueError, "share"),
        ({"progress": "bar"}, ValueError, "tqdm"),
    ],
)
def test_wrong_settings(
    settings: Dict[str, Any], error: type, says: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        outflow.train(SOURCE, tmp_path / "w.safetensors", **settings)
    assert list(tmp_path.iterdir()) == []


def test_wrong_images(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\(8, 8\)"):
        outflow.train(np.zeros((8, 8)), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="finite"):
        outflow.train(np.full((4, 8, 8), np.nan), tmp_path / "w.safetensors")


def test_fit_makes_one_calibrated_file(tmp_path: Path) -> None:
    general = tmp_path / "general.safetensors"
    outflow.train("synthetic:general:400", general, **SMALL)
    out = tmp_path / "fitted.safetensors"
    ends = []
    outflow.fit(
        "synthetic:shapes:1500", out, general=general, images=1600, seed=3,
        report=tmp_path / "report.html", on_end=ends.append,
    )  # fmt: skip
    general.unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fitted.safetensors", "general.safetensors.checkpoint", "report.html",
    ]  # fmt: skip
    assert ends[0]["checked"] > 0 and ends[0]["flagged"] < 0.2
    assert 0 <= ends[0]["sets"]["degraded"]["auroc"] <= 1
    detector = outflow.Detector(out)  # a bundle, calibrated: nothing else is needed
    evaluation = outflow.evaluate(
        detector, "synthetic:shapes:300", {"noise": "synthetic:noise:100"}, seed=11, fpr=0.05
    )
    flagged = evaluation.flagged("nll")
    assert "ratio" in evaluation.scores
    assert flagged["in"] is not None and flagged["in"]["share"] < 0.15
    assert flagged["noise"] is not None and flagged["noise"]["share"] > 0.9


def test_fit_of_too_few_and_of_one_image(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)
    with pytest.raises(ValueError, match="12 different images: at least 20"):
        outflow.fit(images, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="all 30 images are the same picture"):
        outflow.fit(np.zeros((30, 8, 8)), tmp_path / "w.safetensors")
    assert not list(tmp_path.iterdir())


def test_fit_of_an_array_holds_enough_out(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (300, 8, 8), dtype=np.uint8)
    settings = {**SMALL, "architecture": {"steps": 1, "hidden": 8, "scales": 2}, "images": 160}
    outflow.fit(images, tmp_path / "w.safetensors", **settings)
    with pytest.raises(ValueError):
        outflow.fit(images, tmp_path / "v.safetensors", hold_out=0.1, **settings)
