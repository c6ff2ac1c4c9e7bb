"""All examples that ever arrived, for the methods that train on everything again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from engram.learner import State


class Kept:
    """Examples in the order of arrival: inputs (N, *shape) and the places of their labels (N,).

    >>> kept = Kept()
    >>> kept.add(torch.zeros(2, 3), torch.tensor([0, 1]))
    >>> kept.add(torch.ones(1, 3), torch.tensor([1]))
    >>> len(kept), kept.at(torch.tensor([2]))
    (3, (tensor([[1., 1., 1.]]), tensor([1])))
    """

    def __init__(self, inputs: Tensor | None = None, targets: Tensor | None = None) -> None:
        self.inputs = torch.empty(0) if inputs is None else inputs
        self.targets = torch.empty(0, dtype=torch.int64) if targets is None else targets

    def __len__(self) -> int:
        return len(self.targets)

    def add(self, inputs: Tensor, targets: Tensor) -> None:
        """Keep copies of these too."""
        self.inputs = torch.cat([self.inputs.to(inputs.device), inputs]) if len(self) else inputs.clone()
        self.targets = torch.cat([self.targets.to(targets.device), targets])

    def at(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Some of them."""
        return self.inputs[rows], self.targets[rows]

    def state(self) -> State:
        """As arrays; none where nothing is kept."""
        if not len(self):
            return {}
        return {"inputs": self.inputs.cpu().numpy().copy(), "targets": self.targets.cpu().numpy().copy()}

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]], device: str) -> Kept:
        """What `state` described."""
        if "targets" not in state:
            return cls()
        return cls(*(torch.from_numpy(state[name]).to(device) for name in ("inputs", "targets")))
