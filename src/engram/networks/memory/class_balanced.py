"""Class-balancing reservoir sampling (Chrysakis, Moens 2020): rare classes keep their place in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Self

import numpy as np

from engram.learner import DamagedError, State
from engram.networks.memory.buffer import Array, Buffer


class ClassBalanced(Buffer):
    """Keeps as nearly the same number of each class as the stream allows, and of each class a fair sample.

    The second column holds the class of each example, an integer. While there is room, everything is kept.
    From then on, an example of a class that was never the largest takes the place of a random one of the
    largest class; one of a class that was takes the place of a random one of its own class, with probability
    kept / seen of that class.

    >>> rng = np.random.default_rng(0)
    >>> kept = ClassBalanced(6)
    >>> kept.add(rng, np.arange(100.0), np.repeat([4, 7, 9], [90, 8, 2]))
    >>> np.unique(kept.columns[1], return_counts=True)[1].tolist()
    [2, 2, 2]
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._seen_of: Counter[int] = Counter()
        self._full: set[int] = set()

    def add(self, rng: np.random.Generator, *columns: Array) -> None:
        """Offer examples in their order of arrival; the second array is their class. See `Buffer.add`."""
        count = self._prepare(columns)
        room = min(self.capacity - len(self), count)
        classes = columns[1].tolist()
        self._put(np.arange(len(self), len(self) + room), [column[:room] for column in columns])
        self._seen_of.update(classes[:room])
        held = self.columns[1].copy()
        places, rows = [], []
        for row in range(room, count):
            place = self._place(classes[row], held[: len(self)], rng)
            if place is not None:
                held[place] = classes[row]
                places.append(place)
                rows.append(row)
        self._put(np.array(places, np.intp), [column[rows] for column in columns])
        self.seen += count

    def _place(self, offered: int, held: Array, rng: np.random.Generator) -> int | None:
        """Where an example of this class goes when every place is taken; None: it is not kept."""
        self._seen_of[offered] += 1
        kinds, sizes = np.unique(held, return_counts=True)
        largest = kinds[sizes == sizes.max()]
        self._full.update(largest.tolist())
        if offered not in self._full:
            return int(rng.choice(np.flatnonzero(np.isin(held, largest))))
        own = np.flatnonzero(held == offered)
        return int(rng.choice(own)) if rng.random() < len(own) / self._seen_of[offered] else None

    def state(self) -> State:
        """The kept examples, the counters, and for each class how many were seen and whether it was largest."""
        kinds = sorted(self._seen_of)
        rows = [(kind, self._seen_of[kind], kind in self._full) for kind in kinds]
        return super().state() | {"classes": np.array(rows, np.int64).reshape(-1, 3)}

    @classmethod
    def from_state(cls, state: Mapping[str, Array]) -> Self:
        """The buffer that `state` described, as arrays by name.

        Raises:
            DamagedError: an array is missing, or the arrays do not fit each other.
        """
        try:
            rows = state["classes"].tolist()
            buffer = super().from_state({key: value for key, value in state.items() if key != "classes"})
            buffer._seen_of = Counter({kind: seen for kind, seen, _ in rows})
            buffer._full = {kind for kind, _, full in rows if full}
        except (KeyError, ValueError, TypeError) as error:
            raise DamagedError(f"Not the state of a {cls.__name__}: {error}") from error
        return buffer
