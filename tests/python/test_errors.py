# SPDX-License-Identifier: Apache-2.0
"""Errors: Python's own exceptions where they fit, and which image of a list was wrong."""

import errno
import os
import pickle

import numpy as np
import pytest

import outflow
from outflow.errors import make
from test_images import png


@pytest.mark.parametrize(
    ("number", "usual"),
    [
        (errno.ENOENT, FileNotFoundError),
        (errno.EACCES, PermissionError),
        (errno.EPERM, PermissionError),
        (errno.EISDIR, IsADirectoryError),
        (errno.ENOTDIR, NotADirectoryError),
        (errno.ENOSPC, OSError),
        (0, OSError),
    ],
)
def test_errno_decides(number, usual):
    error = make("io", b"a.png: refused", "", number)
    assert isinstance(error, usual) and isinstance(error, outflow.OutflowError)
    assert (error.errno or 0) == error.os_error == number
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and again.os_error == number
    assert str(again) == "a.png: refused" and again.status == "io"


def test_the_text_does_not_decide():
    """Of a message that only says so, nothing is made."""
    assert not isinstance(make("io", b"No such file", "", 0), FileNotFoundError)
    assert isinstance(make("memory", b"out of memory", "", 0), MemoryError)
    assert isinstance(make("argument", b"wrong", "batch", 0), ValueError)
    assert not isinstance(make("format", b"wrong", "", 0), (ValueError, OSError))


def test_files_that_are_not_there(detector, tmp_path):
    missing = tmp_path / "missing"
    for call in (
        lambda: outflow.Detector(missing),
        lambda: outflow.Model(missing),
        lambda: outflow.Plan("no-such-model"),
        lambda: detector.score(missing),
        lambda: list(outflow.Source(missing)),
        lambda: outflow.evaluate(detector, missing),
        lambda: outflow.train(missing, tmp_path / "w.safetensors"),
        lambda: detector.save(missing / "w.safetensors"),
    ):
        with pytest.raises(FileNotFoundError) as failure:
            call()
        assert isinstance(failure.value, outflow.OutflowError)
        assert failure.value.errno == errno.ENOENT


def test_folders_and_what_is_no_folder(detector, tmp_path):
    with pytest.raises(IsADirectoryError):
        outflow.Detector(tmp_path)
    with pytest.raises(IsADirectoryError):
        detector.score([tmp_path])
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        detector.score(tmp_path / "file" / "below")


@pytest.mark.skipif(os.geteuid() == 0, reason="SKIPPED: root may read everything")
def test_files_that_must_not_be_read(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"x" * 100)
    (tmp_path / "w.safetensors").chmod(0)
    with pytest.raises(PermissionError):
        outflow.Detector(tmp_path / "w.safetensors")


# ---- Lists of images


def bad_items(shapes, tmp_path):
    """What is wrong at index 2, the exception, and words of its message."""
    yield shapes[:1, :16], ValueError, "expected images of N x 32 x 32 x 3.*1 x 16 x 32 x 3"
    yield shapes[0].transpose(2, 0, 1), ValueError, "channels come first"
    yield shapes[0].astype(np.int32), ValueError, "int32"
    yield png(shapes[0])[:100], outflow.OutflowError, "PNG|image"
    yield tmp_path / "missing.png", FileNotFoundError, "missing.png"
    yield 7, TypeError, "got int"


def test_the_index_of_a_bad_image(detector, shapes, tmp_path):
    for bad, kind, says in bad_items(shapes, tmp_path):
        with pytest.raises(kind, match=rf"^images\[2\]: .*({says})"):
            detector.score([shapes[0], shapes[1], bad, shapes[3]])
        with pytest.raises(kind, match=r"images\[2\]"):
            detector.table(one for one in (shapes[0], shapes[1], bad))


def test_going_on_without_it(calibrated, shapes, tmp_path):
    names = calibrated.scores
    whole = calibrated.score(shapes[:4], names)
    for bad, _, _ in bad_items(shapes, tmp_path):
        images = [shapes[0], bad, shapes[2], shapes[3]]
        found = calibrated.score(images, names, errors="nan")
        assert np.isnan(found[1]).all()
        np.testing.assert_array_equal(found[[0, 2, 3]], whole[[0, 2, 3]])
        table = calibrated.table(images, errors="nan")
        assert np.isnan(table["p_value"][1]) and np.isfinite(table["p_value"][[0, 2, 3]]).all()
        assert [text != "" for text in table["error"]] == [False, True, False, False]
        assert np.isnan(table["nll"][1]) and table.rows == 4
    assert list(calibrated.table(shapes[:2], errors="nan")["error"]) == ["", ""]
    with pytest.raises(ValueError, match="errors"):
        calibrated.score([shapes[0]], errors="ignore")


def test_memory_errors_are_never_passed_over(detector, shapes, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("outflow.images._taken", fail)
    with pytest.raises(MemoryError):
        detector.score([shapes[0]], errors="nan")


def test_columns_of_paths(detector, shapes, tmp_path):
    """As pandas and NumPy hold them."""
    paths = []
    for i in range(3):
        paths.append(str(tmp_path / f"{i}.png"))
        (tmp_path / f"{i}.png").write_bytes(png(shapes[i]))
    expected = detector.score(shapes[:3])
    np.testing.assert_array_equal(detector.score(np.array(paths)), expected)
    np.testing.assert_array_equal(detector.score(np.array(paths, dtype=object)), expected)
    pandas = pytest.importorskip("pandas")
    table = detector.table(pandas.DataFrame({"file": paths})["file"])
    assert list(table["path"]) == paths
    np.testing.assert_array_equal(table["ratio"], expected)
    assert table.to_pandas().shape == (3, len(table))


def test_images_for_training_that_differ(tmp_path):
    with pytest.raises(ValueError, match=r"images\[1\].*\(8, 9\).*images\[0\].*\(8, 8\)"):
        outflow.train([np.zeros((8, 8)), np.zeros((8, 9))], tmp_path / "w.safetensors")
