"""What a network costs to ask: multiplications with weights that are not zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def multiply_adds(module: nn.Module, shape: Sequence[int]) -> int:
    """Multiply-adds for one input, every zero weight left out.

    A weight of a linear layer counts once for each vector that goes through, one of a convolution once for each place
    of its map, one of a recurrent layer once for each step of the sequence.

    Args:
        shape: of one input.

    >>> multiply_adds(nn.Linear(4, 3), (4,))
    12
    """
    total = 0

    def count(layer: nn.Module, _: Any, output: Any) -> None:
        nonlocal total
        for name, weight in layer.named_parameters(recurse=False):
            if weight.ndim >= 2:
                result = output[0] if isinstance(output, tuple) else output
                total += int(torch.count_nonzero(weight)) * _uses(layer, name, result)

    hooks = [layer.register_forward_hook(count) for layer in module.modules()]
    training = module.training
    try:
        first = next(module.parameters(), torch.zeros(0))
        module.eval()(torch.zeros(1, *shape, device=first.device))
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    return total


def _uses(layer: nn.Module, name: str, output: Tensor) -> int:
    """How often a weight multiplies: places of a map, vectors of a batch, steps of a sequence."""
    if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return output[0, 0].numel()
    return output[..., 0].numel()
