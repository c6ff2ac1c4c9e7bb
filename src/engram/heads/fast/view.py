"""What a head knew at one moment: answers without a lock, while the head learns on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from engram.heads.fast.reading import Reading
from engram.heads.head import columns_of, log_softmax, nothing_known
from engram.heads.late_fusion import Evidence
from engram.heads.quantisation import Quantisation
from engram.inputs.vectors import as_vectors
from engram.learner import FloatArray, InputError, Label, Predictions


@dataclass(frozen=True, eq=False)
class HeadView:
    """A fast head at the moment of `FastHead.view()`; nothing in it changes, so any thread may ask at any time.

    The (D, D) arrays in it are the head's own, which the head replaces where it would have to change them; only class
    sums and counts are copied. So one is made after each change.

    Attributes:
        labels: the labels taught, in the order of their first arrival.
        width: D, or None where nothing said it yet.

    >>> from engram.heads.fast import FastHead
    >>> head = FastHead(step=0.01, normalise=False)
    >>> head.learn([[1.0, 0.1], [0.0, 1.0]], ["right", "up"])
    >>> view = head.view()
    >>> head.forget_label("right")
    >>> view.predict([0.9, 0.1]).best, head.predict([0.9, 0.1]).best
    (['right'], ['up'])
    """

    labels: tuple[Label, ...]
    width: int | None
    _quantise: Quantisation
    _reading: Reading | None

    def predict(self, inputs: Any, among: Iterable[Label] | None = None) -> Predictions:
        """What the head's `predict` would have answered at that moment, to the bit.

        Raises:
            InputError: wrong width, NaN or infinity.
            LabelError: `among` names a label that was not taught then.
        """
        rows, lost = self._quantise.asked(as_vectors(inputs, self.width))
        if self._reading is None:
            return nothing_known(len(rows))
        columns = columns_of(among, self._book)
        candidates = self.labels if columns is None else tuple(self.labels[i] for i in columns)
        return Predictions(candidates, *self._reading.answer(rows, columns)).refusing(lost)

    def evidence(self, answers: Predictions, alpha: float) -> Evidence:
        """What these answers, to N inputs and of all labels, say beside those of other senses.

        Args:
            alpha: the share of known things that may be refused.

        Raises:
            InputError: nothing was taught.
        """
        if self._reading is None:
            raise InputError("Nothing has been taught yet, so nothing is calibrated.")
        calibration = self._reading.calibration
        rates = calibration.novelty.rates(alpha)
        met = len(self.labels) / 2 if np.isfinite(rates.accepted) else 0.0  # strangers by whom it is told, see novelty
        accepted = (met * np.nan_to_num(rates.accepted) + 1.0) / (met + 2.0)  # Laplace's rule: never 0 nor 1
        temperature = calibration.expected or calibration.temperature
        return Evidence(self.labels, log_softmax(answers.scores / temperature),
                        calibration.novelty.shares(answers.familiarity, alpha), rates.refused, accepted, alpha)

    @cached_property
    def together(self) -> int:
        """How many inputs may be asked about at once and be answered, to the bit, as each would be alone."""
        return 1 if self._reading is None else self._reading.together

    def similarity(self, inputs: Any) -> FloatArray:
        """(N, N) cosines between features in the metric of the read-out: what is alike, by what was learned."""
        rows = self.quantise(inputs)
        return cosines(rows, rows if self._reading is None else self._reading.metric.apply(rows))

    def cosines(self, inputs: Any) -> FloatArray:
        """(N, C) cosines with the labels' means in the metric of the read-out, for comparing very many inputs.

        Raises:
            InputError: nothing was taught, wrong width, NaN or infinity.
        """
        rows, _ = self._quantise.asked(as_vectors(inputs, self.width))
        means = self.means
        moved = self.whiten(means)
        lengths = np.sqrt(np.maximum(np.einsum("nd,nd->n", rows, self.whiten(rows)), 1e-300))
        found: FloatArray = rows @ moved.T / lengths[:, None]
        found /= np.sqrt(np.maximum(np.einsum("cd,cd->c", means, moved), 1e-300))
        return found

    def quantise(self, inputs: Any) -> FloatArray:
        """(N, D) integers that the head would add for these features."""
        return self._quantise(as_vectors(inputs, self.width))

    @cached_property
    def counts(self) -> dict[Label, int]:
        """How many examples each label had."""
        counts = () if self._reading is None else self._reading.classes.counts.tolist()
        return {label: int(count) for label, count in zip(self.labels, counts, strict=True)}

    @cached_property
    def means(self) -> FloatArray:
        """(C, D) the mean of each label's examples, in quantised units."""
        if self._reading is None:
            return np.zeros((0, self.width or 0))
        means: FloatArray = self._reading.classes.sums * self._reading.classes.inverse[:, None]
        return means

    def whiten(self, rows: FloatArray) -> FloatArray:
        """(N, D) quantised rows times M = (κ + N) A: x M yᵀ counts in variances within classes.

        Raises:
            InputError: nothing was taught, so there is no metric.
        """
        if self._reading is None:
            raise InputError("Nothing has been taught yet, so there is no metric.")
        return self._reading.metric.apply(rows) * self._reading.metric.freedom

    @cached_property
    def _book(self) -> dict[Label, int]:
        return {label: i for i, label in enumerate(self.labels)}


def cosines(rows: FloatArray, moved: FloatArray) -> FloatArray:
    """(N, N) cosines between rows in a metric, from the rows and the rows times it."""
    gram = moved @ rows.T
    lengths = np.sqrt(np.maximum(np.diagonal(gram), 1e-300))
    similarity: FloatArray = gram / lengths[:, None] / lengths[None]
    return similarity
