"""The inbox of unknowns: what was refused as "Nothing I know", grouped by likeness, to be named and then learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.backbones.bundle import Bundle
from engram.heads.fast import FastHead
from engram.heads.head import from_json_array, json_array
from engram.inputs.vectors import unit_length
from engram.learner import FloatArray, NotTaughtError, State

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


class Unknowns:
    """A bounded store of refused features; beyond `limit` the oldest go.

    >>> unknowns = Unknowns(limit=2)
    >>> for value in (1, 2, 3):
    ...     unknowns.add(np.full((1, 4), value, np.float32), [None], [bytes([value])])
    >>> len(unknowns), unknowns.numbers
    (2, [2, 3])
    """

    def __init__(self, limit: int = 512) -> None:
        self.limit = limit
        self.numbers: list[int] = []
        self._features: list[Features] = []
        self._sources: list[str | None] = []
        self._keys: list[bytes] = []
        self._next = 1

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def features(self) -> Features:
        """(N, D), as the backbone gave them, so that naming them equals having taught them."""
        return np.stack(self._features)

    def add(self, features: Features, sources: Sequence[str | None], keys: Sequence[bytes]) -> None:
        """Keep (N, D) features; one that is there already, by its key, is not kept twice."""
        held = set(self._keys)
        for row, source, key in zip(features, sources, keys, strict=True):
            if key not in held:
                held.add(key)
                self.numbers.append(self._next)
                self._features.append(np.array(row, np.float32))
                self._sources.append(source)
                self._keys.append(key)
                self._next += 1
        self._keep(range(max(0, len(self) - self.limit), len(self)))

    def discard(self, keys: Sequence[bytes]) -> None:
        """Let go of those with these keys: they were taught, or are to be forgotten."""
        gone = set(keys)
        self._keep([i for i, key in enumerate(self._keys) if key not in gone])

    def groups(self, similarity: FloatArray, alike: float) -> list[Group]:
        """Average-linkage groups, largest first (Sokal and Michener 1958).

        Args:
            similarity: (N, N) between the unknowns, in the order of `numbers`.
            alike: mean similarity down to which two groups become one.
        """
        groups = []
        for members in linked(similarity, alike):
            size = len(members)
            block = similarity[np.ix_(members, members)]
            likeness = float((block.sum() - np.trace(block)) / (size * (size - 1))) if size > 1 else 1.0
            numbers = tuple(self.numbers[i] for i in members)
            groups.append(Group(numbers[0], numbers, tuple(self._sources[i] for i in members), likeness))
        return sorted(groups, key=lambda group: (-len(group.members), group.number))

    def take(self, members: Sequence[int]) -> Features:
        """(n, D) features of the unknowns of these numbers.

        Raises:
            NotTaughtError: a number that is not there.
        """
        missing = [number for number in members if number not in self.numbers]
        if missing:
            raise NotTaughtError(f"No unknown of number {missing[0]}; there are {self.numbers[:20]}.")
        return np.stack([self._features[self.numbers.index(number)] for number in members])

    @property
    def nbytes(self) -> int:
        return sum(row.nbytes + len(key) for row, key in zip(self._features, self._keys, strict=True))

    def state(self) -> State:
        about = {"limit": self.limit, "numbers": self.numbers, "sources": self._sources, "next": self._next}
        keys = [key.hex() for key in self._keys]
        features = self.features if len(self) else np.zeros((0, 0), np.float32)
        return {"about": json_array({**about, "keys": keys}), "features": features}

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]]) -> Unknowns:
        """Raises KeyError, TypeError or ValueError where the parts do not fit."""
        about = from_json_array(state["about"])
        made = cls(int(about["limit"]))
        features = np.asarray(state["features"], np.float32)
        sizes = {len(about["numbers"]), len(about["sources"]), len(about["keys"]), len(features)}
        if len(sizes) != 1 or not np.isfinite(features).all():
            raise ValueError("the unknowns do not fit each other")
        made.numbers, made._sources = list(about["numbers"]), list(about["sources"])
        made._keys = [bytes.fromhex(key) for key in about["keys"]]
        made._features, made._next = [row.copy() for row in features], int(about["next"])
        return made

    def _keep(self, places: Sequence[int]) -> None:
        if len(places) == len(self):
            return
        columns: tuple[list[Any], ...] = (self.numbers, self._features, self._sources, self._keys)
        for column in columns:
            column[:] = [column[i] for i in places]


def linked(similarity: FloatArray, alike: float) -> list[list[int]]:
    """Agglomeration by mean similarity: the two most similar groups join while they are `alike`.

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
