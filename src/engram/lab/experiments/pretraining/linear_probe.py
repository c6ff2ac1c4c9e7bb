"""The strongest simple rival of a head: logistic regression, refitted on everything that was taught."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)


class LinearProbe(NamedTuple):
    """Accuracy in [0, 1] on the test features; the chosen C; seconds of one refit (the best of
    several), and of choosing C."""

    accuracy: float
    strength: float
    refit_seconds: float
    selection_seconds: float


def linear_probe(
    teach: npt.NDArray[Any],
    teach_labels: npt.NDArray[Any],
    test: npt.NDArray[Any],
    test_labels: npt.NDArray[Any],
    strengths: Sequence[float] = STRENGTHS,
    refits: int = 3,
) -> LinearProbe:
    """Choose C among `strengths` on a fifth of (N, D) taught features, refit on all, answer (M, D) test features.

    Features are standardised with the taught data's mean and deviation; multinomial, L2, L-BFGS
    (scikit-learn). What counts against it in time is the one refit with C known.
    """
    from sklearn.exceptions import ConvergenceWarning

    start = time.perf_counter()
    places = np.random.default_rng(0).permutation(len(teach))
    held, rest = places[: len(places) // 5], places[len(places) // 5 :]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # weak regularisation may stop at the limit
        scores = [_fitted(teach[rest], teach_labels[rest], strength).score(teach[held], teach_labels[held])
                  for strength in strengths]
        strength = strengths[int(np.argmax(scores))]
        chosen = time.perf_counter()
        spent = []
        for _ in range(refits):
            begun = time.perf_counter()
            model = _fitted(teach, teach_labels, strength)
            spent.append(time.perf_counter() - begun)
    return LinearProbe(float(model.score(test, test_labels)), strength, min(spent), chosen - start)


def _fitted(features: npt.NDArray[Any], labels: npt.NDArray[Any], strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
    return model.fit(features, labels)
