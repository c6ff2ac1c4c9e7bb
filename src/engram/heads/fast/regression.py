"""The logistic read-out of a head: fitted anew from the examples that it keeps, where they are few enough for that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engram.heads.exact_sums import ExactSums
from engram.heads.fast.episodes import Episodes
from engram.heads.fast.logistic import Logistic, fit, held_out
from engram.heads.fast.metric import Comparison, Metric
from engram.heads.fast.sample import PER_CLASS, Sample
from engram.learner import FloatArray

_PENALTIES = (100.0, 10.0, 1.0, 0.1, 0.01)
_EXAMPLES = 1024  # that it is fitted to, of those kept the ones of the smallest SHA-256


class ByRegression(NamedTuple):
    """Scores of a multinomial logistic regression."""

    logistic: Logistic

    def scores(self, rows: FloatArray, by_class: Comparison, metric: Metric) -> FloatArray:
        return self.logistic.scores(rows)


def by_regression(sums: ExactSums, episodes: Sequence[Episodes], sample: Sample) -> tuple[ByRegression, FloatArray]:
    """The regression, and (M, C) scores of the sample by regressions that were fitted without each example."""
    classes = len(sums.counts)
    unit = float(np.sqrt(max(sums.trace() / (max(sums.degrees, 1) * sums.width), 1.0)))
    places = [some.smallest(_share(sums)) for some in episodes]
    rows = np.concatenate([some.rows[chosen] for some, chosen in zip(episodes, places, strict=True)]).astype(np.float64)
    truth = np.repeat(np.arange(len(places)), [len(chosen) for chosen in places])
    left = held_out(rows, truth, classes, unit, penalties=_PENALTIES)
    found = fit(rows, truth, classes, unit, penalty=left.penalty)
    starts = np.cumsum([0] + [len(chosen) for chosen in places])
    asked = [starts[place] + int(np.flatnonzero(places[place] == where)[0])
             for place, where in zip(sample.truth.tolist(), sample.places.tolist(), strict=True)]
    return ByRegression(found), left.scores[asked]


def cost(sums: ExactSums) -> int:
    """Values that a fit goes through: examples times features times classes."""
    return min(sums.total, _share(sums) * sums.classes) * sums.width * sums.classes


def _share(sums: ExactSums) -> int:
    return max(PER_CLASS, _EXAMPLES // max(sums.classes, 1))
