"""What is kept of the past: a fixed number of places for examples, in numpy alone, and the rules of keeping.

Reservoir sampling (Vitter 1985, algorithm R) keeps a uniform sample of a stream whose length nobody knows; in
class-balancing reservoir sampling (Chrysakis, Moens 2020) rare classes keep their place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from engram.heads.head import from_json_array, json_array
from engram.learner import DamagedError, InputError, State
from engram.networks.memory.codecs import Raw, make
from engram.networks.memory.past import Drawn

__all__ = ["Buffer", "ClassBalanced", "Reservoir"]

Array = npt.NDArray[Any]


class Buffer(ABC):
    """Up to `capacity` examples, each a row of every one of several parallel arrays (inputs, labels, …): a `Past`.

    The rules that decide who is kept (`Reservoir`, `ClassBalanced`, `ranked.Ranked`) differ in `add`, and in what
    they `forget`. The memory is taken at the first `add` and never grows. Random choices come from the generator that
    is passed in, so that whoever owns the buffer has one generator to save.

    Args:
        capacity: how many examples at most.
        codec: how the first of the arrays is stored; None: as it is.

    Attributes:
        capacity: how many examples at most.
        codec: how the first array is stored.
        seen: how many examples were offered so far; fewer where some were forgotten.
        columns: the arrays, `capacity` rows each, of which the first `len(buffer)` are in use; first the codes.
    """

    def __init__(self, capacity: int, codec: Raw | None = None) -> None:
        if capacity < 1:
            raise InputError(f"capacity must be at least 1, not {capacity}.")
        self.capacity = int(capacity)
        self.codec = codec or Raw()
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

    def draw(self, count: int, rng: np.random.Generator, labels: Collection[int] | None = None) -> Drawn:
        """`count` kept examples, drawn with replacement: copies of their first two columns, all of weight 1.

        Args:
            labels: of these alone; None: of all. The second column tells the label of each example.

        Raises:
            InputError: nothing of the kind is kept.
        """
        inputs, targets, *_ = self.rows(self.places(count, rng, labels))
        return Drawn(inputs, targets, np.ones(count, np.float32))

    def places(
        self, count: int, rng: np.random.Generator, labels: Collection[int] | None = None
    ) -> npt.NDArray[np.intp]:
        """Where `count` kept examples lie, drawn with replacement. See `draw`."""
        among = None if labels is None else np.flatnonzero(np.isin(self.targets, list(labels)))
        if not (self._held if among is None else len(among)):
            raise InputError("Nothing to draw from: no example was kept yet.")
        drawn = rng.integers(self._held if among is None else len(among), size=count)
        return drawn if among is None else among[drawn]

    def rows(self, places: npt.NDArray[np.intp] | slice) -> tuple[Array, ...]:
        """What lies at (K,) places, decoded: one array (K, …) for each column."""
        codes, *others = (column[places] for column in self.columns)
        return (self.codec.decode(codes), *others)

    def kept(self) -> tuple[Array, ...]:
        """All kept examples, decoded: one array (len(buffer), …) for each column; none before the first `add`."""
        return self.rows(slice(self._held)) if self.columns else ()

    @property
    def targets(self) -> Array:
        """The second column, of the kept examples: their labels."""
        return self.columns[1][: self._held] if self.columns else np.empty(0, np.int64)

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels of the kept examples, ascending."""
        return tuple(np.unique(self.targets).tolist())

    def forget(self, labels: Collection[int]) -> None:
        """Let go of all examples of these labels."""
        stays = np.flatnonzero(~np.isin(self.targets, list(labels)))
        self.seen = round(self.seen * len(stays) / self._held) if self._held else self.seen
        for column in self.columns:
            column[: len(stays)] = column[stays]
            column[len(stays) :] = 0
        self._held = len(stays)

    def __len__(self) -> int:
        return self._held

    @property
    def nbytes(self) -> int:
        """What the arrays take, and what it needs to decode them, in bytes."""
        return self.codec.nbytes + sum(column.nbytes for column in self.columns)

    def state(self) -> State:
        """The kept examples and the counters, as copies; and the codec, where they are not kept as they are."""
        counters = np.array([self.capacity, self.seen], np.int64)
        kept = {f"column{i}": column[: self._held].copy() for i, column in enumerate(self.columns)}
        codec = {} if type(self.codec) is Raw else {
            "codec": json_array({"name": self.codec.name, **self.codec.settings}),
            **{f"codec.{name}": array for name, array in self.codec.state().items()}}
        return {"counters": counters, **kept, **codec}

    @classmethod
    def from_state(cls, state: Mapping[str, Array]) -> Self:
        """The buffer that `state` described, as arrays by name.

        Raises:
            DamagedError: an entry is missing or does not fit.
        """
        try:
            capacity, seen = (int(value) for value in state["counters"])
            codec = make(**from_json_array(state["codec"])) if "codec" in state else Raw()
            codec.restore({name.removeprefix("codec."): array for name, array in state.items()
                           if name.startswith("codec.")})
            buffer = cls(capacity, codec)
            columns = [state[f"column{i}"] for i in range(sum(name.startswith("column") for name in state))]
            if columns:
                buffer._prepare(columns)
                buffer._put(np.arange(len(columns[0])), columns)
                buffer.codec.decode(columns[0])
            buffer.seen = seen
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise DamagedError(f"Not the state of a {cls.__name__}: {error}") from error
        return buffer

    def refit(self, inputs: Array, rng: np.random.Generator) -> None:
        """Fit the codec anew, to what is kept and (N, …) inputs together; what is kept is stored anew."""
        kept = self.kept()
        codec = make(self.codec.name, **self.codec.settings)
        codec.fit(np.concatenate([kept[0], inputs]) if self._held else inputs, rng)
        if self._held:
            codes = codec.encode(kept[0])
            self.columns = (np.zeros((self.capacity, *codes.shape[1:]), codes.dtype), *self.columns[1:])
            self.columns[0][: self._held] = codes
        self.codec = codec

    def _coded(self, rng: np.random.Generator, columns: tuple[Array, ...]) -> tuple[Array, ...]:
        """The columns as they are stored; a codec that sees its first examples is fitted to them."""
        if not columns:
            return columns
        self.codec.fit(columns[0], rng)
        return (self.codec.encode(columns[0]), *columns[1:])

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

    The n-th example (from 1) gets a uniform place j in [0, n); it is kept where j < capacity, in place j. Places that
    were forgotten are taken first by what comes next.

    >>> rng = np.random.default_rng(0)
    >>> kept = Reservoir(3)
    >>> kept.add(rng, np.arange(100.0)[:, None], np.arange(100) % 2)
    >>> len(kept), kept.seen
    (3, 100)
    >>> inputs, labels, weights = kept.draw(5, rng)
    >>> inputs.shape, bool((inputs[:, 0] % 2 == labels).all()), weights.sum().item()
    ((5, 1), True, 5.0)
    """

    def add(self, rng: np.random.Generator, *columns: Array) -> None:
        """Offer examples in their order of arrival. See `Buffer.add`."""
        columns = self._coded(rng, columns)
        count = self._prepare(columns)
        order = np.arange(count)
        free = order < self.capacity - self._held
        places = np.where(free, self._held + order, rng.integers(self.seen + order + 1))
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

    def __init__(self, capacity: int, codec: Raw | None = None) -> None:
        super().__init__(capacity, codec)
        self._seen_of: Counter[int] = Counter()
        self._full: set[int] = set()

    def add(self, rng: np.random.Generator, *columns: Array) -> None:
        """Offer examples in their order of arrival; the second array is their class. See `Buffer.add`."""
        columns = self._coded(rng, columns)
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

    def forget(self, labels: Collection[int]) -> None:
        """Let go of all examples of these labels, as if none had been offered."""
        super().forget(labels)
        for label in labels:
            self._seen_of.pop(label, None)
            self._full.discard(label)

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
