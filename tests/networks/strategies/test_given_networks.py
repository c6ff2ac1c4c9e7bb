"""Networks that users bring: what cannot be used is refused at once, what is frozen stays, nothing is shared."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn.utils import prune  # noqa: E402

from engram.learner import InputError  # noqa: E402
from engram.networks.strategies.dynamic_sparse_training import DynamicSparseTraining  # noqa: E402
from engram.networks.strategies.elastic_weight_consolidation import ElasticWeightConsolidation  # noqa: E402
from engram.networks.strategies.experience_replay import ExperienceReplay  # noqa: E402
from engram.networks.strategies.grow_and_prune import GrowAndPrune  # noqa: E402
from engram.networks.strategies.joint import Joint  # noqa: E402
from engram.networks.strategies.learning_without_forgetting import LearningWithoutForgetting  # noqa: E402
from engram.networks.strategies.naive import Naive  # noqa: E402
from engram.networks.strategies.nest import NeST  # noqa: E402
from engram.networks.strategies.network_fine_tuning import NetworkFineTuning  # noqa: E402
from engram.networks.strategies.networks import perceptron  # noqa: E402
from engram.networks.strategies.train_from_scratch import TrainFromScratch  # noqa: E402
from engram.networks.strategies.update_recipe import UpdateRecipe  # noqa: E402

WIDTH = 6
RNG = np.random.default_rng(0)
X = RNG.normal(size=(33, WIDTH)).astype(np.float32)
LABELS = ["a", "b", "c"] * 11
SHORT = UpdateRecipe(constant_budget=256, new_epochs=1, all_epochs=1, prune_epochs=2, growths=1)
SMALL = {"parameters": 95, "recipe": SHORT, "held_out": 0.1}

PLAIN: dict[str, Callable[..., Any]] = {
    "naive": Naive, "joint": Joint, "replay": ExperienceReplay, "ewc": ElasticWeightConsolidation,
    "lwf": LearningWithoutForgetting,
}
STRUCTURAL: dict[str, Callable[..., Any]] = {
    "grow and prune": partial(GrowAndPrune, **SMALL), "from scratch": partial(TrainFromScratch, **SMALL),
    "fine-tuning": partial(NetworkFineTuning, **SMALL), "nest": partial(NeST, **SMALL, seed_density=0.5),
    "sparse": partial(DynamicSparseTraining, **SMALL, anew=True),
}
METHODS = PLAIN | STRUCTURAL


class Tied(nn.Module):
    """Two layers with the same weights."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.again = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.again.weight = self.encode.weight

    def forward(self, rows: Tensor) -> Tensor:
        return self.again(self.encode(rows).relu()).relu()


class Keeping(nn.Module):
    """A layer that keeps its last activations, as a hook would."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.last = nn.Linear(WIDTH, 5), {"seen": []}

    def forward(self, rows: Tensor) -> Tensor:
        self.last = {"seen": [self.layer(rows)]}
        return self.last["seen"][0].relu()


def normalised() -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, 12), nn.BatchNorm1d(12), nn.ReLU())


def lazy() -> nn.Module:
    return nn.Sequential(nn.LazyLinear(12), nn.LazyBatchNorm1d(), nn.ReLU())


def pruned() -> nn.Module:
    network = nn.Sequential(nn.Linear(WIDTH, 12), nn.ReLU())
    prune.l1_unstructured(network[0], "weight", 0.5)
    return network


def with_old_hook(kind: str) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(getattr(nn.utils, kind)(nn.Linear(WIDTH, 12)), nn.ReLU())


COMPUTED: dict[str, Callable[[], nn.Module]] = {
    "pruned": pruned,
    "weight_norm": lambda: with_old_hook("weight_norm"),
    "spectral_norm": lambda: with_old_hook("spectral_norm"),
    "parametrised": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(WIDTH, 12)), nn.ReLU()),
}
UNUSUAL = COMPUTED | {"tied": Tied, "keeping": Keeping, "normalised": normalised, "lazy": lazy}


def lived(learner: Any) -> Any:
    """Everything that can happen to a learner, in turn; afterwards it knows four labels."""
    for inputs, labels in ((X, LABELS), (X[:1], ["a"]), (X[:2], ["d", "a"]), (X[1], "d")):
        learner.learn(inputs, labels)
        learner.consolidate()
        learner.predict(inputs)
    return learner


@pytest.mark.parametrize("name", UNUSUAL)
@pytest.mark.parametrize("method", PLAIN)
def test_an_unusual_network_learns_is_asked_and_loaded(method: str, name: str) -> None:
    learner = lived(PLAIN[method](UNUSUAL[name](), shape=(WIDTH,), batch=8))
    answers = learner.predict(X)
    assert answers.candidates == ("a", "b", "c", "d")
    assert np.isfinite(answers.scores).all()
    assert learner.multiply_adds > 0
    twin = type(learner).from_state(learner.state(), network=UNUSUAL[name]())
    assert np.array_equal(twin.predict(X).scores, answers.scores)
    for one in (learner, twin):
        one.learn(X[:9], LABELS[:9])
    assert np.array_equal(twin.predict(X).scores, learner.predict(X).scores)


@pytest.mark.parametrize("method", STRUCTURAL)
def test_a_tied_or_normalised_network_grows_and_is_pruned(method: str) -> None:
    for make in (Tied, normalised):
        learner = STRUCTURAL[method](make(), shape=(WIDTH,), batch=8)
        learner.learn(X, LABELS)
        learner.learn(X[:1], ["a"])
        assert learner.masks.live <= SMALL["parameters"]
        assert np.isfinite(learner.predict(X).scores).all()


@pytest.mark.parametrize("name", COMPUTED)
def test_weights_that_are_computed_cannot_grow_and_are_refused_at_once_unless_frozen(name: str) -> None:
    with pytest.raises(InputError, match=r"Layer '0' computes its weight .* undo that"):
        GrowAndPrune(COMPUTED[name](), shape=(WIDTH,), **SMALL)
    learner = GrowAndPrune(COMPUTED[name]().requires_grad_(False), shape=(WIDTH,), **SMALL)
    learner.learn(X, LABELS)
    assert set(learner.predict(X).best) <= {"a", "b", "c"}


def test_a_lone_example_is_normalised_by_the_statistics_gathered_so_far() -> None:
    learner = Naive(normalised(), shape=(WIDTH,), batch=8, optimizer="sgd", learning_rate=0.0001)
    learner.learn(X[:32], LABELS[:32])
    norm = learner.network[1]
    gathered = norm.running_mean.clone(), norm.running_var.clone()
    assert gathered[0].any()
    learner.learn(X[32], "c")
    assert torch.equal(norm.running_mean, gathered[0])
    assert torch.equal(norm.running_var, gathered[1])
    with torch.no_grad():
        alone, known = learner.model.train()(torch.from_numpy(X[:1])), learner.predict(X[:1]).scores
    assert np.allclose(alone, known, atol=1e-6)
    assert learner.model.training
    assert norm.training


def frozen_body() -> nn.Module:
    """A body that is frozen in every way, under a layer that trains."""
    body = nn.Sequential(nn.Linear(WIDTH, 10), nn.BatchNorm1d(10), nn.Dropout(0.5), nn.ReLU(),
                         nn.BatchNorm1d(10, affine=False))
    return nn.Sequential(body.requires_grad_(False), nn.Linear(10, 8), nn.BatchNorm1d(8), nn.ReLU())


@pytest.mark.parametrize("how", ["requires_grad", "eval", "both"])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_frozen_stays_to_the_bit(method: str, how: str) -> None:
    network = frozen_body()
    if how != "requires_grad":
        network[0].eval()
    if how == "eval":
        for layer in network[0]:
            layer.requires_grad_(isinstance(layer, nn.Linear))  # trains, but its neighbours rest
    statistics = {name for name, _ in network[0].named_buffers()}
    before = {name: tensor.clone() for name, tensor in network[0].state_dict().items()}
    learner = METHODS[method](network, shape=(WIDTH,), batch=8, learning_rate=0.05)
    lived(learner)
    body, same = learner.network[0], statistics if how == "eval" else before
    assert [name for name in same if not torch.equal(body.state_dict()[name], before[name])] == []
    assert [p.requires_grad for p in body.parameters()] == [p.requires_grad for p in network[0].parameters()]
    assert body[2].training == network[0][2].training
    assert learner.network[2].num_batches_tracked > 0  # what is not frozen goes on


@pytest.mark.parametrize("method", METHODS)
def test_what_is_frozen_is_frozen_after_loading_too(method: str) -> None:
    network = perceptron(WIDTH, (10, 8))
    network[1].requires_grad_(False)
    network[2].eval()
    learner = METHODS[method](network, batch=8)
    learner.learn(X, LABELS)
    twin = type(learner).from_state(learner.state())
    assert not twin.network[1].weight.requires_grad
    assert not twin.network[2].training
    twin.learn(X, LABELS)
    assert torch.equal(twin.network[1].weight, network[1].weight)
    assert torch.equal(twin.network[1].bias, network[1].bias)
    assert not torch.equal(twin.network[3].weight, network[3].weight)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_frozen_between_two_lessons_stays_from_then_on(method: str) -> None:
    learner = METHODS[method](perceptron(WIDTH, (10, 8)), batch=8)
    learner.learn(X, LABELS)
    kept = learner.network[1].requires_grad_(False).weight.clone()
    learner.learn(X, LABELS)
    assert torch.equal(learner.network[1].weight, kept)
    twin = type(learner).from_state(learner.state())
    twin.learn(X, LABELS)
    assert torch.equal(twin.network[1].weight, kept)
    assert np.isfinite(twin.predict(X).scores).all()


def test_frozen_parameters_are_not_counted_and_the_budget_is_for_the_others() -> None:
    learner = GrowAndPrune(frozen_body(), shape=(WIDTH,), **SMALL)
    learner.learn(X, LABELS)
    assert "network.0.0.weight" not in learner.masks
    assert learner.masks.total == 10 * 8 + 8 + 16 + 8 * 3 + 3
    assert learner.masks.live <= SMALL["parameters"]


def test_a_state_in_which_a_frozen_weight_has_a_mask_is_loaded() -> None:
    learner = GrowAndPrune(perceptron(WIDTH, (10, 8)), **SMALL)
    learner.learn(X, LABELS)
    network = perceptron(WIDTH, (10, 8))
    network[1].requires_grad_(False)
    twin = GrowAndPrune.from_state(learner.state(), network=network)
    assert np.array_equal(twin.predict(X).scores, learner.predict(X).scores)
    kept = twin.network[1].weight.clone()
    twin.learn(X, LABELS)
    assert torch.equal(twin.network[1].weight, kept)


def test_a_mask_of_minus_infinity_outlives_averaging() -> None:
    network = nn.Sequential(nn.Linear(WIDTH, 8), nn.ReLU())
    network.register_buffer("hidden", torch.tensor([0.0, -torch.inf]))
    learner = GrowAndPrune(network, shape=(WIDTH,), **SMALL)
    learner.learn(X, LABELS)
    assert learner.network.hidden.tolist() == [0.0, -np.inf]


@pytest.mark.parametrize("method", METHODS)
def test_two_learners_of_one_module_share_nothing_and_leave_it_as_it_was(method: str) -> None:
    network = normalised()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    one, two = (METHODS[method](network, shape=(WIDTH,), batch=8) for _ in range(2))
    two.learn(X, LABELS)
    known = two.predict(X).scores
    one.learn(X, ["x", "y", "z"] * 11)
    assert np.array_equal(two.predict(X).scores, known)
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


class Further(nn.Module):
    """More than features, but in training mode only."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, 4)

    def forward(self, rows: Tensor) -> Any:
        features = self.layer(rows)
        return (features, features) if self.training else features


class OfTheBatch(nn.Module):
    """Features that depend on the other inputs of the batch."""

    def forward(self, rows: Tensor) -> Tensor:
        return rows - rows.mean(0)


class ByChance(nn.Module):
    """Units that are dropped in evaluation mode too."""

    def forward(self, rows: Tensor) -> Tensor:
        return nn.functional.dropout(rows + 1)


class InPlace(nn.Module):
    """An operation that cannot go backward."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, 4)

    def forward(self, rows: Tensor) -> Tensor:
        features = self.layer(rows).sigmoid()
        features += 1
        return features


class Locked(nn.Module):
    """Something that cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = iter(x for x in range(3))

    def forward(self, rows: Tensor) -> Tensor:
        return rows


UNUSABLE: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "further outputs in training": (Further, "cannot be taught several inputs"),
    "batch normalisation without statistics": (
        lambda: nn.Sequential(nn.BatchNorm1d(WIDTH, track_running_stats=False)), "Expected more than 1 value"),
    "features of the batch": (OfTheBatch, "what else is asked"),
    "features by chance": (ByChance, "chance"),
    "no way backward": (InPlace, "cannot be taught"),
    "cannot be copied": (Locked, "cannot be copied"),
    "a script": (lambda: torch.jit.script(normalised()), "give the module it was made from"),
}


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("what", UNUSABLE)
@pytest.mark.parametrize("method", ["naive", "grow and prune"])
def test_a_network_that_could_not_be_used_is_refused_before_anything_is_learned(method: str, what: str) -> None:
    make, says = UNUSABLE[what]
    with pytest.raises(InputError, match=says):
        METHODS[method](make(), shape=(WIDTH,))


def test_finding_out_leaves_the_network_and_the_global_generator_alone() -> None:
    network = nn.Sequential(normalised(), nn.Dropout(0.5))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    learner = Naive(network, shape=(WIDTH,))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.network.state_dict().items())
    assert learner.labels == ()
    assert all(parameter.grad is None for parameter in learner.network.parameters())
