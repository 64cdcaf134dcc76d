# SPDX-License-Identifier: Apache-2.0
"""PyTorch scores from folded weights, eagerly or compiled by inductor with constants folded."""
from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch.nn import functional

import pixels
from pytorch_modes import memory_format, prepare_compiler


class FoldedGlow(torch.nn.Module):
    """In bf16, weights are rounded once; what autocast would do, without its casts in each call.
    The flow's state and the log-determinants are floats whatever the convolutions are."""

    def __init__(self, job: dict):
        super().__init__()
        self.architecture = job["architecture"]
        self.layout = memory_format(job["setting"])
        scope = job["setting"]["scope"] if job["precision"] == "bf16" else None
        self.low_layers = {"all": ("map", "conv"), "networks": ("conv",), None: ()}[scope]
        with np.load(os.path.join(job["folder"], "folded.npz")) as folded:
            for name, values in folded.items():
                self.register_buffer(name.replace(".", "_"),
                                     self.prepare(name, torch.from_numpy(values)))

    def prepare(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        layer = (name.split(".") + ["", ""])[2]
        if self.low_layers and layer.startswith(self.low_layers):
            tensor = tensor.bfloat16()
        return tensor.contiguous(memory_format=self.layout) if tensor.dim() == 4 else tensor

    def conv(self, x, name, **options):
        weight, bias = getattr(self, name + "_weight"), getattr(self, name + "_bias")
        return functional.conv2d(x.to(weight.dtype), weight, bias, **options)

    def coupling(self, x, name):
        passed, rest = x.chunk(2, 1)
        h = self.conv(passed, name + "conv1", padding=1).relu_()
        h = self.conv(h, name + "conv2").relu_()
        h = self.conv(h, name + "conv3", padding=1).float()
        if self.architecture["coupling"] == "additive":
            return torch.cat((passed, rest + h), 1), None
        shift, raw = h.chunk(2, 1)
        s = torch.sigmoid(raw)
        return torch.cat((passed, (rest + shift) * s), 1), s

    def forward(self, images):
        x, logp = images.float(), self.constant
        for scale in range(self.architecture["scales"]):
            scales = []
            for step in range(self.architecture["steps"]):
                name = f"{scale}_{step}_"
                x = self.conv(x, name + "map", stride=1 if step else 2).float()
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
    def __init__(self, job: dict):
        self.job, setting = job, job["setting"]
        torch.set_num_threads(setting["threads"])
        torch.set_grad_enabled(False)
        self.parts = self.tensors("pixels")
        self.model = FoldedGlow(job).eval()
        if job["engine"] == "compiled":
            prepare_compiler(setting)
            self.model = torch.compile(self.model, dynamic=False)
        self.pool = None
        if setting["streams"] > 1:
            self.model(self.parts[0])  # compiled by one thread
            self.pool = ThreadPoolExecutor(setting["streams"], initializer=self.start_thread,
                                           initargs=(setting["threads"],))
        self.version = torch.__version__

    def tensors(self, name: str) -> list[torch.Tensor]:
        layout = memory_format(self.job["setting"])
        groups = pixels.parts(pixels.read(self.job, name), self.job["setting"]["part"])
        return [torch.from_numpy(group).contiguous(memory_format=layout) for group in groups]

    @staticmethod
    def start_thread(threads: int) -> None:  # both settings are a thread's own
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)

    def run(self) -> list[torch.Tensor]:
        if self.pool is None:
            return [self.model(part) for part in self.parts]
        return list(self.pool.map(self.model, self.parts))

    def log_likelihoods(self) -> list[float]:
        return torch.cat(self.run()).double().tolist()

    def judge(self) -> list[float]:
        count = len(pixels.read(self.job, "judged"))
        return torch.cat([self.model(part) for part in self.tensors("judged")])[:count].tolist()
