"""How a strategy trains: budgets, schedules, clipping, decay, early stopping, hooks, and what may be given to it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from engram.learner import InputError, LabelError  # noqa: E402
from engram.networks.memory import Reservoir  # noqa: E402
from engram.networks.strategies.experience_replay import ExperienceReplay  # noqa: E402
from engram.networks.strategies.naive import Naive  # noqa: E402

NETWORK = {"name": "perceptron", "inputs": [4], "hidden": [6]}
X = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
LABELS = ["cat", "dog", "fox"] * 8


class Watched(Naive):
    """Writes down the rate, the loss and the norm of the gradients of every step, and where passes end."""

    def __init__(self, network: Any, **settings: Any) -> None:
        super().__init__(network, **settings)
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.passes: list[int] = []
        self.sizes: list[int] = []

    def project(self, inputs: Any, targets: Any) -> None:
        assert len(inputs) == len(targets)
        self.rates.append(self.optimizer.param_groups[0]["lr"])

    def after_step(self, loss: Any) -> None:
        self.losses.append(float(loss))
        grads = [p.grad.norm() for p in self.model.parameters() if p.grad is not None]
        self.norms.append(float(torch.stack(grads).norm()))

    def after_epoch(self, epoch: int) -> None:
        self.passes.append(epoch)

    def before_experience(self, inputs: Any, targets: Any) -> None:
        self.sizes.append(len(targets))
        assert len(self.labels) >= int(targets.max()) + 1


def test_steps_are_a_budget_whatever_arrives_and_are_counted_with_what_was_shown() -> None:
    learner = Watched(NETWORK, steps=7, batch=10)
    learner.learn(X, LABELS)
    learner.learn(X[:3], LABELS[:3])
    assert (len(learner.losses), learner.steps_taken) == (14, 14)
    assert learner.examples_shown == 10 + 10 + 4 + 10 + 10 + 4 + 10 + 7 * 3
    assert (learner.passes, learner.sizes) == ([0, 1, 2, 0, 1, 2, 3, 4, 5, 6], [24, 3])
    twin = Watched.from_state(learner.state())
    assert (twin.steps_taken, twin.examples_shown) == (14, learner.examples_shown)


def test_replayed_examples_are_shown_too() -> None:
    learner = ExperienceReplay(NETWORK, batch=24, capacity=5, replayed=6)
    learner.learn(X, LABELS)
    learner.learn(X, LABELS)
    assert (learner.steps_taken, learner.examples_shown) == (2, 24 + 30)


def test_a_step_returns_its_loss_with_the_penalty() -> None:
    class Held(Watched):
        def penalty(self) -> Any:
            return self.model.outputs.bias.sum() * 0 + 5.0

    learner = Held(NETWORK, batch=24)
    learner.learn(X, LABELS)
    fresh = Naive(NETWORK)
    with fresh.changing():
        fresh.grow(LABELS)
        expected = functional.cross_entropy(fresh.model(torch.from_numpy(X)), fresh.places(LABELS)).item() + 5
    assert learner.losses[0] == pytest.approx(expected, rel=1e-5)


def test_the_schedule_starts_anew_with_every_call() -> None:
    learner = Watched(NETWORK, steps=4, schedule="cosine", learning_rate=0.1)
    learner.learn(X, LABELS)
    learner.learn(X, LABELS)
    expected = [0.05 * (1 + math.cos(math.pi * (step + 0.5) / 4)) for step in range(4)] * 2
    assert learner.rates == pytest.approx(expected)


def test_a_schedule_for_life_goes_on_after_loading_and_says_when_it_has_ended() -> None:
    learner = Watched(NETWORK, steps=4, schedule="linear", schedule_steps=8, learning_rate=1.0, optimizer="sgd")
    learner.learn(X, LABELS)
    learner = Watched.from_state(learner.state())
    learner.learn(X, LABELS)
    assert learner.rates == pytest.approx([1 - (step + 0.5) / 8 for step in range(4, 8)])
    before = learner.state()
    with pytest.raises(InputError, match=r"ended after 8 steps at a learning rate of 0.*schedule_steps"):
        learner.learn(X, LABELS)
    assert all(np.array_equal(array, before[name]) for name, array in learner.state().items())


def test_gradients_are_no_longer_than_they_may_be_and_weights_decay() -> None:
    free, clipped = (Watched(NETWORK, steps=3, clip_gradients=most) for most in (None, 0.01))
    for one in (free, clipped):
        one.learn(X, LABELS)
    assert max(clipped.norms) <= 0.0101 < max(free.norms)
    decaying = Naive(NETWORK, steps=50, optimizer="sgd", learning_rate=0.1, weight_decay=1.0)
    plain = Naive(NETWORK, steps=50, optimizer="sgd", learning_rate=0.1)
    for one in (decaying, plain):
        one.learn(X, LABELS)
    assert decaying.network[1].weight.norm() < 0.2 * plain.network[1].weight.norm()


def test_training_ends_early_with_the_weights_that_were_best_on_what_was_held_out() -> None:
    noise = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
    labels = np.random.default_rng(2).integers(0, 2, 60).tolist()

    class Judged(Watched):
        found: list[float]

        def loss_of(self, inputs: Any, targets: Any) -> float:
            self.judged = inputs, targets
            self.found = [*getattr(self, "found", []), super().loss_of(inputs, targets)]
            return self.found[-1]

    learner = Judged(NETWORK, epochs=200, batch=10, learning_rate=0.05, patience=3)
    learner.learn(noise, labels)
    assert len(learner.passes) < 200
    assert len(learner.judged[0]) == 6
    assert learner.found.index(min(learner.found)) == len(learner.found) - 4
    assert super(Judged, learner).loss_of(*learner.judged) == pytest.approx(min(learner.found))


def test_callbacks_are_told_and_stay_the_users() -> None:
    class Told:
        def __init__(self) -> None:
            self.heard: list[str] = []

        def before_experience(self, strategy: Any, inputs: Any, targets: Any) -> None:
            self.heard.append(f"{len(targets)} arrived")

        def after_step(self, strategy: Any, loss: Any) -> None:
            self.heard.append(f"step {strategy.steps_taken}")
            if strategy.steps_taken == 5:
                raise KeyboardInterrupt

        def after_epoch(self, strategy: Any, epoch: int) -> None:
            self.heard.append(f"pass {epoch}")

    told = Told()
    learner = Naive(NETWORK, batch=12, epochs=2, callbacks=[told])
    learner.learn(X, LABELS)
    assert told.heard == ["24 arrived", "step 1", "step 2", "pass 0", "step 3", "step 4", "pass 1"]
    with pytest.raises(KeyboardInterrupt):
        learner.learn(X, LABELS)
    assert (learner.callbacks, told.heard[-1], learner.steps_taken) == ([told], "step 5", 4)


def test_a_loader_is_learned_as_one_call_and_labels_may_be_a_tensor() -> None:
    one, two = Naive(NETWORK, batch=8), Naive(NETWORK, batch=8)
    numbers = torch.arange(24) % 3
    one.learn(X, numbers)
    two.learn(DataLoader(TensorDataset(torch.from_numpy(X), numbers), batch_size=5))
    assert one.labels == two.labels == (0, 1, 2)
    assert np.array_equal(one.predict(X).scores, two.predict(X).scores)
    with pytest.raises(LabelError, match="label for each"):
        one.learn(X)
    with pytest.raises(InputError, match="DataLoader"):
        one.learn([1, 2])


def test_numbers_of_tokens_are_inputs_and_are_replayed_as_such() -> None:
    network = nn.Sequential(nn.Embedding(9, 5), nn.Flatten())
    with pytest.raises(InputError, match="does not take inputs"):
        Naive(network, shape=(3,))
    learner = ExperienceReplay(network, shape=(3,), dtype="int64", capacity=6, epochs=30, learning_rate=0.05)
    tokens = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 1]])
    learner.learn(tokens, ["a", "b", "c"])
    learner.learn(tokens[:1], ["a"])
    assert learner.predict(tokens).labels == ["a", "b", "c"]
    twin = ExperienceReplay.from_state(learner.state(), network=network)
    assert np.array_equal(twin.predict(tokens).scores, learner.predict(tokens).scores)
    with pytest.raises(InputError, match="whole numbers"):
        learner.learn(tokens + 0.5, ["a", "b", "c"])


class Remembering(Naive):
    """Registers one part of each kind."""

    def __init__(self, network: Any, **settings: Any) -> None:
        super().__init__(network, **settings)
        self.register(decoder=lambda: nn.Linear(2, 3), count=1, share=0.5, told=False, centre=torch.zeros(2),
                      springs={"a": torch.ones(1)}, kept=Reservoir(4), rng=np.random.default_rng(self.seed),
                      chance=torch.Generator().manual_seed(1))
        self.register(descent=torch.optim.Adam(self.decoder.parameters(), lr=0.1))
        self.register(falling=torch.optim.lr_scheduler.StepLR(self.descent, 1, 0.5))

    def after_step(self, loss: Any) -> None:
        self.descent.zero_grad()
        noise = torch.randn(4, 2, generator=self.chance) + float(self.rng.normal())
        self.decoder(noise).square().mean().backward()
        self.descent.step()
        self.falling.step()
        self.count, self.share, self.told = self.count + 1, self.share / 2, True
        self.centre, self.springs = self.centre + 1, {"a": self.springs["a"] * 2, "b": self.centre}
        self.kept.add(self.rng, noise.numpy())


def test_parts_of_every_kind_are_seeded_saved_restored_and_counted() -> None:
    torch.manual_seed(3)
    learner, twin = (Remembering(NETWORK, steps=3) for _ in range(2))
    assert torch.equal(learner.decoder.weight, twin.decoder.weight)
    learner.learn(X, LABELS)
    state = learner.state()
    loaded = Remembering.from_state(state)
    assert loaded.descent.param_groups[0]["lr"] == learner.descent.param_groups[0]["lr"] == pytest.approx(0.0125)
    for one in (learner, loaded):
        one.learn(X[::-1].copy(), LABELS)
    assert learner.count == loaded.count == 7
    one, two = learner.state(), loaded.state()
    assert one.keys() == two.keys()
    assert [name for name in one if not np.array_equal(one[name], two[name])] == []
    assert learner.memory_bytes == sum(array.nbytes for array in one.values())


def test_what_cannot_be_saved_is_refused_when_it_is_registered() -> None:
    with pytest.raises(InputError, match="words is a set, which cannot be saved"):
        Naive(NETWORK).register(words={"a"})


def test_the_configuration_tells_network_settings_versions_and_what_was_done() -> None:
    learner = Naive(NETWORK, steps=2, batch=5)
    learner.learn(X, LABELS)
    found = learner.config()
    assert found["network"]["hidden"] == [6]
    assert (found["batch"], found["steps_taken"], found["examples_shown"]) == (5, 2, 10)
    assert found["versions"]["torch"] == torch.__version__
    assert Naive(nn.Flatten(), shape=(4,)).config()["network"] == {"module": "Flatten", "parameters": 0}


@pytest.mark.parametrize("wrong", [
    {"steps": 0}, {"clip_gradients": 0}, {"weight_decay": -1}, {"schedule": "steep"}, {"patience": 0},
    {"dtype": "int8"}, {"schedule_steps": 0}, {"epochs": None},
])
def test_settings_of_training_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        Naive(NETWORK, **wrong)
