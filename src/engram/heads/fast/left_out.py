"""How a head answers what it was taught, each example as if it had never been: in closed form, nothing relearned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engram.heads.fast.reading import Answer
from engram.heads.fast.sample import Sample
from engram.heads.head import Positions, softmax
from engram.learner import FloatArray, Label


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Left-out answers on the examples that a head judges itself by: up to 64 of each label, 640 in all.

    Of a group of near-duplicates one example is asked, with all of them left out. Labels of a single group have none,
    and with very many labels not every one is in it.

    Attributes:
        labels: the labels known, in the order of their first arrival.
        truth: (M,) the label of each example, as its place in `labels`.
        best: (M,) the label that it gets when left out, likewise.
        known: (M,) bool, whether it would be known when left out.
        confidence: (M,) in [0, 1].
        probabilities: (M, C) of every label, in [0, 1].
        rows: (M, D) the examples, quantised.

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
    probabilities: FloatArray
    rows: FloatArray

    @classmethod
    def of(cls, labels: tuple[Label, ...], sample: Sample, answer: Answer, temperature: float) -> LeftOut:
        """From the sample and how it was answered."""
        some = np.flatnonzero(np.isfinite(answer.scores[np.arange(len(sample.truth)), sample.truth]))
        scores = np.where(np.isfinite(answer.scores), answer.scores, -1e300)[some]
        return cls(labels, sample.truth[some], scores.argmax(axis=1), answer.known[some], answer.confidence[some],
                   softmax(scores / temperature), sample.rows[some])

    @classmethod
    def none(cls) -> LeftOut:
        """Of a head that was taught nothing."""
        nothing = np.zeros(0, np.intp)
        return cls((), nothing, nothing, np.zeros(0, bool), np.zeros(0), np.zeros((0, 0)), np.zeros((0, 0)))

    def confusion(self) -> npt.NDArray[np.int64]:
        """(C, C) how many examples of each label (rows) get which (columns)."""
        size = len(self.labels)
        return np.bincount(self.truth * size + self.best, minlength=size * size).reshape(size, size)

    def accuracy(self) -> dict[Label, float]:
        """For each label with examples in here, the share of them that get it right."""
        counts = np.bincount(self.truth, minlength=len(self.labels))
        right = np.bincount(self.truth[self.truth == self.best], minlength=len(self.labels))
        return {label: float(right[i] / counts[i]) for i, label in enumerate(self.labels) if counts[i]}
