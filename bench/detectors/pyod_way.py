# SPDX-License-Identifier: Apache-2.0
"""PyOD's detectors with their own settings, on pixels and on their principal components."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any, Callable, Dict, List, Tuple

import numpy as np

from contender import TRAIN, Contender, Named, Result, Stopwatch, Task
from data import read_pixels

COMPONENTS = 64

# name -> module and class
CLASSIC = {
    "ECOD": ("ecod", "ECOD"),
    "COPOD": ("copod", "COPOD"),
    "KNN": ("knn", "KNN"),
    "IForest": ("iforest", "IForest"),
    "LOF": ("lof", "LOF"),
    "OCSVM": ("ocsvm", "OCSVM"),
}
NETWORKS = {"AutoEncoder": ("auto_encoder", "AutoEncoder"), "DeepSVDD": ("deep_svdd", "DeepSVDD")}


def make(place: Tuple[str, str], features: int, **wished: Any) -> Any:
    """The detector; arguments that this version of it does not have are left out."""
    kind = getattr(import_module(f"pyod.models.{place[0]}"), place[1])
    known = inspect.signature(kind).parameters
    wished.update(n_features=features, random_state=0, verbose=0, n_jobs=1)
    return kind(**{name: value for name, value in wished.items() if name in known})


def read_all(task: Task) -> Dict[str, np.ndarray]:
    """Pixels of each set as rows of numbers from 0 to 1, grey where all normal images are."""
    sets = {name: read_pixels(task.images / name, task.side) for name in (TRAIN, *task.scored_sets())}
    grey = bool((sets[TRAIN] == sets[TRAIN][..., :1]).all())
    if grey:
        sets = {name: pixels.mean(axis=3) for name, pixels in sets.items()}
    return {name: pixels.reshape(len(pixels), -1) / 255.0 for name, pixels in sets.items()}


def reduce(sets: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    from sklearn.decomposition import PCA

    components = min(COMPONENTS, len(sets[TRAIN]) - 1)
    pca = PCA(components, whiten=True, random_state=0).fit(sets[TRAIN])
    return {name: pca.transform(rows) for name, rows in sets.items()}


def measure(detector: Any, sets: Dict[str, np.ndarray], names: List[str]) -> Result:
    watch = Stopwatch()
    detector.fit(sets[TRAIN])
    fit_seconds = watch.lap()
    scores = {name: np.asarray(detector.decision_function(sets[name])) for name in names}
    return Result(scores, fit_seconds, watch.lap())


def run_classic(task: Task, name: str) -> List[Named]:
    pixels = read_all(task)
    found = []
    for form, sets in (("pixels", pixels), (f"PCA {COMPONENTS}", reduce(pixels))):
        detector = make(CLASSIC[name], sets[TRAIN].shape[1])
        result = measure(detector, sets, task.scored_sets())
        found.append(Named(f"PyOD {name}, {form}", result))
    return found


def run_network(task: Task, name: str) -> List[Named]:
    """Once as it comes, once for as many passes as the minutes allow."""
    sets = read_all(task)
    features, names = sets[TRAIN].shape[1], task.scored_sets()
    usual = measure(make(NETWORKS[name], features), sets, names)
    setting = "epoch_num" if name == "AutoEncoder" else "epochs"
    one = measure(make(NETWORKS[name], features, **{setting: 2}), sets, names)
    passes = max(2, int(2 * 60 * task.minutes / one.fit_seconds))
    long = measure(make(NETWORKS[name], features, **{setting: passes}), sets, names)
    return [Named(f"PyOD {name}", usual), Named(f"PyOD {name}, {passes} passes", long)]


def contender(name: str, run: Callable[[Task, str], List[Named]]) -> Contender:
    return Contender(name, "pyod", lambda task: run(task, name))


CONTENDERS = [contender(name, run_classic) for name in CLASSIC] + [
    contender(name, run_network) for name in NETWORKS
]
