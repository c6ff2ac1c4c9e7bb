"""Several read-outs as one: their probabilities added up, by how well each answers the examples left out.

To choose one read-out takes evidence that few examples cannot give, and each is wrong in its own way. Their weighted
mean (a linear opinion pool: Stone 1961) needs no choice. A weight is the likelihood of the left-out examples to a power
below 1: examples that are alike count for less than they are many.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.heads.fast.metric import Comparison, Metric
from engram.heads.fast.reading import Reader
from engram.heads.fast.temperature import Tempered, temper
from engram.learner import FloatArray

ENOUGH = 4
"""Left-out examples without which all weigh the same."""

_POWER = 0.3  # of the likelihood; chosen on generated tables: 0.2 to 0.5 do as well


class Member(NamedTuple):
    """A read-out, and the (M, C) scores that it gives the sample, each example left out."""

    name: str
    reader: Reader
    left_out: FloatArray


class Pool(NamedTuple):
    """The read-outs, the temperature of each, and its weight; the weights add up to 1."""

    readers: tuple[Reader, ...]
    temperatures: tuple[float, ...]
    weights: tuple[float, ...]

    @property
    def largest(self) -> int:
        return max(reader.largest for reader in self.readers)

    def scores(self, rows: FloatArray, by_class: Comparison, metric: Metric) -> FloatArray:
        """(N, C) logarithms of the pooled probabilities."""
        return self._pooled([reader.scores(rows, by_class, metric) for reader in self.readers])

    def _pooled(self, scores: list[FloatArray]) -> FloatArray:
        total = np.zeros(scores[0].shape)
        for some, temperature, weight in zip(scores, self.temperatures, self.weights, strict=True):
            chances = np.exp((some - some.max(axis=1, keepdims=True)) / temperature)
            total += chances * (weight / chances.sum(axis=1, keepdims=True))
        found: FloatArray = np.log(np.maximum(total, 1e-300))
        return found


def pooled(
    members: list[Member], truth: npt.NDArray[np.intp], left: npt.NDArray[np.bool_], usual: float,
    near: dict[str, float],
) -> tuple[Pool, FloatArray]:
    """The pool, and the (M, C) scores that it gives the sample.

    Args:
        truth: (M,) the classes of the sample.
        left: (M,) whether its class has other examples.
        usual: the temperature where too few are left to fit one.
        near: name -> where the temperature is to be looked for first; brought up to date.
    """
    found = [Tempered(usual, np.zeros(1)) for _ in members]
    if np.count_nonzero(left) >= ENOUGH:
        found = [temper(one.left_out[left], truth[left], near.get(one.name, 1.0)) for one in members]
        near.update({one.name: fit.temperature for one, fit in zip(members, found, strict=True)})
    merits = np.array([-_POWER * fit.losses.sum() for fit in found])
    weights = np.exp(merits - merits.max())
    weights /= weights.sum()
    pool = Pool(tuple(one.reader for one in members), tuple(fit.temperature for fit in found), tuple(weights.tolist()))
    scores = pool._pooled([one.left_out for one in members])
    scores[np.flatnonzero(~left), truth[~left]] = -np.inf
    return pool, scores
