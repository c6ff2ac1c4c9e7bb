"""A running average of a network's weights, which is often better than the last of them (Polyak, Juditsky 1992)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engram.networks.structure.masks import SUFFIX


class Average:
    """The exponential average of a module's parameters that train, and of the floating-point buffers of its parts in
    training mode; masks and what is frozen are none of them.

    Args:
        module: whose; its tensors must keep their shapes.
        decay: of the average; it is less at first, so that the start does not count for long.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay, self.taken = module, decay, 0
        self._names = _moving(module)
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
        return [tensor for name, tensor in self.module.state_dict().items() if name in self._names]


def _moving(module: nn.Module) -> set[str]:
    names = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    for prefix, part in module.named_modules():
        for own, buffer in part.named_buffers(recurse=False):
            moves = part.training and buffer.is_floating_point() and buffer.isfinite().all()  # -inf: a mask
            if moves and not own.endswith(SUFFIX):
                names.add(f"{prefix}.{own}" if prefix else own)
    return names
