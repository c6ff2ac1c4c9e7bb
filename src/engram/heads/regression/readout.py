"""The read-out of numbers: brought up to date with the sums when it is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from engram.heads.exact_sums import ExactSums
from engram.heads.fast.discriminant import Change
from engram.heads.fast.episodes import Episodes, keys_of
from engram.heads.fast.readout import ReadOut
from engram.heads.fast.shrinkage import Prior
from engram.heads.regression.curves import Curved
from engram.heads.regression.reading import CHOSEN_BY, Choice, NumberReading, Rows, Taught, Totals
from engram.heads.regression.targets import Targets

_FITTED = 2**16  # examples that a curved function is fitted to, about
_WAITING = 2**13  # examples that are held for the totals; with more, these are added up anew


class NumberReadOut(ReadOut):
    """Numbers from joint rows that grow beside it; the metric for consolidation is inherited.

    Args:
        sums, episodes, prior: as for `ReadOut`.
        targets: what the numbers at the end of the rows are.
    """

    def __init__(self, sums: ExactSums, episodes: Sequence[Episodes], prior: Prior, targets: Targets) -> None:
        super().__init__(sums, episodes, prior, True, "auto")
        self._targets = targets
        self._choice: Choice | None = None
        self._totals: Totals | None = None
        self._news: list[Rows] = []  # learned since the totals were added up
        self._numbers: tuple[tuple[int, float, float], NumberReading] | None = None
        self._line: object = object()  # changes whenever the totals do
        self._parent: object = None  # the line that a copy was made of, and how many news there were
        self._since = 0
        self._limit = np.uint64(0)

    def copy(self, sums: ExactSums, episodes: Sequence[Episodes]) -> NumberReadOut:
        made = super().copy(sums, episodes)
        assert isinstance(made, NumberReadOut)
        made._news, made._since, made._parent = list(self._news), len(self._news), self._line
        return made

    def adopt(self, other: ReadOut) -> None:
        super().adopt(other)
        if isinstance(other, NumberReadOut) and other._parent is self._line:
            self._choice, self._totals, self._limit = other._choice, other._totals, other._limit
            self._news = self._news[other._since :]
            self._line = object()

    def note(self, change: Change) -> None:
        super().note(change)
        if change.sign < 0:
            self._begin_anew()
            return
        self._news.append(change.rows)
        if sum(map(len, self._news)) > _WAITING:
            self._totals, self._news, self._line = None, [], object()

    def invalidate(self) -> None:
        super().invalidate()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._choice, self._totals, self._news, self._line = None, None, [], object()

    def numbers(self, level: float, alpha: float) -> NumberReading:
        """What answers come from, up to date."""
        key = self.version, level, alpha
        if self._numbers is None or self._numbers[0] != key:
            self._numbers = key, self._read(level, alpha)
        return self._numbers[1]

    def _read(self, level: float, alpha: float) -> NumberReading:
        taught = Taught.of(self._targets, self.sums, self.episodes)
        sample = taught.first(CHOSEN_BY)
        if self._choice is None or not self._choice.is_of(*sample):
            self._choice, self._totals = Choice.of(*sample), None
        features = self._choice.features
        if isinstance(features, Curved):
            moments = self._counted(features, taught).moments()
        else:
            moments = taught.moments(features.unit)
        self._news, self._line = [], object()
        return NumberReading.of(taught, self._choice, moments, level, alpha)

    def _counted(self, features: Curved, taught: Taught) -> Totals:
        """The totals with everything that is kept, or with a share of it that its SHA-256 draws where that is much."""
        share = _FITTED / max(self.sums.total, _FITTED)
        limit = np.uint64(int(2**64 * 2.0 ** np.floor(np.log2(share))) - 1)
        if self._totals is None or limit != self._limit:
            inputs, values = taught.split(taught.rows[taught.keys <= limit])
            self._totals = Totals.none(features, values.mean(axis=0)).with_more(inputs, values)
        elif self._news:
            rows = np.concatenate(self._news)
            keys = keys_of([hashlib.sha256(row).digest() for row in np.ascontiguousarray(rows, np.int16)])
            self._totals = self._totals.with_more(*taught.split(rows[keys <= limit]))
        self._limit = limit
        return self._totals
