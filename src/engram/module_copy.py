"""A copy of a PyTorch module, whatever it holds: `copy.deepcopy` refuses tensors that were computed from others."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TypeVar

from torch import Tensor, nn

from engram.learner import InputError

Module = TypeVar("Module", bound=nn.Module)


def module_copy(module: Module) -> Module:
    """A deep copy that shares nothing with the module.

    Weights that a hook computes before each pass (`weight_norm`, `spectral_norm`, masks of `torch.nn.utils.prune`) and
    activations that a layer keeps are copied by their values; the hook computes them anew in the copy's next pass.

    Raises:
        InputError: a part of it cannot be copied.

    >>> layer = nn.utils.spectral_norm(nn.Linear(3, 2))
    >>> layer(layer.weight.new_zeros(1, 3)).requires_grad, module_copy(layer).weight.requires_grad
    (True, False)
    """
    computed = {id(tensor): tensor.detach().clone() for part in module.modules() for tensor in _computed(vars(part))}
    try:
        return copy.deepcopy(module, computed)
    except Exception as error:  # whatever a module holds: locks, generators, open files
        raise InputError(f"{type(module).__name__} cannot be copied: {error}. Remove that part before the network is "
                         "given.") from error


def _computed(value: object) -> Iterator[Tensor]:
    """The tensors with a history, in an attribute or in the containers that it holds."""
    if isinstance(value, Tensor):
        if not value.is_leaf:
            yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _computed(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _computed(inner)
