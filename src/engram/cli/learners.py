"""The learners that the terminal can make by name: how a name with settings becomes a head or a strategy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any

import typer

from engram.extension import Extension, Extensions
from engram.heads import HEADS
from engram.networks.strategies import STRATEGIES

if TYPE_CHECKING:
    from engram.features.backbones.bundle import Bundle
    from engram.lab.streams.stream import Stream
    from engram.learner import Learner


def table() -> Extensions[Extension]:
    """The heads and the strategies, as their rooms list them now."""
    return Extensions("learner", {**HEADS, **STRATEGIES})


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Name and settings out of NAME or NAME:KEY=VALUE,KEY=VALUE; values are read as JSON where they can be.

    A name may be a short one, and have hyphens.

    Raises:
        BadParameter: no such learner, or no settings.

    >>> parse("nearest_neighbors:k=3,weights=distance")
    ('nearest_neighbors', {'k': 3, 'weights': 'distance'})
    >>> parse("grow-and-prune:parameters=9000,recipe.all_epochs=3")
    ('grow_and_prune', {'parameters': 9000, 'recipe': {'all_epochs': 3}})
    """
    given, _, rest = text.partition(":")
    try:
        name = table().name_of(given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return name, settings(rest.split(",") if rest else [])


def settings(texts: list[str]) -> dict[str, Any]:
    """KEY=VALUE texts as a dictionary; values are read as JSON where they can be. KEY.KEY=VALUE is within a dictionary.

    Raises:
        BadParameter: a text without an equals sign.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"A setting must be KEY=VALUE, not {text!r}.")
        *outer, last = key.split(".")
        inside = found
        for name in outer:
            inside = inside.setdefault(name, {})
            if not isinstance(inside, dict):
                raise typer.BadParameter(f"{name} is set as a whole and again in part: {text!r}.")
        try:
            inside[last] = json.loads(value)
        except ValueError:
            inside[last] = value
    return found


def make(name: str, chosen: Mapping[str, Any], stream: Stream, seed: int, bundle: Bundle | None = None) -> Learner:
    """A fresh learner for the inputs of a stream.

    A head takes the statistics of the backbone, where one is given; a network is made for the stream's inputs, and
    where the stream tells the task, only the outputs of the task compete.

    Raises:
        BadParameter: a setting that it does not take.
        EngramError: a value that it refuses.
    """
    row, kind = table()[name], table().load(name)
    offered: dict[str, Any] = {"seed": seed}
    if (network := row.settings.get("network")) is not None:
        offered["network"] = {**network, "inputs": list(stream.input_shape), "seed": seed}
        offered["active"] = "experience" if all(experience.among for experience in stream) else "all"
    elif bundle is not None:
        offered |= {"mean": bundle.mean, "covariance": bundle.covariance, "step": bundle.step,
                    "normalise": bundle.normalise}
    taken = parameters(kind)
    unknown = set(chosen) - taken
    if unknown:
        raise typer.BadParameter(f"{name} takes no {', '.join(sorted(unknown))}. It takes {', '.join(sorted(taken))}.")
    usable = {key: value for key, value in offered.items() if key in taken}
    learner: Learner = kind(**{**row.settings, **usable, **chosen})
    return learner


def parameters(kind: type) -> set[str]:
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
