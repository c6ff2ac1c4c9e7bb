"""Experience replay: a few examples are kept, and mixed into every batch of new ones.

A. Chaudhry et al., "On tiny episodic memories in continual learning", arXiv 1902.10486, 2019; the memory is a
reservoir (Vitter 1985) or a class-balancing one (Chrysakis, Moens 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from engram.learner import InputError
from engram.networks.memory import Buffer, ClassBalanced, Reservoir
from engram.networks.strategies.kept import Kept
from engram.networks.strategies.strategy import Strategy

RULES: dict[str, type[Buffer]] = {"reservoir": Reservoir, "class-balanced": ClassBalanced}


class ExperienceReplay(Strategy):
    """Each step sees a batch of what arrives and `replayed` examples from memory, all with the same weight.

    What arrives is offered to the memory after it was learned: nothing is replayed beside itself.

    Args:
        capacity: examples kept.
        replayed: examples from memory in a step; None for as many as there are new ones.
        keep: which examples the memory keeps, one of `RULES`.

    >>> import numpy as np
    >>> learner = ExperienceReplay({"name": "perceptron", "inputs": [2], "hidden": [8]}, capacity=10, epochs=50,
    ...                            learning_rate=0.01)
    >>> learner.learn([1.0, 0.0], "left")
    >>> learner.learn([0.0, 1.0], "right")
    >>> learner.predict(np.eye(2)).labels
    ['left', 'right']
    """

    memory: Buffer
    renamed_parts: ClassVar[Mapping[str, str]] = {"": "memory:"}

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, capacity: int = 200, replayed: int | None = None,
        keep: Literal["reservoir", "class-balanced"] = "reservoir", **settings: Any,
    ) -> None:
        super().__init__(network, **settings)
        if keep not in RULES or (replayed is not None and replayed < 1):
            raise InputError(f"keep must be one of {', '.join(RULES)}, replayed 1 or more, or None.")
        self.capacity, self.replayed, self.keep = capacity, replayed, keep
        self.register(memory=RULES[keep](capacity))
        self._rng = np.random.default_rng(self.seed)

    @property
    def samples_stored(self) -> int:
        """Examples kept."""
        return len(self.memory)

    def before_experience(self, inputs: Tensor, targets: Tensor) -> None:
        """What is random in the memory follows from the strategy's generator."""
        self._rng = np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator)))

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Train on `inputs` (N, …) and `targets` (N,), then offer them to the memory."""
        super().train(inputs, targets)
        self.remember(inputs, targets)

    def remember(self, inputs: Tensor, targets: Tensor) -> None:
        """Offer `inputs` (N, …) and `targets` (N,), which were learned, to the memory."""
        self.memory.add(self._rng, inputs.cpu().numpy(), targets.cpu().numpy())

    def training_step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """One training step on new examples, `inputs` (N, …) and `targets` (N,), and some kept ones."""
        return super().training_step(*self.seen(inputs, targets))

    def seen(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What a step sees: the new examples, `inputs` (N, …) and `targets` (N,), and kept ones behind them."""
        if not self.memory.labels:
            return inputs, targets
        old_inputs, old_targets = self.drawn(len(inputs))
        return torch.cat([inputs, old_inputs]), torch.cat([targets, old_targets])

    def drawn(self, count: int) -> tuple[Tensor, Tensor]:
        """Kept inputs and targets, `replayed` of them, or `count`; of examples that count differently, as many more of
        those that count more."""
        inputs, targets, weights = self.memory.draw(self.replayed or count, self._rng)
        if (weights != weights[0]).any():
            rows = self._rng.choice(len(weights), len(weights), p=weights / weights.sum(dtype=np.float64))
            inputs, targets = inputs[rows], targets[rows]
        return torch.from_numpy(inputs).to(self.device), torch.from_numpy(targets).to(self.device)

    def restored(self) -> None:
        """The memory holds examples of this network's labels."""
        if len(self.memory):
            kept = (torch.from_numpy(column[: len(self.memory)]) for column in self.memory.columns)
            Kept(*kept).require_fit(self.shape, len(self.labels), self.dtype)
