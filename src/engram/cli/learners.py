"""The learners that the terminal can make by name: a table, and how a name with settings becomes a learner."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from engram.features.backbones.bundle import Bundle
    from engram.lab.streams.stream import Stream
    from engram.learner import Learner


@dataclass(frozen=True)
class Entry:
    """Where a learner is and what it is made with.

    Attributes:
        path: "module:class".
        arguments: of its constructor, unless the user says otherwise.
        network: the `spec` of the network that it trains, its inputs left out; None for a head.
    """

    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] | None = None


PERCEPTRON = {"name": "perceptron", "hidden": [400, 400]}  # that of van de Ven, Tolias 2018 for Split-MNIST
LENET = {"name": "perceptron", "hidden": [300, 100]}  # LeNet-300-100: LeCun et al. 1998

LEARNERS = {
    "fast": Entry("engram.heads.fast:FastHead"),
    "nearest_class_mean": Entry("engram.heads.nearest_class_mean:NearestClassMean"),
    "streaming_lda": Entry("engram.heads.streaming_lda:StreamingLDA"),
    "ridge": Entry("engram.heads.ridge:Ridge"),
    "ranpac": Entry("engram.heads.ranpac:RanPAC"),
    "nearest_neighbors": Entry("engram.heads.nearest_neighbors:NearestNeighbors"),
    "hopfield": Entry("engram.heads.hopfield:Hopfield"),
    "k_winners_take_all": Entry("engram.heads.k_winners_take_all:KWinnersTakeAll"),
    "fuzzy_artmap": Entry("engram.heads.fuzzy_artmap:FuzzyARTMAP"),
    "online_prototypes": Entry("engram.heads.online_prototypes:OnlinePrototypes"),
    "naive": Entry("engram.networks.strategies.naive:Naive", network=PERCEPTRON),
    "joint": Entry("engram.networks.strategies.joint:Joint", network=PERCEPTRON),
    "experience_replay": Entry("engram.networks.strategies.experience_replay:ExperienceReplay", network=PERCEPTRON),
    "elastic_weight_consolidation": Entry(
        "engram.networks.strategies.elastic_weight_consolidation:ElasticWeightConsolidation", network=PERCEPTRON
    ),
    "learning_without_forgetting": Entry(
        "engram.networks.strategies.learning_without_forgetting:LearningWithoutForgetting", network=PERCEPTRON
    ),
    "grow_and_prune": Entry("engram.networks.strategies.grow_and_prune:GrowAndPrune", network=LENET),
    "train_from_scratch": Entry("engram.networks.strategies.train_from_scratch:TrainFromScratch", network=LENET),
    "network_fine_tuning": Entry("engram.networks.strategies.network_fine_tuning:NetworkFineTuning", network=LENET),
    "nest": Entry("engram.networks.strategies.nest:NeST", network=LENET),
    "dynamic_sparse_training": Entry(
        "engram.networks.strategies.dynamic_sparse_training:DynamicSparseTraining", network=LENET
    ),
}

SHORT = {"er": "experience_replay", "ewc": "elastic_weight_consolidation", "lwf": "learning_without_forgetting",
         "tfs": "train_from_scratch", "nft": "network_fine_tuning"}
"""What the papers call them."""


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
    name = SHORT.get(given, given.replace("-", "_"))
    if name not in LEARNERS:
        raise typer.BadParameter(f"There is no learner {given!r}. Learners: {', '.join(LEARNERS)}.")
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
            raise typer.BadParameter(f"A setting is KEY=VALUE, not {text!r}.")
        *outer, last = key.split(".")
        inside = found
        for name in outer:
            inside = inside.setdefault(name, {})
            if not isinstance(inside, dict):
                raise typer.BadParameter(f"{name} is set both as a whole and in part: {text!r}.")
        try:
            inside[last] = json.loads(value)
        except ValueError:
            inside[last] = value
    return found


def kind_of(name: str) -> Any:
    """The class of a learner in the table, imported now.

    Raises:
        InputError: it needs a package that is not installed.
    """
    entry = LEARNERS[name]
    if entry.network is not None:
        from engram.extras import check

        check(f"{name} trains a network: it", "train")
    module, _, attribute = entry.path.partition(":")
    return getattr(import_module(module), attribute)


def make(name: str, chosen: Mapping[str, Any], stream: Stream, seed: int, bundle: Bundle | None = None) -> Learner:
    """A fresh learner for the inputs of a stream.

    A head takes the statistics of the backbone, where one is given; a network is made for the stream's inputs, and
    where the stream tells the task, only the outputs of the task compete.

    Raises:
        BadParameter: a setting that it does not take.
        EngramError: a value that it refuses.
    """
    entry, kind = LEARNERS[name], kind_of(name)
    offered: dict[str, Any] = {"seed": seed}
    if entry.network is not None:
        offered["network"] = {**entry.network, "inputs": list(stream.input_shape), "seed": seed}
        offered["active"] = "experience" if all(experience.among for experience in stream) else "all"
    elif bundle is not None:
        offered |= {"mean": bundle.mean, "covariance": bundle.covariance, "step": bundle.step,
                    "normalise": bundle.normalise}
    taken = parameters(kind)
    unknown = set(chosen) - taken
    if unknown:
        raise typer.BadParameter(f"{name} takes no {', '.join(sorted(unknown))}. It takes {', '.join(sorted(taken))}.")
    usable = {key: value for key, value in offered.items() if key in taken}
    learner: Learner = kind(**{**usable, **entry.arguments, **chosen})
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
