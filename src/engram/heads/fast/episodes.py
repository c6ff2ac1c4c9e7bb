"""What was taught, one example at a time: the sparse episodic part of the memory.

Each class keeps its examples as small integers. An example is either loose, a prototype of its own, or belongs to
a merged prototype. Only the sum and the count of a merged prototype are needed to predict; the rows stay as long as
the budget allows, so that a class can be forgotten to the bit and a forgotten example can be checked to have been
there. Rows that must go leave their second moment Σxxᵀ behind, and which rows go depends on their SHA-256 alone, so
what is kept does not depend on the order of teaching.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from engram.heads.head import Positions
from engram.learner import FloatArray, State

LOOSE = -1
KEPT_PROTOTYPES = 256
"""Prototypes of a class whose rows had to go, at most."""

Rows = npt.NDArray[np.int16]
Owners = npt.NDArray[np.int32]
Keys = npt.NDArray[np.uint64]

_PORTION = 8192  # rows multiplied at a time


class Episodes:
    """The examples of one class.

    Rows that are kept are never written to: where some must go, the others move to a new array. So copies share them.

    Attributes:
        width: D.
        counts: (P,) examples in each merged prototype.
        sums: (P, D) their integer sums.
        folded: Σxxᵀ of rows that are no longer kept, or None.
        spread: v_c of the class in the metric of its first consolidation, or None before it.
    """

    def __init__(
        self,
        width: int,
        counts: FloatArray | None = None,
        sums: FloatArray | None = None,
        folded: FloatArray | None = None,
        spread: float | None = None,
    ) -> None:
        self.width, self.folded, self.spread = width, folded, spread
        self.counts = np.zeros(0) if counts is None else counts
        self.sums = (np.zeros(0) if sums is None else sums).reshape(len(self.counts), width)
        self._rows: Rows = np.empty((0, width), np.int16)
        self._owners: Owners = np.empty(0, np.int32)
        self._keys: Keys = np.empty(0, np.uint64)  # of the first rows; the others' are made when asked for
        self._size = self._hashed = 0

    @property
    def rows(self) -> Rows:
        """(N, D) the examples that are kept."""
        return self._rows[: self._size]

    @property
    def owners(self) -> Owners:
        """(N,) the merged prototype of each row, or `LOOSE`."""
        return self._owners[: self._size]

    @property
    def nbytes(self) -> int:
        """Bytes that `pack` takes for them."""
        folded = 8 * (1 + self.folded.size) if self.folded is not None else 0
        return self.rows.nbytes + self.owners.nbytes + self.sums.nbytes + self.counts.nbytes + folded + 24

    def copy(self) -> Episodes:
        """Another of the same contents; the rows are shared."""
        folded = None if self.folded is None else self.folded.copy()
        made = Episodes(self.width, self.counts.copy(), self.sums.copy(), folded, self.spread)
        made.take(self.rows, self.owners.copy(), self._keys[: self._hashed])
        return made

    def take(self, rows: Rows, owners: Owners, keys: Keys | None = None) -> None:
        """Hold these (N, D) rows and (N,) owners in place of what is held; they must not change any more."""
        self._rows, self._owners, self._size = rows, owners, len(rows)
        self._keys = np.empty(0, np.uint64) if keys is None else keys
        self._hashed = len(self._keys)

    def append(self, rows: npt.NDArray[np.generic], owners: Owners | int = LOOSE, keys: Keys | None = None) -> None:
        """Keep (N, D) more rows; loose unless their prototypes are given."""
        end = self._size + len(rows)
        if end > len(self._rows):
            room = max(end, 2 * len(self._rows), 4)
            self._rows, self._owners = _with_room(self.rows, room), _with_room(self.owners, room)
        self._rows[self._size : end] = rows
        self._owners[self._size : end] = owners
        if keys is not None and self._hashed == self._size:
            self._note(keys)
        self._size = end

    def find(self, row: npt.NDArray[np.generic]) -> Positions:
        """Where a row is kept: (K,) places, in order."""
        small = row.astype(np.int16)
        alike = np.flatnonzero(self.keys() == keys_of([hashlib.sha256(small.tobytes()).digest()])[0])
        found: Positions = alike[(self.rows[alike] == small).all(axis=1)]
        return found

    def remove(self, rows: Rows) -> None:
        """Take (M, D) examples out of the rows, their prototypes or, where no longer kept, the folded part."""
        gone = np.zeros(self._size, bool)
        for row in rows:
            places = self.find(row)
            places = places[~gone[places]]
            if len(places):
                gone[places[-1]] = True
                if self.owners[places[-1]] != LOOSE:
                    self._take_from(int(self.owners[places[-1]]), row)
                continue
            self._take_from(self._nearest(row, gone), row)
            if self.folded is not None:
                self.folded -= np.outer(row.astype(np.float64), row)
        if gone.any():
            self._keep(~gone)
        self._drop_prototypes(self.counts > 0)

    def second_moment(self) -> FloatArray:
        """Σxxᵀ over every example of the class, (D, D)."""
        rows = self.rows.astype(np.float64)
        moment: FloatArray = rows.T @ rows
        return moment if self.folded is None else moment + self.folded

    def prototypes(self) -> tuple[FloatArray, FloatArray]:
        """Counts (P,) and sums (P, D) of all prototypes, merged ones first; they partition the class sum."""
        loose = self.rows[self.owners == LOOSE].astype(np.float64)
        return np.concatenate([self.counts, np.ones(len(loose))]), np.concatenate([self.sums, loose])

    def leading(self, most: int) -> tuple[FloatArray, FloatArray]:
        """Counts and sums of up to `most` prototypes: the largest merged ones, then rows with the smallest keys."""
        merged = np.argsort(-self.counts, kind="stable")[:most]
        loose = self.rows[self.smallest(most - len(merged), np.flatnonzero(self.owners == LOOSE))]
        counts = np.concatenate([self.counts[merged], np.ones(len(loose))])
        return counts, np.concatenate([self.sums[merged], loose.astype(np.float64)])

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

    def unite(self, groups: Positions, counts: FloatArray, sums: FloatArray, loose: Positions) -> None:
        """Merge prototypes and some loose rows: `groups`, `counts` and `sums` hold one entry for each of the merged
        prototypes, then one for each of those rows: (P + K,), (P + K,) and (P + K, D); `loose` holds the (K,)
        places."""
        size, before = int(groups.max()) + 1, len(self.counts)
        owned = self.owners != LOOSE
        self.owners[owned] = groups[:before][self.owners[owned]]
        self.owners[loose] = groups[before:]
        self.counts, self.sums = np.zeros(size), np.zeros((size, self.width))
        np.add.at(self.counts, groups, counts)
        np.add.at(self.sums, groups, sums)

    def join(self, places: Positions, prototypes: Positions) -> None:
        """Add the loose rows at (K,) places to (K,) merged prototypes that there are."""
        order = np.argsort(prototypes, kind="stable")
        present, starts = np.unique(prototypes[order], return_index=True)
        ends = [*starts[1:].tolist(), len(order)]
        for prototype, start, end in zip(present.tolist(), starts.tolist(), ends, strict=True):
            for portion in range(start, end, _PORTION):
                some = self.rows[places[order[portion : min(portion + _PORTION, end)]]]
                self.sums[prototype] += some.astype(np.float64).sum(axis=0)
        self.counts += np.bincount(prototypes, minlength=len(self.counts))
        self.owners[places] = prototypes

    def fold(self, gone: npt.NDArray[np.bool_]) -> None:
        """Let go of the rows that an (N,) mask marks, each of which must belong to a prototype."""
        if not gone.any():
            return
        if self.folded is None:
            self.folded = np.zeros((self.width, self.width))
        rows = self.rows[gone]
        for start in range(0, len(rows), _PORTION):
            some = rows[start : start + _PORTION].astype(np.float64)
            self.folded += some.T @ some
        self._keep(~gone)

    def smallest(self, most: int, among: Positions | None = None) -> Positions:
        """(K,) places of up to `most` rows, those with the smallest SHA-256: a sample free of order."""
        keys = self.keys() if among is None else self.keys()[among]
        if most < len(keys):
            places = np.sort(np.argpartition(keys, most)[:most])
            places = places[np.argsort(keys[places], kind="stable")]
        else:
            places = np.argsort(keys, kind="stable")
        return places if among is None else among[places]

    def keys(self) -> Keys:
        """(N,) the first eight bytes of the SHA-256 of each row."""
        missing = self.rows[self._hashed :]
        if len(missing):
            self._note(keys_of([hashlib.sha256(row).digest() for row in missing]))
        return self._keys[: self._size]

    def _note(self, keys: Keys) -> None:
        end = self._hashed + len(keys)
        if end > len(self._keys):
            self._keys = _with_room(self._keys[: self._hashed], max(end, 2 * len(self._keys)))
        self._keys[self._hashed : end] = keys
        self._hashed = end

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

    def _nearest(self, row: Rows, gone: npt.NDArray[np.bool_]) -> int:
        """The merged prototype that most likely holds a row that is no longer kept: the nearest with such rows."""
        means = self.sums / np.maximum(self.counts, 1)[:, None]
        owners = self.owners[~gone]
        without = self.counts - np.bincount(owners[owners != LOOSE], minlength=len(self.counts))
        return int(np.where(without > 0, np.square(means - row).sum(axis=1), np.inf).argmin())

    def _take_from(self, prototype: int, row: npt.NDArray[Any]) -> None:
        self.counts[prototype] -= 1
        self.sums[prototype] -= row

    def _keep(self, chosen: npt.NDArray[np.bool_]) -> None:
        """Keep only the chosen rows, and only prototypes that still hold examples."""
        self.take(self.rows[chosen], self.owners[chosen], self._keys[: self._hashed][chosen[: self._hashed]])
        self._drop_prototypes(self.counts > 0)

    def loosen(self) -> None:
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


def pack(classes: Sequence[Episodes]) -> State:
    """The episodes of all classes as a few arrays of their own."""
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
    whole = state["rows"].reshape(len(state["row_owners"]), width).astype(np.int16)
    owners, sizes = np.split(state["row_owners"], row_ends), np.split(state["prototype_sizes"], prototype_ends)
    rows = np.split(whole, row_ends)
    sums = np.split(state["prototype_sums"].reshape(len(state["prototype_sizes"]), width), prototype_ends)
    folded = dict(zip(state["folded_classes"].tolist(), state["folded"], strict=True)) if "folded" in state else {}
    classes = []
    for i in range(len(state["row_counts"])):
        spread = float(state["spreads"][i])
        moment = folded[i].copy() if i in folded else None
        made = Episodes(width, sizes[i].copy(), sums[i].copy(), moment, None if np.isnan(spread) else spread)
        if len(rows[i]) != len(owners[i]) or ((owners[i] < LOOSE) | (owners[i] >= len(sizes[i]))).any():
            raise ValueError("episodes do not fit each other")
        made.take(rows[i], owners[i].astype(np.int32))
        classes.append(made)
    return classes


def keys_of(digests: Iterable[bytes]) -> Keys:
    """The first eight bytes of each SHA-256, or of its beginning."""
    return np.frombuffer(b"".join([digest[:8] for digest in digests]), ">u8").astype(np.uint64)


def _with_room(array: npt.NDArray[Any], rows: int) -> npt.NDArray[Any]:
    """A copy with room for more rows, which no one reads before they are written."""
    grown = np.empty((rows, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


def _joined(parts: list[npt.NDArray[Any]], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.concatenate(parts, dtype=dtype) if parts else np.zeros(0, dtype)


class EpisodicMemory(Sequence[Episodes]):
    """The episodes of every class, by its place.

    Args:
        width: D.
        budget: bytes of rows beyond which some are let go.
    """

    def __init__(self, width: int, budget: int) -> None:
        self.width, self.budget = width, budget
        self._classes: list[Episodes] = []
        self._bytes = 0  # of all rows

    def __len__(self) -> int:
        return len(self._classes)

    def __iter__(self) -> Iterator[Episodes]:
        return iter(self._classes)

    @overload
    def __getitem__(self, place: int) -> Episodes: ...
    @overload
    def __getitem__(self, place: slice) -> list[Episodes]: ...
    def __getitem__(self, place: int | slice) -> Episodes | list[Episodes]:
        return self._classes[place]

    @property
    def over_budget(self) -> bool:
        """Whether room must be made."""
        return self._bytes > self.budget

    @property
    def nbytes(self) -> int:
        """Bytes that `state` takes."""
        return sum(episodes.nbytes for episodes in self._classes)

    @property
    def limit(self) -> int:
        """Bytes that it never exceeds with the classes that there are."""
        width, classes = max(self.width, 1), len(self._classes)
        rows = self.budget + 2 * self.budget // width  # with 4 bytes for the owner of each
        return rows + 8 * classes * (width + KEPT_PROTOTYPES) * (width + 1)

    def reserve(self, classes: int) -> None:
        """Room for this many classes."""
        while len(self._classes) < classes:
            self._classes.append(Episodes(self.width))

    def add(self, rows: npt.NDArray[np.int16], classes: Positions, keys: Keys | None = None) -> None:
        """Keep (N, D) rows of these classes."""
        self._bytes += rows.nbytes
        if len(rows) == 1:
            self._classes[classes[0]].append(rows, keys=keys)
            return
        order = np.argsort(classes, kind="stable")
        present, starts = np.unique(classes[order], return_index=True)
        rows, keys = rows[order], None if keys is None else keys[order]
        for place, start, end in zip(present.tolist(), starts, [*starts[1:], len(order)], strict=True):
            self._classes[place].append(rows[start:end], keys=None if keys is None else keys[start:end])

    def lacking(self, rows: npt.NDArray[np.int16], classes: Positions) -> int | None:
        """A class that does not hold all of its (N, D) rows, each as often; of rows let go only the number tells."""
        wanted = Counter((place, row.tobytes()) for place, row in zip(classes.tolist(), rows, strict=True))
        missing: Counter[int] = Counter()
        for (place, row), times in wanted.items():
            missing[place] += max(0, times - len(self._classes[place].find(np.frombuffer(row, np.int16))))
        return next((place for place, times in missing.items() if times > self._classes[place].let_go), None)

    def holding(self, rows: npt.NDArray[np.int16], keys: Keys) -> npt.NDArray[np.bool_]:
        """(N,) which of (N, D) rows are kept as an example of some class; `keys` begin their SHA-256."""
        found = np.zeros(len(rows), bool)
        for episodes in self._classes:
            for place in np.flatnonzero(~found & np.isin(keys, episodes.keys())):
                found[place] = len(episodes.find(rows[place])) > 0
        return found

    def remove(self, rows: npt.NDArray[np.int16], classes: Positions) -> None:
        """Forget (N, D) rows of (N,) classes, of which none is lacking."""
        for place in np.unique(classes).tolist():
            self._bytes -= self._classes[place].rows.nbytes
            self._classes[place].remove(rows[classes == place])
            self._bytes += self._classes[place].rows.nbytes

    def drop(self, place: int) -> None:
        """Forget a class; later ones move up one place."""
        self._bytes -= self._classes[place].rows.nbytes
        del self._classes[place]

    def meld(self, others: Sequence[Episodes], places: Positions) -> None:
        """Take over C other classes' rows and prototypes, each to its place, (C,)."""
        for place, episodes in zip(places.tolist(), others, strict=True):
            self._classes[place].meld(episodes)
            self._bytes += episodes.rows.nbytes

    def weigh(self) -> None:
        """Count the bytes anew, after rows of single classes were let go."""
        self._bytes = sum(episodes.rows.nbytes for episodes in self._classes)

    def loose(self) -> list[int]:
        """How many rows of each class belong to no prototype yet."""
        return [int((episodes.owners == LOOSE).sum()) for episodes in self._classes]

    def copy(self) -> EpisodicMemory:
        """Another of the same contents; the rows are shared."""
        made = EpisodicMemory(self.width, self.budget)
        made._classes, made._bytes = [episodes.copy() for episodes in self._classes], self._bytes
        return made

    def state(self) -> State:
        """As arrays of their own."""
        return pack(self._classes)

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take back what `state` gave. Raises KeyError or ValueError where arrays are missing or do not fit."""
        self._classes = unpack(state, self.width)
        self.weigh()
