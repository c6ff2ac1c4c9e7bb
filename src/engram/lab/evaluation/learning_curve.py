"""Accuracy of a learner while a stream goes by."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from engram.lab.evaluation.measures import accuracy
from engram.learner import Label, Learner


@dataclass
class LearningCurve:
    """What a stream left: accuracy after each evaluated batch, and the time the learner itself took.

    Attributes:
        batches: number of batches taught before each evaluation.
        accuracies: accuracy on the test inputs at each of them, in [0, 1].
        predictions: the predicted labels at each of them.
        learn_seconds: wall-clock inside `learn`, all batches together.
        predict_seconds: wall-clock inside `predict`, all evaluations together.
    """

    batches: list[int] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    predictions: list[list[Label | None]] = field(default_factory=list)
    learn_seconds: float = 0.0
    predict_seconds: float = 0.0

    def at(self, batch: int) -> float:
        """Accuracy after a batch that was evaluated."""
        return self.accuracies[self.batches.index(batch)]


def learning_curve(
    learner: Learner,
    batches: Iterable[tuple[Any, Sequence[Label]]],
    test_inputs: Any,
    test_labels: Sequence[Label],
    evaluate: Callable[[int], bool] = lambda batch: True,
) -> LearningCurve:
    """Teach batch after batch; predict the test inputs after each batch that `evaluate` names, and the last.

    Predictions are compared as the best label, known or not: what is measured is recognition.

    Args:
        batches: (inputs, labels) pairs, taught in order.
        evaluate: told the number of batches taught so far (1, 2, …), says whether to look now.
    """
    curve = LearningCurve()
    taught = 0
    for inputs, labels in batches:
        start = time.perf_counter()
        learner.learn(inputs, labels)
        curve.learn_seconds += time.perf_counter() - start
        taught += 1
        if evaluate(taught):
            _look(curve, learner, taught, test_inputs, test_labels)
    if taught and (not curve.batches or curve.batches[-1] != taught):
        _look(curve, learner, taught, test_inputs, test_labels)
    return curve


def _look(curve: LearningCurve, learner: Learner, taught: int, inputs: Any, labels: Sequence[Label]) -> None:
    start = time.perf_counter()
    best = learner.predict(inputs).best
    curve.predict_seconds += time.perf_counter() - start
    curve.batches.append(taught)
    curve.accuracies.append(accuracy(best, labels))
    curve.predictions.append(best)
