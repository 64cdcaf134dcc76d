# SPDX-License-Identifier: Apache-2.0
"""model.onnx in int8 by ONNX Runtime's own static quantizer: scales from calibration images,
weights by output channel.

    quantize_onnx.py JSON      writes GRAPH.onnx
"""
from __future__ import annotations

import json
import os
import sys

import numpy as np
import onnx
from onnxruntime.quantization import (CalibrationDataReader, QuantFormat, QuantType,
                                      quantize_static)
from onnxruntime.quantization.shape_inference import quant_pre_process

import pixels
from onnx_graph import in_scope

BATCH = 16  # calibration images a call


class Reader(CalibrationDataReader):
    def __init__(self, images: np.ndarray):
        self.parts = iter(pixels.parts(images, min(BATCH, len(images))))

    def get_next(self) -> dict | None:
        part = next(self.parts, None)
        return None if part is None else {"pixels": part}


def quantize(job: dict) -> dict:
    source, prepared, target = (os.path.join(job["folder"], name + ".onnx")
                                for name in ("model", job["graph"] + ".prepared", job["graph"]))
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    nodes = [node.name for node in onnx.load(prepared).graph.node
             if in_scope(node.name, job["scope"])]
    quantize_static(prepared, target, Reader(pixels.read(job, "calibration")),
                    quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                    nodes_to_quantize=nodes)
    os.remove(prepared)
    return {"nodes": len(nodes)}


if __name__ == "__main__":
    print(json.dumps(quantize(json.loads(sys.argv[1]))))
