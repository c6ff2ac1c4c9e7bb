"""The logistic read-out of a head: fitted anew from the examples that it keeps, where they are few enough for that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from engram.heads.exact_sums import ExactSums
from engram.heads.fast.episodes import Episodes, Keys
from engram.heads.fast.logistic import Logistic, fit, held_out
from engram.heads.fast.metric import Comparison, Metric
from engram.heads.fast.sample import PER_CLASS, Sample
from engram.heads.fast.shrinkage import coarse
from engram.learner import FloatArray

_PENALTIES = (100.0, 10.0, 1.0, 0.1, 0.01)
_LEAST = 1e-6  # share of the variance within classes below which it is taken for all of it
_EXAMPLES = 1024  # that it is fitted to, of those kept the ones of the smallest SHA-256


class ByRegression(NamedTuple):
    """Scores of a multinomial logistic regression."""

    logistic: Logistic

    @property
    def largest(self) -> int:
        return self.logistic.weights.size

    def scores(self, rows: FloatArray, by_class: Comparison, metric: Metric) -> FloatArray:
        return self.logistic.scores(rows)


class Regression:
    """The regression of last time, which serves until other examples are kept among those that it is fitted to."""

    def __init__(self) -> None:
        self._last: tuple[list[Keys], FloatArray, ByRegression, FloatArray] | None = None

    def of(self, sums: ExactSums, episodes: Sequence[Episodes], sample: Sample) -> tuple[ByRegression, FloatArray]:
        """The regression, and (M, C) scores of the sample by regressions that were fitted without each example."""
        scale = _scale(sums)
        places = [some.smallest(_share(sums)) for some in episodes]
        keys = [some.keys()[chosen] for some, chosen in zip(episodes, places, strict=True)]
        last = self._last
        same = last is not None and len(last[0]) == len(keys) and all(map(np.array_equal, last[0], keys))
        if last is None or not same or not np.array_equal(last[1], scale):
            rows = [some.rows[chosen] for some, chosen in zip(episodes, places, strict=True)]
            self._last = last = keys, scale, *_fitted(np.concatenate(rows) / scale, keys, scale)
        starts = np.cumsum([0] + [len(some) for some in keys])
        asked = np.empty(len(sample.truth), np.intp)
        for place in np.unique(sample.truth):
            mine = sample.truth == place
            asked[mine] = starts[place] + np.searchsorted(keys[place], sample.keys[mine])
        return last[2], last[3][asked]


def _scale(sums: ExactSums) -> FloatArray:
    """(D,) units in which each reading varies alike over all examples, and within classes by 1 in the mean; coarse."""
    variances = np.array([coarse(value) for value in np.maximum(sums.variances(), 1.0)])
    within = float((sums.diagonal() / variances).mean()) / max(sums.degrees, 1)
    scale: FloatArray = np.sqrt(variances * coarse(within if within > _LEAST else 1.0))
    return scale


def _fitted(rows: FloatArray, keys: list[Keys], scale: FloatArray) -> tuple[ByRegression, FloatArray]:
    """The regression for (N, D) rows that were divided by the scale, class by class, and (N, C) scores of them by
    regressions without each."""
    truth, names = np.repeat(np.arange(len(keys)), [len(some) for some in keys]), np.concatenate(keys)
    left = held_out(rows, truth, len(keys), 1.0, keys=names, penalties=_PENALTIES)
    found = fit(rows, truth, len(keys), 1.0, keys=names, penalty=left.penalty)
    return ByRegression(replace(found, weights=found.weights / scale[:, None])), left.scores


def cost(sums: ExactSums) -> int:
    """Values that a fit goes through: examples times features times classes."""
    return min(sums.total, _share(sums) * sums.classes) * sums.width * sums.classes


def _share(sums: ExactSums) -> int:
    return max(PER_CLASS, _EXAMPLES // max(sums.classes, 1))
