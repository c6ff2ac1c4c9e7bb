"""Regenerative regularisation: a penalty on the distance from the initial weights (L2 Init).

S. Kumar, H. Marklund, B. Van Roy, "Maintaining plasticity in continual learning via regenerative regularization",
2023 (arXiv 2308.11958).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from engram.learner import InputError, Label
from engram.networks.strategies.quadratic_penalty import trained
from engram.networks.strategies.strategy import Strategy


class RegenerativeRegularisation(Strategy):
    """The loss gets a term λ Σ (θ − θ₀)², with θ₀ where the weight was drawn: a weight that nothing needs goes back
    there, ready to learn.

    Args:
        strength: λ.

    >>> learner = RegenerativeRegularisation({"name": "perceptron", "inputs": [2], "hidden": [8]}, epochs=20)
    >>> learner.learn([[1.0, 0.0], [0.0, 1.0]], ["left", "right"])
    >>> learner.penalty().item() > 0
    True
    """

    initial: dict[str, Tensor]

    def __init__(self, network: nn.Module | Mapping[str, Any], *, strength: float = 1e-3, **settings: Any) -> None:
        super().__init__(network, **settings)
        if strength < 0:
            raise InputError("strength must be 0 or more.")
        self.strength = strength
        self.register(initial={name: parameter.detach().clone() for name, parameter in trained(self.model)})

    def grow(self, labels: list[Label]) -> list[Label]:
        """New output rows are held where they were drawn."""
        new = super().grow(labels)
        for name, parameter in trained(self.model):
            known = self.initial[name]
            if len(known) < len(parameter):
                self.initial[name] = torch.cat([known, parameter.detach()[len(known):]])
        return new

    def penalty(self) -> Tensor:
        """Quadratic in the distance from the start; a scalar."""
        return self.strength * torch.stack([(parameter - self.initial[name]).square().sum()
                                            for name, parameter in trained(self.model)]).sum()
