"""Dark experience replay: kept examples come back with the answers that the network gave when they were kept.

P. Buzzega et al., "Dark experience for general continual learning: a strong, simple baseline", NeurIPS 2020
(arXiv 2004.07211).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.learner import InputError
from engram.networks.memory import Reservoir
from engram.networks.strategies.kept import Kept
from engram.networks.strategies.strategy import Strategy


class DarkExperienceReplay(Strategy):
    """The loss gets α · the mean squared distance of the logits of kept examples from those they were kept with, and
    β · the cross-entropy of other kept examples (DER++; with β = 0, DER).

    Every example that a step sees is offered to the reservoir with its logits of that step. A label that comes later
    than an example gets the smallest of these: it was as little meant as the least likely one. (In the paper, outputs
    for all labels are there from the beginning, and learn to be small as long as they are not needed.)

    Args:
        capacity: examples kept.
        replayed: of them in a step, for each of the two terms; None for as many as there are new ones.
        alpha, beta: the weights.

    >>> learner = DarkExperienceReplay({"name": "perceptron", "inputs": [2], "hidden": [8]}, capacity=10)
    >>> learner.learn([[1.0, 0.0], [0.0, 1.0]], ["left", "right"])
    >>> learner.samples_stored
    2
    """

    memory: Reservoir

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, capacity: int = 200, replayed: int | None = None,
        alpha: float = 0.5, beta: float = 0.5, **settings: Any,
    ) -> None:
        super().__init__(network, **settings)
        if min(alpha, beta) < 0 or (replayed is not None and replayed < 1):
            raise InputError("alpha and beta must be 0 or more, replayed 1 or more, or None.")
        self.capacity, self.replayed, self.alpha, self.beta = capacity, replayed, alpha, beta
        self.register(memory=Reservoir(capacity))
        self._rng = np.random.default_rng(self.seed)

    @property
    def samples_stored(self) -> int:
        """Examples kept."""
        return len(self.memory)

    def before_experience(self, inputs: Tensor, targets: Tensor) -> None:
        """Kept logits get columns for the labels that are new."""
        self._rng = np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator)))
        if self.memory.columns:
            kept_inputs, kept_targets, logits = self.memory.columns
            least = np.fmin.reduce(logits, axis=1, keepdims=True)
            wider = np.repeat(least, len(self.labels), axis=1)
            wider[:, : logits.shape[1]] = logits
            self.memory.columns = (kept_inputs, kept_targets, wider)

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of `inputs` (N, …) with `targets` (N,), and both terms of kept examples, a scalar."""
        logits = self.model(inputs)
        loss = functional.cross_entropy(self.competing(logits, targets), targets)
        if len(self.memory):
            loss = loss + self.alpha * self.distance(*self._drawn(len(inputs)))
            if self.beta:
                old, theirs, _ = self._drawn(len(inputs))
                loss = loss + self.beta * functional.cross_entropy(self.competing(self.model(old), theirs), theirs)
        if logits.requires_grad:
            self._offered = inputs, targets, logits.detach()
        return loss

    def distance(self, inputs: Tensor, targets: Tensor, wanted: Tensor) -> Tensor:
        """The mean squared distance of the logits of (N, …) inputs from `wanted`, (N, C), where that is not NaN."""
        known = ~wanted.isnan()
        logits: Tensor = self.model(inputs)
        return (logits[known] - wanted[known]).square().mean()

    def training_step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """One step on `inputs` (N, …) and `targets` (N,), which are then offered to the memory."""
        loss = super().training_step(inputs, targets)
        self.memory.add(self._rng, *(column.cpu().numpy() for column in self._offered))
        return loss

    def _drawn(self, count: int) -> tuple[Tensor, ...]:
        columns = self.memory.rows(self.memory.places(self.replayed or count, self._rng))
        return tuple(torch.from_numpy(column).to(self.device) for column in columns)

    def restored(self) -> None:
        """The memory holds examples of this network's labels."""
        if len(self.memory):
            inputs, targets, logits = (torch.from_numpy(column[: len(self.memory)]) for column in self.memory.columns)
            Kept(inputs, targets).require_fit(self.shape, len(self.labels), self.dtype)
            if logits.ndim != 2 or logits.shape[1] > len(self.labels):
                raise ValueError(f"logits of the shape {tuple(logits.shape)} for {len(self.labels)} labels")
