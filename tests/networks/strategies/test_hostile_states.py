"""A saved network that does not fit, or that was tampered with, is refused before anything large is made of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engram.learner import DamagedError  # noqa: E402
from engram.networks.strategies.elastic_weight_consolidation import ElasticWeightConsolidation  # noqa: E402
from engram.networks.strategies.experience_replay import ExperienceReplay  # noqa: E402
from engram.networks.strategies.joint import Joint  # noqa: E402
from engram.networks.strategies.networks import perceptron  # noqa: E402

SPEC = {"name": "perceptron", "inputs": [3], "hidden": [5]}
INPUTS = np.eye(3, dtype=np.float32)
State = dict[str, Any]


def saved(kind: type[Any]) -> State:
    learner = kind(SPEC)
    learner.learn(INPUTS, ["a", "b", "a"])
    return dict(learner.state())


def about(state: State, **changes: Any) -> State:
    described = json.loads(state["about"].tobytes())
    described |= changes
    return state | {"about": np.frombuffer(json.dumps(described).encode(), np.uint8)}


def first(state: State, part: str) -> str:
    return next(name for name in sorted(state) if name.startswith(part))


TAMPERED: dict[str, Callable[[State], State]] = {
    "a network of terabytes": lambda s: about(s, network=SPEC | {"inputs": [2**20], "hidden": [2**22]}),
    "another network": lambda s: about(s, network=SPEC | {"hidden": [6]}),
    "no such network": lambda s: about(s, network={"name": "os.system"}),
    "a label too many": lambda s: about(s, labels=["a", "b", "c"]),
    "labels that are none": lambda s: about(s, labels=["a", 1.5]),
    "a weight that is not a number": lambda s: s | {"network/outputs.bias": np.array([np.nan, 0], np.float32)},
    "kept labels there are not": lambda s: s | {"remembered/kept:targets": np.array([0, 1, 7])},
    "kept labels below zero": lambda s: s | {"remembered/kept:targets": np.array([0, 1, -1])},
    "kept inputs of another shape": lambda s: s | {"remembered/kept:inputs": np.zeros((3, 4), np.float32)},
    "kept inputs that are not numbers": lambda s: s | {"remembered/kept:inputs": np.full((3, 3), np.inf, np.float32)},
    "companions of other labels": lambda s: s | {"companions": np.ones((3, 3), bool)},
    "a generator of another size": lambda s: s | {"generator": np.zeros(3, np.uint8)},
    "an optimiser of another shape": lambda s: s | {first(s, "optimiser/0.exp"): np.zeros((2, 2), np.float32)},
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_state_is_refused(what: str) -> None:
    with pytest.raises(DamagedError):
        Joint.from_state(TAMPERED[what](saved(Joint)))


def test_replay_refuses_a_memory_that_says_it_is_immense() -> None:
    state = saved(ExperienceReplay)
    state["remembered/memory:counters"] = np.array([1 << 50, 3])
    with pytest.raises(DamagedError):
        ExperienceReplay.from_state(state)


def test_replay_refuses_examples_of_labels_there_are_not() -> None:
    state = saved(ExperienceReplay)
    state["remembered/memory:column1"] = np.full_like(state["remembered/memory:column1"], 9)
    with pytest.raises(DamagedError):
        ExperienceReplay.from_state(state)


def test_a_state_can_be_opened_on_another_device() -> None:
    state = saved(Joint)
    described = json.loads(state["about"].tobytes())
    described["config"]["device"] = "cuda"
    moved = Joint.from_state(about(state, **described), device="cpu")
    assert moved.device == "cpu"
    assert moved.predict(INPUTS).labels == Joint.from_state(state).predict(INPUTS).labels


def test_springs_hold_what_is_trained_and_leave_frozen_layers_alone() -> None:
    network = perceptron(3, (5,))
    network[1].requires_grad_(False)
    learner = ElasticWeightConsolidation(network)
    learner.learn(INPUTS, ["a", "b", "a"])
    learner.consolidate()
    assert set(learner.importance) == {"outputs.weight", "outputs.bias"}
