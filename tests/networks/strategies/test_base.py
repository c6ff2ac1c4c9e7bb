"""The base of all strategies: outputs grow, the optimiser goes on, an interruption takes back, everything is saved."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.numpy import load_file, save_file  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from engram.learner import Bounded, DamagedError, InputError, Learner, NotTaughtError, Saves  # noqa: E402
from engram.networks.strategies import optimiser as optimisers  # noqa: E402
from engram.networks.strategies.naive import Naive  # noqa: E402
from engram.networks.strategies.strategy import Strategy  # noqa: E402

NETWORK = {"name": "perceptron", "inputs": [4], "hidden": [6]}
X = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
LABELS = ["cat", "dog", "fox"] * 4


def states_agree(one: Strategy, two: Strategy) -> bool:
    first, second = one.state(), two.state()
    return first.keys() == second.keys() and all(np.array_equal(array, second[name]) for name, array in first.items())


class Interrupted(Naive):
    """Interrupted at the third step, when it is told so."""

    armed = False
    taken = 0

    def training_step(self, inputs: Any, targets: Any) -> Any:
        self.taken += 1
        loss = super().training_step(inputs, targets)
        if self.armed and self.taken == 3:
            raise KeyboardInterrupt
        return loss


def test_it_speaks_what_a_learner_speaks():
    learner = Naive(NETWORK)
    assert isinstance(learner, Learner)
    assert isinstance(learner, Saves)
    assert isinstance(learner, Bounded)
    assert learner.predict(X).labels == [None] * 12


def test_a_row_appears_when_a_label_appears_and_the_others_stay():
    learner = Naive(NETWORK)
    learner.learn(X[:2], ["cat", "dog"])
    before = learner.model.outputs.weight.detach().clone()
    with learner.changing():
        assert learner.grow(["dog", "fox", "owl", "fox"]) == ["fox", "owl"]
    assert learner.labels == ("cat", "dog", "fox", "owl")
    assert torch.equal(learner.model.outputs.weight[:2], before)
    assert learner.model.outputs.weight.shape == (4, 6)
    assert learner.places(["owl", "cat"]).tolist() == [3, 0]


@pytest.mark.parametrize("name", ["adam", "momentum", "adamw"])
def test_running_averages_are_carried_over_when_outputs_grow(name):
    learner = Naive(NETWORK, optimizer=name)
    learner.learn(X[:4], ["cat", "dog"] * 2)
    before = optimisers.arrays_of(learner.optimizer)
    with learner.changing():
        learner.grow(["fox"])
    after = optimisers.arrays_of(learner.optimizer)
    assert before.keys() == after.keys()
    assert any(array.ndim for array in before.values())
    for key, array in before.items():
        if after[key].shape == array.shape:
            assert np.array_equal(after[key], array)
        else:
            assert len(after[key]) == 3
            assert np.array_equal(after[key][:2], array)
            assert not after[key][2:].any()


def test_one_call_is_steps_of_descent_on_the_cross_entropy():
    learner = Naive(NETWORK, optimizer="sgd", learning_rate=0.5, batch=20, epochs=3)
    learner.learn(X, LABELS)
    twin = Naive(NETWORK, optimizer="sgd", learning_rate=0.5, batch=20, epochs=1)
    twin.learn(X, LABELS)
    targets = torch.tensor([0, 1, 2] * 4)
    for _ in range(2):  # on, by hand
        loss = functional.cross_entropy(twin.model(torch.from_numpy(X)), targets)
        parameters = list(twin.model.parameters())
        with torch.no_grad():
            for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter -= 0.5 * slope
    assert np.allclose(learner.predict(X).scores, twin.predict(X).scores, atol=1e-5)


def test_examples_come_once_in_every_pass_each_time_in_another_order():
    seen = []

    class Watched(Naive):
        def training_step(self, inputs, targets):
            seen.extend(X.tolist().index(row) for row in inputs.tolist())
            return torch.zeros(())

    Watched(NETWORK, batch=5, epochs=3).learn(X, LABELS)
    passes = [seen[:12], seen[12:24], seen[24:]]
    assert [sorted(one) for one in passes] == [list(range(12))] * 3
    assert len({tuple(one) for one in [*passes, range(12)]}) == 4


def test_only_labels_that_arrived_together_compete_where_it_is_told():
    learner = Naive(NETWORK, active="experience", optimizer="sgd", learning_rate=0.1)
    learner.learn(X[:4], ["cat", "dog"] * 2)
    before = learner.model.outputs.weight.detach().clone()
    learner.learn(X[4:8], ["fox", "owl"] * 2)
    assert torch.equal(learner.model.outputs.weight[:2], before)
    learner.learn(X[8:10], ["cat", "owl"])  # now these two met
    logits = torch.arange(16.0).view(4, 4)
    competing = learner.competing(logits, torch.arange(4)).isfinite()
    assert competing.tolist() == [[True, True, False, True], [True, True, False, False],
                                  [False, False, True, True], [True, False, True, True]]
    naive = Naive(NETWORK)
    naive.learn(X[:4], ["cat", "dog"] * 2)
    assert naive.competing(logits, torch.arange(4)) is logits


def test_what_was_interrupted_is_taken_back():
    learner, twin = (Interrupted(NETWORK, batch=2, epochs=2, active="experience") for _ in range(2))
    for one in (learner, twin):
        one.learn(X[:4], ["cat", "dog"] * 2)
    learner.armed, learner.taken = True, 0
    with pytest.raises(KeyboardInterrupt):
        learner.learn(X, LABELS)
    assert learner.labels == ("cat", "dog")
    assert learner.companions.shape == (2, 2)
    assert all(torch.equal(tensor, twin.model.state_dict()[name])
               for name, tensor in learner.model.state_dict().items())
    assert np.array_equal(learner.predict(X).scores, twin.predict(X).scores)
    learner.armed = False
    learner.learn(X, LABELS)
    assert learner.labels == ("cat", "dog", "fox")


def test_labels_that_met_only_while_it_was_interrupted_do_not_compete():
    learner = Interrupted(NETWORK, active="experience", batch=2)
    learner.learn(X[:2], ["cat", "dog"])
    learner.learn(X[2:4], ["fox", "owl"])
    before = learner.state()["companions"]
    learner.armed, learner.taken = True, 0
    with pytest.raises(KeyboardInterrupt):
        learner.learn(X[4:10], ["cat", "fox"] * 3)
    assert np.array_equal(learner.state()["companions"], before)


def test_the_whole_configuration_is_saved():
    settings = {"epochs": 3, "batch": 5, "learning_rate": 0.03, "optimizer": "momentum", "active": "experience",
                "seed": 7}
    learner = Naive(NETWORK, **settings)
    learner.learn(X, LABELS)
    twin = Naive.from_state(learner.state())
    assert {name: getattr(twin, name) for name in settings if name != "optimizer"} | {
        "optimizer": twin.optimizer_name} == settings
    assert twin.network.spec == learner.network.spec
    assert states_agree(learner, twin)
    for one in (learner, twin):
        one.learn(X[:5], ["owl", "cat", "dog", "fox", "owl"])
    assert states_agree(learner, twin)


class Own(nn.Module):
    """Somebody's network, which does not say how it was built."""

    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, width, 3), nn.BatchNorm2d(width)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.norm(self.convolution(images)).relu().mean((2, 3))


IMAGES = np.random.default_rng(1).random((8, 1, 6, 6), np.float32)


@pytest.mark.parametrize("optimiser", sorted(optimisers.OPTIMISERS))
def test_a_network_in_another_memory_layout_goes_on_from_a_file_as_if_nothing_had_been(optimiser, tmp_path):
    learner = Naive({"name": "lenet-5"}, batch=4, learning_rate=1e-2, optimizer=optimiser)
    images = np.random.default_rng(0).random((12, 1, 28, 28), np.float32)
    learner.learn(images, LABELS)
    save_file(learner.state(), tmp_path / "state.safetensors")
    twin = Naive.from_state(load_file(tmp_path / "state.safetensors"))
    assert states_agree(learner, twin)
    for one in (learner, twin):
        one.learn(images[::-1].copy(), LABELS)
    assert states_agree(learner, twin)


def test_a_module_of_ones_own_learns_and_is_loaded_into_another():
    learner = Naive(Own(), shape=(1, 6, 6), batch=4)
    learner.learn(IMAGES, [0, 1] * 4)
    with pytest.raises(InputError, match="network="):
        Naive.from_state(learner.state())
    twin = Naive.from_state(learner.state(), network=Own())
    assert states_agree(learner, twin)
    assert np.array_equal(learner.predict(IMAGES).scores, twin.predict(IMAGES).scores)
    with pytest.raises(DamagedError):
        Naive.from_state(learner.state(), network=Own(width=4))


def test_the_network_stays_in_the_mode_its_parts_were_in():
    network = Own()
    network.norm.eval()
    learner = Naive(network, shape=(1, 6, 6))
    assert learner.multiply_adds == 5 * 9 * 16
    assert network.training
    assert not network.norm.training
    assert network.norm.num_batches_tracked == 0


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "no shape": (lambda: Naive(Own()), "shape"),
    "a shape the network does not take": (lambda: Naive(Own(), shape=(2, 6, 6)), "shape"),
    "maps for features": (lambda: Naive(nn.Conv2d(1, 1, 1), shape=(1, 2, 2)), "Flatten"),
    "a name for a network": (lambda: Naive("perceptron"), 'torch module, or a spec such as {"name": "perceptron"'),
    "no such network": (lambda: Naive({"name": "net"}), "perceptron"),
    "no such optimiser": (lambda: Naive(NETWORK, optimizer="sdg"), "adam"),
    "no such device": (lambda: Naive(NETWORK, device="abacus"), "abacus"),
    "a device that is not there": (lambda: Naive(NETWORK, device="cuda:77"), "cuda:77"),
    "no epochs": (lambda: Naive(NETWORK, epochs=0), "epochs"),
    "an empty batch": (lambda: Naive(NETWORK, batch=0), "batch"),
    "no rate": (lambda: Naive(NETWORK, learning_rate=0.0), "learning_rate"),
    "a rate that is no number": (lambda: Naive(NETWORK, learning_rate=float("nan")), "learning_rate"),
    "others competing": (lambda: Naive(NETWORK, active="some"), "active"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("what", REFUSED)
def test_settings_that_cannot_be_are_refused(what):
    make, says = REFUSED[what]
    with pytest.raises(InputError, match=says):
        make()


@pytest.mark.parametrize("damage", [
    {"about": None}, {"network/outputs.weight": None}, {"network/outputs.weight": np.zeros((2, 6), np.float32)},
    {"network/extra": np.zeros(2)}, {"companions": None}, {"generator": np.zeros(3, np.uint8)},
    {"optimiser/0.exp_avg": np.zeros((1, 1), np.float32)}, {"optimiser/99.exp_avg": np.zeros(1)},
])
def test_a_damaged_state_is_refused(damage):
    learner = Naive(NETWORK)
    learner.learn(X, LABELS)
    state = {name: array for name, array in {**learner.state(), **damage}.items() if array is not None}
    with pytest.raises(DamagedError):
        Naive.from_state(state)


def test_another_methods_state_is_refused():
    with pytest.raises(DamagedError, match="Naive"):
        Interrupted.from_state(Naive(NETWORK).state())


def test_errors_that_others_raise_are_not_swallowed():
    class Failing(Naive):
        def project(self, inputs: Any, targets: Any) -> None:
            raise NotTaughtError("this")

    learner = Failing(NETWORK)
    with pytest.raises(NotTaughtError):
        learner.learn(X, LABELS)
    assert learner.labels == ()
