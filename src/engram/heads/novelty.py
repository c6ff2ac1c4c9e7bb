"""Nothing I know: whether an input resembles anything taught, without a single example of an unknown.

Two axes. *Familiarity*: how near is the nearest class mean, in units of the spread within classes? *Focus*: is it
much nearer than the others, or is everything equally far? Both are standardised by the median and the median absolute
deviation of leave-one-out scores of taught examples. Where the nearest class has few examples the lesser of the two
decides, else their sum; refused is what falls below the α-quantile of the same statistic on taught examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from engram.heads.head import Positions
from engram.heads.metric import Centres, Comparison
from engram.learner import FloatArray

MANY = 20
"""Examples of the nearest class from which on focus and familiarity are added."""

PRIOR_WEIGHT = 300.0
"""Examples that the normal quantile counts for beside the empirical one, which wavers while examples are few."""


def distances(comparison: Comparison, centres: Centres, freedom: float) -> FloatArray:
    """(N, C) d²(x, μ)/(1 + 1/n) to the nearest centre of each class, in the metric (κ + N) A."""
    spread = comparison.squared() * (comparison.widening * freedom)
    return spread if centres.starts is None else -centres.best(-spread)


def finite(spread: FloatArray) -> FloatArray:
    """Distances with the largest of them in place of infinity: that of a class with no example but the one left out."""
    there = np.isfinite(spread)
    return spread if there.all() else np.where(there, spread, spread[there].max())


def likeliest(spread: FloatArray, counts: FloatArray, typical: float) -> Positions:
    """(N,) the class under which each input is likeliest: the nearest, where all classes have as many examples.

    A mean of few examples is uncertain, which brings everything nearer to it: −2 ln of the normal predictive density is
    d²/(1 + 1/n) in units of what is typical, and ln(1 + 1/n) for the width of the density (for each dimension alike).

    Args:
        counts: (C,) examples of each class.
        typical: the distance of a known input.
    """
    places: Positions = (spread / typical + np.log1p(1.0 / np.maximum(counts, 1.0))).argmin(axis=1)
    return places


def axes(spread: FloatArray, nearest: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
    """Focus and familiarity, (N,) each, from (N, C) distances.

    Focus is ln of the mean distance to the other classes over that to the nearest (0 where there is no other),
    familiarity −ln of the nearest.

    Args:
        nearest: (N,) the distance that counts as the least; None for the least.
    """
    count = spread.shape[1]
    nearest = np.maximum(spread.min(axis=1) if nearest is None else nearest, 1e-12)
    familiarity = -np.log(nearest)
    if count < 2:
        return np.zeros(len(spread)), familiarity
    others = (spread.sum(axis=1) - nearest) / (count - 1)
    return np.log(np.maximum(others, 1e-12)) + familiarity, familiarity


@dataclass(frozen=True, slots=True)
class Axis:
    """A score's centre and spread over taught examples."""

    median: float
    deviation: float

    @classmethod
    def of(cls, scores: FloatArray) -> Axis:
        median = float(np.median(scores))
        return cls(median, max(1.4826 * float(np.median(np.abs(scores - median))), 1e-9))

    def standard(self, scores: FloatArray) -> FloatArray:
        standard: FloatArray = (scores - self.median) / self.deviation
        return standard


@dataclass(frozen=True, slots=True)
class Novelty:
    """The calibrated test.

    Attributes:
        focus, familiarity: how taught examples score when left out.
        few, many: thresholds of the lesser and of the sum of the standardised scores.
        temperature: of the softmax that turns scores into confidence.
    """

    focus: Axis | None
    familiarity: Axis
    few: float
    many: float
    temperature: float

    @property
    def typical(self) -> float:
        """The distance of a known input to its class."""
        return float(np.exp(-self.familiarity.median))

    def statistic(self, focus: FloatArray, familiarity: FloatArray, counts: FloatArray) -> FloatArray:
        """(N,) how known each input is, 0 at the threshold; `counts` are the examples of its nearest class."""
        near = self.familiarity.standard(familiarity)
        if self.focus is None:
            return near - self.few
        clear = self.focus.standard(focus)
        return np.where(counts < MANY, np.minimum(clear, near) - self.few, clear + near - self.many)

    def known(self, focus: FloatArray, familiarity: FloatArray, counts: FloatArray) -> npt.NDArray[np.bool_]:
        """(N,) whether each input is something the head knows."""
        known: npt.NDArray[np.bool_] = self.statistic(focus, familiarity, counts) >= 0.0
        return known


def calibrate(spread: FloatArray, temperature: float, alpha: float) -> Novelty:
    """Calibrate on left-out examples.

    Args:
        spread: (M, C) leave-one-out distances; infinity where a class has no other example.
        temperature: of the softmax of the scores.
        alpha: share of known things that may be refused.
    """
    focus, familiarity = axes(finite(spread))
    close = Axis.of(familiarity)
    near = close.standard(familiarity)
    if spread.shape[1] < 2:
        return Novelty(None, close, _quantile(near, alpha), 0.0, 1.0)
    clear = Axis.of(focus)
    apart = clear.standard(focus)
    lesser, total = _quantile(np.minimum(apart, near), alpha), _quantile(apart + near, alpha)
    return Novelty(clear, close, lesser, total, temperature)


def uncalibrated(width: int, alpha: float) -> Novelty:
    """Before any class has two examples: d² of a known input is about χ² with D degrees of freedom."""
    return Novelty(None, Axis(-float(np.log(width)), 0.35), -_normal_quantile(alpha), 0.0, 0.1)


def _quantile(statistic: FloatArray, alpha: float) -> float:
    """The α-quantile, leaning on a normal distribution of the same median and spread while examples are few."""
    axis = Axis.of(statistic)
    normal = axis.median - _normal_quantile(alpha) * axis.deviation
    share = len(statistic) / (len(statistic) + PRIOR_WEIGHT)
    return float(share * np.quantile(statistic, alpha) + (1 - share) * normal)


def _normal_quantile(alpha: float) -> float:
    """How many deviations below the mean the α-quantile of a normal distribution lies."""
    return -NormalDist().inv_cdf(alpha)
