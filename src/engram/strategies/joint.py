"""Joint training: keep everything and train on all of it every time. The upper bound, at a cost that keeps growing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from engram.learner import State
from engram.strategies.base import Strategy


class Joint(Strategy):
    """Every `learn` goes on training the network on all examples that ever arrived, `epochs` times each.

    >>> import numpy as np
    >>> learner = Joint({"name": "perceptron", "inputs": [2], "hidden": [8]}, epochs=50, learning_rate=0.01)
    >>> learner.learn([1.0, 0.0], "left")
    >>> learner.learn([0.0, 1.0], "right")
    >>> learner.predict(np.eye(2)).labels
    ['left', 'right']
    """

    memory_limit = math.inf
    _inputs: Tensor | None = None
    _targets: Tensor | None = None

    @property
    def samples_stored(self) -> int:
        """Examples kept: all."""
        return 0 if self._targets is None else len(self._targets)

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """The loop over everything that ever arrived."""
        if self._inputs is not None and self._targets is not None:
            inputs, targets = torch.cat([self._inputs, inputs]), torch.cat([self._targets, targets])
        super().train(inputs, targets)
        self._inputs, self._targets = inputs, targets

    def remembered(self) -> State:
        """All examples."""
        if self._inputs is None or self._targets is None:
            return {}
        return {"inputs": self._inputs.cpu().numpy().copy(), "targets": self._targets.cpu().numpy().copy()}

    def recall(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take back all examples."""
        if state:
            self._inputs = torch.from_numpy(state["inputs"]).to(self.device)
            self._targets = torch.from_numpy(state["targets"]).to(self.device)
