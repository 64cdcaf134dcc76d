# SPDX-License-Identifier: Apache-2.0
"""A process of its own that makes the files all contenders of a row read.

    prepare.py model JSON     model.safetensors (unless given), folded.npz, pixels
    prepare.py images JSON    judged, calibration: images of sources that liboutflow reads
    prepare.py onnx JSON      model.onnx, with a Python that has onnx
"""
from __future__ import annotations

import json
import os
import sys

import numpy as np

import outflow_library
import pixels
import weights

MOST_READ = 20000  # images of a source, of which those that are needed are spread evenly


def prepare_model(folder: str, given: str | None, steps: int, hidden: int, batch: int) -> dict:
    """Returns the architecture and its FLOPs."""
    path = given or os.path.join(folder, "model.safetensors")
    if not given:
        architecture = weights.default_architecture(steps, hidden)
        weights.write(path, weights.make_random(architecture), architecture)
    tensors, architecture = weights.read(path)
    np.savez(os.path.join(folder, "folded.npz"), **weights.fold(tensors, architecture))
    channels, height, width = architecture["image"]
    images = np.random.default_rng(2).integers(0, 256, (batch, height, width, channels), np.uint8)
    pixels.write(folder, "pixels", images)
    return {"architecture": architecture, "flops": weights.flops(architecture), "model": path}


def spread(images: list[bytes], count: int, image: list[int], source: str) -> np.ndarray:
    """`count` of the images, evenly: archives are often sorted by class."""
    if len(images) < count:
        raise ValueError(f"{source}: {len(images)} images; {count} are needed (--images)")
    channels, height, width = image
    chosen = [images[i * len(images) // count] for i in range(count)]
    return np.frombuffer(b"".join(chosen), np.uint8).reshape(count, height, width, channels)


def prepare_images(folder: str, build: str, image: list[int], count: int, usual: str,
                   others: str) -> dict:
    """No image that quantizers see is judged."""
    library = outflow_library.load(build)
    read = outflow_library.read_source
    inliers = spread(read(library, usual, image, MOST_READ), 2 * count, image, usual)
    outliers = spread(read(library, others, image, MOST_READ), count, image, others)
    pixels.write(folder, "calibration", inliers[::2])
    pixels.write(folder, "judged", np.concatenate((inliers[1::2], outliers)))
    return {"count": count}


def prepare_onnx(folder: str, architecture: dict) -> dict:
    import onnx
    import onnx_graph
    with np.load(os.path.join(folder, "folded.npz")) as folded:
        onnx_graph.write(dict(folded), architecture, os.path.join(folder, "model.onnx"))
    return {"onnx": onnx.__version__}


if __name__ == "__main__":
    try:
        work = {"model": prepare_model, "images": prepare_images, "onnx": prepare_onnx}
        print(json.dumps(work[sys.argv[1]](**json.loads(sys.argv[2]))))
    except (weights.Unsuitable, RuntimeError, ValueError, OSError, MemoryError) as reason:
        sys.exit(str(reason))
