"""Modern Hopfield recall: the input is drawn towards the stored patterns, which then say their labels.

H. Ramsauer et al., "Hopfield networks is all you need", ICLR 2021: the state ξ is updated to
X softmax(β Xᵀξ), which converges in few steps and can store exponentially many patterns in the dimension.
Patterns need not have one length here: half their squared norm is taken off the product, so that the
nearest one attracts most (the Euclidean similarity of B. Millidge et al., "Universal Hopfield networks", ICML
2022); for patterns of unit length that changes nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engram.heads.exemplars import ExemplarHead
from engram.heads.head import softmax
from engram.learner import FloatArray, InputError, Label, Predictions

_ROWS = 256


class Hopfield(ExemplarHead):
    """The score of a label is the attention that its patterns draw in the last step.

    Args:
        beta: inverse temperature β. Large: the single nearest pattern is recalled; small: a mean of many.
            The unit is the inverse squared length of the vectors.
        steps: updates of the state.
        capacity, normalise: as in `ExemplarHead`.

    >>> head = Hopfield()
    >>> head.learn([[0.0, 1.0], [1.0, 0.0]], ["up", "right"])
    >>> head.predict([0.3, 0.8]).labels
    ['up']
    """

    def __init__(
        self, beta: float = 100.0, steps: int = 2, capacity: int | None = 1000, normalise: bool = True
    ) -> None:
        super().__init__(capacity, normalise)
        if not beta > 0 or steps < 1:
            raise InputError(f"beta must be above 0 and steps 1 or more, not {beta!r} and {steps!r}.")
        self.beta, self.steps = beta, steps

    def config(self) -> dict[str, Any]:
        return {"beta": self.beta, "steps": self.steps, **super().config()}

    def recall(self, vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The state (N, D) after all steps but the last, and its attention (N, n) to what is held."""
        held, _ = self._examples_held()
        norms = 0.5 * (held**2).sum(axis=1)
        state = vectors
        attention = softmax(self.beta * (state @ held.T - norms))
        for _ in range(self.steps - 1):
            state = attention @ held
            attention = softmax(self.beta * (state @ held.T - norms))
        return state, attention

    def _scores(self, vectors: FloatArray) -> FloatArray:
        owners = self._examples_held()[1]
        starts = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])
        blocks = [
            np.add.reduceat(self.recall(vectors[i : i + _ROWS])[1], starts, axis=1)
            for i in range(0, len(vectors), _ROWS)
        ]
        return np.concatenate(blocks)

    def _answer(self, candidates: tuple[Label, ...], scores: FloatArray) -> Predictions:
        answers = super()._answer(candidates, scores)
        answers.confidence[:] = scores.max(axis=1) / np.maximum(scores.sum(axis=1), 1e-300)
        return answers
