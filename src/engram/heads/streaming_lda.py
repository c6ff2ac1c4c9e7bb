"""Deep streaming linear discriminant analysis, in moment form.

T. L. Hayes, C. Kanan, "Lifelong machine learning with deep streaming linear discriminant analysis", CVPR
Workshops 2020: a running mean for each class, one shared covariance Σ shrunk by ε, and the linear
discriminant w_c = Λμ_c, b_c = −½ μ_cᵀΛμ_c with Λ = [(1−ε)Σ + ε·v·I]⁻¹. The paper updates Σ example by
example; kept as sums it comes out the same whatever the order. v is the mean variance, so that ε does not
depend on the unit of the features (the paper has v = 1).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engram.heads.exact_sums import ExactSums
from engram.heads.moments import MomentHead
from engram.learner import FloatArray, InputError


class StreamingLDA(MomentHead):
    """Linear discriminant analysis that learns one example at a time.

    Learning costs O(D²) for an example (amortised); the first question after it O(D³).

    Args:
        shrinkage: ε in (0, 1], or "oas": the oracle approximating shrinkage of Y. Chen, A. Wiesel,
            Y. C. Eldar, A. O. Hero, "Shrinkage algorithms for MMSE covariance estimation", 2010.
        step, normalise: as in `MomentHead`.

    >>> head = StreamingLDA(shrinkage=0.1, normalise=False)
    >>> head.learn([[0.0, 0.0], [0.9, 0.1], [0.0, 0.4], [0.9, 0.5]], ["low", "low", "high", "high"])
    >>> head.predict([0.0, 0.3]).labels
    ['high']
    """

    cubic = True

    def __init__(
        self, shrinkage: float | str = 1e-4, step: float = 2.0**-12, normalise: bool = True
    ) -> None:
        super().__init__(step, normalise)
        if shrinkage != "oas" and not (isinstance(shrinkage, int | float) and 0 < shrinkage <= 1):
            raise InputError(f"shrinkage must be 'oas' or a number above 0 and at most 1; not {shrinkage!r}.")
        self.shrinkage = shrinkage

    def config(self) -> dict[str, Any]:
        return {"shrinkage": self.shrinkage, **super().config()}

    def _fit(self, sums: ExactSums) -> None:
        means = sums.means()
        covariance = self._shrunk(sums.scatter() / sums.total, sums)
        self._weights = np.linalg.solve(covariance, means.T)
        self._bias = -0.5 * np.einsum("cd,dc->c", means, self._weights)

    def _shrunk(self, covariance: FloatArray, sums: ExactSums) -> FloatArray:
        width = len(covariance)
        variance = np.trace(covariance) / width
        if not variance:  # one example of each class: no direction is known to vary more than another
            centred = sums.sums.sum(axis=0) / sums.total
            variance = np.trace(sums.gram()) / sums.total - centred @ centred
            flat: FloatArray = np.eye(width) * (max(float(variance) / width, 0.0) or 1.0)
            return flat
        share = oas(covariance, sums.total) if self.shrinkage == "oas" else float(self.shrinkage)
        shrunk: FloatArray = (1 - share) * covariance + share * variance * np.eye(width)
        return shrunk

    def _read(self, features: FloatArray) -> FloatArray:
        scores: FloatArray = features @ self._weights + self._bias
        return scores


def oas(covariance: FloatArray, count: int) -> float:
    """The share of the identity that minimises the expected squared error, for Gaussian data.

    Args:
        covariance: (D, D) empirical covariance.
        count: from how many examples.
    """
    width = len(covariance)
    variance = np.trace(covariance) / width
    squares = np.mean(covariance**2)
    top = squares + variance**2
    bottom = (count + 1) * (squares - variance**2 / width)
    return float(min(top / bottom, 1.0)) if bottom > 0 else 1.0
