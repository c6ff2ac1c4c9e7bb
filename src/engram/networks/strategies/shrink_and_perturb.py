"""Shrink and perturb: before new data are learned, all weights are made smaller, and a little noise is added.

J. Ash, R. Adams, "On warm-starting neural network training", NeurIPS 2020 (arXiv 1910.08475).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from engram.learner import Consolidation, InputError
from engram.networks.module_copy import module_copy
from engram.networks.strategies.strategy import Strategy


class ShrinkAndPerturb(Strategy):
    """Where an experience begins, but the first, θ becomes λ θ + γ θ', with θ' drawn as at a network's birth, layer by
    layer; the optimiser starts anew.

    Args:
        shrink: λ.
        perturb: γ.

    >>> learner = ShrinkAndPerturb({"name": "perceptron", "inputs": [2], "hidden": [8]}, epochs=20)
    >>> learner.learn([1.0, 0.0], "left")
    >>> learner.consolidate().details
    {'due': True}
    """

    boundaries = True
    due: bool

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, shrink: float = 0.4, perturb: float = 0.1, **settings: Any
    ) -> None:
        super().__init__(network, **settings)
        if not 0 < shrink <= 1 or perturb < 0:
            raise InputError("shrink must be in (0, 1], perturb 0 or more.")
        self.shrink, self.perturb = shrink, perturb
        self.register(due=False)

    @torch.no_grad()
    def before_experience(self, inputs: Tensor, targets: Tensor) -> None:
        """Shrink and perturb, if an experience has ended."""
        if not self.due:
            return
        fresh = module_copy(self.model)
        for part in fresh.modules():
            reset = getattr(part, "reset_parameters", None)
            if callable(reset):
                reset()
        for parameter, drawn in zip(self.model.parameters(), fresh.parameters(), strict=True):
            if parameter.requires_grad:
                parameter.mul_(self.shrink).add_(drawn, alpha=self.perturb)
        self.optimizer = self.fresh_optimizer()
        self.due = False

    def consolidate(self) -> Consolidation:
        """What comes is another experience; until then the network answers as it is."""
        self.due = bool(self.labels)
        return Consolidation(details={"due": self.due})
