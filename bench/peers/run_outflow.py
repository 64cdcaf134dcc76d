# SPDX-License-Identifier: Apache-2.0
"""Outflow: scoring through its C interface, a training step through `outflow bench`."""
from __future__ import annotations

import ctypes
import json
import os
import subprocess

from outflow_library import Batch, Likelihoods, call, load


class Scorer:
    def __init__(self, job: dict):
        self.job, self.threads = job, job["setting"]["threads"]
        self.outflow = load(job["build"])
        self.session = self.open_session()
        self.batch, self.logp = self.read("pixels")
        self.out = Likelihoods(ctypes.addressof(self.logp))
        self.version = (f"{self.outflow.of_version().decode()} "
                        f"({self.outflow.of_convolutions().decode()})")

    def precision(self) -> int:
        number = ctypes.c_int()
        call(self.outflow.of_precision_parse, self.job["precision"].encode(),
             ctypes.byref(number))
        return number.value

    def open_session(self) -> ctypes.c_void_p:
        """The plan lives as long as the process."""
        model, plan, session = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        precision = self.precision()
        call(self.outflow.of_model_load, os.fsencode(self.job["model"]), ctypes.byref(model))
        if self.job["precision"] == "int8":
            self.quantize(model)
        options = self.outflow.of_plan_options_default()
        options.threads, options.precision = self.threads, precision
        call(self.outflow.of_plan_compile, model, ctypes.byref(options), ctypes.byref(plan))
        call(self.outflow.of_session_create, plan, ctypes.c_uint(0), ctypes.byref(session))
        self.outflow.of_model_free(model)
        return session

    def quantize(self, model: ctypes.c_void_p) -> None:
        """With the images that the peers' quantizers see."""
        images, _ = self.read("calibration")
        call(self.outflow.of_model_quantize, model, ctypes.byref(images), None,
             ctypes.c_uint(self.threads))

    def read(self, name: str):
        """Images of a file in the row's folder, and room for their log-likelihoods."""
        with open(os.path.join(self.job["folder"], name + ".nhwc"), "rb") as file:
            data = file.read()
        channels, height, width = self.job["image"]
        batch = Batch(0, ctypes.cast(data, ctypes.c_void_p),
                      len(data) // (channels * height * width))
        batch.data = data  # which it points to
        return batch, (ctypes.c_double * batch.count)()

    def forward(self, batch: Batch, out: Likelihoods) -> None:
        call(self.outflow.of_session_forward, self.session, ctypes.byref(batch),
             ctypes.byref(out))

    def run(self) -> None:
        self.forward(self.batch, self.out)

    def log_likelihoods(self) -> list[float]:
        self.run()
        return list(self.logp)

    def judge(self) -> list[float]:
        batch, logp = self.read("judged")
        self.forward(batch, Likelihoods(ctypes.addressof(logp)))
        return list(logp)

    def peak(self) -> float:
        """Multiply-adds, in floating-point operations a second."""
        rate = ctypes.c_double()
        call(self.outflow.of_measure_peak, ctypes.c_uint(self.threads), ctypes.c_int(0),
             ctypes.byref(rate))
        return rate.value


class Trainer(Scorer):
    """What is compared with others is scoring in the same precision; a turn is a process of
    `outflow bench --mode train`, and the memory is what that process needed."""

    def __init__(self, job: dict):
        super().__init__(job)
        self.memory = 0
        self.turn(0.001)  # a precision that training does not have shows here

    def turn(self, seconds: float) -> float:
        command = [os.path.join(self.job["build"], "outflow"), "bench", "--mode", "train",
                   "--model", self.job["model"], "--batch", str(self.job["batch"]),
                   "--threads", str(self.threads), "--repetitions", "1",
                   "--precision", self.job["precision"],
                   "--seconds", f"{max(seconds, 0.001):.3f}", "--format", "json", "--quiet"]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if result.returncode != 0:
            raise RuntimeError(result.stderr.strip() or f"{command[0]}: {result.returncode}")
        row = json.loads(result.stdout)[0]
        self.memory = max(self.memory, row["rss_mb"])
        return self.job["batch"] / row["images_per_second"]


def create(job: dict) -> Scorer:
    return (Trainer if job["mode"] == "train" else Scorer)(job)
