"""Backpropagation through time: PyTorch computes what numpy does, its gradients are those of differences, and a core
that was trained runs without it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from engram.features.cores import CORES
from engram.features.cores.gru import GRU
from engram.features.cores.learning_rules.bptt import Schedule, bptt, outputs_of, parameters_of
from engram.features.cores.learning_rules.objectives import Labels, NextFrame
from engram.features.cores.recurrent import Recurrent
from engram.learner import EngramError

TRAINED = [name for name in CORES if issubclass(CORES.load(name), Recurrent)]
RNG = np.random.default_rng(0)


def small(name):
    options = {"neural-circuit-policy": {"width": 11, "sensory_fanout": 3}}.get(name, {"width": 5})
    return CORES.load(name).fresh(3, seed=2, **options | dict(CORES[name].settings))


@pytest.mark.parametrize("name", TRAINED)
def test_pytorch_computes_the_same_outputs_as_numpy(name):
    core = small(name)
    frames, dt = RNG.normal(size=(2, 7, 3)), RNG.uniform(0.3, 1.7, (2, 7))
    dt[0, 5:] = 0
    wanted = core.advance(core.start(2), frames, dt)[1]
    tensors = torch.tensor(frames, dtype=torch.float32), torch.tensor(dt, dtype=torch.float32)
    found = outputs_of(core, parameters_of(core), *tensors).detach().numpy()
    assert np.abs(found - wanted).max() < 1e-5


@pytest.mark.parametrize("name", [name for name in TRAINED if name not in ("echo-state", "lif", "alif")])
def test_gradients_are_those_of_differences(name):
    core = small(name)
    frames, dt = torch.tensor(RNG.normal(size=(2, 4, 3))), torch.ones(2, 4).double()
    parameters = {key: torch.tensor(np.array(array), requires_grad=key not in core.fixed)
                  for key, array in core.arrays.items()}
    outputs_of(core, parameters, frames, dt).square().sum().backward()
    for key, tensor in parameters.items():
        if key in core.fixed:
            continue
        place = tuple(RNG.integers(size) for size in tensor.shape)
        losses = []
        for sign in (-1, 1):
            moved = {k: np.array(a) for k, a in core.arrays.items()}
            moved[key][place] += sign * 1e-6
            other = core.with_arrays(moved)
            losses.append(np.square(other.advance(other.start(2), frames.numpy(), dt.numpy())[1]).sum())
        assert tensor.grad[place].item() == pytest.approx((losses[1] - losses[0]) / 2e-6, rel=1e-4, abs=1e-7), key


def test_spikes_are_learned_through_a_triangle_around_the_threshold():
    core = small("alif")
    frames = torch.tensor(RNG.normal(size=(2, 30, 3)), dtype=torch.float32)
    parameters = parameters_of(core)
    outputs_of(core, parameters, frames, torch.ones(2, 30)).sum().backward()
    assert all(tensor.grad.abs().sum() > 0 for tensor in parameters.values())


def test_a_core_learns_to_predict_and_to_tell_apart_and_runs_on_numpy():
    time = np.arange(13)
    phases = np.linspace(0, 6, 24)
    waves = np.stack([np.sin(time * speed + phase) for speed in (0.3, 0.9) for phase in phases])[..., None]
    frames, dt = torch.tensor(waves[:, :-1], dtype=torch.float32), torch.ones(48, 12)
    losses: list[float] = []
    torch.manual_seed(0)
    objective = NextFrame(8, 1)
    core = bptt(GRU.fresh(1, 8), (frames, dt, torch.tensor(waves[:, 1:], dtype=torch.float32)), objective,
                Schedule(40, 16, 3e-2), lambda epoch, loss: losses.append(loss))
    outputs = core.advance(core.start(48), waves[:, :-1], np.ones((48, 12)))[1]
    with torch.no_grad():
        predicted = objective.predicted(torch.tensor(outputs, dtype=torch.float32), frames).numpy()
    assert np.square(predicted - waves[:, 1:]).mean() < losses[0] / 4
    classes = torch.arange(48) // 24
    labels = Labels(8, 2)
    again = bptt(GRU.fresh(1, 8), (frames, dt, classes), labels, Schedule(30, 16, 3e-2))
    means = again.advance(again.start(48), waves[:, :-1], np.ones((48, 12)))[1].mean(1)
    with torch.no_grad():
        found = labels.read(torch.tensor(means, dtype=torch.float32)).argmax(1)
    assert (found == classes).float().mean() > 0.9


def test_training_is_the_same_for_the_same_seed_leaves_the_core_and_stops_where_it_diverges():
    core = small("cfc")
    before = {name: array.copy() for name, array in core.arrays.items()}
    frames = torch.tensor(RNG.normal(size=(6, 5, 3)), dtype=torch.float32)
    data = frames, torch.ones(6, 5), frames

    def learned(rate):
        torch.manual_seed(1)
        return bptt(core, data, NextFrame(5, 3), Schedule(2, 4, rate, seed=3)).arrays

    one, two = learned(1e-2), learned(1e-2)
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert any(not np.array_equal(one[name], before[name]) for name in one)
    assert all(np.array_equal(core.arrays[name], before[name]) for name in before)
    with pytest.raises(EngramError, match="lower learning rate"):
        bptt(core, (frames, torch.ones(6, 5), frames / 0), NextFrame(5, 3), Schedule(1))
