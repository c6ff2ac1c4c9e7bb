"""Receipts: what was taught, as 16-byte digests, so that only what was taught can be forgotten."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.learner import FloatArray, Label, State

SIZE = 16


def receipts_of(rows: FloatArray) -> list[bytes]:
    """The receipt of each quantised (D,) row: the first 16 bytes of SHA-256 over it as little-endian int16."""
    return [hashlib.sha256(row.tobytes()).digest()[:SIZE] for row in np.ascontiguousarray(rows, "<i2")]


class Receipts:
    """How often each example was taught, by label.

    >>> receipts = Receipts()
    >>> receipts.add([b"a" * 16, b"a" * 16], ["cat", "cat"])
    >>> receipts.missing([b"a" * 16], ["dog"])
    [0]
    >>> receipts.count(b"a" * 16)
    2
    """

    def __init__(self, held: Mapping[Label, Counter[bytes]] | None = None) -> None:
        self._held: dict[Label, Counter[bytes]] = {k: Counter(v) for k, v in (held or {}).items()}

    def add(self, receipts: Sequence[bytes], labels: Sequence[Label]) -> None:
        for receipt, label in zip(receipts, labels, strict=True):
            self._held.setdefault(label, Counter())[receipt] += 1

    def remove(self, receipts: Sequence[bytes], labels: Sequence[Label]) -> None:
        """Take back receipts that are held."""
        for receipt, label in zip(receipts, labels, strict=True):
            held = self._held[label]
            held[receipt] -= 1
            if not held[receipt]:
                del held[receipt]
            if not held:
                del self._held[label]

    def missing(self, receipts: Sequence[bytes], labels: Sequence[Label]) -> list[int]:
        """Places of those that are not held as often as they are asked for."""
        asked: Counter[tuple[Label, bytes]] = Counter()
        places = []
        for i, key in enumerate(zip(labels, receipts, strict=True)):
            asked[key] += 1
            if asked[key] > self._held.get(key[0], Counter())[key[1]]:
                places.append(i)
        return places

    def count(self, receipt: bytes, label: Label | None = None) -> int:
        """How often an example is held, under one label or any."""
        if label is not None:
            return self._held.get(label, Counter())[receipt]
        return sum(held[receipt] for held in self._held.values())

    def labels_of(self, receipt: bytes) -> list[Label]:
        """The labels under which an example is held."""
        return [label for label, held in self._held.items() if receipt in held]

    def holds_any(self, receipts: Iterable[bytes]) -> bool:
        return any(self.count(receipt) for receipt in receipts)

    def drop(self, label: Label) -> None:
        self._held.pop(label, None)

    def rename(self, old: Label, new: Label) -> None:
        if old in self._held:
            self._held[new] = self._held.pop(old)

    def totals(self) -> dict[Label, int]:
        """How many examples each label holds."""
        return {label: held.total() for label, held in self._held.items()}

    def listed(self) -> dict[Label, list[str]]:
        """All receipts of each label in hexadecimal, sorted, repeated as often as they are held."""
        return {label: sorted(r.hex() for r in held.elements()) for label, held in self._held.items()}

    def copy(self) -> Receipts:
        return Receipts(self._held)

    @property
    def nbytes(self) -> int:
        return sum((SIZE + 4) * len(held) for held in self._held.values())

    def state(self, labels: Sequence[Label]) -> State:
        """As arrays: each receipt once, with its label's place in `labels` and its count."""
        places = {label: place for place, label in enumerate(labels)}
        items = [(r, places[label], n) for label, held in self._held.items() for r, n in sorted(held.items())]
        digests = np.frombuffer(b"".join(r for r, _, _ in items), np.uint8).reshape(-1, SIZE)
        numbers = np.array([(place, n) for _, place, n in items], np.int64).reshape(-1, 2)
        return {"digests": digests.copy(), "numbers": numbers}

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]], labels: Sequence[Label]) -> Receipts:
        """Raises KeyError, ValueError or IndexError where the arrays do not fit."""
        digests, numbers = np.asarray(state["digests"], np.uint8), np.asarray(state["numbers"], np.int64)
        if digests.shape != (len(numbers), SIZE) or numbers.shape[1:] != (2,) or (numbers < [0, 1]).any():
            raise ValueError("receipts do not fit each other")
        made = cls()
        for digest, (place, count) in zip(digests, numbers.tolist(), strict=True):
            made._held.setdefault(labels[place], Counter())[digest.tobytes()] = count
        return made
