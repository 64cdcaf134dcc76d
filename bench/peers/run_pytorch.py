# SPDX-License-Identifier: Apache-2.0
"""PyTorch: eager or traced and frozen from folded weights; training from the weights as stored."""
import math
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch.nn import functional

import weights


def memory_format(setting):
    return torch.channels_last if setting["layout"] == "nhwc" else torch.contiguous_format


def read_pixels(job):
    pixels = np.fromfile(os.path.join(job["folder"], "pixels.nchw"), np.uint8)
    return torch.from_numpy(pixels.reshape(job["batch"], *job["image"]))


# ---- Scoring ----


class FoldedGlow(torch.nn.Module):
    def __init__(self, job):
        super().__init__()
        self.architecture = job["architecture"]
        layout = memory_format(job["setting"])
        with np.load(os.path.join(job["folder"], "folded.npz")) as folded:
            for name, values in folded.items():
                tensor = torch.from_numpy(values)
                if tensor.dim() == 4:
                    tensor = tensor.contiguous(memory_format=layout)
                self.register_buffer(name.replace(".", "_"), tensor)

    def conv(self, x, name, **options):
        return functional.conv2d(x, getattr(self, name + "_weight"), getattr(self, name + "_bias"),
                                 **options)

    def coupling(self, x, name):
        passed, rest = x.chunk(2, 1)
        h = self.conv(passed, name + "conv1", padding=1).relu_()
        h = self.conv(h, name + "conv2").relu_()
        h = self.conv(h, name + "conv3", padding=1)
        if self.architecture["coupling"] == "additive":
            return torch.cat((passed, rest + h), 1), None
        shift, raw = h.chunk(2, 1)
        s = torch.sigmoid(raw)
        return torch.cat((passed, (rest + shift) * s), 1), s

    def forward(self, pixels):
        x, logp = pixels.float(), self.constant
        for scale in range(self.architecture["scales"]):
            scales = []
            for step in range(self.architecture["steps"]):
                name = f"{scale}_{step}_"
                x = self.conv(x, name + "map", stride=1 if step else 2)
                x, s = self.coupling(x, name)
                scales.append(s)
            if s is not None:
                logp = logp + torch.log(torch.cat(scales, 1)).sum((1, 2, 3))
            z = x
            if scale + 1 < self.architecture["scales"]:
                z, x = z.chunk(2, 1)
            z = z * getattr(self, f"{scale}_prior_scale") + getattr(self, f"{scale}_prior_shift")
            logp = logp - 0.5 * (z * z).sum((1, 2, 3))
        return logp


class Scorer:
    def __init__(self, job):
        setting = job["setting"]
        torch.set_num_threads(setting["threads"])
        torch.set_grad_enabled(False)
        layout = memory_format(setting)
        self.parts = [part.contiguous(memory_format=layout)
                      for part in read_pixels(job).split(setting["part"])]
        self.model = FoldedGlow(job).eval()
        if job["contender"] == "frozen":
            self.model = torch.jit.freeze(torch.jit.trace(self.model, self.parts[0]))
            if setting["optimized"]:
                self.model = torch.jit.optimize_for_inference(self.model)
            for _ in range(3):  # the profiling executor compiles in the second run
                self.model(self.parts[0])
        self.pool = None
        if setting["streams"] > 1:
            self.pool = ThreadPoolExecutor(setting["streams"], initializer=self.start_thread,
                                           initargs=(setting["threads"],))
        self.version = torch.__version__

    @staticmethod
    def start_thread(threads):  # both settings are a thread's own
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)

    def run(self):
        if self.pool is None:
            return [self.model(part) for part in self.parts]
        return list(self.pool.map(self.model, self.parts))

    def log_likelihoods(self):
        return torch.cat(self.run()).double().tolist()


# ---- Training ----


class Step(torch.nn.Module):
    """A flow step whose every trained tensor is a Parameter."""

    def __init__(self, tensors, prefix):
        super().__init__()

        def value(name, shape=None):
            tensor = torch.from_numpy(tensors[prefix + name].copy())
            return tensor if shape is None else tensor.view(shape)

        for name in ("permutation", "sign"):
            self.register_buffer(name, value("mix." + name))
        for name in ("lower", "upper", "log_diag"):
            setattr(self, name, torch.nn.Parameter(value("mix." + name)))
        channel = (1, -1, 1, 1)
        for key, layer in (("norm", ""), ("norm1", "net.conv1."), ("norm2", "net.conv2.")):
            for part in ("loc", "log_scale"):
                parameter = torch.nn.Parameter(value(f"{layer}actnorm.{part}", channel))
                setattr(self, f"{key}_{part}", parameter)
        for layer in ("conv1", "conv2", "conv3"):
            setattr(self, layer, torch.nn.Parameter(value(f"net.{layer}.weight")))
        self.bias = torch.nn.Parameter(value("net.conv3.bias"))
        self.out_log_scale = torch.nn.Parameter(value("net.conv3.log_scale", channel))

    def mixing(self):
        c = self.sign.numel()
        lower = torch.tril(self.lower, -1) + torch.eye(c)
        upper = torch.triu(self.upper, 1) + torch.diag(self.sign * self.log_diag.exp())
        return (self.permutation @ lower @ upper).view(c, c, 1, 1)

    def forward(self, x):
        conv = functional.conv2d
        x = conv(self.norm_log_scale.exp() * (x + self.norm_loc), self.mixing())
        passed, rest = x.chunk(2, 1)
        h = conv(passed, self.conv1, padding=1)
        h = torch.relu(self.norm1_log_scale.exp() * (h + self.norm1_loc))
        h = conv(h, self.conv2)
        h = torch.relu(self.norm2_log_scale.exp() * (h + self.norm2_loc))
        h = conv(h, self.conv3, self.bias, padding=1) * (3 * self.out_log_scale).exp()
        raw = h[:, 1::2] + 2.0
        rest = (rest + h[:, 0::2]) * torch.sigmoid(raw)
        log_det = functional.logsigmoid(raw).sum((1, 2, 3))
        constant = self.log_diag.sum() + self.norm_log_scale.sum()
        return torch.cat((passed, rest), 1), log_det + constant * (x.shape[2] * x.shape[3])


class TrainedGlow(torch.nn.Module):
    def __init__(self, job):
        super().__init__()
        tensors, architecture = weights.read(job["model"])
        if architecture["coupling"] != "affine" or "scales.0.steps.0.mix.lower" not in tensors:
            raise ValueError("PyTorch's training model knows affine coupling with LU mixing only")
        self.scales = torch.nn.ModuleList(
            torch.nn.ModuleList(Step(tensors, f"scales.{scale}.steps.{step}.")
                                for step in range(architecture["steps"]))
            for scale in range(architecture["scales"]))
        self.prior = torch.nn.ParameterList(
            torch.nn.Parameter(torch.from_numpy(tensors[f"scales.{scale}.prior.{part}"].copy()))
            for scale in range(architecture["scales"]) for part in ("loc", "log_scale"))

    def forward(self, x):
        logp = 0.0
        for scale, steps in enumerate(self.scales):
            x = functional.pixel_unshuffle(x, 2)
            for step in steps:
                x, log_det = step(x)
                logp = logp + log_det
            z = x
            if scale + 1 < len(self.scales):
                z, x = x.chunk(2, 1)
            loc, log_scale = self.prior[2 * scale], self.prior[2 * scale + 1]
            z = log_scale.exp() * (z.flatten(1) + loc)
            logp = logp + log_scale.sum() - 0.5 * (z * z + math.log(2 * math.pi)).sum(1)
        return logp


class Trainer:
    def __init__(self, job):
        setting = job["setting"]
        torch.set_num_threads(setting["threads"])
        layout = memory_format(setting)
        self.x = (read_pixels(job).float() + 0.5) / 256 - 0.5
        self.x = self.x.contiguous(memory_format=layout)
        self.model = TrainedGlow(job).to(memory_format=layout)
        self.optimizer = torch.optim.Adamax(self.model.parameters(), lr=1e-5, weight_decay=5e-5,
                                            **({"foreach": True} if setting["foreach"] else {}))
        self.version = torch.__version__

    def run(self):
        self.optimizer.zero_grad(set_to_none=True)
        (-self.model(self.x).mean()).backward()
        self.optimizer.step()

    def log_likelihoods(self):
        with torch.no_grad():
            return self.model(self.x).double().tolist()


def create(job):
    return (Trainer if job["mode"] == "train" else Scorer)(job)
