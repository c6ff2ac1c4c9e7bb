"""A strategy can be made durable like any learner: every `learn` is on the disk, and is learned again alike."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from engram.learner import Bounded, InputError
from engram.networks.strategies.elastic_weight_consolidation import ElasticWeightConsolidation
from engram.networks.strategies.experience_replay import ExperienceReplay
from engram.networks.strategies.grow_and_prune import GrowAndPrune
from engram.store.durable import Durable

NETWORK = {"name": "perceptron", "inputs": [5], "hidden": [12]}
RECIPE = {"constant_budget": 450, "averaging": 0}
X = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
LABELS = ["cat", "dog", "fox"] * 20
STRATEGIES = {
    "replay": lambda: ExperienceReplay(NETWORK, capacity=10, batch=8),
    "EWC": lambda: ElasticWeightConsolidation(NETWORK, samples=10, batch=8),
    "grow and prune": lambda: GrowAndPrune(NETWORK, parameters=60, recipe=RECIPE, batch=8),
}


def live(learner: Any) -> None:
    learner.learn(X[:20], LABELS[:20])
    learner.consolidate()
    learner.learn(X[20], "owl")
    learner.learn(X[21:40], LABELS[21:40])


def agree(one: Any, two: Any) -> bool:
    first, second = one.state(), two.state()
    return first.keys() == second.keys() and all(np.array_equal(array, second[name]) for name, array in first.items())


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("snapshot_every", [2, 100])
def test_what_was_learned_is_there_when_opened_again(name: str, snapshot_every: int, tmp_path: Path) -> None:
    twin = STRATEGIES[name]()
    live(twin)
    durable = Durable.create(tmp_path / "a", STRATEGIES[name](), snapshot_every=snapshot_every)
    assert isinstance(durable, Bounded)
    assert durable.boundaries == twin.boundaries
    live(durable)
    shutil.copytree(tmp_path / "a", tmp_path / "b")  # what a killed program leaves behind
    with Durable.open(tmp_path / "b", type(twin)) as opened:
        assert agree(opened.learner, twin)
        assert opened.verify() == []
        for one in (opened, twin):
            one.learn(X[40:], LABELS[40:])
        assert agree(opened.learner, twin)
        assert np.array_equal(opened.predict(X).scores, twin.predict(X).scores)
    durable.close()


def test_what_is_refused_is_not_written_down(tmp_path: Path) -> None:
    with Durable.create(tmp_path, STRATEGIES["replay"]()) as durable:
        durable.learn(X[:4], LABELS[:4])
        last = durable.log.last
        with pytest.raises(InputError):
            durable.learn(X[:4, :3], LABELS[:4])
        assert durable.log.last == last


def test_a_network_of_ones_own_is_given_again_by_rebuild(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    def network() -> Any:
        return torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.ReLU())

    def rebuild(state: Any) -> Any:
        return ExperienceReplay.from_state(state, network=network())

    made = ExperienceReplay(network(), shape=(5,), capacity=10, batch=8)
    with pytest.raises(InputError, match="rebuild="):
        Durable.create(tmp_path / "without", made)
    assert not (tmp_path / "without").exists()
    with Durable.create(tmp_path / "with", made, rebuild=rebuild) as durable:
        live(durable)
        scores = durable.predict(X).scores
    with Durable.open(tmp_path / "with", ExperienceReplay, rebuild=rebuild) as opened:
        assert np.array_equal(opened.predict(X).scores, scores)
