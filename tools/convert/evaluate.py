# SPDX-License-Identifier: Apache-2.0
"""The likelihood that a weight file states (models/FORMAT.md), in double precision."""
import math
from dataclasses import dataclass, field
from typing import List, Mapping, Tuple

import numpy as np

from .architecture import input_map, option, shapes_of_scales
from .folds import convolution_of_zeros
from .numerics import (column, convolve, double, gaussian, log_abs_det, log_mean_exp, log_sigmoid,
                       lu_matrix, mix, squeeze, total)


@dataclass
class Scores:
    """Nats an image; with classes `logp` is the mixture's and `per_scale` that of no class."""
    logp: np.ndarray
    per_scale: List[np.ndarray] = field(default_factory=list)
    per_class: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    latents: List[np.ndarray] = field(default_factory=list)


def to_input(images: np.ndarray, settings: Mapping) -> Tuple[np.ndarray, np.ndarray]:
    """Bytes [N, H, W, C] as x [N, C, H, W], and the log-determinant of the logit."""
    levels = images.astype(np.int64) >> (8 - settings["bits"])
    x = settings["scale"] * double(levels).transpose(0, 3, 1, 2) + settings["shift"]
    a = settings["logit"]
    if a == 0:
        return x, np.zeros(len(x))
    p = a + (1 - 2 * a) * x
    logit = np.log(p) - np.log1p(-p)
    return logit, total(math.log(1 - 2 * a) - np.log(p) - np.log1p(-p))


class FileModel:
    """A weight file: its architecture and tensors."""

    def __init__(self, architecture: Mapping, tensors: Mapping[str, np.ndarray]) -> None:
        self.architecture, self.tensors = architecture, tensors
        self.affine = architecture["coupling"] == "affine"
        self.dense = architecture["block"] == "dense"

    def get(self, name: str) -> np.ndarray:
        return double(self.tensors[name])

    def map(self, at: str, x: np.ndarray) -> Tuple[np.ndarray, float]:
        """ActNorm and mixing."""
        log_scale = self.get(at + ".actnorm.log_scale")
        x = (x + column(self.get(at + ".actnorm.loc"))) * np.exp(column(log_scale))
        at += ".mix."
        positions = x.shape[2] * x.shape[3]
        if at + "indices" in self.tensors:
            return x[:, self.tensors[at + "indices"]], positions * log_scale.sum()
        if at + "weight" in self.tensors:
            weight = self.get(at + "weight")
            determinant = log_abs_det(weight)
        else:
            parts = [self.get(at + name) for name in
                     ("permutation", "lower", "upper", "sign", "log_diag")]
            weight, determinant = lu_matrix(*parts), parts[-1].sum()
        return mix(weight, x), positions * (log_scale.sum() + determinant)

    def edges(self, name: str, output: np.ndarray) -> np.ndarray:
        if name not in self.tensors:
            return output
        edge = self.get(name)
        return output + convolution_of_zeros(edge, np.zeros(len(edge)), *output.shape[2:])

    def convolutions(self, at: str, x: np.ndarray) -> np.ndarray:
        leak = option(self.architecture, "leak")
        if at + ".in.scale" in self.tensors:
            x = np.maximum(0, column(self.get(at + ".in.scale")) * x +
                           column(self.get(at + ".in.shift")))
        for layer, padding in ((at + ".conv1", 1), (at + ".conv2", 0)):
            x = self.edges(layer + ".edge", convolve(self.get(layer + ".weight"), x, padding))
            x = (x + column(self.get(layer + ".actnorm.loc"))) * \
                np.exp(column(self.get(layer + ".actnorm.log_scale")))
            x = np.where(x > 0, x, leak * x)
        return self.zero_convolution(at + ".conv3", x)

    def zero_convolution(self, at: str, x: np.ndarray) -> np.ndarray:
        x = self.edges(at + ".edge", convolve(self.get(at + ".weight"), x))
        factor = np.exp(3 * column(self.get(at + ".log_scale")))
        return (x + column(self.get(at + ".bias"))) * factor

    def linear_layers(self, at: str, x: np.ndarray) -> np.ndarray:
        h = x.reshape(len(x), -1)
        for layer in ("fc1", "fc2", "fc3"):
            h = h @ self.get(f"{at}.{layer}.weight").T + self.get(f"{at}.{layer}.bias")
            h = np.maximum(h, 0) if layer != "fc3" else h
        return h[:, :, None, None]

    def log_scales(self, at: str, raw: np.ndarray) -> np.ndarray:
        kind = option(self.architecture, "scale_map")
        if kind == "tanh":
            return column(self.get(at + ".gain")) * np.tanh(raw)
        return {"sigmoid": log_sigmoid(raw + 2), "exp": raw,
                "sigmoid_inverse": -log_sigmoid(raw + 2)}[kind]

    def couple(self, at: str, x: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        a, b = np.split(x, 2, 1)
        out = (self.linear_layers if self.dense else self.convolutions)(at, a)
        if not self.affine:
            return np.concatenate([a, b + out], 1), np.zeros(len(x))
        add, log_s = out[:, 0::2], self.log_scales(at, out[:, 1::2])
        after = option(self.architecture, "shift") == "after"
        b = b * np.exp(log_s) + add if after else (b + add) * np.exp(log_s)
        return np.concatenate([a, b], 1), total(log_s)

    def split(self, at: str, x: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(what goes on, latents, log-determinant)"""
        first, second = np.split(x, 2, 1)
        latents, on = (first, second) if option(self.architecture, "latents") == "first" \
            else (second, first)
        if at + ".split.weight" not in self.tensors:
            return on, latents, np.zeros(len(x))
        prior = self.zero_convolution(at + ".split", on)
        mean, log_std = prior[:, 0::2], prior[:, 1::2]
        return on, (latents - mean) * np.exp(-log_std), -total(log_std)

    def scale(self, at: str, x: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """The steps of a scale; x is squeezed."""
        flow = np.zeros(len(x))
        for step in range(self.architecture["steps"]):
            x, constant = self.map(f"{at}.steps.{step}", x)
            x, determinant = self.couple(f"{at}.steps.{step}.net", x)
            flow += constant + determinant
        if option(self.architecture, "closing"):
            x, constant = self.map(at + ".closing", x)
            flow += constant
        return x, flow

    def latents(self, x: np.ndarray) -> Tuple[List[np.ndarray], List[np.ndarray]]:
        """Of every scale: latents [N, Z] in front of the Gaussian, and log-determinants."""
        latents, flows = [], []
        count = len(list(shapes_of_scales(self.architecture)))
        for number in range(count):
            at = f"scales.{number}"
            x = squeeze(x)
            shape = (len(x), x.shape[1] // 2, *x.shape[2:])
            x = x.reshape(len(x), -1, 1, 1) if self.dense else x
            x, flow = self.scale(at, x)
            z = x
            if number < count - 1:
                x, z, determinant = self.split(at, x)
                flow = flow + determinant
                x = x.reshape(shape)
            log_scale = self.get(at + ".prior.log_scale")
            z = (z.reshape(len(z), -1) + self.get(at + ".prior.loc")) * np.exp(log_scale)
            latents.append(z)
            flows.append(flow + log_scale.sum())
        return latents, flows

    def class_density(self, number: int, scale: int, z: np.ndarray) -> np.ndarray:
        at = f"classes.{number}.scales.{scale}."
        log_scale = self.get(at + "actnorm.log_scale")
        z = (z + self.get(at + "actnorm.loc")) * np.exp(log_scale)
        return gaussian(z, self.get(at + "mean"), self.get(at + "log_std")) + log_scale.sum()

    def density_of_x(self, x: np.ndarray) -> Scores:
        latents, flows = self.latents(x)
        per_scale = [flow + gaussian(z) for flow, z in zip(flows, latents)]
        if self.architecture["classes"] == 0:
            return Scores(sum(per_scale), per_scale, latents=latents)
        per_class = np.stack([
            sum(flow + self.class_density(number, scale, z)
                for scale, (flow, z) in enumerate(zip(flows, latents)))
            for number in range(self.architecture["classes"])], -1)
        return Scores(log_mean_exp(per_class), [], per_class, latents)

    def score(self, images: np.ndarray) -> Scores:
        """Bytes [N, H, W, C]."""
        x, determinant = to_input(images, input_map(self.architecture))
        if self.architecture["family"] == "patch-glow":
            return self.score_patches(x)
        scores = self.density_of_x(x)
        scores.logp = scores.logp + determinant
        if scores.per_scale:
            scores.per_scale[0] = scores.per_scale[0] + determinant
        if scores.per_class.size:
            scores.per_class = scores.per_class + determinant[:, None]
        return scores

    def score_patches(self, x: np.ndarray) -> Scores:
        """Patches of 8x8 that do not overlap, rows first."""
        n, c, h, w = x.shape
        patches = x.reshape(n, c, h // 8, 8, w // 8, 8).transpose(0, 2, 4, 1, 3, 5)
        scores = self.density_of_x(patches.reshape(-1, c, 8, 8))
        logp = scores.logp.reshape(n, -1).sum(1)
        return Scores(logp, [logp], latents=[z.reshape(n, -1) for z in scores.latents])


def bits_per_dim(logp: np.ndarray, architecture: Mapping) -> np.ndarray:
    size = math.prod(architecture["image"])
    return -math.log2(input_map(architecture)["bin"]) - logp / (size * math.log(2))
