# SPDX-License-Identifier: Apache-2.0
"""A Glow in Outflow's terms, before it is a file: what the layouts build and the folds change."""
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

import numpy as np

from .numerics import double, lu_matrix


@dataclass
class ActNorm:
    """y = sign exp(log_scale) (x + loc); the signs are folded away before the file is written."""
    loc: np.ndarray
    log_scale: np.ndarray
    sign: Optional[np.ndarray] = None

    @staticmethod
    def of_scale(loc: np.ndarray, scale: np.ndarray) -> "ActNorm":
        """y = scale (x + loc)"""
        scale = double(scale).reshape(-1)
        return ActNorm(double(loc).reshape(-1), np.log(np.abs(scale)), np.sign(scale))

    @staticmethod
    def neutral(size: int) -> "ActNorm":
        return ActNorm(np.zeros(size), np.zeros(size))


@dataclass
class Mix:
    """y = W x. kind "plain" or "fixed": weight; "lu": factors; "shuffle": indices."""
    kind: str
    tensors: Dict[str, np.ndarray]

    @staticmethod
    def plain(weight: np.ndarray, kind: str = "plain") -> "Mix":
        return Mix(kind, {"weight": double(weight).reshape(weight.shape[0], -1)})

    @staticmethod
    def shuffle(indices: np.ndarray) -> "Mix":
        return Mix("shuffle", {"indices": np.asarray(indices, np.int64).reshape(-1)})

    @staticmethod
    def lu(permutation, sign, lower, log_diag, upper) -> "Mix":
        return Mix("lu", {"permutation": double(permutation), "sign": double(sign),
                          "lower": np.tril(double(lower), -1), "log_diag": double(log_diag),
                          "upper": np.triu(double(upper), 1)})

    def matrix(self) -> np.ndarray:
        if self.kind == "shuffle":
            indices = self.tensors["indices"]
            return np.eye(len(indices))[indices]
        if self.kind == "lu":
            return lu_matrix(*(self.tensors[name] for name in
                               ("permutation", "lower", "upper", "sign", "log_diag")))
        return self.tensors["weight"]


@dataclass
class Layer:
    """A convolution without bias, and the ActNorm behind it."""
    weight: np.ndarray
    actnorm: ActNorm
    edge: Optional[np.ndarray] = None


@dataclass
class Net:
    """A coupling network: outputs are add, raw, add, raw, ... or, additive, the sums."""
    layers: List[Layer]
    weight: np.ndarray
    bias: np.ndarray
    log_scale: np.ndarray
    edge: Optional[np.ndarray] = None
    gain: Optional[np.ndarray] = None
    input_scale: Optional[np.ndarray] = None
    input_shift: Optional[np.ndarray] = None


@dataclass
class DenseNet:
    """Three linear layers: (weight, bias) of each."""
    layers: List[Any]


@dataclass
class Step:
    actnorm: ActNorm
    mix: Mix
    net: Any


@dataclass
class SplitPrior:
    """[mean, log_std] = (conv3x3(half that goes on) + bias) exp(3 log_scale), rows in turn."""
    weight: np.ndarray
    bias: np.ndarray
    log_scale: np.ndarray
    edge: Optional[np.ndarray] = None


@dataclass
class Closing:
    actnorm: ActNorm
    mix: Mix


@dataclass
class Scale:
    steps: List[Step]
    split: Optional[SplitPrior] = None
    prior: Optional[ActNorm] = None  # an element of the latents; neutral unless given
    closing: Optional[Closing] = None


@dataclass
class ClassTerms:
    """Of one class and scale, an element: an ActNorm, then N(mean, exp(log_std)^2)."""
    actnorm: ActNorm
    mean: np.ndarray
    log_std: np.ndarray


@dataclass
class Network:
    image: List[int]
    scales: List[Scale]
    affine: bool
    family: str = "glow"
    classes: List[List[ClassTerms]] = field(default_factory=list)  # [class][scale]
    extension: Dict[str, Any] = field(default_factory=dict)  # fields of `architecture`


def affine_coupling(net: Net, inputs: int) -> bool:
    """Whether the network has two outputs for each element that it changes."""
    return net.weight.shape[0] != inputs


def interleave(values: np.ndarray, first: str = "raw") -> np.ndarray:
    """Halves [raw..., add...] (or [add..., raw...]) -> add, raw, add, raw, ..."""
    one, other = np.split(double(values), 2)
    add, raw = (other, one) if first == "raw" else (one, other)
    return np.stack([add, raw], 1).reshape(values.shape)


def swap_pairs(values: np.ndarray) -> np.ndarray:
    """raw, add, raw, add, ... -> add, raw, add, raw, ..."""
    pairs = double(values).reshape(-1, 2, *values.shape[1:])
    return pairs[:, ::-1].reshape(values.shape)


def constant_prior(mean: np.ndarray, log_std: np.ndarray, positions: int) -> ActNorm:
    """N(mean, exp(log_std)^2) a channel, as an ActNorm an element before N(0, 1)."""
    return element_prior(np.repeat(double(mean).reshape(-1), positions),
                         np.repeat(double(log_std).reshape(-1), positions))


def element_prior(mean: np.ndarray, log_std: np.ndarray) -> ActNorm:
    return ActNorm(-double(mean).reshape(-1), -double(log_std).reshape(-1))
