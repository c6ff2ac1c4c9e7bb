"""What counterexamples rule out: labels, and whatever is more like a counterexample than like anything taught.

An input loses a label where it lies nearer to a counterexample of that label, or to the mean of these, than to the
label's class mean; where it lies nearer to one than to every class mean, nothing is known of it. How much nearer it has
to be is found on left-out examples, so that few known things are lost: the ratio of the two distances which 1 in 400 of
them is expected to pass, by a half-normal tail above their median.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from engram.heads.fast.episodes import Rows
from engram.heads.fast.metric import Centres, Comparison, Metric
from engram.heads.head import Positions
from engram.learner import FloatArray

_LOST = 0.0025  # of what is known, through counterexamples; chosen on classes of Tiny-ImageNet
_TAIL = NormalDist().inv_cdf(1.0 - _LOST)


class Excluded(NamedTuple):
    """What is ruled out for N inputs.

    Attributes:
        labels: (N, C) the labels.
        all: (N,) whether nothing is known.
    """

    labels: npt.NDArray[np.bool_]
    all: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Exclusion:
    """Counterexamples, ready to be compared with.

    Attributes:
        centres: K of them about the middle of the class means: each counterexample, and the mean of each label's.
        starts: where those of each label begin that has any.
        columns: the places of these labels.
        strangers: (K,) whether none of what a centre stands for was taught as something.
        by_distance: as in `Calibration`.
        margin: how much nearer an input has to be: ln of the ratio of the distances.
    """

    centres: Centres
    starts: Positions
    columns: Positions
    strangers: npt.NDArray[np.bool_]
    by_distance: bool
    margin: float = 0.0

    @classmethod
    def of(
        cls, metric: Metric, classes: Centres, columns: Sequence[int], rows: Sequence[Rows],
        taught: Sequence[npt.NDArray[np.bool_]], by_distance: bool,
    ) -> Self:
        """Of labels at these places: for each (K, D) counterexamples, and (K,) which were taught as something."""
        sums = np.concatenate([part for some in rows for part in (some, some.sum(axis=0, dtype=np.float64)[None])])
        counts = np.concatenate([[*np.ones(len(some)), len(some)] for some in rows])
        strangers = ~np.concatenate([[*known, known.any()] for known in taught])
        starts = np.cumsum([0, *(len(some) + 1 for some in rows[:-1])])
        norms = np.einsum("kd,kd->k", metric.apply(sums), sums)
        centres = classes.beside(metric, sums, counts, norms, starts)
        return cls(centres, starts, np.array(columns, np.intp), strangers, by_distance)

    def calibrated(
        self, metric: Metric, rows: FloatArray, left_out: Comparison, counted: npt.NDArray[np.bool_]
    ) -> Self:
        """The same with the margin that (M, D) examples give, by how they compare with the class means when left out.

        Args:
            counted: (M,) those that are known when left out.
        """
        if not counted.any():
            return self
        near, classes = self._nearness(metric.compare(rows, self.centres)), self._nearness(left_out)
        lead = (near.max(axis=1) - classes.max(axis=1))[counted]
        middle = float(np.median(lead))
        above = lead[lead >= middle] - middle
        return replace(self, margin=max(0.0, middle + _TAIL * float(np.sqrt(np.square(above).mean()))))

    def applied(self, metric: Metric, rows: FloatArray, by_class: Comparison) -> Excluded:
        """What is ruled out for (N, D) inputs that were compared with the class means."""
        near, classes = self._nearness(metric.compare(rows, self.centres)), self._nearness(by_class)
        labels = np.zeros(classes.shape, bool)
        labels[:, self.columns] = self.centres.best(near) - classes[:, self.columns] > self.margin
        strange = near.max(axis=1, initial=-np.inf, where=self.strangers[None])
        return Excluded(labels, strange - classes.max(axis=1) > self.margin)

    def _nearness(self, comparison: Comparison) -> FloatArray:
        """(N, K) −ln of the distance to each centre, but for a constant."""
        if self.by_distance:  # as it is: how uncertain a centre is speaks for neither side
            squared = replace(comparison, widening=np.ones((1, 1))).distance()
        else:
            squared = 1.0 - comparison.cosines
        nearness: FloatArray = -0.5 * np.log(np.maximum(squared, 1e-12))
        return nearness
