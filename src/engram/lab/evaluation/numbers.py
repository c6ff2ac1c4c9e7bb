"""A learner of numbers on a stream: taught one experience after another, asked about all of them after each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engram.lab.streams.numbers import NumberExperience
from engram.learner import FloatArray, InputError, Learner


@dataclass(frozen=True, eq=False)
class NumberReport:
    """What was found.

    Attributes:
        names: of the T experiences.
        errors: (T + 1, T) root mean squared error on each test part before anything is taught, then after each
            experience; NaN where nothing was answered.
        inside: (T + 1, T) share of numbers that lie in their intervals; NaN where there are none.
        known: (T + 1, T) share of inputs that are known.
    """

    names: tuple[str, ...]
    errors: FloatArray
    inside: FloatArray
    known: FloatArray

    @property
    def final(self) -> float:
        """Mean error on all test parts at the end."""
        return float(self.errors[-1].mean())

    @property
    def forgotten(self) -> FloatArray:
        """(T,) by how much the error on each test part has grown since its own experience was taught."""
        own = np.array([self.errors[place + 1, place] for place in range(len(self.names))])
        grown: FloatArray = self.errors[-1] - own
        return grown


def evaluate_numbers(learner: Learner, stream: Sequence[NumberExperience], *, batch: int = 32) -> NumberReport:
    """Teach the learner every experience in turn, `batch` examples at a time; after each, ask about all test parts.

    Every answer counts, known or not. A learner with `boundaries` is told to consolidate where an experience ends.

    Raises:
        InputError: an empty stream.
        EngramError: what the learner refuses.

    >>> from engram.heads.regression import Regressor
    >>> from engram.lab.streams.numbers import from_arrays
    >>> line = from_arrays("line", np.linspace(0, 4, 40)[:, None], 2 * np.linspace(0, 4, 40))
    >>> bool(evaluate_numbers(Regressor(), [line]).final < 0.01)
    True
    """
    if not stream:
        raise InputError("A stream has one experience or more.")
    found = [_asked(learner, stream)]
    for experience in stream:
        for inputs, numbers in experience.batches(batch):
            learner.learn(inputs, numbers)
        if learner.boundaries:
            learner.consolidate()
        found.append(_asked(learner, stream))
    errors, inside, known = np.moveaxis(np.array(found), 2, 0)
    return NumberReport(tuple(one.name for one in stream), errors, inside, known)


def _asked(learner: Learner, stream: Sequence[NumberExperience]) -> list[tuple[float, float, float]]:
    """Error, share inside the intervals and share known, for each test part."""
    rows = []
    for experience in stream:
        answers, truth = learner.predict(experience.test_inputs), experience.test_numbers
        if answers.values is None:
            rows.append((float("nan"), float("nan"), 0.0))
            continue
        between = answers.intervals
        inside = float("nan")
        if between is not None:
            inside = float(((between[..., 0] <= truth) & (truth <= between[..., 1])).mean())
        rows.append((rmse(answers.values, truth), inside, float(answers.known.mean())))
    return rows


def rmse(values: FloatArray, truth: FloatArray) -> float:
    """Root mean squared error of (N, K) numbers.

    >>> rmse(np.array([[1.0], [3.0]]), np.array([[1.0], [1.0]]))
    1.4142135623730951
    """
    return float(np.sqrt(np.square(values - truth).mean()))
