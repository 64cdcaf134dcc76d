# SPDX-License-Identifier: Apache-2.0
"""A process of its own that makes the files all contenders of a row read.

    prepare.py model JSON     model.safetensors (unless given), folded.npz, pixels
    prepare.py onnx JSON      model.onnx, with a Python that has onnx
"""
import json
import os
import sys

import numpy as np

import weights


def prepare_model(folder, given, steps, hidden, batch):
    """Prints the architecture and its FLOPs; pixels.nhwc and pixels.nchw hold the same bytes."""
    path = given or os.path.join(folder, "model.safetensors")
    if not given:
        architecture = weights.default_architecture(steps, hidden)
        weights.write(path, weights.make_random(architecture), architecture)
    tensors, architecture = weights.read(path)
    np.savez(os.path.join(folder, "folded.npz"), **weights.fold(tensors, architecture))
    channels, height, width = architecture["image"]
    images = np.random.default_rng(2).integers(0, 256, (batch, height, width, channels), np.uint8)
    images.tofile(os.path.join(folder, "pixels.nhwc"))
    images.transpose(0, 3, 1, 2).tofile(os.path.join(folder, "pixels.nchw"))
    return {"architecture": architecture, "flops": weights.flops(architecture), "model": path}


def prepare_onnx(folder, architecture):
    import onnx
    import onnx_graph
    with np.load(os.path.join(folder, "folded.npz")) as folded:
        onnx_graph.write(dict(folded), architecture, os.path.join(folder, "model.onnx"))
    return {"onnx": onnx.__version__}


if __name__ == "__main__":
    try:
        work = {"model": prepare_model, "onnx": prepare_onnx}[sys.argv[1]]
        print(json.dumps(work(**json.loads(sys.argv[2]))))
    except (weights.Unsuitable, ValueError, OSError, MemoryError) as reason:
        sys.exit(str(reason))
