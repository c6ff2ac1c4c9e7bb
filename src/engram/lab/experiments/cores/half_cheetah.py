"""Half-cheetah: the next readings of a running robot; trained cores of one size beside rivals without a memory.

As its authors have it (Hasani et al. 2021), 31 trajectories are cut into sequences of 32 frames that begin every 10
frames, each sequence is heard from the start, and every next frame is predicted: the mean squared error over all frames
and all 17 readings. Each core has 64 units under a linear read-out of its output and the frame, and is trained by
backpropagation through time. Learning rates are chosen on two of the ten training trajectories, in fewer passes; then
every core learns from all ten. The authors' five validation trajectories are of another kind than those that are
asked about, and are not used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from engram.features.cores import CORES
from engram.features.cores.core import Core
from engram.features.cores.learning_rules.bptt import Schedule, bptt, outputs_of, parameters_of
from engram.features.cores.learning_rules.objectives import NextFrame
from engram.features.cores.recurrent import Recurrent
from engram.lab.data_sets.half_cheetah import half_cheetah
from engram.lab.experiments.cores import series
from engram.lab.experiments.cores.series import Readout, delayed, random_features
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import measured, steps_of
from engram.learner import FloatArray
from engram.networks.structure.denormals import denormals_flushed


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        units: of every core.
        epochs, trial_epochs: passes over all sequences, when measured and when learning rates are chosen.
        batch: sequences in a step.
        weight_decay: of the cores' training.
        held_out: training trajectories on which learning rates are chosen.
        trial_seed: of these trials; no seed that is tested.
        learning_rate: what each core tries; the larger network takes that of the smaller one.
        best_units, best_hidden: of the larger network, a closed-form continuous one under a read-out with a layer
            between.
        best_weight_decay: of its training, and of the memoryless network's.
        memoryless: units of each layer of the memoryless network.
        memoryless_epochs: passes of its training.
        features: of the random features of the frame.
        delays: frames that the linear rival sees.
        steps: training steps that are timed.
    """

    units: int = 64
    epochs: int = 40
    trial_epochs: int = 12
    batch: int = 64
    weight_decay: float = 0.01
    held_out: int = 2
    trial_seed: int = 100
    learning_rate: tuple[float, ...] = (1e-2, 3e-2, 9e-2)
    best_units: int = 128
    best_hidden: int = 256
    best_weight_decay: float = 0.05
    memoryless: tuple[int, ...] = (256, 256)
    memoryless_epochs: int = 60
    features: int = 1000
    delays: int = 8
    steps: int = 8


CORES_TESTED = ("ltc", "lstm", "ct-gru", "ct-rnn", "neural-ode", "cfc")
TITLES = {
    "best": "closed-form continuous, 128 units", "memoryless": "memoryless residual network",
    "cfc": "closed-form continuous", "ltc": "liquid time-constant", "lstm": "LSTM", "ct-gru": "CT-GRU",
    "ct-rnn": "CT-RNN", "neural-ode": "neural ODE", "random": "random features of the frame",
    "delays": "linear on 8 frames", "repeat": "repeat the last",
}
HASANI = "Hasani et al., arXiv 2006.04439, n = 5"
PUBLISHED: dict[str, Any] = {
    name: {"value": value, "source": HASANI}
    for name, value in {"ltc": 2.308, "lstm": 2.500, "ct-gru": 3.014, "ct-rnn": 2.838, "neural-ode": 3.805}.items()
}
FLOORS: dict[str, float] = {name: row["value"] for name, row in PUBLISHED.items()} | {"best": 1.9}
FIGURES = {
    **{f"half-cheetah.{name}": Figure(name, "MSE", at_most=FLOORS.get(name), published=PUBLISHED.get(name, {}).get(
        "value"), source=PUBLISHED.get(name, {}).get("source")) for name in TITLES},
    "half-cheetah.ltc-over-lstm-time": Figure(
        "ltc-over-lstm-time", "ratio", at_most=5.0, published=65.0, source="the authors' library, our measurement"),
}

LENGTH, EVERY = 32, 10


class Cut(NamedTuple):
    """(N, 32, 17) frames and the frames that follow them, float32; readings have mean 0 and deviation 1."""

    frames: Tensor
    wanted: Tensor


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws weights and the order of training."""
    torch.set_num_threads(1)
    values: Values = {"chosen": {}, "trials": {}}
    trials, mine = steps_of("half-cheetah", asdict(config)), steps_of("half-cheetah", asdict(config), seed=seed)
    data = half_cheetah()
    fewer, held = data.train[: -config.held_out], data.train[-config.held_out :]
    for i, name in enumerate((*CORES_TESTED, "best")):
        progress(i / 9, TITLES[name])
        tried = "cfc" if name == "best" else name
        values["trials"][tried] = [
            {"learning_rate": rate, "error": measured(
                f"{trials}/{tried}-{rate}", partial(_measure, config, tried, rate, fewer, held, config.trial_seed,
                                                    config.trial_epochs))["error"]} for rate in config.learning_rate
        ]
        rate = min(values["trials"][tried], key=lambda trial: trial["error"])["learning_rate"]
        values["chosen"][name] = rate
        found = measured(f"{mine}/{name}", partial(_measure, config, name, rate, data.train, data.test, seed,
                                                              config.epochs))
        values[name] = found["error"]
    progress(0.8, "rivals")
    values["memoryless"] = measured(f"{mine}/memoryless", partial(_memoryless, config, data.train, data.test, seed))[
        "error"]
    values |= measured(f"{mine}/rivals", partial(_rivals, config, data.train, data.test, seed))
    times = {name: _step_time(config, name, data.train) for name in ("ltc", "lstm")}
    return values | {"ltc-over-lstm-time": times["ltc"] / times["lstm"]}


Trajectories = tuple[FloatArray, ...]


def cut(trajectories: Trajectories, mean: FloatArray, spread: FloatArray) -> Cut:
    """The sequences of trajectories."""
    scaled = [(one - mean) / spread for one in trajectories]
    begins = [(one, begin) for one in scaled for begin in range(0, len(one) - LENGTH - 1, EVERY)]
    return Cut(*(torch.from_numpy(np.stack([one[begin + k : begin + k + LENGTH] for one, begin in begins])
                                  .astype(np.float32)) for k in (0, 1)))


def _scale(trajectories: Trajectories) -> tuple[FloatArray, FloatArray]:
    whole = np.concatenate(trajectories)
    return whole.mean(axis=0), whole.std(axis=0)


def _objective(config: Config, width: int, hidden: int, spread: FloatArray, seed: int) -> NextFrame:
    """Errors count in the readings' own units, as they are measured."""
    torch.manual_seed(seed)
    weights = torch.from_numpy((spread**2 / np.mean(spread**2)).astype(np.float32))
    return NextFrame(width, len(spread), hidden, weights)


def _began(config: Config, name: str, seed: int) -> Recurrent:
    units = config.best_units if name == "best" else config.units
    made: Recurrent = CORES.load("cfc" if name == "best" else name).fresh(17, units, seed=seed)
    return made


def _measure(
    config: Config, name: str, rate: float, known: Trajectories, asked: Trajectories, seed: int, epochs: int
) -> Values:
    """The error of a core that learned from some trajectories, on others; it is asked in numpy."""
    mean, spread = _scale(known)
    train, test = cut(known, mean, spread), cut(asked, mean, spread)
    hidden, decay = (config.best_hidden, config.best_weight_decay) if name == "best" else (0, config.weight_decay)
    core = _began(config, name, seed)
    objective = _objective(config, core.width, hidden, spread, seed)
    plan = Schedule(epochs, config.batch, rate, decay, seed=seed)
    with denormals_flushed():
        core = bptt(core, (train.frames, torch.ones(train.frames.shape[:2]), train.wanted), objective, plan)
    return {"error": _error(objective, _heard(core, test.frames), test, spread)}


def _heard(core: Core, frames: Tensor) -> Tensor:
    outputs = core.advance(core.start(len(frames)), frames.numpy(), np.ones(frames.shape[:2]))[1]
    return torch.from_numpy(outputs.astype(np.float32))


@torch.no_grad()
def _error(objective: NextFrame, outputs: Tensor, test: Cut, spread: FloatArray) -> float:
    apart = (objective.predicted(outputs, test.frames) - test.wanted).numpy() * spread
    return float(np.square(apart).mean())


def _memoryless(config: Config, known: Trajectories, asked: Trajectories, seed: int) -> Values:
    """A residual network of the current frame alone, trained on frames without order."""
    mean, spread = _scale(known)
    torch.manual_seed(seed)
    sizes = (17, *config.memoryless)
    layers = [layer for entry, units in pairwise(sizes)
              for layer in (nn.Linear(entry, units), nn.ReLU())]
    network = nn.Sequential(*layers, nn.Linear(sizes[-1], 17))
    frames = torch.from_numpy(np.concatenate([(one[:-1] - mean) / spread for one in known]).astype(np.float32))
    added = torch.from_numpy(np.concatenate([np.diff(one, axis=0) / spread for one in known]).astype(np.float32))
    weights = torch.from_numpy((spread**2 / np.mean(spread**2)).astype(np.float32))
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=config.best_weight_decay)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.memoryless_epochs)
    for _ in range(config.memoryless_epochs):
        for places in torch.split(torch.randperm(len(frames)), config.batch):
            loss = ((network(frames[places]) - added[places]).square() * weights).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        falling.step()
    test = cut(asked, mean, spread)
    with torch.no_grad():
        apart = (test.frames + network(test.frames) - test.wanted).numpy() * spread
    return {"error": float(np.square(apart).mean())}


def _rivals(config: Config, known: Trajectories, asked: Trajectories, seed: int) -> Values:
    """Repeat the last; linear on delays; random features with a closed-form read-out."""
    mean, spread = _scale(known)
    test = cut(asked, mean, spread)
    frames, wanted = test.frames.numpy().astype(np.float64), test.wanted.numpy().astype(np.float64)
    pieces = [(one - mean) / spread for one in known]
    views: dict[str, Callable[[FloatArray], FloatArray]] = {
        "delays": lambda rows: delayed(rows, config.delays),
        "random": lambda rows: np.concatenate([random_features(rows, config.features, seed, 0.3), rows], axis=1),
    }
    found = {"repeat": float(np.square((frames - wanted) * spread).mean())}
    for name, view in views.items():
        features = np.concatenate([view(one)[:-1] for one in pieces])
        read = Readout(features, np.concatenate([one[1:] for one in pieces]), 1e-6)
        predicted = np.stack([read(view(one)) for one in frames])
        found[name] = float(np.square((predicted - wanted) * spread).mean())
    return found


def _step_time(config: Config, name: str, known: Trajectories) -> float:
    """Seconds of processor time of the quickest training step: forwards and backwards through one batch."""
    mean, spread = _scale(known)
    frames, wanted = (part[: config.batch] for part in cut(known[:1], mean, spread))
    core = _began(config, name, 0)
    objective, parameters, best = _objective(config, core.width, 0, spread, 0), parameters_of(core), np.inf
    dt = torch.ones(frames.shape[:2])
    for _ in range(config.steps):
        start = time.thread_time()
        objective(outputs_of(core, parameters, frames, dt), frames, dt, wanted).backward()
        best = min(best, time.thread_time() - start)
    return best


def plot(result: Mapping[str, Any]) -> Any:
    """Errors of all, the best on top."""
    shown = {name: title for name, title in TITLES.items() if name != "repeat"}
    return series.bars(result, shown, "half-cheetah: mean squared error of the next frame")
