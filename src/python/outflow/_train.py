# SPDX-License-Identifier: Apache-2.0
"""Training: weights from images."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

from .lib import _core
from ._html import table
from ._progress import Progress, progress_callable
from ._sources import Source, Sources
from ._types import TrainReport, TrainStart
from .architecture import InputMap

Report = TrainReport


@dataclass(frozen=True)
class TrainResult:
    """How a run ended.

    Attributes:
        out: the weight file.
        end: "finished", "early-stop" (validation no longer improved) or "interrupted".
        step, images: taken in all, earlier parts of a resumed run included.
        skipped: steps whose loss or gradient was not finite.
        unreadable: images that were left out.
        bits_per_dim: of the last report.
        seconds: of the run.
        checkpoint: path of the state to resume from.
        log_error: why the log is not complete; None if it is.
        reports: what `on_report` was given, one dictionary every `log_every` steps: step, images,
            loss (nats an image), bits_per_dim, scale_bits, lr, grad_norm, images_per_second,
            seconds, validation (a dictionary or None), and so on.
    """

    out: str
    end: str
    step: int
    images: int
    skipped: int
    unreadable: int
    bits_per_dim: float
    seconds: float
    checkpoint: str
    log_error: Optional[str] = None
    reports: List[Report] = field(default_factory=list, repr=False)

    @property
    def finished(self) -> bool:
        """Is the weight file written?"""
        return self.end != "interrupted"

    def _repr_html_(self) -> str:
        rows: List[List[Any]] = [
            [r["step"], r["images"], r["bits_per_dim"], r["lr"]] for r in self.reports[-10:]
        ]
        ended = f"<p>{self.end}: {self.images:,} images in {self.seconds:.1f} s</p>"
        return table(["step", "images", "bits/dim", "learning rate"], rows) + ended


class _Hooks:
    """What the extension calls; see ext/watch.h."""

    def __init__(
        self,
        progress: Progress,
        on_report: Optional[Callable[[Report], object]],
        stop: Optional[Callable[[], bool]],
    ) -> None:
        self.reports: List[Report] = []
        self.stop = stop
        self._on_report = on_report
        self._progress = progress_callable(progress)
        self._total = 0
        self.progressed = None if self._progress is None else self._progressed

    def started(self, start: TrainStart) -> None:
        self._total = start["total_images"]

    def _progressed(self, images: int, bits_per_dim: float, rate: float) -> None:
        assert self._progress is not None
        self._progress(images, self._total, bits_per_dim)

    def report(self, report: Report) -> None:
        self.reports.append(report)
        if self._on_report is not None:
            self._on_report(report)

    def unreadable(self, source: str, path: str, reason: str) -> None:
        warnings.warn(f"{source}: {path} is left out: {reason}", stacklevel=4)

    def warn(self, text: str) -> None:
        warnings.warn(text, stacklevel=4)

    def close(self) -> None:
        close = getattr(self._progress, "close", None)
        if close is not None:
            close()


def _set_sources(settings: Dict[str, Any], sources: Sources) -> None:
    """Replaces images by names of sources, in the settings that hold some."""
    for name in ("data", "general_data", "valid"):
        if name in settings:
            settings[name] = sources.names(settings[name])
    if "out_of" in settings:
        settings["out_of"] = {
            name: sources.name(source) for name, source in settings["out_of"].items()
        }


def train(
    data: Union[Source, Sequence[Source]],
    out: Union[str, "os.PathLike[str]"],
    *,
    general_data: Union[None, Source, Sequence[Source]] = None,
    general_model: Union[None, str, "os.PathLike[str]"] = None,
    outlier_loss: Optional[str] = None,
    architecture: Optional[Mapping[str, Any]] = None,
    init: Union[None, str, "os.PathLike[str]"] = None,
    epochs: Optional[int] = None,
    images: Optional[int] = None,
    minutes: Optional[float] = None,
    batch: Optional[int] = None,
    lr: Optional[float] = None,
    seed: Optional[int] = None,
    flip: Optional[bool] = None,
    shift: Optional[float] = None,
    zoom: Optional[float] = None,
    color: Optional[float] = None,
    hold_out: Optional[float] = None,
    valid: Union[None, Source, Sequence[Source]] = None,
    out_of: Optional[Mapping[str, Source]] = None,
    resume: Optional[bool] = None,
    overwrite: Optional[bool] = None,
    log: Union[None, str, "os.PathLike[str]"] = None,
    threads: Optional[int] = None,
    data_shares: Optional[Sequence[float]] = None,
    general_shares: Optional[Sequence[float]] = None,
    class_conditional: Optional[bool] = None,
    limit: Optional[int] = None,
    strict: Optional[bool] = None,
    background: Optional[str] = None,
    cache_bytes: Optional[int] = None,
    outlier_weight: Optional[float] = None,
    temperature: Optional[float] = None,
    general_batch: Optional[int] = None,
    optimizer: Optional[str] = None,
    weight_decay: Optional[float] = None,
    beta1: Optional[float] = None,
    beta2: Optional[float] = None,
    epsilon: Optional[float] = None,
    clip: Optional[float] = None,
    ema: Optional[float] = None,
    schedule: Optional[str] = None,
    warmup: Optional[int] = None,
    init_images: Optional[int] = None,
    valid_every: Optional[int] = None,
    patience: Optional[int] = None,
    isa: Optional[str] = None,
    precision: Optional[str] = None,
    gradient_precision: Optional[str] = None,
    micro_batch: Optional[int] = None,
    lanes: Optional[int] = None,
    memory_bytes: Optional[int] = None,
    checkpoint_every: Optional[float] = None,
    shard_optimizer: Optional[bool] = None,
    log_every: Optional[int] = None,
    record: Optional[str] = None,
    progress: Progress = None,
    on_report: Optional[Callable[[Report], object]] = None,
    stop: Optional[Callable[[], bool]] = None,
) -> TrainResult:
    """Trains a model and writes its weights to `out`.

    Settings are those of the library (of_train_options in outflow/train.h) under the same names;
    what is None has the library's default. The most used ones:

    Args:
        data: images to train on: a source by name, an array N x H x W x C, or a list of those.
        out: weight file to write. The state of the run is kept in "OUT.checkpoint".
        general_data, general_model: images of the general distribution, and a model of it.
        outlier_loss: "none", "ratio" or "margin": how general images are pushed away.
        architecture: family, scales, steps, hidden, coupling, permutation, lu, block, height,
            width, channels, and the others of `Architecture` but classes; what is missing is the
            default one, or taken from the data.
        init: weights to start from: a weight file or the name of an installed model.
        epochs, images, minutes: the first limit that is reached ends the run; without any, 50
            epochs.
        lr: learning rate, default 5e-4.
        flip, shift, zoom, color: augmentation: mirroring, and shares in 0..0.5 (color: 0..1).
        hold_out: share of the data to validate on instead of training on it.
        background: what lies below transparent pixels: "white", "black", "grey" or "#rrggbb".
        valid, out_of: images to validate on; named sets to tell from them.
        precision: "f32"; "bf16", about twice as fast on CPUs with AVX512_BF16; or "auto".
        gradient_precision: "f32" or "bf16": of gradients on their way between ranks.
        resume: go on from the checkpoint, bit for bit; without one, start.
        overwrite: start anew even if there is a checkpoint or a weight file.
        progress: "tqdm", or called with (images, total, bits_per_dim) after each step.
        on_report: called with a dictionary every `log_every` (50) steps and after validations.
        stop: asked after each step; True ends the run with a checkpoint.

    Returns:
        A TrainResult; its `end` is "interrupted" where `stop` ended the run.

    An exception in a callback, and Ctrl-C, end the run after the step under way, write the
    checkpoint and are raised: the same call with `resume=True` goes on as if nothing had happened.
    Arrays are written to a temporary file first, which is removed afterwards.

    Raises:
        ValueError: settings out of their range, or that do not go together.
        OutflowError: anything else of the library; FileNotFoundError where a file is missing.
    """
    settings = {
        name: value
        for name, value in locals().items()
        if value is not None and name not in ("progress", "on_report", "stop")
    }
    if "init" in settings:
        settings["init_file"] = os.fspath(settings.pop("init"))
    for name in ("out", "general_model", "log"):
        if name in settings:
            settings[name] = os.fspath(settings[name])
    if "architecture" in settings:
        settings["architecture"] = _fields(settings["architecture"])
    return _run(settings, _Hooks(progress, on_report, stop))


def _fields(architecture: Mapping[str, Any]) -> Dict[str, Any]:
    """An architecture with its input map as a dictionary."""
    fields = dict(architecture)
    if isinstance(fields.get("input"), InputMap):
        fields["input"] = asdict(fields["input"])
    return fields


def _run(settings: Dict[str, Any], hooks: _Hooks) -> TrainResult:
    settings.setdefault("record", _describe(settings))
    try:
        with Sources() as sources:
            _set_sources(settings, sources)
            result = _core.train(settings, hooks)
    finally:
        hooks.close()
    return TrainResult(out=settings["out"], reports=hooks.reports, **result)


def _describe(settings: Mapping[str, Any]) -> str:
    """The call, for the weight file's metadata."""
    plain = {
        name: value if isinstance(value, (str, int, float, bool, dict)) else "images in memory"
        for name, value in settings.items()
        if name not in ("out", "resume", "overwrite")
    }
    return json.dumps({"python": plain}, default=str)
