"""Context-dependent gating (XdG): in every task another random set of units is switched off.

N. Masse, G. Grant, D. Freedman, "Alleviating catastrophic forgetting using context-dependent gating and synaptic
stabilization", PNAS 115, 2018 (arXiv 1802.01569).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from engram.learner import InputError
from engram.networks.strategies.networks import seeded
from engram.networks.strategies.task_masks import GatedNetwork, MaskPerTask
from engram.networks.structure.units import Units


class RandomGates(GatedNetwork):
    """A network of which a task uses a share of the units of each layer, drawn when the task before it ends."""

    def draw(self, gated: float) -> None:
        """Switch off a share of the units of each layer in the open task, at random."""
        for units in self.layers:
            gate = torch.zeros(units.size, device=self.outputs.weight.device)
            gate[torch.randperm(units.size)[: max(1, round((1 - gated) * units.size))]] = 1.0
            self.register_buffer(_of(units), gate)

    def open_gate(self, units: Units) -> Tensor:
        """1 for each unit that the open task uses, 0 for the others: (units,)."""
        return self.get_buffer(_of(units))


def _of(units: Units) -> str:
    return f"gate of {units.name}".replace(".", "/")


class ContextDependentGating(MaskPerTask):
    """Nothing protects the weights that the units of two tasks have in common: the fewer units a task uses, the less
    tasks disturb each other. The output rows of a task are its own.

    Args:
        gated: the share of the units of each layer that a task switches off.

    >>> learner = ContextDependentGating({"name": "perceptron", "inputs": [2], "hidden": [20]}, epochs=20)
    >>> learner.learn([[1.0, 0.0], [0.0, 1.0]], ["left", "right"])
    >>> learner.consolidate().details
    {'tasks': 1}
    """

    model: RandomGates

    def __init__(self, network: nn.Module | Mapping[str, Any], *, gated: float = 0.8, **settings: Any) -> None:
        if not 0 <= gated < 1:
            raise InputError(f"gated must be in [0, 1), not {gated!r}.")
        self.gated = gated
        super().__init__(network, **settings)

    def make_model(self, network: nn.Module, shape: Sequence[int], device: str, dtype: str) -> RandomGates:
        """A network under random gates."""
        model = RandomGates(network, shape, device, dtype)
        with seeded(self.seed):
            model.draw(self.gated)
        model.remember_gates()
        return model

    def close_task(self) -> None:
        """Keep the gates, and draw those of the next task."""
        self.model.close_gates()
        self.model.draw(self.gated)
