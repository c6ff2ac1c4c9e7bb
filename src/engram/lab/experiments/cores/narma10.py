"""NARMA10: what a system of the tenth order answers to noise, out of the noise alone; cores beside trivial rivals.

y(t+1) = 0.3 y(t) + 0.05 y(t) Σ y(t−i) + 1.5 u(t−9) u(t) + 0.1, the sum over i = 0 … 9, u uniform in [0, 0.5] (Atiya and
Parlos 2000). A core hears u; a linear read-out of its outputs predicts y. Settings are chosen on a series and a core of
their own. The error is the mean squared error over the variance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from engram.features.cores.echo_state import EchoState
from engram.features.cores.next_generation_reservoir import NextGenerationReservoir
from engram.lab.experiments.cores import series
from engram.lab.experiments.cores.series import Readout, Settings, nmse
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import steps_of
from engram.learner import FloatArray


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        train, test: time steps to learn from, and to predict.
        washout: time steps before them that are heard only.
        units: of the reservoir, of the random features and of the memoryless network.
        trial_seed: of the series on which settings are chosen; no seed that is tested.
        radius, reach, offset: what the reservoir tries.
        delays: what the next-generation reservoir and the line of delays try.
        gain: what the random features try.
        ridge: what every read-out tries.
    """

    train: int = 3000
    test: int = 2000
    washout: int = 200
    units: int = 200
    trial_seed: int = 100
    radius: tuple[float, ...] = (0.7, 0.8, 0.9, 0.95, 1.0)
    reach: tuple[float, ...] = (0.0125, 0.025, 0.05, 0.1, 0.2)
    offset: tuple[float, ...] = (0.0, 0.1, 0.2, 0.5, 1.0)
    delays: tuple[int, ...] = (10, 20, 30, 40, 50)
    gain: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    ridge: tuple[float, ...] = (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


TITLES = {
    "esn-200": "echo state network, squares beside", "esn-200-linear": "echo state network",
    "ngrc": "next-generation reservoir", "delays": "linear on delays", "random": "random features of the frame",
    "memoryless": "memoryless network", "repeat": "repeat the last",
}
CORES = ("esn-200", "esn-200-linear", "ngrc")
PUBLISHED: dict[str, Any] = {}
FIGURES = {
    "narma10.esn-200": Figure("esn-200", "ratio", at_most=0.025),
    "narma10.best": Figure("best", "ratio", at_most=0.010),
    **{f"narma10.{name}": Figure(name, "ratio") for name in TITLES if name != "esn-200"},
}


def narma(length: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """(T,) noise, and (T,) what the system answers one step later; a series that runs away is drawn anew."""
    while True:
        u, y = rng.uniform(0, 0.5, length), np.zeros(length + 1)
        for t in range(9, length):
            y[t + 1] = 0.3 * y[t] + 0.05 * y[t] * y[t - 9 : t + 1].sum() + 1.5 * u[t - 9] * u[t] + 0.1
            if y[t + 1] > 1:
                break
        else:
            return u, y[1:]


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws the series and the reservoir."""
    values: Values = {"trials": {}, "chosen": {}}
    trials = steps_of("narma10", asdict(config))
    tried, asked = _series(config, config.trial_seed), _series(config, seed)
    for i, method in enumerate(grids(config)):
        progress(i / len(TITLES), TITLES[method])
        settings, values["trials"][method] = series.chosen(
            f"{trials}/{method}", grids(config)[method], config.ridge,
            partial(errors, config, method, tried, config.ridge, config.trial_seed))
        values["chosen"][method] = settings
        values[method] = errors(config, method, asked, [settings["ridge"]], seed, settings)[0]
    u, y, train, test = asked
    network = series.memoryless_network(u[train], y[train], config.units, seed)
    values["memoryless"] = nmse(network(u[test]), y[test])
    values["repeat"] = nmse(y[test.start - 1 : test.stop - 1], y[test])
    best = min(CORES, key=lambda method: min(trial["error"] for trial in values["trials"][method]))
    return values | {"best": values[best], "best-method": best}


def grids(config: Config) -> dict[str, list[Settings]]:
    """Method -> what it tries beside the ridge."""
    reservoirs = series.grid(radius=config.radius, reach=config.reach, offset=config.offset)
    lines = series.grid(delays=config.delays)
    return {"esn-200": reservoirs, "esn-200-linear": reservoirs, "ngrc": lines, "delays": lines,
            "random": series.grid(gain=config.gain)}


Series = tuple[FloatArray, FloatArray, slice, slice]


def _series(config: Config, seed: int) -> Series:
    """(T, 1) noise, of deviation 0.58 about 0; (T, 1) answers; what is learned from and what is asked."""
    end = config.washout + config.train
    u, y = narma(end + config.test, np.random.default_rng([seed, 10]))
    return 4 * (u[:, None] - 0.25), y[:, None], slice(config.washout, end), slice(end, end + config.test)


def errors(
    config: Config, method: str, given: Series, ridges: Sequence[float], seed: int, settings: Settings
) -> list[float]:
    """The error of each ridge on what is asked."""
    u, y, train, test = given
    features = features_of(config, method, settings, u, seed)
    return [nmse(Readout(features[train], y[train], ridge)(features[test]), y[test]) for ridge in ridges]


def features_of(config: Config, method: str, settings: Settings, u: FloatArray, seed: int) -> FloatArray:
    """(T, K) what the read-out of a method sees."""
    own = {name: value for name, value in settings.items() if name != "ridge"}
    if method == "delays":
        return series.delayed(u, own["delays"])
    if method == "random":
        return series.random_features(u, config.units, seed, own["gain"])
    if method == "ngrc":
        return series.heard(NextGenerationReservoir.fresh(1, **own), u)
    outputs = series.heard(EchoState.fresh(1, config.units, seed=seed, **own), u)
    return series.with_squares(outputs, u) if method == "esn-200" else np.concatenate([outputs, u], axis=1)


def plot(result: Mapping[str, Any]) -> Any:
    """Errors of all methods, on a logarithmic scale."""
    return series.bars(result, TITLES, "NARMA10: normalised mean squared error")
