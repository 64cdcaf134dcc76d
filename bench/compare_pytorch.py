#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times Outflow and PyTorch on the same weights and images, in turn, in one process each.

    bench/compare_pytorch.py --build build/release --steps 8 --hidden 128 --batch 64
    bench/compare_pytorch.py --build build/release --steps 8 --hidden 128 --batch 64 --mode train

Scoring: both must agree on the log-likelihoods before anything is timed; PyTorch runs eagerly and
as a frozen trace. Training: Adamax on the mean negative log-likelihood, images/s and the largest
resident memory of the process. Each contender has a process of its own, so that OpenMP pools do not
compete.
"""
import argparse
import ctypes
import json
import os
import resource
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
    library, error = load_library(library_of(args)), Error()
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


def build_pytorch(args, torch):
    """Glow for the weight file; when training, everything that Outflow trains is a Parameter."""
    weights = {name: torch.from_numpy(values.copy())
               for name, values in read_safetensors(args.model).items()}
    training = args.mode == "train"

    def squeeze(x):
        n, c, h, w = x.shape
        x = x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4)
        return x.reshape(n, 4 * c, h // 2, w // 2)

    class Holder(torch.nn.Module):
        def keep(self, key, name, shape=None, fixed=False):
            value = weights[name] if shape is None else weights[name].view(shape)
            if training and not fixed:
                self.register_parameter(key, torch.nn.Parameter(value.clone()))
            else:
                self.register_buffer(key, value)

    class Step(Holder):
        def __init__(self, prefix):
            super().__init__()
            channel = (1, -1, 1, 1)
            for name in ("lower", "upper", "log_diag"):
                self.keep(name, prefix + "mix." + name)
            for name in ("permutation", "sign"):
                self.keep(name, prefix + "mix." + name, fixed=True)
            for key, layer in (("norm", ""), ("norm1", "net.conv1."), ("norm2", "net.conv2.")):
                self.keep(key + "_loc", prefix + layer + "actnorm.loc", channel)
                self.keep(key + "_log_scale", prefix + layer + "actnorm.log_scale", channel)
            for layer in ("conv1", "conv2", "conv3"):
                self.keep(layer, prefix + f"net.{layer}.weight")
            self.keep("bias", prefix + "net.conv3.bias")
            self.keep("out_log_scale", prefix + "net.conv3.log_scale", channel)
            if not training:  # constants of inference
                with torch.no_grad():
                    self.register_buffer("mix", self.mixing())

        def mixing(self):
            c = self.sign.numel()
            lower = torch.tril(self.lower, -1) + torch.eye(c)
            upper = torch.triu(self.upper, 1) + torch.diag(self.sign * self.log_diag.exp())
            return (self.permutation @ lower @ upper).view(c, c, 1, 1)

        def forward(self, x):
            conv = torch.nn.functional.conv2d
            mix = self.mixing() if training else self.mix
            x = conv(self.norm_log_scale.exp() * (x + self.norm_loc), mix)
            passed, rest = x.chunk(2, 1)
            h = conv(passed, self.conv1, padding=1)
            h = torch.relu(self.norm1_log_scale.exp() * (h + self.norm1_loc))
            h = conv(h, self.conv2)
            h = torch.relu(self.norm2_log_scale.exp() * (h + self.norm2_loc))
            h = conv(h, self.conv3, self.bias, padding=1) * (3 * self.out_log_scale).exp()
            raw = h[:, 1::2] + 2.0
            rest = (rest + h[:, 0::2]) * torch.sigmoid(raw)
            log_det = torch.nn.functional.logsigmoid(raw).sum((1, 2, 3))
            constant = self.log_diag.sum() + self.norm_log_scale.sum()
            return torch.cat((passed, rest), 1), log_det + constant * (x.shape[2] * x.shape[3])

    class Glow(Holder):
        def __init__(self):
            super().__init__()
            self.scales = torch.nn.ModuleList(
                torch.nn.ModuleList(Step(f"scales.{s}.steps.{k}.") for k in range(args.steps))
                for s in range(SCALES))
            for s in range(SCALES):
                self.keep(f"loc{s}", f"scales.{s}.prior.loc")
                self.keep(f"log_scale{s}", f"scales.{s}.prior.log_scale")

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

    pixels = torch.from_numpy(images_of(args.batch)).permute(0, 3, 1, 2).float()
    return Glow(), (pixels + 0.5) / 256 - 0.5


def run_pytorch(args):
    import torch
    torch.set_num_threads(args.threads)
    model, pixels = build_pytorch(args, torch)
    if args.mode == "train":
        optimizer = torch.optim.Adamax(model.parameters(), lr=1e-5, weight_decay=5e-5)

        def step():
            optimizer.zero_grad()
            (-model(pixels).mean()).backward()
            optimizer.step()
        return time_calls(step, args.seconds), np.zeros(0)
    with torch.no_grad():
        model.eval()
        if args.worker == "frozen":
            model = torch.jit.freeze(torch.jit.trace(model, pixels))
            model(pixels)
        seconds = time_calls(lambda: model(pixels), args.seconds)
        return seconds, model(pixels).double().numpy()


def train_outflow(args):
    """The program itself: seconds a batch from its log, and the peak memory it reports."""
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log.jsonl")
        rate = 0.0
        images = args.batch * 4
        while True:  # long enough for the time that was asked
            command = [os.path.join(args.build, "outflow"), "train", "--data",
                       f"synthetic:general:{max(images, 64)}", "--images", str(images),
                       "--init", args.model, "--batch", str(args.batch), "--lr", "1e-5",
                       "--threads", str(args.threads), "--log", log, "--quiet", "--overwrite",
                       "--log-every", "1", "--out", os.path.join(folder, "out.safetensors")]
            subprocess.run(command, check=True)
            lines = [json.loads(line) for line in open(log)]
            rates = [line["images_per_second"] for line in lines if line.get("images_per_second")]
            rate = statistics.median(rates[1:] or rates)
            if images / rate >= args.seconds:
                break
            images = int(args.batch * (1 + args.seconds * 1.2 * rate // args.batch))
            os.remove(log)
        memory = max(line["rss_bytes"] for line in lines) / 2**20
        return args.batch / rate, memory


def worker(args):
    memory = 0
    if args.worker == "outflow" and args.mode == "train":
        seconds, memory = train_outflow(args)
        logp = np.zeros(0)
    else:
        seconds, logp = run_outflow(args) if args.worker == "outflow" else run_pytorch(args)
    memory = memory or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "logp": logp.tolist(), "memory": memory}))


def start(args, name, model):
    environment = dict(os.environ, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS=str(args.threads))
    command = [sys.executable, os.path.abspath(__file__), "--worker", name, "--model", model]
    for option in ("build", "mode", "steps", "hidden", "batch", "threads", "seconds"):
        command += ["--" + option, str(getattr(args, option))]
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(result.stdout)


def library_of(args):
    return os.path.join(args.build, "liboutflow.so")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--mode", choices=["score", "train"], default="score")
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
    contenders = ["outflow", "eager"] + (["frozen"] if args.mode == "score" else [])
    results = {name: [] for name in contenders}
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model.safetensors")
        write_model(load_library(library_of(args)), args.steps, args.hidden, model)
        for _ in range(args.rounds):
            for name in contenders:
                results[name].append(start(args, name, model))
    print(f"{args.mode}: K {args.steps}, hidden {args.hidden}, batch {args.batch}, "
          f"{args.threads} threads")
    if args.mode == "score":
        logp = {name: np.array(runs[-1]["logp"]) for name, runs in results.items()}
        difference = np.abs(logp["outflow"] - logp["eager"]).max()
        print(f"log-likelihoods differ by at most {difference:.2g} nats")
        if not difference < 0.05:
            sys.exit("the two do not compute the same: no comparison")
    seconds = {name: statistics.median(run["seconds"] for run in runs)
               for name, runs in results.items()}
    print("| contender | images/s | Outflow is | peak memory |\n|---|---|---|---|")
    for name in contenders:
        label = name if name == "outflow" else f"PyTorch {name}"
        memory = statistics.median(run["memory"] for run in results[name])
        print(f"| {label} | {args.batch / seconds[name]:.1f} "
              f"| {seconds[name] / seconds['outflow']:.2f}x | {memory:.0f} MB |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
