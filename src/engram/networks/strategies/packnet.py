"""PackNet: after each task the smallest of the free weights are pruned and left to the next; the others are held.

A. Mallya, S. Lazebnik, "PackNet: adding multiple tasks to a single network by iterative pruning", CVPR 2018
(arXiv 1711.05769).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from engram.learner import InputError
from engram.networks.strategies.task_masks import MaskedNetwork, MaskPerTask

FREE = 2**15 - 1
"""The owner of a weight that no task has."""


class PackedNetwork(MaskedNetwork):
    """A network whose weights belong to one task each; a task uses its own and those of the tasks before it."""

    def __init__(self, network: nn.Module, shape: Sequence[int], device: str, dtype: str) -> None:
        super().__init__(network, shape, device, dtype)
        self.owners = nn.Module()
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad and parameter.ndim > 1:
                owner = torch.full(parameter.shape, FREE, dtype=torch.int16, device=device)
                self.owners.register_buffer(name.replace(".", "/"), owner)

    def owner(self, name: str) -> Tensor:
        """The task of each weight of a parameter of the network, int16."""
        return self.owners.get_buffer(name.replace(".", "/"))

    def masks(self, task: int) -> dict[str, Tensor]:
        """1 for each weight of this task or of an earlier one."""
        return {name: (self.owner(name) <= task).float() for name in self.packed}

    @property
    def packed(self) -> list[str]:
        """The names of the parameters whose weights are shared out."""
        return [name.replace("/", ".") for name, _ in self.owners.named_buffers()]

    @torch.no_grad()
    def open(self) -> None:
        """The open task takes all free weights."""
        for name in self.packed:
            owner = self.owner(name)
            owner[owner == FREE] = int(self.outputs.current)

    @torch.no_grad()
    def prune(self, share: float) -> None:
        """In each tensor, a share of the weights of the open task, the smallest ones, are 0 and free again."""
        for name in self.packed:
            owner, weight = self.owner(name), self.network.get_parameter(name)
            own = owner == int(self.outputs.current)
            sizes = weight[own].abs()
            count = int(share * len(sizes))
            if count:
                smallest = torch.zeros_like(sizes, dtype=torch.bool)
                smallest[sizes.argsort()[:count]] = True
                freed = torch.zeros_like(own)
                freed[own] = smallest
                owner[freed], weight[freed] = FREE, 0.0


class PackNet(MaskPerTask):
    """Each call of `learn` trains all free weights, prunes them, and trains those that are left once more, for as long.
    Where the task ends they are held for good: what a task answers never changes. Biases and other vectors are those
    of the first task. When no weights are free, a new task only gets output rows.

    Args:
        pruned: the share of a task's weights in each tensor that is left to later tasks.

    >>> learner = PackNet({"name": "perceptron", "inputs": [2], "hidden": [20]}, epochs=20)
    >>> learner.learn([[1.0, 0.0], [0.0, 1.0]], ["left", "right"])
    >>> learner.consolidate().details
    {'tasks': 1}
    """

    model: PackedNetwork

    def __init__(self, network: nn.Module | Mapping[str, Any], *, pruned: float = 0.75, **settings: Any) -> None:
        if not 0 <= pruned < 1:
            raise InputError(f"pruned must be in [0, 1), not {pruned!r}.")
        self.pruned = pruned
        super().__init__(network, **settings)

    def make_model(self, network: nn.Module, shape: Sequence[int], device: str, dtype: str) -> PackedNetwork:
        """A network whose weights are shared out."""
        return PackedNetwork(network, shape, device, dtype)

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Train on `inputs` (N, …) and `targets` (N,), prune, and train again."""
        outputs = self.model.outputs
        if not bool((outputs.tasks[targets] == outputs.current).any()):
            super().train(inputs, targets)
            return
        self.model.open()
        super().train(inputs, targets)
        self.model.prune(self.pruned)
        self.optimizer = self.fresh_optimizer()
        super().train(inputs, targets)

    def held(self) -> dict[str, Tensor]:
        """All weights but those of the open task; in later tasks also all biases."""
        current = int(self.model.outputs.current)
        held = {f"network.{name}": (self.model.owner(name) != current).float() for name in self.model.packed}
        if current:
            held |= {f"network.{name}": torch.ones_like(parameter)
                     for name, parameter in self.network.named_parameters() if f"network.{name}" not in held}
        return held
