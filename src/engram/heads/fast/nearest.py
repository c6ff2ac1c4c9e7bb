"""The nearest example of each class, in units of the features' deviations: a boundary of any shape, from few examples.

Random features of a kernel tell far too little of ten examples; these themselves tell all that can be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engram.heads.fast.episodes import Episodes
from engram.heads.fast.metric import Comparison, Metric
from engram.heads.fast.one_by_one import times
from engram.heads.fast.sample import Sample
from engram.heads.head import Positions
from engram.learner import FloatArray

_EXAMPLES = 1024  # that are compared with, of those kept the ones of the smallest SHA-256


class ByNearest(NamedTuple):
    """Minus half the squared distance to the nearest example of each class, but for what is the same for all classes.

    Attributes:
        rows: (D, R) examples, class by class, divided by the squared units.
        norms: (R,) their squared lengths in these units.
        starts: (C,) where those of each class begin.
    """

    rows: FloatArray
    norms: FloatArray
    starts: Positions

    @property
    def largest(self) -> int:
        return self.rows.size

    def scores(self, rows: FloatArray, by_class: Comparison, metric: Metric) -> FloatArray:
        """(N, C) of (N, D) quantised rows."""
        return self._of_classes(times(rows, self.rows) - 0.5 * self.norms)

    def _of_classes(self, each: FloatArray) -> FloatArray:
        found: FloatArray = np.maximum.reduceat(each, self.starts, axis=1)
        return found


def nearest(episodes: Sequence[Episodes], squares: FloatArray, sample: Sample) -> tuple[ByNearest, FloatArray]:
    """The read-out, and (M, C) scores of the sample, each example as if it and its duplicates had never been taught.

    Args:
        episodes: of each class; every one keeps examples.
        squares: (D,) the squared units.
    """
    share = max(1, _EXAMPLES // len(episodes))
    places = [some.smallest(share) for some in episodes]
    kept = np.concatenate([some.rows[chosen] for some, chosen in zip(episodes, places, strict=True)])
    keys = np.concatenate([some.keys()[chosen] for some, chosen in zip(episodes, places, strict=True)])
    lengths = [len(chosen) for chosen in places]
    rows = kept.astype(np.float64)
    found = ByNearest((rows / squares).T, (np.square(rows) / squares).sum(axis=1), np.cumsum([0, *lengths[:-1]]))
    each = sample.rows @ found.rows - 0.5 * found.norms
    classes = np.repeat(np.arange(len(lengths)), lengths)
    each[(sample.keys[:, None] == keys) & (sample.truth[:, None] == classes)] = -np.inf
    return found, found._of_classes(each)
