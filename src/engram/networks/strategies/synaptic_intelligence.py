"""Synaptic intelligence: a weight is held as much as it contributed to the fall of the loss on its way.

F. Zenke, B. Poole, S. Ganguli, "Continual learning through synaptic intelligence", ICML 2017 (arXiv 1703.04200).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from engram.learner import Consolidation, InputError
from engram.networks.strategies.quadratic_penalty import fitted, held, trained
from engram.networks.strategies.strategy import Strategy


class SynapticIntelligence(Strategy):
    """The loss gets a term c Σ Ω (θ − θ*)², θ* being where the network was at the last consolidation.

    In each step a weight's share in the fall of the loss is −g Δθ, with g the gradient of the task's loss alone; ω is
    the sum of these since the last consolidation, Δ the way the weight went in all. There, Ω grows by
    max(ω, 0) / (Δ² + ξ).

    Args:
        strength: c.
        damping: ξ, above 0.

    >>> learner = SynapticIntelligence({"name": "perceptron", "inputs": [2], "hidden": [8]}, epochs=20)
    >>> learner.learn([[1.0, 0.0], [0.0, 1.0]], ["left", "right"])
    >>> learner.consolidate().details["held"]
    42
    """

    boundaries = True
    path: dict[str, Tensor]
    importance: dict[str, Tensor]
    centre: dict[str, Tensor]

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, strength: float = 0.1, damping: float = 0.1, **settings: Any
    ) -> None:
        super().__init__(network, **settings)
        if strength < 0 or damping <= 0:
            raise InputError("strength must be 0 or more, damping above 0.")
        self.strength, self.damping = strength, damping
        start = {name: parameter.detach().clone() for name, parameter in self.measured()}
        self.register(path={}, importance={}, centre=start)
        self._slopes: dict[str, Tensor] = {}

    def measured(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters that are held, by name: all that train."""
        return trained(self.model)

    def penalty(self) -> Tensor | None:
        """Quadratic in the distance of the weights that mattered from where they were; a scalar."""
        found = held(self.model, self.importance, self.centre)
        return None if found is None else self.strength * found

    def project(self, inputs: Tensor, targets: Tensor) -> None:
        """Take note of the gradients of the task's loss; they stay as they are."""
        self._slopes = {}
        for name, parameter in self.measured():
            if parameter.grad is not None:
                slope = parameter.grad.clone()
                if name in self.importance:
                    rows = slice(len(self.importance[name]))
                    pull = self.importance[name] * (parameter.detach()[rows] - self.centre[name][rows])
                    slope[rows] -= 2 * self.strength * pull
                self._slopes[name] = slope

    def training_step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """One step on `inputs` (N, …) and `targets` (N,), and what each weight contributed to it."""
        before = {name: parameter.detach().clone() for name, parameter in self.measured()}
        loss = super().training_step(inputs, targets)
        for name, parameter in self.measured():
            if name in self._slopes:
                moved = parameter.detach() - before[name]
                self.path[name] = fitted(self.path.get(name), parameter) - self._slopes[name] * moved
        return loss

    def consolidate(self) -> Consolidation:
        """Hold every weight where it is now, as much as it contributed since the last time."""
        importance, centre = {}, {}
        for name, parameter in self.measured():
            now = parameter.detach().clone()
            start = now.clone()  # a row that came since begins where it is
            if name in self.centre:
                start[: len(self.centre[name])] = self.centre[name]
            gained = fitted(self.path.get(name), now).clamp(min=0) / ((now - start).square() + self.damping)
            importance[name], centre[name] = fitted(self.importance.get(name), now) + gained, now
        self.importance, self.centre, self.path = importance, centre, {}
        return Consolidation(details={"held": sum(tensor.numel() for tensor in importance.values())})
