"""An interrupted learning leaves no trace, and nobody who asks meanwhile sees one."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engram.learner import Consolidation, InputError  # noqa: E402
from engram.networks.strategies.dynamic_sparse_training import DynamicSparseTraining  # noqa: E402
from engram.networks.strategies.elastic_weight_consolidation import ElasticWeightConsolidation  # noqa: E402
from engram.networks.strategies.experience_replay import ExperienceReplay  # noqa: E402
from engram.networks.strategies.grow_and_prune import GrowAndPrune  # noqa: E402
from engram.networks.strategies.joint import Joint  # noqa: E402
from engram.networks.strategies.learning_without_forgetting import LearningWithoutForgetting  # noqa: E402
from engram.networks.strategies.naive import Naive  # noqa: E402
from engram.networks.strategies.nest import NeST  # noqa: E402
from engram.networks.strategies.network_fine_tuning import NetworkFineTuning  # noqa: E402
from engram.networks.strategies.strategy import Strategy  # noqa: E402
from engram.networks.strategies.train_from_scratch import TrainFromScratch  # noqa: E402
from engram.networks.strategies.update_recipe import PATENT, UpdateRecipe  # noqa: E402

SPEC = {"name": "perceptron", "inputs": [4], "hidden": [12]}
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(60, 4)).astype(np.float32)
LABELS = ["a", "b", "c"] * 20


class Interrupted(Naive):
    """Stops in the middle of learning, once, when told to."""

    stop_at = -1
    seen = 0

    def training_step(self, inputs: Any, targets: Any) -> Any:
        self.seen += 1
        if self.seen == self.stop_at:
            raise KeyboardInterrupt
        return super().training_step(inputs, targets)


def make() -> Interrupted:
    return Interrupted(SPEC, epochs=3, batch=8, active="experience")


def test_learning_that_is_interrupted_and_repeated_ends_where_it_would_have_ended_at_once() -> None:
    stopped, straight = make(), make()
    for learner in (stopped, straight):
        learner.learn(INPUTS[:20], LABELS[:20])
    before = stopped.state()
    stopped.stop_at = stopped.seen + 5
    with pytest.raises(KeyboardInterrupt):
        stopped.learn(INPUTS, ["a", "b", "d"] * 20)
    stopped.stop_at, after = -1, stopped.state()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    for learner in (stopped, straight):
        learner.learn(INPUTS, ["a", "b", "d"] * 20)
    assert np.array_equal(stopped.predict(INPUTS).scores, straight.predict(INPUTS).scores)


def test_many_may_ask_while_it_learns() -> None:
    learner = Naive(SPEC, epochs=60, batch=8)
    learner.learn(INPUTS[:20], LABELS[:20])
    before = learner.predict(INPUTS).scores
    wrong: list[Any] = []
    done = threading.Event()

    def ask() -> None:
        try:
            while not done.is_set():
                scores = learner.predict(INPUTS).scores
                if not done.is_set() and learner._answering._before is not None and not np.allclose(scores, before):
                    wrong.append(scores)
        except Exception as error:
            wrong.append(error)

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    learner.learn(INPUTS, LABELS)
    done.set()
    for asker in askers:
        asker.join(30)
    assert not wrong


def test_a_compression_that_is_interrupted_leaves_the_network_and_its_report() -> None:
    recipe = {"constant_budget": 0, "all_epochs": 2, "prune_epochs": 4}
    learner = GrowAndPrune(SPEC, parameters=60, batch=8, recipe=recipe)
    learner.learn(INPUTS, LABELS)
    report, scores = learner.report, learner.predict(INPUTS).scores

    def stop(share: float, what: str) -> None:
        raise KeyboardInterrupt

    learner.progress = stop
    with pytest.raises(KeyboardInterrupt):
        learner.compress(40)
    assert learner.report == report
    assert np.array_equal(learner.predict(INPUTS).scores, scores)
    assert learner.recipe.recoverable


def test_a_learner_may_go_on_from_what_another_one_knows() -> None:
    one, two = make(), make()
    one.learn(INPUTS, LABELS)
    two.become(one.model.snapshot())
    assert np.array_equal(two.predict(INPUTS).scores, one.predict(INPUTS).scores)
    two.learn(INPUTS[:8], ["c", "d"] * 4)
    assert two.labels == ("a", "b", "c", "d")


PLAIN = (Naive, Joint, ExperienceReplay, ElasticWeightConsolidation, LearningWithoutForgetting)
STRUCTURAL = (GrowAndPrune, TrainFromScratch, NetworkFineTuning, NeST, DynamicSparseTraining)


def require_as_before(learner: Strategy, before: dict[str, Any]) -> None:
    after = learner.state()
    assert before.keys() == after.keys()
    assert all(np.array_equal(array, after[name]) for name, array in before.items())
    assert np.isfinite(learner.predict(INPUTS).confidence).all()


@pytest.mark.parametrize("kind", PLAIN, ids=lambda kind: kind.__name__)
def test_learning_that_diverges_is_refused_and_taken_back(kind: type[Strategy]) -> None:
    learner = kind(SPEC, optimizer="sgd", batch=8, epochs=5)
    learner.learn(INPUTS[:20], LABELS[:20])
    before = learner.state()
    learner.learning_rate, learner.optimizer = 1e9, torch.optim.SGD(learner.model.parameters(), lr=1e9)
    with pytest.raises(InputError, match=r"diverged.*smaller learning_rate"):
        learner.learn(INPUTS, ["a", "b", "d"] * 20)
    learner.learning_rate, learner.optimizer = 1e-3, torch.optim.SGD(learner.model.parameters(), lr=1e-3)
    after = learner.state()
    require_as_before(learner, {**before, "about": after["about"]})
    assert learner.labels == ("a", "b", "c")


@pytest.mark.parametrize("kind", STRUCTURAL, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "recipe", [UpdateRecipe(constant_budget=0, distillation=0.5), PATENT], ids=["ours", "published"]
)
def test_an_update_that_diverges_is_refused_and_taken_back(kind: type[GrowAndPrune], recipe: UpdateRecipe) -> None:
    gentle = {"constant_budget": 0, "all_epochs": 2, "prune_epochs": 4}
    learner = kind(SPEC, parameters=60, optimizer="sgd", batch=8, recipe=gentle)
    learner.learn(INPUTS[:20], LABELS[:20])
    before, report, usual = learner.state(), learner.report, learner.recipe
    learner.recipe = replace(recipe, learning_rate=1e9, prune_rate=1e9)
    with pytest.raises(InputError, match=r"diverged.*smaller learning_rate"):
        learner.learn(INPUTS, ["a", "b", "d"] * 20)
    learner.recipe = usual
    require_as_before(learner, before)
    assert learner.report == report
    with pytest.raises(InputError, match="diverged"):
        learner.compress(40, UpdateRecipe(constant_budget=0, prune_rate=1e9))
    require_as_before(learner, before)
    assert learner.report == report


def test_a_consolidation_that_diverges_is_taken_back_too() -> None:
    class Dreaming(Naive):
        boundaries = False  # for idle time

        def consolidate(self) -> Consolidation:
            with self.changing(), torch.no_grad():
                self.model.outputs.bias.fill_(torch.nan)
            return Consolidation()

    learner = Dreaming(SPEC)
    learner.learn(INPUTS, LABELS)
    scores = learner.predict(INPUTS).scores
    with pytest.raises(InputError, match="diverged"):
        learner.consolidate()
    assert np.array_equal(learner.predict(INPUTS).scores, scores)


def test_a_network_that_holds_infinities_on_purpose_may_learn() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(4, 12), torch.nn.ReLU())
    network.register_buffer("causal", torch.full((2, 2), -torch.inf))
    learner = Naive(network, shape=(4,))
    learner.learn(INPUTS, LABELS)
    assert learner.labels == ("a", "b", "c")
