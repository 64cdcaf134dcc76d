# SPDX-License-Identifier: Apache-2.0
"""Compares a conversion with the original: random images, scored from the original tensors with the
original's equations, from the new file, and by the engine where it is built."""
import glob
import json
import os
import shutil
import subprocess
import tempfile
from typing import List, Optional, Sequence

import numpy as np

from .refusal import Refusal

COUNT = 4
TOLERANCE = 0.02  # nats an image
RELATIVE = 2e-6   # of logp, beyond 10000 nats: float's share
ENGINE_SECONDS = 300


def check_images(image: Sequence[int]) -> np.ndarray:
    """Bytes [N, H, W, C]: half noise, half smooth."""
    channels, height, width = image
    random = np.random.default_rng(20200610)
    noise = random.integers(0, 256, (COUNT // 2, height, width, channels))
    y, x = np.mgrid[0:height, 0:width].astype(float)
    smooth = []
    for _ in range(COUNT - len(noise)):
        planes = []
        for _ in range(channels):
            a, b, phase = random.uniform(0.5, 3, 2).tolist() + [random.uniform(0, 6.3)]
            planes.append(127.5 + 90 * np.sin(a * x / width * 6.3 + phase) *
                          np.cos(b * y / height * 6.3))
        smooth.append(np.stack(planes, -1) + random.normal(0, 3, (height, width, channels)))
    images = np.concatenate([noise, np.array(smooth)])
    return np.clip(np.round(images), 0, 255).astype(np.uint8)


def difference(expected: np.ndarray, found: np.ndarray, what: str) -> float:
    """The largest difference; refuses one that is beyond the tolerance."""
    if not np.isfinite(expected).all():
        raise Refusal("the original gives the check's random images no finite density; --no-check "
                      "writes the file all the same")
    gap = np.abs(expected - found)
    allowed = np.maximum(TOLERANCE, RELATIVE * np.abs(expected))
    if not (gap <= allowed).all():
        worst = float(np.nanmax(gap)) if np.isfinite(gap).any() else float("nan")
        raise Refusal(f"{what} differs from the original by {worst:.3g} nats an image (at most "
                      f"{TOLERANCE} are allowed): nothing was written; please report this")
    return float(gap.max())


def find_engine(given: Optional[str]) -> Optional[str]:
    if given is not None:
        return given
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    built = sorted(path for path in glob.glob(os.path.join(root, "build", "*", "outflow"))
                   if os.access(path, os.X_OK) and os.path.isfile(path))
    release = [path for path in built if os.path.basename(os.path.dirname(path)) == "release"]
    return shutil.which("outflow") or next(iter(release + built), None)


def engine_scores(engine: str, model: str, images: np.ndarray) -> np.ndarray:
    """logp of every image; ValueError with the engine's own words where it refuses."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "images.npy")
        np.save(path, images[..., 0] if images.shape[3] == 1 else images)
        command = [engine, "score", "--model", model, "--format", "jsonl", path]
        try:
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                                  timeout=ENGINE_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as reason:
            raise ValueError(str(reason)) from reason
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise ValueError((lines or [f"exit code {done.returncode}"])[0].replace(model, "the file"))
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return np.array([row["logp"] for row in rows], np.float64)


def check_engine(given: Optional[str], model: str, expected: np.ndarray,
                 images: np.ndarray) -> str:
    """What the comparison with the engine gave, in words."""
    engine = find_engine(given)
    if engine is None:
        return "the engine is not built: not compared with it"
    try:
        found = engine_scores(engine, model, images)
        if found.shape != expected.shape:
            raise ValueError(f"{found.size} scores for {expected.size} images")
    except (ValueError, KeyError) as reason:
        return f"not compared with the engine, {engine} does not score the file: {reason}"
    return f"the engine within {difference(expected, found, f'the engine ({engine})'):.2g}"


def words(parts: List[str]) -> str:
    return f"check: {COUNT} random images, nats from the original: " + "; ".join(parts)
