"""Every way of telling known from unknown that is compared; each larger where an input looks more known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.heads.fast import FastHead
from engram.inputs.vectors import unit_length
from engram.learner import FloatArray, Label

NEIGHBOURS = 5


def novelty_scores(
    head: FastHead, taught: npt.NDArray[Any], labels: Sequence[Label], asked: npt.NDArray[Any]
) -> dict[str, FloatArray]:
    """Name -> (N,) score of each asked vector.

    `familiarity` is what the head decides by, `focus` another axis, and `confidence` its
    calibrated softmax. The rivals see the same taught vectors: the largest softmax probability
    (Hendrycks & Gimpel 2017) and the energy (Liu et al. 2020) of a logistic regression, and the distance to
    the nearest and to the fifth-nearest taught vector, all of unit length (Sun et al. 2022).
    """
    answers = head.predict(asked)
    softmax, energy = _regression_scores(taught, labels, asked)
    nearest, fifth = _neighbour_distances(taught, asked)
    return {
        "focus": answers.focus,
        "familiarity": answers.familiarity,
        "confidence": answers.confidence,
        "max softmax": softmax,
        "energy": energy,
        "nearest neighbour": -nearest,
        "fifth neighbour": -fifth,
    }


def _regression_scores(
    taught: npt.NDArray[Any], labels: Sequence[Label], asked: npt.NDArray[Any]
) -> tuple[FloatArray, FloatArray]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)).fit(taught, labels)
    logits = np.asarray(model.decision_function(asked), dtype=np.float64)
    top = logits.max(axis=1)
    energy: FloatArray = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return np.exp(top - energy), energy


def _neighbour_distances(taught: npt.NDArray[Any], asked: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    memory, questions = unit_length(taught.astype(np.float64)), unit_length(asked.astype(np.float64))
    squared = np.maximum(2 - 2 * questions @ memory.T, 0.0)
    place = min(NEIGHBOURS, squared.shape[1]) - 1
    ordered = np.partition(squared, place, axis=1)
    return np.sqrt(squared.min(axis=1)), np.sqrt(ordered[:, place])
