# SPDX-License-Identifier: Apache-2.0
"""Outflow: scoring through its C interface, a training step through `outflow bench`."""
import ctypes
import json
import os
import subprocess

ROOM = 512  # bytes for a structure, to which a later version may add fields


class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("threads", ctypes.c_uint), ("isa", ctypes.c_int),
                ("micro_batch", ctypes.c_uint), ("room", ctypes.c_char * ROOM)]


class Batch(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("pixels", ctypes.c_void_p), ("count", ctypes.c_size_t),
                ("room", ctypes.c_char * ROOM)]


class Likelihoods(ctypes.Structure):
    _fields_ = [("logp", ctypes.c_void_p), ("room", ctypes.c_char * ROOM)]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 1024),
                ("room", ctypes.c_char * ROOM)]


def call(function, *arguments):
    error = Error()
    if function(*arguments, ctypes.byref(error)) != 0:
        raise RuntimeError(error.message.decode(errors="replace"))


class Scorer:
    def __init__(self, job):
        self.library = ctypes.CDLL(os.path.join(job["build"], "liboutflow.so"))
        self.library.of_version.restype = ctypes.c_char_p
        self.library.of_convolutions.restype = ctypes.c_char_p
        self.threads = job["setting"]["threads"]
        model = ctypes.c_void_p()
        plan = ctypes.c_void_p()
        self.session = ctypes.c_void_p()
        call(self.library.of_model_load, os.fsencode(job["model"]), ctypes.byref(model))
        self.library.of_plan_options_default.restype = Options
        options = self.library.of_plan_options_default()
        options.threads = self.threads
        call(self.library.of_plan_compile, model, ctypes.byref(options), ctypes.byref(plan))
        call(self.library.of_session_create, plan, ctypes.c_uint(0), ctypes.byref(self.session))
        self.library.of_model_free(model)
        with open(os.path.join(job["folder"], "pixels.nhwc"), "rb") as file:
            self.pixels = file.read()
        self.logp = (ctypes.c_double * job["batch"])()
        address = ctypes.cast(self.pixels, ctypes.c_void_p)
        self.batch = Batch(0, address, job["batch"])
        self.out = Likelihoods(ctypes.addressof(self.logp))
        self.version = (f"{self.library.of_version().decode()} "
                        f"({self.library.of_convolutions().decode()})")

    def run(self):
        call(self.library.of_session_forward, self.session, ctypes.byref(self.batch),
             ctypes.byref(self.out))

    def log_likelihoods(self):
        self.run()
        return list(self.logp)

    def peak(self):
        """Multiply-adds, in floating-point operations a second."""
        rate = ctypes.c_double()
        call(self.library.of_measure_peak, ctypes.c_uint(self.threads), ctypes.c_int(0),
             ctypes.byref(rate))
        return rate.value


class Trainer(Scorer):
    """Agreement is that of scoring; a turn is a process of `outflow bench --mode train`, and the
    memory is what that process needed."""

    def __init__(self, job):
        super().__init__(job)
        self.job, self.memory = job, 0

    def turn(self, seconds):
        command = [os.path.join(self.job["build"], "outflow"), "bench", "--mode", "train",
                   "--model", self.job["model"], "--batch", str(self.job["batch"]),
                   "--threads", str(self.threads), "--repetitions", "1",
                   "--seconds", f"{max(seconds, 0.001):.3f}", "--format", "json", "--quiet"]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if result.returncode != 0:
            raise RuntimeError(result.stderr.strip() or f"{command[0]}: {result.returncode}")
        row = json.loads(result.stdout)[0]
        self.memory = max(self.memory, row["rss_mb"])
        return self.job["batch"] / row["images_per_second"]


def create(job):
    return (Trainer if job["mode"] == "train" else Scorer)(job)
