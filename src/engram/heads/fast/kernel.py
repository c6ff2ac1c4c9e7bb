"""A kernel read-out for curved boundaries: a linear discriminant over random Fourier features.

An input becomes √2 cos(ω·x + b) for random ω and b, whose products approximate a Gaussian kernel (Rahimi and Recht
2007, "Random features for large-scale kernel machines"). They are rounded to integers, so the sums over them are exact
like any other: they depend on which examples there are, and on no order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.heads.exact_sums import ExactSums
from engram.heads.fast.discriminant import Change, Discriminant
from engram.heads.fast.episodes import Episodes, Keys
from engram.heads.fast.leave_out import LeaveOut
from engram.heads.fast.metric import Centres, Comparison, Metric
from engram.heads.fast.one_by_one import times
from engram.heads.fast.products import KeptProducts
from engram.heads.fast.reading import score
from engram.heads.fast.sample import Sample
from engram.heads.fast.shrinkage import Prior, coarse
from engram.heads.fast.temperature import temper
from engram.heads.head import Positions
from engram.learner import FloatArray

MOST_FEATURES = 64
"""Of an input, beyond which there is no kernel: so many directions are rarely curved, and need more random ones."""

WIDTHS = (0.2, 0.5, 1.0)
"""Of the kernels that are tried, in deviations of a feature over all examples, times the root of their number."""

_RANDOM = 256  # random features
_UNIT = 2.0**10  # integers for each unit of a random feature
_EXAMPLES = 1024  # that the sums are made from, of those kept the ones of the smallest SHA-256
_AT_ONCE = 64  # changes beyond which the discriminant is made anew


class Kernel(NamedTuple):
    """Random features, and the discriminant over them at one moment; nothing in it changes.

    Attributes:
        directions: (D, F) ω, in units of the quantised input.
        phases: (F,) b.
        metric: over the features.
        classes: the class means of the features.
    """

    directions: FloatArray
    phases: FloatArray
    metric: Metric
    classes: Centres

    @property
    def largest(self) -> int:
        return max(self.directions.size, self.metric.largest, self.classes.sums.size)

    def scores(self, rows: FloatArray, by_class: Comparison, metric: Metric) -> FloatArray:
        """(N, C) of (N, D) quantised rows."""
        lifted = _lift(rows, self.directions, self.phases)
        return score(self.metric.compare(lifted, self.classes), "priors", self.metric.freedom)


class Kernels:
    """A kernel of each width, kept up to date: only examples that come or go are lifted."""

    def __init__(self) -> None:
        self._lifted: dict[float, _Lifted] = {}

    def copy(self) -> Kernels:
        """Another one that knows the same."""
        made = Kernels()
        made._lifted = {width: lifted.copy() for width, lifted in self._lifted.items()}
        return made

    def best(
        self, sums: ExactSums, episodes: Sequence[Episodes], sample: Sample, unit: FloatArray
    ) -> tuple[Kernel, FloatArray]:
        """The kernel that is likeliest on the sample, and its (M, C) scores of it, each example left out.

        Args:
            unit: (D,) squared units of the features.
        """
        variances = sums.variances()
        scale = np.sqrt(unit * coarse(float((variances / unit).mean())))
        share = max(1, _EXAMPLES // max(sums.classes, 1))
        places = [some.smallest(share) for some in episodes]
        keys = [some.keys()[chosen] for some, chosen in zip(episodes, places, strict=True)]
        found = []
        for width in WIDTHS:
            lifted = self._lifted.get(width)
            if lifted is None or not np.array_equal(lifted.scale, width * scale):
                self._lifted[width] = lifted = _Lifted(width * scale)
            lifted.follow(episodes, places, keys)
            found.append(lifted.left_out(sample))
        best = int(np.argmin([temper(scores, sample.truth).losses.mean() for scores in found]))
        return self._lifted[WIDTHS[best]].kernel(), found[best]


class _Lifted:
    """The examples that are kept, lifted by one kernel, and their sums."""

    def __init__(self, scale: FloatArray) -> None:
        self.scale, width = scale, len(scale)
        random = np.random.default_rng(0)
        self._directions = random.normal(size=(width, _RANDOM)) / (scale[:, None] * np.sqrt(width))
        self._phases = random.uniform(0.0, 2.0 * np.pi, _RANDOM)
        self._prior, self._sums = Prior(_RANDOM), ExactSums(_RANDOM)
        self._discriminant: Discriminant | None = None
        self._rows: list[_Rows] = []
        self._sample = _Rows(np.zeros(0, np.uint64), np.zeros((0, _RANDOM)))
        self._products = KeptProducts()

    def copy(self) -> _Lifted:
        made = copy(self)
        made._sums, made._rows, made._products = self._sums.copy(), list(self._rows), copy(self._products)
        made._discriminant = self._discriminant and self._discriminant.copy(made._sums)
        return made

    def follow(self, episodes: Sequence[Episodes], places: Sequence[Positions], keys: Sequence[Keys]) -> None:
        """Hold these rows of each class; `keys` begin their SHA-256, in order."""
        changes = []
        for place, (some, chosen, names) in enumerate(zip(episodes, places, keys, strict=True)):
            if place == len(self._rows):
                self._rows.append(_Rows(names[:0], np.zeros((0, _RANDOM))))
            before = self._rows[place]
            if before.keys is names or np.array_equal(before.keys, names):
                continue
            self._rows[place] = after = self._of(before, names, some.rows, chosen)
            changes += [Change(rows, np.full(len(rows), place), sign) for rows, sign in _difference(before, after)]
        for change in changes:
            (self._sums.add if change.sign > 0 else self._sums.subtract)(change.rows, change.classes)
        wanted = self._prior.shrinkage(self._sums) if changes or self._discriminant is None else None
        if self._discriminant is None or (wanted is not None and (
                self._discriminant.shrinkage != wanted or sum(len(some.rows) for some in changes) > _AT_ONCE)):
            self._discriminant = Discriminant(self._sums, self._prior, wanted or self._prior.shrinkage(self._sums))
        elif changes:
            self._discriminant.absorb(changes)

    def left_out(self, sample: Sample) -> FloatArray:
        """(M, C) scores of the sample, each example as if it had never been taught."""
        assert self._discriminant is not None
        if self._sample.keys is not sample.keys:
            self._sample = self._of(self._sample, sample.keys, sample.rows, np.arange(len(sample.keys)))
        rows = self._sample.lifted
        lifted = sample._replace(rows=rows, means=rows)  # only what is equal is a group of raw readings
        classes, metric = self._discriminant.classes(), self._discriminant.metric
        products = self._products.of(self._discriminant, classes, lifted)
        comparison = LeaveOut(metric, classes, lifted, products).compare_with_classes()
        return score(comparison, "priors", metric.freedom)

    def kernel(self) -> Kernel:
        assert self._discriminant is not None
        return Kernel(self._directions, self._phases, self._discriminant.metric, self._discriminant.classes().kept())

    def _of(self, known: _Rows, keys: Keys, rows: npt.NDArray[Any], places: Positions) -> _Rows:
        """The rows at these places lifted, those that are known looked up."""
        lifted, new = np.empty((len(keys), _RANDOM)), np.ones(len(keys), bool)
        if len(known.keys):
            order = np.argsort(known.keys, kind="stable")
            at = order[np.minimum(np.searchsorted(known.keys, keys, sorter=order), len(order) - 1)]
            new = known.keys[at] != keys
            lifted[~new] = known.lifted[at[~new]]
        if new.any():
            lifted[new] = _lift(rows[places[new]].astype(np.float64), self._directions, self._phases)
        return _Rows(keys, lifted)


class _Rows(NamedTuple):
    """Lifted examples (N, F), and the first eight bytes of the SHA-256 of each before it was lifted."""

    keys: Keys
    lifted: FloatArray


def _difference(before: _Rows, after: _Rows) -> Iterator[tuple[FloatArray, int]]:
    """The rows that have come, with sign 1, and those that have gone, with −1; each as often."""
    for some, others, sign in ((after, before, 1), (before, after, -1)):
        names, first, times = np.unique(some.keys, return_index=True, return_counts=True)
        low, high = (np.searchsorted(np.sort(others.keys), names, side=side) for side in ("left", "right"))
        more = np.maximum(times - (high - low), 0)
        if more.any():
            yield some.lifted[np.repeat(first, more)], sign


def _lift(rows: FloatArray, directions: FloatArray, phases: FloatArray) -> npt.NDArray[np.float64]:
    features: FloatArray = np.rint(_UNIT * np.sqrt(2.0) * np.cos(times(rows, directions) + phases))
    return features
