# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime: one session; with several streams, as many threads call it with parts."""
from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime

import pixels


class Scorer:
    def __init__(self, job: dict):
        self.job, setting = job, job["setting"]
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = setting["threads"]
        options.inter_op_num_threads = 1
        options.add_free_dimension_override_by_name("N", setting["part"])
        self.session = onnxruntime.InferenceSession(
            os.path.join(job["folder"], job["graph"] + ".onnx"), options,
            providers=["CPUExecutionProvider"])
        self.parts = pixels.parts(pixels.read(job, "pixels"), setting["part"])
        self.pool = ThreadPoolExecutor(setting["streams"]) if setting["streams"] > 1 else None
        self.version = onnxruntime.__version__

    def part(self, images: np.ndarray) -> np.ndarray:
        return self.session.run(["logp"], {"pixels": images})[0]

    def run(self) -> list[np.ndarray]:
        if self.pool is None:
            return [self.part(part) for part in self.parts]
        return list(self.pool.map(self.part, self.parts))

    def log_likelihoods(self) -> list[float]:
        return np.concatenate(self.run()).tolist()

    def judge(self) -> list[float]:
        images = pixels.read(self.job, "judged")
        logp = [self.part(part) for part in pixels.parts(images, self.job["setting"]["part"])]
        return np.concatenate(logp)[:len(images)].tolist()


create = Scorer
