"""The units of a network's layers: where they are, what they answer, which of them are dead, and how one is born
again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engram.learner import InputError
from engram.networks.module_copy import module_copy
from engram.networks.structure.evaluation_mode import evaluating

DORMANT = 0.01
"""A unit is dead whose mean activation is no more than this share of its layer's (G. Sokar et al. 2023)."""

Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


class Units(NamedTuple):
    """A linear or convolutional layer, and the next that its units are inputs of.

    Attributes:
        name: of the layer in the network.
        layer: itself.
        below: the place in the list of the layer whose units are its inputs; None for the first, or where the network
            is no plain stack.
        spread: how many inputs each unit of `below` is: the places of its map, where that was flattened.
    """

    name: str
    layer: Layer
    below: int | None
    spread: int

    @property
    def size(self) -> int:
        """How many units: outputs or channels."""
        return len(self.layer.weight)

    @property
    def weight(self) -> str:
        """The name in the network of its weight."""
        return f"{self.name}.weight" if self.name else "weight"

    @property
    def parameters(self) -> dict[str, Tensor]:
        """Its weight and, where it has one, its bias, by their names in the network."""
        own = self.layer._parameters
        return {self.weight.removesuffix("weight") + name: value for name, value in own.items() if value is not None}


def layers_of_units(network: nn.Module) -> list[Units]:
    """Every linear and convolutional layer, in order.

    Raises:
        InputError: there is none.

    >>> stack = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Flatten(), nn.Linear(12, 2))
    >>> [(units.name, units.size, units.below, units.spread) for units in layers_of_units(stack)]
    [('0', 3, None, 1), ('2', 2, 0, 4)]
    """
    found: list[Units] = []
    for name, layer in network.named_modules():
        if isinstance(layer, Layer) and "weight" in layer._parameters:
            inputs = layer.weight.shape[1]
            stacked = bool(found) and isinstance(network, nn.Sequential) and not inputs % found[-1].size
            found.append(Units(name, layer, len(found) - 1 if stacked else None,
                               inputs // found[-1].size if stacked else 1))
    if not found:
        raise InputError("The network has no linear or convolutional layer, whose units could be told apart.")
    return found


class Joint(NamedTuple):
    """A hidden layer and the one that its units go into.

    Attributes:
        name: of the layer.
        layer, next: both.
        spread: how many inputs of the next each unit is.
    """

    name: str
    layer: Layer
    next: nn.Module
    spread: int


def joints(network: nn.Module, outputs: nn.Module) -> list[Joint]:
    """The hidden layers of a plain stack, each with the next; the outputs, which have a `weight` too, come last.

    Raises:
        InputError: no plain stack.
    """
    layers = layers_of_units(network)
    if any(units.below is None for units in layers[1:]):
        raise InputError("Units are born again in a plain stack of layers (nn.Sequential) alone.")
    following: list[tuple[nn.Module, int]] = [(units.layer, units.spread) for units in layers[1:]]
    width = outputs.get_parameter("weight").shape[1]
    following.append((outputs, width // layers[-1].size))
    return [Joint(units.name, units.layer, *after) for units, after in zip(layers, following, strict=True)]


@contextmanager
def answers_of(joints: Sequence[Joint]) -> Iterator[list[Tensor]]:
    """What the units of each joint answer in the passes within: (N, units, places) each, in order, without slopes."""
    seen: list[Tensor] = []

    def note(joint: Joint) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        units = len(joint.layer.weight)
        return lambda _, given: seen.append(given[0].detach().reshape(len(given[0]), units, -1))

    hooks = [joint.next.register_forward_pre_hook(note(joint)) for joint in joints]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def bear(joint: Joint, which: Tensor, optimiser: torch.optim.Optimizer) -> None:
    """Draw units of a layer anew, as at its birth; nothing goes out of them at first, and the optimiser's running
    averages of their weights are 0.

    Args:
        which: the places of the units.
    """
    fresh = module_copy(joint.layer)
    fresh.reset_parameters()
    columns = (which[:, None] * joint.spread + torch.arange(joint.spread, device=which.device)).flatten()
    for parameter, drawn in zip(joint.layer.parameters(), fresh.parameters(), strict=True):
        parameter[which] = drawn[which]
        for average in _averages(optimiser, parameter):
            average[which] = 0.0
    outgoing = joint.next.get_parameter("weight")
    for tensor in (outgoing, *_averages(optimiser, outgoing)):
        tensor[:, columns] = 0.0


def _averages(optimiser: torch.optim.Optimizer, parameter: nn.Parameter) -> Iterator[Tensor]:
    for value in optimiser.state.get(parameter, {}).values():
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            yield value


class Condition(NamedTuple):
    """How fit a network is to go on learning.

    Attributes:
        dead: the share of the hidden units that hardly answer.
        rank: the effective rank of the features.
    """

    dead: float
    rank: float


@torch.no_grad()
def condition(network: nn.Module, inputs: Tensor) -> Condition:
    """The share of dead units, whose mean activation over the inputs is at most `DORMANT` of their layer's; and the
    effective rank of the features.

    What a unit answers is what the layer after it is given, where that is a linear or convolutional one; the features
    are the last of these.

    Args:
        network: (N, …) -> (N, width) features.
        inputs: (N, …).

    >>> network = nn.Sequential(nn.Linear(2, 4), nn.ReLU())
    >>> _ = nn.init.ones_(network[0].weight), nn.init.zeros_(network[0].bias).data[:2].fill_(-9.0)
    >>> condition(network, torch.eye(2)).dead
    0.5
    """
    sizes: list[Tensor] = []

    def note(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        values = given[0].flatten(0, -2) if isinstance(layer, nn.Linear) else given[0].transpose(0, 1).flatten(1).T
        sizes.append(values.abs().mean(dim=0))

    layers = [layer for layer in network.modules() if isinstance(layer, Layer)][1:]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        with evaluating(network):
            features: Tensor = network(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    answers = [*sizes, features.abs().mean(dim=0)]
    dead = torch.cat([answer <= DORMANT * answer.mean() for answer in answers])
    return Condition(float(dead.float().mean()), effective_rank(features))


def effective_rank(features: Tensor) -> float:
    """exp of the entropy of the singular values as shares of their sum: from 1 to the smaller side of (N, width).

    O. Roy, M. Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007.

    >>> round(effective_rank(torch.eye(5)), 3), round(effective_rank(torch.ones(5, 5)), 3)
    (5.0, 1.0)
    """
    sizes = torch.linalg.svdvals(features.double())
    shares = sizes[sizes > 0] / sizes.sum()
    return float((-(shares * shares.log()).sum()).exp())
