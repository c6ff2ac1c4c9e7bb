"""Pruning by percentile ends, whatever the data; gradual pruning never falls in one blow; sizes and epochs are kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engram.learner import InputError  # noqa: E402
from engram.networks.strategies.dynamic_sparse_training import DynamicSparseTraining  # noqa: E402
from engram.networks.strategies.grow_and_prune import GrowAndPrune  # noqa: E402
from engram.networks.strategies.nest import NeST  # noqa: E402
from engram.networks.strategies.network_fine_tuning import NetworkFineTuning  # noqa: E402
from engram.networks.strategies.structural import Structural  # noqa: E402
from engram.networks.strategies.train_from_scratch import TrainFromScratch  # noqa: E402
from engram.networks.strategies.update_recipe import PATENT, UpdateRecipe  # noqa: E402

SPEC = {"name": "perceptron", "inputs": [6], "hidden": [16]}
RNG = np.random.default_rng(1)
EASY = np.concatenate([RNG.normal(size=(40, 6)), RNG.normal(size=(40, 6)) + 8]).astype(np.float32)
LABELS = [0] * 40 + [1] * 40
SHORT = UpdateRecipe(constant_budget=0, all_epochs=4, prune_epochs=8)


def test_the_published_recipe_ends_on_data_that_a_skeleton_can_learn() -> None:
    learner = GrowAndPrune(SPEC, parameters=1, batch=16, recipe=replace(PATENT, new_epochs=3, all_epochs=3))
    learner.learn(EASY, LABELS)
    assert learner.report["isolated"] == 0
    assert learner.report["accuracy"] >= learner.report["grown-accuracy"]


def test_dark_inputs_are_pruned_by_percentile_though_their_scores_are_equal() -> None:
    dark = EASY.copy()
    dark[:, 2:] = 0
    learner = GrowAndPrune(SPEC, parameters=60, batch=16, recipe=replace(SHORT, pruning="percentile", prune_epochs=40))
    learner.learn(dark, LABELS)
    assert learner.report["live"] < 0.8 * learner.report["grown"]


def test_gradual_pruning_reaches_its_size_while_training_still_goes_on() -> None:
    alive: list[int] = []

    class Watched(GrowAndPrune):
        def training_step(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            alive.append(self.masks.live)
            return super().training_step(inputs, targets)

    learner = Watched(SPEC, parameters=60, batch=16, recipe=SHORT)
    learner.learn(EASY, LABELS)
    assert alive[-1] <= 60
    assert len(set(alive)) > 5


@pytest.mark.parametrize(("gate", "rests_at"), [(None, 60), (100.0, 60), (-100.0, 146)])
def test_a_gate_lets_pruning_wait_for_accuracy(gate: float | None, rests_at: int) -> None:
    learner = GrowAndPrune(SPEC, parameters=60, batch=16, recipe=replace(SHORT, gate=gate))
    learner.learn(EASY, LABELS)  # within 100 points of the grown network it always is, 100 points above it never
    assert learner.masks.live == pytest.approx(rests_at, abs=2)


@pytest.mark.parametrize("count", [5, 80])
def test_epochs_are_as_many_for_fewer_examples_than_a_batch(count: int) -> None:
    recipe = replace(SHORT, new_epochs=0, growths=1, all_epochs=20, prune_epochs=0)
    learner = GrowAndPrune(SPEC, parameters=500, batch=16, held_out=0, recipe=recipe)
    learner.learn(EASY[:count], LABELS[:count])
    assert learner.report["shown"] == count * (20 + 1)  # and one pass for the gradients


def test_a_constant_budget_takes_as_many_steps_for_one_example_as_for_many() -> None:
    steps = []
    for count in (1, 80):
        learner = GrowAndPrune(SPEC, batch=16, held_out=0, recipe=replace(SHORT, constant_budget=2080))
        learner.learn(EASY[:count], LABELS[:count])
        steps.append(learner._steps(learner.kept, 1))
    assert steps == [10, 10]
    assert learner.examples_shown == 2080


@pytest.mark.parametrize("wake", ["gradient", "random"])
def test_dynamic_sparse_training_never_rests_above_its_size(wake: str) -> None:
    learner = DynamicSparseTraining(SPEC, parameters=70, batch=16, wake=wake, recipe=replace(SHORT, all_epochs=60))
    for part in range(4):
        learner.learn(EASY[part::4], LABELS[part::4])
        assert learner.masks.live <= 70


@pytest.mark.parametrize("kind", [GrowAndPrune, TrainFromScratch, NetworkFineTuning])
def test_too_few_parameters_for_the_neurons_are_refused_before_any_training(kind: type[Structural]) -> None:
    shown: list[int] = []

    class Watched(kind):  # type: ignore[misc, valid-type]
        def training_step(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            shown.append(len(inputs))
            return super().training_step(inputs, targets)

    learner = Watched(SPEC, parameters=49, batch=16, recipe=SHORT)  # 2·16 connections and 18 biases are 50
    with pytest.raises(InputError, match="parameters=49 cannot be reached: at least 50 have to stay alive"):
        learner.learn(EASY, LABELS)
    assert not shown
    assert learner.labels == ()
    learner.parameters = 50
    learner.learn(EASY, LABELS)
    assert learner.masks.live == 50


@pytest.mark.parametrize("kind", [GrowAndPrune, TrainFromScratch, NetworkFineTuning, NeST])
def test_what_stays_too_large_after_all_is_taken_back(kind: type[Structural]) -> None:
    network = {"name": "perceptron", "inputs": [6], "hidden": [16, 8]}
    learner = kind(network, parameters=400, batch=16, recipe=SHORT)
    learner.learn(EASY, LABELS)
    before, report = learner.state(), learner.report
    learner.parameters = 66  # 3·16 + 8 + 2 biases more, were the best way out of one neuron the best way into the next
    with pytest.raises(InputError, match=r"parameters=66 cannot be reached: at least [67]. have to stay alive"):
        learner.learn(EASY, LABELS)
    learner.parameters = 400
    assert all(np.array_equal(array, before[name]) for name, array in learner.state().items())
    assert learner.report == report


@pytest.mark.parametrize("recipe", [replace(SHORT, gate=0.0), replace(SHORT, recoverable=False),
                                    replace(SHORT, pruning="percentile")])
def test_where_the_recipe_may_rest_above_its_parameters_or_below_its_neurons_few_are_taken(
    recipe: UpdateRecipe,
) -> None:
    learner = GrowAndPrune(SPEC, parameters=40, batch=16, recipe=recipe)
    learner.learn(EASY, LABELS)
    assert learner.labels == (0, 1)
