# SPDX-License-Identifier: Apache-2.0
"""What a user writes with Outflow, see bench/compare_python.py: train on one array, score another."""
import sys
import time

import numpy as np

import outflow

train, test = np.load(sys.argv[1]), np.load(sys.argv[2])
begin = time.perf_counter()
outflow.train(
    train,
    "outflow.safetensors",
    architecture={"scales": 3, "steps": 8, "hidden": 64},
    batch=64,
    lr=1e-3,
    images=len(train),
)
trained = time.perf_counter()
scores = outflow.Detector("outflow.safetensors").score(test, "nll")
scored = time.perf_counter()
print(trained - begin, scored - trained, scores.mean() / test[0].size / np.log(2))
