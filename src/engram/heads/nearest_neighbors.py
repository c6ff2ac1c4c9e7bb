"""k nearest neighbours: the examples most like the input vote.

T. Cover, P. Hart, "Nearest neighbor pattern classification", IEEE Transactions on Information Theory 13(1),
1967; weighted votes: S. A. Dudani, "The distance-weighted k-nearest-neighbor rule", IEEE SMC 6(4), 1976.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engram.heads.exemplars import ExemplarHead
from engram.learner import FloatArray, InputError, Label, Predictions

_ROWS = 256


class NearestNeighbors(ExemplarHead):
    """The score of a label is its share of the votes of the k nearest examples (Euclidean).

    Labels that draw level, those without any vote among them, stand in the order of their nearest example.

    Args:
        k: how many neighbours vote; fewer while fewer are held.
        weights: "uniform", or "distance": a vote counts as the inverse of its distance.
        capacity, normalise: as in `ExemplarHead`.

    >>> head = NearestNeighbors(k=1)
    >>> head.learn([[0.0, 1.0], [1.0, 0.0]], ["up", "right"])
    >>> head.predict([0.1, 0.8]).labels
    ['up']
    """

    def __init__(
        self, k: int = 5, weights: str = "uniform", capacity: int | None = 1000, normalise: bool = True
    ) -> None:
        super().__init__(capacity, normalise)
        if k < 1 or weights not in ("uniform", "distance"):
            raise InputError(f"k must be 1 or more and weights 'uniform' or 'distance', not {k!r} and {weights!r}.")
        self.k, self.weights = k, weights

    def config(self) -> dict[str, Any]:
        return {"k": self.k, "weights": self.weights, **super().config()}

    def _scores(self, vectors: FloatArray) -> FloatArray:
        blocks = [self._votes(vectors[i : i + _ROWS]) for i in range(0, len(vectors), _ROWS)]
        return np.concatenate(blocks)

    def _votes(self, vectors: FloatArray) -> FloatArray:
        held, owners = self._examples_held()
        distances = _distances(vectors, held)
        k = min(self.k, len(held))
        nearest = np.argpartition(distances, k - 1, axis=1)[:, :k]
        votes = np.ones(nearest.shape)
        if self.weights == "distance":
            near = np.take_along_axis(distances, nearest, axis=1)
            exact = near.min(axis=1, keepdims=True) <= 1e-12
            votes = np.where(exact, near <= 1e-12, 1.0 / np.maximum(near, 1e-12))
        scores = np.zeros((len(vectors), len(self._book)))
        np.add.at(scores, (np.arange(len(vectors))[:, None], owners[nearest]), votes)
        starts = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])
        own = np.minimum.reduceat(distances, starts, axis=1)
        ranks = own.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
        scores /= scores.sum(axis=1, keepdims=True)
        scores -= 1e-9 * ranks / scores.shape[1]
        return scores

    def _answer(self, candidates: tuple[Label, ...], scores: FloatArray) -> Predictions:
        answers = super()._answer(candidates, scores)
        total = np.maximum(scores, 0).sum(axis=1)
        top = np.maximum(scores.max(axis=1), 0)
        answers.confidence[:] = np.where(total > 0, top / np.maximum(total, 1e-12), 1.0 / len(candidates))
        return answers


def _distances(vectors: FloatArray, held: FloatArray) -> FloatArray:
    squared = (vectors**2).sum(axis=1)[:, None] - 2 * vectors @ held.T + (held**2).sum(axis=1)
    distances: FloatArray = np.sqrt(np.maximum(squared, 0.0))
    return distances
