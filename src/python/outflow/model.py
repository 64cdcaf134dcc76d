# SPDX-License-Identifier: Apache-2.0
"""Weights, and plans that run them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Optional, Union

import numpy as np
import numpy.typing as npt

from ._types import LayerInfo, PlanInfo
from .architecture import Architecture
from .images import Images, batches
from .lib import _core

Path = Union[str, "os.PathLike[str]"]


class Model:
    """Weights with their architecture and metadata. May be read by any number of threads.

    Args:
        name: a weight file, or the name of an installed model ("cifar10").

    Raises FileNotFoundError where there is none, OutflowError for a damaged file.

    >>> model = Model("demo-shapes")
    >>> model.architecture.hidden, model.tensors["scales.0.steps.0.actnorm.loc"].shape
    (32, (12,))
    """

    def __init__(self, name: Path) -> None:
        self._core = _core.Model.load(os.fspath(name))
        self._name = os.fspath(name)

    @classmethod
    def load(cls, name: Path) -> Model:
        """The same as Model(name)."""
        return cls(name)

    @classmethod
    def create(cls, architecture: Architecture, seed: int = 0) -> Model:
        """A model with random weights; the same on every machine for one architecture and seed.

        >>> Model.create(Architecture(scales=1, steps=1, hidden=8)).parameter_count > 0
        True
        """
        return cls._of(_core.Model.create(architecture.fields(), seed), "")

    @classmethod
    def _of(cls, core: _core.Model, name: str) -> Model:
        model = cls.__new__(cls)
        model._core = core
        model._name = name
        return model

    def save(self, path: Path) -> None:
        """Writes a safetensors file, atomically. Raises OSError where that is not possible."""
        self._core.save(os.fspath(path))
        self._name = os.fspath(path)

    @property
    def architecture(self) -> Architecture:
        """Shape of the network."""
        return Architecture(**self._core.architecture)

    @property
    def fingerprint(self) -> int:
        """Hash of all tensor values, to recognise a model by."""
        return self._core.fingerprint

    @property
    def parameter_count(self) -> int:
        """Number of parameter values."""
        return self._core.parameter_count

    @property
    def tensors(self) -> Mapping[str, npt.NDArray[Any]]:
        """Tensors by name: read-only views that keep the model alive."""
        return MappingProxyType(self._core.tensors())

    @property
    def metadata(self) -> Mapping[str, str]:
        """A copy of the metadata, without the architecture."""
        return MappingProxyType(self._core.metadata())

    def set_metadata(self, key: str, value: Optional[str]) -> None:
        """Stores a string; None removes it."""
        self._core.set_metadata(key, value)

    def __reduce__(self) -> Any:
        if not self._name:
            raise TypeError("this model has no file: save it before it is pickled")
        return Model, (os.path.abspath(_core.locate(self._name)),)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.architecture.shape))
        variants = "".join(f", {name}={value!r}" for name, value in self.architecture.variants())
        return (
            f"<outflow.Model {self._name or '(no file)'}: {shape}, {self.parameter_count:,} values"
            f"{variants}>"
        )


class Likelihoods(NamedTuple):
    """What a plan calculates of n images; natural logarithms."""

    logp: npt.NDArray[np.float64]
    """[n] log-likelihood, of the mixture with class-conditional densities."""
    contributions: npt.NDArray[np.float64]
    """[n, scales] what each scale adds to it."""
    class_logp: Optional[npt.NDArray[np.float64]]
    """[n, classes], None without classes."""
    latent_squares: npt.NDArray[np.float64]
    """[n, scales] sum of the squares of a scale's latents."""
    latents: Optional[npt.NDArray[np.float32]]
    """[n, dimensions] as `Plan.inverse` takes them; None unless asked for."""


class Plan:
    """A model compiled for this machine. May be used by any number of threads at once.

    Args:
        model: a Model, a weight file or an installed model's name.
        threads: of one call; 0: all CPUs of this process. isa: "auto", "scalar", "avx2", "avx512".
        precision: "f32", "bf16", "auto" or "int8" (for a model that has been quantized).
        micro_batch: images in flight a thread; 0: chosen.
        inverse: also the way back, for `inverse` and `sample`.
        latency: threads share an image where there are fewer images than threads.

    Raises FileNotFoundError for a model that is not there, ValueError for options out of range,
    OutflowError for an instruction set or a precision that this CPU lacks.

    >>> plan = Plan("demo-shapes")
    >>> found = plan.likelihoods("synthetic:shapes:4", latents=True)
    >>> found.logp.shape, found.contributions.shape, found.latents.shape
    ((4,), (4, 3), (4, 3072))
    >>> plan.inverse(found.latents).shape, plan.sample(2, seed=1).shape
    ((4, 32, 32, 3), (2, 32, 32, 3))
    """

    def __init__(
        self,
        model: Union[Model, Path],
        *,
        threads: int = 0,
        precision: str = "f32",
        isa: str = "auto",
        micro_batch: int = 0,
        inverse: bool = True,
        latency: bool = True,
    ) -> None:
        weights = model if isinstance(model, Model) else Model(model)
        self._core = _core.Plan(
            weights._core, threads, precision, isa, micro_batch, inverse, latency
        )
        self.architecture = weights.architecture

    @classmethod
    def compile(cls, model: Union[Model, Path], **options: Any) -> Plan:
        """The same as Plan(model, ...)."""
        return cls(model, **options)

    def likelihoods(self, images: Images, *, latents: bool = False) -> Likelihoods:
        """Runs images (see `outflow.images.batches`) through the flow: log-likelihoods in nats of
        8-bit images. With `latents` the result has those, too: 4 bytes for each value of an image.
        Raises as `Detector.score` does."""
        shape = self.architecture.shape
        parts = [self._core.likelihoods(part.pixels, latents) for part in batches(images, shape)]
        if not parts:
            parts = [self._core.likelihoods(np.empty((0, *shape), np.uint8), latents)]
        if len(parts) == 1:
            return Likelihoods(*parts[0])
        return Likelihoods(
            *(None if column[0] is None else np.concatenate(column) for column in zip(*parts))  # type: ignore[arg-type]
        )

    def inverse(self, latents: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Latents [n, dimensions] to images [n, height, width, channels], 0 black and 1 white;
        values may lie outside. Raises ValueError for another shape, and for a plan that was made
        with `inverse=False`."""
        return self._core.inverse(np.ascontiguousarray(latents, dtype=np.float32))

    def sample(
        self, count: int, temperature: float = 0.7, seed: int = 0
    ) -> npt.NDArray[np.float32]:
        """Draws images as `inverse` gives them, from latents of N(0, temperature^2). Image i
        depends on `seed` and i alone. Raises ValueError for a plan without `inverse`."""
        return self._core.sample(count, temperature, seed)

    def layers(self) -> list[LayerInfo]:
        """The fused layers in the order of execution: name, operation, kernel, and for an image
        floating-point operations and bytes written."""
        return self._core.layers()

    @property
    def info(self) -> PlanInfo:
        """Instruction set, precision, threads, floating-point operations an image, and bytes of
        packed weights and of a session's workspace."""
        return self._core.info()

    def __repr__(self) -> str:
        info = self.info
        return (
            f"<outflow.Plan {' x '.join(map(str, self.architecture.shape))}: {info['precision']}, "
            f"{info['isa']}, {info['threads']} threads, {info['flops_per_image'] / 1e9:.3g} GFLOP an image>"
        )
