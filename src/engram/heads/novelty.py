"""Nothing I know: whether an input resembles anything taught, without a single example of an unknown.

Two axes. *Focus*: does one label stand out, or is the distribution of scores flat? *Familiarity*: how near is the
nearest class mean, in units of the spread within classes? Both are standardised by the median and the median absolute
deviation of leave-one-out scores of taught examples. Where the nearest class has few examples the lesser of the two
decides, else their sum; refused is what falls below the α-quantile of the same statistic on taught examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from engram.heads.discriminant import Centres, Comparison
from engram.heads.head import focus, softmax
from engram.learner import FloatArray

MANY = 20
"""Examples of the nearest class from which on focus and familiarity are added."""

PRIOR_WEIGHT = 20.0
"""Examples that the normal quantile counts for beside the empirical one."""

_TEMPERATURES = np.geomspace(1e-2, 10.0, 13)


def familiarity(comparison: Comparison, centres: Centres, freedom: float) -> FloatArray:
    """(N, C) −ln of each class's d²(x, μ)/(1 + 1/n), in the metric (κ + N) A."""
    counts = np.maximum(centres.counts, 1)
    spread = comparison.squared() * (freedom / (1 + 1 / counts))
    with np.errstate(divide="ignore"):
        near: FloatArray = -np.log(np.maximum(spread, 1e-12))
    near[~np.isfinite(comparison.products)] = -np.inf
    return centres.best(near)


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

    def statistic(self, focus_: FloatArray, familiarity_: FloatArray, counts: FloatArray) -> FloatArray:
        """(N,) how known each input is; `counts` are the examples of its nearest class."""
        near = self.familiarity.standard(familiarity_)
        if self.focus is None:
            return near
        clear = self.focus.standard(focus_)
        return np.where(counts < MANY, np.minimum(clear, near) - self.few, clear + near - self.many)

    def known(self, focus_: FloatArray, familiarity_: FloatArray, counts: FloatArray) -> npt.NDArray[np.bool_]:
        statistic = self.statistic(focus_, familiarity_, counts)
        threshold = self.few if self.focus is None else 0.0
        known: npt.NDArray[np.bool_] = statistic >= threshold
        return known


def calibrate(scores: FloatArray, near: FloatArray, truth: npt.NDArray[np.intp], alpha: float) -> Novelty:
    """Calibrate on left-out examples.

    Args:
        scores: (M, C) leave-one-out scores; −inf where a class has no other example.
        near: (M, C) leave-one-out familiarity.
        truth: (M,) the class of each.
        alpha: share of known things that may be refused.
    """
    best = near.max(axis=1)
    close = Axis.of(best)
    if scores.shape[1] < 2:
        standard = close.standard(best)
        return Novelty(None, close, _quantile(standard, alpha), 0.0, 1.0)
    finite = np.where(np.isfinite(scores), scores, scores[np.isfinite(scores)].min())
    clarity = focus(finite)
    clear = Axis.of(clarity)
    a, b = clear.standard(clarity), close.standard(best)
    return Novelty(
        clear, close, _quantile(np.minimum(a, b), alpha), _quantile(a + b, alpha), _temperature(finite, truth)
    )


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


def _temperature(scores: FloatArray, truth: npt.NDArray[np.intp]) -> float:
    """The softmax temperature of highest likelihood on the left-out examples (Guo et al. 2017)."""
    rows = np.arange(len(truth))
    losses = [-np.log(np.maximum(softmax(scores / t)[rows, truth], 1e-12)).mean() for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])
