# SPDX-License-Identifier: Apache-2.0
"""Finds images that do not belong, with invertible networks on CPUs.

>>> import outflow
>>> detector = outflow.Detector("demo-shapes", general="demo-general")
>>> detector.score("synthetic:shapes:3", "nll").shape
(3,)
"""

from ._bench import BenchResult, bench
from ._clean import clean
from ._evaluate import Evaluation, evaluate
from ._fit import fit
from ._train import TrainResult, train
from .architecture import Architecture, InputMap
from .detector import Detector
from .errors import OutflowError
from .lib import _core
from .model import Likelihoods, Model, Plan
from .source import Source
from .table import Table

__version__ = _core.version()


def installed_models() -> list[str]:
    """Names of the models that came with the package or lie in the folders of OUTFLOW_MODELS."""
    return _core.installed()


__all__ = [
    "Architecture",
    "BenchResult",
    "Detector",
    "Evaluation",
    "InputMap",
    "Likelihoods",
    "Model",
    "OutflowError",
    "Plan",
    "Source",
    "Table",
    "TrainResult",
    "bench",
    "clean",
    "evaluate",
    "fit",
    "installed_models",
    "train",
]
