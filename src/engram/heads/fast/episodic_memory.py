"""What was taught, one example at a time, of all classes together and within a budget of bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from engram.heads.fast.consolidation import keep_within
from engram.heads.fast.discriminant import Discriminant
from engram.heads.fast.episodes import LOOSE, Episodes, Keys, pack, unpack
from engram.heads.head import Positions
from engram.learner import State

KEPT_PROTOTYPES = 256
"""Prototypes of a class whose rows had to go, at most."""

_ROOM = 8  # beyond the budget an eighth of it is freed at once: making room is costly, and then rare


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
        """A class that does not hold all of these, each as often; of rows let go only the number tells."""
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
        """Forget rows, of which none is lacking."""
        for place in np.unique(classes).tolist():
            self._bytes -= self._classes[place].rows.nbytes
            self._classes[place].remove(rows[classes == place])
            self._bytes += self._classes[place].rows.nbytes

    def drop(self, place: int) -> None:
        """Forget a class; later ones move up one place."""
        self._bytes -= self._classes[place].rows.nbytes
        del self._classes[place]

    def meld(self, others: Sequence[Episodes], places: Positions) -> None:
        """Take over other classes' rows and prototypes, each to its place."""
        for place, episodes in zip(places.tolist(), others, strict=True):
            self._classes[place].meld(episodes)
            self._bytes += episodes.rows.nbytes

    def make_room(self, discriminant: Discriminant, *, all_of_it: bool = False) -> None:
        """Let rows go until a good part of the budget is free, or all."""
        budget = 0 if all_of_it else self.budget - self.budget // _ROOM
        keep_within(self._classes, budget, discriminant, KEPT_PROTOTYPES)
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
        self._bytes = sum(episodes.rows.nbytes for episodes in self._classes)
