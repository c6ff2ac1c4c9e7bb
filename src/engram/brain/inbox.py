"""The inbox of unknowns: what was refused as "Nothing I know", grouped by likeness, to be named and then learned."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import RLock
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.features.backbones.bundle import Bundle
from engram.heads.fast import FastHead
from engram.heads.head import from_json_array, json_array
from engram.inputs.vectors import unit_length
from engram.learner import FloatArray, NotTaughtError, State
from engram.store.event import Unknown

Features = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Group:
    """Unknowns that are alike.

    Attributes:
        number: of the group, the number of its oldest member: it stays as long as the group does.
        members: numbers of the unknowns, oldest first.
        sources: the files they came from, where known.
        likeness: mean similarity between its members, 1 for a single one.
    """

    number: int
    members: tuple[int, ...]
    sources: tuple[str | None, ...]
    likeness: float


class Inbox:
    """A bounded store of refused features; beyond `limit` the oldest go. Safe for threads.

    >>> inbox = Inbox(limit=2)
    >>> for value in (1, 2, 3):
    ...     inbox.add(np.full((1, 4), value, np.float32), [None], [bytes([value])])
    >>> len(inbox), inbox.numbers
    (2, [2, 3])
    """

    def __init__(self, limit: int = 512) -> None:
        self.limit = limit
        self._lock = RLock()
        self._kept: list[Unknown] = []
        self._next = 1
        self._saved: set[int] = set()

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Unknown]:
        return iter(list(self._kept))

    @property
    def numbers(self) -> list[int]:
        """Oldest first."""
        return [unknown.number for unknown in self]

    @property
    def features(self) -> Features:
        """(N, D), as the backbone gave them, so that naming them equals having taught them."""
        return np.stack([unknown.features for unknown in self])

    def add(
        self,
        features: Features,
        sources: Sequence[str | None],
        keys: Sequence[bytes],
        thumbnails: Sequence[bytes | None] | None = None,
    ) -> None:
        """Keep (N, D) features; one that is there already, by its key, is not kept twice."""
        with self._lock:
            held = {unknown.key for unknown in self._kept}
            pictures = thumbnails or [None] * len(keys)
            now = time.time_ns() // 1000
            for row, source, key, picture in zip(features, sources, keys, pictures, strict=True):
                if key not in held:
                    held.add(key)
                    self._kept.append(Unknown(self._next, np.array(row, np.float32), key, source, picture, now))
                    self._next += 1
            del self._kept[: max(0, len(self._kept) - self.limit)]

    def discard(self, keys: Iterable[bytes]) -> list[Unknown]:
        """Let go of those with these keys, and return them: they were taught, or are to be forgotten."""
        gone = set(keys)
        with self._lock:
            found = [unknown for unknown in self._kept if unknown.key in gone]
            self._kept = [unknown for unknown in self._kept if unknown.key not in gone]
        return found

    def keep(self, unknowns: Iterable[Unknown]) -> None:
        """Take back what `discard` let go."""
        with self._lock:
            self._kept = sorted([*self._kept, *unknowns], key=lambda unknown: unknown.number)

    def put_back(self, unknowns: Iterable[Unknown]) -> tuple[list[Unknown], list[Unknown]]:
        """Hold unknowns again whose naming was undone, under their old numbers where these are free.

        Returns:
            Those that were not there yet, as they are held now; and the oldest, which went to stay within the limit.
        """
        with self._lock:
            keys, numbers = {one.key for one in self._kept}, {one.number for one in self._kept} | self._saved
            added = []
            for unknown in unknowns:
                if unknown.key in keys:
                    continue
                self._next = max(self._next, unknown.number + 1)
                if unknown.number in numbers:
                    unknown, self._next = replace(unknown, number=self._next), self._next + 1
                keys.add(unknown.key)
                numbers.add(unknown.number)
                added.append(unknown)
            self.keep(added)
            beyond = max(0, len(self._kept) - self.limit)
            gone, self._kept = self._kept[:beyond], self._kept[beyond:]
        return added, gone

    def groups(self, similarity: FloatArray, alike: float, kept: Sequence[Unknown] | None = None) -> list[Group]:
        """Average-linkage groups, largest first (Sokal and Michener 1958).

        Args:
            similarity: (N, N) between the unknowns, in the order of `numbers`.
            alike: mean similarity down to which two groups become one.
            kept: the unknowns compared, where they may have changed since.
        """
        compared = list(self) if kept is None else kept
        groups = []
        for members in linked(similarity, alike):
            size = len(members)
            block = similarity[np.ix_(members, members)]
            likeness = float((block.sum() - np.trace(block)) / (size * (size - 1))) if size > 1 else 1.0
            numbers = tuple(compared[i].number for i in members)
            groups.append(Group(numbers[0], numbers, tuple(compared[i].source for i in members), likeness))
        return sorted(groups, key=lambda group: (-len(group.members), group.number))

    def take(self, members: Sequence[int]) -> list[Unknown]:
        """The unknowns of these numbers.

        Raises:
            NotTaughtError: a number that is not there.
        """
        kept = {unknown.number: unknown for unknown in self}
        missing = [number for number in members if number not in kept]
        if missing:
            raise NotTaughtError(f"No unknown of number {missing[0]}; there are {list(kept)[:20]}.")
        return [kept[number] for number in members]

    @property
    def nbytes(self) -> int:
        return sum(one.features.nbytes + len(one.key) + len(one.thumbnail or b"") for one in self)

    def unsaved(self) -> tuple[list[Unknown], list[int]]:
        """Those not saved yet, and the numbers of those that are but went since."""
        with self._lock:
            numbers = {unknown.number for unknown in self._kept}
            return [one for one in self._kept if one.number not in self._saved], sorted(self._saved - numbers)

    def saved(self, added: Iterable[Unknown], removed: Iterable[int]) -> None:
        """These, which `unsaved` gave, are saved now."""
        with self._lock:
            self._saved = (self._saved | {one.number for one in added}) - set(removed)

    def copy(self) -> Inbox:
        """Another of the same contents, of which nothing is saved yet."""
        made = Inbox(self.limit)
        with self._lock:
            made._kept, made._next = list(self._kept), self._next
        return made

    @classmethod
    def restored(cls, kept: Iterable[Unknown], limit: int, unsaved: Sequence[Unknown] = ()) -> Inbox:
        """Those that were saved, and after them those that are still to be."""
        made = cls(limit)
        made._kept = list(kept)
        made._saved = set(made.numbers)
        made._next = max(made._saved, default=0) + 1
        if unsaved:
            features = np.stack([one.features for one in unsaved])
            sources, keys = [one.source for one in unsaved], [one.key for one in unsaved]
            made.add(features, sources, keys, [one.thumbnail for one in unsaved])
        return made

    def state(self) -> State:
        """As arrays, without the small pictures."""
        with self._lock:
            about = {
                "limit": self.limit, "next": self._next, "numbers": self.numbers,
                "sources": [one.source for one in self], "times": [one.time for one in self],
                "keys": [one.key.hex() for one in self],
            }
            features = self.features if len(self) else np.zeros((0, 0), np.float32)
        return {"about": json_array(about), "features": features}

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]]) -> Inbox:
        """The inbox that these arrays describe.

        Raises:
            KeyError, TypeError, ValueError: they are incomplete, or do not fit each other.
        """
        about = from_json_array(state["about"])
        made = cls(int(about["limit"]))
        features = np.asarray(state["features"], np.float32)
        if not np.isfinite(features).all():
            raise ValueError("the unknowns do not fit each other")
        columns = (about["numbers"], features, about["keys"], about["sources"], about["times"])
        made._kept = [
            Unknown(int(number), row.copy(), bytes.fromhex(key), source, None, time)
            for number, row, key, source, time in zip(*columns, strict=True)
        ]
        made._next = int(about["next"])
        return made


def linked(similarity: FloatArray, alike: float) -> list[list[int]]:
    """Agglomeration by mean similarity, (N, N): the two most similar groups join while they are `alike`.

    >>> linked(np.array([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]]), 0.5)
    [[0, 1], [2]]
    """
    size = len(similarity)
    links = np.array(similarity, np.float64)
    np.fill_diagonal(links, -np.inf)
    groups: list[list[int]] = [[i] for i in range(size)]
    for _ in range(size - 1):
        i, j = sorted(divmod(int(links.argmax()), size))
        if not links[i, j] >= alike:
            break
        a, b = len(groups[i]), len(groups[j])
        mean = (a * links[i] + b * links[j]) / (a + b)  # Lance and Williams' update of average linkage
        links[i], links[:, i] = mean, mean
        links[i, i] = -np.inf
        links[j], links[:, j] = -np.inf, -np.inf
        groups[i] = sorted(groups[i] + groups[j])
        groups[j] = []
    return [group for group in groups if group]


def likeness(head: FastHead, bundle: Bundle, features: npt.NDArray[Any]) -> FloatArray:
    """(N, N) cosines between features in the metric of what was learned, about the bundle's mean or, where that was
    never measured, the mean of what was taught.
    """
    if bundle.mean.any() or not head.labels:
        return head.similarity(features)
    vectors = np.asarray(features, np.float64)
    centre = head.sums.sums.sum(axis=0) / head.sums.total * bundle.step
    return head.similarity((unit_length(vectors) if bundle.normalise else vectors) - centre)


def alike(head: FastHead, bundle: Bundle) -> float:
    """The likeness from which on unknowns count as one thing: midway between what is typical within the labels
    taught and between them, over up to eight prototypes of each of up to 64 labels; 0.5 where that cannot be told.
    """
    parts = list(head.prototypes.items())[:64]
    if not parts:
        return 0.5
    owners = np.concatenate([np.full(min(len(means), 8), i) for i, (_, (_, means)) in enumerate(parts)])
    rows = np.concatenate([means[:8] for _, (_, means) in parts])
    similarity = likeness(head, bundle, bundle.mean + bundle.step * rows)
    same = owners[:, None] == owners[None]
    apart = ~same
    np.fill_diagonal(same, False)
    if not same.any() or not apart.any():
        return 0.5
    return 0.5 * float(np.median(similarity[same]) + np.median(similarity[apart]))
