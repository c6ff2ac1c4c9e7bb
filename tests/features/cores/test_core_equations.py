"""Each core computes what its paper says: compared with PyTorch's own layers, SciPy's solvers and plain loops."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest

from engram.features.cores.closed_form_continuous import ClosedFormContinuous
from engram.features.cores.ct_gru import CTGRU
from engram.features.cores.ct_rnn import CTRNN
from engram.features.cores.diagonal_recurrence import DiagonalRecurrence
from engram.features.cores.echo_state import EchoState
from engram.features.cores.gru import GRU
from engram.features.cores.integrate_and_fire import IntegrateAndFire
from engram.features.cores.liquid_time_constant import LiquidTimeConstant
from engram.features.cores.lstm import LSTM
from engram.features.cores.neural_circuit_policy import NeuralCircuitPolicy
from engram.features.cores.neural_ode import NeuralODE
from engram.features.cores.next_generation_reservoir import NextGenerationReservoir
from engram.learner import DamagedError, InputError

RNG = np.random.default_rng(0)
FRAMES = RNG.normal(size=(1, 6, 3))
DT = RNG.uniform(0.3, 1.7, (1, 6))


def heard(core, frames=FRAMES, dt=DT):
    return core.advance(core.start(len(frames)), frames, dt)[1]


def jittered(core):
    """The same core with biases that are not zero, so that a bias in the wrong place shows."""
    rng = np.random.default_rng(5)
    return core.with_arrays({name: array + (name not in core.fixed) * 0.1 * rng.normal(size=array.shape)
                             for name, array in core.arrays.items()})


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(("kind", "order"), [(GRU, (0, 1, 2)), (LSTM, (0, 1, 3, 2))])
def test_gated_cores_are_pytorchs_layers(kind, order):
    torch = pytest.importorskip("torch")
    core = jittered(kind.fresh(3, 5, seed=1))
    layer = (torch.nn.GRU if kind is GRU else torch.nn.LSTM)(3, 5, batch_first=True).double()

    def rows(array):
        parts = np.split(np.asarray(array), len(order), axis=-1)
        return torch.tensor(np.concatenate([parts[i] for i in order], axis=-1).T)

    with torch.no_grad():
        layer.weight_ih_l0.copy_(rows(core.arrays["input"]))
        layer.weight_hh_l0.copy_(rows(core.arrays["recurrent"]))
        layer.bias_ih_l0.copy_(rows(core.arrays["bias"]))
        layer.bias_hh_l0.zero_()
        if kind is GRU:
            layer.bias_hh_l0[10:].copy_(torch.tensor(core.arrays["inner_bias"]))
        wanted = layer(torch.tensor(FRAMES))[0].numpy()
    assert np.allclose(heard(core), wanted, atol=1e-12)


@pytest.mark.parametrize(("kind", "slope"), [
    (CTRNN, lambda p, x, u: np.tanh(x @ p["recurrent"] + u @ p["input"] + p["bias"]) - x / np.exp(p["log_tau"])),
    (NeuralODE, lambda p, x, u: np.tanh(x @ p["recurrent"] + u @ p["input"] + p["bias"])),
    (LiquidTimeConstant, lambda p, x, u: (
        lambda f: -(1 / np.exp(p["log_tau"]) + f) * x + f * p["reversal"]
    )(np.exp(p["log_gain"]) * sigmoid(x @ p["recurrent"] + u @ p["input"] + p["bias"]))),
])
def test_flowing_cores_follow_their_differential_equations(kind, slope):
    solve_ivp = pytest.importorskip("scipy.integrate").solve_ivp
    core = jittered(kind.fresh(3, 4, seed=2, unfolds=400))
    x = np.zeros(4)
    for frame, dt in zip(FRAMES[0], DT[0], strict=True):
        x = solve_ivp(lambda _, x, u=frame: slope(core.arrays, x, u), (0, dt), x, rtol=1e-9, atol=1e-11).y[:, -1]
    assert np.allclose(heard(core)[0, -1], x, atol=1e-2 if kind is LiquidTimeConstant else 1e-5)


def test_synapses_of_a_neural_circuit_policy_follow_their_equation_and_are_wired_in_layers():
    solve_ivp = pytest.importorskip("scipy.integrate").solve_ivp
    core = jittered(NeuralCircuitPolicy.fresh(3, 9, seed=3, command=3, motor=2, sensory_fanout=2, inter_fanout=2,
                                              recurrent=2, motor_fanin=2, unfolds=400))
    p = core.arrays
    begins, ends = p["wiring"][:, :12].argmax(1), p["wiring"][:, 12:].argmax(1)
    weight, leak, capacity = (np.log1p(np.exp(p[name])) for name in ("weight", "leak", "capacity"))

    def slope(v, u):
        before = np.concatenate([u * p["gain"] + p["bias"], v])
        total = leak * (p["rest"] - v)
        for s, (i, j) in enumerate(zip(begins, ends, strict=True)):
            opened = weight[s] * sigmoid(p["steepness"][s] * (before[i] - p["middle"][s]))
            total[j] += opened * (p["reversal"][s] - v[j])
        return total / capacity

    v = np.zeros(9)
    for frame, dt in zip(FRAMES[0], DT[0], strict=True):
        v = solve_ivp(lambda _, v, u=frame: slope(v, u), (0, dt), v, rtol=1e-8, atol=1e-10).y[:, -1]
    assert np.allclose(heard(core)[0, -1], v, atol=5e-3)
    layers = np.array([0] * 3 + [1] * 4 + [2] * 3 + [3] * 2)
    pairs = {(int(layers[i]), int(layers[3 + j])) for i, j in zip(begins, ends, strict=True)}
    assert pairs == {(0, 1), (1, 2), (2, 2), (2, 3)}
    assert len({*zip(begins.tolist(), ends.tolist(), strict=True)}) == core.synapses == 3 * 2 + 4 * 2 + 2 + 2 * 2
    assert set(ends) == set(range(9)), "a neuron that hears nothing"


def test_the_published_policy_has_19_neurons_and_253_synapses():
    core = NeuralCircuitPolicy.fresh(32)
    assert (core.width, core.inter, core.synapses) == (19, 12, 253)
    with pytest.raises(InputError, match="inter neuron"):
        NeuralCircuitPolicy.fresh(3, 7)


def test_the_closed_form_is_computed_gate_by_gate():
    core = jittered(ClosedFormContinuous.fresh(3, 4, seed=1, backbone=6))
    p, x = core.arrays, np.zeros(4)
    for frame, dt in zip(FRAMES[0], DT[0], strict=True):
        shared = 1.7159 * np.tanh(2 / 3 * (frame @ p["input"] + x @ p["recurrent"] + p["bias"]))
        g, h, a, b = np.split(shared @ p["heads"] + p["heads_bias"], 4)
        gate = sigmoid(a * dt + b)
        x = np.tanh(g) * (1 - gate) + gate * np.tanh(h)
    assert np.allclose(heard(core)[0, -1], x, atol=1e-12)


def test_the_traces_of_a_ct_gru_are_computed_one_by_one():
    core = jittered(CTGRU.fresh(3, 4, seed=1, scales=3, shortest=0.5))
    p, traces, taus = core.arrays, np.zeros((4, 3)), 0.5 * np.sqrt(10.0) ** np.arange(3)
    for frame, dt in zip(FRAMES[0], DT[0], strict=True):
        hidden = traces.sum(1)
        asked = frame @ p["input"][:, :8] + p["bias"][:8] + hidden @ p["recurrent"]
        shares = np.exp(-np.square(asked[:, None] - np.log(taus)))
        shares /= shares.sum(1, keepdims=True)
        new = np.tanh(frame @ p["input"][:, 8:] + p["bias"][8:] + (shares[:4] * traces).sum(1) @ p["retrieved"])
        for unit in range(4):
            for k, tau in enumerate(taus):
                s = shares[4 + unit, k]
                traces[unit, k] = ((1 - s) * traces[unit, k] + s * new[unit]) * np.exp(-dt / tau)
    assert np.allclose(heard(core)[0, -1], traces.sum(1), atol=1e-12)


def test_an_echo_state_network_is_its_dense_reservoir():
    core = EchoState.fresh(3, 40, leak=0.3, radius=0.8, links=5, seed=4)
    p, x, dense = core.arrays, np.zeros(40), np.zeros((40, 40))
    for unit in range(40):
        assert len(set(p["places"][:, unit])) == 5
        dense[p["places"][:, unit], unit] = p["weights"][:, unit]
    for frame, dt in zip(FRAMES[0], DT[0], strict=True):
        a = 1 - 0.7**dt
        x = (1 - a) * x + a * np.tanh(x @ dense + frame @ p["input"] + p["bias"])
    assert np.allclose(heard(core)[0, -1], x, atol=1e-12)


def test_delays_and_products_are_those_of_the_paper():
    core = NextGenerationReservoir.fresh(2, delays=2, stride=2, degree=3)
    frames = RNG.normal(size=(1, 7, 2))
    linear = np.concatenate([frames[0, 6], frames[0, 4]])
    wanted = [*linear]
    for degree in (2, 3):
        wanted += [np.prod(some) for some in combinations_with_replacement(linear, degree)]
    assert np.allclose(heard(core, frames, np.ones((1, 7)))[0, -1], wanted)
    assert core.width == len(wanted) == 4 + 10 + 20
    with pytest.raises(InputError, match="fewer delays"):
        NextGenerationReservoir.fresh(17, delays=30)


def test_linear_modes_are_solved_exactly_over_many_portions():
    core = DiagonalRecurrence.fresh(2, 6, seed=1)
    frames, dt = RNG.normal(size=(1, 2500, 2)), RNG.uniform(0.2, 1.0, (1, 2500))
    poles = core.arrays["poles"][0] + 1j * core.arrays["poles"][1]
    entry = core.arrays["input"][0] + 1j * core.arrays["input"][1]
    x = np.zeros(3, complex)
    for frame, step in zip(frames[0], dt[0], strict=True):
        x = np.exp(poles * step) * x + (np.exp(poles * step) - 1) / poles * (frame @ entry)
    assert np.allclose(heard(core, frames, dt)[0, -1], [*x.real, *x.imag], atol=1e-9)
    with pytest.raises(InputError, match="below 0"):
        DiagonalRecurrence({"poles": -core.arrays["poles"], "input": core.arrays["input"]}, channels=2, width=6)


def test_neurons_integrate_fire_and_adapt():
    core = IntegrateAndFire.fresh(3, 5, seed=1, membrane=10.0, adaptation=30.0, trace=5.0, threshold=0.4, beta=0.3)
    p, frames = core.arrays, 2 * RNG.normal(size=(1, 40, 3))
    v, z, a, y, spikes = *np.zeros((4, 5)), 0
    for frame in frames[0]:
        v = np.exp(-1 / 10) * v + z @ p["recurrent"] + frame @ p["input"] - 0.4 * z
        z = (v > 0.4 + 0.3 * a).astype(float)
        a = np.exp(-1 / 30) * a + z
        y = np.exp(-1 / 5) * y + (1 - np.exp(-1 / 5)) * z
        spikes += z.sum()
    assert 10 < spikes < 150
    assert np.allclose(heard(core, frames, np.ones((1, 40)))[0, -1], y)
    assert not p["recurrent"].diagonal().any()


def test_arrays_of_another_core_are_refused():
    core = GRU.fresh(3, 4)
    for arrays in ({}, {**core.arrays, "bias": np.zeros(5)}, {**core.arrays, "bias": np.full(12, np.nan)}):
        with pytest.raises(DamagedError):
            GRU(arrays, channels=3, width=4)
    with pytest.raises(TypeError, match="no setting leak"):
        GRU(core.arrays, channels=3, width=4, leak=1)
    for kind, bad in ((EchoState, {"leak": 0.0}), (CTRNN, {"unfolds": 0}), (CTGRU, {"shortest": -1.0}),
                      (IntegrateAndFire, {"beta": -1.0}), (GRU, {"width": 0})):
        with pytest.raises(InputError):
            kind.fresh(3, **bad)
