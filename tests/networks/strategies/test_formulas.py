"""SI, MAS, DER++ and A-GEM against independent computations of what their papers say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from engram.networks.strategies.averaged_gradient_episodic_memory import (  # noqa: E402
    AveragedGradientEpisodicMemory,
)
from engram.networks.strategies.dark_experience_replay import DarkExperienceReplay  # noqa: E402
from engram.networks.strategies.memory_aware_synapses import MemoryAwareSynapses  # noqa: E402
from engram.networks.strategies.synaptic_intelligence import SynapticIntelligence  # noqa: E402

NETWORK = {"name": "perceptron", "inputs": [4], "hidden": [6]}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 4)).astype(np.float32)
FIRST, SECOND = [0, 1] * 10, [2, 3] * 10


def parameters(learner: Any) -> dict[str, Any]:
    return {name: p.detach().clone() for name, p in learner.model.named_parameters()}


def slopes(learner: Any, inputs: Any, targets: Any) -> dict[str, Any]:
    loss = functional.cross_entropy(learner.model(inputs), targets)
    names, own = zip(*learner.model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, own), strict=True))


def test_si_sums_what_each_weight_contributed_by_the_slope_of_the_task_alone() -> None:
    expected: dict[str, Any] = {}

    class Watched(SynapticIntelligence):
        def training_step(self, inputs: Any, targets: Any) -> Any:
            before, fall = parameters(self), slopes(self, inputs, targets)
            loss = super().training_step(inputs, targets)
            for name, now in parameters(self).items():
                gone = expected.setdefault(name, torch.zeros_like(now))
                gone -= fall[name] * (now - before[name])
            return loss

    learner = Watched(NETWORK, batch=5, epochs=3, optimizer="sgd", learning_rate=0.1, strength=2.0, damping=0.5)
    start = parameters(learner)
    learner.learn(X, FIRST)
    learner.consolidate()
    first = {name: tensor.clone() for name, tensor in learner.importance.items()}
    name = "network.1.weight"
    way = parameters(learner)[name] - start[name]
    assert torch.allclose(first[name], expected[name].clamp(min=0) / (way.square() + 0.5), atol=1e-6)
    assert first[name].sum() > 0
    at = parameters(learner)
    expected.clear()
    learner.learn(X, SECOND)
    pulled = 2.0 * sum((first[n] * (p[: len(at[n])] - at[n]).square()).sum() for n, p in parameters(learner).items())
    assert learner.penalty().item() == pytest.approx(float(pulled), rel=1e-4)
    learner.consolidate()
    way = parameters(learner)[name] - at[name]
    gained = expected[name].clamp(min=0) / (way.square() + 0.5)
    assert torch.allclose(learner.importance[name], first[name] + gained, atol=1e-6)


def test_mas_measures_how_the_length_of_the_answers_depends_on_each_weight() -> None:
    learner = MemoryAwareSynapses(NETWORK, strength=3.0)
    learner.learn(X, FIRST)
    learner.consolidate()
    name, weight = "network.1.weight", learner.network[1].weight
    by_hand = torch.zeros_like(weight)
    step = 1e-3
    with torch.no_grad():
        learner.model.double()
        rows = torch.from_numpy(X).double()
        for place in np.ndindex(*weight.shape):
            lengths = []
            for sign in (1, -1):
                learner.network[1].weight[place] += sign * step
                lengths.append(learner.model(rows).square().sum(dim=1))
                learner.network[1].weight[place] -= sign * step
            by_hand[place] = ((lengths[0] - lengths[1]) / (2 * step)).abs().mean()
    assert torch.allclose(learner.importance[name], by_hand.float(), rtol=2e-2, atol=1e-4)


def test_derpp_adds_the_distance_to_kept_answers_and_the_loss_of_other_kept_examples() -> None:
    learner = DarkExperienceReplay(NETWORK, capacity=20, batch=20, optimizer="sgd", learning_rate=0.1, alpha=0.3,
                                   beta=0.7, replayed=4)
    asked = []
    rows = learner.memory.rows
    learner.memory.rows = lambda *arguments: asked.append(rows(*arguments)) or asked[-1]
    fresh = DarkExperienceReplay(NETWORK, capacity=20, batch=20)
    with fresh.changing():
        fresh.grow(FIRST)
        first_answers = fresh.model(torch.from_numpy(X)).detach()
    learner.learn(X, FIRST)
    assert learner.samples_stored == 20
    order = [X.tolist().index(row) for row in learner.memory.columns[0].tolist()]
    assert np.allclose(learner.memory.columns[2], first_answers.numpy()[order], atol=1e-6)
    inputs, targets = torch.from_numpy(X), torch.tensor(FIRST)
    asked.clear()
    found = learner.loss(inputs, targets)
    (one, _, answers), (other, theirs, _) = (tuple(torch.from_numpy(column) for column in columns) for columns in asked)
    expected = (functional.cross_entropy(learner.model(inputs), targets)
                + 0.3 * functional.mse_loss(learner.model(one), answers)
                + 0.7 * functional.cross_entropy(learner.model(other), theirs))
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    del learner.memory.rows
    learner.learn(X, SECOND)
    assert learner.memory.columns[2].shape == (20, 4)
    _, labels, wanted = learner.memory.columns
    kept_then = (wanted[:, 2:] == wanted[:, :2].min(axis=1, keepdims=True)).all(axis=1)
    assert kept_then.any()
    assert np.array_equal(kept_then, labels < 2), "a label that came later is as unlikely as the least likely one"


def test_agem_turns_the_gradient_so_that_it_no_longer_points_against_that_of_the_memory() -> None:
    turned = []

    class Watched(AveragedGradientEpisodicMemory):
        def project(self, inputs: Any, targets: Any) -> None:
            before = torch.cat([p.grad.flatten() for p in self.model.parameters()])
            kept: list[Any] = []
            drawn, self.drawn = self.drawn, lambda count: kept.append(drawn(count)) or kept[-1]
            super().project(inputs, targets)
            self.drawn = drawn
            after = torch.cat([p.grad.flatten() for p in self.model.parameters()])
            if kept:
                reference = torch.cat([g.flatten() for g in slopes(self, *kept[0]).values()])
                along = before @ reference
                wanted = before - along / (reference @ reference) * reference if along < 0 else before
                assert torch.allclose(after, wanted, atol=1e-5)
                turned.append(bool(along < 0))

    learner = Watched(NETWORK, capacity=10, batch=5, epochs=4, learning_rate=0.01)
    learner.learn(X, FIRST)
    learner.learn(X, SECOND)
    assert True in turned
    assert learner.examples_shown == 2 * 4 * 20
