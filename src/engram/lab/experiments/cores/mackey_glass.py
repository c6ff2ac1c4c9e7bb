"""Mackey-Glass: 84 steps ahead on a chaotic series; a reservoir that hears its own predictions beside trivial rivals.

dx/dt = 0.2 x(t−17) / (1 + x(t−17)¹⁰) − 0.1 x, one step a unit of time, squashed by tanh(x − 1), as in Jaeger and Haas
2004. A read-out is trained to predict the next value; then the core runs freely for 84 steps, from many places of a
series that it was not trained on. NRMSE84 is the root of the mean squared error over the series' deviation, as a
logarithm to base 10. Rivals predict the 84th value at once. Settings are chosen on a series and a core of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from engram.features.cores.core import Core
from engram.features.cores.echo_state import EchoState
from engram.features.cores.next_generation_reservoir import NextGenerationReservoir
from engram.lab.experiments.cores import series
from engram.lab.experiments.cores.series import Readout, Settings
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import steps_of
from engram.learner import FloatArray


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        train: time steps to learn from.
        washout: time steps before them that are heard only.
        asked: time steps of the series that is asked about.
        starts: places of it from which the future is predicted.
        ahead: steps of that future.
        units: of the reservoir.
        rival_units: of the random features and of the memoryless network.
        trial_seed: of the series on which settings are chosen; no seed that is tested.
        radius, reach, leak, offset: what the reservoir tries.
        delays, stride: what the next-generation reservoir and the line of delays try.
        gain: what the random features try.
        ridge: what every read-out tries.
    """

    train: int = 3000
    washout: int = 500
    asked: int = 4000
    starts: int = 100
    ahead: int = 84
    units: int = 1000
    rival_units: int = 1000
    trial_seed: int = 100
    radius: tuple[float, ...] = (0.8, 0.9, 1.0)
    reach: tuple[float, ...] = (0.5, 1.0, 2.0)
    leak: tuple[float, ...] = (0.5,)
    offset: tuple[float, ...] = (0.2,)
    delays: tuple[int, ...] = (4, 8, 16, 24)
    stride: tuple[int, ...] = (1, 2, 6)
    gain: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    ridge: tuple[float, ...] = (1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-8, 1e-6)


TITLES = {
    "esn": "echo state network, 1,000 units, running freely", "ngrc": "next-generation reservoir, running freely",
    "delays": "linear on delays", "random": "random features of the frame", "memoryless": "memoryless network",
    "repeat": "repeat the last",
}
JAEGER = "Jaeger, Haas, Science 2004"
PUBLISHED: dict[str, Any] = {"esn": {"value": -4.2, "source": JAEGER}}
FIGURES = {
    "mackey-glass.nrmse84": Figure("esn", "log10", at_most=-4.2, published=-4.2, source=JAEGER),
    **{f"mackey-glass.{name}": Figure(name, "log10") for name in TITLES if name != "esn"},
}

_STEPS = 10  # of the solver in a unit of time
_DELAY = 17


def mackey_glass(length: int, seed: int) -> FloatArray:
    """(T, 1) of the squashed series, after 2,000 units of time; Runge-Kutta of order 4, delayed values between two
    steps being their mean."""
    h, delay = 1 / _STEPS, _DELAY * _STEPS
    x = np.empty((length + 2000) * _STEPS + delay + 1)
    x[: delay + 1] = 1.2 + 0.2 * np.random.default_rng([seed, 17]).uniform(-0.5, 0.5)

    def slope(now: float, before: float) -> float:
        return 0.2 * before / (1 + before**10) - 0.1 * now

    for t in range(delay, len(x) - 1):
        first, last = x[t - delay], x[t - delay + 1]
        middle = (first + last) / 2
        a = slope(x[t], first)
        b = slope(x[t] + h / 2 * a, middle)
        c = slope(x[t] + h / 2 * b, middle)
        x[t + 1] = x[t] + h / 6 * (a + 2 * b + 2 * c + slope(x[t] + h * c, last))
    return np.tanh(x[-length * _STEPS :: _STEPS] - 1)[:, None]


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws the series and the reservoir."""
    values: Values = {"trials": {}, "chosen": {}}
    trials = steps_of("mackey-glass", asdict(config))
    tried, asked = (_series(config, one) for one in (config.trial_seed, seed))
    for i, (method, grid) in enumerate(grids(config).items()):
        progress(i / len(TITLES), TITLES[method])
        settings, values["trials"][method] = series.chosen(
            f"{trials}/{method}", grid, config.ridge,
            partial(errors, config, method, tried, config.ridge, config.trial_seed))
        values["chosen"][method] = settings
        values[method] = errors(config, method, asked, [settings["ridge"]], seed, settings)[0]
    known, new = asked
    network = series.memoryless_network(known[: -config.ahead], known[config.ahead :], config.rival_units, seed)
    values["memoryless"] = _error(network(new[: -config.ahead]), new[config.ahead :])
    values["repeat"] = _error(new[: -config.ahead], new[config.ahead :])
    return values


def grids(config: Config) -> dict[str, list[Settings]]:
    """Method -> what it tries beside the ridge."""
    lines = series.grid(delays=config.delays, stride=config.stride)
    return {"esn": series.grid(radius=config.radius, reach=config.reach, leak=config.leak, offset=config.offset),
            "ngrc": lines, "delays": lines, "random": series.grid(gain=config.gain)}


Series = tuple[FloatArray, FloatArray]


def _series(config: Config, seed: int) -> Series:
    """What is learned from, and what is asked about, which begins 1,000 steps later."""
    whole = mackey_glass(config.washout + config.train + 1 + 1000 + config.asked, seed)
    return whole[: config.washout + config.train + 1], whole[-config.asked :]


def _error(found: FloatArray, wanted: FloatArray) -> float:
    """log10 of the NRMSE; a run that left the range counts as 10."""
    error = np.sqrt(np.square(found - wanted).mean()) / wanted.std()
    return float(np.log10(min(error, 10.0) if np.isfinite(error) else 10.0))


def errors(
    config: Config, method: str, given: Series, ridges: Sequence[float], seed: int, settings: Settings
) -> list[float]:
    """The error of each ridge, 84 steps ahead."""
    own = {name: value for name, value in settings.items() if name != "ridge"}
    if method == "esn":
        return _running(config, EchoState.fresh(1, config.units, seed=seed, **own), given, ridges, True)
    if method == "ngrc":
        return _running(config, NextGenerationReservoir.fresh(1, **own), given, ridges, False)
    known, new = ((series.delayed(part, own["delays"], own["stride"]) if method == "delays" else
                   series.random_features(part, config.rival_units, seed, own["gain"])) for part in given)
    ahead, begin = config.ahead, config.washout
    return [_error(Readout(known[begin:-ahead], given[0][begin + ahead :], ridge)(new[begin:-ahead]),
                   given[1][begin + ahead :]) for ridge in ridges]


def _running(config: Config, core: Core, given: Series, ridges: Sequence[float], squares: bool) -> list[float]:
    """Trained to predict the next value, then left to itself."""
    known, new = given

    def seen(outputs: FloatArray, frame: FloatArray) -> FloatArray:
        return series.with_squares(outputs, frame) if squares else outputs

    def following(read: Readout, outputs: FloatArray, frame: FloatArray) -> FloatArray:
        return np.clip(read(seen(outputs, frame)), -2.0, 2.0)

    features = seen(series.heard(core, known), known)[config.washout : -1]
    starts = np.linspace(config.washout, config.asked - config.ahead - 1, config.starts).astype(int)
    state, begun = core.start(len(starts)), new[starts[:, None] + np.arange(-config.washout + 1, 1)]
    state, _ = core.advance(state, begun, np.ones(begun.shape[:2]))
    found = []
    for ridge in ridges:
        read = Readout(features, known[config.washout + 1 :], ridge)
        path = series.free_run(core, state, new[starts], config.ahead, partial(following, read))
        found.append(_error(path[:, -1], new[starts + config.ahead]))
    return found


def plot(result: Mapping[str, Any]) -> Any:
    """Errors of all methods."""
    found = {name: {"mean": 10 ** result["values"][name]["mean"], "sd": 0.0} for name in TITLES}
    return series.bars({"values": found}, TITLES, "Mackey-Glass: NRMSE, 84 steps ahead")
