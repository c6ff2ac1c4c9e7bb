"""How a head answers what it was taught, each example as if it had never been: in closed form, nothing relearned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engram.heads.head import Positions
from engram.heads.reading import Reading
from engram.learner import FloatArray, Label


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Leave-one-out answers on the examples that calibrate a head: up to 64 of each label, 640 in all.

    Labels of a single example have none, and with very many labels not every one is in it.

    Attributes:
        labels: the labels known, in the order of their first arrival.
        truth: (M,) the label of each example, as its place in `labels`.
        best: (M,) the label that it gets when left out, likewise.
        known: (M,) bool, whether it would be known when left out.
        confidence: (M,) in [0, 1].

    >>> from engram.heads.fast import FastHead
    >>> head = FastHead(normalise=False, step=0.01)
    >>> head.learn([[1.0, 0.1], [0.9, 0.0], [0.0, 0.9], [0.2, 1.0]], ["right", "right", "up", "up"])
    >>> left = head.left_out()
    >>> left.confusion().tolist(), left.accuracy()
    ([[2, 0], [0, 2]], {'right': 1.0, 'up': 1.0})
    """

    labels: tuple[Label, ...]
    truth: Positions
    best: Positions
    known: npt.NDArray[np.bool_]
    confidence: FloatArray

    @classmethod
    def of(
        cls, labels: tuple[Label, ...], reading: Reading, rows: FloatArray, truth: Positions, prototypes: Positions
    ) -> LeftOut:
        """From (M, D) taught rows, their classes, and the prototypes that hold them."""
        if not len(rows):
            return cls(labels, truth, truth, np.zeros(0, bool), np.zeros(0))
        answer = reading.answer_without(rows, truth, prototypes)
        return cls(labels, truth, answer.scores.argmax(axis=1), answer.known, answer.confidence)

    @classmethod
    def none(cls) -> LeftOut:
        """Of a head that was taught nothing."""
        nothing = np.zeros(0, np.intp)
        return cls((), nothing, nothing, np.zeros(0, bool), np.zeros(0))

    def confusion(self) -> npt.NDArray[np.int64]:
        """(C, C) how many examples of each label (rows) get which (columns)."""
        size = len(self.labels)
        return np.bincount(self.truth * size + self.best, minlength=size * size).reshape(size, size)

    def accuracy(self) -> dict[Label, float]:
        """For each label with examples in here, the share of them that get it right."""
        counts = np.bincount(self.truth, minlength=len(self.labels))
        right = np.bincount(self.truth[self.truth == self.best], minlength=len(self.labels))
        return {label: float(right[i] / counts[i]) for i, label in enumerate(self.labels) if counts[i]}
