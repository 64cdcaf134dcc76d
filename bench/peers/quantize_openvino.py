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


def quantize(job: dict) -> dict:
    model = openvino.Core().read_model(os.path.join(job["folder"], "model.onnx"))
    images = pixels.read(job, "calibration")
    batch = min(BATCH, len(images))
    model.reshape({"pixels": [batch, *job["image"]]})
    convolutions = [op.get_friendly_name() for op in model.get_ops()
                    if op.get_type_name() == "Convolution"]
    spared = [name for name in convolutions if not in_scope(name, job["scope"])]
    parts = pixels.parts(images, batch)
    quantized = nncf.quantize(model, nncf.Dataset(parts, lambda part: {"pixels": part}),
                              subset_size=len(parts),
                              ignored_scope=nncf.IgnoredScope(names=spared))
    openvino.save_model(quantized, os.path.join(job["folder"], job["graph"] + ".xml"),
                        compress_to_fp16=False)
    return {"convolutions": len(convolutions) - len(spared)}


if __name__ == "__main__":
    print(json.dumps(quantize(json.loads(sys.argv[1]))))
