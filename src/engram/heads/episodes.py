"""What was taught, one example at a time: the sparse episodic part of the memory.

Each class keeps its examples as small integers. An example is either loose, a prototype of its own, or belongs to
a merged prototype. Only the sum and the count of a merged prototype are needed to predict; the rows stay as long as
the budget allows, so that a class can be forgotten to the bit and a forgotten example can be checked to have been
there. Rows that must go leave their second moment Σxxᵀ behind, and which rows go depends on their SHA-256 alone, so
what is kept does not depend on the order of teaching.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.heads.head import Positions, grown
from engram.learner import FloatArray, State

LOOSE = -1
Rows = npt.NDArray[np.int16]


@dataclass(eq=False)
class Episodes:
    """The examples of one class.

    Attributes:
        width: D.
        counts: (P,) examples in each merged prototype.
        sums: (P, D) their integer sums.
        folded: Σxxᵀ of rows that are no longer kept, or None.
        spread: v_c of the class in the metric of its first consolidation, or None before it.
    """

    width: int
    counts: FloatArray = field(default_factory=lambda: np.zeros(0))
    sums: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    folded: FloatArray | None = None
    spread: float | None = None

    def __post_init__(self) -> None:
        self.sums = self.sums.reshape(len(self.counts), self.width)
        self._rows = np.empty((4, self.width), np.int16)
        self._owners = np.empty(4, np.intp)
        self._size = 0
        self._keys: list[bytes] = []

    @property
    def rows(self) -> Rows:
        """(N, D) the examples that are kept."""
        return self._rows[: self._size]

    @property
    def owners(self) -> Positions:
        """(N,) the merged prototype of each row, or `LOOSE`."""
        return self._owners[: self._size]

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + self.owners.nbytes

    def append(self, rows: npt.NDArray[np.generic], owners: Positions | int = LOOSE) -> None:
        """Keep more rows; loose unless their prototypes are given."""
        end = self._size + len(rows)
        if end > len(self._rows):
            room = max(end, 2 * len(self._rows))
            self._rows, self._owners = grown(self._rows, room), grown(self._owners, room)
        self._rows[self._size : end] = rows
        self._owners[self._size : end] = owners
        self._size = end

    def find(self, row: npt.NDArray[np.generic]) -> int | None:
        """Where a row is kept, or None."""
        small = row.astype(np.int16)
        first = np.flatnonzero(self.rows[:, 0] == small[0])
        hits = first[(self.rows[first] == small).all(axis=1)]
        return int(hits[-1]) if len(hits) else None

    def count(self, row: npt.NDArray[np.generic]) -> int:
        """How often a row is kept."""
        return int((self.rows == row.astype(np.int16)).all(axis=1).sum())

    def remove(self, row: FloatArray) -> None:
        """Take one example out of the rows, its prototype or, where it is no longer kept, the folded part."""
        place = self.find(row)
        if place is None:
            self._take_from(self._nearest(row), row)
            if self.folded is not None:
                self.folded -= np.outer(row, row)
            self._drop_prototypes(self.counts > 0)
            return
        if self.owners[place] != LOOSE:
            self._take_from(int(self.owners[place]), row)
        self._keep(np.arange(self._size) != place)

    def second_moment(self) -> FloatArray:
        """Σxxᵀ over every example of the class, (D, D)."""
        rows = self.rows.astype(np.float64)
        moment: FloatArray = rows.T @ rows
        return moment if self.folded is None else moment + self.folded

    def prototypes(self) -> tuple[FloatArray, FloatArray]:
        """Counts (P,) and sums (P, D) of all prototypes, merged ones first; they partition the class sum."""
        loose = self.rows[self.owners == LOOSE].astype(np.float64)
        return np.concatenate([self.counts, np.ones(len(loose))]), np.concatenate([self.sums, loose])

    @property
    def prototype_count(self) -> int:
        """How many prototypes there are: merged ones and loose rows."""
        return len(self.counts) + int(np.count_nonzero(self.owners == LOOSE))

    @property
    def let_go(self) -> int:
        """How many examples are no longer kept as rows."""
        return int(self._let_go().sum())

    def places(self) -> Positions:
        """(N,) the place among `prototypes()` of the one that holds each row."""
        loose = self.owners == LOOSE
        return np.where(loose, len(self.counts) + np.cumsum(loose) - 1, self.owners)

    def regroup(self, groups: Positions, counts: FloatArray, sums: FloatArray) -> None:
        """Merge prototypes: `groups` gives the new group of each of `prototypes()`, whose parts these are."""
        size = int(groups.max()) + 1
        before = len(self.counts)
        loose = np.flatnonzero(self.owners == LOOSE)
        merged = groups[:before]
        owners = self.owners.copy()
        owned = owners != LOOSE
        owners[owned] = merged[owners[owned]]
        owners[loose] = groups[before:]
        self.counts, self.sums = np.zeros(size), np.zeros((size, self.width))
        np.add.at(self.counts, groups, counts)
        np.add.at(self.sums, groups, sums)
        self._owners[: self._size] = owners
        self._loosen()

    def fold(self, keep: int) -> None:
        """Let go of all rows but the `keep` with the smallest keys; every row must belong to a prototype."""
        if self._size <= keep:
            return
        chosen = np.zeros(self._size, bool)
        chosen[self.smallest(keep)] = True
        chosen |= self.owners == LOOSE
        gone = self.rows[~chosen].astype(np.float64)
        if self.folded is None:
            self.folded = np.zeros((self.width, self.width))
        self.folded += gone.T @ gone
        self._keep(chosen)

    def smallest(self, most: int) -> Positions:
        """Places of up to `most` rows, those with the smallest SHA-256: a sample free of order."""
        if self._size <= most:
            return np.arange(self._size)
        for row in self.rows[len(self._keys) :]:
            self._keys.append(hashlib.sha256(row.tobytes()).digest())
        return np.array(sorted(range(self._size), key=self._keys.__getitem__)[:most], np.intp)

    def meld(self, other: Episodes) -> None:
        """Take over another's rows and prototypes, side by side with one's own."""
        owners = np.where(other.owners == LOOSE, LOOSE, other.owners + len(self.counts))
        self.append(other.rows, owners)
        self.counts = np.concatenate([self.counts, other.counts])
        self.sums = np.concatenate([self.sums, other.sums])
        if other.folded is not None:
            self.folded = other.folded.copy() if self.folded is None else self.folded + other.folded
        if self.spread is None:
            self.spread = other.spread

    def _let_go(self) -> FloatArray:
        """(P,) how many examples of each merged prototype are no longer kept."""
        return self.counts - np.bincount(self.owners[self.owners != LOOSE], minlength=len(self.counts))

    def _nearest(self, row: FloatArray) -> int:
        """The merged prototype that most likely holds a row that is no longer kept: the nearest with such rows."""
        means = self.sums / np.maximum(self.counts, 1)[:, None]
        return int(np.where(self._let_go() > 0, np.square(means - row).sum(axis=1), np.inf).argmin())

    def _take_from(self, prototype: int, row: FloatArray) -> None:
        self.counts[prototype] -= 1
        self.sums[prototype] -= row

    def _keep(self, chosen: npt.NDArray[np.bool_]) -> None:
        """Keep only the chosen rows, and only prototypes that still hold examples."""
        rows, owners = self.rows[chosen], self.owners[chosen]
        self._keys = [key for key, kept in zip(self._keys, chosen, strict=False) if kept]
        self._size = 0
        self.append(rows, owners)
        self._drop_prototypes(self.counts > 0)

    def _loosen(self) -> None:
        """A merged prototype of one kept row is that row, loose again."""
        kept = np.bincount(self.owners[self.owners != LOOSE], minlength=len(self.counts))
        alone = (self.counts == 1) & (kept == 1)
        self._owners[: self._size][np.isin(self.owners, np.flatnonzero(alone))] = LOOSE
        self._drop_prototypes(~alone)

    def _drop_prototypes(self, chosen: npt.NDArray[np.bool_]) -> None:
        places = np.cumsum(chosen) - 1
        owned = self.owners != LOOSE
        self._owners[: self._size][owned] = places[self.owners[owned]]
        self.counts, self.sums = self.counts[chosen], self.sums[chosen]


def pack(classes: list[Episodes]) -> State:
    """The episodes of all classes as a few arrays."""
    folded = {i: episodes.folded for i, episodes in enumerate(classes) if episodes.folded is not None}
    state: State = {
        "rows": _joined([c.rows for c in classes], np.int16),
        "row_owners": _joined([c.owners for c in classes], np.int32),
        "row_counts": np.array([len(c.rows) for c in classes], np.int64),
        "prototype_sums": _joined([c.sums for c in classes], np.float64),
        "prototype_sizes": _joined([c.counts for c in classes], np.float64),
        "prototype_counts": np.array([len(c.counts) for c in classes], np.int64),
        "spreads": np.array([np.nan if c.spread is None else c.spread for c in classes], np.float64),
    }
    if folded:
        state["folded_classes"] = np.array(list(folded), np.int64)
        state["folded"] = np.stack(list(folded.values()))
    return state


def unpack(state: Mapping[str, npt.NDArray[Any]], width: int) -> list[Episodes]:
    """What `pack` packed. Raises KeyError or ValueError where arrays are missing or do not fit each other."""
    row_ends, prototype_ends = (np.cumsum(state[name])[:-1] for name in ("row_counts", "prototype_counts"))
    owners, sizes = np.split(state["row_owners"], row_ends), np.split(state["prototype_sizes"], prototype_ends)
    rows = np.split(state["rows"].reshape(len(state["row_owners"]), width), row_ends)
    sums = np.split(state["prototype_sums"].reshape(len(state["prototype_sizes"]), width), prototype_ends)
    folded = dict(zip(state["folded_classes"].tolist(), state["folded"], strict=True)) if "folded" in state else {}
    classes = []
    for i in range(len(state["row_counts"])):
        spread = float(state["spreads"][i])
        made = Episodes(width, sizes[i].copy(), sums[i].copy(), folded.get(i), None if np.isnan(spread) else spread)
        if len(rows[i]) != len(owners[i]) or ((owners[i] < LOOSE) | (owners[i] >= len(sizes[i]))).any():
            raise ValueError("episodes do not fit each other")
        made.append(rows[i], owners[i])
        classes.append(made)
    return classes


def _joined(parts: list[npt.NDArray[Any]], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype)
