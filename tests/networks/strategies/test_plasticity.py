"""Continual backprop, ReDo, shrink and perturb and L2 Init, and what tells how fit a network is to go on learning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engram.lab.evaluation import evaluate  # noqa: E402
from engram.lab.streams import class_incremental, from_arrays  # noqa: E402
from engram.learner import InputError  # noqa: E402
from engram.networks.strategies.continual_backprop import ContinualBackprop  # noqa: E402
from engram.networks.strategies.naive import Naive  # noqa: E402
from engram.networks.strategies.redo import ReDo  # noqa: E402
from engram.networks.strategies.regenerative_regularisation import RegenerativeRegularisation  # noqa: E402
from engram.networks.strategies.shrink_and_perturb import ShrinkAndPerturb  # noqa: E402
from engram.networks.structure.units import answers_of, bear, condition, joints  # noqa: E402

NETWORK = {"name": "perceptron", "inputs": [4], "hidden": [10, 8], "slope": 0.0}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int).tolist()


def test_the_usefulness_of_a_unit_is_its_activation_times_its_outgoing_weights() -> None:
    learner = ContinualBackprop(NETWORK, steps=1, batch=40, learning_rate=1e-3, rate=0.0, decay=0.9)
    learner.learn(X, Y)
    first, second = learner.network[1], learner.network[3]
    before = ContinualBackprop(NETWORK, steps=1)
    hidden = np.maximum(X @ before.network[1].weight.detach().numpy().T + before.network[1].bias.detach().numpy(), 0)
    expected = 0.1 * np.abs(hidden).mean(axis=0) * np.abs(second.weight.detach().numpy()).sum(axis=0)
    assert np.allclose(learner.utility["1"].numpy(), expected, rtol=1e-4)
    assert learner.age["3"].tolist() == [1] * 8
    assert len(first.weight) == 10


def test_a_share_of_the_mature_units_is_born_the_least_useful_ones() -> None:
    born: list[Any] = []

    class Watched(ContinualBackprop):
        def select(self, joint: Any, answers: Any) -> None:
            ripe = self.age[joint.name] + 1 > self.maturity
            before = self.age[joint.name].clone()
            super().select(joint, answers)
            fresh = self.age[joint.name] == 0
            if fresh.any():
                born.append((joint.name, int(fresh.sum()), bool(ripe[fresh].all()), int(before[fresh].min())))

    learner = Watched(NETWORK, steps=60, batch=10, rate=0.01, maturity=20)
    learner.learn(X, Y)
    # 40 steps with 10 and 8 mature units at most, 0.01 of them each
    assert sum(count for name, count, _, _ in born if name == "1") == 3
    assert learner.born == sum(count for _, count, _, _ in born)
    assert all(mature and age >= 20 for _, _, mature, age in born)


def test_what_is_born_says_nothing_yet_and_the_optimiser_starts_anew() -> None:
    learner = Naive(NETWORK, steps=5, batch=10)
    learner.learn(X, Y)
    layers = joints(learner.network, learner.model.outputs)
    assert [joint.name for joint in layers] == ["1", "3"]
    before = learner.network[1].weight.detach().clone()
    which = torch.tensor([2, 7])
    bear(layers[0], which, learner.optimizer)
    assert (learner.network[3].weight[:, which] == 0).all()
    changed = (learner.network[1].weight != before).any(dim=1)
    assert changed.nonzero()[:, 0].tolist() == [2, 7]
    averages = learner.optimizer.state[learner.network[1].weight]
    assert (averages["exp_avg"][which] == 0).all()
    assert averages["exp_avg"].abs().sum() > 0
    assert (learner.optimizer.state[learner.network[3].weight]["exp_avg_sq"][:, which] == 0).all()


def test_a_filter_goes_into_all_places_of_its_map() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(12, 5))
    learner = Naive(network, shape=(1, 4, 4))
    learner.learn(RNG.normal(size=(6, 1, 4, 4)).astype(np.float32), [0, 1] * 3)
    layers = joints(learner.network, learner.model.outputs)
    with answers_of(layers) as answers:
        learner.model(torch.rand(2, 1, 4, 4))
    assert [tuple(answer.shape) for answer in answers] == [(2, 3, 4), (2, 5, 1)]
    bear(layers[0], torch.tensor([1]), learner.optimizer)
    assert (learner.network[3].weight == 0).any(dim=0).nonzero()[:, 0].tolist() == [4, 5, 6, 7]


def test_redo_has_dormant_units_born_again_every_so_many_steps() -> None:
    learner = ReDo(NETWORK, steps=4, batch=40, every=4, threshold=0.0)
    with torch.no_grad():
        learner.network[1].bias[:3] = -50.0
    learner.learn(X, Y)
    assert learner.born >= 3
    assert (learner.network[1].bias[:3] > -1).all()
    again = ReDo(NETWORK, steps=3, batch=40, every=4, threshold=0.0)
    with torch.no_grad():
        again.network[1].bias[:3] = -50.0
    again.learn(X, Y)
    assert again.born == 0


def test_shrink_and_perturb_changes_the_weights_where_the_next_experience_begins() -> None:
    learner = ShrinkAndPerturb(NETWORK, shrink=0.5, perturb=0.0, steps=1, learning_rate=1e-12)
    learner.learn(X, Y)
    before = learner.network[1].weight.detach().clone()
    learner.consolidate()
    assert torch.equal(learner.network[1].weight, before), "it answers as it is until more arrives"
    learner.learn(X, Y)
    assert torch.allclose(learner.network[1].weight, before / 2, atol=1e-6)
    noisy = ShrinkAndPerturb(NETWORK, shrink=1.0, perturb=0.1, steps=1, learning_rate=1e-12)
    noisy.learn(X, Y)
    before = noisy.network[1].weight.detach().clone()
    noisy.consolidate()
    noisy.learn(X, Y)
    noise = (noisy.network[1].weight - before).abs()
    assert 0 < noise.max() <= 0.1 * 0.5 + 1e-6, "fresh weights of four inputs are at most 1/2"


def test_l2_init_is_the_squared_distance_from_where_each_weight_was_drawn() -> None:
    learner = RegenerativeRegularisation(NETWORK, strength=0.3, steps=10)
    start = {name: p.detach().numpy().copy() for name, p in learner.network.named_parameters()}
    learner.learn(X, Y)
    rows = learner.initial["outputs.weight"].numpy()
    assert rows.shape == (2, 8)
    expected = sum(((p.detach().numpy() - start[name]) ** 2).sum() for name, p in learner.network.named_parameters())
    outputs = learner.model.outputs
    expected += ((outputs.weight.detach().numpy() - rows) ** 2).sum()
    expected += ((outputs.bias.detach().numpy() - learner.initial["outputs.bias"].numpy()) ** 2).sum()
    assert learner.penalty().item() == pytest.approx(0.3 * expected, rel=1e-5)


def test_dead_units_and_the_effective_rank_are_those_of_the_definitions() -> None:
    learner = Naive(NETWORK, steps=1)
    with torch.no_grad():
        learner.network[1].bias[:5] = -50.0
    found = condition(learner.network, torch.from_numpy(X))
    weights = [(learner.network[i].weight.detach().numpy(), learner.network[i].bias.detach().numpy()) for i in (1, 3)]
    first = np.maximum(X @ weights[0][0].T + weights[0][1], 0)
    second = np.maximum(first @ weights[1][0].T + weights[1][1], 0)
    means = [layer.mean(axis=0) for layer in (first, second)]
    assert found.dead == pytest.approx(np.mean([m <= 0.01 * layer.mean() for layer in means for m in layer]))
    sizes = np.linalg.svd(second, compute_uv=False)
    shares = sizes[sizes > 1e-12] / sizes.sum()
    assert found.rank == pytest.approx(float(np.exp(-(shares * np.log(shares)).sum())), rel=1e-3)


def test_every_evaluation_of_a_network_reports_its_condition() -> None:
    data = from_arrays(np.tile(np.eye(4), (20, 1)), np.tile(np.arange(4), 20))
    report = evaluate(Naive(NETWORK, steps=5), class_incremental(data))
    figures = report.figures()
    assert 0 <= figures["dead-units"] <= 1
    assert 1 <= figures["effective-rank"] <= 8
    assert [cost.dead_units is not None for cost in report.costs] == [True, True]


@pytest.mark.parametrize("made", [
    lambda: ContinualBackprop(NETWORK, rate=2.0), lambda: ReDo(NETWORK, every=0),
    lambda: ShrinkAndPerturb(NETWORK, shrink=0.0), lambda: RegenerativeRegularisation(NETWORK, strength=-1.0),
])
def test_settings_that_cannot_be_are_refused(made: Any) -> None:
    with pytest.raises(InputError):
        made()


def test_only_in_a_plain_stack_units_are_born() -> None:
    class Beside(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = torch.nn.Linear(4, 5), torch.nn.Linear(4, 5)

        def forward(self, inputs: Any) -> Any:
            return self.one(inputs) + self.two(inputs)

    with pytest.raises(InputError, match="plain stack"):
        ContinualBackprop(Beside(), shape=(4,))
