"""What the closed-form heads share: a memory of exact sums, which learns, forgets and melds to the bit.

A subclass says how scores are read off the sums (`_fit` and `_read`), and, if it likes, which integer
features the quantised vectors become first (`_features`). Since the memory is a sum of integers, teaching
order, batching, melding and unlearning need no further thought: equal knowledge has equal bits, and one
SHA-256 says so.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np

from engram.heads.exact_sums import ExactSums
from engram.heads.head import Head, Positions
from engram.heads.melding import melding
from engram.heads.quantisation import Quantisation
from engram.inputs.vectors import positions
from engram.learner import FloatArray, Label, NotTaughtError, State

_ROWS = 4096  # features of a block fit in memory however many vectors come at once


class MomentHead(Head):
    """A head whose memory is a count and a sum for each class and, most often, a second moment over all.

    Args:
        step: size of one integer unit, in units of the (normalised) vector; no value may lie beyond
            2¹³ steps of zero. The default leaves room for ±2.
        normalise: scale every vector to unit length first.
    """

    exact = True
    memory: ClassVar[type[ExactSums]] = ExactSums

    def __init__(self, step: float = 2.0**-12, normalise: bool = True) -> None:
        super().__init__()
        self._quantise = Quantisation(step=step, normalise=normalise)
        self.sums: ExactSums | None = None
        self._tuned = True
        self._fitted = False

    def config(self) -> dict[str, Any]:
        return self._quantise.config()

    @property
    def counts(self) -> dict[Label, int]:
        """How many examples of each label are known."""
        with self._lock:
            counts = self.sums.counts if self.sums else ()
            return {label: int(count) for label, count in zip(self._book, counts, strict=True)}

    def forget(self, inputs: Any, targets: Any) -> None:
        """Unlearn examples that were taught; what remains is as if they had never come.

        Raises:
            NotTaughtError: a label that was never taught, or not this often; nothing was changed.
        """
        with self._lock:
            rows, labels = self._examples(inputs, targets)
            unknown = [label for label in labels if label not in self._book]
            if unknown or self.sums is None:
                raise NotTaughtError(f"Never taught: {(unknown or labels)[0]!r}. Known: {list(self._book)[:20]}.")
            left = self.sums.copy()
            left.subtract(self._features(rows), positions(labels, self._book))
            if (left.counts < 0).any() or left.sums[left.counts == 0].any():
                raise NotTaughtError("These are not examples that were taught with these labels.")
            self._take(left, self.labels)

    def meld(self, other: Self) -> None:
        """Take over all that another head of the same settings was taught; the other stays as it is.

        Raises:
            MeldError: another kind of head, other settings, another width; nothing was changed.
        """
        with melding(self, other):
            if other.sums is None:
                return
            whole = self.sums.copy() if self.sums else self.memory(other.sums.width)
            book = dict(self._book)
            whole.merge(other.sums, positions(other.labels, book))
            self.width = other.width
            self._take(whole, tuple(book))

    def rebuild(self) -> None:
        """Derive the read-out anew from the sums alone; between rebuilds parts of it may lag behind."""
        with self._lock:
            self._tuned = self._fitted = False
            self._settle()

    def _settle(self) -> None:
        """Tune what the last change of the sums left to be tuned, before it is used or changes again."""
        if not self._tuned and self.sums is not None:
            self._tune(self.sums)
        self._tuned = True

    def digest(self) -> str:
        """SHA-256 of the sums: equal exactly when the same examples are known, in whatever order."""
        with self._lock:
            return (self.sums or self.memory(0)).digest(self.labels)

    def _take(self, sums: ExactSums, labels: tuple[Label, ...]) -> None:
        """Make these sums the memory, without the classes that have no examples left."""
        kept = [label for label, count in zip(labels, sums.counts, strict=True) if count]
        for place in np.flatnonzero(sums.counts == 0)[::-1]:
            sums.drop(int(place), np.zeros(()))
        self._book = {label: i for i, label in enumerate(kept)}
        self.sums = sums if kept else None
        self.width = self.width if kept else None
        self._tuned = self._fitted = False

    def _prepare(self, vectors: FloatArray) -> FloatArray:
        return self._quantise(vectors)

    def _check(self, vectors: FloatArray, labels: list[Label]) -> None:
        if self.sums is not None:
            self.sums.check_capacity(len(vectors))

    def _learn(self, vectors: FloatArray, classes: Positions) -> None:
        self._settle()
        for start in range(0, len(vectors), _ROWS):
            features = self._features(vectors[start : start + _ROWS])
            if self.sums is None:
                self.sums = self.memory(features.shape[1])
            self.sums.add(features, classes[start : start + _ROWS])
        assert self.sums is not None
        self._fitted = False
        self._learned(self.sums)

    def _scores(self, vectors: FloatArray) -> FloatArray:
        assert self.sums is not None
        self._settle()
        if not self._fitted:
            self._fit(self.sums)
            self._fitted = True
        blocks = [vectors[start : start + _ROWS] for start in range(0, len(vectors), _ROWS)]
        return np.concatenate([self._read(self._features(block)) for block in blocks])

    def _arrays(self) -> State:
        return self.sums.state() if self.sums is not None else {}

    def _restore(self, state: State) -> None:
        if self._book:
            self.sums = self.memory.from_state(state)
            if len(self.sums.counts) != len(self._book):
                raise ValueError(f"{len(self._book)} labels, {len(self.sums.counts)} classes")
            self._tuned = False

    def _features(self, rows: FloatArray) -> FloatArray:
        """(N, M) integers up to 2¹³ from (N, D) integers."""
        return rows

    def _learned(self, sums: ExactSums) -> None:
        """Called after each learning, for what is tuned at times of its own."""

    def _tune(self, sums: ExactSums) -> None:
        """Choose anew what is tuned from the sums."""

    @abstractmethod
    def _fit(self, sums: ExactSums) -> None:
        """Derive from the sums what `_read` needs."""

    @abstractmethod
    def _read(self, features: FloatArray) -> FloatArray:
        """(N, C) scores from (N, M) features."""
