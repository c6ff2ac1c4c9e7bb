"""What an accuracy matrix says about learning over a lifetime.

In every matrix R, R[i, j] is the accuracy on the test part of experience j after experience i was learned; rows are
experiences learned so far, columns all experiences of the stream. Indices count from 0 here, from 1 in the papers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engram.learner import FloatArray, InputError


def average_accuracy(matrix: Any) -> float:
    """ACC: the mean accuracy over the experiences learned so far, after the last of them.

    D. Lopez-Paz, M. Ranzato, "Gradient episodic memory for continual learning", NeurIPS 2017, eq. 2: 1/T Σ_j R[T, j].

    >>> average_accuracy([[0.9, 0.2], [0.7, 0.8]])
    0.75
    """
    rows = _rows(matrix)
    return float(rows[-1, : len(rows)].mean())


def backward_transfer(matrix: Any) -> float:
    """BWT: how much better earlier experiences are known at the end than when they had just been learned.

    Lopez-Paz, Ranzato 2017, eq. 3: 1/(T−1) Σ_{j<T} R[T, j] − R[j, j]. Negative where something was forgotten; NaN
    after a single experience.

    >>> round(backward_transfer([[0.9, 0.2], [0.7, 0.8]]), 9)
    -0.2
    """
    rows = _rows(matrix)
    last = len(rows) - 1
    return float((rows[-1, :last] - rows.diagonal()[:last]).mean()) if last else float("nan")


def forward_transfer(matrix: Any, before: Any) -> float:
    """FWT: how much earlier experiences help with one that has not come yet.

    Lopez-Paz, Ranzato 2017, eq. 4: 1/(T−1) Σ_{j>1} R[j−1, j] − b[j]. NaN after a single experience, or where later
    experiences were not asked about.

    Args:
        before: b, the accuracy on each test part before anything was learned.

    >>> round(forward_transfer([[0.9, 0.2], [0.7, 0.8]], before=[0.1, 0.1]), 9)
    0.1
    """
    rows, start = _rows(matrix), np.asarray(before, np.float64)
    last = len(rows) - 1
    return float((rows.diagonal(1)[:last] - start[1 : last + 1]).mean()) if last else float("nan")


def forgetting(matrix: Any) -> float:
    """Mean loss against the best there ever was, over all experiences but the last.

    A. Chaudhry, P. Dokania, T. Ajanthan, P. Torr, "Riemannian walk for incremental learning", ECCV 2018, section 4.2:
    1/(T−1) Σ_{j<T} max_{l<T} R[l, j] − R[T, j]. NaN after a single experience.

    >>> round(forgetting([[0.9, 0.2], [0.7, 0.8]]), 9)
    0.2
    """
    rows = _rows(matrix)
    last = len(rows) - 1
    return float((_best(rows[:-1, :last]) - rows[-1, :last]).mean()) if last else float("nan")


def forgetting_of_each(recalls: Any, met: Any) -> FloatArray:
    """Chaudhry's measure for single classes: the loss against the best there ever was, on every test part of it.

    Args:
        recalls: (T, J, C): the share of class c's examples in test part j that were recognised after experience i,
            NaN where the part has none.
        met: (J,) the experience with which each part was first met; parts met by the last one count for nothing.

    Returns:
        (C,): the mean over test parts; NaN for a class that came with the last experience only.

    >>> forgetting_of_each([[[0.9, np.nan]], [[0.6, np.nan]]], met=[0]).round(3)
    array([0.3, nan])
    """
    values = np.asarray(recalls, np.float64)
    earlier = np.asarray(met) < len(values) - 1
    if not earlier.any():
        return np.full(values.shape[2], np.nan)
    losses = _best(values[:-1, earlier]) - values[-1, earlier]
    counted = np.isfinite(losses)
    with np.errstate(invalid="ignore"):
        mean: FloatArray = np.where(counted, losses, 0.0).sum(axis=0) / counted.sum(axis=0)
    return mean


def _best(values: FloatArray) -> FloatArray:
    """The largest along the first axis, NaN where there is none."""
    best = np.where(np.isnan(values), -np.inf, values).max(axis=0)
    return np.where(np.isinf(best), np.nan, best)


def _rows(matrix: Any) -> FloatArray:
    rows = np.asarray(matrix, np.float64)
    if rows.ndim != 2 or not 1 <= len(rows) <= rows.shape[1]:
        raise InputError(f"A matrix of accuracies has a column for each experience and no more rows: not {rows.shape}.")
    return rows
