"""All examples that ever arrived, for the methods that train on everything again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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

    def to(self, device: str) -> Kept:
        """The same on a device."""
        return Kept(self.inputs.to(device), self.targets.to(device))

    def at(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The inputs and targets at (K,) places."""
        return self.inputs[rows], self.targets[rows]

    def __deepcopy__(self, copies: dict[int, Any]) -> Kept:
        """Shares the tensors, which are never written to."""
        return Kept(self.inputs, self.targets)

    def state(self) -> State:
        """As arrays; none where nothing is kept."""
        if not len(self):
            return {}
        return {"inputs": self.inputs.cpu().numpy().copy(), "targets": self.targets.cpu().numpy().copy()}

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]]) -> Kept:
        """What `state` described."""
        if "targets" not in state:
            return cls()
        return cls(*(torch.from_numpy(state[name].copy()) for name in ("inputs", "targets")))

    def require_fit(self, shape: Sequence[int], labels: int, dtype: str = "float32") -> None:
        """
        Args:
            shape: of one input.
            labels: how many there are.
            dtype: of an input.

        Raises:
            ValueError: some are no examples of this shape with these labels.
        """
        inputs, targets = self.inputs, self.targets
        if not targets.numel() and not inputs.numel():
            return
        fits = inputs.shape == (len(targets), *shape) and inputs.dtype == getattr(torch, dtype)
        if not fits or not inputs.isfinite().all():
            raise ValueError(f"kept examples of the shape {tuple(inputs.shape[1:])}, {inputs.dtype}, or not finite")
        if targets.dtype != torch.int64 or targets.ndim != 1 or bool(((targets < 0) | (targets >= labels)).any()):
            raise ValueError(f"kept examples of labels that are not among the {labels}")
