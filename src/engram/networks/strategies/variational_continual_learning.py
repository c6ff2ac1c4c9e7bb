"""Variational continual learning (VCL): what was learned is a distribution of the weights, and the prior of what comes.

C. Nguyen, Y. Li, T. Bui, R. Turner, "Variational continual learning", ICLR 2018 (arXiv 1710.10628).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from engram.learner import Consolidation, InputError, Label
from engram.networks.strategies import optimiser as optimisers
from engram.networks.strategies.growing_network import GrowingNetwork, Snapshot
from engram.networks.strategies.kept import Kept
from engram.networks.strategies.strategy import Strategy


class UncertainNetwork(GrowingNetwork):
    """A network whose weights are independent Gaussians about its parameters. It answers with their means; in training
    with weights that are drawn for each pass.

    Attributes:
        spreads: ln σ of each parameter.
        start: ln σ where nothing is known yet.
    """

    def __init__(self, network: nn.Module, shape: Sequence[int], device: str, dtype: str, start: float) -> None:
        super().__init__(network, shape, device, dtype)
        self.start = start
        self.spreads = nn.ParameterDict()
        self.fit_spreads()

    @property
    def uncertain(self) -> dict[str, nn.Parameter]:
        """The parameters of network and outputs that train, by name: the means."""
        return {name: parameter for name, parameter in self.named_parameters()
                if parameter.requires_grad and not name.startswith("spreads.")}

    def spread(self, name: str) -> nn.Parameter:
        """ln σ of a parameter."""
        return self.spreads.get_parameter(name.replace(".", "/"))

    def fit_spreads(self) -> dict[nn.Parameter, nn.Parameter]:
        """A spread for every parameter, and for rows that are new; those that were replaced, with what they became."""
        replaced = {}
        for name, parameter in self.uncertain.items():
            key = name.replace(".", "/")
            known = self.spreads.get(key, None)
            if known is None or len(known) != len(parameter):
                whole = torch.full_like(parameter, self.start, requires_grad=False)
                if known is not None:
                    whole[: len(known)] = known.detach()[: len(parameter)]
                self.spreads[key] = nn.Parameter(whole)
                if known is not None:
                    replaced[known] = self.spread(name)
        return replaced

    def become(self, snapshot: Snapshot) -> None:
        """As of `GrowingNetwork`; the spreads too."""
        self.outputs.resize(snapshot.labels)
        self.fit_spreads()
        super().become(snapshot)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (N, labels) of (N, …) inputs."""
        if not self.training:
            return super().forward(inputs)
        drawn = {name: mean + self.spread(name).exp() * torch.randn_like(mean)
                 for name, mean in self.uncertain.items()}
        own = {part: {name.removeprefix(part): value for name, value in drawn.items() if name.startswith(part)}
               for part in ("network.", "outputs.")}
        logits: Tensor = functional_call(self.outputs, own["outputs."], (self.features(inputs, own["network."]),))
        return logits


class VariationalContinualLearning(Strategy):
    """The loss is the mean cross-entropy with drawn weights plus KL(q ‖ p) / N, N being the examples of the experience,
    p what q was at the last boundary; at first p is a normal distribution about 0 with deviation 1, and so it is for
    new output rows.

    With a coreset, so many examples of each experience are left out and kept. At a boundary the network learns all
    that are kept, and answers so until the next experience, which goes on from before.

    Args:
        spread: ln σ of all weights at first.
        coreset: examples of each call of `learn` that are kept for it.

    >>> learner = VariationalContinualLearning({"name": "perceptron", "inputs": [2], "hidden": [8]}, epochs=50)
    >>> learner.learn([[1.0, 0.0], [0.0, 1.0]], ["left", "right"])
    >>> learner.consolidate().details
    {'kept': 0}
    """

    boundaries = True
    model: UncertainNetwork
    prior: dict[str, Tensor]
    own: dict[str, Tensor]
    core: Kept
    count: int

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, spread: float = -3.0, coreset: int = 0, **settings: Any
    ) -> None:
        self.spread = spread
        super().__init__(network, **settings)
        if coreset < 0:
            raise InputError("coreset must be 0 or more.")
        self.coreset = coreset
        self.register(prior={}, own={}, core=Kept(), count=0)

    def make_model(self, network: nn.Module, shape: Sequence[int], device: str, dtype: str) -> UncertainNetwork:
        """A network of uncertain weights."""
        return UncertainNetwork(network, shape, device, dtype, self.spread)

    @property
    def memory_limit(self) -> float | None:
        """None, but with a coreset: what is kept for it has no bound."""
        return math.inf if self.coreset else None

    @property
    def samples_stored(self) -> int:
        """Examples kept."""
        return len(self.core)

    def grow(self, labels: list[Label]) -> list[Label]:
        """New rows are uncertain, too."""
        new = super().grow(labels)
        optimisers.exchange(self.optimizer, self.model.fit_spreads())
        return new

    def before_experience(self, inputs: Tensor, targets: Tensor) -> None:
        """Go on from before the kept examples were learned."""
        if not self.count:
            self.model.put(self.own)

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Train on `inputs` (N, …) and `targets` (N,), but for the few that are kept."""
        order = torch.randperm(len(inputs), generator=self.generator)
        left = min(self.coreset, len(inputs) - 1)
        self.count += len(inputs) - left
        super().train(inputs[order[left:]], targets[order[left:]])
        if left:
            self.core.add(inputs[order[:left]], targets[order[:left]])

    def penalty(self) -> Tensor:
        """KL(q ‖ p) / N, a scalar."""
        terms = [divergence(mean, self.model.spread(name), *self._prior(name, mean))
                 for name, mean in self.model.uncertain.items()]
        return torch.stack(terms).sum() / max(1, self.count)

    def _prior(self, name: str, mean: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and ln σ of a parameter's prior: zeros for rows that came since."""
        centre, spread = torch.zeros_like(mean), torch.zeros_like(mean)
        if name in self.prior:
            known = self.prior[name]
            centre[: known.shape[1]], spread[: known.shape[1]] = known
        return centre, spread

    def consolidate(self) -> Consolidation:
        """What is known now is the prior of what comes."""
        if self.count:
            means = self.model.uncertain
            self.prior = {name: torch.stack([mean.detach(), self.model.spread(name).detach()])
                          for name, mean in means.items()}
            self.own = {}
            if len(self.core):
                self.own = {name: parameter.detach().clone() for name, parameter in self.model.named_parameters()}
                self.optimizer, self.count = self.fresh_optimizer(), len(self.core)
                super().train(self.core.inputs, self.core.targets)
            self.optimizer, self.count = self.fresh_optimizer(), 0
        return Consolidation(details={"kept": len(self.core)})


def divergence(mean: Tensor, spread: Tensor, prior_mean: Tensor, prior_spread: Tensor) -> Tensor:
    """KL of Gaussians of independent entries from others, a scalar; `spread` is ln σ.

    >>> round(divergence(torch.ones(2), torch.zeros(2), torch.zeros(2), torch.zeros(2)).item(), 3)
    1.0
    """
    ratio = (2 * (spread - prior_spread)).exp() + (mean - prior_mean).square() * (-2 * prior_spread).exp()
    return (prior_spread - spread + (ratio - 1) / 2).sum()
