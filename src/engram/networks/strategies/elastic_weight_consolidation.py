"""Elastic weight consolidation: weights that mattered for what was learned are held by springs.

J. Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", PNAS 114, 2017 (arXiv 1612.00796);
the online variant is that of J. Schwarz et al., "Progress & compress", ICML 2018 (arXiv 1805.06370).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engram.learner import Consolidation, InputError
from engram.networks.memory import Reservoir
from engram.networks.strategies.fisher_information import fisher
from engram.networks.strategies.quadratic_penalty import held, trained
from engram.networks.strategies.strategy import Strategy


class ElasticWeightConsolidation(Strategy):
    """The loss gets a term ½ λ Σ F (θ − θ*)² for each consolidation: F is the diagonal of the Fisher information of
    what was learned, θ* where the network was then.

    A sum of quadratics is a quadratic, with F summed and θ* the mean weighted by F: memory and time do not grow with
    the number of terms.

    Args:
        strength: λ. The Fisher information is a mean over examples, and small where the network is sure.
        samples: how many examples of each experience the Fisher information is measured on.
        decay: None, or γ of online EWC: earlier F count γ times, and θ* is where the network was last.

    >>> learner = ElasticWeightConsolidation({"name": "perceptron", "inputs": [2], "hidden": [8]}, epochs=20)
    >>> learner.learn([1.0, 0.0], "left")
    >>> learner.consolidate().details
    {'measured on': 1}
    """

    boundaries = True
    importance: dict[str, Tensor]
    centre: dict[str, Tensor]
    recent: Reservoir

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, strength: float = 1e5, samples: int = 1000,
        decay: float | None = None, **settings: Any,
    ) -> None:
        super().__init__(network, **settings)
        if strength < 0 or (decay is not None and not 0 <= decay <= 1):
            raise InputError("strength must be 0 or more, decay in [0, 1] or None.")
        self.strength, self.samples, self.decay = strength, samples, decay
        self.register(importance={}, centre={}, recent=Reservoir(samples))

    def penalty(self) -> Tensor | None:
        """Quadratic in the distance of the weights that mattered from where they were; a scalar."""
        found = held(self.model, self.importance, self.centre)
        return None if found is None else self.strength / 2 * found

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Train on `inputs` (N, …) and `targets` (N,); keep a sample of them until the next `consolidate`."""
        super().train(inputs, targets)
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator)))
        self.recent.add(rng, inputs.cpu().numpy(), targets.cpu().numpy())

    def consolidate(self) -> Consolidation:
        """Hold every weight where it is now, as strongly as what arrived since the last time needs it."""
        count = len(self.recent)
        if count:
            inputs, targets = (torch.from_numpy(column[:count]).to(self.device) for column in self.recent.columns)
            with self._answering.at_rest():
                fisher = self.fisher(inputs, targets)
            importance, centres = dict(self.importance), dict(self.centre)
            for name, parameter in trained(self.model):
                now = parameter.detach().clone()
                before, centre = torch.zeros_like(now), now.clone()
                if name in self.importance:
                    rows = slice(len(self.importance[name]))
                    before[rows], centre[rows] = self.importance[name], self.centre[name]
                if self.decay is None:
                    total = before + fisher[name]
                    centres[name] = torch.where(total > 0, (before * centre + fisher[name] * now) / total, now)
                else:
                    total, centres[name] = self.decay * before + fisher[name], now
                importance[name] = total
            self.importance, self.centre, self.recent = importance, centres, Reservoir(self.samples)
        return Consolidation(details={"measured on": count})

    def fisher(self, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The diagonal of the Fisher information of each parameter, a mean over (N, ...) examples."""
        return fisher(self, inputs, targets)
