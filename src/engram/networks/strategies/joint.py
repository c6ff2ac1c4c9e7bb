"""Joint training: keep everything and train on all of it every time. The upper bound, at a cost that keeps growing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from engram.networks.strategies.kept import Kept
from engram.networks.strategies.strategy import Strategy


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
    kept: Kept
    renamed_parts: ClassVar[Mapping[str, str]] = {"": "kept:"}

    def __init__(self, network: nn.Module | Mapping[str, Any], **settings: Any) -> None:
        super().__init__(network, **settings)
        self.register(kept=Kept())

    @property
    def samples_stored(self) -> int:
        """Examples kept: all."""
        return len(self.kept)

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Train on all examples that ever arrived; `inputs` (N, …) and `targets` (N,) are the new ones."""
        everything = Kept(self.kept.inputs, self.kept.targets)
        everything.add(inputs, targets)
        super().train(everything.inputs, everything.targets)
        self.kept = everything

    def restored(self) -> None:
        """The examples are of this network's labels."""
        self.kept.require_fit(self.shape, len(self.labels), self.dtype)
