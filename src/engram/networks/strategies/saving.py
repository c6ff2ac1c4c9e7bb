"""A strategy as a dictionary of arrays, and back."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from engram.heads.head import from_json_array, json_array
from engram.inputs.vectors import kept_labels
from engram.learner import DamagedError, InputError, State
from engram.networks.module_copy import module_copy
from engram.networks.strategies import optimiser as optimisers
from engram.networks.strategies.growing_network import Knowledge
from engram.networks.strategies.networks import build
from engram.networks.structure.compact import compact, expand

if TYPE_CHECKING:
    from engram.networks.strategies.network_learner import NetworkLearner

S = TypeVar("S", bound="NetworkLearner")


def config(strategy: NetworkLearner) -> dict[str, Any]:
    """The arguments of the constructor but the network, as JSON values: each is an attribute of the same name."""
    constructors = [vars(kind)["__init__"] for kind in type(strategy).__mro__[:-1] if "__init__" in vars(kind)]
    parameters = [p for constructor in constructors for p in inspect.signature(constructor).parameters.values()]
    names = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} - {"self", "network"}
    values = {name: getattr(strategy, name) for name in sorted(names)}
    return {name: asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
            for name, value in values.items()}


def pack(strategy: NetworkLearner) -> State:
    """Everything that `unpack` needs; no pickle."""
    about = {"strategy": type(strategy).__name__, "config": config(strategy), "labels": list(strategy.labels),
             "network": getattr(strategy.network, "spec", None), "frozen": strategy.whole.frozen,
             "resting": sorted(strategy.whole.resting)}
    parts = {
        "network": compact({name: tensor.cpu().numpy() for name, tensor in strategy.whole.state_dict().items()}),
        "optimiser": optimisers.arrays_of(strategy.steps),
        "remembered": strategy.remembered(),
    }
    arrays = {f"{part}/{name}": array for part, content in parts.items() for name, array in content.items()}
    return {"about": json_array(about), "companions": strategy.companions.cpu().numpy().copy(),
            "generator": strategy.generator.get_state().numpy().copy(), **arrays}


def unpack(
    kind: type[S], state: Mapping[str, npt.NDArray[Any]], network: nn.Module | None = None, device: str | None = None
) -> S:
    """The strategy that was packed. See `Strategy.from_state`."""
    try:
        about = from_json_array(state["about"])
        unnamed = network is None and about["network"] is None
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DamagedError(f"Not a saved {kind.__name__}: {error}") from error
    if unnamed:
        raise InputError(f"{kind.__name__}.from_state needs the network it was made with: pass network=...")
    try:
        if about["strategy"] != kind.__name__:
            raise DamagedError(f"This is a saved {about['strategy']}, not a {kind.__name__}.")
        settings = about["config"] | ({} if device is None else {"device": device})
        tensors = expand(_part(state, "network"))
        if network is None:
            _require_shapes(about["network"], tensors)  # before anything as large as they say is made
        frozen = about.get("frozen", ()), about.get("resting", ())  # earlier versions did not say
        given: Any = about["network"] if network is None else network
        made = kind(_frozen(given, *frozen) if any(frozen) else given, **settings)
        _restore(made, about, tensors, state)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError, RecursionError, MemoryError,
            OverflowError) as error:
        raise DamagedError(f"Not a saved {kind.__name__}: {error}") from error
    return made


def _part(state: Mapping[str, npt.NDArray[Any]], name: str) -> State:
    return {key.removeprefix(f"{name}/"): np.array(array) for key, array in state.items() if key.startswith(f"{name}/")}


def _frozen(
    network: nn.Module | Mapping[str, Any], parameters: Iterable[str], resting: Iterable[str]
) -> nn.Module:
    """The network, or a copy of the one that was passed, frozen as the saved one was."""
    own = module_copy(network) if isinstance(network, nn.Module) else build(network)
    for name in parameters:
        own.get_parameter(name).requires_grad_(False)
    for name in resting:
        own.get_submodule(name).training = False
    return own


def _require_shapes(spec: Mapping[str, Any], tensors: State) -> None:
    """The network of this description has the tensors that were saved; nothing is allocated to find out."""
    with torch.device("meta"):
        described = {f"network.{name}": tuple(t.shape) for name, t in build(spec).state_dict().items()}
    for name, shape in described.items():
        if tensors[name].shape != shape:
            raise ValueError(f"{name} has the shape {tensors[name].shape}, the network described {shape}")


def _restore(
    strategy: NetworkLearner, about: Mapping[str, Any], tensors: State, state: Mapping[str, npt.NDArray[Any]]
) -> None:
    labels = about["labels"]
    for name, array in tensors.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinity")
    known = {name: torch.from_numpy(array).to(strategy.device) for name, array in tensors.items()}
    strategy.become(Knowledge(tuple(kept_labels(labels, len(labels))), known))
    strategy.recall(_part(state, "remembered"))
    companions = np.array(state["companions"], bool)
    if companions.shape != (len(labels), len(labels)):
        raise ValueError(f"{companions.shape} companions of {len(labels)} labels")
    strategy.companions = torch.from_numpy(companions).to(strategy.device)
    strategy.generator.set_state(torch.from_numpy(np.array(state["generator"])))
    optimisers.restore(strategy.steps, _part(state, "optimiser"))
