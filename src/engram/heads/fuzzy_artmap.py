"""Fuzzy ARTMAP: boxes around what resonates, drawn in one shot.

G. A. Carpenter, S. Grossberg, N. Markuzon, J. H. Reynolds, D. B. Rosen, "Fuzzy ARTMAP: a neural network
architecture for incremental supervised learning of analog multidimensional maps", IEEE Transactions on
Neural Networks 3(5), 1992: complement coding, fast learning, match tracking.

With complement coding, a category's weight w = (u, 1 − v) is the box [u, v], and fast learning replaces it
by the smallest box that holds the new input too. The paper's inputs lie in [0, 1]; here the boxes are kept
in the inputs' own units and scaled by the range seen so far whenever they are compared, so that no range
need be declared and a wider one costs no relearning.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from engram.heads.confidence import by_distance
from engram.heads.head import Head, Positions
from engram.heads.melding import melding
from engram.inputs.vectors import positions, unit_length
from engram.learner import FloatArray, InputError, Label, Predictions, State


class FuzzyARTMAP(Head):
    """The score of a label is the choice function `|I ∧ w| / (α + |w|)` of its best category.

    Args:
        vigilance: baseline ρ in [0, 1]: how much of an input its category must match. Larger: smaller boxes
            and more of them; 0 is the paper's most general.
        choice: α > 0, which prefers small boxes among those that hold the input.
        tracking: how far above the match of a wrongly chosen category the vigilance is raised.
        capacity: categories of one label; once it has so many, the best fitting one grows instead.
        normalise: scale every vector to unit length first.

    >>> head = FuzzyARTMAP()
    >>> head.learn([[0.0, 1.0], [0.1, 0.9], [1.0, 0.1]], ["up", "up", "right"])
    >>> head.predict([[0.05, 1.0], [0.9, 0.2]]).labels
    ['up', 'right']
    """

    def __init__(
        self,
        vigilance: float = 0.7,
        choice: float = 0.001,
        tracking: float = 1e-6,
        capacity: int = 200,
        normalise: bool = True,
    ) -> None:
        super().__init__()
        if not (0 <= vigilance <= 1 and choice > 0 and tracking > 0 and capacity >= 1):
            raise InputError("vigilance must be in [0, 1], choice and tracking above 0, capacity 1 or more.")
        self.vigilance, self.choice, self.tracking = vigilance, choice, tracking
        self.capacity, self.normalise = capacity, normalise
        self._low: FloatArray = np.empty(0)
        self._high: FloatArray = np.empty(0)
        self._forget_all(0)

    def config(self) -> dict[str, Any]:
        names = ("vigilance", "choice", "tracking", "capacity", "normalise")
        return {name: getattr(self, name) for name in names}

    @property
    def memory_limit(self) -> int:
        """Bytes that the labels known so far can come to hold."""
        width = self.width or 0
        return len(self._book) * self.capacity * (16 * width + 8) + 16 * width

    def meld(self, other: Self) -> None:
        """Take over the categories of another head of the same settings; it stays as it is.

        Raises:
            MeldError: another kind of head, other settings, another width; nothing was changed.
        """
        with melding(self, other):
            if other.width is None:
                return
            if self.width is None:
                self._forget_all(other.width)
            self.width = other.width
            self._low, self._high = np.minimum(self._low, other._low), np.maximum(self._high, other._high)
            places = positions(other.labels, self._book)
            boxes = zip(other._lower.copy(), other._upper.copy(), places[other._owners], strict=True)
            for lower, upper, owner in boxes:
                self._place(lower, upper, int(owner))

    def _forget_all(self, width: int) -> None:
        self._lower, self._upper = np.empty((0, width)), np.empty((0, width))
        self._owners = np.empty(0, np.intp)
        self._low, self._high = np.full(width, np.inf), np.full(width, -np.inf)

    def _prepare(self, vectors: FloatArray) -> FloatArray:
        if max(vectors.max(), -vectors.min()) > 1e150:
            raise InputError("Values beyond 1e150 leave no room for their range: scale the vectors.")
        return unit_length(vectors) if self.normalise else vectors

    def _learn(self, vectors: FloatArray, classes: Positions) -> None:
        if not len(self._owners):
            self._forget_all(vectors.shape[1])
        for vector, owner in zip(vectors, classes, strict=True):
            self._low, self._high = np.minimum(self._low, vector), np.maximum(self._high, vector)
            self._resonate(vector, int(owner))

    def _resonate(self, vector: FloatArray, owner: int) -> None:
        """Search the categories by choice; learn in the first of the right label that matches well enough."""
        width = len(vector)
        match, chosen = self._match_and_choice(vector[None])
        vigilance = self.vigilance
        for place in np.argsort(-chosen[0], kind="stable"):
            if match[0, place] / width < vigilance:
                continue
            if self._owners[place] == owner:
                self._grow(place, vector, vector)
                return
            vigilance = match[0, place] / width + self.tracking  # match tracking
        self._place(vector, vector, owner)

    def _place(self, lower: FloatArray, upper: FloatArray, owner: int) -> None:
        """A new category, or, where the label has no room, the one that grows least to hold it."""
        own = np.flatnonzero(self._owners == owner)
        if len(own) < self.capacity:
            self._lower, self._upper = np.vstack([self._lower, lower]), np.vstack([self._upper, upper])
            self._owners = np.append(self._owners, owner)
            return
        inverse = self._inverse_span()
        stretch = np.maximum(self._lower[own] - lower, 0) + np.maximum(upper - self._upper[own], 0)
        self._grow(int(own[(stretch @ inverse).argmin()]), lower, upper)

    def _grow(self, place: int, lower: FloatArray, upper: FloatArray) -> None:
        self._lower[place] = np.minimum(self._lower[place], lower)
        self._upper[place] = np.maximum(self._upper[place], upper)

    def _inverse_span(self) -> FloatArray:
        """1 / range of each value; 0 for a value that has not varied yet, which cannot tell anything apart."""
        span = self._high - self._low
        inverse: FloatArray = np.divide(1.0, span, out=np.zeros_like(span), where=span > 1e-12)
        return inverse

    def _match_and_choice(self, vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """|I ∧ w| and |I ∧ w| / (α + |w|), (N, P): D less the extent of the box with and without the input."""
        width, inverse = vectors.shape[1], self._inverse_span()
        union = np.empty((len(vectors), len(self._owners)))
        for extent, vector in zip(union, vectors, strict=True):
            box = np.maximum(self._upper, vector)
            box -= np.minimum(self._lower, vector)
            extent[:] = box @ inverse
        match = width - union
        return match, match / (self.choice + width - (self._upper - self._lower) @ inverse)

    def _scores(self, vectors: FloatArray) -> FloatArray:
        chosen = self._match_and_choice(vectors)[1]
        best = np.full((len(self._book), len(vectors)), -np.inf)
        np.maximum.at(best, self._owners, chosen.T)
        scores: FloatArray = best.T
        return scores

    def _answer(self, candidates: tuple[Label, ...], scores: FloatArray) -> Predictions:
        answers = super()._answer(candidates, scores)
        answers.confidence[:] = by_distance(1.0 - scores)
        return answers

    def _arrays(self) -> State:
        names = ("lower", "upper", "owners", "low", "high")
        return {name: getattr(self, f"_{name}") for name in names} if self._book else {}

    def _restore(self, state: State) -> None:
        if not self._book:
            return
        self._lower, self._upper, self._owners, self._low, self._high = (
            np.array(state[name]) for name in ("lower", "upper", "owners", "low", "high")
        )
        if self._lower.shape != self._upper.shape or self._lower.shape != (len(self._owners), self.width):
            raise ValueError("the boxes do not fit each other")
        if set(self._owners.tolist()) != set(range(len(self._book))) or len(self._low) != self.width:
            raise ValueError("the boxes do not fit the labels")
