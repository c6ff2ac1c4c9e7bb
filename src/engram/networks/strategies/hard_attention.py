"""Hard attention to the task (HAT): each task learns which units it uses, and what they are made of is held.

J. Serrà, D. Surís, M. Miron, A. Karatzoglou, "Overcoming catastrophic forgetting with hard attention to the task",
ICML 2018 (arXiv 1801.01423).
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

FARTHEST = 6.0
"""Embeddings stay between minus this and this; the exponent of their compensation within 50 (section 2.4)."""


class AttendedNetwork(GatedNetwork):
    """A network whose units are gated by a = σ(s e), e being learned for the open task.

    Attributes:
        embeddings: e, a vector for each layer.
        scale: s; at `largest` a is all but 0 or 1.
    """

    def __init__(self, network: nn.Module, shape: Sequence[int], device: str, dtype: str, largest: float) -> None:
        super().__init__(network, shape, device, dtype)
        self.scale = largest
        self.embeddings = nn.ParameterDict({_of(units): torch.empty(units.size, device=device)
                                            for units in self.layers})

    def draw(self) -> None:
        """Embeddings for a new task: from a normal distribution."""
        for embedding in self.embeddings.values():
            nn.init.normal_(embedding)

    def open_gate(self, units: Units) -> Tensor:
        """a, (units,)."""
        return torch.sigmoid(self.scale * self.embeddings[_of(units)])

    def taken(self, units: Units) -> Tensor:
        """How much any closed task uses each unit, 0 to 1: (units,)."""
        rows = self.kept(units.weight)
        return rows.amax(dim=0) if len(rows) else rows.new_zeros(units.size)


def _of(units: Units) -> str:
    return f"of {units.name}".replace(".", "/")


class HardAttention(MaskPerTask):
    """s grows over the batches of each pass from 1/s_max to s_max, so that the gates become hard; of a weight's step,
    the smaller of how much former tasks use the two units that it connects is taken back. The loss gets a term
    c Σ a (1 − a') / Σ (1 − a'), with a' how much former tasks use a unit: the fewer units, the more is left.

    Where the network is no plain stack of layers, weights into a unit are held as much as the unit is used.

    Args:
        largest: s_max.
        sparsity: c.

    >>> learner = HardAttention({"name": "perceptron", "inputs": [2], "hidden": [20]}, epochs=20)
    >>> learner.learn([[1.0, 0.0], [0.0, 1.0]], ["left", "right"])
    >>> learner.consolidate().details
    {'tasks': 1}
    """

    model: AttendedNetwork

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, largest: float = 400.0, sparsity: float = 0.75, **settings: Any
    ) -> None:
        if largest <= 1 or sparsity < 0:
            raise InputError("largest must be above 1, sparsity 0 or more.")
        self.largest, self.sparsity = largest, sparsity
        super().__init__(network, **settings)
        self._done, self._last = 0, 0  # of the steps of a pass

    def make_model(self, network: nn.Module, shape: Sequence[int], device: str, dtype: str) -> AttendedNetwork:
        """A network under gates that are learned."""
        model = AttendedNetwork(network, shape, device, dtype, self.largest)
        with seeded(self.seed):
            model.draw()
        model.remember_gates()
        return model

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Train on `inputs` (N, …) and `targets` (N,), with s growing in each pass; it ends at its largest."""
        self._done, self._last = 0, -(-len(inputs) // self.batch) - 1
        super().train(inputs, targets)
        self.model.scale = self.largest

    def after_epoch(self, epoch: int) -> None:
        """The next pass begins with soft gates."""
        self._done = 0

    def training_step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """One step on `inputs` (N, …) and `targets` (N,) at this step's s."""
        least = 1 / self.largest
        self.model.scale = least + (self.largest - least) * min(self._done / max(1, self._last), 1.0)
        self._done += 1
        loss = super().training_step(inputs, targets)
        with torch.no_grad():
            for embedding in self.model.embeddings.values():
                embedding.clamp_(-FARTHEST, FARTHEST)
        return loss

    def penalty(self) -> Tensor:
        """The share of the units not yet taken that the open task uses, times c; a scalar."""
        free = torch.cat([1 - self.model.taken(units) for units in self.model.layers])
        used = torch.cat([self.model.open_gate(units) for units in self.model.layers])
        return self.sparsity * (used * free).sum() / free.sum().clamp(min=1e-6)

    def project(self, inputs: Tensor, targets: Tensor) -> None:
        """Undo what s does to the slopes of the embeddings: times s_max (cosh(s e) + 1) / (s (cosh(e) + 1))."""
        scale = self.model.scale
        for embedding in self.model.embeddings.values():
            if embedding.grad is not None:
                steep = torch.cosh((scale * embedding.detach()).clamp(-50, 50)) + 1
                embedding.grad *= self.largest / scale * steep / (torch.cosh(embedding.detach()) + 1)

    def held(self) -> dict[str, Tensor]:
        """Weights between units that former tasks use."""
        if not int(self.model.outputs.current):
            return {}
        layers = self.model.layers
        taken = [self.model.taken(units) for units in layers]
        held = {}
        for units, own in zip(layers, taken, strict=True):
            for name, parameter in units.parameters.items():
                part = own.reshape(-1, *[1] * (parameter.ndim - 1))
                if units.below is not None and parameter.ndim > 1:
                    below = taken[units.below].repeat_interleave(units.spread)
                    part = torch.minimum(part, below.reshape(-1, *[1] * (parameter.ndim - 2)))
                held[f"network.{name}"] = part
        return held

    def close_task(self) -> None:
        """Keep the gates at their hardest, and begin others."""
        self.model.close_gates()
        self.model.draw()
