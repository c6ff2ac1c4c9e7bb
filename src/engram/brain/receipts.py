"""Receipts: what was taught, as 16-byte digests, so that only what was taught can be forgotten."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.learner import Label, State

SIZE = 16
_RECENT = 2**14  # receipts that wait in a dictionary, at least ...
_SHARE = 16  # ... and as many as this part of those in arrays: so few wait that they take little memory


def receipts_of(rows: npt.NDArray[Any]) -> list[bytes]:
    """The receipt of each quantised (D,) row: the first 16 bytes of SHA-256 over it as little-endian int16."""
    return [hashlib.sha256(row).digest()[:SIZE] for row in np.ascontiguousarray(rows, "<i2")]


def counter_receipts_of(rows: npt.NDArray[Any]) -> list[bytes]:
    """The same for (N, D) counterexamples, none taken for an example: over the row after the word "not"."""
    return [hashlib.sha256(b"not" + row.tobytes()).digest()[:SIZE] for row in np.ascontiguousarray(rows, "<i2")]


class _Entries(NamedTuple):
    """Receipts in order: each as two big-endian halves, the number of its label, and how often it is held."""

    high: npt.NDArray[np.uint64]
    low: npt.NDArray[np.uint64]
    numbers: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int32]

    @classmethod
    def of(cls, digests: npt.NDArray[np.uint8], numbers: npt.NDArray[Any], counts: npt.NDArray[Any]) -> _Entries:
        """From (N, 16) digests in any order."""
        halves = np.ascontiguousarray(digests).view(">u8").reshape(-1, 2).astype(np.uint64)
        made = cls(halves[:, 0].copy(), halves[:, 1].copy(), numbers.astype(np.int32), counts.astype(np.int32))
        in_order = (made.high[:-1] <= made.high[1:]).all()
        return (made if in_order else made.picked(np.argsort(made.high)))._ties_in_order()

    def picked(self, which: npt.NDArray[Any]) -> _Entries:
        return _Entries(*(column[which] for column in self))

    def merged(self, other: _Entries) -> _Entries:
        """These and others, the counts of the same receipts and labels added; what adds up to 0 is gone."""
        places = self.high.searchsorted(other.high)
        columns: list[Any] = [np.insert(self[i], places, other[i]) for i in range(4)]
        whole = _Entries(*columns)._ties_in_order()
        repeats = whole.repeats()
        if repeats.any():
            firsts = ~repeats
            counts = np.add.reduceat(whole.counts, np.flatnonzero(firsts), dtype=np.int32)
            whole = whole.picked(firsts)._replace(counts=counts)
        return whole if whole.counts.all() else whole.picked(whole.counts > 0)

    def repeats(self) -> npt.NDArray[np.bool_]:
        """(N,) whether each is the same receipt under the same label as the one before it."""
        repeats = np.zeros(len(self.high), bool)
        same = np.flatnonzero(self.high[1:] == self.high[:-1])
        repeats[same + 1] = (self.low[same + 1] == self.low[same]) & (self.numbers[same + 1] == self.numbers[same])
        return repeats

    def _ties_in_order(self) -> _Entries:
        """From entries in order of their first half: those that share one put in order among themselves."""
        tied = np.zeros(len(self.high), bool)
        same = self.high[1:] == self.high[:-1]
        tied[1:] |= same
        tied[:-1] |= same
        places = np.flatnonzero(tied)
        if len(places):
            order = places[np.lexsort((self.numbers[places], self.low[places], self.high[places]))]
            for column in self:
                column[places] = column[order]
        return self

    def digests(self) -> npt.NDArray[np.uint8]:
        return np.column_stack([self.high, self.low]).astype(">u8").view(np.uint8).reshape(-1, SIZE)

    def found(self, receipt: bytes) -> list[tuple[int, int]]:
        """The numbers and counts that it is held with."""
        high, low = (int.from_bytes(receipt[i : i + 8], "big") for i in (0, 8))
        place, found = int(self.high.searchsorted(np.uint64(high))), []
        while place < len(self.high) and self.high[place] == high:
            if self.low[place] == low:
                found.append((int(self.numbers[place]), int(self.counts[place])))
            place += 1
        return found


_NONE = _Entries.of(np.zeros((0, SIZE), np.uint8), np.zeros(0), np.zeros(0))


class Receipts:
    """How often each example was taught, by label.

    A million take 24 MB: they lie in sorted arrays, the newest few beside them in a dictionary until those are merged.

    >>> receipts = Receipts()
    >>> receipts.add([b"a" * 16, b"a" * 16], ["cat", "cat"])
    >>> receipts.missing([b"a" * 16], ["dog"])
    [0]
    >>> receipts.count(b"a" * 16)
    2
    """

    def __init__(self) -> None:
        self._numbers: dict[Label, int] = {}  # in order of arrival; a label that is gone never lends its number on
        self._totals: Counter[int] = Counter()
        self._next = 0
        self._held = _NONE
        self._recent: dict[tuple[bytes, int], int] = {}  # what to add to the counts held

    def add(self, receipts: Sequence[bytes], labels: Sequence[Label]) -> None:
        for label in dict.fromkeys(labels):
            if label not in self._numbers:
                self._numbers[label], self._next = self._next, self._next + 1
        numbers, recent = [self._numbers[label] for label in labels], self._recent
        for key in zip(receipts, numbers, strict=True):
            recent[key] = recent.get(key, 0) + 1
        self._totals.update(numbers)
        self._settle()

    def remove(self, receipts: Sequence[bytes], labels: Sequence[Label]) -> None:
        """Take back receipts that are held. Raises KeyError where one is not: nothing was changed."""
        if missing := self.missing(receipts, labels):
            raise KeyError(f"receipt {missing[0]} is not held under {labels[missing[0]]!r}, or not so often")
        for receipt, label in zip(receipts, labels, strict=True):
            number = self._numbers[label]
            key = receipt, number
            self._recent[key] = self._recent.get(key, 0) - 1
            self._totals[number] -= 1
            if not self._totals[number]:
                self.drop(label)
        self._settle()

    def missing(self, receipts: Sequence[bytes], labels: Sequence[Label]) -> list[int]:
        """Places of those that are not held as often as they are asked for."""
        asked: Counter[tuple[Label, bytes]] = Counter()
        places = []
        for i, key in enumerate(zip(labels, receipts, strict=True)):
            asked[key] += 1
            if asked[key] > self.count(key[1], key[0]):
                places.append(i)
        return places

    def count(self, receipt: bytes, label: Label | None = None) -> int:
        """How often an example is held, under one label or any."""
        if label is not None:
            number = self._numbers.get(label, -1)
            held = sum(count for found, count in self._held.found(receipt) if found == number)
            return held + self._recent.get((receipt, number), 0)
        return sum(self._counts(receipt).values())

    def labels_of(self, receipt: bytes) -> list[Label]:
        """The labels under which an example is held."""
        counts = self._counts(receipt)
        return [label for label, number in self._numbers.items() if counts.get(number)] if counts else []

    def holds_any(self, receipts: Iterable[bytes]) -> bool:
        return any(self.count(receipt) for receipt in receipts)

    def drop(self, label: Label) -> None:
        if label in self._numbers:
            self._clear(self._numbers.pop(label))

    def rename(self, old: Label, new: Label) -> None:
        """What was held under the new name before is let go."""
        if old not in self._numbers or old == new:
            return
        if new in self._numbers:
            self._clear(self._numbers[new])
        self._numbers[new] = self._numbers.pop(old)

    def totals(self) -> dict[Label, int]:
        """How many examples each label holds."""
        return {label: self._totals[number] for label, number in self._numbers.items()}

    def listed(self) -> dict[Label, list[str]]:
        """All receipts of each label in hexadecimal, sorted, repeated as often as they are held."""
        held = self._merged()
        digests = held.digests()
        listed = {}
        for label, number in self._numbers.items():
            places = np.flatnonzero(held.numbers == number)
            text = digests[np.repeat(places, held.counts[places])].tobytes().hex()
            listed[label] = [text[i : i + 2 * SIZE] for i in range(0, len(text), 2 * SIZE)]
        return listed

    def copy(self) -> Receipts:
        """Another of the same contents; the arrays, which never change, are shared."""
        made = Receipts()
        made._numbers, made._totals, made._next = dict(self._numbers), self._totals.copy(), self._next
        made._held, made._recent = self._held, dict(self._recent)
        return made

    @property
    def nbytes(self) -> int:
        return (SIZE + 8) * (len(self._held.high) + len(self._recent))

    def state(self, labels: Sequence[Label]) -> State:
        """As arrays: each receipt once for each label, with the label's place in `labels` and its count."""
        held = self._merged()
        places = {label: place for place, label in enumerate(labels)}
        of_number = np.zeros(self._next, np.int32)
        for label, number in self._numbers.items():
            of_number[number] = places[label]
        return {"digests": held.digests(), "numbers": np.column_stack([of_number[held.numbers], held.counts])}

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]], labels: Sequence[Label]) -> Receipts:
        """The receipts that these arrays describe.

        Raises:
            KeyError, ValueError, IndexError: they are incomplete, or do not fit each other.
        """
        digests, numbers = np.asarray(state["digests"], np.uint8), np.asarray(state["numbers"], np.int64)
        if digests.shape != (len(numbers), SIZE) or numbers.shape[1:] != (2,) or (numbers < [0, 1]).any():
            raise ValueError("receipts do not fit each other")
        places = numbers[:, 0]
        totals = np.bincount(places, weights=numbers[:, 1], minlength=len(labels))
        if len(totals) > len(labels) or totals.max(initial=0) >= 2**31:
            raise ValueError("receipts are of labels that are not there, or too many")
        made = cls()
        made._held = _Entries.of(digests, places, numbers[:, 1])
        if made._held.repeats().any():
            raise ValueError("a receipt is there twice")
        made._next = len(labels)
        made._numbers = {label: place for place, label in enumerate(labels) if totals[place]}
        made._totals = Counter({place: int(totals[place]) for place in made._numbers.values()})
        return made

    def _counts(self, receipt: bytes) -> dict[int, int]:
        """How often an example is held, by the number of the label."""
        counts = Counter(dict(self._held.found(receipt)))
        if self._recent:
            for number in self._numbers.values():
                counts[number] += self._recent.get((receipt, number), 0)
        return counts

    def _clear(self, number: int) -> None:
        del self._totals[number]
        self._recent = {key: count for key, count in self._recent.items() if key[1] != number}
        self._held = self._held.picked(self._held.numbers != number)

    def _settle(self) -> None:
        """Merge the newest where they have become many."""
        if len(self._recent) > max(_RECENT, len(self._held.high) // _SHARE):
            self._held, self._recent = self._merged(), {}

    def _merged(self) -> _Entries:
        if not self._recent:
            return self._held
        digests = np.frombuffer(b"".join(receipt for receipt, _ in self._recent), np.uint8).reshape(-1, SIZE)
        numbers = np.array([number for _, number in self._recent])
        return self._held.merged(_Entries.of(digests, numbers, np.array(list(self._recent.values()))))
