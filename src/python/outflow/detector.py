# SPDX-License-Identifier: Apache-2.0
"""Detectors: what "score an image" means."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any, Optional, Tuple, Union, cast, overload

import numpy as np
import numpy.typing as npt

from ._html import table
from ._types import DetectorInfo, Flags, Floats, PictureScore, PrecisionLoss
from .architecture import Architecture
from .images import Batch, Errors, Images, Pixels, array_of, batches, bytes_of
from .lib import _core
from .model import Model, Path
from .table import Table

ScoreNames = Union[None, str, Sequence[str]]

Tiles = Union[None, int, Tuple[int, int]]
"""Size of windows that lie half of it apart, or (size, stride), in pixels of a picture."""


def tiling_of(tiles: Tiles) -> tuple[int, int]:
    """(size, stride); (0, 0) for None."""
    if tiles is None:
        return 0, 0
    return (tiles, max(1, tiles // 2)) if isinstance(tiles, int) else tiles


class Detector:
    """A model with what belongs to it: general model, ensemble, calibration and scores.

    Args:
        model: a weight file, an installed model's name ("cifar10") or a Model.
        general: likewise, a model of images in general, for ratios; None: the one in the model's
            file, else, with find_general, the installed one that the model was calibrated with.
        ensemble: further models of the same images. threads: of one call; 0: all CPUs.
        precision: "f32", "bf16", "auto" or "int8" (of models that were quantized).
        isa: "auto", "scalar", "avx2" or "avx512".
        webp: also the score "complexity-webp".
        latency: threads share an image where there are fewer images than threads.
        lossy_scores: with "int8", also scores that lose more than 0.002 of their AUROC in it, or
            whose loss was not measured (`quantize`); else those raise OutflowError.

    Scores are higher for images that are more anomalous. A detector may be used by any number of
    threads at once; an image gets the same bits whatever is scored with it. Images may have any
    form of `outflow.images.batches`. Raises FileNotFoundError for a model that is not there,
    OutflowError for damaged files and models that do not fit each other.

    >>> detector = Detector("demo-shapes", general="demo-general")
    >>> detector.architecture.shape, detector.default_score
    ((32, 32, 3), 'ratio')
    >>> detector.score("synthetic:shapes:8", ["nll", "ratio"]).shape
    (8, 2)
    """

    def __init__(
        self,
        model: Union[Model, Path],
        general: Union[None, Model, Path] = None,
        ensemble: Sequence[Union[Model, Path]] = (),
        threads: int = 0,
        precision: str = "f32",
        isa: str = "auto",
        webp: bool = False,
        latency: bool = True,
        find_general: bool = True,
        tiles: Tiles = None,
        lossy_scores: bool = False,
    ) -> None:
        cut = tiling_of(tiles)
        given = [model, *ensemble] if general is None else [model, general, *ensemble]
        options = (threads, precision, isa, webp, latency)
        core_options = (*options, lossy_scores)
        first = 1 if general is None else 2
        if any(isinstance(one, Model) for one in given):
            loaded = [one if isinstance(one, Model) else Model(one) for one in given]
            cores = [one._core for one in loaded]
            self._core = _core.Detector.create(
                cores[0], None if general is None else cores[1], cores[first:], *core_options, *cut
            )
            names = [one._name for one in loaded]
            self._models = loaded  # saving needs them
        else:
            names = [os.fspath(cast(Path, one)) for one in given]
            self._core = _core.Detector.open(
                names[0],
                None if general is None else names[1],
                names[first:],
                *core_options,
                find_general,
                *cut,
            )
        self._names = [names[0], None if general is None else names[1], *names[first:]]
        self._options = (*options, find_general, tiles, lossy_scores)
        self._saved = True
        self.architecture = Architecture(**self._core.architecture)
        self._shape = self.architecture.shape

    # ---- Scores ----

    @property
    def scores(self) -> list[str]:
        """Names of the scores that can be computed, in the order of `table`.

        >>> Detector("demo-shapes").scores[:2]
        ['nll', 'last']
        """
        return self._core.score_names()

    @property
    def default_score(self) -> str:
        """What to judge by: "combined" where calibrated, else "ratio", else "nll"."""
        return self._core.default_score()

    @overload
    def score(
        self, images: Images, score: Optional[str] = None, *, errors: Errors = "raise"
    ) -> Floats: ...

    @overload
    def score(
        self, images: Images, score: Sequence[str], *, errors: Errors = "raise"
    ) -> Floats: ...

    def score(
        self, images: Images, score: ScoreNames = None, *, errors: Errors = "raise"
    ) -> Floats:
        """Scores of n images.

        Args:
            images: in any form of `outflow.images.batches`; contiguous uint8 arrays [n, height,
                width, channels] are not copied.
            score: one of `scores`, or a list of k of them; None: `default_score`.
            errors: "raise" for the first image of a list or generator that cannot be taken, with
                its index in the message, or "nan": the scores of such images are nan, and
                `table` says why.

        Returns:
            float64 [n] for one score, [n, k] for a list; nats (complexities: bits), higher for
            what is more anomalous.

        Raises:
            ValueError: a score that cannot be computed, images of another size or type.
            OutflowError: damaged images; FileNotFoundError where a file is missing.
            KeyboardInterrupt: Ctrl-C.
        """
        self._check_whole(images)
        single = score is None or isinstance(score, str)
        names = [self._name(score)] if single else list(score)  # type: ignore[arg-type]
        if isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.ndim == 4:
            pixels = images if images.flags.c_contiguous else np.ascontiguousarray(images)
            if pixels.shape[1:] == self._shape:
                values = self._core.score(pixels, names)
                return values[:, 0] if single else values
        parts = [
            self._scored(part, names) for part in batches(images, self._shape, errors=errors)
        ]
        values = _joined(parts, (0, len(names)))
        return values[:, 0] if single else values

    def _check_whole(self, images: Images) -> None:
        """Pictures of a source are not to be reduced where the calibration is one of tiles."""
        named = isinstance(images, (str, os.PathLike))
        if named and self.tiles and not os.fspath(images).startswith(("tiles:", "windows:")):
            raise ValueError("this detector cuts pictures into tiles: `pictures` scores them")

    def _scored(self, part: Batch, names: list[str]) -> Floats:
        values = self._core.score(part.pixels, names)
        if part.failures:
            values[[failure != "" for failure in part.failures]] = np.nan
        return values

    def table(
        self, images: Images, score: ScoreNames = None, *, errors: Errors = "raise"
    ) -> Table:
        """Scores of n images as columns: all of `scores`, or those named.

        Columns "path" and "label" come first where images have them; "p_value" comes last, that of
        the default score (or of the first one named) if it is calibrated. With `errors="nan"`
        images of a list or generator that cannot be taken have nan in all numbers, and a column
        "error" says why ("" for all others); see `score`, which also says what is raised.
        """
        self._check_whole(images)
        names = self.scores if score is None else [score] if isinstance(score, str) else list(score)
        values: list[Floats] = []
        paths: list[str] = []
        labels: list[str] = []
        failures: list[str] = []
        for part in batches(images, self._shape, errors=errors):
            values.append(self._scored(part, names))
            paths += part.names or [""] * len(part.pixels)
            labels += part.labels
            failures += part.failures or [""] * len(part.pixels)
        scored = _joined(values, (0, len(names)))
        columns: dict[str, npt.NDArray[Any]] = {}
        failed = np.array([failure != "" for failure in failures], dtype=bool)
        if any(paths):
            columns["path"] = np.array(paths, dtype=object)
        if labels:
            columns["label"] = np.array(labels, dtype=object)
        columns.update((name, scored[:, i].copy()) for i, name in enumerate(names))
        judged = self.default_score if score is None else names[0]
        if self._core.has_p_value(judged):
            columns["p_value"] = self._core.p_values(columns[judged], judged)
            columns["p_value"][failed] = np.nan
        if errors == "nan":
            columns["error"] = np.array(failures, dtype=object)
        return Table(columns)

    def p_values(self, images: Images, score: Optional[str] = None) -> Floats:
        """Conformal p-values, float64 [n] in (0, 1]: a normal image has p <= a with a probability
        of at most a. Raises as `score` does, and OutflowError where the score is not calibrated.

        >>> detector = Detector("demo-shapes").calibrate("synthetic:shapes:200", seed=5)
        >>> bool(detector.p_values(np.zeros((1, 32, 32, 3), np.uint8))[0] < 0.05)
        True
        """
        name = self._name(score)
        return self._core.p_values(np.ascontiguousarray(self.score(images, name)), name)

    def flag(
        self,
        images: Images,
        fpr: float = 0.05,
        score: Optional[str] = None,
        threshold: Optional[float] = None,
    ) -> Flags:
        """Which images are anomalous, bool [n].

        Args:
            images: as `score` takes them.
            fpr: at most this share of normal images is flagged, in (0, 1); needs a calibration on
                at least 1/fpr - 1 images (twice that for "combined").
            score: to judge by; None: `default_score`.
            threshold: instead of `fpr`, without a calibration: flag what scores at or above it.

        Raises:
            OutflowError: without a calibration, or one on too few images; else as `score`.
        """
        name = self._name(score)
        values = np.ascontiguousarray(self.score(images, name))
        if threshold is not None:
            return self._core.flags(values, name, 0.0, threshold)
        return self._core.flags(values, name, fpr, 0.0)

    def threshold(self, fpr: float = 0.05, score: Optional[str] = None) -> float:
        """The value above which a score has a p-value of at most `fpr` in (0, 1), in the score's
        unit; inf if none has. Raises as `flag` does."""
        return self._core.threshold(self._name(score), fpr)

    def _name(self, score: Optional[str]) -> str:
        return self.default_score if score is None else score

    # ---- Heat ----

    def heatmap(
        self,
        images: Images,
        score: Optional[str] = None,
        reference: Optional[Images] = None,
        relative: bool = False,
    ) -> Floats:
        """Which pixels make the score what it is: float64 [n, height, width] in nats a pixel.

        The heat of an image sums to its score ("ratio" or "nll" for scores that are no sums). With
        `reference`, some 64 normal images, less their mean heat; with `relative` less 0 for ratios
        and less the image's own mean for other scores. Raises as `score` does.

        >>> detector = Detector("demo-shapes")
        >>> image = np.zeros((1, 32, 32, 3), np.uint8)
        >>> heat = detector.heatmap(image, "nll")
        >>> heat.shape, bool(abs(heat.sum() - detector.score(image, "nll")[0]) < 0.01)
        ((1, 32, 32), True)
        """
        return self._heat(images, score, reference, relative or reference is not None)[1]

    def heatmap_png(
        self,
        images: Images,
        score: Optional[str] = None,
        reference: Optional[Images] = None,
        side: int = 256,
        with_image: bool = True,
    ) -> list[bytes]:
        """Relative heat as PNG files, one for each image: orange where it adds to the score, blue
        where it takes from it.

        Args:
            images, score, reference: as `heatmap` takes them.
            side: height or width of a picture in pixels, the larger one.
            with_image: the image on the left, the heat on the right; else the heat alone.

        Raises:
            ValueError: as `score`, and for a side out of its range.
        """
        pixels, heat, limits = self._heat(images, score, reference, True)
        return [
            self._core.heat_picture(image, one, limit, side, with_image)
            for image, one, limit in zip(bytes_of(pixels), heat, limits)
        ]

    def _heat(
        self, images: Images, score: Optional[str], reference: Optional[Images], relative: bool
    ) -> tuple[Pixels, Floats, Floats]:
        name = self._name(score)
        usual = None
        if reference is not None:
            usual = _core.HeatReference(self._core, array_of(reference, self._shape), name)
        pixels = array_of(images, self._shape)
        heat, limits = self._core.heat(pixels, name, relative, usual)
        return pixels, heat, limits

    # ---- Pictures in tiles ----

    @property
    def tiles(self) -> Optional[tuple[int, int]]:
        """Size and stride of the windows that `pictures` cuts; None if it does not.

        >>> Detector("demo-shapes", tiles=(32, 16)).tiles
        (32, 16)
        """
        return _core.tiling(self._core)

    def pictures(
        self, source: Path, score: Optional[str] = None, heat: bool = False, side: int = 768
    ) -> list[PictureScore]:
        """Scores the pictures of a source, each by its tiles: it may be of any size.

        The detector needs `tiles`, or to have been calibrated (or fitted) with them. Of each picture
        there is its score, the largest of its tiles, and with a calibration by the same tiles its
        p-value among pictures.

        Args:
            source: a source by name; its pictures are read one at a time.
            score: None: `default_score`.
            heat: with a map of where the score comes from, at most `side` values high and wide.

        Raises:
            ValueError: no tiles, an unknown score.
            KeyboardInterrupt: Ctrl-C.
        """
        if self.tiles is None:
            raise ValueError("this detector cuts no pictures: Detector(..., tiles=(32, 16)) does")
        name = self._name(score)
        scored, lines = _core.score_pictures(self._core, os.fspath(source), name, heat, side)
        for line in lines:
            warnings.warn(line, stacklevel=2)
        return scored

    # ---- Calibration and files ----

    def calibrate(self, images: Images, source: str = "", limit: int = 0, seed: int = 0) -> Detector:
        """Learns what normal images score, and returns itself. They must be drawn as the normal
        images to come are, and not have been trained on; 100 at least, better 1,000.

        Args:
            images: a source (path or "synthetic:NAME"), which is streamed; other images are held in
                memory. source: where they come from, for people. limit, seed: of a source.

        Raises:
            ValueError: too few images; OutflowError: too few with finite likelihoods.
            KeyboardInterrupt: Ctrl-C; the detector is as it was.
        """
        if isinstance(images, (str, os.PathLike)):
            for line in self._core.calibrate_source(os.fspath(images), limit, seed):
                warnings.warn(line, stacklevel=2)
        else:
            self._core.calibrate_images(array_of(images, self._shape), source)
        self._saved = False
        return self

    def quantize(self, images: Images, source: str = "", limit: int = 0, seed: int = 0) -> Detector:
        """Learns what a detector with precision="int8" needs, and returns itself, which must have
        precision "f32" and goes on as it is: `save` writes it, and the saved file may be opened in
        "int8".

        Args:
            images: some hundred like those to come, also ones that were trained on; as in
                `calibrate`, with source, limit and seed. Every third is kept aside to measure what
                scores lose (`precision_losses`), where the CPU can.

        Raises:
            ValueError: another precision, or no images; OutflowError: a model that cannot.

        >>> detector = Detector("demo-shapes").quantize("synthetic:shapes:9")
        >>> detector.scores == Detector("demo-shapes").scores
        True
        """
        if isinstance(images, (str, os.PathLike)):
            for line in self._core.quantize_source(os.fspath(images), limit, seed):
                warnings.warn(line, stacklevel=2)
        else:
            self._core.quantize_images(array_of(images, self._shape), source)
        self._saved = False
        return self

    @property
    def precision_losses(self) -> dict[str, PrecisionLoss]:
        """What each score loses in "int8", by `quantize`; empty where it was not measured."""
        return self._core.precision_losses()

    def save(self, path: Path, bundle: bool = False) -> None:
        """Writes the model with its calibration, atomically; with `bundle` the general model goes
        into the same file. Raises OSError where that is not possible."""
        self._core.save(os.fspath(path), bundle)
        self._names = [os.fspath(path), None if bundle else self._names[1], *self._names[2:]]
        self._saved = True

    @property
    def info(self) -> DetectorInfo:
        """Models (file, architecture, fingerprint), plan and calibration.

        >>> Detector("demo-shapes").info["calibration"] is None
        True
        """
        return self._core.info()

    def __reduce__(self) -> Any:
        names = [None if name is None else name and _core.locate(name) for name in self._names]
        if "" in names:
            raise TypeError("this detector has models without a file: save it before it is pickled")
        if not self._saved:
            raise TypeError("this detector was calibrated: save it before it is pickled")
        files = [None if name is None else os.path.abspath(name) for name in names]
        return Detector, (files[0], files[1], tuple(files[2:]), *self._options)

    def __repr__(self) -> str:
        general = f", general={self._names[1]!r}" if self._names[1] else ""
        return f"<outflow.Detector {self._names[0]!r}{general}: {', '.join(self.scores)}>"

    def _repr_html_(self) -> str:
        info = self.info
        calibration = info["calibration"]
        rows = {
            "model": info["model"]["file"],
            "general model": info["general"]["file"] if info["general"] else "none",
            "images": " x ".join(map(str, self._shape)),
            "scores": ", ".join(self.scores),
            "default score": self.default_score,
            "calibration": f"{calibration['images']:,} images of {calibration['source']}"
            if calibration
            else info["calibration_problem"] or "none",
        }
        return table(["", "detector"], list(rows.items()))


def _joined(parts: list[Floats], empty: tuple[int, int]) -> Floats:
    if not parts:
        return np.empty(empty)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
