"""Everything an object holds at one moment, to go back to where a change of it is interrupted."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from engram.networks.module_copy import uncopied

OWN = frozenset(vars(nn.Module()))
"""What every module has; what else it holds was put there by its author."""

PLAIN = (
    int, float, complex, str, bytes, bool, type, type(None), FunctionType, BuiltinFunctionType, MethodType, partial,
)

Restore = Callable[[], None]


class Rollback:
    """What an object's attributes were when this was made; `restore` puts it back.

    Modules, optimisers and generators of random numbers stay the same objects and get their contents back: whoever
    holds one holds it still. Functions, and what cannot be copied (a lock, an open file), stay as they are. Everything
    else is replaced by a copy made before, whatever its type.

    Args:
        owner: the object.
        shared: names of attributes that belong to others, and are left alone.

    >>> class Counting:
    ...     seen, layer = [1], nn.Linear(1, 1)
    >>> counting = Counting()
    >>> counting.seen, counting.layer = [1], nn.Linear(1, 1)
    >>> before, weight = Rollback(counting), counting.layer.weight.item()
    >>> counting.seen.append(2)
    >>> torch.nn.init.constant_(counting.layer.weight, torch.nan).isnan().item()
    True
    >>> before.restore()
    >>> counting.seen, counting.layer.weight.item() == weight
    ([1], True)
    """

    def __init__(self, owner: object, shared: Iterable[str] = ()) -> None:
        self._owner = owner
        self._copies: dict[int, Any] = {id(owner): owner}
        self._restores: list[Restore] = []
        attributes = dict(vars(owner))
        for name in shared:
            self._copies[id(attributes.get(name))] = attributes.get(name)
        kept = list(_kept(attributes[name] for name in attributes if name not in set(shared)))
        for part in kept:
            for same in (part, *part.modules(), *part.parameters(), *part.buffers()) if isinstance(part, nn.Module) \
                    else (part,):
                self._copies[id(same)] = same
        self._restores += [self._of(part) for part in kept]
        self._attributes = {name: self._copied(value) for name, value in attributes.items()}

    def restore(self) -> None:
        """Put everything back; once."""
        now = vars(self._owner)
        now.update(self._attributes)  # nothing is missing meanwhile, for those who ask
        for name in now.keys() - self._attributes.keys():
            del now[name]
        for restore in self._restores:
            restore()

    def _copied(self, value: Any) -> Any:
        if isinstance(value, PLAIN) or id(value) in self._copies:
            return value
        for tensor in uncopied(value):
            self._copies.setdefault(id(tensor), tensor.detach().clone())
        try:
            return copy.deepcopy(value, self._copies)
        except Exception:  # whatever it holds: a lock, an iterator, an open file
            return value

    def _of(self, part: Any) -> Restore:
        if isinstance(part, nn.Module):
            return self._of_module(part)
        if isinstance(part, torch.optim.Optimizer):
            return _of_optimiser(part)
        if isinstance(part, torch.Generator):
            return partial(_set_state, part, part.get_state())
        return partial(setattr, part.bit_generator, "state", copy.deepcopy(part.bit_generator.state))

    def _of_module(self, module: nn.Module) -> Restore:
        held = [(part, dict(part._parameters), dict(part._buffers), dict(part._modules), part.training,
                 {name: self._copied(value) for name, value in vars(part).items() if name not in OWN})
                for part in module.modules()]
        tensors = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers()) if not is_lazy(tensor)}
        values = [(tensor, tensor.detach().clone(), tensor.requires_grad) for tensor in tensors.values()]

        def restore() -> None:
            for part, parameters, buffers, modules, training, others in held:
                for current, before in ((part._parameters, parameters), (part._buffers, buffers),
                                        (part._modules, modules)):
                    current.clear()
                    current.update(before)  # type: ignore[arg-type]
                for name in [name for name in vars(part) if name not in OWN and name not in others]:
                    del vars(part)[name]
                vars(part).update(others, training=training)
            for tensor, value, trains in values:
                _put_back(tensor, value, trains)

        return restore


def _kept(values: Iterable[Any]) -> Iterator[Any]:
    """The modules, optimisers and generators among the values, and in the containers there are."""
    for value in values:
        if isinstance(value, nn.Module | torch.optim.Optimizer | torch.Generator | np.random.Generator):
            yield value
        elif isinstance(value, dict):
            yield from _kept(value.values())
        elif isinstance(value, list | tuple):
            yield from _kept(value)


def _of_optimiser(optimiser: torch.optim.Optimizer) -> Restore:
    groups = [{**group, "params": list(group["params"])} for group in optimiser.param_groups]
    averages = {parameter: {key: value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)
                            for key, value in state.items()} for parameter, state in optimiser.state.items()}

    def restore() -> None:
        optimiser.param_groups[:] = groups
        optimiser.state.clear()
        optimiser.state.update(averages)

    return restore


def _set_state(generator: torch.Generator, state: Tensor) -> None:
    generator.set_state(state)


@torch.no_grad()
def _put_back(tensor: Tensor, value: Tensor, trains: bool) -> None:
    if tensor.shape == value.shape and tensor.dtype == value.dtype:
        tensor.copy_(value)
    else:
        tensor.data = value
    if tensor.requires_grad != trains:
        tensor.requires_grad_(trains)
    tensor.grad = None
