"""E-prop: its gradients are those of backpropagation through time where theory says so; its memory does not grow."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from engram.features.cores.integrate_and_fire import IntegrateAndFire
from engram.features.cores.learning_rules.e_prop import EProp, Feedback
from engram.learner import InputError

RNG = np.random.default_rng(0)


def neurons(beta, alone, width=6):
    core = IntegrateAndFire.fresh(3, width, seed=1, membrane=8.0, adaptation=20.0, trace=6.0, threshold=0.5, beta=beta)
    return core.with_arrays({**core.arrays, "recurrent": np.zeros((width, width))}) if alone else core


def by_bptt(core, frames, dt, wanted):
    torch = pytest.importorskip("torch")
    from engram.features.cores.learning_rules.bptt import outputs_of

    parameters = {name: torch.tensor(np.array(array), requires_grad=True) for name, array in core.arrays.items()}
    outputs = outputs_of(core, parameters, torch.tensor(frames), torch.tensor(dt))
    alive = torch.tensor(dt > 0)[..., None]
    ((outputs - torch.tensor(wanted)).square() * alive).sum().div(2).backward()
    return {name: tensor.grad.numpy() for name, tensor in parameters.items()}


def by_e_prop(core, frames, dt, wanted):
    rule = EProp(core, len(frames))
    for t in range(frames.shape[1]):
        outputs = rule.step(frames[:, t], dt[:, t])
        rule.learn((outputs - wanted[:, t]) * (dt[:, t, None] > 0))
    return rule.gradients


@pytest.mark.parametrize("beta", [0.0, 0.4])
def test_where_no_neuron_hears_another_the_gradients_are_those_of_bptt(beta):
    core = neurons(beta, alone=True)
    frames, dt = 1.5 * RNG.normal(size=(2, 60, 3)), RNG.uniform(0.5, 1.5, (2, 60))
    dt[1, 20:30] = 0
    wanted = RNG.uniform(size=(2, 60, 6))
    found, exact = (by(core, frames, dt, wanted) for by in (by_e_prop, by_bptt))
    for name in ("input", "bias"):
        assert np.abs(exact[name]).max() > 0.1
        assert np.linalg.norm(found[name] - exact[name]) < 1e-10 * np.linalg.norm(exact[name])


def test_where_neurons_hear_each_other_the_gradients_point_the_same_way():
    core = neurons(0.2, alone=False)
    frames, dt, wanted = 1.5 * RNG.normal(size=(4, 40, 3)), np.ones((4, 40)), RNG.uniform(size=(4, 40, 6))
    found, exact = (by(core, frames, dt, wanted) for by in (by_e_prop, by_bptt))
    for name in ("input", "recurrent"):
        one, two = found[name].ravel(), exact[name].ravel()
        assert 0.8 < one @ two / np.linalg.norm(one) / np.linalg.norm(two) < 0.9999


def test_memory_does_not_grow_with_time():
    core, peaks = neurons(0.2, alone=False, width=20), []
    for length in (20, 200):
        rule = EProp(core, 4)
        tracemalloc.start()
        for _ in range(length):
            rule.learn(rule.step(np.ones((4, 3))))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.05 * peaks[0]


@pytest.mark.parametrize("kind", ["symmetric", "random", "adaptive"])
def test_neurons_learn_online_with_every_feedback(kind):
    core, readout = neurons(0.1, alone=False, width=30), np.random.default_rng(3).normal(size=(30, 1)) / 5
    feedback = Feedback(kind, readout, seed=1)
    frames = np.random.default_rng(2).normal(size=(60, 1, 3)) * 1.5
    wanted = 0.5 + 0.4 * np.sin(np.arange(60) / 6)[:, None]
    losses = []
    for _ in range(25):
        rule, change, loss = EProp(core, 1), np.zeros_like(readout), 0.0
        for frame, goal in zip(frames, wanted, strict=True):
            outputs = rule.step(frame)
            error = outputs @ readout - goal
            rule.learn(feedback(error))
            change -= 0.01 * outputs.T @ error
            loss += float(np.square(error).sum())
        readout = readout + change
        feedback.follow(change)
        core = core.with_arrays({name: core.arrays[name] - 0.01 * slope for name, slope in rule.gradients.items()})
        losses.append(loss)
    assert losses[-1] < 0.8 * losses[0]


def test_what_cannot_be_heard_or_learned_is_refused():
    rule = EProp(neurons(0.0, alone=False), 2)
    for bad in (np.ones((2, 4)), np.full((2, 3), np.nan), np.ones((3, 3))):
        with pytest.raises(InputError):
            rule.step(bad)
    for signal in (np.ones((2, 5)), np.full((2, 6), np.inf)):
        with pytest.raises(InputError):
            rule.learn(signal)
    assert not any(array.any() for array in (*rule.state.values(), *rule.gradients.values()))
    with pytest.raises(InputError, match="symmetric, random"):
        Feedback("none", np.eye(2))
