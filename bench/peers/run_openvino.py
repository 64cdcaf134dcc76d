# SPDX-License-Identifier: Apache-2.0
"""OpenVINO: a latency stream of all threads, or several streams that share the batch."""
from __future__ import annotations

import os

import numpy as np
import openvino

import pixels


def read_model(job: dict) -> openvino.Model:
    suffix = ".xml" if job["precision"] == "int8" else ".onnx"
    model = openvino.Core().read_model(os.path.join(job["folder"], job["graph"] + suffix))
    model.reshape({"pixels": [job["setting"]["part"], *job["image"]]})
    return model


class Scorer:
    def __init__(self, job: dict):
        self.job, setting = job, job["setting"]
        streams = setting["streams"]
        # What is not quantized: the hint that lets OpenVINO choose gives bf16 where there is any.
        rest = "bf16" if job["precision"] == "bf16" else "f32"
        self.compiled = openvino.Core().compile_model(read_model(job), "CPU", {
            "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
            "NUM_STREAMS": str(streams),
            "INFERENCE_NUM_THREADS": setting["threads"] * streams,
            "INFERENCE_PRECISION_HINT": rest,
            "ENABLE_CPU_PINNING": False,  # no contender is pinned
        })
        parts = pixels.parts(pixels.read(job, "pixels"), setting["part"])
        self.requests = [self.request(part) for part in parts]
        self.version = openvino.__version__.split("-")[0]

    def request(self, part: np.ndarray) -> openvino.InferRequest:
        request = self.compiled.create_infer_request()
        request.set_input_tensor(openvino.Tensor(part))
        return request

    def run(self) -> None:
        if len(self.requests) == 1:
            self.requests[0].infer()
            return
        for request in self.requests:
            request.start_async()
        for request in self.requests:
            request.wait()

    def log_likelihoods(self) -> list[float]:
        self.run()
        return np.concatenate([request.get_output_tensor().data.ravel()
                               for request in self.requests]).tolist()

    def judge(self) -> list[float]:
        images = pixels.read(self.job, "judged")
        logp, request = [], self.compiled.create_infer_request()
        for part in pixels.parts(images, self.job["setting"]["part"]):
            request.set_input_tensor(openvino.Tensor(part))
            request.infer()
            logp.append(request.get_output_tensor().data.ravel().copy())
        return np.concatenate(logp)[:len(images)].tolist()


create = Scorer
