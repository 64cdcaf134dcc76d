# SPDX-License-Identifier: Apache-2.0
"""model.onnx in int8 by OpenVINO's own quantizer, NNCF, with scales from calibration images.

    quantize_openvino.py JSON      writes GRAPH.xml and GRAPH.bin
"""
from __future__ import annotations

import json
import os
import sys

import nncf
import openvino

import pixels
from onnx_graph import in_scope

BATCH = 16  # calibration images a call


def spared(model: openvino.Model, scope: str) -> list[str]:
    """What NNCF must leave alone: without being told, it quantizes the flow's state too. OpenVINO
    names a layer's convolution NAME/WithoutBiases and its addition NAME."""
    if scope == "all":
        return []
    return [op.get_friendly_name() for op in model.get_ops()
            if op.get_type_name() not in ("Constant", "Parameter", "Result")
            and not in_scope(op.get_friendly_name().split("/")[0], scope)]


def quantize(job: dict) -> dict:
    model = openvino.Core().read_model(os.path.join(job["folder"], "model.onnx"))
    images = pixels.read(job, "calibration")
    batch = min(BATCH, len(images))
    model.reshape({"pixels": [batch, *job["image"]]})
    ignored = nncf.IgnoredScope(names=spared(model, job["scope"]), validate=False)
    parts = pixels.parts(images, batch)
    quantized = nncf.quantize(model, nncf.Dataset(parts, lambda part: {"pixels": part}),
                              subset_size=len(parts),
                              ignored_scope=ignored)
    openvino.save_model(quantized, os.path.join(job["folder"], job["graph"] + ".xml"),
                        compress_to_fp16=False)
    kinds = [op.get_type_name() for op in quantized.get_ops()]
    return {"quantizations": kinds.count("FakeQuantize")}


if __name__ == "__main__":
    print(json.dumps(quantize(json.loads(sys.argv[1]))))
