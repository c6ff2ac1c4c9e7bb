"""Which examples of a class are nearly the same: mirrored or saved again, frames of one burst, the same file twice.

Whatever asks "how would this example be answered had it never been taught" must leave out its near-duplicates with it,
or it asks about what is still known. How near is near depends on the class: a fifth of the squared distance that its
examples have from each other in the median. Where all of them are frames of one thing that says nothing: then it is a
share of the distance to the nearest example of another class, if the bundle expects more within a class. Two or three
examples are measured by what the bundle expects. Of few features less: there, others come as near by chance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.heads.fast.episodes import Episodes
from engram.heads.head import Positions
from engram.learner import FloatArray

Mask = npt.NDArray[np.bool_]

WITHIN = 0.2
"""Of the median squared distance within the class."""

BETWEEN = 0.15
"""Of the median squared distance to the nearest example of another class."""

FRAMES = 0.25
"""Of the mean squared distance within a class that the bundle measured: frames of one thing are nearer than this."""

FEW = 3
"""Examples up to which a class says too little about itself."""

_CHANCE = 3.72  # normal deviations of one in 10,000: how rarely two different examples may be taken for one

_CANDIDATES = 1024  # rows of a class that are searched, those of the smallest SHA-256


class Neighbours(NamedTuple):
    """Some examples of a class, and how far others of the class lie from them.

    Attributes:
        chosen: (R,) places of the examples, those of the smallest SHA-256.
        candidates: (M,) places searched; the first R of them are `chosen`.
        rows: (R, D) the chosen ones.
        distances: (R, M) squared distances, in quantised units; they are integers, so they are exact.
    """

    chosen: Positions
    candidates: Positions
    rows: FloatArray
    distances: FloatArray

    @classmethod
    def of(cls, episodes: Episodes, most: int) -> Neighbours:
        """Up to `most` examples of a class, and up to 1024 that may be like them."""
        candidates = episodes.smallest(_CANDIDATES)
        rows = episodes.rows[candidates].astype(np.float64)
        chosen = rows[:most]
        return cls(candidates[:most], candidates, chosen.copy(), _apart(chosen, rows))

    def with_last(self, episodes: Episodes, most: int) -> Neighbours:
        """The same as `of`, where the class's last example has come since these were found."""
        last, keys = len(episodes.rows) - 1, episodes.keys()
        at = int(np.searchsorted(keys[self.candidates], keys[last], side="right"))
        if at == _CANDIDATES:
            return self
        row = episodes.rows[last:].astype(np.float64)
        candidates = np.insert(self.candidates, at, last)[:_CANDIDATES]
        distances = np.insert(self.distances, at, _apart(row, self.rows)[0], axis=1)[:, :_CANDIDATES]
        rows = self.rows
        if at < most:
            rows = np.insert(rows, at, row, axis=0)[:most]
            others = _apart(row, episodes.rows[candidates].astype(np.float64))
            distances = np.insert(distances, at, others, axis=0)[:most]
        return Neighbours(candidates[:most], candidates, rows, distances)

    def typical(self) -> float:
        """The median squared distance of two different examples; 0 where there is one example only."""
        same, pairs = len(self.chosen), self.distances.size - len(self.chosen)
        if not pairs:
            return 0.0
        middle = [same + (pairs - 1) // 2, same + pairs // 2]  # the zeros that examples have from themselves come first
        return float(np.partition(self.distances, middle, axis=None)[middle].mean())

    def groups(self, reach: float) -> tuple[Positions, list[Positions]]:
        """One chosen example for each group of near-duplicates, and which of the candidates are in its group.

        Returns:
            (G,) places among `chosen`, and for each the places among `candidates`; no such places where each is alone.
        """
        near = (self.distances <= reach) | self._same()
        if np.count_nonzero(near) == len(near):
            return np.arange(len(near)), []
        if len(self.chosen) == len(self.candidates):
            near = _connected(near)
        first, members, seen = [], [], np.zeros(len(self.chosen), bool)
        for i in range(len(self.chosen)):
            if not seen[i]:
                seen |= near[i, : len(seen)]
                first.append(i)
                members.append(np.flatnonzero(near[i]))
        return np.array(first, np.intp), members

    def distinct(self, reach: float, groups: int) -> float:
        """Groups for each example: the mean of 1 over the size of an example's group.

        Args:
            groups: how many there are among the chosen ones.
        """
        if len(self.chosen) == len(self.candidates):
            return groups / len(self.candidates)
        sizes = np.maximum((self.distances <= reach).sum(axis=1), 1)
        return float((1.0 / sizes).mean())

    def _same(self) -> Mask:
        return np.eye(len(self.chosen), len(self.candidates), dtype=bool)


def _apart(some: FloatArray, others: FloatArray) -> npt.NDArray[np.float64]:
    """(N, M) squared distances of (N, D) rows and (M, D) others."""
    lengths, other_lengths = (np.einsum("nd,nd->n", rows, rows) for rows in (some, others))
    apart: npt.NDArray[np.float64] = lengths[:, None] + other_lengths - 2.0 * (some @ others.T)
    return apart


def share_of_reach(width: int) -> float:
    """By how much the reach is shortened where there are few features, in [0, 1].

    The squared distance of two normal vectors, over its mean, is below q once in 10,000 (Wilson and Hilferty 1931).
    """
    spread = 2.0 / (9.0 * width)
    rare = float(max(1.0 - spread - _CHANCE * spread**0.5, 0.0)) ** 3
    return float(min(1.0, rare / WITHIN))


def reach_between(rows: FloatArray, classes: Positions) -> float:
    """The reach from the distances to other classes, for (N, D) examples of several; 0 where there is one class."""
    other = classes[:, None] != classes
    if not other.any():
        return 0.0
    lengths = np.einsum("nd,nd->n", rows, rows)
    distances = np.maximum(lengths[:, None] + lengths - 2.0 * (rows @ rows.T), 0.0)
    return BETWEEN * float(np.median(np.where(other, distances, np.inf).min(axis=1)))


def _connected(near: Mask) -> Mask:
    """(N, N) whether two are joined by a chain of near ones."""
    names = np.arange(len(near))
    while True:
        least = np.where(near, names, len(near)).min(axis=1)
        if (least == names).all():
            joined: Mask = names[:, None] == names
            return joined
        names = least
