"""Active dendrites: a context that each unit recognises by segments of its own decides which units answer.

A. Iyer, K. Grewal, A. Velu, L. Souza, J. Forest, S. Ahmad, "Avoiding catastrophe: active dendrites enable multi-task
learning in dynamic environments", Frontiers in Neurorobotics 16, 2022 (arXiv 2201.00042).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from engram.learner import Consolidation, InputError
from engram.networks.strategies.growing_network import GrowingNetwork, Snapshot
from engram.networks.strategies.networks import seeded
from engram.networks.strategies.strategy import Strategy
from engram.networks.structure.units import Units, layers_of_units


class DendriticNetwork(GrowingNetwork):
    """A network whose units answer (w·x + b) σ(d), of which only the strongest of a layer count. d is the response of
    one of the unit's segments to the context, the one that is farthest from 0: u·c.

    The context of an input is the nearest prototype, a mean of inputs.

    Attributes:
        prototypes: (tasks, width), what the inputs of each task are on average.
        counts: of how many inputs, (tasks,) int64.
        segments: (units, segments, width) of each linear layer.
        open: the context is the last prototype, whatever the input.
    """

    prototypes: Tensor
    counts: Tensor

    def __init__(
        self, network: nn.Module, shape: Sequence[int], device: str, dtype: str, segments: int, winners: float
    ) -> None:
        super().__init__(network, shape, device, dtype)
        layers = layers_of_units(self.network)
        if not all(isinstance(units.layer, nn.Linear) for units in layers):
            raise InputError("Only linear layers have dendrites here.")
        self.winners, self.open, self.width = winners, False, math.prod(shape)
        self.segments = nn.ParameterDict({
            _of(units): torch.empty(units.size, segments, self.width, device=device) for units in layers})
        self.register_buffer("prototypes", torch.zeros(0, self.width, device=device))
        self.register_buffer("counts", torch.zeros(0, dtype=torch.int64, device=device))

    def draw(self) -> None:
        """Segments at birth: as `nn.Linear` draws weights."""
        for segments in self.segments.values():
            nn.init.kaiming_uniform_(segments.flatten(0, 1), a=math.sqrt(5))

    def become(self, snapshot: Snapshot) -> None:
        """As of `GrowingNetwork`; with the prototypes that there were."""
        self.prototypes = torch.zeros_like(snapshot.tensors["prototypes"])
        self.counts = torch.zeros_like(snapshot.tensors["counts"])
        super().become(snapshot)

    def met(self, inputs: Tensor, *, anew: bool) -> None:
        """The open task's prototype is the mean of these (N, …) inputs with those before; `anew`: of these alone."""
        if anew:
            self.prototypes = torch.cat([self.prototypes, self.prototypes.new_zeros(1, self.width)])
            self.counts = torch.cat([self.counts, self.counts.new_zeros(1)])
        total = self.prototypes[-1] * self.counts[-1] + inputs.flatten(1).sum(dim=0)
        self.counts[-1] += len(inputs)
        self.prototypes[-1] = total / self.counts[-1]

    def context(self, inputs: Tensor) -> Tensor:
        """The place of the context of each input, (N,): the nearest prototype."""
        if self.open or len(self.prototypes) == 1:
            return torch.full((len(inputs),), len(self.prototypes) - 1, device=inputs.device)
        return torch.cdist(inputs.flatten(1), self.prototypes).argmin(dim=1)

    def features(self, inputs: Tensor, parameters: Mapping[str, Tensor] | None = None) -> Tensor:
        """Features (N, width) of (N, …) inputs, each in its context."""
        if not len(self.prototypes):
            return super().features(inputs, parameters)
        places = self.context(inputs)
        features = inputs.new_empty(0)
        for place in torch.unique(places).tolist():
            own = (places == place).nonzero()[:, 0]
            with self._modulated(self.prototypes[place]):
                found = super().features(inputs[own], parameters)
            features = found.new_zeros(len(inputs), found.shape[1]) if not len(features) else features
            features = features.index_copy(0, own, found)
        return features

    @contextmanager
    def _modulated(self, context: Tensor) -> Iterator[None]:
        """Every layer answers in this context within."""
        hooks = []
        for units in layers_of_units(self.network):
            gate = self.gate(units, context)
            hooks.append(units.layer.register_forward_hook(
                lambda _, given, answers, gate=gate: strongest(answers * gate, self.winners)))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def gate(self, units: Units, context: Tensor) -> Tensor:
        """σ(d) of each unit (units,) of a layer."""
        responses = self.segments[_of(units)] @ context
        strongest_response = responses.gather(1, responses.detach().abs().argmax(dim=1, keepdim=True))
        return torch.sigmoid(strongest_response[:, 0])


def strongest(answers: Tensor, share: float) -> Tensor:
    """The largest share of each row (N, units); the others are 0 (k-winners-take-all).

    >>> strongest(torch.tensor([[3.0, 1.0, 2.0, 0.5]]), 0.5)
    tensor([[3., 0., 2., 0.]])
    """
    count = max(1, round(share * answers.shape[1]))
    least = answers.detach().topk(count, dim=1).values[:, -1:]
    return answers * (answers.detach() >= least)


def _of(units: Units) -> str:
    return f"of {units.name}".replace(".", "/")


class ActiveDendrites(Strategy):
    """Contexts are prototypes: while a task is learned, its own; when asked, the nearest one. So units that answer in
    one context are left alone in another, and nobody tells the task. A task is what arrives between two calls of
    `consolidate`.

    Args:
        segments: of each unit.
        winners: the share of a layer's units that answer.

    Raises:
        InputError: a network with other layers than linear ones.

    >>> learner = ActiveDendrites({"name": "perceptron", "inputs": [2], "hidden": [20]}, epochs=20)
    >>> learner.learn([[1.0, 0.0], [0.0, 1.0]], ["left", "right"])
    >>> learner.consolidate().details
    {'contexts': 1}
    """

    boundaries = True
    model: DendriticNetwork
    closed: bool

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, segments: int = 10, winners: float = 0.1, **settings: Any
    ) -> None:
        if segments < 1 or not 0 < winners <= 1:
            raise InputError("segments must be at least 1, winners in (0, 1].")
        self.segments, self.winners = segments, winners
        super().__init__(network, **settings)
        self.register(closed=True)

    def make_model(self, network: nn.Module, shape: Sequence[int], device: str, dtype: str) -> DendriticNetwork:
        """A network with dendrites."""
        model = DendriticNetwork(network, shape, device, dtype, self.segments, self.winners)
        with seeded(self.seed):
            model.draw()
        return model

    def before_experience(self, inputs: Tensor, targets: Tensor) -> None:
        """The inputs tell the context."""
        self.model.met(inputs, anew=self.closed)
        self.closed = False

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Train on `inputs` (N, …) and `targets` (N,) in the open context."""
        self.model.open = True
        super().train(inputs, targets)
        self.model.open = False

    def consolidate(self) -> Consolidation:
        """What comes is another context."""
        self.closed = True
        return Consolidation(details={"contexts": len(self.model.prototypes)})
