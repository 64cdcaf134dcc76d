# SPDX-License-Identifier: Apache-2.0
"""Images in all their forms give the same scores."""

import io
import pickle

import numpy as np
import pytest

import outflow
from files import png
from outflow.images import batches, from_array


def test_contiguous_bytes_are_not_copied(shapes):
    assert np.shares_memory(from_array(shapes, (32, 32, 3)), shapes)
    floats = shapes.astype(np.float32) / np.float32(255)
    assert np.shares_memory(from_array(floats, (32, 32, 3)), floats)


def layouts(shapes):
    folded = np.asfortranarray(shapes)
    wide = np.zeros((40, 64, 32, 3), np.uint8)
    wide[:, ::2] = shapes
    read_only = shapes.copy()
    read_only.flags.writeable = False
    yield from (shapes, folded, wide[:, ::2], read_only, shapes[::-1].copy()[::-1])
    yield memoryview(shapes)
    yield list(shapes)
    yield [shapes[:7], *shapes[7:]]
    yield (image for image in shapes)
    yield [png(image) for image in shapes]


def test_layouts(detector, shapes):
    expected = detector.score(shapes)
    for images in layouts(shapes):
        assert np.array_equal(detector.score(images), expected)


def test_paths(detector, shapes, tmp_path):
    paths = []
    for i, image in enumerate(shapes[:5]):
        paths.append(tmp_path / f"{i}.png")
        paths[-1].write_bytes(png(image))
    expected = detector.score(shapes[:5])
    assert np.array_equal(detector.score(paths), expected)
    assert np.array_equal(detector.score(tmp_path), expected)
    assert np.array_equal(detector.score(paths[2]), expected[2:3])
    table = detector.table(tmp_path)
    assert [path[-5:] for path in table["path"]] == [f"{i}.png" for i in range(5)]
    assert np.array_equal(table["ratio"], expected)


def test_floats(detector, shapes):
    floats = shapes / 255
    expected = detector.score(shapes, "nll")
    found = detector.score(floats, "nll")
    assert np.allclose(found, expected, rtol=1e-5)
    assert np.array_equal(found, detector.score(floats.astype(np.float32), "nll"))


def test_one_image_and_none(detector, shapes):
    assert np.array_equal(detector.score(shapes[3]), detector.score(shapes)[3:4])
    assert detector.score(shapes[:0]).shape == (0,)
    assert detector.score([], ["nll", "last"]).shape == (0, 2)


def test_generators_are_streamed(shapes):
    taken = 0

    def images():
        nonlocal taken
        for _ in range(10):
            for image in shapes:
                taken += 1
                yield image

    stream = batches(images(), (32, 32, 3), size=16)
    assert len(next(stream).pixels) == 16
    assert taken <= 17


def test_wrong_arrays(detector, shapes):
    with pytest.raises(ValueError, match="expected images of N x 32 x 32 x 3.*2 x 28 x 28"):
        detector.score(np.zeros((2, 28, 28), np.uint8))
    with pytest.raises(ValueError, match=r"channels come first.*\(0, 2, 3, 1\)"):
        detector.score(shapes.transpose(0, 3, 1, 2))
    with pytest.raises(ValueError, match="int64"):
        detector.score(shapes.astype(np.int64))
    with pytest.raises(ValueError, match="divide by 255"):
        detector.score(shapes.astype(np.float32))
    with pytest.raises(TypeError, match="got int"):
        detector.score(3)
    with pytest.raises(TypeError, match="got int"):
        detector.score([1, 2])


def test_damaged_images(detector, shapes, tmp_path):
    with pytest.raises(outflow.OutflowError) as failure:
        detector.score(png(shapes[0])[:200])
    assert failure.value.status == "format"
    (tmp_path / "bad.png").write_bytes(png(shapes[0])[:200])
    (tmp_path / "good.png").write_bytes(png(shapes[1]))
    with pytest.warns(UserWarning, match="1 files could not be read.*bad.png"):
        assert len(detector.score(tmp_path)) == 1


def test_pillow(detector, shapes):
    pillow = pytest.importorskip("PIL.Image")
    images = [pillow.fromarray(image) for image in shapes]
    assert np.array_equal(detector.score(images), detector.score(shapes))
    large = images[0].resize((80, 50))
    encoded = io.BytesIO()
    large.save(encoded, "PNG")
    assert np.array_equal(detector.score(large), detector.score(encoded.getvalue()))
    assert np.isfinite(detector.score(large.convert("CMYK"))).all()


def test_torch(detector, shapes):
    torch = pytest.importorskip("torch")
    assert np.array_equal(detector.score(torch.from_numpy(shapes)), detector.score(shapes))


def test_source(shapes):
    source = outflow.Source("synthetic:shapes:40")
    assert np.array_equal(np.concatenate([batch.pixels for batch in source]), shapes)
    assert len(list(source.batches(8))) == 5
    assert "synthetic" in repr(source)


def test_pickle(detector, shapes):
    again = pickle.loads(pickle.dumps(detector))
    assert np.array_equal(again.score(shapes), detector.score(shapes))


def test_background_of_transparent_pixels(tmp_path):
    image = pytest.importorskip("PIL.Image")
    clear = np.full((4, 4, 4), 9, np.uint8)
    clear[:2, :, 3] = 0
    image.fromarray(clear).save(tmp_path / "clear.png")
    for background, level in (("white", 255), ("black", 0), ("#808080", 128)):
        source = outflow.Source(tmp_path, size=(4, 4), background=background)
        [batch] = source.batches()
        assert (batch.pixels[0, :2] == level).all()
    with pytest.raises(outflow.OutflowError, match="no colour"):
        list(outflow.Source(tmp_path, background="blue-ish"))
    # As a Pillow image it is laid over white as well, also with a palette.
    for shown in (image.fromarray(clear), image.fromarray(clear).quantize(16)):
        [batch] = batches([shown], (4, 4, 3))
        assert (batch.pixels[0, :2] > 248).all()  # Pillow's palette is not exact


def test_all_frames_of_an_animation(tmp_path):
    image = pytest.importorskip("PIL.Image")
    frames = [image.new("L", (4, 4), level) for level in (10, 120, 250)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    [first] = outflow.Source(tmp_path, size=(4, 4))
    [every] = outflow.Source(tmp_path, size=(4, 4), frames="all")
    assert first.paths == ["a.gif"]
    assert every.paths == ["a.gif#0", "a.gif#1", "a.gif#2"]
    assert every.pixels[:, 0, 0, 0].tolist() == [10, 120, 250]
    with pytest.raises(ValueError, match="frames"):
        outflow.Source(tmp_path, frames="some")
