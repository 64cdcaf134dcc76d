# SPDX-License-Identifier: Apache-2.0
"""outflow.sklearn: scikit-learn's own checks, and images."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="outflow.sklearn is not tested: pip install scikit-learn")

from sklearn.base import clone  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

import outflow  # noqa: E402
from outflow.sklearn import OutflowDetector  # noqa: E402


@parametrize_with_checks([OutflowDetector(random_state=0, images=2000)])  # type: ignore[misc]
def test_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def rows(count: int, seed: int = 0) -> Any:
    """Features that depend on each other: a line in five dimensions, and noise."""
    random = np.random.default_rng(seed)
    along = random.normal(size=(count, 1)) * np.array([[1, 2, -1, 0.5, 0]])
    return along + 0.1 * random.normal(size=(count, 5))


def test_it_learns_what_depends_on_what() -> None:
    detector = OutflowDetector(images=40000, random_state=0).fit(rows(1000))
    assert detector.contamination == "auto"
    assert (detector.predict(rows(1000, seed=1)) == -1).mean() < 0.12
    # Each feature alone is as it was: only their dependence is gone.
    shuffled = np.random.default_rng(2).permuted(rows(1000, seed=1), axis=0)
    assert (detector.predict(shuffled) == -1).mean() > 0.6
    far = np.full((1, 5), 1e30)
    assert np.isfinite(detector.score_samples(far)).all() and detector.predict(far) == [-1]


def test_threshold_by_contamination() -> None:
    detector = OutflowDetector(images=2000, contamination=0.2, random_state=0)
    assert (detector.fit_predict(rows(200)) == -1).sum() == 40
    assert detector.decision_function(rows(5)) == pytest.approx(
        detector.score_samples(rows(5)) - detector.offset_
    )


def test_images(tmp_path: Path) -> None:
    """Scores are the program's: -nll of the weights that the estimator holds."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (150, 8, 8, 3), dtype=np.uint8)
    detector = OutflowDetector((8, 8, 3), images=2000, random_state=0)
    detector.fit(images.reshape(150, -1))
    (tmp_path / "w.safetensors").write_bytes(detector.weights_)
    same = outflow.Detector(tmp_path / "w.safetensors")
    np.testing.assert_allclose(
        detector.score_samples(images.reshape(150, -1)),
        -np.asarray(same.score(images, "nll")),
        rtol=1e-6,
    )
    floats = OutflowDetector((8, 8, 3), images=2000, random_state=0)
    floats.fit(images.reshape(150, -1) / 255.0)
    assert tensors(floats.weights_) == tensors(detector.weights_)


def tensors(weights: bytes) -> bytes:
    return weights[8 + int.from_bytes(weights[:8], "little") :]


def test_images_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="64 values, X has 5"):
        OutflowDetector((8, 8)).fit(rows(10))
    with pytest.raises(ValueError, match="pixel_range"):
        OutflowDetector((8, 8)).fit(np.full((10, 64), 200.0))
    with pytest.raises(ValueError, match="contamination"):
        OutflowDetector(contamination=0.7).fit(rows(10))


def test_pipelines_clones_and_pickles() -> None:
    pipeline = make_pipeline(StandardScaler(), OutflowDetector(images=2000, random_state=0))
    labels = np.ones(len(rows(300)))

    def share_of_inliers(estimator: Any, X: Any, y: Any) -> float:
        return float((estimator.predict(X) == 1).mean())

    shares = cross_val_score(pipeline, rows(300), labels, scoring=share_of_inliers, cv=3)
    assert shares.min() > 0.7
    pipeline.fit(rows(300))
    scores = pipeline.score_samples(rows(20, seed=5))
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(pipeline)).score_samples(rows(20, seed=5)), scores
    )
    again = clone(pipeline).fit(rows(300))
    np.testing.assert_array_equal(again.score_samples(rows(20, seed=5)), scores)


def share_of_inliers(estimator: Any, X: Any, y: Any = None) -> float:
    return float((estimator.predict(X) == 1).mean())


def mean_score(estimator: Any, X: Any, y: Any = None) -> float:
    return float(estimator.score_samples(X).mean())


def test_worker_processes_after_openmp_has_run() -> None:
    """joblib's workers are no forks: they neither hang nor score otherwise."""
    detector = OutflowDetector(images=2000, random_state=0).fit(rows(200))
    detector.score_samples(rows(50))  # OpenMP has run here
    alone = cross_val_score(clone(detector), rows(300), scoring=share_of_inliers, cv=3)
    beside = cross_val_score(clone(detector), rows(300), scoring=share_of_inliers, cv=3, n_jobs=2)
    np.testing.assert_array_equal(alone, beside)


def test_fitted_detectors_go_to_workers() -> None:
    from joblib import Parallel, delayed

    detector = OutflowDetector(images=2000, random_state=0).fit(rows(200))
    expected = detector.score_samples(rows(40, seed=1))
    for backend in ("loky", "threading"):
        found = Parallel(n_jobs=2, backend=backend)(
            delayed(detector.score_samples)(rows(40, seed=1)[i : i + 10]) for i in range(0, 40, 10)
        )
        np.testing.assert_array_equal(np.concatenate(found), expected)


def test_grid_search() -> None:
    search = GridSearchCV(
        OutflowDetector(images=1000, random_state=0),
        {"steps": [1, 2], "hidden": [8]},
        scoring=mean_score,
        cv=2,
        n_jobs=2,
    )
    search.fit(rows(200))
    assert search.best_params_["steps"] in (1, 2)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.predict(rows(20)).shape == (20,)


def test_threads_are_those_of_n_jobs() -> None:
    """Results do not depend on them, nor on limits of threadpoolctl's."""
    from threadpoolctl import threadpool_limits

    one = OutflowDetector(images=1000, random_state=0).fit(rows(200))
    two = OutflowDetector(images=1000, random_state=0, n_jobs=2).fit(rows(200))
    with threadpool_limits(1):
        limited = OutflowDetector(images=1000, random_state=0, n_jobs=2).fit(rows(200))
    scores = one.score_samples(rows(50, seed=3))
    np.testing.assert_array_equal(two.score_samples(rows(50, seed=3)), scores)
    np.testing.assert_array_equal(limited.score_samples(rows(50, seed=3)), scores)
