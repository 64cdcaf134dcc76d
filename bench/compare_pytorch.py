#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times Outflow and PyTorch on the same weights and images, in turn, in one process each.

    bench/compare_pytorch.py --library build/release/liboutflow.so --steps 8 --hidden 128 --batch 64

Both must agree on the log-likelihoods before anything is timed. PyTorch runs eagerly and as a
frozen trace, each in a process of its own so that the two OpenMP pools do not compete.
"""
import argparse
import ctypes
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np

SCALES = 3


class Architecture(ctypes.Structure):
    _fields_ = [("family", ctypes.c_int), ("channels", ctypes.c_uint32),
                ("height", ctypes.c_uint32), ("width", ctypes.c_uint32),
                ("scales", ctypes.c_uint32), ("steps", ctypes.c_uint32),
                ("hidden", ctypes.c_uint32), ("coupling", ctypes.c_int),
                ("permutation", ctypes.c_int), ("lu", ctypes.c_bool), ("block", ctypes.c_int),
                ("classes", ctypes.c_uint32)]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 1024)]


class Options(ctypes.Structure):
    _fields_ = [("threads", ctypes.c_uint), ("isa", ctypes.c_int), ("micro_batch", ctypes.c_uint)]


class Batch(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("pixels", ctypes.c_void_p), ("count", ctypes.c_size_t)]


class Likelihoods(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p)
                for name in ("logp", "contributions", "class_logp", "latents")]


def load_library(path):
    library = ctypes.CDLL(path)
    library.of_architecture_default.restype = Architecture
    return library


def check(status, error):
    if status != 0:
        sys.exit(f"outflow: {error.message.decode()}")


def read_safetensors(path):
    data = open(path, "rb").read()
    length, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        dtype = {"F32": "<f4", "I64": "<i8"}[entry["dtype"]]
        tensors[name] = np.frombuffer(data[begin:end], dtype).reshape(entry["shape"])
    return tensors


def write_model(library, steps, hidden, path):
    """Random weights; the zero last layers get some noise, so that agreement means something."""
    error, model = Error(), ctypes.c_void_p()
    architecture = library.of_architecture_default()
    architecture.steps, architecture.hidden = steps, hidden
    check(library.of_model_create(ctypes.byref(architecture), ctypes.c_uint64(1),
                                  ctypes.byref(model), ctypes.byref(error)), error)
    check(library.of_model_save(model, path.encode(), ctypes.byref(error)), error)
    library.of_model_free(model)
    data = bytearray(open(path, "rb").read())
    length, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    random = np.random.default_rng(1)
    for name, entry in header.items():
        if ".conv3." in name or name.endswith((".loc", "actnorm.log_scale")):
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            noise = 0.03 * random.standard_normal((end - begin) // 4)
            data[begin:end] = noise.astype("<f4").tobytes()
    open(path, "wb").write(data)


def images_of(batch):
    return np.random.default_rng(2).integers(0, 256, (batch, 32, 32, 3), dtype=np.uint8)


def time_calls(call, seconds):
    call()
    times, begin = [], time.perf_counter()
    while len(times) < 3 or (time.perf_counter() - begin < seconds and len(times) < 50):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def run_outflow(args):
    library, error = load_library(args.library), Error()
    model, plan = ctypes.c_void_p(), ctypes.c_void_p()
    check(library.of_model_load(args.model.encode(), ctypes.byref(model), ctypes.byref(error)),
          error)
    options = Options(args.threads, 0, 0)
    check(library.of_plan_compile(model, ctypes.byref(options), ctypes.byref(plan),
                                  ctypes.byref(error)), error)
    images, logp = images_of(args.batch), np.zeros(args.batch)
    batch = Batch(0, images.ctypes.data, args.batch)
    results = Likelihoods(logp.ctypes.data, None, None, None)

    def call():
        check(library.of_plan_forward(plan, ctypes.byref(batch), ctypes.byref(results),
                                      ctypes.byref(error)), error)
    seconds = time_calls(call, args.seconds)
    return seconds, logp


def run_pytorch(args):
    import torch
    torch.set_num_threads(args.threads)
    weights = {name: torch.from_numpy(values.copy())
               for name, values in read_safetensors(args.model).items()}

    def squeeze(x):
        n, c, h, w = x.shape
        x = x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4)
        return x.reshape(n, 4 * c, h // 2, w // 2)

    class Step(torch.nn.Module):
        def __init__(self, prefix):
            super().__init__()

            def get(name):
                return weights[prefix + name]
            c = get("mix.permutation").shape[0]
            lower = torch.tril(get("mix.lower"), -1) + torch.eye(c)
            upper = torch.triu(get("mix.upper"), 1)
            upper = upper + torch.diag(get("mix.sign") * get("mix.log_diag").exp())
            self.register_buffer("mix", (get("mix.permutation") @ lower @ upper).view(c, c, 1, 1))
            self.register_buffer("log_det",
                                 get("mix.log_diag").sum() + get("actnorm.log_scale").sum())
            for layer in ("actnorm", "net.conv1.actnorm", "net.conv2.actnorm"):
                key = layer.replace(".", "_")
                self.register_buffer(key + "_loc", get(layer + ".loc").view(1, -1, 1, 1))
                self.register_buffer(key + "_scale",
                                     get(layer + ".log_scale").exp().view(1, -1, 1, 1))
            for layer in ("conv1", "conv2", "conv3"):
                self.register_buffer(layer, get(f"net.{layer}.weight"))
            self.register_buffer("bias", get("net.conv3.bias"))
            self.register_buffer("out_scale",
                                 (3 * get("net.conv3.log_scale")).exp().view(1, -1, 1, 1))

        def forward(self, x):
            conv = torch.nn.functional.conv2d
            x = conv(self.actnorm_scale * (x + self.actnorm_loc), self.mix)
            passed, rest = x.chunk(2, 1)
            h = conv(passed, self.conv1, padding=1)
            h = torch.relu(self.net_conv1_actnorm_scale * (h + self.net_conv1_actnorm_loc))
            h = conv(h, self.conv2)
            h = torch.relu(self.net_conv2_actnorm_scale * (h + self.net_conv2_actnorm_loc))
            h = conv(h, self.conv3, self.bias, padding=1) * self.out_scale
            raw = h[:, 1::2] + 2.0
            rest = (rest + h[:, 0::2]) * torch.sigmoid(raw)
            log_det = torch.nn.functional.logsigmoid(raw).sum((1, 2, 3))
            log_det = log_det + self.log_det * (x.shape[2] * x.shape[3])
            return torch.cat((passed, rest), 1), log_det

    class Glow(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scales = torch.nn.ModuleList(
                torch.nn.ModuleList(Step(f"scales.{s}.steps.{k}.") for k in range(args.steps))
                for s in range(SCALES))
            for s in range(SCALES):
                self.register_buffer(f"loc{s}", weights[f"scales.{s}.prior.loc"])
                self.register_buffer(f"log_scale{s}", weights[f"scales.{s}.prior.log_scale"])

        def forward(self, x):
            logp = torch.zeros(x.shape[0])
            for s, steps in enumerate(self.scales):
                x = squeeze(x)
                for step in steps:
                    x, log_det = step(x)
                    logp = logp + log_det
                z = x
                if s + 1 < SCALES:
                    z, x = x.chunk(2, 1)
                log_scale = getattr(self, f"log_scale{s}")
                z = log_scale.exp() * (z.flatten(1) + getattr(self, f"loc{s}"))
                logp = logp + log_scale.sum()
                logp = logp - 0.5 * (z * z + 1.8378770664093453).sum(1)
            return logp

    model = Glow().eval()
    pixels = torch.from_numpy(images_of(args.batch)).permute(0, 3, 1, 2).float()
    pixels = (pixels + 0.5) / 256 - 0.5
    with torch.no_grad():
        if args.worker == "frozen":
            model = torch.jit.freeze(torch.jit.trace(model, pixels))
            model(pixels)
        seconds = time_calls(lambda: model(pixels), args.seconds)
        return seconds, model(pixels).double().numpy()


def worker(args):
    seconds, logp = run_outflow(args) if args.worker == "outflow" else run_pytorch(args)
    print(json.dumps({"seconds": seconds, "logp": logp.tolist()}))


def start(args, name, model, threads):
    environment = dict(os.environ, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS=str(threads))
    command = [sys.executable, os.path.abspath(__file__), "--library", args.library, "--steps",
               str(args.steps), "--hidden", str(args.hidden), "--batch", str(args.batch),
               "--threads", str(threads), "--seconds", str(args.seconds), "--worker", name,
               "--model", model]
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(result.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="build/release/liboutflow.so")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3, help="turns each contender gets")
    parser.add_argument("--seconds", type=float, default=5, help="timing of one turn")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return worker(args)
    try:
        import torch  # noqa: F401
    except ImportError:
        print("SKIPPED: PyTorch is not installed for this Python (Debian: python3-torch)")
        return 77
    contenders = ["outflow", "eager", "frozen"]
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model.safetensors")
        write_model(load_library(args.library), args.steps, args.hidden, model)
        times, logp = {name: [] for name in contenders}, {}
        for _ in range(args.rounds):
            for name in contenders:
                result = start(args, name, model, args.threads)
                times[name].append(result["seconds"])
                logp[name] = np.array(result["logp"])
    difference = np.abs(logp["outflow"] - logp["eager"]).max()
    print(f"K {args.steps}, hidden {args.hidden}, batch {args.batch}, {args.threads} threads: "
          f"log-likelihoods differ by at most {difference:.2g} nats")
    if not difference < 0.05:
        sys.exit("the two do not compute the same: no comparison")
    print("| contender | images/s | Outflow is |\n|---|---|---|")
    ours = statistics.median(times["outflow"])
    for name in contenders:
        seconds = statistics.median(times[name])
        label = name if name == "outflow" else f"PyTorch {name}"
        print(f"| {label} | {args.batch / seconds:.1f} | {seconds / ours:.2f}x |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
