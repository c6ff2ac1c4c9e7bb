"""The optimiser: made by name, carried over when parameters get rows, saved as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from engram.learner import InputError, State

Optimiser = torch.optim.Optimizer

# name -> class and its settings beside the learning rate.
OPTIMISERS: dict[str, tuple[type[Optimiser], dict[str, Any]]] = {
    "adam": (torch.optim.Adam, {"fused": True}),
    "adamw": (torch.optim.AdamW, {"weight_decay": 0.01, "fused": True}),
    "sgd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
}


def make(
    name: str, parameters: Iterable[nn.Parameter], learning_rate: float, weight_decay: float | None = None
) -> Optimiser:
    """The optimiser of that name.

    Args:
        weight_decay: None for what is usual with this optimiser.

    Raises:
        InputError: there is none.
    """
    if name not in OPTIMISERS:
        raise InputError(f"Unknown optimiser {name!r}. Choose from: {', '.join(OPTIMISERS)}.")
    kind, settings = OPTIMISERS[name]
    if weight_decay is not None:
        settings = {**settings, "weight_decay": weight_decay}
    made: Optimiser = kind(parameters, lr=learning_rate, **settings)  # type: ignore[call-arg]
    return made


def parameters_of(optimiser: Optimiser) -> list[nn.Parameter]:
    """Every parameter it trains, in order."""
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def exchange(optimiser: Optimiser, grown: Mapping[nn.Parameter, nn.Parameter]) -> None:
    """Let it train grown parameters in place of old ones, with their running averages: zeros where they are new."""
    for group in optimiser.param_groups:
        group["params"] = [grown.get(parameter, parameter) for parameter in group["params"]]
    for old, new in grown.items():
        if old in optimiser.state:
            averages = optimiser.state.pop(old)
            optimiser.state[new] = {key: _padded(value, new) for key, value in averages.items()}


def settings_of(optimiser: Optimiser) -> list[dict[str, Any]]:
    """Learning rate and other settings of each group of parameters, as JSON values."""
    return [{name: value for name, value in group.items() if isinstance(value, bool | int | float | str | list | tuple)
             and name != "params"} for group in optimiser.param_groups]


def set_up(optimiser: Optimiser, settings: Sequence[Mapping[str, Any]]) -> None:
    """Take back what `settings_of` gave.

    Raises:
        ValueError: for another number of groups.
    """
    for group, own in zip(optimiser.param_groups, settings, strict=True):
        group.update({name: tuple(value) if isinstance(value, list) else value for name, value in own.items()})


def arrays_of(optimiser: Optimiser) -> State:
    """The running averages as arrays, named by the place of their parameter."""
    return {
        f"{place}.{key}": np.array(torch.as_tensor(value).cpu().numpy(), order="C")
        for place, parameter in enumerate(parameters_of(optimiser))
        for key, value in optimiser.state.get(parameter, {}).items()
        if value is not None
    }


def restore(optimiser: Optimiser, state: Mapping[str, npt.NDArray[Any]]) -> None:
    """Take back what `arrays_of` gave.

    Raises:
        ValueError: it belongs to parameters of other shapes.
    """
    trained = parameters_of(optimiser)
    for name, array in state.items():
        place, _, key = name.partition(".")
        parameter = trained[int(place)]
        value = torch.from_numpy(np.array(array)).to(parameter.device)
        if value.ndim and value.shape != parameter.shape:
            raise ValueError(f"{name} has the shape {tuple(value.shape)}, its parameter {tuple(parameter.shape)}")
        # in the parameter's own memory layout: a fused step pairs what lies at the same place in memory
        optimiser.state[parameter][key] = torch.zeros_like(parameter).copy_(value) if value.ndim else value


def _padded(value: Any, like: Tensor) -> Any:
    if not isinstance(value, Tensor) or not value.ndim or value.shape == like.shape:
        return value
    larger = torch.zeros_like(like)
    larger[: len(value)] = value
    return larger
