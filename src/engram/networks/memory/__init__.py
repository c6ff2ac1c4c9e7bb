"""What is kept of the past: a fixed number of places for examples, in numpy alone, and the rules of keeping.

Reservoir sampling (Vitter 1985, algorithm R) keeps a uniform sample of a stream whose length nobody knows; in
class-balancing reservoir sampling (Chrysakis, Moens 2020) rare classes keep their place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from engram.learner import DamagedError, InputError, State

__all__ = ["Buffer", "ClassBalanced", "Reservoir"]

Array = npt.NDArray[Any]


class Buffer(ABC):
    """Up to `capacity` examples, each a row of every one of several parallel arrays (inputs, labels, …).

    The rules that decide who is kept (`Reservoir`, `ClassBalanced`) differ in `add` alone. The memory is
    taken at the first `add` and never grows. Random choices come from the generator that is passed in, so
    that whoever owns the buffer has one generator to save.

    Attributes:
        capacity: how many examples at most.
        seen: how many examples were offered so far.
        columns: the arrays, `capacity` rows each, of which the first `len(buffer)` are in use.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise InputError(f"capacity must be at least 1, not {capacity}.")
        self.capacity = int(capacity)
        self.seen = 0
        self.columns: tuple[Array, ...] = ()
        self._held = 0

    @abstractmethod
    def add(self, rng: np.random.Generator, *columns: Array) -> None:
        """Offer examples in their order of arrival.

        Args:
            columns: parallel arrays of N rows, of the same number, shapes and dtypes at every call.

        Raises:
            InputError: arrays of other lengths, shapes or numbers than before; nothing was kept.
        """

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Array, ...]:
        """`count` kept examples, drawn with replacement: copies, one array (count, …) for each column.

        Raises:
            InputError: nothing is kept yet.
        """
        if not self._held:
            raise InputError("Nothing to draw from: no example was kept yet.")
        places = rng.integers(self._held, size=count)
        return tuple(column[places] for column in self.columns)

    def __len__(self) -> int:
        return self._held

    @property
    def memory_bytes(self) -> int:
        """What the arrays take, in bytes."""
        return sum(column.nbytes for column in self.columns)

    def state(self) -> State:
        """The kept examples and the counters, as copies."""
        counters = np.array([self.capacity, self.seen], np.int64)
        kept = {f"column{i}": column[: self._held].copy() for i, column in enumerate(self.columns)}
        return {"counters": counters, **kept}

    @classmethod
    def from_state(cls, state: Mapping[str, Array]) -> Self:
        """The buffer that `state` described, as arrays by name.

        Raises:
            DamagedError: an entry is missing or does not fit.
        """
        try:
            capacity, seen = (int(value) for value in state["counters"])
            buffer = cls(capacity)
            columns = [state[f"column{i}"] for i in range(len(state) - 1)]
            if columns:
                buffer._prepare(columns)
                buffer._put(np.arange(len(columns[0])), columns)
            buffer.seen = seen
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise DamagedError(f"Not the state of a {cls.__name__}: {error}") from error
        return buffer

    def _prepare(self, columns: tuple[Array, ...] | list[Array]) -> int:
        """Check what is offered against what is kept, take the memory at the first time; returns N."""
        if not columns or len({len(column) for column in columns}) > 1:
            raise InputError(f"Columns are parallel arrays of one length, not {[len(c) for c in columns]} rows.")
        if not self.columns:
            self.columns = tuple(np.zeros((self.capacity, *c.shape[1:]), c.dtype) for c in columns)
        kept, offered = ([column.shape[1:] for column in group] for group in (self.columns, columns))
        if kept != offered:
            raise InputError(f"Rows of shapes {offered} were offered, rows of shapes {kept} are kept.")
        return len(columns[0])

    def _put(self, places: npt.NDArray[np.intp], rows: tuple[Array, ...] | list[Array]) -> None:
        """Write rows to places, in order: of two rows for one place, the later one stays."""
        for column, values in zip(self.columns, rows, strict=True):
            column[places] = values
        self._held = max(self._held, int(places.max(initial=-1)) + 1)


class Reservoir(Buffer):
    """Keeps every example seen so far with the same probability, capacity / seen.

    The n-th example (from 1) gets a uniform place j in [0, n); it is kept where j < capacity, in place j.

    >>> rng = np.random.default_rng(0)
    >>> kept = Reservoir(3)
    >>> kept.add(rng, np.arange(100.0)[:, None], np.arange(100) % 2)
    >>> len(kept), kept.seen
    (3, 100)
    >>> inputs, labels = kept.draw(5, rng)
    >>> inputs.shape, bool((inputs[:, 0] % 2 == labels).all())
    ((5, 1), True)
    """

    def add(self, rng: np.random.Generator, *columns: Array) -> None:
        """Offer examples in their order of arrival. See `Buffer.add`."""
        count = self._prepare(columns)
        order = np.arange(self.seen, self.seen + count)
        places = np.where(order < self.capacity, order, rng.integers(order + 1))
        kept = places < self.capacity
        self._put(places[kept], [column[kept] for column in columns])
        self.seen += count


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
