# SPDX-License-Identifier: Apache-2.0
"""Detectors, models and plans: results, errors, threads, memory."""

import concurrent.futures
import pickle
import resource
import signal
import threading
import time

import numpy as np
import pytest

import outflow


def test_errors():
    with pytest.raises(FileNotFoundError, match="did you mean 'demo-shapes'") as failure:
        outflow.Detector("demo-shape")
    assert isinstance(failure.value, outflow.OutflowError)
    assert failure.value.status == "io"
    with pytest.raises(ValueError, match="isa|instruction"):
        outflow.Detector("demo-shapes", isa="mmx")
    with pytest.raises(ValueError):
        outflow.Architecture(height=31)


def test_scores_that_cannot_be(detector, shapes):
    with pytest.raises(ValueError):
        detector.score(shapes, "no-such-score")
    with pytest.raises(outflow.OutflowError) as failure:
        detector.p_values(shapes)
    assert failure.value.status in ("argument", "mismatch")
    with pytest.raises(ValueError, match="100"):
        outflow.Detector("demo-shapes").calibrate(shapes)


def test_several_scores(detector, shapes):
    names = detector.scores
    together = detector.score(shapes, names)
    assert together.shape == (40, len(names)) and together.dtype == np.float64
    for i, name in enumerate(names):
        assert np.array_equal(together[:, i], detector.score(shapes, name))
    table = detector.table(shapes)
    assert list(table) == names and table.rows == 40
    assert "[40 rows]" in repr(table) and table._repr_html_().count("<tr>") == 21


def test_calibration(calibrated, shapes):
    assert calibrated.default_score == "combined"
    p = calibrated.p_values(shapes)
    assert ((p > 0) & (p <= 1)).all()
    assert np.array_equal(calibrated.flag(shapes, 0.1), p <= 0.1)
    limit = calibrated.threshold(0.1)
    assert np.array_equal(calibrated.score(shapes) > limit, p <= 0.1)
    assert calibrated.flag(shapes, threshold=limit).sum() >= (p <= 0.1).sum()
    assert calibrated.info["calibration"]["images"] == 400
    assert "400 images" in calibrated._repr_html_()
    pixels = np.concatenate([b.pixels for b in outflow.Source("synthetic:shapes:400", seed=5)])
    other = outflow.Detector("demo-shapes", general="demo-general").calibrate(pixels)
    assert np.array_equal(other.p_values(shapes), p)


def test_pickle_needs_files(calibrated):
    made = outflow.Detector("demo-shapes").calibrate("synthetic:shapes:200", seed=5)
    with pytest.raises(TypeError, match="save it"):
        pickle.dumps(made)
    own = outflow.Model.create(outflow.Architecture(scales=1, steps=1, hidden=8))
    with pytest.raises(TypeError, match="without a file"):
        pickle.dumps(outflow.Detector(own))


def test_heat(detector, shapes):
    heat = detector.heatmap(shapes[:4], "ratio")
    assert heat.shape == (4, 32, 32)
    assert np.allclose(heat.sum((1, 2)), detector.score(shapes[:4], "ratio"), atol=0.01)
    relative = detector.heatmap(shapes[:4], "ratio", reference=shapes)
    assert np.allclose(heat - relative, detector.heatmap(shapes, "ratio").mean(0), atol=1e-9)
    assert detector.heatmap_png(shapes[0])[0].startswith(b"\x89PNG")


def test_model(tmp_path):
    model = outflow.Model("demo-shapes")
    assert model.architecture.shape == (32, 32, 3) and "training" in model.metadata
    assert sum(t.size for t in model.tensors.values()) == model.parameter_count
    tensor = model.tensors["scales.0.steps.0.actnorm.loc"]
    assert not tensor.flags.writeable
    shape = outflow.Architecture(scales=2, steps=2, hidden=16)
    own = outflow.Model.create(shape, seed=3)
    assert own.architecture == shape
    assert own.fingerprint == outflow.Model.create(shape, seed=3).fingerprint
    own.set_metadata("note", "mine")
    own.save(tmp_path / "own.safetensors")
    again = outflow.Model.load(tmp_path / "own.safetensors")
    assert again.fingerprint == own.fingerprint and again.metadata["note"] == "mine"


def test_tensors_keep_their_model():
    tensor = outflow.Model("demo-shapes").tensors["scales.0.steps.0.actnorm.loc"]
    copy = outflow.Model("demo-shapes").tensors["scales.0.steps.0.actnorm.loc"].copy()
    assert np.array_equal(tensor, copy)


def test_plan(shapes):
    plan = outflow.Plan("demo-shapes")
    found = plan.likelihoods(shapes, latents=True)
    assert np.allclose(found.contributions.sum(1), found.logp)
    assert found.class_logp is None
    assert np.allclose(plan.inverse(found.latents) * 255, shapes, atol=0.51)
    samples = plan.sample(3, seed=1)
    assert samples.shape == (3, 32, 32, 3)
    assert np.array_equal(plan.sample(2, seed=1), samples[:2])
    assert plan.layers() and plan.info["flops_per_image"] > 0
    with pytest.raises(ValueError):
        outflow.Plan("demo-shapes", inverse=False).sample(1)
    with pytest.raises(ValueError, match="expected latents"):
        plan.inverse(np.zeros((1, 5)))


def test_detector_of_models(detector, shapes):
    model, general = outflow.Model("demo-shapes"), outflow.Model("demo-general")
    made = outflow.Detector(model, general=general)
    del model, general
    assert np.array_equal(made.score(shapes), detector.score(shapes))


def test_threads(detector, shapes):
    expected = detector.score(shapes, detector.scores)

    def work(i):
        part = shapes[i % 30 : i % 30 + 10]
        return np.array_equal(detector.score(part, detector.scores), expected[i % 30 : i % 30 + 10])

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))


def test_calibration_beside_scores(shapes):
    shared = outflow.Detector("demo-shapes", general="demo-general")
    expected = shared.score(shapes, "ratio")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(shared.score, shapes, "ratio") for _ in range(20)]
        jobs.append(pool.submit(shared.calibrate, "synthetic:shapes:200"))
        jobs += [pool.submit(lambda: (shared.info, shared.scores)) for _ in range(20)]
        results = [job.result() for job in jobs]
    assert all(np.array_equal(result, expected) for result in results[:20])


@pytest.mark.slow
def test_nothing_leaks(detector, shapes):
    image = shapes[:1]

    def calls(count):
        for _ in range(count):
            detector.score(image, ["nll", "ratio"])
            with pytest.raises(ValueError):
                detector.score(image[:, :5])
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = calls(500)
    assert calls(10_000) - before < 4096  # KiB


def test_ctrl_c(detector):
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        detector.calibrate("synthetic:shapes:1000000")
    assert time.monotonic() - start < 20
    large = np.zeros((60_000, 32, 32, 3), np.uint8)
    threading.Timer(0.5, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        detector.score(large, "ratio")
