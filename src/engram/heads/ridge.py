"""Ridge regression onto one-hot targets, from accumulated moments.

A. E. Hoerl, R. W. Kennard, "Ridge regression: biased estimation for nonorthogonal problems", Technometrics
12(1), 1970. W = (G + λI)⁻¹B with G = Σ(x−m)(x−m)ᵀ and B = Σ(x−m)yᵀ is what recursive least squares
arrives at; here both are sums, so a new label is one more column of B and costs the old ones nothing.

λ is given, or chosen by generalised cross-validation, the rotation-invariant form of leave-one-out:
G. H. Golub, M. Heath, G. Wahba, "Generalized cross-validation as a method for choosing a good ridge
parameter", Technometrics 21(2), 1979. It needs the moments alone, no example kept or held out.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from engram.heads.exact_sums import ExactSums
from engram.heads.moments import MomentHead
from engram.learner import FloatArray, InputError, Label, Predictions

GRID = 10.0 ** np.arange(-8, 2.5, 0.5)
"""Candidates for λ, as multiples of the mean eigenvalue of G."""

CHOOSE_FROM = 30
"""Examples from which on λ is chosen; before, it is the mean eigenvalue."""


class Ridge(MomentHead):
    """Linear least squares with an intercept; the scores estimate the probability of each class.

    λ is chosen again whenever the number of examples has doubled, which costs O(D³), and by `rebuild`.

    Args:
        penalty: λ in squared units of the features, or "gcv".
        step, normalise: as in `MomentHead`.

    >>> head = Ridge(penalty=0.01, normalise=False)
    >>> head.learn([[0.0, 0.0], [0.2, 0.1], [1.0, 1.0], [0.9, 1.1]], [0, 0, 1, 1])
    >>> head.predict([0.8, 0.8]).labels
    [1]
    """

    intercept: ClassVar[bool] = True

    def __init__(
        self, penalty: float | str = "gcv", step: float = 2.0**-12, normalise: bool = True
    ) -> None:
        super().__init__(step, normalise)
        if penalty != "gcv" and not (isinstance(penalty, int | float) and penalty > 0):
            raise InputError(f"penalty is 'gcv' or a number above 0, not {penalty!r}.")
        self.penalty = penalty
        self._chosen = 0.0
        self._chosen_at = 0

    def config(self) -> dict[str, Any]:
        return {"penalty": self.penalty, **super().config()}

    @property
    def _unit(self) -> float:
        """What one integer stands for."""
        return self._quantise.step

    def _learned(self, sums: ExactSums) -> None:
        if sums.total >= max(2 * self._chosen_at, CHOOSE_FROM):
            self._tune(sums)

    def _tune(self, sums: ExactSums) -> None:
        if self.penalty == "gcv":
            self._chosen, self._chosen_at = 0.0, sums.total
            if sums.total >= CHOOSE_FROM:
                gram, cross, _ = self._moments(sums)
                targets = sums.counts * (1 - sums.counts / sums.total * self.intercept)
                self._chosen = gcv(gram, cross, targets, sums.total, int(self.intercept))

    def _moments(self, sums: ExactSums) -> tuple[FloatArray, FloatArray, FloatArray]:
        """G (D, D), B (D, C) and the mean (D,) that both are taken about; zeros without intercept."""
        mean = sums.sums.sum(axis=0) / sums.total * self.intercept
        gram = sums.gram() - sums.total * np.outer(mean, mean)
        cross = (sums.sums - sums.counts[:, None] * mean).T
        return gram, cross, mean

    def _fit(self, sums: ExactSums) -> None:
        gram, cross, self._mean = self._moments(sums)
        if self.penalty == "gcv":
            penalty = self._chosen or np.trace(gram) / len(gram) or 1.0
        else:
            penalty = float(self.penalty) / self._unit**2
        self._weights = np.linalg.solve(gram + penalty * np.eye(len(gram)), cross)
        self._base = sums.counts / sums.total * self.intercept

    def _read(self, features: FloatArray) -> FloatArray:
        scores: FloatArray = (features - self._mean) @ self._weights + self._base
        return scores

    def _answer(self, candidates: tuple[Label, ...], scores: FloatArray) -> Predictions:
        answers = super()._answer(candidates, scores)
        answers.confidence[:] = shares(scores).max(axis=1)
        return answers


def shares(scores: FloatArray) -> FloatArray:
    """Estimated probabilities, cut to [0, 1] and made to sum to one; equal shares where all are cut away."""
    cut = np.clip(scores, 0.0, 1.0)
    total = cut.sum(axis=1, keepdims=True)
    probabilities: FloatArray = np.where(total > 0, cut / np.maximum(total, 1e-300), 1.0 / scores.shape[1])
    return probabilities


def gcv(gram: FloatArray, cross: FloatArray, targets: FloatArray, count: int, fixed: int = 1) -> float:
    """The λ of `GRID` × mean eigenvalue with the smallest generalised cross-validation error.

    Args:
        gram: (D, D) G.
        cross: (D, C) B.
        targets: (C,) sums of the squared targets.
        count: number of examples, n.
        fixed: degrees of freedom that are not penalised, such as the intercept.

    Returns:
        argmin of RSS(λ) / (n − df(λ))², with both from the eigenvalues of G.
    """
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0.0)
    power = ((vectors.T @ cross) ** 2).sum(axis=1)
    mean = values.mean() or 1.0
    errors = []
    for penalty in GRID * mean:
        residual = targets.sum() - (power * (values + 2 * penalty) / (values + penalty) ** 2).sum()
        freedom = count - fixed - (values / (values + penalty)).sum()
        errors.append(max(residual, 0.0) / freedom**2 if freedom > 1e-6 * count else np.inf)
    return float(GRID[int(np.argmin(errors))] * mean)
