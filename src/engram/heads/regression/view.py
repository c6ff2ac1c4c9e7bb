"""What a regressor knew at one moment: answers without a lock, while it learns on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from engram.heads.fast.view import HeadView
from engram.heads.head import columns_of, nothing_known
from engram.heads.regression.reading import NumberReading
from engram.inputs.vectors import as_vectors
from engram.learner import Label, Predictions


@dataclass(frozen=True, eq=False)
class NumberView(HeadView):
    """A regressor at the moment of `Regressor.view()`; nothing in it changes, so any thread may ask at any time.

    Attributes:
        labels: what the numbers are called, as one label.
        width: D, or None where nothing said it yet.
        total: how many examples there were.
        numbers: what answers come from; None before the first example.
        level: the chance of an interval.
    """

    total: int = 0
    numbers: NumberReading | None = None
    level: float = 0.9

    def predict(self, inputs: Any, among: Iterable[Label] | None = None) -> Predictions:
        """What the regressor's `predict` would have answered at that moment.

        Raises:
            InputError: wrong width, NaN or infinity.
            LabelError: `among` names something else than what the numbers are called.
        """
        rows, lost = self._quantise.asked(as_vectors(inputs, self.width))
        columns_of(among, self._book)
        if self.numbers is None:
            return nothing_known(len(rows))
        values, half, familiarity = self.numbers.answer(rows)
        return Predictions(
            self.labels[:1], familiarity[:, None].copy(), familiarity >= 0.0, np.full(len(rows), self.level),
            np.zeros(len(rows)), familiarity, values, np.stack([values - half, values + half], axis=2),
        ).refusing(lost)

    @cached_property
    def together(self) -> int:
        """How many inputs may be asked about at once and be answered, to the bit, as each would be alone."""
        return 1

    @cached_property
    def counts(self) -> dict[Label, int]:
        """How many examples there were."""
        return {self.labels[0]: self.total} if self.labels else {}
