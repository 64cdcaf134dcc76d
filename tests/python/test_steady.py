# SPDX-License-Identifier: Apache-2.0
"""Many calls, many threads: memory stays, bits stay."""

import concurrent.futures
import os
import threading

import numpy as np
import pytest

import outflow

CALLS = 10_000


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def small():
    """A calibrated detector with a general model, so small that 10,000 calls take seconds."""
    shape = outflow.Architecture(height=8, width=8, scales=1, steps=1, hidden=8)
    model, general = (outflow.Model.create(shape, seed=i) for i in range(2))
    images = np.random.default_rng(0).integers(0, 256, (200, *shape.shape), dtype=np.uint8)
    return outflow.Detector(model, general, threads=1).calibrate(images), images


def calls_of(detector, images, plan):
    image, wrong = images[:1], images[:1, :5]
    generated = [images[0], images[1].tobytes(), images[2]]

    def fails():
        with pytest.raises(ValueError):
            detector.score(wrong)
        with pytest.raises(FileNotFoundError):
            outflow.Model("no-such-model")

    return {
        "score": lambda: detector.score(image, detector.scores),
        "floats": lambda: detector.score(image / np.float32(255)),
        "p_values": lambda: detector.p_values(image),
        "flag": lambda: detector.flag(image, 0.1),
        "heatmap": lambda: detector.heatmap(image),
        "heatmap_png": lambda: detector.heatmap_png(image, side=32),
        "table": lambda: detector.table(generated, errors="nan"),
        "info": lambda: (detector.info, repr(detector), detector._repr_html_()),
        "likelihoods": lambda: plan.likelihoods(image, latents=True),
        "sample": lambda: plan.sample(1),
        "errors": fails,
    }


@pytest.mark.parametrize(
    "name",
    ["score", "floats", "p_values", "flag", "heatmap", "heatmap_png", "table", "info",
     "likelihoods", "sample", "errors"],
)  # fmt: skip
@pytest.mark.slow
def test_nothing_leaks(small, name, record_property):
    detector, images = small
    plan = outflow.Plan(outflow.Model.create(detector.architecture), threads=1)
    calls = calls_of(detector, images, plan)
    assert name in calls
    for _ in range(CALLS // 5):
        calls[name]()
    before = resident_bytes()
    for _ in range(CALLS):
        calls[name]()
    grown = resident_bytes() - before
    record_property("grown_bytes", grown)
    print(f"{name}: {CALLS} calls, resident memory {grown / 1024:+.0f} KiB")
    assert grown < 1 << 20  # 105 bytes a call


def test_detectors_do_not_leak():
    """Opening and closing: weights, plans, sessions, calibrations."""

    def opens(count):
        for _ in range(count):
            detector = outflow.Detector("demo-shapes", general="demo-general", threads=1)
            detector.score(np.zeros((1, 32, 32, 3), np.uint8))
        return resident_bytes()

    before = opens(10)
    assert opens(40) - before < 4 << 20  # one is 2 MB of weights alone


def test_eight_threads_on_one_detector(small):
    detector, images = small
    expected = {name: detector.score(images, name) for name in detector.scores}
    p_values, heat = detector.p_values(images), detector.heatmap(images)
    begin = threading.Barrier(8)

    def work(thread):
        begin.wait()
        same = 0
        for i in range(100):
            first = (37 * thread + 11 * i) % 150
            rows = slice(first, first + 1 + i % 50)
            same += all(
                np.array_equal(detector.score(images[rows], name), values[rows])
                for name, values in expected.items()
            )
            same += np.array_equal(detector.p_values(images[rows]), p_values[rows])
            same += np.array_equal(detector.heatmap(images[rows]), heat[rows])
        return same

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [300] * 8
