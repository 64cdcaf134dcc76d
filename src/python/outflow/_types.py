# SPDX-License-Identifier: Apache-2.0
"""The dictionaries that the library's structs become, field by field, and arrays."""

from __future__ import annotations

from typing import Dict, Optional, Tuple, TypedDict

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


class InputMapFields(TypedDict):
    """An input map by the names of its members in weight files."""

    bits: int
    scale: float
    shift: float
    bin: float
    logit: float


class ArchitectureFields(TypedDict):
    """An architecture by the names of its fields in weight files."""

    family: str
    channels: int
    height: int
    width: int
    scales: int
    steps: int
    hidden: int
    coupling: str
    permutation: str
    lu: bool
    block: str
    classes: int
    input: InputMapFields
    latents: str
    split_prior: str
    edges: Tuple[str, ...]
    scale_map: str
    shift: str
    net_input: str
    leak: float
    closing: bool


class PlanInfo(TypedDict):
    """How a model was compiled for this machine."""

    isa: str
    precision: str
    threads: int
    micro_batch: int
    flops_per_image: float
    weight_bytes: int
    workspace_bytes: int
    convolutions: str


class LayerInfo(TypedDict):
    """One fused layer; floating-point operations and bytes an image."""

    name: str
    operation: str
    kernel: str
    precision: str
    flops: float
    weight_bytes: int
    output_bytes: int


class PrecisionLoss(TypedDict):
    """What a score loses in int8: AUROC against the kind of outliers where it loses most, the mean
    change of p-values, and the share of usual images that a threshold for 5 % in f32 flags."""

    auroc: float
    error: float
    against: str
    p_value: float
    flagged: float


class ModelInfo(TypedDict):
    """A model of a detector."""

    file: str
    architecture: ArchitectureFields
    fingerprint: int


class CalibrationInfo(TypedDict):
    """What a calibration was made from; `mean_nll` in nats an image."""

    images: int
    source: str
    mean_nll: float


class DetectorInfo(TypedDict):
    """What a detector consists of."""

    model: ModelInfo
    general: Optional[ModelInfo]
    ensemble: list[ModelInfo]
    plan: PlanInfo
    calibration: Optional[CalibrationInfo]
    calibration_problem: str


class PictureHeat(TypedDict, total=False):
    """Where a picture's score comes from, with `heat=True`."""

    heat: Floats
    """[rows, columns]; a value stands for `cell` x `cell` pixels of the picture."""
    cell: int
    usual: float
    """The value that is no sign of anything."""
    limit: float
    """How far from `usual` is as much as can be shown."""


class PictureScore(PictureHeat):
    """A picture that was scored by tiles."""

    path: str
    label: str
    height: int
    width: int
    score: float
    """The largest of its tiles."""
    p_value: Optional[float]
    """Among pictures; None without a calibration by the same tiles."""
    tiles: int
    tile_height: int
    tile_width: int


class SetInfo(TypedDict):
    """A set of an evaluation; `mean_logp` in nats an image."""

    name: str
    source: str
    images: int
    unreadable: int
    bits_per_dim: float
    mean_logp: float


class Metrics(TypedDict):
    """How well a score tells a set from the first one; outliers are the positive class."""

    auroc: float
    aupr_out: float
    aupr_in: float
    fpr95: float


class FlaggedShare(TypedDict):
    """What of a set is flagged; `low` and `high` are the exact 99 % interval of the share."""

    count: int
    share: float
    low: float
    high: float


class EvaluationSummary(TypedDict):
    """What holds for all sets of an evaluation."""

    compared: bool
    rate: float
    images_per_second: float
    convention: str


class TrainStart(TypedDict):
    """What a run begins with."""

    architecture: str
    parameters: int
    trained: int
    threads: int
    micro_batch: int
    lanes: int
    isa: str
    precision: str
    images: int
    general_images: int
    valid_images: int
    total_images: int
    resumed_step: int
    resumed_images: int
    data_bytes: int
    activation_bytes: int


class ValidationSet(TypedDict):
    """A named set at a validation; nan where there is no such score."""

    bits_per_dim: float
    auroc_nll: float
    auroc_last: float
    auroc_ratio: float


class Validation(TypedDict):
    """A validation; `since_best` counts validations."""

    bits_per_dim: float
    non_finite: int
    out_of: dict[str, ValidationSet]
    best: bool
    since_best: int


class TrainReport(TypedDict):
    """What `on_report` is given: `loss` in nats an image, since the last report."""

    step: int
    images: int
    skipped: int
    epoch: int
    loss: float
    bits_per_dim: float
    outlier_loss: float
    general_bits_per_dim: float
    scale_bits: list[float]
    lr: float
    grad_norm: float
    condition: float
    images_per_second: float
    seconds: float
    resident_bytes: int
    validation: Optional[Validation]


class TrainEnd(TypedDict):
    """How a run ended."""

    end: str
    step: int
    images: int
    skipped: int
    unreadable: int
    bits_per_dim: float
    seconds: float
    checkpoint: str
    log_error: Optional[str]


class CleanFinding(TypedDict):
    """What is wrong with a labelled image; texts are empty for what there is not."""

    issue: str
    path: str
    label: str
    p_value: Optional[float]
    suggested: str
    duplicate_of: str
    source: str
    duplicate_source: str
    notes: str


class FitSet(TypedDict):
    """How a set of outliers is told from the images held out."""

    images: int
    auroc: float
    flagged: float


class FitEnd(TypedDict):
    """What came of a fit."""

    interrupted: bool
    score: str
    rate: float
    trained: int
    calibrated: int
    checked: int
    flagged: float
    sets: Dict[str, FitSet]
    unreadable: int
    seconds: float
    tiles: Optional[Tuple[int, int]]
