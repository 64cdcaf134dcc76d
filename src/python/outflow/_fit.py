# SPDX-License-Identifier: Apache-2.0
"""A detector of one's own in one call."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Sized
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple, Union, cast

from .lib import _core
from ._progress import Progress, progress_callable
from ._sources import Source, Sources, is_named
from ._train import train
from ._types import FitEnd
from .detector import Detector, Tiles, tiling_of

Path = Union[str, "os.PathLike[str]"]

_LEAST_HELD_OUT = 200
"""Images that are held out of an array if possible: twice what a calibration needs."""

_WITH_GENERAL = ("general_data", "class_conditional", "out_of")
"""Settings with which training itself uses the general model."""


class _Hooks:
    """What the extension calls; see ext/watch.h."""

    def __init__(self, progress: Progress, stop: Optional[Callable[[], bool]]) -> None:
        self.stop = stop
        self._progress = progress_callable(progress)
        self._total = 0
        self.progressed = None if self._progress is None else self._progressed

    def stage(self, name: str, images: int, seconds: float) -> None:
        self._total = images

    def _progressed(self, images: int, bits_per_dim: float) -> None:
        assert self._progress is not None
        self._progress(images, self._total, bits_per_dim)

    def unreadable(self, source: str, path: str, reason: str) -> None:
        warnings.warn(f"{source}: {path} is left out: {reason}", stacklevel=4)

    def warn(self, text: str) -> None:
        warnings.warn(text, stacklevel=4)

    def close(self) -> None:
        close = getattr(self._progress, "close", None)
        if close is not None:
            close()


def fit(
    normal: Source,
    out: Path,
    *,
    general: Optional[Path] = None,
    general_data: Union[None, Source, Sequence[Source]] = None,
    minutes: Optional[float] = None,
    images: Optional[int] = None,
    fpr: Optional[float] = None,
    report: Optional[Path] = None,
    size: Union[None, int, Tuple[int, int]] = None,
    channels: Optional[int] = None,
    tiles: Union[str, Tiles] = None,
    seed: Optional[int] = None,
    threads: Optional[int] = None,
    resume: Optional[bool] = None,
    overwrite: Optional[bool] = None,
    progress: Progress = None,
    stop: Optional[Callable[[], bool]] = None,
    on_end: Optional[Callable[[FitEnd], object]] = None,
    hold_out: Optional[float] = None,
    architecture: Optional[Mapping[str, Any]] = None,
    **settings: Any,
) -> Detector:
    """Makes a calibrated detector from normal images alone, as `outflow fit` does.

    Looks at the images, holds parts of them out, trains on the rest from a general model, calibrates
    on one part, measures on another, and writes one file with all that belongs to it to `out`.

    Args:
        normal: normal images: a source by name, or an array N x H x W x C (N x H x W).
        out: weight file to write; `Detector(out)` opens it.
        general: a model of images in general, a weight file or the name of an installed model, to
            start from and to compare with. None: an installed one of the images' size, else a small
            one is trained first.
        general_data: images of all kinds, to train against: they make it better.
        minutes: about how long it may take; None: 10.
        images: train on so many images, with repetitions, instead of by the clock.
        fpr: share of images like `normal` that may be flagged, kept in the file; None: 0.05.
        report: an HTML page about how good it is.
        size: side of the model's images, or (height, width); None: 32.
        channels: 1 or 3; None: as the images are.
        tiles: size of the windows that pictures are cut into, or (size, stride), or "none": whole
            pictures, reduced. None: tiles for textures and where reducing loses much detail. `normal`
            must then be a folder; `Detector.pictures` scores new ones.
        seed, threads: as `train` has them.
        resume: go on with an interrupted call, of a named source.
        overwrite: replace a detector or an unfinished run.
        progress: "tqdm", or called with (images, total, bits_per_dim).
        stop: asked now and then; True ends the training early, and what was learned is calibrated.
        on_end: called with a dictionary of what came of it: "score", "flagged" (share of normal
            images that were neither trained on nor calibrated with), "sets" (AUROC by kind of
            outliers), and so on.
        hold_out, architecture, settings: with any of these, all of `train`'s settings hold instead:
            `train` and `Detector.calibrate` in a row, on a share `hold_out` of the images (None: a
            tenth, of small arrays more; at least 100 images).

    Returns:
        The detector, calibrated: `flag(images, fpr=0.05)` flags 5 % of images like `normal`.

    Raises:
        ValueError: too few images, settings that make no sense.
        KeyboardInterrupt: Ctrl-C; what was learned is finished, and `resume=True` goes on.
    """
    given: Dict[str, Any] = {
        "minutes": minutes,
        "images": images,
        "seed": seed,
        "threads": threads,
        "resume": resume,
        "overwrite": overwrite,
    }
    if hold_out is not None or architecture is not None or settings:
        own = {"general_data": general_data, "stop": stop, **given}
        settings.update({name: value for name, value in own.items() if value is not None})
        settings.setdefault("progress", progress)
        return _fit_by_settings(normal, out, general, hold_out, architecture, settings)
    given.update(rate=fpr, channels=channels)
    if size is not None:
        given["height"], given["width"] = (size, size) if isinstance(size, int) else size
    if tiles == "none":
        given["whole"] = True
    elif tiles is not None:
        given["tile_size"], given["tile_stride"] = tiling_of(cast(Tiles, tiles))
    for name, path in (("out", out), ("general_model", general), ("report", report)):
        given[name] = None if path is None else os.fspath(path)
    hooks = _Hooks(progress, stop)
    try:
        with Sources() as sources:
            given["source"] = sources.name(normal)
            if general_data is not None:
                given["general_data"] = sources.names(general_data)
            end = _core.fit({k: v for k, v in given.items() if v is not None}, hooks)
    finally:
        hooks.close()
    if on_end is not None:
        on_end(end)
    return Detector(out)


# ---- With settings of training ----------------------------------------------------------------


def _share_held_out(normal: Source) -> float:
    """A tenth; of small arrays more, up to half."""
    if is_named(normal):
        return 0.1
    count = max(1, len(cast(Sized, normal)))
    return min(0.5, max(0.1, 1.1 * _LEAST_HELD_OUT / count))


def _fit_by_settings(
    normal: Source,
    out: Path,
    general: Optional[Path],
    hold_out: Optional[float],
    architecture: Optional[Mapping[str, Any]],
    settings: Dict[str, Any],
) -> Detector:
    share = _share_held_out(normal) if hold_out is None else hold_out
    if not 0 < share < 1:
        raise ValueError(f"hold_out is a share in (0, 1), not {share}")
    out = os.fspath(out)
    if general is not None and architecture is None:
        settings.setdefault("init", general)
    if general is not None and any(map(settings.get, _WITH_GENERAL)):
        settings["general_model"] = general
    with Sources() as sources:
        name = sources.name(normal)
        train(
            f"part:{share:g}-1:{name}",
            out,
            architecture=architecture,
            **settings,
        )
        detector = Detector(out, general=general)
        detector.calibrate(f"part:0-{share:g}:{name}")
    detector.save(out, bundle=general is not None)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(out + ".checkpoint")
    return detector
