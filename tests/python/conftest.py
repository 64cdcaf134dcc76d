# SPDX-License-Identifier: Apache-2.0
"""What the tests share: detectors, images, the program."""

import csv
import io
import os
import pathlib
import signal
import subprocess

import numpy as np
import pytest

import outflow

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A shell's job in the background begins with SIGINT ignored, and so would the tests of Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def detector():
    return outflow.Detector("demo-shapes", general="demo-general")


@pytest.fixture(scope="session")
def calibrated():
    made = outflow.Detector("demo-shapes", general="demo-general")
    return made.calibrate("synthetic:shapes:400", seed=5)


def pixels_of(spec, **options):
    return np.concatenate([batch.pixels for batch in outflow.Source(spec, **options)])


@pytest.fixture(scope="session")
def shapes():
    return pixels_of("synthetic:shapes:40")


def program(*arguments):
    """Runs the program, returns its standard output."""
    path = os.environ.get("OUTFLOW_PROGRAM")
    if not path:
        pytest.skip("OUTFLOW_PROGRAM names no program")
    done = subprocess.run(
        [path, *map(str, arguments)], check=True, capture_output=True, text=True, timeout=3600
    )
    return done.stdout


def program_scores(*arguments):
    """Columns of `outflow score`, numbers as floats where they are."""
    rows = list(csv.DictReader(io.StringIO(program("score", *arguments))))
    return {
        name: np.array([float(row[name]) for row in rows])
        for name in rows[0]
        if name not in ("path", "label", "anomalous", "source", "resized_from", "notes")
    }
