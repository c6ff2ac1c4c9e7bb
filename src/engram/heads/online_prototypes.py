"""Grow and Learn: a prototype is added where the present ones are wrong, and dropped in sleep where it is idle.

E. Alpaydın, "GAL: Networks that grow when they learn and shrink when they forget", International Journal of
Pattern Recognition and Artificial Intelligence 8(1), 1994 (ICSI TR-91-032). A prototype that is right moves to
the mean of what it has won (J. MacQueen, "Some methods for classification and analysis of multivariate
observations", 1967), which takes the place of the paper's fine tuning.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from engram.heads.head import Head, Positions, softmax
from engram.heads.melding import melding
from engram.inputs.vectors import positions, unit_length
from engram.learner import Consolidation, FloatArray, InputError, Label, Predictions, State


class OnlinePrototypes(Head):
    """The label of the nearest prototype; scores are minus the distances to each label's nearest one.

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
            raise InputError(f"capacity is 1 or more, not {capacity!r}.")
        self.capacity, self.normalise = capacity, normalise
        self._vectors, self._counts = np.empty((0, 0)), np.empty(0)
        self._owners = np.empty(0, np.intp)

    def config(self) -> dict[str, Any]:
        return {"capacity": self.capacity, "normalise": self.normalise}

    @property
    def prototypes(self) -> int:
        """How many prototypes are held."""
        return len(self._owners)

    @property
    def memory_limit(self) -> int:
        """Bytes that the labels known so far can come to hold."""
        return len(self._book) * self.capacity * (8 * (self.width or 0) + 16)

    def consolidate(self) -> Consolidation:
        """Sleep: drop each prototype that its nearest neighbour answers for, the least used first."""
        with self._lock:
            before = len(self._owners)
            idle = np.zeros(before, bool)
            squares = (self._vectors**2).sum(axis=1)
            for place in np.argsort(self._counts, kind="stable"):
                distances = squares - 2 * self._vectors @ self._vectors[place]
                distances[idle] = np.inf
                distances[place] = np.inf
                nearest = int(distances.argmin())
                if np.isfinite(distances[nearest]) and self._owners[nearest] == self._owners[place]:
                    idle[place] = True
                    self._counts[nearest] += self._counts[place]
            self._keep(~idle)
            return Consolidation(before, len(self._owners))

    def meld(self, other: Self) -> None:
        """Take over the prototypes of another head of the same settings; it stays as it is.

        Raises:
            MeldError: another kind of head, other settings, another width; nothing was changed.
        """
        with melding(self, other):
            if other.width is None:
                return
            self.width = other.width
            places = positions(other.labels, self._book)
            theirs = zip(other._vectors.copy(), places[other._owners], other._counts.copy(), strict=True)
            for vector, owner, count in theirs:
                own = np.flatnonzero(self._owners == owner)
                if len(own) < self.capacity:
                    self._add(vector, int(owner), count)
                else:
                    self._move(self._nearest(vector, own), vector, count)

    def _prepare(self, vectors: FloatArray) -> FloatArray:
        if max(vectors.max(), -vectors.min()) > 1e150:
            raise InputError("Values beyond 1e150 cannot be compared: scale the vectors.")
        return unit_length(vectors) if self.normalise else vectors

    def _learn(self, vectors: FloatArray, classes: Positions) -> None:
        for vector, owner in zip(vectors, classes, strict=True):
            own = np.flatnonzero(self._owners == owner)
            winner = self._nearest(vector, np.arange(len(self._owners))) if len(own) else -1
            if winner >= 0 and self._owners[winner] == owner:
                self._move(winner, vector, 1.0)
            elif len(own) < self.capacity:
                self._add(vector, int(owner), 1.0)
            else:
                self._move(self._nearest(vector, own), vector, 1.0)

    def _nearest(self, vector: FloatArray, places: Positions) -> int:
        return int(places[((self._vectors[places] - vector) ** 2).sum(axis=1).argmin()])

    def _move(self, place: int, vector: FloatArray, count: float) -> None:
        self._counts[place] += count
        self._vectors[place] += (vector - self._vectors[place]) * (count / self._counts[place])

    def _add(self, vector: FloatArray, owner: int, count: float) -> None:
        self._vectors = np.vstack([self._vectors.reshape(-1, len(vector)), vector])
        self._owners, self._counts = np.append(self._owners, owner), np.append(self._counts, count)

    def _keep(self, kept: np.ndarray[Any, Any]) -> None:
        self._vectors, self._owners, self._counts = self._vectors[kept], self._owners[kept], self._counts[kept]

    def _scores(self, vectors: FloatArray) -> FloatArray:
        squared = (vectors**2).sum(axis=1)[:, None] - 2 * vectors @ self._vectors.T
        squared += (self._vectors**2).sum(axis=1)
        nearest = np.full((len(self._book), len(vectors)), np.inf)
        np.minimum.at(nearest, self._owners, np.maximum(squared, 0.0).T)
        scores: FloatArray = -np.sqrt(nearest.T)
        return scores

    def _answer(self, candidates: tuple[Label, ...], scores: FloatArray) -> Predictions:
        """Confidence: softmax of the distances, in units of a twelfth of the mean distance to them."""
        answers = super()._answer(candidates, scores)
        unit = np.maximum(-scores.mean(axis=1, keepdims=True) / 12, 1e-12)
        answers.confidence[:] = softmax(scores / unit).max(axis=1)
        return answers

    def _arrays(self) -> State:
        names = ("vectors", "owners", "counts")
        return {name: getattr(self, f"_{name}") for name in names} if self._book else {}

    def _restore(self, state: State) -> None:
        if not self._book:
            return
        self._vectors, self._owners, self._counts = (
            np.array(state[name]) for name in ("vectors", "owners", "counts")
        )
        if self._vectors.shape != (len(self._owners), self.width) or len(self._counts) != len(self._owners):
            raise ValueError("the prototypes do not fit each other")
        if set(self._owners.tolist()) != set(range(len(self._book))):
            raise ValueError("the prototypes do not fit the labels")
