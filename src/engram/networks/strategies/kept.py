"""All examples that ever arrived, for the methods that train on everything again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engram.learner import State


class Kept:
    """Examples in the order of arrival: inputs (N, ...) and the places of their labels (N,).

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
        """Keep copies of (N, ...) inputs and their (N,) targets too."""
        self.inputs = torch.cat([self.inputs.to(inputs.device), inputs]) if len(self) else inputs.clone()
        self.targets = torch.cat([self.targets.to(targets.device), targets])

    def at(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The inputs and targets at (K,) places."""
        return self.inputs[rows], self.targets[rows]

    def state(self) -> State:
        """As arrays; none where nothing is kept."""
        if not len(self):
            return {}
        return {"inputs": self.inputs.cpu().numpy().copy(), "targets": self.targets.cpu().numpy().copy()}

    @classmethod
    def from_state(
        cls, state: Mapping[str, npt.NDArray[Any]], shape: Sequence[int], labels: int, device: str = "cpu"
    ) -> Kept:
        """What `state` described.

        Args:
            shape: of one input.
            labels: how many there are.

        Raises:
            ValueError: no examples of this shape with these labels.
        """
        if "targets" not in state:
            return cls()
        inputs, targets = state["inputs"], state["targets"]
        if inputs.shape != (len(targets), *shape) or inputs.dtype != np.float32 or not np.isfinite(inputs).all():
            raise ValueError(f"kept examples of the shape {inputs.shape[1:]}, {inputs.dtype}, or not finite")
        if targets.dtype != np.int64 or targets.ndim != 1 or ((targets < 0) | (targets >= labels)).any():
            raise ValueError(f"kept examples of labels that are not among the {labels}")
        return cls(*(torch.from_numpy(state[name]).to(device) for name in ("inputs", "targets")))
