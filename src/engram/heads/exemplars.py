"""What the heads that remember single examples share: a memory of vectors, bounded if so wished.

Of a label with more examples than there is room for, those with the smallest SHA-256 of their bytes stay
(bottom-k sampling: E. Cohen, H. Kaplan, "Summarizing data using bottom-k sketches", PODC 2007). That is a
uniform sample of the distinct vectors and needs no random numbers: what is kept does not depend on the
order of teaching, and melding is a union.
"""

from __future__ import annotations

import hashlib
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from engram.heads.head import Head, Positions, grown
from engram.heads.melding import melding
from engram.inputs.vectors import positions, unit_length
from engram.learner import FloatArray, InputError, NotTaughtError, State

Vectors = npt.NDArray[np.float32]
Keys = npt.NDArray[np.uint64]


class Exemplars:
    """The kept vectors of one label, as float32, with the hash each is kept by."""

    def __init__(self, vectors: Vectors, keys: Keys) -> None:
        self._vectors, self._keys, self.size = vectors, keys, len(keys)

    @property
    def vectors(self) -> Vectors:
        return self._vectors[: self.size]

    @property
    def keys(self) -> Keys:
        return self._keys[: self.size]

    def add(self, vector: Vectors, key: np.uint64, capacity: int | None) -> None:
        if self.size == capacity:
            last = int(self.keys.argmax())
            if key >= self._keys[last]:
                return
            place = last
        else:
            place = self.size
            if place == len(self._keys):
                room = 2 * place + 1 if capacity is None else min(2 * place + 1, capacity)
                self._vectors, self._keys = grown(self._vectors, room), grown(self._keys, room)
            self.size += 1
        self._vectors[place], self._keys[place] = vector, key

    def remove(self, place: int) -> None:
        self.size -= 1
        self._vectors[place], self._keys[place] = self._vectors[self.size], self._keys[self.size]


class ExemplarHead(Head):
    """A head whose memory is the examples themselves.

    Args:
        capacity: how many examples of each label are kept; None keeps all, and then the laws of
            exactness hold to the bit.
        normalise: scale every vector to unit length first.
    """

    def __init__(self, capacity: int | None = 1000, normalise: bool = True) -> None:
        super().__init__()
        if capacity is not None and capacity < 1:
            raise InputError(f"capacity must be 1 or more, or None for no limit; not {capacity!r}.")
        self.exact = capacity is None
        self.capacity, self.normalise = capacity, normalise
        self._classes: list[Exemplars] = []
        self._joined: tuple[FloatArray, Positions] | None = None

    def config(self) -> dict[str, Any]:
        return {"capacity": self.capacity, "normalise": self.normalise}

    @property
    def memory_limit(self) -> int | None:
        """Bytes that the labels known so far can come to hold; None where there is no bound."""
        if self.capacity is None:
            return None
        return len(self._book) * (self.capacity * (4 * (self.width or 0) + 8) + 8)

    def forget(self, inputs: Any, targets: Any) -> None:
        """Unlearn examples that are held.

        Raises:
            NotTaughtError: an example was never taught with this label, or gave way to others since.
        """
        with self._lock:
            vectors, labels = self._examples(inputs, targets)
            unknown = [label for label in labels if label not in self._book]
            if unknown:
                raise NotTaughtError(f"Never taught: {unknown[0]!r}. Known: {list(self._book)[:20]}.")
            places = [self._book[label] for label in labels]
            left = {i: list(self._classes[i].keys) for i in set(places)}
            keys = hashes(vectors)
            for i, key in zip(places, keys, strict=True):
                if key not in left[i]:
                    raise NotTaughtError("This example is not kept: it was never taught with this label, or was"
                                         " dropped.")
                left[i].remove(key)
            for i, key in zip(places, keys, strict=True):
                self._classes[i].remove(int(np.flatnonzero(self._classes[i].keys == key)[0]))
            self._drop_empty()

    def meld(self, other: Self) -> None:
        """Take over the examples that another head of the same settings holds; it stays as it is.

        Raises:
            MeldError: another kind of head, other settings, another width; nothing was changed.
        """
        with melding(self, other):
            if other.width is None:
                return
            self.width = other.width
            places = positions(other.labels, self._book)
            for place, theirs in zip(places, [*other._classes], strict=True):
                vectors, keys = theirs.vectors.copy(), theirs.keys.copy()
                self._add(vectors, keys, np.full(len(keys), place))

    def digest(self) -> str:
        """SHA-256 of what is held, in whatever order it came: labels and hashes of their examples, sorted."""
        total = hashlib.sha256()
        with self._lock:
            for label in sorted(self._book):
                total.update(repr(label).encode() + b"\n")
                total.update(np.sort(self._classes[self._book[label]].keys).astype("<u8").tobytes())
        return total.hexdigest()

    def _prepare(self, vectors: FloatArray) -> FloatArray:
        prepared = unit_length(vectors) if self.normalise else vectors
        if max(prepared.max(), -prepared.min()) > 1e15:
            raise InputError("Values beyond 1e15 cannot be compared in single precision: scale the vectors.")
        return prepared.astype(np.float32).astype(np.float64)

    def _learn(self, vectors: FloatArray, classes: Positions) -> None:
        self._add(vectors.astype(np.float32), hashes(vectors), classes)

    def _add(self, vectors: Vectors, keys: Keys, classes: Positions) -> None:
        width = vectors.shape[1]
        while len(self._classes) < len(self._book):
            self._classes.append(Exemplars(np.empty((0, width), np.float32), np.empty(0, np.uint64)))
        for vector, key, place in zip(vectors, keys, classes, strict=True):
            self._classes[place].add(vector, key, self.capacity)
        self._joined = None

    def _drop_empty(self) -> None:
        kept = [(label, held) for label, held in zip(self._book, self._classes, strict=True) if held.size]
        self._book = {label: i for i, (label, _) in enumerate(kept)}
        self._classes = [held for _, held in kept]
        self.width = self.width if kept else None
        self._joined = None

    def _examples_held(self) -> tuple[FloatArray, Positions]:
        """All vectors (n, D), class after class, and the place of each in the book (n,)."""
        if self._joined is None:
            sizes = [held.size for held in self._classes]
            vectors = np.concatenate([held.vectors for held in self._classes]).astype(np.float64)
            self._joined = vectors, np.repeat(np.arange(len(sizes)), sizes)
        return self._joined

    def _arrays(self) -> State:
        if not self._classes:
            return {}
        return {
            "sizes": np.array([held.size for held in self._classes]),
            "vectors": np.concatenate([held.vectors for held in self._classes]),
            "keys": np.concatenate([held.keys for held in self._classes]),
        }

    def _restore(self, state: State) -> None:
        if not self._book:
            return
        sizes, vectors, keys = state["sizes"], state["vectors"], state["keys"]
        if len(sizes) != len(self._book) or not sizes.sum() == len(vectors) == len(keys):
            raise ValueError(f"{len(self._book)} labels, {sizes.sum()} examples, {len(vectors)} vectors")
        if not np.array_equal(hashes(vectors), keys):
            raise ValueError("the examples are not those that were saved")
        ends = np.cumsum(sizes)
        for start, end in zip(ends - sizes, ends, strict=True):
            self._classes.append(Exemplars(vectors[start:end].copy(), keys[start:end].copy()))


def hashes(vectors: npt.NDArray[Any]) -> Keys:
    """(N,) the first eight bytes of the SHA-256 of each of (N, D) rows as little-endian float32; +0 and −0 are one."""
    rows = np.ascontiguousarray(vectors + np.zeros(1, np.float32), "<f4")
    digests = b"".join(hashlib.sha256(row.tobytes()).digest()[:8] for row in rows)
    return np.frombuffer(digests, "<u8").astype(np.uint64)
