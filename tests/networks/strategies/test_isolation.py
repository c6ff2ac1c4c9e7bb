"""XdG, PackNet, HAT and supermasks: every task has a part of the network, and keeps it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from engram.learner import InputError  # noqa: E402
from engram.networks.strategies.context_dependent_gating import ContextDependentGating  # noqa: E402
from engram.networks.strategies.hard_attention import HardAttention  # noqa: E402
from engram.networks.strategies.naive import Naive  # noqa: E402
from engram.networks.strategies.packnet import FREE, PackNet  # noqa: E402
from engram.networks.strategies.supermasks import Supermasks  # noqa: E402

NETWORK = {"name": "perceptron", "inputs": [6], "hidden": [40, 40], "slope": 0.0}
FAST = {"epochs": 12, "batch": 25, "learning_rate": 0.03}
METHODS = {
    "xdg": partial(ContextDependentGating, NETWORK, **FAST),
    "packnet": partial(PackNet, NETWORK, pruned=0.6, **FAST),
    "hat": partial(HardAttention, NETWORK, **FAST),
    "supsup": partial(Supermasks, NETWORK, **FAST),
}


def task(number: int) -> tuple[Any, list[int]]:
    """XOR of two of six axes, other ones in each task."""
    rng = np.random.default_rng(number)
    inputs = rng.normal(size=(200, 6)).astype(np.float32)
    labels = (inputs[:, number] * inputs[:, number + 1] > 0).astype(int)
    return inputs, (labels + 2 * number).tolist()


def through(learner: Any, tasks: int) -> Any:
    for number in range(tasks):
        learner.learn(*task(number))
        learner.consolidate()
    return learner


def right(learner: Any, number: int) -> float:
    inputs, labels = task(number)
    return float(np.mean(np.array(learner.predict(inputs, among=[2 * number, 2 * number + 1]).best) == labels))


@pytest.fixture(scope="module")
def naive() -> float:
    learner = through(Naive(NETWORK, active="experience", **FAST), 3)
    return float(np.mean([right(learner, number) for number in range(3)]))


@pytest.mark.parametrize("method", METHODS)
def test_told_the_task_it_forgets_less_than_naive_and_learns_on(method: str, naive: float) -> None:
    learner = through(METHODS[method](), 3)
    assert np.mean([right(learner, number) for number in range(3)]) > naive + 0.1
    assert right(learner, 2) > 0.8


@pytest.mark.parametrize("method", ["packnet", "supsup"])
def test_what_a_task_answers_never_changes(method: str) -> None:
    learner = through(METHODS[method](), 1)
    before = learner.predict(task(0)[0], among=[0, 1]).scores
    learner.learn(*task(1))
    learner.consolidate()
    after = learner.predict(task(0)[0], among=[0, 1]).scores
    assert np.allclose(after, before, atol=1e-5), "but for rounding: there are more rows of outputs"


@pytest.mark.parametrize("method", METHODS)
def test_a_task_is_what_comes_between_boundaries_and_old_labels_stay_with_theirs(method: str) -> None:
    learner = through(METHODS[method](epochs=1), 2)
    assert learner.consolidate().details == {"tasks": 2}, "nothing new came: no task"
    learner.learn(np.concatenate([task(0)[0], task(2)[0]]), task(0)[1] + task(2)[1])
    assert dict(zip(learner.labels, learner.model.outputs.tasks.tolist(), strict=True)) == {
        0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 2}


def test_where_nobody_tells_the_task_it_is_the_one_whose_answer_is_surest() -> None:
    learner = through(METHODS["xdg"](), 2)
    inputs = task(0)[0]
    within = np.stack([learner.predict(inputs, among=[2 * n, 2 * n + 1]).scores.max(axis=1) for n in (0, 1)])
    best = learner.predict(inputs).best
    assert [label // 2 for label in best] == within.argmax(axis=0).tolist()


def test_a_gate_switches_off_its_share_of_the_units_of_each_layer() -> None:
    learner = through(ContextDependentGating(NETWORK, gated=0.75, epochs=1), 2)
    gates = [{units.name: learner.model.kept(units.weight)[number].numpy() for units in learner.model.layers}
             for number in (0, 1)]
    assert all(gate.sum() == 10 for chosen in gates for gate in chosen.values())
    assert any((gates[0][name] != gates[1][name]).any() for name in gates[0])
    inputs = task(1)[0]
    answers = inputs
    for units in learner.model.layers:
        weight, bias = (value.detach().numpy() for value in units.parameters.values())
        answers = np.maximum(answers @ weight.T + bias, 0) * gates[1][units.name]
    rows = learner.places([2, 3]).numpy()
    weight, bias = (p.detach().numpy()[rows] for p in (learner.model.outputs.weight, learner.model.outputs.bias))
    logits = answers @ weight.T + bias
    expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert np.allclose(learner.predict(inputs, among=[2, 3]).scores, expected, atol=1e-5)


def test_packnet_frees_the_smallest_weights_and_holds_the_others() -> None:
    learner = PackNet(NETWORK, pruned=0.6, epochs=5)
    trained = {}
    prune = learner.model.prune

    def watched(share: float) -> None:
        trained.update({name: learner.network.get_parameter(name).detach().clone() for name in learner.model.packed})
        prune(share)

    learner.model.prune = watched
    learner.learn(*task(0))
    for name, before in trained.items():
        freed = learner.model.owner(name) == FREE
        assert int(freed.sum()) == int(0.6 * before.numel())
        assert before[freed].abs().max() <= before[~freed].abs().min()
        assert (learner.network.get_parameter(name)[freed] == 0).all()
    learner.consolidate()
    held = {name: learner.network.get_parameter(name).detach().clone() for name in trained}
    learner.learn(*task(1))
    for name, before in held.items():
        own = learner.model.owner(name) == 0
        assert torch.equal(learner.network.get_parameter(name)[own], before[own])
        assert int((learner.model.owner(name) == FREE).sum()) == pytest.approx(0.36 * before.numel(), abs=2)


def test_packnet_without_free_weights_still_gets_output_rows() -> None:
    learner = through(PackNet(NETWORK, pruned=0.0, epochs=2), 2)
    assert learner.labels == (*dict.fromkeys(task(0)[1]), *dict.fromkeys(task(1)[1]))
    assert not any((learner.model.owner(name) == 1).any() for name in learner.model.packed)


def test_hat_compensates_its_slopes_and_asks_for_few_new_units() -> None:
    learner = through(HardAttention(NETWORK, largest=50.0, sparsity=0.3, epochs=3), 1)
    model = learner.model
    taken = [model.taken(units) for units in model.layers]
    assert all((gate.numpy() >= 0).all() and (gate.numpy() <= 1).all() for gate in taken)
    model.scale = 2.0
    embeddings = [embedding.detach().numpy() for embedding in model.embeddings.values()]
    gates = [1 / (1 + np.exp(-2.0 * e)) for e in embeddings]
    free = [1 - gate.numpy() for gate in taken]
    expected = 0.3 * sum((g * f).sum() for g, f in zip(gates, free, strict=True)) / sum(f.sum() for f in free)
    assert learner.penalty().item() == pytest.approx(expected, rel=1e-5)
    for embedding in model.embeddings.values():
        embedding.grad = torch.ones_like(embedding)
    learner.project(torch.zeros(1, 6), torch.zeros(1))
    for embedding, e in zip(model.embeddings.values(), embeddings, strict=True):
        factor = 50.0 / 2.0 * (np.cosh(2.0 * e) + 1) / (np.cosh(e) + 1)
        assert np.allclose(embedding.grad.numpy(), factor, rtol=1e-4)


def test_hat_holds_a_weight_as_much_as_both_its_units_are_taken() -> None:
    learner = through(METHODS["hat"](), 1)
    first, second = (learner.model.taken(units) for units in learner.model.layers)
    held = learner.held()
    assert torch.equal(held["network.3.weight"], torch.minimum(second[:, None], first[None]))
    assert torch.equal(held["network.1.bias"], first)
    before = learner.network[3].weight.detach().clone()
    learner.learn(*task(1))
    moved = (learner.network[3].weight.detach() - before).abs()
    assert (moved[held["network.3.weight"] == 1] == 0).all()
    assert moved.max() > 0


def test_a_supermask_has_the_highest_scores_and_their_slopes_are_those_of_the_mask() -> None:
    learner = Supermasks(NETWORK, used=0.3)
    before = {name: p.detach().clone() for name, p in learner.network.named_parameters()}
    learner.learn(*task(0))
    assert all(torch.equal(p, before[name]) for name, p in learner.network.named_parameters())
    score, weight = learner.model.scores[0].detach(), learner.network[1].weight
    mask = learner.model.open_masks()["1.weight"]
    assert int(mask.sum()) == round(0.3 * weight.numel())
    assert score[mask].min() >= score[~mask].max()
    inputs, targets = torch.from_numpy(task(0)[0]), learner.places(task(0)[1])
    (slope,) = torch.autograd.grad(learner.loss(inputs, targets), learner.model.scores[0])
    masked = (weight * mask).requires_grad_()
    second = learner.network[3].weight * learner.model.open_masks()["3.weight"]
    features = (functional.linear(inputs, masked, learner.network[1].bias).relu())
    features = functional.linear(features, second, learner.network[3].bias).relu()
    loss = functional.cross_entropy(learner.model.outputs(features), targets)
    (by_weight,) = torch.autograd.grad(loss, masked)
    assert torch.allclose(slope, by_weight * weight, atol=1e-6)


def test_convolutions_are_masked_by_their_filters() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 9))
    images = np.random.default_rng(0).normal(size=(12, 1, 6, 6)).astype(np.float32)
    for kind in (ContextDependentGating, PackNet, HardAttention, Supermasks):
        learner = kind(network, shape=(1, 6, 6), epochs=2)
        for labels in ([0, 1] * 6, [2, 3] * 6):
            learner.learn(images, labels)
            learner.consolidate()
        assert len(learner.predict(images, among=[0, 1]).best) == 12


@pytest.mark.parametrize("made", [
    lambda: ContextDependentGating(NETWORK, gated=1.0), lambda: PackNet(NETWORK, pruned=1.0),
    lambda: HardAttention(NETWORK, largest=1.0), lambda: Supermasks(NETWORK, used=0.0),
    lambda: ContextDependentGating(torch.nn.Flatten(), shape=(2, 2)),
])
def test_settings_that_cannot_be_are_refused(made: Any) -> None:
    with pytest.raises(InputError):
        made()
