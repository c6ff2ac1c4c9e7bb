"""Incremental moment matching (IMM): each task gets weights of its own, and the network answers with their average.

S.-W. Lee, J.-H. Kim, J. Jun, J.-W. Ha, B.-T. Zhang, "Overcoming catastrophic forgetting by incremental moment
matching", NeurIPS 2017 (arXiv 1703.08475).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from engram.learner import Consolidation, InputError
from engram.networks.memory import Reservoir
from engram.networks.strategies.fisher_information import fisher
from engram.networks.strategies.quadratic_penalty import fitted, held, trained
from engram.networks.strategies.strategy import Strategy

LEAST = 1e-8
"""Of the Fisher information: a weight that no task needs is the plain mean."""


class IncrementalMomentMatching(Strategy):
    """The posteriors of the tasks, Gaussians about θ_k, are matched by one Gaussian: by its mean Σ θ_k / K, or by the
    mode of their mixture, Σ F_k θ_k / Σ F_k with F_k the diagonal of the Fisher information. Rows of outputs count from
    the task on that brought them.

    Training goes on from the last task's own weights (weight transfer), and is held near them by λ Σ (θ − θ_{k−1})²
    (L2 transfer), so that the average lies in no valley between them.

    Args:
        match: "mean" or "mode".
        strength: λ.
        samples: how many examples of each task the Fisher information is measured on.

    >>> learner = IncrementalMomentMatching({"name": "perceptron", "inputs": [2], "hidden": [8]}, epochs=20)
    >>> learner.learn([[1.0, 0.0], [0.0, 1.0]], ["left", "right"])
    >>> learner.consolidate().details
    {'tasks': 1}
    """

    boundaries = True
    tasks: int
    own: dict[str, Tensor]
    weight: dict[str, Tensor]
    moment: dict[str, Tensor]
    recent: Reservoir

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, match: Literal["mean", "mode"] = "mode",
        strength: float = 1e-3, samples: int = 1000, **settings: Any,
    ) -> None:
        super().__init__(network, **settings)
        if match not in ("mean", "mode") or strength < 0:
            raise InputError("match must be 'mean' or 'mode', strength 0 or more.")
        self.match, self.strength, self.samples = match, strength, samples
        self.register(tasks=0, own={}, weight={}, moment={}, recent=Reservoir(samples))

    def penalty(self) -> Tensor | None:
        """Quadratic in the distance from the last task's weights; a scalar."""
        found = held(self.model, dict.fromkeys(self.own, torch.ones((), device=self.device)), self.own)
        return None if found is None else self.strength * found

    def before_experience(self, inputs: Tensor, targets: Tensor) -> None:
        """Go on from the weights of the last task, if the network has answered with the average since."""
        if not len(self.recent):
            self.model.put(self.own)

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Train on `inputs` (N, …) and `targets` (N,); keep a sample of them until the next `consolidate`."""
        super().train(inputs, targets)
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator)))
        self.recent.add(rng, inputs.cpu().numpy(), targets.cpu().numpy())

    def consolidate(self) -> Consolidation:
        """A task has ended: the network becomes the average of its weights with those of the tasks before."""
        count = len(self.recent)
        if count:
            shares = self.shares(*(torch.from_numpy(column[:count]).to(self.device) for column in self.recent.columns))
            own = {name: parameter.detach().clone() for name, parameter in trained(self.model)}
            self.weight = {name: fitted(self.weight.get(name), share) + share for name, share in shares.items()}
            self.moment = {name: fitted(self.moment.get(name), now) + shares[name] * now for name, now in own.items()}
            self.model.put({name: self.moment[name] / self.weight[name] for name in own})
            self.own, self.recent, self.tasks = own, Reservoir(self.samples), self.tasks + 1
            self.optimizer = self.fresh_optimizer()
        return Consolidation(details={"tasks": self.tasks})

    def shares(self, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """How much this task counts in the average of each parameter; measured on (N, ...) examples for the mode."""
        if self.match == "mean":
            return {name: torch.ones_like(parameter) for name, parameter in trained(self.model)}
        with self._answering.at_rest():
            return {name: found.clamp(min=LEAST) for name, found in fisher(self, inputs, targets).items()}
