# SPDX-License-Identifier: Apache-2.0
"""Outflow as scikit-learn's outlier detectors are: fit, score_samples, predict, pipelines."""

from __future__ import annotations

import math
import os
import tempfile
from typing import Any, Dict, Optional, Tuple, Union

import numpy as np
import numpy.typing as npt

try:
    from sklearn.base import BaseEstimator, OutlierMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "outflow.sklearn needs scikit-learn 1.6 or later: pip install scikit-learn"
    ) from error

from .detector import Detector
from ._train import train

__all__ = ["OutflowDetector"]

Floats = npt.NDArray[np.float64]

_FARTHEST = 8.0
"""Values are cut this many ranges off the training data's, where likelihoods are still finite."""


class OutflowDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """A normalizing flow as an outlier detector.

    Rows of X are images, flattened as [height][width][channels], or any other features: those are
    laid out as a small grey image, each scaled so that the training data fill the middle half of
    its range.

    Parameters
    ----------
    image_shape : tuple (height, width) or (height, width, channels), or None
        Shape of the images; sides divisible by 2^scales, channels 1 or 3. None: X is no images.
    steps, hidden, scales : int
        Size of the network: flow steps a scale, width of the coupling networks, scales (None: as
        many as the image's sides can be halved, up to 3).
    images : int
        Training goes on for so many images, with repetition.
    minutes : float or None
        Ends training after this time, which makes results depend on the machine.
    batch : int
        Images a step.
    lr : float
        Learning rate.
    pixel_range : tuple (low, high) or None
        With `image_shape`: values of black and white. None: (0, 255) for integers, (0, 1) for
        floats.
    contamination : "auto" or float in (0, 0.5]
        Share of outliers in the training data, which sets `offset_`. "auto": a twentieth of images
        like the training data are predicted as outliers, by a fifth of them that is not trained on
        (with less than 100 rows: by the training data).
    random_state : int, RandomState or None
        Decides weights, order and noise.
    n_jobs : int or None
        Threads; None: one, -1: all. Results do not depend on them.

    Attributes
    ----------
    offset_ : float
        decision_function = score_samples - offset_.
    weights_ : bytes
        The weight file, which `outflow.Detector` reads once it is written to disk.
    n_features_in_ : int
    """

    def __init__(
        self,
        image_shape: Optional[Tuple[int, ...]] = None,
        *,
        steps: int = 2,
        hidden: int = 16,
        scales: Optional[int] = None,
        images: int = 10000,
        minutes: Optional[float] = None,
        batch: int = 32,
        lr: float = 2e-3,
        pixel_range: Optional[Tuple[float, float]] = None,
        contamination: Union[str, float] = "auto",
        random_state: Any = None,
        n_jobs: Optional[int] = None,
    ) -> None:
        self.image_shape = image_shape
        self.steps = steps
        self.hidden = hidden
        self.scales = scales
        self.images = images
        self.minutes = minutes
        self.batch = batch
        self.lr = lr
        self.pixel_range = pixel_range
        self.contamination = contamination
        self.random_state = random_state
        self.n_jobs = n_jobs

    # ---- scikit-learn's contract

    def fit(self, X: Any, y: Any = None) -> "OutflowDetector":
        """Trains on the rows of X, [n_samples, n_features]; y is ignored."""
        self._check_contamination()
        X = validate_data(self, X, dtype="numeric", ensure_min_samples=2)
        random = check_random_state(self.random_state)
        seed = int(random.randint(2**31 - 1))
        self._fit_layout(X)
        images = self._as_images(X)
        held_out = self._held_out(len(X), random)
        self.weights_ = self._train(images[~held_out], seed)
        self._detector: Optional[Detector] = None
        scores = self._score_images(images)
        if self.contamination == "auto":
            judged = scores[held_out] if held_out.any() else scores
            self.offset_ = _conformal_quantile(judged, 0.05)
        else:
            self.offset_ = float(np.percentile(scores, 100.0 * float(self.contamination)))
        return self

    def score_samples(self, X: Any) -> Floats:
        """Log-likelihoods of the rows of X as 8-bit images, [n_samples] nats: higher is more
        normal."""
        check_is_fitted(self, "weights_")
        X = validate_data(self, X, dtype="numeric", reset=False)
        return self._score_images(self._as_images(X))

    def decision_function(self, X: Any) -> Floats:
        """score_samples less `offset_`: negative for outliers. [n_samples]"""
        scores: Floats = self.score_samples(X) - self.offset_
        return scores

    def predict(self, X: Any) -> npt.NDArray[np.int64]:
        """-1 for outliers, 1 for everything else. [n_samples]"""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def __getstate__(self) -> Dict[str, Any]:
        state: Dict[str, Any] = dict(super().__getstate__())
        state.pop("_detector", None)
        return state

    # ---- Rows as images

    def _fit_layout(self, X: npt.NDArray[Any]) -> None:
        """Finds `shape_`, [height, width, channels], and which values are black and white."""
        features = X.shape[1]
        if self.image_shape is None:
            side = max(4, 2 * math.ceil(math.sqrt(features) / 2))
            self.shape_ = (side, side, 1)
            low, high = X.min(axis=0).astype(float), X.max(axis=0).astype(float)
            width = np.where(high > low, high - low, 1.0)
            self.black_, self.white_ = low - width / 2, low + width * 1.5
            return
        shape = tuple(int(n) for n in self.image_shape)
        self.shape_ = (*shape, 1) if len(shape) == 2 else shape  # type: ignore[assignment]
        if len(self.shape_) != 3 or math.prod(self.shape_) != features:
            raise ValueError(
                f"image_shape {self.image_shape} has {math.prod(shape)} values, X has {features} "
                "features"
            )
        usual = (0, 255) if np.issubdtype(X.dtype, np.integer) else (0, 1)
        low, high = usual if self.pixel_range is None else self.pixel_range
        if X.min() < low or X.max() > high:
            raise ValueError(
                f"pixels lie in {X.min():g}..{X.max():g} and not in {low:g}..{high:g}: set "
                "pixel_range"
            )
        self.black_, self.white_ = np.float64(low), np.float64(high)

    def _as_images(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """[n, height, width, channels], 0 is black and 1 is white; what pads them is grey."""
        unit = (X.astype(np.float64) - self.black_) / (self.white_ - self.black_)
        images = np.full((len(X), math.prod(self.shape_)), 0.5, dtype=np.float32)
        images[:, : X.shape[1]] = np.clip(unit, -_FARTHEST, 1 + _FARTHEST)
        return images.reshape(len(X), *self.shape_)

    # ---- The flow

    def _check_contamination(self) -> None:
        value = self.contamination
        if value != "auto" and not (isinstance(value, (int, float)) and 0 < value <= 0.5):
            raise ValueError(f"contamination is 'auto' or in (0, 0.5], not {value!r}")

    def _held_out(self, count: int, random: Any) -> npt.NDArray[np.bool_]:
        mask = np.zeros(count, dtype=bool)
        if self.contamination == "auto" and count >= 100:
            mask[random.permutation(count)[: count // 5]] = True
        return mask

    def _scales(self) -> int:
        if self.scales is not None:
            return self.scales
        height, width, _ = self.shape_
        most = [n for n in (1, 2, 3) if height % 2**n == 0 and width % 2**n == 0]
        return max((n for n in most if min(height, width) >= 2 ** (n + 1)), default=1)

    def _train(self, images: npt.NDArray[np.float32], seed: int) -> bytes:
        height, width, channels = self.shape_
        with tempfile.TemporaryDirectory(prefix="outflow-") as folder:
            out = os.path.join(folder, "weights.safetensors")
            train(
                images,
                out,
                architecture={
                    "height": height,
                    "width": width,
                    "channels": channels,
                    "scales": self._scales(),
                    "steps": self.steps,
                    "hidden": self.hidden,
                },
                images=self.images,
                minutes=self.minutes,
                batch=self.batch,
                lr=self.lr,
                seed=seed,
                threads=self._threads(),
                record="outflow.sklearn",
            )
            with open(out, "rb") as file:
                return file.read()

    def _threads(self) -> int:
        """As the library counts them: 0 stands for all."""
        return 1 if self.n_jobs is None else max(0, int(self.n_jobs))

    def _score_images(self, images: npt.NDArray[np.float32]) -> Floats:
        if getattr(self, "_detector", None) is None:
            with tempfile.TemporaryDirectory(prefix="outflow-") as folder:
                path = os.path.join(folder, "weights.safetensors")
                with open(path, "wb") as file:
                    file.write(self.weights_)
                self._detector = Detector(path, threads=self._threads())
        assert self._detector is not None
        nll: Floats = np.asarray(self._detector.score(images, "nll"), dtype=np.float64)
        return -nll


def _conformal_quantile(scores: Floats, rate: float) -> float:
    """The largest value that at most this share of exchangeable scores lies below."""
    rank = int(math.floor(rate * (len(scores) + 1)))
    ordered = np.sort(scores)
    return float(ordered[min(max(rank - 1, 0), len(ordered) - 1)])
