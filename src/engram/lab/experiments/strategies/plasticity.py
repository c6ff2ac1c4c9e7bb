"""Hundreds of tasks, one after another: whether a network learns the last as well as it learned the first.

Each task gives the same images of MNIST other labels, drawn at random, to be learned by heart: nothing of an earlier
task helps, and nothing but the network's own state differs from task to task (C. Lyle et al., "Understanding plasticity
in neural networks", ICML 2023; S. Kumar et al., arXiv 2308.11958). After each task its own labels are asked. The figure
is the mean accuracy on the last tenth of the tasks minus that on the first tenth. Settings are chosen by the accuracy
on the last tenth of a shorter run, with a seed of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from engram.lab.evaluation.plots import canvas
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import measured, steps_of
from engram.lab.streams import data_set
from engram.networks.strategies import STRATEGIES


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        data: a data set by its name.
        images: of each task, the same in all.
        tasks: how many.
        hidden: units of each layer, rectified.
        epochs, batch, learning_rate: of the training on a task, by Adam.
        trial_seed, trial_tasks: of the runs by which settings are chosen.
        cbp_rate: shares of the mature units that continual backprop tries to replace in a step.
        cbp_maturity: steps in which it leaves a unit alone.
        l2_strength: the λ of L2 Init tried.
        redo_threshold, redo_every: what ReDo takes for dormant, tried, and how often it looks.
        shrink: the λ of shrink and perturb tried.
    """

    data: str = "mnist"
    images: int = 256
    tasks: int = 200
    hidden: tuple[int, ...] = (100, 100)
    epochs: int = 12
    batch: int = 32
    learning_rate: float = 1e-3
    trial_seed: int = 100
    trial_tasks: int = 40
    cbp_rate: tuple[float, ...] = (3e-3, 1e-2, 3e-2)
    cbp_maturity: int = 20
    l2_strength: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    redo_threshold: tuple[float, ...] = (0.025, 0.1, 0.3)
    redo_every: int = 100
    shrink: tuple[float, ...] = (0.2, 0.4, 0.8)


TITLES = {
    "plain": "plain", "continual-backprop": "continual backprop", "redo": "ReDo",
    "shrink-and-perturb": "shrink and perturb", "l2-init": "L2 Init",
}
PUBLISHED: dict[str, Any] = {}
FIGURES = {
    "plasticity.plain": Figure("plain", "points"),
    "plasticity.continual-backprop": Figure("continual-backprop", "points", at_least=-0.5),
    **{f"plasticity.{name}": Figure(name, "points") for name in TITLES if name not in ("plain", "continual-backprop")},
    **{f"plasticity.{name}-last": Figure(f"{name}-last", "%") for name in TITLES},
    **{f"plasticity.{name}-dead": Figure(f"{name}-dead", "%") for name in TITLES},
}


def grids(config: Config) -> dict[str, tuple[str, Sequence[Mapping[str, Any]]]]:
    """Each method: its strategy by name, and the settings that it is tried with."""
    return {
        "plain": ("naive", [{}]),
        "continual-backprop": ("continual_backprop", [
            {"rate": rate, "maturity": config.cbp_maturity} for rate in config.cbp_rate]),
        "redo": ("redo", [{"threshold": threshold, "every": config.redo_every} for threshold in config.redo_threshold]),
        "shrink-and-perturb": ("shrink_and_perturb", [{"shrink": shrink} for shrink in config.shrink]),
        "l2-init": ("regenerative_regularisation", [{"strength": strength} for strength in config.l2_strength]),
    }


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed; each method's is kept as soon as it is there, the trials of settings for all seeds."""
    trials, mine = (steps_of("plasticity", asdict(config), **more) for more in ({}, {"seed": seed}))
    shorter = replace(config, tasks=config.trial_tasks)
    values: Values = {"chosen": {}, "trials": {}}
    for i, (name, (strategy, grid)) in enumerate(grids(config).items()):
        progress(i / len(TITLES), TITLES[name])
        tried = [measured(f"{trials}/{name}-{place}", partial(lived, shorter, strategy, settings, config.trial_seed))
                 for place, settings in enumerate(grid)] if len(grid) > 1 else []
        best = max(range(len(grid)), key=lambda place: tried[place]["last"] if tried else 0.0)
        found = measured(f"{mine}/{name}", partial(lived, config, strategy, grid[best], seed))
        values["chosen"][name] = grid[best]
        values["trials"][name] = [{"settings": settings, "last": trial["last"]}
                                  for settings, trial in zip(grid, tried, strict=bool(tried))]
        values[f"{name}-curve"] = found["curve"]
        values[name] = found["last"] - found["first"]
        values[f"{name}-last"], values[f"{name}-dead"] = found["last"], 100 * found["dead"]
        values[f"{name}-rank"] = found["rank"]
    return values


def lived(config: Config, strategy: str, settings: Mapping[str, Any], seed: int) -> Values:
    """A network through all tasks: the accuracy on each, in percent, and how fit it is in the end."""
    rng, data = np.random.default_rng(seed), data_set(config.data)
    rows = rng.permutation(len(data.train_labels))[: config.images]
    inputs = np.asarray(data.train_inputs[rows], np.float32).reshape(len(rows), -1)
    inputs = inputs / inputs.max()
    network = {"name": "perceptron", "inputs": [inputs.shape[1]], "hidden": list(config.hidden), "slope": 0.0,
               "seed": seed}
    learner = STRATEGIES.load(strategy)(network, epochs=config.epochs, batch=config.batch, seed=seed,
                                        learning_rate=config.learning_rate, **settings)
    curve = []
    for _ in range(config.tasks):
        labels = rng.integers(0, 10, len(rows))
        learner.learn(inputs, labels)
        curve.append(100 * float(np.mean(np.array(learner.predict(inputs).best) == labels)))
        if learner.boundaries:
            learner.consolidate()
    tenth, fit = max(1, config.tasks // 10), learner.condition(inputs)
    return {"curve": curve, "first": float(np.mean(curve[:tenth])), "last": float(np.mean(curve[-tenth:])),
            "dead": fit.dead, "rank": fit.rank}


def plot(result: Mapping[str, Any]) -> Any:
    """The accuracy on each task when it had been learned, a running mean over a twentieth of the tasks."""
    figure, (axes,) = canvas(1, width=6.0, height=3.2)
    for name, title in TITLES.items():
        curve = result["values"][f"{name}-curve"]["mean"]
        width = max(1, len(curve) // 20)
        smooth = np.convolve(curve, np.full(width, 1 / width), "valid")
        axes.plot(np.arange(len(smooth)) + width, smooth, label=title)
    axes.set_xlabel("task")
    axes.set_ylabel("labels known by heart (%)")
    axes.set_ylim(0, 100)
    axes.legend(loc="lower left", fontsize="small")
    return figure
