"""Exact sums for each label and each place of a map: n, Σx and Σxxᵀ, integers that no order of adding changes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from engram.heads.class_sums import ClassSums
from engram.heads.exact_sums import check_integers
from engram.heads.head import Positions
from engram.learner import CapacityError, FloatArray, Label, State

_PORTION = 64  # maps multiplied at a time


class PlaceSums(ClassSums):
    """n_c, s_c = Σx and, for each place p of the map, G_cp = Σ x_p x_pᵀ, for integer maps x with |x| ≤ 2¹³.

    Args:
        width: D = P · d values of a map.
        channels: d values of each of its P places.
        most: maps that it holds at most.

    >>> sums = PlaceSums(4, channels=2, most=10)
    >>> sums.add(np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([0]))
    >>> sums.moments[0].tolist()
    [[[1.0, 2.0], [2.0, 4.0]], [[9.0, 12.0], [12.0, 16.0]]]
    """

    def __init__(self, width: int, channels: int, most: int) -> None:
        super().__init__(width)
        self.channels, self.most = channels, most
        self._nothing = np.zeros((width // channels, channels, channels))
        self.moments: list[FloatArray] = []  # of each class; an array is never written to, so copies share it

    def check_capacity(self, more: int) -> None:
        """Raises CapacityError where `more` maps are more than it has room for."""
        if self.total + more > self.most:
            raise CapacityError(f"There is room for {self.most} maps: forget some, or make a brain with a larger memory"
                                " budget (`engram teach NEW.brain ... --memory-budget MB`).")

    def drop(self, place: int, second_moment: FloatArray) -> None:
        """Take back a whole class; later ones move up one place. Its second moments are known here."""
        super().drop(place, np.zeros(()))
        del self.moments[place]

    def merge(self, other: ClassSums, places: Positions, sign: int = 1) -> None:  # type: ignore[override]
        """Add (or with sign −1 take back) another's sums; its class i is this one's `places[i]`, (C,)."""
        super().merge(other, places, sign)
        assert isinstance(other, PlaceSums)
        for place, moment in zip(places.tolist(), other.moments, strict=True):
            self.moments[place] = self.moments[place] + sign * moment

    def digest(self, labels: Sequence[Label]) -> str:
        """SHA-256 of each class's label (JSON), count and sums, sorted by label, then of their moments as int64."""
        total = hashlib.sha256(super().digest(labels).encode())
        for place in sorted(np.flatnonzero(self.counts).tolist(), key=lambda place: labels[place]):
            total.update(self.moments[place].astype("<i8").tobytes())
        return total.hexdigest()

    def state(self) -> State:
        """counts (C,), sums (C, D) and moments (C, P, d, d)."""
        moments = np.stack(self.moments) if self.moments else self._nothing[None][:0]
        return {**super().state(), "moments": moments}

    @classmethod
    def restored(cls, state: State, channels: int, most: int) -> PlaceSums:
        """Raises ValueError where the arrays do not fit each other or hold no integers."""
        kept = ClassSums.from_state(state)
        made = cls(kept.width, channels, most)
        moments = np.asarray(state["moments"], np.float64)
        if moments.shape != (len(kept.counts), *made._nothing.shape):
            raise ValueError(f"moments {moments.shape} do not fit sums {kept.sums.shape}")
        check_integers(kept.counts, moments)
        made._take(kept, [np.array(moment) for moment in moments])
        return made

    def copy(self) -> PlaceSums:
        """Another of the same contents; the moments are shared."""
        made = PlaceSums(self.width, self.channels, self.most)
        made._take(self, list(self.moments))
        return made

    def _take(self, sums: ClassSums, moments: list[FloatArray]) -> None:
        self.total, self._classes = sums.total, len(sums.counts)
        self._counts, self._sums, self.moments = sums.counts.copy(), sums.sums.copy(), moments

    def _change(self, rows: npt.NDArray[np.generic], classes: Positions, sign: int) -> None:
        super()._change(np.asarray(rows, np.float64), classes, sign)
        for place in np.unique(classes).tolist():
            mine = rows[classes == place]
            for start in range(0, len(mine), _PORTION):
                some = mine[start : start + _PORTION].astype(np.float64).reshape(-1, *self._nothing.shape[:2])
                by_place = some.transpose(1, 2, 0)
                self.moments[place] = self.moments[place] + sign * (by_place @ by_place.transpose(0, 2, 1))

    def _reserve(self, classes: int) -> None:
        super()._reserve(classes)
        self.moments += [self._nothing] * (self._classes - len(self.moments))
