"""Replay of dreams: generative replay, with distillation, and brain-inspired replay."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from engram.checks import learner_checks  # noqa: E402
from engram.learner import InputError  # noqa: E402
from engram.networks.strategies.brain_inspired_replay import BrainInspiredReplay  # noqa: E402
from engram.networks.strategies.generative_replay import GenerativeReplay, agreement  # noqa: E402

NETWORK = {"name": "perceptron", "inputs": [8], "hidden": [16]}
FAST = {"epochs": 15, "batch": 32, "learning_rate": 0.05}
MPPCA = {"name": "mppca", "factors": 2}
VAE = {"name": "vae", "hidden": [8], "latents": 2, "steps": 3, "batch": 8}
METHODS = {
    "generative replay": partial(GenerativeReplay, NETWORK, dreamer=VAE, **FAST),
    "with distillation": partial(
        GenerativeReplay, NETWORK, dreamer=VAE | {"prior": "class"}, distillation=True, **FAST),
    "brain-inspired": partial(BrainInspiredReplay, NETWORK, latents=2, hidden=[8], **FAST | {"epochs": 25}),
}
RNG = np.random.default_rng(0)
FIRST = (RNG.normal(size=(60, 8)) + 3 * np.repeat(np.eye(8)[:2], 30, axis=0)).astype(np.float32)
SECOND = (RNG.normal(size=(60, 8)) + 3 * np.repeat(np.eye(8)[2:4], 30, axis=0)).astype(np.float32)


@pytest.mark.parametrize("method", ["with distillation", "brain-inspired"])
@pytest.mark.parametrize("check", learner_checks(stream=48), ids=str)
def test_a_method_keeps(check: Any, method: str) -> None:
    check(METHODS[method] if method == "brain-inspired" else partial(METHODS[method], epochs=12, learning_rate=0.1))


def test_a_step_weighs_new_examples_and_dreams_by_what_they_stand_for() -> None:
    learner = METHODS["generative replay"](dreamer=MPPCA, epochs=8, batch=16)
    learner.learn(FIRST, [0] * 30 + [1] * 30)
    seen = []

    class Watched(type(learner)):  # type: ignore[misc]
        def penalty(self) -> Any:
            asked: list[Any] = []
            draw = self.past.draw
            self.past.draw = lambda *arguments: asked.append(draw(*arguments)) or asked[-1]
            found = super().penalty()
            dreams, labels, _ = asked[0]
            expected = functional.cross_entropy(self.model(torch.from_numpy(dreams)), torch.from_numpy(labels))
            seen.append((float(found.detach()), 60 / 75 * float(expected.detach())))
            del self.past.draw
            return found

        def loss(self, inputs: Any, targets: Any) -> Any:
            found = super().loss(inputs, targets)
            expected = functional.cross_entropy(self.model(inputs), targets)
            seen.append((float(found.detach()), 15 / 75 * float(expected.detach())))
            return found

    learner.__class__ = Watched
    learner.learn(SECOND[:15], [2] * 15)
    assert len(seen) == 16
    assert all(found == pytest.approx(expected, rel=1e-5) for found, expected in seen)
    assert learner.past.seen == {0: 30, 1: 30, 2: 15}


def test_distillation_is_the_agreement_with_the_network_as_it_was_which_knew_no_new_label() -> None:
    learner = METHODS["with distillation"](temperature=3.0, dreamer=MPPCA)
    learner.learn(FIRST, [0] * 30 + [1] * 30)
    before = learner.predict(FIRST).scores
    with learner.changing():
        learner._former.appoint(learner.model)
        learner.grow([2])
        _, targets, wanted = learner.dreamt(20)
    assert set(targets.tolist()) <= {0, 1}
    assert wanted.shape[1] == len(before[0])
    wider = torch.cat([wanted, torch.full((20, 1), -torch.inf)], dim=1)
    logits = torch.randn(20, 3)
    shares = torch.cat([(wanted / 3).softmax(dim=1), torch.zeros(20, 1)], dim=1)
    expected = 9 * functional.cross_entropy(logits / 3, shares)
    assert float(agreement(logits, wider, 3.0)) == pytest.approx(float(expected))


def test_a_generator_that_knows_no_labels_is_labelled_by_the_network_as_it_was() -> None:
    learner = METHODS["generative replay"]()
    learner.learn(FIRST, [0] * 30 + [1] * 30)
    learner._former.appoint(learner.model)
    dreams, targets, _ = learner.dreamt(30)
    assert targets.tolist() == [learner.labels.index(label) for label in learner.predict(dreams.numpy()).best]


def test_feedback_is_trained_on_the_evidence_bound_of_what_the_network_sees() -> None:
    learner = METHODS["brain-inspired"]()
    learner.learn(FIRST, [0] * 30 + [1] * 30)
    rows, classes = torch.from_numpy(FIRST), torch.tensor([0] * 30 + [1] * 30)
    features = learner.network(rows)
    torch.manual_seed(0)
    found = learner.past.loss(features, rows, classes)
    latents, decoder = learner.past.latents, learner.past.decoder
    mean, log_variance = latents(features)
    torch.manual_seed(0)
    decoded = decoder(mean + (log_variance / 2).exp() * torch.randn_like(mean), classes)
    wanted = (rows - FIRST.mean()) / FIRST.std()
    bound = (decoded - wanted).square().sum(1) / 0.2 + latents.divergence(mean, log_variance, classes)
    assert float(found.detach()) == pytest.approx(float(bound.mean().detach() / 8), rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_dreams_keep_what_came_before(method: str) -> None:
    dreamer = {} if method == "brain-inspired" else {"dreamer": MPPCA}
    learner = METHODS[method](epochs=40, **dreamer)
    learner.learn(FIRST, [0] * 30 + [1] * 30)
    learner.learn(SECOND, [2] * 30 + [3] * 30)
    assert learner.samples_stored == 0
    assert np.mean(np.array(learner.predict(FIRST).best) == np.repeat([0, 1], 30)) > 0.75


def test_settings_that_cannot_be_are_refused() -> None:
    for method, settings in (("generative replay", {"temperature": 0}), ("generative replay", {"replayed": 0}),
                             ("generative replay", {"dreamer": {}}), ("brain-inspired", {"likelihood": "x"}),
                             ("brain-inspired", {"shut": 1.0}), ("brain-inspired", {"temperature": -1})):
        with pytest.raises(InputError):
            METHODS[method](**settings)
