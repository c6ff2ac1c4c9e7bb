"""The logistic read-out of a head: fitted anew from the examples that it keeps, where they are few enough for that."""

from __future__ import annotations

from collections.abc import Sequence
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
        self._last: tuple[list[Keys], float, ByRegression, FloatArray] | None = None

    def of(self, sums: ExactSums, episodes: Sequence[Episodes], sample: Sample) -> tuple[ByRegression, FloatArray]:
        """The regression, and (M, C) scores of the sample by regressions that were fitted without each example."""
        unit = float(np.sqrt(coarse(max(sums.trace() / (max(sums.degrees, 1) * sums.width), 1.0))))
        places = [some.smallest(_share(sums)) for some in episodes]
        keys = [some.keys()[chosen] for some, chosen in zip(episodes, places, strict=True)]
        last = self._last
        if last is None or last[1] != unit or len(last[0]) != len(keys) or not all(map(np.array_equal, last[0], keys)):
            rows = [some.rows[chosen] for some, chosen in zip(episodes, places, strict=True)]
            self._last = last = keys, unit, *_fitted(np.concatenate(rows).astype(np.float64), keys, unit)
        starts = np.cumsum([0] + [len(some) for some in keys])
        asked = np.empty(len(sample.truth), np.intp)
        for place in np.unique(sample.truth):
            mine = sample.truth == place
            asked[mine] = starts[place] + np.searchsorted(keys[place], sample.keys[mine])
        return last[2], last[3][asked]


def _fitted(rows: FloatArray, keys: list[Keys], unit: float) -> tuple[ByRegression, FloatArray]:
    """The regression for (N, D) rows, class by class, and (N, C) scores of them by regressions without each."""
    truth, names = np.repeat(np.arange(len(keys)), [len(some) for some in keys]), np.concatenate(keys)
    left = held_out(rows, truth, len(keys), unit, keys=names, penalties=_PENALTIES)
    return ByRegression(fit(rows, truth, len(keys), unit, keys=names, penalty=left.penalty)), left.scores


def cost(sums: ExactSums) -> int:
    """Values that a fit goes through: examples times features times classes."""
    return min(sums.total, _share(sums) * sums.classes) * sums.width * sums.classes


def _share(sums: ExactSums) -> int:
    return max(PER_CLASS, _EXAMPLES // max(sums.classes, 1))
