"""Learners by name, made for a stream so that they can be compared: all networks alike, all trained as long."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from importlib import import_module
from inspect import signature
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engram.extension import Extension, Extensions
from engram.heads import HEADS
from engram.networks.strategies import STRATEGIES

if TYPE_CHECKING:  # the terminal's help reads this module, and must not wait for numpy
    from engram.features.backbones.bundle import Bundle
    from engram.lab.streams.stream import Stream
    from engram.learner import Learner

HIDDEN = (200, 100)
"""Units of the hidden layers of the network that every strategy gets, unless a user says otherwise."""

STEPS, BATCH = 300, 32
"""The training of each experience, unless a user says otherwise: so many steps, or one pass if that is more."""

DENSITY = 0.25
"""Share of that network's parameters that methods which prune it leave alive, unless a user says otherwise."""


def learner_table() -> Extensions[Extension]:
    """The heads and the strategies, as their rooms list them now."""
    return Extensions("learner", {**HEADS, **STRATEGIES})


def kind_of(name: str) -> tuple[type, Mapping[str, Any]]:
    """The class of a learner, and the settings of its row.

    Args:
        name: of the table; or "module:name", imported from the current folder or the installed packages.

    Raises:
        InputError: there is none, or an extra that it needs is missing.
    """
    if ":" not in name:
        table = learner_table()
        return table.load(name), table[table.name_of(name)].settings
    from engram.learner import InputError

    found = imported(name)
    if not isinstance(found, type):
        raise InputError(f"{name} is not the class of a learner.")
    return found, {}


def imported(name: str) -> Any:
    """What "module:name" names, in the current folder or the installed packages.

    Raises:
        InputError: there is no such module, or it has no such attribute.
    """
    from engram.learner import InputError

    module, _, attribute = name.partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return getattr(import_module(module), attribute)
    except ImportError as error:
        raise InputError(f"{module} cannot be imported: {error}") from error
    except AttributeError as error:
        raise InputError(f"{module} has no {attribute!r}.") from error


def make_learner(
    name: str, chosen: Mapping[str, Any], stream: Stream, seed: int, bundle: Bundle | None = None
) -> Learner:
    """A fresh learner for the inputs of a stream.

    A head takes the statistics of the backbone, where one is given. A strategy gets a network for the stream's inputs
    (`HIDDEN`) and a budget (`STEPS`, `BATCH`), the same for all; where the stream tells the task, only the outputs of
    the task compete. `network="module:name"` is a function from the shape of an input to a module.

    Raises:
        InputError: a setting that it does not take, or a value that it refuses.
    """
    kind, settings = kind_of(name)
    taken = require_taken(name, chosen)
    offered: dict[str, Any] = {"seed": seed}
    if "network" in taken:
        network = chosen.get("network") or {"name": "perceptron", "hidden": list(HIDDEN)}
        offered |= _trained(stream, taken, chosen, network, seed)
        chosen = {key: value for key, value in chosen.items() if key not in ("network", "recipe")}
    elif bundle is not None:
        offered |= {"mean": bundle.mean, "covariance": bundle.covariance, "step": bundle.step,
                    "normalise": bundle.normalise, "scaled": bundle.scaled, "units": bundle.units}
    usable = {key: value for key, value in offered.items() if key in taken}
    learner: Learner = kind(**{**settings, **usable, **chosen})
    return learner


def require_taken(name: str, chosen: Mapping[str, Any]) -> set[str]:
    """All settings that a learner takes.

    Raises:
        InputError: it does not take one of those chosen; or see `kind_of`.
    """
    from engram.learner import InputError

    taken = parameters_of(kind_of(name)[0])
    if unknown := set(chosen) - taken:
        raise InputError(f"{name} takes no {', '.join(sorted(unknown))}. It takes {', '.join(sorted(taken))}.")
    return taken


def _trained(
    stream: Stream, taken: set[str], chosen: Mapping[str, Any], network: Any, seed: int
) -> dict[str, Any]:
    """What a strategy is made with, so that it has the same network and the same budget as every other."""
    steps, batch = steps_of(stream), int(chosen.get("batch", BATCH))
    offered: dict[str, Any] = {
        "active": "experience" if all(experience.among for experience in stream) else "all",
        "batch": batch, **({} if "epochs" in chosen else {"steps": steps}),
        "network": {"inputs": list(stream.input_shape), "seed": seed, **network} if isinstance(network, Mapping)
        else _own_network(network, stream, seed), "shape": stream.input_shape,
    }
    if "recipe" in taken:
        recipe = chosen.get("recipe", {})
        offered["recipe"] = {"constant_budget": steps * batch, **recipe} if isinstance(recipe, Mapping) else recipe
        widths = [math.prod(stream.input_shape), *HIDDEN]
        dense = sum(above * below + below for above, below in pairwise(widths))
        offered["parameters"] = max(12_000, round(DENSITY * dense))
    return offered


def _own_network(name: str, stream: Stream, seed: int) -> Any:
    from engram.networks.strategies.networks import seeded

    with seeded(seed):
        return imported(name)(stream.input_shape)


def steps_of(stream: Stream) -> int:
    """Steps for each call of `learn`: `STEPS` or one pass for an experience, divided among the calls that bring it."""
    largest = max(len(experience.train) for experience in stream)
    steps = max(STEPS, -(-largest // BATCH))
    calls = 1 if stream.batch is None else -(-largest // stream.batch)
    return -(-steps // calls)


def parameters_of(kind: type) -> set[str]:
    """What a constructor can be told by name; one that passes settings on takes those of the class above too."""
    found: set[str] = set()
    for ancestor in kind.__mro__:
        if "__init__" in vars(ancestor) and ancestor is not object:
            told = list(signature(vars(ancestor)["__init__"]).parameters.values())[1:]
            found |= {parameter.name for parameter in told if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD,
                                                                                parameter.KEYWORD_ONLY)}
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in told):
                break
    return found
