"""The parts of a method: what it remembers beside its network. Each is moved to a device, saved and restored by its
kind.

| kind | what is saved |
|---|---|
| a number or truth value, a tensor, an array | itself |
| tensors by name | each |
| a module | its parameters and buffers |
| an optimiser | its running averages, and the settings of its groups |
| a generator of random numbers | where it stands |
| a schedule of learning rates, or whatever has `state_dict` and `load_state_dict` of JSON values | that |
| a buffer, or whatever has `state` and `from_state` | that |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from engram.heads.head import from_json_array, json_array
from engram.learner import InputError, State
from engram.networks.generators.generative_model import GenerativeModel
from engram.networks.memory import Buffer
from engram.networks.strategies import optimiser as optimisers

GROUPS = "groups"


def moved(part: Any, device: str) -> Any:
    """The part on the device, where it is of a kind that has one."""
    if isinstance(part, dict):
        return {name: moved(value, device) for name, value in part.items()}
    return part.to(device) if hasattr(part, "to") else part


def trained(part: Any) -> Iterator[Tensor]:
    """The tensors in it that training changes: they have to stay numbers."""
    if isinstance(part, nn.Module):
        yield from part.parameters()
    elif isinstance(part, torch.optim.Optimizer):
        for averages in part.state.values():
            yield from (value for value in averages.values() if isinstance(value, Tensor))
    elif isinstance(part, GenerativeModel):
        yield from part.tensors().values()
    else:
        values = part.values() if isinstance(part, dict) else [part]
        yield from (value for value in values if isinstance(value, Tensor) and value.is_floating_point())


def packed(name: str, part: Any) -> State:
    """What is to be saved of a part, as copies: one array under its name, or several under "name:…".

    Raises:
        InputError: it is of no kind that can be saved.

    >>> packed("centre", {"weight": torch.ones(1), "bias": torch.zeros(1)})
    {'centre:weight': array([1.], dtype=float32), 'centre:bias': array([0.], dtype=float32)}
    """
    if isinstance(part, bool | int | float | np.ndarray):
        return {name: np.array(part)}
    if isinstance(part, Tensor):
        return {name: part.detach().cpu().numpy().copy()}
    if isinstance(part, torch.Generator):
        return {name: part.get_state().numpy().copy()}
    if isinstance(part, np.random.Generator):
        return {name: json_array(part.bit_generator.state)}
    if isinstance(part, torch.optim.Optimizer):
        inside = {**optimisers.arrays_of(part), GROUPS: json_array(optimisers.settings_of(part))}
    elif isinstance(part, nn.Module):
        inside = _arrays(part.state_dict())
    elif isinstance(part, dict):
        inside = _arrays(part)
    elif hasattr(part, "from_state"):
        inside = part.state()
    elif hasattr(part, "load_state_dict"):
        return {name: json_array(part.state_dict())}
    else:
        raise InputError(f"{name} is a {type(part).__name__}, which cannot be saved: register a number, a tensor, a "
                         "dictionary of tensors, an array, a module, an optimiser, a buffer, or what has state() and "
                         "from_state().")
    return {f"{name}:{key}": array for key, array in inside.items()}


def unpacked(part: Any, inside: Mapping[str, npt.NDArray[Any]], device: str) -> Any:
    """The part that was saved; modules, optimisers, generators and schedules are the given ones with what was saved.

    Args:
        part: one of its kind, as a fresh method has it.
        inside: arrays, by what follows the part's name and a colon; "" for the array under its name alone.

    Raises:
        KeyError, ValueError, TypeError, RuntimeError: it does not fit, or holds NaN.
    """
    if isinstance(part, bool | int | float):
        return type(part)(inside[""].item())
    if isinstance(part, np.ndarray):
        return np.array(inside[""])
    if isinstance(part, Tensor):
        return torch.from_numpy(inside[""].copy()).to(device)
    if isinstance(part, dict):
        return {key: torch.from_numpy(array.copy()).to(device) for key, array in inside.items()}
    if isinstance(part, torch.Generator):
        part.set_state(torch.from_numpy(inside[""].copy()))
    elif isinstance(part, np.random.Generator):
        part.bit_generator.state = from_json_array(inside[""])
    elif isinstance(part, torch.optim.Optimizer):
        optimisers.restore(part, {key: array for key, array in inside.items() if key != GROUPS})
        optimisers.set_up(part, from_json_array(inside[GROUPS]))
    elif isinstance(part, nn.Module):
        if any(np.isnan(array).any() for array in inside.values() if array.dtype.kind == "f"):
            raise ValueError(f"a {type(part).__name__} that holds NaN")
        part.load_state_dict({key: torch.from_numpy(array.copy()) for key, array in inside.items()})
    elif hasattr(part, "from_state"):
        if isinstance(part, Buffer) and inside["counters"][0] != part.capacity:  # before its memory is taken
            raise ValueError(f"a memory of {inside['counters'][0]} examples, where {part.capacity} are kept")
        return moved(type(part).from_state(dict(inside)), device)
    else:
        part.load_state_dict(from_json_array(inside[""]))
    return part


def _arrays(tensors: Mapping[str, Tensor]) -> State:
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}
