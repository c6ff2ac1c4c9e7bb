"""A running average of a network's weights, which is often better than the last of them (Polyak, Juditsky 1992)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engram.structure.masked import SUFFIX


class Average:
    """The exponential average of a module's floating-point tensors; masks are none of them.

    Args:
        module: whose; its tensors must keep their shapes.
        decay: of the average; it is less at first, so that the start does not count for long.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay, self.taken = module, decay, 0
        self._averages = [tensor.clone() for tensor in self._tensors()]

    @torch.no_grad()
    def take(self) -> None:
        """Let the module's weights of now count."""
        self.taken += 1
        decay = min(self.decay, self.taken / (9 + self.taken))
        torch._foreach_lerp_(self._averages, self._tensors(), 1 - decay)

    @torch.no_grad()
    def give(self) -> None:
        """Put the average into the module."""
        torch._foreach_copy_(self._tensors(), self._averages)

    def _tensors(self) -> list[Tensor]:
        return [tensor for name, tensor in self.module.state_dict().items()
                if tensor.is_floating_point() and not name.endswith(SUFFIX)]
