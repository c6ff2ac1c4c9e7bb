"""What a network costs to ask: multiplications with weights that are not zero."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from engram.networks.structure.evaluation_mode import evaluating
from engram.networks.structure.h_lstm import HLSTM
from engram.networks.structure.reparametrised import multiplying


@torch.no_grad()
def multiply_adds(module: nn.Module, shape: Sequence[int]) -> int:
    """Multiply-adds for one input, every zero weight left out.

    A weight of a linear layer counts once for each vector that goes through, one of a convolution once for each place
    of its map, one of a recurrent layer once for each step of the sequence; a table that is looked up costs nothing.

    Args:
        shape: of one input.

    >>> multiply_adds(nn.Linear(4, 3), (4,))
    12
    """
    total = 0

    def count(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal total
        tensors = (w for w in layer.parameters() if w.ndim >= 2) if _whole(layer) else multiplying(layer)
        weights = sum(int(torch.count_nonzero(tensor)) for tensor in tensors)
        if weights:
            total += weights * _uses(layer, inputs[0], output[0] if isinstance(output, tuple) else output)

    hooks = [layer.register_forward_hook(count) for layer in _counted(module)]
    try:
        first = next(module.parameters(), torch.zeros(0))
        with evaluating(module):
            module(torch.zeros(1, *shape, device=first.device))
    finally:
        for hook in hooks:
            hook.remove()
    return total


def _whole(layer: nn.Module) -> bool:
    """Whether a layer uses the weights of those inside it, without asking them."""
    return isinstance(layer, HLSTM | nn.MultiheadAttention)


def _counted(module: nn.Module) -> Iterator[nn.Module]:
    yield module
    if not _whole(module):
        for inner in module.children():
            if inner is not getattr(module, "parametrizations", None):
                yield from _counted(inner)


def _uses(layer: nn.Module, given: Tensor, result: Tensor) -> int:
    """How often a weight multiplies: places of a map, vectors of a batch, steps of a sequence."""
    if isinstance(layer, nn.Embedding | nn.EmbeddingBag):
        return 0  # it is looked up
    if isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        return given[0, 0].numel()
    if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return result[0, 0].numel()
    return result.shape[:-1].numel()
