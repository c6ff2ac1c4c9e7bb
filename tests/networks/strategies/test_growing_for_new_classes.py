"""Networks that grow for new classes and dream the old ones."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from engram.checks import learner_checks  # noqa: E402
from engram.learner import InputError  # noqa: E402
from engram.networks.strategies.neurogenesis import Neurogenesis  # noqa: E402

NETWORK = {"name": "perceptron", "inputs": [8], "hidden": [12], "slope": 0.0}
MPPCA = {"name": "mppca", "components": 1, "factors": 2}
LEARNER = partial(Neurogenesis, network=NETWORK, dreamer=MPPCA, epochs=25, batch=32, learning_rate=0.05,
                  growth=2, feature_steps=3, confidence=0.0)
RNG = np.random.default_rng(0)
FIRST = (RNG.normal(size=(60, 8)) + 4 * np.repeat(np.eye(8)[:2], 30, axis=0)).astype(np.float32)
SECOND = (RNG.normal(size=(60, 8)) + 4 * np.repeat(np.eye(8)[2:4], 30, axis=0)).astype(np.float32)
OLD, NEW = [0] * 30 + [1] * 30, [2] * 30 + [3] * 30


@pytest.mark.parametrize("check", learner_checks(stream=48), ids=str)
def test_neurogenesis_keeps(check: Any) -> None:
    check(partial(LEARNER, epochs=8, learning_rate=0.1))


def test_layers_grow_when_new_classes_come_and_only_then() -> None:
    learner = LEARNER()
    learner.learn(FIRST, OLD)
    assert learner.report["born"] == {}
    before = learner.predict(FIRST).scores
    learner.learn(FIRST[:5], OLD[:5])
    assert learner.report["born"] == {}
    learner.learn(SECOND, NEW)
    assert learner.report["born"] == {"1": 2}
    assert learner.report["growth-change"] <= 1e-5
    assert learner.model.outputs.width == learner.units["1"] == learner.network.spec["hidden"][0]
    assert len(before[0]) == 2
    assert np.mean(np.array(learner.predict(FIRST).best) == OLD) > 0.8


def test_new_weights_alone_learn_the_new_inputs_first_and_others_are_held() -> None:
    moved = {}
    for hold in (True, False):
        learner = LEARNER(hold=hold, feature_steps=20)
        learner.learn(FIRST, OLD)
        old = learner.network[1].weight.detach().clone()
        with learner.changing():
            learner.grow(NEW)
            learner.before_experience(torch.from_numpy(SECOND), torch.tensor(NEW))
        moved[hold] = float((learner.network[1].weight.detach()[: len(old)] - old).abs().max())
    assert moved[True] == 0.0
    assert moved[False] > 0.0


def test_growth_by_need_is_none_where_the_layer_carries_what_is_new() -> None:
    wide = NETWORK | {"hidden": [40]}
    for network, most in ((wide, 0), (NETWORK | {"hidden": [2]}, 8)):
        learner = LEARNER(network=network, growth="need", most=most or 9)
        learner.learn(FIRST, OLD)
        learner.learn(5 * SECOND, NEW)
        born = learner.report["born"].get("1", 0)
        assert (born == 0) == (not most)


def test_units_that_contribute_nothing_die_and_answers_stay() -> None:
    learner = LEARNER(epochs=1, learning_rate=1e-6)
    with torch.no_grad():
        learner.network[1].bias[:3] = -1000.0
    learner.learn(FIRST, OLD)
    assert learner.report["died"] == {"1": 3}
    assert learner.report["death-change"] <= 1e-5
    assert learner.units == {"1": 9}


def test_dreams_of_which_the_former_network_is_unsure_are_left_out() -> None:
    learner = LEARNER(confidence=0.9, epochs=40)
    learner.learn(FIRST, OLD)
    learner.past.mixtures[0] = learner.past.mixtures[0]._replace(noise=learner.past.mixtures[0].noise * 30)
    learner._former.appoint(learner.model)
    learner._rng = np.random.default_rng(0)
    _, targets, wanted = learner.dreamt(50)
    sure = wanted.softmax(dim=1).gather(1, targets[:, None])
    assert (sure >= 0.9).float().mean() > 0.9
    taken, drawn = learner.accepted.tolist()
    assert 0 < taken < drawn


def test_the_latents_of_an_autoencoder_grow_and_what_it_drew_stays() -> None:
    vae = {"name": "vae", "hidden": [8], "latents": 2, "prior": "mixture", "steps": 20, "batch": 16}
    learner = LEARNER(dreamer=vae, latents_grown=3)
    learner.learn(FIRST, OLD)
    torch.manual_seed(0)
    targets, latents = torch.zeros(20, dtype=torch.int64), torch.randn(20, 2)
    before = learner.past.model.decoder(latents, targets)
    learner.past.widen(1)
    after = learner.past.model.decoder(torch.cat([latents, torch.randn(20, 1)], dim=1), targets)
    assert torch.allclose(before, after, atol=1e-6)
    learner.learn(SECOND, NEW)
    assert learner.past.settings["latents"] == 6
    again = Neurogenesis.from_state(learner.state())
    assert again.past.settings["latents"] == 6


def test_a_module_of_ones_own_grows_is_saved_and_goes_on() -> None:
    def own() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Unflatten(1, (1, 8)), nn.Conv1d(1, 3, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Flatten(),
                             nn.Linear(18, 6))

    learner = LEARNER(network=own(), shape=(8,))
    learner.learn(FIRST, OLD)
    learner.learn(SECOND, NEW)
    assert learner.units["1"] == 5
    again = Neurogenesis.from_state(learner.state(), network=own())
    for one in (learner, again):
        one.learn(SECOND[:10] + 3, [4] * 10)
    assert np.allclose(learner.predict(FIRST).scores, again.predict(FIRST).scores)


class Reading(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.RNN(2, 3, batch_first=True)

    def forward(self, rows: Any) -> Any:
        return self.recurrent(rows.view(-1, 4, 2))[0][:, -1]


def test_what_cannot_be_is_refused() -> None:
    for settings in ({"growth": -1}, {"growth": "much"}, {"confidence": 1.0}, {"tolerance": 0.5}, {"most": -1}):
        with pytest.raises(InputError):
            LEARNER(**settings)
    with pytest.raises(InputError, match="Recurrent"):
        LEARNER(network=Reading(), shape=(8,))
