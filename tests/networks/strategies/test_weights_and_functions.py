"""IMM, EBM, GPM, VCL and LwF with zero targets against independent computations of what their papers say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from engram.learner import InputError  # noqa: E402
from engram.networks.strategies.energy_based_model import EnergyBasedModel  # noqa: E402
from engram.networks.strategies.gradient_projection_memory import GradientProjectionMemory  # noqa: E402
from engram.networks.strategies.incremental_moment_matching import IncrementalMomentMatching  # noqa: E402
from engram.networks.strategies.learning_without_forgetting import LearningWithoutForgetting  # noqa: E402
from engram.networks.strategies.variational_continual_learning import (  # noqa: E402
    VariationalContinualLearning,
    divergence,
)

NETWORK = {"name": "perceptron", "inputs": [4], "hidden": [6]}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 4)).astype(np.float32)
FIRST, SECOND = [0, 1] * 10, [2, 3] * 10


def parameters(learner: Any) -> dict[str, Any]:
    return {name: p.detach().clone() for name, p in learner.model.named_parameters()}


@pytest.mark.parametrize("match", ["mean", "mode"])
def test_imm_answers_with_the_average_of_each_tasks_own_weights(match: str) -> None:
    learner = IncrementalMomentMatching(NETWORK, match=match, epochs=20, learning_rate=0.02)
    shares = learner.shares
    own, weights = [], []
    learner.shares = lambda *examples: weights.append(shares(*examples)) or weights[-1]
    for labels in (FIRST, SECOND):
        learner.learn(X, labels)
        own.append(parameters(learner))
        learner.consolidate()
    for name, now in parameters(learner).items():
        known = len(own[0][name])
        total = sum(w[name][:known] * o[name][:known] for w, o in zip(weights, own, strict=True))
        expected = total / sum(w[name][:known] for w in weights)
        assert torch.allclose(now[:known], expected, atol=1e-5)
        assert torch.allclose(now[known:], own[1][name][known:], atol=1e-5), "rows that came with the second task"
    assert match == "mean" or not torch.equal(weights[0]["network.1.weight"], torch.ones(6, 4))
    learner.before_experience(torch.from_numpy(X), torch.zeros(20))
    assert all(torch.equal(now, own[1][name]) for name, now in parameters(learner).items()), "goes on from its own"
    with torch.no_grad():
        learner.network[1].weight += 0.5
    assert learner.penalty().item() == pytest.approx(learner.strength * 24 * 0.25, rel=1e-4)


def test_ebm_tells_an_example_apart_from_one_wrong_label_of_its_batch() -> None:
    learner = EnergyBasedModel(NETWORK, epochs=5)
    learner.learn(X, FIRST)
    learner.learn(X, SECOND)
    inputs, targets = torch.from_numpy(X), learner.places(FIRST)
    layer, features = learner.model.outputs, learner.network(torch.from_numpy(X))
    energies = torch.stack([
        (layer.energy(functional.leaky_relu(layer.hidden(features * vector)))[:, 0] + bias)
        for vector, bias in zip(layer.weight, layer.bias, strict=True)], dim=1)
    assert torch.allclose(learner.model(inputs), energies, atol=1e-6)
    rows = torch.arange(20)
    difference = energies[rows, targets] - energies[rows, 1 - targets]
    assert learner.loss(inputs, targets).item() == pytest.approx(-functional.logsigmoid(difference).mean().item())
    layer.weight.grad = None
    learner.loss(inputs, targets).backward()
    assert (layer.weight.grad[2:] == 0).all(), "labels that are not there are left in peace"
    assert (layer.weight.grad[:2] != 0).any()
    alone = {learner.loss(inputs[:1], targets[:1]).item() for _ in range(30)}
    others = [-functional.logsigmoid(energies[0, targets[0]] - energies[0, k]).item() for k in range(4)]
    assert all(any(abs(a - others[k]) < 1e-5 for k in range(4) if k != targets[0]) for a in alone)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_gpm_leaves_alone_what_the_layers_answer_to_former_inputs(optimizer: str) -> None:
    flat = X.copy()
    flat[:, 2:] = 0.0  # two directions and the bias
    learner = GradientProjectionMemory({**NETWORK, "hidden": [6, 5]}, threshold=1.0, active="experience", epochs=5,
                                       optimizer=optimizer, learning_rate=0.05)
    learner.learn(flat, FIRST)
    learner.consolidate()
    basis = learner.bases["1"]
    assert basis.shape == (5, 3)
    assert torch.allclose(basis.T @ basis, torch.eye(3), atol=1e-5)
    before, weight = learner.network[1](torch.from_numpy(flat)).detach(), learner.network[1].weight.detach().clone()
    learner.learn(X, SECOND)
    assert torch.allclose(learner.network[1](torch.from_numpy(flat)), before, atol=1e-4)
    assert not torch.allclose(learner.network[1].weight, weight, atol=1e-3)


def test_gpm_takes_the_directions_that_hold_the_share() -> None:
    learner = GradientProjectionMemory(NETWORK, threshold=0.9)
    given = torch.from_numpy(RNG.normal(size=(5, 30)).astype(np.float32) * np.array([[9], [4], [2], [1], [1]]))
    sizes = np.linalg.svd(given.numpy(), compute_uv=False) ** 2
    basis = learner.wider(None, given)
    assert basis.shape[1] == int(np.searchsorted(np.cumsum(sizes) / sizes.sum(), 0.9)) + 1
    assert learner.wider(basis, given).shape == basis.shape, "it is held already"


def test_gpm_projects_convolutions_too() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten())
    learner = GradientProjectionMemory(network, shape=(1, 4, 4), threshold=1.0, samples=2, epochs=3)
    images = RNG.normal(size=(20, 1, 4, 4)).astype(np.float32)
    few = np.zeros_like(images)
    few[:, :, 0, 0] = images[:, :, 0, 0]
    learner.learn(few, FIRST)
    learner.consolidate()
    kept = torch.from_numpy(few)
    before = learner.network[0](kept).detach()
    learner.learn(images, SECOND)
    assert torch.allclose(learner.network[0](kept), before, atol=1e-4)


def test_the_divergence_of_vcl_is_that_of_gaussians() -> None:
    draws = [torch.from_numpy(RNG.normal(size=7)) for _ in range(4)]
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(draws[0], draws[1].exp()), normal(draws[2], draws[3].exp()))
    assert divergence(*draws).item() == pytest.approx(expected.sum().item())


def test_vcl_holds_what_it_knows_as_the_prior_and_new_rows_are_free() -> None:
    learner = VariationalContinualLearning(NETWORK, epochs=5, spread=-2.0)
    learner.learn(X, FIRST)
    first = parameters(learner)
    learner.consolidate()
    learner.learn(X, SECOND)
    normal = torch.distributions.Normal
    now, expected = parameters(learner), 0.0
    for name in ("network.1.weight", "network.1.bias", "outputs.weight", "outputs.bias"):
        key = "spreads." + name.replace(".", "/")
        known = len(first[name])
        centre, spread = torch.zeros_like(now[name]), torch.zeros_like(now[name])
        centre[:known], spread[:known] = first[name], first[key]
        expected += torch.distributions.kl_divergence(
            normal(now[name], now[key].exp()), normal(centre, spread.exp())).sum().item()
    assert learner.penalty().item() == pytest.approx(expected / 20, rel=1e-4)
    drawn = torch.stack([learner.model.train()(torch.from_numpy(X)) for _ in range(200)])
    assert drawn.std(dim=0).min() > 0
    learner.model.eval()
    assert torch.equal(learner.model(torch.from_numpy(X)), learner.model.outputs(learner.network(torch.from_numpy(X))))


def test_vcl_goes_on_from_before_its_coreset_was_learned() -> None:
    learner = VariationalContinualLearning(NETWORK, epochs=5, coreset=4)
    learner.learn(X, FIRST)
    assert learner.samples_stored == 4
    before = parameters(learner)
    learner.consolidate()
    assert not torch.equal(learner.network[1].weight, before["network.1.weight"]), "what is kept was learned"
    learner.before_experience(torch.from_numpy(X), torch.zeros(20))
    assert all(torch.equal(now, before[name]) for name, now in parameters(learner).items())


def test_lwf_with_zero_targets_says_that_nothing_has_a_new_label() -> None:
    learner = LearningWithoutForgetting(NETWORK, zero_targets=True, temperature=3.0, epochs=5)
    learner.learn(X, FIRST)
    learner.consolidate()
    former = learner.model(torch.from_numpy(X)).detach()
    learner.learn(X, SECOND)
    inputs, targets = torch.from_numpy(X), learner.places(SECOND)
    logits = learner.model(inputs).detach()
    old = -((former / 3).softmax(1) * (logits / 3).log_softmax(1)[:, :2]).sum(1).mean()
    expected = 0.5 * functional.cross_entropy(logits, targets) + 0.5 * 9 * old
    assert learner.loss(inputs, targets).item() == pytest.approx(expected.item(), rel=1e-5)
    with pytest.raises(InputError, match="compete"):
        LearningWithoutForgetting(NETWORK, zero_targets=True, active="experience")


@pytest.mark.parametrize("made", [
    lambda: IncrementalMomentMatching(NETWORK, match="median"), lambda: GradientProjectionMemory(NETWORK, threshold=0),
    lambda: VariationalContinualLearning(NETWORK, coreset=-1),
    lambda: GradientProjectionMemory(torch.nn.Sequential(torch.nn.Conv1d(1, 2, 2), torch.nn.Flatten()), shape=(1, 4)),
])
def test_settings_that_cannot_be_are_refused(made: Any) -> None:
    with pytest.raises(InputError):
        made()
