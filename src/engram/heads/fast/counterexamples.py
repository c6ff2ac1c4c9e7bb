"""What labels are not: the examples that a teacher said a label is wrong for.

They lie beside what was taught and never enter the exact sums. A counterexample belongs to a label whether that label
was taught or not, before or after; so the order of teaching is no matter, and what is unlearned leaves no trace.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engram.heads.fast.episodes import Episodes, Keys, Rows
from engram.heads.head import from_json_array, json_array
from engram.learner import Label, State

_ROWS, _COUNTS = "counterexample_rows", "counterexample_counts"


class Counterexamples:
    """Quantised (D,) rows, each with a label that it is not of. All are kept, whatever the memory budget.

    Attributes:
        version: how often they have changed.
    """

    def __init__(self) -> None:
        self._held: dict[Label, Episodes] = {}
        self.version = 0

    def __bool__(self) -> bool:
        return bool(self._held)

    def __contains__(self, label: object) -> bool:
        return label in self._held

    @property
    def counts(self) -> dict[Label, int]:
        """How many each label has; those that have none are not in it."""
        return {label: len(episodes.rows) for label, episodes in self._held.items()}

    @property
    def nbytes(self) -> int:
        """Bytes that `state` takes."""
        return sum(array.nbytes for array in self.state().values())

    def rows(self, label: Label) -> Rows:
        """(N, D) those of a label, ordered by their SHA-256."""
        episodes = self._held[label]
        return episodes.rows[episodes.smallest(len(episodes.rows))]

    def keys(self, label: Label) -> Keys:
        """(N,) the first eight bytes of the SHA-256 of each of `rows`."""
        keys: Keys = np.sort(self._held[label].keys())
        return keys

    def add(self, rows: Rows, labels: Sequence[Label]) -> None:
        """Keep (N, D) rows that are not of these labels."""
        self.version += 1
        for label, chosen in _by_label(labels).items():
            self._held.setdefault(label, Episodes(rows.shape[1])).append(rows[chosen])

    def lacking(self, rows: Rows, labels: Sequence[Label]) -> Label | None:
        """A label that does not have all of these (N, D) rows as counterexamples, each as often."""
        wanted = Counter((label, row.tobytes()) for label, row in zip(labels, rows, strict=True))
        for (label, row), times in wanted.items():
            found = self._held[label].find(np.frombuffer(row, np.int16)) if label in self._held else ()
            if len(found) < times:
                return label
        return None

    def remove(self, rows: Rows, labels: Sequence[Label]) -> None:
        """Forget (N, D) rows, of which none is lacking."""
        self.version += 1
        for label, chosen in _by_label(labels).items():
            self._held[label].remove(rows[chosen])
            if not len(self._held[label].rows):
                del self._held[label]

    def drop(self, label: Label) -> None:
        """Forget all of a label, if it has any."""
        self.version += self._held.pop(label, None) is not None

    def rename(self, old: Label, new: Label) -> None:
        """Call a label by another name, which has none yet."""
        if old in self._held:
            self._held[new] = self._held.pop(old)
            self.version += 1

    def meld(self, other: Counterexamples) -> None:
        """Take over another's."""
        for label in other._held:
            rows = other.rows(label)
            self.add(rows, [label] * len(rows))

    def copy(self) -> Counterexamples:
        """Another of the same contents; the rows are shared."""
        made = Counterexamples()
        made._held = {label: episodes.copy() for label, episodes in self._held.items()}
        made.version = self.version
        return made

    def digest(self, of_sums: str) -> str:
        """SHA-256 of the sums' digest, then of each label's name (JSON), count and rows as little-endian int16, sorted;
        without counterexamples the sums' digest itself.
        """
        if not self._held:
            return of_sums
        total = hashlib.sha256(of_sums.encode())
        for label in sorted(self._held, key=str):
            rows = self.rows(label)
            total.update(f"\nnot {json.dumps(label)} {len(rows)}\n".encode())
            total.update(np.ascontiguousarray(rows, "<i2").tobytes())
        return total.hexdigest()

    def state(self) -> State:
        """As arrays of their own; none where there are no counterexamples."""
        if not self._held:
            return {}
        rows = np.concatenate([self.rows(label) for label in self._held])
        return {_ROWS: rows, _COUNTS: json_array(list(map(list, self.counts.items())))}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], width: int) -> Counterexamples:
        """What `state` gave. Raises KeyError, TypeError or ValueError where the arrays do not fit."""
        made = cls()
        if _COUNTS in state:
            labels = [label for label, count in from_json_array(state[_COUNTS]) for _ in range(int(count))]
            made.add(state[_ROWS].reshape(len(labels), width).astype(np.int16), labels)
        return made


def _by_label(labels: Sequence[Label]) -> dict[Label, list[int]]:
    places: dict[Label, list[int]] = {}
    for place, label in enumerate(labels):
        places.setdefault(label, []).append(place)
    return places
