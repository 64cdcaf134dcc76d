# SPDX-License-Identifier: Apache-2.0
"""PyTorch trains from the weights as they are stored: a step of an optimizer on the mean negative
log-likelihood, eagerly or with forward and backward compiled by inductor."""
from __future__ import annotations

import math

import torch
from torch.nn import functional

import pixels
import weights
from pytorch_modes import memory_format, prepare_compiler


def autocast(enabled: bool = True) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=enabled)


class Step(torch.nn.Module):
    """A flow step whose every trained tensor is a Parameter. `cast`: the network in bfloat16."""

    def __init__(self, tensors: dict, prefix: str, cast: bool):
        super().__init__()
        self.cast = cast

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
        with autocast(False):  # the product of the factors, whatever is cast outside
            lower = torch.tril(self.lower, -1) + torch.eye(c)
            upper = torch.triu(self.upper, 1) + torch.diag(self.sign * self.log_diag.exp())
            return (self.permutation @ lower @ upper).view(c, c, 1, 1)

    def network(self, x):
        conv = functional.conv2d
        h = conv(x, self.conv1, padding=1)
        h = torch.relu(self.norm1_log_scale.exp() * (h + self.norm1_loc))
        h = conv(h, self.conv2)
        h = torch.relu(self.norm2_log_scale.exp() * (h + self.norm2_loc))
        return conv(h, self.conv3, self.bias, padding=1)

    def coefficients(self, x):
        if not self.cast:
            return self.network(x)
        with autocast():
            return self.network(x)

    def forward(self, x):
        x = self.norm_log_scale.exp() * (x + self.norm_loc)
        x = functional.conv2d(x, self.mixing()).float()
        passed, rest = x.chunk(2, 1)
        h = self.coefficients(passed).float() * (3 * self.out_log_scale).exp()
        raw = h[:, 1::2] + 2.0
        rest = (rest + h[:, 0::2]) * torch.sigmoid(raw)
        log_det = functional.logsigmoid(raw).sum((1, 2, 3))
        constant = self.log_diag.sum() + self.norm_log_scale.sum()
        return torch.cat((passed, rest), 1), log_det + constant * (x.shape[2] * x.shape[3])


class TrainedGlow(torch.nn.Module):
    def __init__(self, job: dict):
        super().__init__()
        scope = job["setting"]["scope"] if job["precision"] == "bf16" else None
        self.cast = scope == "all"
        tensors, architecture = weights.read(job["model"])
        if architecture["coupling"] != "affine" or "scales.0.steps.0.mix.lower" not in tensors:
            raise ValueError("PyTorch's training model knows affine coupling with LU mixing only")
        self.scales = torch.nn.ModuleList(
            torch.nn.ModuleList(Step(tensors, f"scales.{scale}.steps.{step}.", scope == "networks")
                                for step in range(architecture["steps"]))
            for scale in range(architecture["scales"]))
        self.prior = torch.nn.ParameterList(
            torch.nn.Parameter(torch.from_numpy(tensors[f"scales.{scale}.prior.{part}"].copy()))
            for scale in range(architecture["scales"]) for part in ("loc", "log_scale"))

    def forward(self, x):
        if not self.cast:
            return self.flow(x)
        with autocast():
            return self.flow(x)

    def flow(self, x):
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


OPTIMIZERS = {"usual": (torch.optim.Adamax, {}),
              "foreach": (torch.optim.Adamax, {"foreach": True}),
              "fused": (torch.optim.Adam, {"fused": True})}  # Adamax has no fused form


class Trainer:
    """`part` images at a time: with parts of the batch, their gradients are summed."""

    def __init__(self, job: dict):
        self.job, setting = job, job["setting"]
        torch.set_num_threads(setting["threads"])
        layout = memory_format(setting)
        self.parts = self.floats("pixels")
        self.model = TrainedGlow(job).to(memory_format=layout)
        kind, options = OPTIMIZERS[setting["optimizer"]]
        self.optimizer = kind(self.model.parameters(), lr=1e-5, weight_decay=5e-5, **options)
        self.call = self.model
        if job["engine"] == "compiled":
            prepare_compiler(setting)
            self.call = torch.compile(self.model, dynamic=False)
        self.version = torch.__version__

    def floats(self, name: str) -> list[torch.Tensor]:
        setting = self.job["setting"]
        groups = pixels.parts(pixels.read(self.job, name), setting["part"])
        layout = memory_format(setting)
        return [((torch.from_numpy(group).float() + 0.5) / 256 - 0.5).contiguous(
            memory_format=layout) for group in groups]

    def run(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        for part in self.parts:
            (-self.call(part).sum() / self.job["batch"]).backward()
        self.optimizer.step()

    def log_likelihoods(self) -> list[float]:
        """Before the first step, by the code that is timed: gradients are wanted, not taken."""
        return torch.cat([self.call(part).detach() for part in self.parts]).double().tolist()

    def judge(self) -> list[float]:
        count = len(pixels.read(self.job, "judged"))
        logp = [self.call(part).detach() for part in self.floats("judged")]
        return torch.cat(logp)[:count].double().tolist()
