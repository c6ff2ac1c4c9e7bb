"""Lorenz's equations: how long a core that hears its own predictions stays with the chaotic truth, beside rivals.

All three variables are seen every 0.025 units of time (σ = 10, ρ = 28, β = 8/3; Lorenz 1963). A read-out is trained to
predict what is added to them in a step; then each method runs freely, from many places of a trajectory that it was not
trained on. Measured is how long the error stays below 0.4 of the attractor's deviation, in Lyapunov times of 1.1 units,
and the error over the first Lyapunov time. Settings are chosen on a trajectory and a core of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from engram.features.cores.core import Core
from engram.features.cores.echo_state import EchoState
from engram.features.cores.next_generation_reservoir import NextGenerationReservoir
from engram.features.cores.solvers import integrated
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
        train: steps to learn from: ten units of time, as in Gauthier et al. 2021.
        washout: steps before them that are heard only.
        asked: steps of the trajectory that is asked about.
        starts: places of it from which the future is predicted.
        ahead: steps of that future at most.
        units: of the reservoir, of the random features and of the memoryless network.
        trial_seed: of the trajectory on which settings are chosen; no seed that is tested.
        radius, reach, leak: what the reservoir tries.
        delays: what the next-generation reservoir and the line of delays try.
        gain: what the random features try.
        ridge: what every read-out tries.
    """

    train: int = 400
    washout: int = 200
    asked: int = 4000
    starts: int = 50
    ahead: int = 600
    units: int = 300
    trial_seed: int = 100
    radius: tuple[float, ...] = (0.1, 0.3, 0.6, 0.9)
    reach: tuple[float, ...] = (0.1, 0.3, 1.0)
    leak: tuple[float, ...] = (0.5, 1.0)
    delays: tuple[int, ...] = (1, 2, 3, 4)
    gain: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0)
    ridge: tuple[float, ...] = (1e-14, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4)


TITLES = {
    "ngrc": "next-generation reservoir", "esn": "echo state network, squares beside", "delays": "linear on delays",
    "random": "random features of the frame", "memoryless": "memoryless network", "repeat": "repeat the last",
}
PUBLISHED: dict[str, Any] = {}
FIGURES = {
    **{f"lorenz.{name}": Figure(name, "Lyapunov times") for name in TITLES},
    **{f"lorenz.{name}-nrmse": Figure(f"{name}-nrmse", "ratio") for name in TITLES},
}

Trajectory = tuple[FloatArray, FloatArray]

STEP, LYAPUNOV = 0.025, 1.1
"""Units of time between two frames, and in which errors grow e-fold."""


def lorenz(length: int, seed: int) -> FloatArray:
    """(T, 3), after 50 units of time from a random place; ten Runge-Kutta steps a frame."""
    def slope(x: FloatArray) -> FloatArray:
        return np.array([10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]])

    x = np.array([0.0, 0.0, 25.0]) + np.random.default_rng([seed, 63]).normal(size=3)
    path = np.empty((length + 2000, 3))
    for t in range(len(path)):
        path[t] = x = integrated(slope, x, STEP, 10)
    return path[2000:]


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws the trajectory and the reservoir."""
    values: Values = {"trials": {}, "chosen": {}}
    trials = steps_of("lorenz", asdict(config))
    tried, asked = (_trajectory(config, one) for one in (config.trial_seed, seed))
    for i, (method, grid) in enumerate(grids(config).items()):
        progress(i / len(TITLES), TITLES[method])
        settings, values["trials"][method] = series.chosen(
            f"{trials}/{method}", grid, config.ridge,
            partial(_lost_sooner, config, method, tried, config.trial_seed))
        values["chosen"][method] = settings
        (values[method], values[f"{method}-nrmse"]), = measured(config, method, settings, asked, [settings["ridge"]],
                                                                seed)
    known, new = asked
    added = np.diff(known, axis=0)
    network = series.memoryless_network(known[:-1], added, config.units, seed)
    paths = {"memoryless": lambda frame: frame + network(frame), "repeat": lambda frame: frame}
    for name, following in paths.items():
        values[name], values[f"{name}-nrmse"] = _judged(config, _path(config, new, following), new)
    return values


def _lost_sooner(config: Config, method: str, given: Trajectory, seed: int, settings: Settings) -> list[float]:
    """For each ridge, minus the time that the error stays small."""
    return [-time for time, _ in measured(config, method, settings, given, config.ridge, seed)]


def grids(config: Config) -> dict[str, list[Settings]]:
    """Method -> what it tries beside the ridge."""
    return {"ngrc": series.grid(delays=config.delays),
            "esn": series.grid(radius=config.radius, reach=config.reach, leak=config.leak),
            "delays": series.grid(delays=config.delays), "random": series.grid(gain=config.gain)}


def _trajectory(config: Config, seed: int) -> Trajectory:
    """What is learned from, and what is asked about, of mean 0 and deviation 1 by what is learned from."""
    whole = lorenz(config.washout + config.train + 1 + config.asked, seed)
    known, new = whole[: -config.asked], whole[-config.asked :]
    return (known - known.mean(axis=0)) / known.std(axis=0), (new - known.mean(axis=0)) / known.std(axis=0)


def measured(
    config: Config, method: str, settings: Settings, given: Trajectory, ridges: Sequence[float], seed: int
) -> list[tuple[float, float]]:
    """For each ridge: Lyapunov times that the error stays small, and the error over the first."""
    own = {name: value for name, value in settings.items() if name != "ridge"}
    known, new = given
    core: Core
    if method == "random":
        features = series.random_features(known, config.units, seed, own["gain"])
        reads = [Readout(features[:-1], np.diff(known, axis=0), ridge) for ridge in ridges]

        def next_frame(read: Readout, frame: FloatArray) -> FloatArray:
            return frame + read(series.random_features(frame, config.units, seed, own["gain"]))

        return [_judged(config, _path(config, new, partial(next_frame, read)), new) for read in reads]
    if method == "esn":
        core = EchoState.fresh(3, config.units, seed=seed, **own)
    else:
        core = NextGenerationReservoir.fresh(3, degree=1 if method == "delays" else 2, **own)

    def seen(outputs: FloatArray, frame: FloatArray) -> FloatArray:
        return series.with_squares(outputs, frame) if method == "esn" else outputs

    def following(read: Readout, outputs: FloatArray, frame: FloatArray) -> FloatArray:
        return np.clip(frame + read(seen(outputs, frame)), -9.0, 9.0)

    features = seen(series.heard(core, known), known)[config.washout : -1]
    starts = _starts(config)
    begun = new[starts[:, None] + np.arange(-config.washout + 1, 1)]
    state, _ = core.advance(core.start(len(starts)), begun, np.ones(begun.shape[:2]))
    found = []
    for ridge in ridges:
        read = Readout(features, np.diff(known, axis=0)[config.washout :], ridge)
        path = series.free_run(core, state, new[starts], config.ahead, partial(following, read))
        found.append(_judged(config, path, new))
    return found


def _starts(config: Config) -> Any:
    return np.linspace(config.washout, config.asked - config.ahead - 1, config.starts).astype(int)


def _path(config: Config, new: FloatArray, following: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """(starts, ahead, 3) by a map from frame to frame."""
    frame, path = new[_starts(config)], []
    for _ in range(config.ahead):
        frame = np.clip(following(frame), -9.0, 9.0)
        path.append(frame)
    return np.stack(path, axis=1)


def _judged(config: Config, path: FloatArray, new: FloatArray) -> tuple[float, float]:
    """Lyapunov times that the error stays small, on average, and the NRMSE over the first."""
    wanted = new[_starts(config)[:, None] + np.arange(1, config.ahead + 1)]
    spread = float(np.square(new - new.mean(axis=0)).mean()) ** 0.5
    apart = np.sqrt(np.square(path - wanted).mean(axis=2)) / spread
    lost = np.where((apart > 0.4).any(axis=1), (apart > 0.4).argmax(axis=1), config.ahead)
    first = round(LYAPUNOV / STEP)
    return float(lost.mean() * STEP / LYAPUNOV), float(np.sqrt(np.square(apart[:, :first]).mean()))


def plot(result: Mapping[str, Any]) -> Any:
    """Times of all methods."""
    return series.bars(result, TITLES, "Lorenz: Lyapunov times until the error exceeds 0.4 deviations", log=False)
