# SPDX-License-Identifier: Apache-2.0
"""A detector of one's own in one call."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sized
from typing import Any, Mapping, Optional, Union, cast

from .detector import Detector
from ._sources import Source, Sources, is_named
from ._train import train

Path = Union[str, "os.PathLike[str]"]

_LEAST_HELD_OUT = 200
"""Images that are held out of an array if possible: twice what a calibration needs."""

_WITH_GENERAL = ("general_data", "class_conditional", "out_of")
"""Settings with which training itself uses the general model."""


def _share_held_out(normal: Source) -> float:
    """A tenth; of small arrays more, up to half."""
    if is_named(normal):
        return 0.1
    count = max(1, len(cast(Sized, normal)))
    return min(0.5, max(0.1, 1.1 * _LEAST_HELD_OUT / count))


def fit(
    normal: Source,
    out: Path,
    *,
    general: Optional[Path] = None,
    minutes: Optional[float] = None,
    hold_out: Optional[float] = None,
    architecture: Optional[Mapping[str, Any]] = None,
    **settings: Any,
) -> Detector:
    """Makes a calibrated detector from normal images alone.

    Holds a part of the images out, trains on the rest, calibrates on the part held out, and writes
    one file with model, general model and calibration to `out`. (This is `train` and
    `Detector.calibrate` in a row; the program has them as two verbs.)

    Args:
        normal: normal images: a source by name, or an array N x H x W x C (N x H x W).
        out: weight file to write; `Detector(out)` opens it.
        general: a model of images in general, a weight file or the name of an installed model, for
            the score "ratio". Training starts from its weights, and images take its size.
        minutes: how long to train; without it (and `epochs` or `images`), 50 epochs.
        hold_out: share of the images to calibrate on; None: a tenth, of small arrays more. At least
            100 images are needed there.
        architecture, settings: as `train` has them. With `resume=True` an interrupted call goes on.

    Returns:
        The detector, calibrated: `flag(images, fpr=0.05)` flags 5 % of images like `normal`.

    Raises:
        ValueError: too few images held out, settings that make no sense.
        KeyboardInterrupt: Ctrl-C; the checkpoint "OUT.checkpoint" is written.
    """
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
            minutes=minutes,
            architecture=architecture,
            **settings,
        )
        detector = Detector(out, general=general)
        detector.calibrate(f"part:0-{share:g}:{name}")
    detector.save(out, bundle=general is not None)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(out + ".checkpoint")
    return detector
