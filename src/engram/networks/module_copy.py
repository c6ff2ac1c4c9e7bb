"""A copy of a PyTorch module, whatever it holds: `copy.deepcopy` refuses tensors that were computed from others."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer

from engram.learner import InputError

Module = TypeVar("Module", bound=nn.Module)


def module_copy(module: Module) -> Module:
    """A deep copy that shares nothing with the module.

    Weights that a hook computes before each pass (`weight_norm`, `spectral_norm`, masks of `torch.nn.utils.prune`) and
    activations that a layer keeps are copied by their values; the hook computes them anew in the copy's next pass.

    Raises:
        InputError: a part of it cannot be copied, or it is a ScriptModule with parameters that train.

    >>> layer = nn.utils.spectral_norm(nn.Linear(3, 2))
    >>> layer(layer.weight.new_zeros(1, 3)).requires_grad, module_copy(layer).weight.requires_grad
    (True, False)
    """
    copies: dict[int, object] = {}
    for part in module.modules():
        for tensor in uncopied(vars(part)):
            lazy = isinstance(tensor, UninitializedBuffer)
            copies[id(tensor)] = _lazy_copy(tensor) if lazy else tensor.detach().clone()
    try:
        copied = copy.deepcopy(module, copies)
    except Exception as error:  # whatever a module holds: locks, generators, open files
        raise InputError(f"{type(module).__name__} cannot be copied: {error}. Remove that part before the network is "
                         "given.") from error
    if not all(parameter.is_leaf for parameter in copied.parameters()):
        raise InputError("The parameters of a ScriptModule's copy cannot be trained: give the module it was made from, "
                         "or freeze it.")
    return copied


def _lazy_copy(buffer: Tensor) -> Tensor:
    made: Any = UninitializedBuffer  # its type hints are those of another class
    copied: Tensor = made(buffer.requires_grad, buffer.device, buffer.dtype)
    return copied


def uncopied(value: object) -> Iterator[Tensor]:
    """The tensors that `copy.deepcopy` refuses, in an attribute or in the containers that it holds: those with a
    history, and buffers of lazy layers that have no shape yet."""
    if isinstance(value, Tensor):
        if not value.is_leaf or isinstance(value, UninitializedBuffer):
            yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from uncopied(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from uncopied(inner)
