"""A network with an output layer that grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engram.learner import InputError, Label
from engram.strategies.output_layer import OutputLayer
from engram.structure.evaluation_mode import evaluating


class Knowledge(NamedTuple):
    """All that a network knows at one moment: its labels, and a copy of its parameters and buffers."""

    labels: tuple[Label, ...]
    tensors: dict[str, Tensor]


class GrowingNetwork(nn.Module):
    """Inputs (N, ...) -> features -> logits (N, C) for the C labels seen so far.

    Args:
        network: (N, ...) float32 -> (N, width) features.
        shape: of one input.
        device: where it lives.

    Raises:
        InputError: no such device here; a network that does not take such inputs, or gives no vectors.

    >>> whole = GrowingNetwork(nn.Flatten(), (2, 2))
    >>> whole.outputs.grow(["cat", "dog"])
    ['cat', 'dog']
    >>> whole.labels, whole(torch.zeros(5, 2, 2)).shape
    (('cat', 'dog'), torch.Size([5, 2]))
    """

    def __init__(self, network: nn.Module, shape: Sequence[int], device: str = "cpu") -> None:
        super().__init__()
        try:
            self.network = network.to(device)
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"Device {device!r} cannot be used here: {str(error).splitlines()[0]}") from error
        self.outputs = OutputLayer(_width(network, shape, device)).to(device)

    @property
    def labels(self) -> tuple[Label, ...]:
        """In the order of their first arrival."""
        return tuple(self.outputs.book)

    def forward(self, inputs: Tensor) -> Tensor:
        """The logits."""
        logits: Tensor = self.outputs(self.network(inputs))
        return logits

    def knowledge(self) -> Knowledge:
        """What it knows now; later learning leaves the copy alone."""
        return Knowledge(self.labels, {name: tensor.clone() for name, tensor in self.state_dict().items()})

    def become(self, knowledge: Knowledge) -> None:
        """Know this and nothing else. The output layer's parameters are replaced: an optimiser has to be told.

        Raises:
            RuntimeError, KeyError: tensors of other names or shapes.
        """
        rows = (len(knowledge.labels), self.outputs.width)
        if knowledge.tensors["outputs.weight"].shape != rows:
            raise RuntimeError(f"{rows[0]} labels need outputs of the shape {rows}")
        self.outputs.resize(knowledge.labels)
        self.load_state_dict(knowledge.tensors)


@torch.no_grad()
def _width(network: nn.Module, shape: Sequence[int], device: str) -> int:
    try:
        with evaluating(network):
            features = network(torch.zeros(1, *shape, device=device))
    except RuntimeError as error:
        raise InputError(f"The network does not take inputs of the shape {tuple(shape)}: {error}") from error
    if not isinstance(features, Tensor) or features.ndim != 2:
        raise InputError("The network has to give one vector of features for each input: end it with nn.Flatten().")
    return features.shape[1]


def shape_of(network: nn.Module, given: Sequence[int] | None) -> list[int] | None:
    """The shape of one input: as given, else as the network says, else None."""
    shape: Sequence[int] | None = getattr(network, "shape", None) if given is None else given
    return None if shape is None else [int(side) for side in shape]
