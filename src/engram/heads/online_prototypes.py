"""Grow and Learn: a prototype is added where the present ones are wrong.

E. Alpaydın, "GAL: Networks that grow when they learn and shrink when they forget", International Journal of
Pattern Recognition and Artificial Intelligence 8(1), 1994 (ICSI TR-91-032). Two things differ. A prototype that
is right moves to the mean of what it has won (J. MacQueen, "Some methods for classification and analysis of
multivariate observations", 1967) instead of being tuned later. And in sleep, prototypes that answer for each
other are merged with their counts, where the paper drops them: dropping costs far more accuracy.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from engram.heads.confidence import by_distance
from engram.heads.head import Head, Positions, grown
from engram.heads.melding import melding
from engram.inputs.vectors import positions, unit_length
from engram.learner import Consolidation, FloatArray, InputError, Label, Predictions, State


class OnlinePrototypes(Head):
    """The label of the nearest prototype; scores are minus the distances to each label's nearest one.

    With `normalise`, the directions of the prototypes are compared: the mean of many noisy vectors is shorter
    than each of them, hence nearer to everything, and would win everywhere.

    Args:
        capacity: prototypes of one label; once it has so many, the nearest of them moves instead.
        normalise: scale every vector to unit length first.

    >>> head = OnlinePrototypes()
    >>> head.learn([[0.0, 1.0], [0.1, 0.9], [1.0, 0.1]], ["up", "up", "right"])
    >>> head.prototypes, head.predict([0.2, 1.0]).labels
    (2, ['up'])
    """

    def __init__(self, capacity: int = 100, normalise: bool = True) -> None:
        super().__init__()
        if capacity < 1:
            raise InputError(f"capacity must be 1 or more, not {capacity!r}.")
        self.capacity, self.normalise = capacity, normalise
        self.prototypes = 0
        self._hold(np.empty((0, 0)), np.empty(0, np.intp), np.empty(0))

    def config(self) -> dict[str, Any]:
        return {"capacity": self.capacity, "normalise": self.normalise}

    @property
    def memory_limit(self) -> int:
        """Bytes that the labels known so far can come to hold."""
        return len(self._book) * self.capacity * (8 * (self.width or 0) + 16)

    def consolidate(self) -> Consolidation:
        """Sleep: merge, with their counts, prototypes of one label that are nearest to each other of all."""
        with self._lock:
            before = self.prototypes
            if before > 1:
                gaps = np.array([self._distances(point) for point in self._points[:before]])
                np.fill_diagonal(gaps, np.inf)
                partner = gaps.argmin(axis=1)
                own = np.arange(before)
                mutual = (partner[partner] == own) & (self._owners[partner] == self._owners[:before])
                for place in np.flatnonzero(mutual & (own < partner)).tolist():
                    self._move(place, self._vectors[partner[place]].copy(), self._counts[partner[place]])
                kept = np.flatnonzero(~(mutual & (own > partner)))
                self._hold(self._vectors[kept], self._owners[kept], self._counts[kept])
            return Consolidation(before, self.prototypes)

    def meld(self, other: Self) -> None:
        """Take over the prototypes of another head of the same settings; it stays as it is.

        Raises:
            MeldError: another kind of head, other settings, another width; nothing was changed.
        """
        with melding(self, other):
            if other.width is None:
                return
            self.width = other.width
            theirs = {name: array.copy() for name, array in other._arrays().items()}
            owners = positions(other.labels, self._book)[theirs["owners"]]
            for vector, owner, count in zip(theirs["vectors"], owners, theirs["counts"], strict=True):
                self._place(vector, int(owner), count)

    def _prepare(self, vectors: FloatArray) -> FloatArray:
        if max(vectors.max(), -vectors.min()) > 1e150:
            raise InputError("Values beyond 1e150 cannot be compared: scale the vectors.")
        return unit_length(vectors) if self.normalise else vectors

    def _learn(self, vectors: FloatArray, classes: Positions) -> None:
        for vector, owner in zip(vectors, classes, strict=True):
            winner = int(self._distances(vector).argmin()) if self.prototypes else -1
            if winner >= 0 and self._owners[winner] == owner:
                self._move(winner, vector, 1.0)
            else:
                self._place(vector, int(owner), 1.0)

    def _place(self, vector: FloatArray, owner: int, count: float) -> None:
        """A new prototype, or, where its label has no room, the nearest of the label moves."""
        own = np.flatnonzero(self._owners[: self.prototypes] == owner)
        if len(own) >= self.capacity:
            self._move(int(own[self._distances(self._point(vector))[own].argmin()]), vector, count)
            return
        if self.prototypes == len(self._counts):
            room = 2 * self.prototypes + 4
            for name in ("_vectors", "_points", "_owners", "_counts", "_squares"):
                array = getattr(self, name)
                if array.ndim > 1:
                    array = array.reshape(-1, len(vector))
                setattr(self, name, grown(array, room))
        place = self.prototypes
        self.prototypes += 1
        self._owners[place], self._counts[place] = owner, 0.0
        self._vectors[place] = vector
        self._move(place, vector, count)

    def _move(self, place: int, vector: FloatArray, count: float) -> None:
        """Take `count` examples with this mean into a prototype."""
        self._counts[place] += count
        self._vectors[place] += (vector - self._vectors[place]) * (count / self._counts[place])
        point = self._point(self._vectors[place])
        self._points[place], self._squares[place] = point, point @ point

    def _point(self, vector: FloatArray) -> FloatArray:
        """What stands for a prototype in comparisons."""
        point: FloatArray = vector / max(float(np.linalg.norm(vector)), 1e-12) if self.normalise else vector
        return point

    def _distances(self, vector: FloatArray) -> FloatArray:
        """(P,) squared distances to a vector, less its own squared norm."""
        held = self.prototypes
        distances: FloatArray = self._squares[:held] - 2 * self._points[:held] @ vector
        return distances

    def _scores(self, vectors: FloatArray) -> FloatArray:
        held = self.prototypes
        squared = (vectors**2).sum(axis=1)[:, None] - 2 * vectors @ self._points[:held].T + self._squares[:held]
        nearest = np.full((len(self._book), len(vectors)), np.inf)
        np.minimum.at(nearest, self._owners[:held], np.maximum(squared, 0.0).T)
        scores: FloatArray = -np.sqrt(nearest.T)
        return scores

    def _answer(self, candidates: tuple[Label, ...], scores: FloatArray) -> Predictions:
        answers = super()._answer(candidates, scores)
        answers.confidence[:] = by_distance(scores**2)
        return answers

    def _hold(self, vectors: FloatArray, owners: Positions, counts: FloatArray) -> None:
        self._vectors, self._owners, self._counts = vectors.copy(), owners.copy(), counts.copy()
        self.prototypes = len(counts)
        self._points = np.array([self._point(vector) for vector in vectors]).reshape(vectors.shape)
        self._squares: FloatArray = (self._points**2).sum(axis=1)

    def _arrays(self) -> State:
        names = ("vectors", "owners", "counts")
        return {name: getattr(self, f"_{name}")[: self.prototypes] for name in names} if self._book else {}

    def _restore(self, state: State) -> None:
        if not self._book:
            return
        vectors, owners, counts = (np.array(state[name]) for name in ("vectors", "owners", "counts"))
        if vectors.shape != (len(owners), self.width) or len(counts) != len(owners):
            raise ValueError("the prototypes do not fit each other")
        if set(owners.tolist()) != set(range(len(self._book))) or not (counts > 0).all():
            raise ValueError("the prototypes do not fit the labels")
        self._hold(vectors, owners, counts)
