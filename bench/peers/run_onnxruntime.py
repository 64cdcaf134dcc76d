# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime: one session; with several streams, as many threads call it with parts."""
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime


class Scorer:
    def __init__(self, job):
        setting = job["setting"]
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = setting["threads"]
        options.inter_op_num_threads = 1
        options.add_free_dimension_override_by_name("N", setting["part"])
        self.session = onnxruntime.InferenceSession(
            os.path.join(job["folder"], "model.onnx"), options, providers=["CPUExecutionProvider"])
        pixels = np.fromfile(os.path.join(job["folder"], "pixels.nchw"), np.uint8)
        self.parts = pixels.reshape(-1, setting["part"], *job["image"])
        self.pool = ThreadPoolExecutor(setting["streams"]) if setting["streams"] > 1 else None
        self.version = onnxruntime.__version__

    def part(self, pixels):
        return self.session.run(["logp"], {"pixels": pixels})[0]

    def run(self):
        if self.pool is None:
            return [self.part(part) for part in self.parts]
        return list(self.pool.map(self.part, self.parts))

    def log_likelihoods(self):
        return np.concatenate(self.run()).tolist()


create = Scorer
