# SPDX-License-Identifier: Apache-2.0
"""OpenVINO: a latency stream of all threads, or several streams that share the batch."""
import os

import numpy as np
import openvino


class Scorer:
    def __init__(self, job):
        setting = job["setting"]
        streams = setting["streams"]
        core = openvino.Core()
        model = core.read_model(os.path.join(job["folder"], "model.onnx"))
        model.reshape({"pixels": [setting["part"], *job["image"]]})
        compiled = core.compile_model(model, "CPU", {
            "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
            "NUM_STREAMS": str(streams),
            "INFERENCE_NUM_THREADS": setting["threads"] * streams,
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,  # no contender is pinned
        })
        pixels = np.fromfile(os.path.join(job["folder"], "pixels.nchw"), np.uint8)
        parts = pixels.reshape(-1, setting["part"], *job["image"])
        self.requests = [compiled.create_infer_request() for _ in parts]
        for request, part in zip(self.requests, parts):
            request.set_input_tensor(openvino.Tensor(np.ascontiguousarray(part)))
        self.version = openvino.__version__.split("-")[0]

    def run(self):
        if len(self.requests) == 1:
            self.requests[0].infer()
            return
        for request in self.requests:
            request.start_async()
        for request in self.requests:
            request.wait()

    def log_likelihoods(self):
        self.run()
        return np.concatenate([request.get_output_tensor().data.ravel()
                               for request in self.requests]).tolist()


create = Scorer
