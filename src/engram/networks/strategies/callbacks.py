"""Callbacks: objects that a strategy tells what happens while it learns. Any object will do that has one of the
methods `before_experience(strategy, inputs, targets)`, `after_step(strategy, loss)`, `after_epoch(strategy, epoch)`.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from engram.learner import InputError
from engram.networks.strategies.strategy import Strategy


class Log:
    """Hands the loss to whatever writes logs.

    Args:
        write: called with values by name and the number of the step, as `wandb.log` is; for a `SummaryWriter` of
            TensorBoard: `lambda values, step: writer.add_scalars("training", values, step)`.
        every: steps from one time to the next.

    Raises:
        InputError: `every` is below 1.

    >>> from engram.networks.strategies.naive import Naive
    >>> learner = Naive({"name": "perceptron", "inputs": [2], "hidden": [4]}, steps=4,
    ...                 callbacks=[Log(lambda values, step: print(step, *values), every=2)])
    >>> learner.learn([[1.0, 0.0], [0.0, 1.0]], ["left", "right"])
    2 loss
    4 loss
    """

    def __init__(self, write: Callable[[dict[str, float], int], object], every: int = 50) -> None:
        if every < 1:
            raise InputError(f"every must be at least 1, not {every}.")
        self.write, self.every = write, every

    def after_step(self, strategy: Strategy, loss: Tensor) -> None:
        """Called by the strategy, with the loss of the step."""
        if not strategy.steps_taken % self.every:
            self.write({"loss": float(loss)}, strategy.steps_taken)
