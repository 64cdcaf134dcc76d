# SPDX-License-Identifier: Apache-2.0
"""Detectors in int8: quantizing, and scores that are refused."""

import numpy as np
import pytest

import outflow


@pytest.fixture(scope="module")
def quantized(tmp_path_factory):
    """A file that was quantized on enough images to measure what scores lose."""
    path = tmp_path_factory.mktemp("quantized") / "fast.safetensors"
    detector = outflow.Detector("demo-shapes", threads=2)
    assert detector.quantize("synthetic:shapes:200") is detector
    with pytest.raises(TypeError, match="save it"):
        detector.__reduce__()
    detector.save(path)
    return path


def open_int8(path, **options):
    try:
        return outflow.Detector(path, precision="int8", threads=2, **options)
    except outflow.OutflowError as error:
        if error.status == "unsupported":
            pytest.skip(str(error))
        raise


def test_an_unquantized_model_says_so():
    with pytest.raises(outflow.OutflowError) as failure:
        outflow.Detector("demo-shapes", precision="int8")
    assert failure.value.status == "unsupported" or failure.value.setting == "quantization"


def test_int8_scores(quantized, shapes):
    exact, fast = outflow.Detector(quantized), open_int8(quantized)
    losses = fast.precision_losses
    assert losses["nll"].keys() == {"auroc", "error", "against", "p_value", "flagged"}
    assert "nll" in fast.scores
    a, b = exact.score(shapes, "nll"), fast.score(shapes, "nll")
    assert 0 < np.abs(a - b).max() < 0.01 * np.abs(a).max()


def test_what_was_not_measured_is_refused(tmp_path, shapes):
    path = tmp_path / "few.safetensors"
    outflow.Detector("demo-shapes").quantize(shapes, source="few").save(path)
    fast = open_int8(path)
    assert fast.scores == [] and fast.precision_losses == {}
    with pytest.raises(outflow.OutflowError, match="nobody measured") as failure:
        fast.score(shapes, "nll")
    assert (failure.value.status, failure.value.setting) == ("unsupported", "lossy_scores")
    allowed = open_int8(path, lossy_scores=True)
    assert allowed.score(shapes, "nll").shape == (len(shapes),)


def test_quantizing_takes_floats_and_images():
    with pytest.raises(ValueError, match="at least one image"):
        outflow.Detector("demo-shapes").quantize(np.zeros((0, 32, 32, 3), np.uint8))
