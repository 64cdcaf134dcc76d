# SPDX-License-Identifier: Apache-2.0
"""Pictures in tiles."""

import pickle

import numpy as np
import pytest

import outflow


@pytest.fixture
def folder(tmp_path):
    """Five pictures, each as bytes in a .npy file's rows: 40 high and 56 wide."""
    values = np.random.default_rng(1)
    path = tmp_path / "pictures.npy"
    np.save(path, values.integers(0, 256, (5, 40, 56, 3)).astype(np.uint8))
    return path


def test_a_score_is_the_largest_of_the_tiles(folder):
    detector = outflow.Detector("demo-shapes", tiles=(32, 8))
    assert detector.tiles == (32, 8)
    scored = detector.pictures(folder, "nll")
    pixels = np.load(folder)
    assert [one["tiles"] for one in scored] == [2 * 4] * 5
    for one, picture in zip(scored, pixels):
        windows = [picture[y : y + 32, x : x + 32] for y in (0, 8) for x in (0, 8, 16, 24)]
        assert one["score"] == detector.score(np.stack(windows), "nll").max()
        assert (one["height"], one["width"], one["p_value"]) == (40, 56, None)
        assert "heat" not in one


def test_heat(folder):
    detector = outflow.Detector("demo-shapes", tiles=32)
    assert detector.tiles == (32, 16)
    for one in detector.pictures(folder, "nll", heat=True, side=20):
        assert one["cell"] == 3
        assert one["heat"].shape == (14, 19)
        assert np.isfinite(one["heat"]).all() and one["heat"].max() <= one["score"] * (1 + 1e-6)


def test_without_tiles(detector, folder):
    assert detector.tiles is None
    with pytest.raises(ValueError, match="tiles="):
        detector.pictures(folder)
    with pytest.raises(ValueError, match="pixels apart"):
        outflow.Detector("demo-shapes", tiles=(32, 33))


def test_pickle(folder):
    detector = outflow.Detector("demo-shapes", tiles=(32, 16))
    again = pickle.loads(pickle.dumps(detector))
    assert again.tiles == (32, 16)
    assert again.pictures(folder, "nll") == detector.pictures(folder, "nll")


def textures(path, count):
    """Stripes with noise, so that every window looks like every other."""
    values = np.random.default_rng(2)
    path.mkdir()
    for i in range(count):
        down, across = np.mgrid[0:72, 0:72]
        wave = 128 + 60 * np.sin(across * 1.3 + i) + values.normal(0, 20, (72, 72))
        grey = np.clip(wave + 0 * down, 0, 255).astype(np.uint8)
        header = b"P5\n72 72\n255\n"
        (path / f"{i:03}.pgm").write_bytes(header + grey.tobytes())
    return path


def test_fit(tmp_path):
    end = {}
    normal = textures(tmp_path / "normal", 30)
    detector = outflow.fit(
        normal,
        tmp_path / "own.safetensors",
        general="demo-general",
        images=64,
        tiles=(32, 20),
        threads=2,
        channels=3,
        on_end=end.update,
    )
    assert end["tiles"] == detector.tiles == (32, 20)
    assert end["calibrated"] == 24  # so that every other one has 100 tiles in all
    with pytest.raises(ValueError, match="`pictures`"):
        detector.flag(normal)
    assert len(detector.score(f"windows:32:2:{normal}")) == 60
    scored = detector.pictures(normal)
    assert len(scored) == 30 and all(0 < one["p_value"] <= 1 for one in scored)


def test_fit_of_an_array_has_no_tiles(tmp_path):
    pictures = np.random.default_rng(3).integers(0, 256, (30, 72, 72, 3)).astype(np.uint8)
    with pytest.raises(ValueError, match="folder"):
        outflow.fit(pictures, tmp_path / "own.safetensors", general="demo-general", tiles=32)
