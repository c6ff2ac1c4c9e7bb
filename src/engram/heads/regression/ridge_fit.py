"""Ridge regression on centred features in closed form, its strength chosen by left-out error.

Leaving example i out changes its residual e_i to e_i / (1 − h_i), with the leverage h_i = 1/n + φ_iᵀ A φ_i and
A = (Σφφᵀ + λI)⁻¹ (Allen 1974, "The relationship between variable selection and data augmentation and a method for
prediction", Technometrics 16). So the error of every λ is known without fitting again. Of an example that was taught m
times, all are left out: e_i / (1 − m h_i). Otherwise they would confirm each other.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from engram.heads.ridge import GRID
from engram.learner import FloatArray

TUNED_FROM = 5
"""Examples from which on λ is chosen; before, it is the mean eigenvalue."""

_LEAST = 1e-6  # of an example's own answer the others give at least: below, rounding decides its left-out error


class Moments(NamedTuple):
    """Sums over n examples: M features and K numbers.

    Attributes:
        examples: n.
        mean, middle: (M,) and (K,) means.
        gram: (M, M) Σ(φ − mean)(φ − mean)ᵀ.
        cross: (M, K) Σ(φ − mean)(y − middle)ᵀ.
    """

    examples: int
    mean: FloatArray
    middle: FloatArray
    gram: FloatArray
    cross: FloatArray

    @classmethod
    def of(cls, features: FloatArray, values: FloatArray) -> Self:
        """Of (N, M) features and (N, K) numbers."""
        mean, middle = features.mean(axis=0), values.mean(axis=0)
        centred, away = features - mean, values - middle
        return cls(len(features), mean, middle, centred.T @ centred, centred.T @ away)


class LeftOutErrors(NamedTuple):
    """A sample of what was taught, each as if it had not been.

    Attributes:
        residuals: (L, K) the number less what would have been answered.
        spread: (L,) what a new example at that place is expected to be off by, in deviations of the noise.
    """

    residuals: FloatArray
    spread: FloatArray


class RidgeFit(NamedTuple):
    """Weights, and A to judge them by.

    Attributes:
        moments: what it was fitted to.
        penalty: λ.
        precision: A, (M, M).
        weights: (M, K).
    """

    moments: Moments
    penalty: float
    precision: FloatArray
    weights: FloatArray

    @classmethod
    def with_penalty(cls, moments: Moments, penalty: float) -> Self:
        """For a λ that is known."""
        system = moments.gram + penalty * np.eye(len(moments.gram))
        precision = np.linalg.inv(system)
        precision = 0.5 * (precision + precision.T)
        return cls(moments, penalty, precision, precision @ moments.cross)

    def answer(self, features: FloatArray, missing: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(N, K) numbers for (N, M) features, and (N,) what they are expected to be off by, in deviations of the noise.

        Args:
            missing: (N,) prior variance that the features leave out; each unit counts 1/λ times the noise.
        """
        answers, leverage = self._answer(features)
        return answers, np.sqrt(1.0 + leverage + missing / self.penalty)

    def left_out(
        self, features: FloatArray, values: FloatArray, missing: FloatArray, times: npt.NDArray[np.intp]
    ) -> LeftOutErrors:
        """Of different examples that were taught: (L, M) features, (L, K) numbers, (L,) as for `answer`, and (L,) how
        often each was: all of them are left out."""
        answers, leverage = self._answer(features)
        others = 1.0 - np.minimum(times * leverage, 1.0 - _LEAST)
        spread = np.sqrt(1.0 + leverage / others + missing / self.penalty)
        return LeftOutErrors((values - answers) / others[:, None], spread)

    def _answer(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(N, K) numbers, and (N,) leverages 1/n + φᵀAφ."""
        centred = features - self.moments.mean
        leverage = 1.0 / self.moments.examples + np.einsum("nm,nm->n", centred @ self.precision, centred)
        return centred @ self.weights + self.moments.middle, np.maximum(leverage, 0.0)


def answered_by(kernel: FloatArray, values: FloatArray, penalty: float, asked: FloatArray) -> FloatArray:
    """(N, K) numbers for N inputs, by the ridge regression on the features that a kernel is the products of.

    Args:
        kernel: (L, L) products of the features of examples.
        values: (L, K) their numbers.
        penalty: λ.
        asked: (N, L) products of the features of the inputs with those of the examples.
    """
    mean, middle = kernel.mean(axis=0), values.mean(axis=0)
    centred = kernel - mean - mean[:, None] + mean.mean()
    apart = asked - asked.mean(axis=1, keepdims=True) - mean + mean.mean()
    answers: FloatArray = middle + apart @ np.linalg.solve(centred + penalty * np.eye(len(kernel)), values - middle)
    return answers


def best_penalty(kernel: FloatArray, values: FloatArray, rank: int) -> tuple[float, float]:
    """λ of the grid with the smallest left-out error, the largest of equals, and that error: mean squared, each number
    in units of its deviation. The mean eigenvalue and infinity where there are too few examples to tell.

    Args:
        kernel: (L, L) products of the features of examples; a regression on these features is what it is for.
        values: (L, K) their numbers.
        rank: how many features there are, if fewer than examples.
    """
    count = len(values)
    centred = kernel - kernel.mean(axis=0)
    centred -= centred.mean(axis=1, keepdims=True)
    usual = float(np.trace(centred)) / max(min(rank, count - 1), 1) or 1.0
    if count < TUNED_FROM:
        return usual, float("inf")
    eigenvalues, vectors = np.linalg.eigh(0.5 * (centred + centred.T))
    eigenvalues = np.maximum(eigenvalues, 0.0)
    away = values - values.mean(axis=0)
    spread = away.std(axis=0)
    away = away / np.where(spread > 0, spread, 1.0)
    turned, squares = vectors.T @ away, np.square(vectors)
    best, least = usual, float("inf")
    for penalty in (GRID * usual)[::-1]:
        kept = eigenvalues / (eigenvalues + penalty)
        leverage = 1.0 / count + squares @ kept
        if leverage.max() > 1.0 - _LEAST:
            continue
        residuals = (away - vectors @ (kept[:, None] * turned)) / (1.0 - leverage)[:, None]
        error = float(np.square(residuals).mean())
        if error < least:
            best, least = float(penalty), error
    return best, least
