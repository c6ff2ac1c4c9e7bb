"""Memory aware synapses: a weight is held as much as the network's answers depend on it, whatever the labels are.

R. Aljundi et al., "Memory aware synapses: learning what (not) to forget", ECCV 2018 (arXiv 1711.09601).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engram.learner import Consolidation, InputError
from engram.networks.memory import Reservoir
from engram.networks.strategies.quadratic_penalty import fitted, held, trained
from engram.networks.strategies.strategy import Strategy
from engram.networks.structure.evaluation_mode import evaluating


class MemoryAwareSynapses(Strategy):
    """The loss gets a term λ Σ Ω (θ − θ*)². At each consolidation Ω grows by the mean, over examples of what arrived,
    of how steeply ‖f(x)‖² changes with θ, up or down, with f the logits.

    Args:
        strength: λ.
        samples: how many examples of each experience the slopes are measured on.

    >>> learner = MemoryAwareSynapses({"name": "perceptron", "inputs": [2], "hidden": [8]}, epochs=20)
    >>> learner.learn([1.0, 0.0], "left")
    >>> learner.consolidate().details
    {'measured on': 1}
    """

    boundaries = True
    importance: dict[str, Tensor]
    centre: dict[str, Tensor]
    recent: Reservoir

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, strength: float = 1.0, samples: int = 200, **settings: Any
    ) -> None:
        super().__init__(network, **settings)
        if strength < 0:
            raise InputError("strength must be 0 or more.")
        self.strength, self.samples = strength, samples
        self.register(importance={}, centre={}, recent=Reservoir(samples))

    def penalty(self) -> Tensor | None:
        """Quadratic in the distance of the weights that mattered from where they were; a scalar."""
        found = held(self.model, self.importance, self.centre)
        return None if found is None else self.strength * found

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Train on `inputs` (N, …) and `targets` (N,); keep a sample of the inputs until the next `consolidate`."""
        super().train(inputs, targets)
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator)))
        self.recent.add(rng, inputs.cpu().numpy())

    def consolidate(self) -> Consolidation:
        """Hold every weight where it is now, as much as the answers to what arrived depend on it."""
        count = len(self.recent)
        if count:
            slopes = self.slopes(torch.from_numpy(self.recent.columns[0][:count]).to(self.device))
            self.importance = {name: fitted(self.importance.get(name), slope) + slope for name, slope in slopes.items()}
            self.centre = {name: parameter.detach().clone() for name, parameter in trained(self.model)}
            self.recent = Reservoir(self.samples)
        return Consolidation(details={"measured on": count})

    def slopes(self, inputs: Tensor) -> dict[str, Tensor]:
        """The mean of ``|∂‖f(x)‖²/∂θ|`` over (N, …) inputs, of each parameter."""
        names, parameters = zip(*trained(self.model), strict=True)
        totals = [torch.zeros_like(parameter) for parameter in parameters]
        for one in inputs:
            with evaluating(self.model):
                length = self.model(one[None]).square().sum()
            found = torch.autograd.grad(length, parameters, materialize_grads=True)
            for total, slope in zip(totals, found, strict=True):
                total.add_(slope.abs())
        return {name: total / len(inputs) for name, total in zip(names, totals, strict=True)}
