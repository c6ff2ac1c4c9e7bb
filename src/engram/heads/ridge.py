"""Ridge regression onto one-hot targets, from accumulated moments.

A. E. Hoerl, R. W. Kennard, "Ridge regression: biased estimation for nonorthogonal problems", Technometrics
12(1), 1970. W = (G + λI)⁻¹B with G = Σ(x−m)(x−m)ᵀ and B = Σ(x−m)yᵀ is what recursive least squares
arrives at; here both are sums, so a new label is one more column of B and costs the old ones nothing.

λ is given, or chosen by generalised cross-validation, the rotation-invariant form of leave-one-out:
G. H. Golub, M. Heath, G. Wahba, "Generalized cross-validation as a method for choosing a good ridge
parameter", Technometrics 21(2), 1979. It needs the moments alone, no example kept or held out.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from engram.heads.exact_sums import ExactSums
from engram.heads.head import softmax
from engram.heads.moments import MomentHead
from engram.learner import FloatArray, InputError, Label, Predictions, State

GRID = 10.0 ** np.arange(-8, 2.5, 0.5)
"""Candidates for λ, as multiples of the mean eigenvalue of G."""

TUNE_FROM = 30
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

    cubic = True
    intercept: ClassVar[bool] = True

    def __init__(
        self, penalty: float | str = "gcv", step: float = 2.0**-12, normalise: bool = True
    ) -> None:
        super().__init__(step, normalise)
        if penalty != "gcv" and not (isinstance(penalty, int | float) and penalty > 0):
            raise InputError(f"penalty must be 'gcv' or a number above 0, not {penalty!r}.")
        self.penalty = penalty
        self._spectrum: Spectrum | None = None
        self._tuned_at = 0

    def config(self) -> dict[str, Any]:
        return {"penalty": self.penalty, **super().config()}

    @property
    def _unit(self) -> float:
        """What one integer stands for."""
        return self._quantise.step

    def _learned(self, sums: ExactSums) -> None:
        if sums.total >= max(2 * self._tuned_at, TUNE_FROM):
            self._tune(sums)

    def _tune(self, sums: ExactSums) -> None:
        self._tuned_at = sums.total if sums.total >= TUNE_FROM else 0
        self._spectrum = None
        if sums.total >= TUNE_FROM:
            gram, cross, _ = self._moments(sums)
            self._spectrum = Spectrum.of(gram, cross, self._squares(sums), sums.total, int(self.intercept))

    def _arrays(self) -> State:
        """The sums, and the spectrum of when λ was chosen: what is loaded goes on with the same λ."""
        arrays = super()._arrays()
        if self._tuned and self._spectrum is not None:
            values, power, *numbers = self._spectrum
            arrays |= {"spectrum": np.stack([values, power]), "tuned": np.array([*numbers, self._tuned_at], np.float64)}
        return arrays

    def _restore(self, state: State) -> None:
        super()._restore(state)
        if self.sums is not None and "spectrum" in state:
            values, power = np.array(state["spectrum"], np.float64)
            squares, examples, fixed, tuned_at = np.array(state["tuned"], np.float64).tolist()
            if len(values) != len(self.sums.gram()) or not np.isfinite([*values, *power, squares]).all():
                raise ValueError(f"a spectrum of {len(values)} numbers")
            self._spectrum = Spectrum(values, power, squares, int(examples), int(fixed))
            self._tuned, self._tuned_at = True, int(tuned_at)

    def _squares(self, sums: ExactSums) -> float:
        """Σy² of the one-hot targets about their means."""
        return float((sums.counts * (1 - self.intercept * sums.counts / sums.total)).sum())

    def _moments(self, sums: ExactSums) -> tuple[FloatArray, FloatArray, FloatArray]:
        """G (D, D), B (D, C) and the mean (D,) that both are taken about; zeros without intercept."""
        mean = sums.sums.sum(axis=0) / sums.total * self.intercept
        gram = sums.gram() - sums.total * np.outer(mean, mean)
        cross = (sums.sums - sums.counts[:, None] * mean).T
        return gram, cross, mean

    def _fit(self, sums: ExactSums) -> None:
        gram, cross, self._mean = self._moments(sums)
        if self.penalty != "gcv":
            penalty = float(self.penalty) / self._unit**2
        elif self._spectrum is not None:
            penalty = self._spectrum.best()
        else:
            penalty = float(np.trace(gram)) / len(gram) or 1.0
        self._weights = np.linalg.solve(gram + penalty * np.eye(len(gram)), cross)
        self._base = sums.counts / sums.total * self.intercept
        fitted = self._weights * (gram @ self._weights - 2 * cross)
        freedom = self._spectrum.freedom(penalty) if self._spectrum is not None else 0.5
        # errors on one-hot targets sum to zero: they have one dimension less than there are classes
        dimensions = max(len(sums.counts) - 1, 1)
        residual = (self._squares(sums) + fitted.sum()) / (sums.total * freedom * dimensions)
        self._variance = float(np.clip(residual, 1e-3, 1.0))

    def _read(self, features: FloatArray) -> FloatArray:
        scores: FloatArray = (features - self._mean) @ self._weights + self._base
        return scores

    def _answer(self, candidates: tuple[Label, ...], scores: FloatArray) -> Predictions:
        """Confidence: the posterior, were each target its one-hot code with Gaussian noise."""
        answers = super()._answer(candidates, scores)
        answers.confidence[:] = softmax(scores / self._variance).max(axis=1)
        return answers


class Spectrum(NamedTuple):
    """What generalised cross-validation needs of n examples, for any λ.

    Attributes:
        values: (D,) eigenvalues s of G.
        power: (D,) squared length of B along each eigenvector.
        squares: Σy².
        examples: n.
        fixed: degrees of freedom that are not penalised, such as the intercept.
    """

    values: FloatArray
    power: FloatArray
    squares: float
    examples: int
    fixed: int

    @classmethod
    def of(cls, gram: FloatArray, cross: FloatArray, squares: float, count: int, fixed: int) -> Spectrum:
        """The spectrum that belongs to these sums: (D, D) of the features and (D, C) of features and targets."""
        values, vectors = np.linalg.eigh(gram)
        power = ((vectors.T @ cross) ** 2).sum(axis=1)
        return cls(np.maximum(values, 0.0), power, squares, count, fixed)

    def freedom(self, penalty: float) -> float:
        """1 − df(λ)/n: the share of the examples that is left to judge the fit by; 10⁻⁶ at least."""
        used = self.fixed + float((self.values / (self.values + penalty)).sum())
        return max(1.0 - used / self.examples, 1e-6)

    def error(self, penalty: float) -> float:
        """RSS(λ) / n (1 − df(λ)/n)², the generalised cross-validation error."""
        fit = float((self.power * (self.values + 2 * penalty) / (self.values + penalty) ** 2).sum())
        return max(self.squares - fit, 0.0) / self.examples / self.freedom(penalty) ** 2

    def best(self) -> float:
        """The λ of `GRID` × mean eigenvalue with the smallest error; the largest of equals."""
        candidates = (GRID * (self.values.mean() or 1.0))[::-1]
        usable = [penalty for penalty in candidates if self.freedom(penalty) > 1e-6]
        return float(min(usable or candidates[:1], key=self.error))
