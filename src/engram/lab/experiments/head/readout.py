"""Is the read-out the one that a practitioner would have chosen? The head beside scikit-learn's classifiers.

Photographs, steel, intents and spoken digits as features; tables of readings as they are, given to a brain that was
told nothing about them: flowers, wines, tumours, digits of 8×8 pixels, and three that are generated: SEA (three
sensors, the sum of two above a threshold; Street and Kim 2001), bananas (two classes wound into each other) and levels
(two classes at 20 and 21 in five sensors, beside two that always say 100). From one example of each class to all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.brain import Brain
from engram.features.backbones.bundle import Bundle
from engram.inputs.vectors import unit_length
from engram.lab.evaluation import accuracy
from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.experiment import ExperimentError, Progress, part
from engram.lab.experiments.head.contenders import fast_head
from engram.lab.experiments.head.featured_sets import OUTSIDE, featured
from engram.lab.experiments.head.simple_rivals import Task, read_out_rivals
from engram.lab.experiments.result import Figure, Values, averaged
from engram.lab.experiments.steps import measured, steps_of
from engram.learner import FloatArray, InputError

Places = npt.NDArray[np.intp]

GENERATED = 2000
"""Examples of each set that is generated."""

ALL = "all"


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        draws: random choices of examples, for each seed.
        shots: examples taught of each class, beside all there are.
        draws_of_all: random choices where all are taught.
        intents: how many of the 150 are told apart.
        sets: what is measured.
    """

    draws: int = 4
    shots: tuple[int, ...] = (1, 2, 5, 14)
    draws_of_all: int = 1
    intents: int = 30
    sets: tuple[str, ...] = ("photos", "mobilenet", "steel", "steel-mobilenet", "intents", "spoken-digits", "iris",
                             "wine", "breast-cancer", "digits", "sea", "bananas", "levels")


PUBLISHED: dict[str, Any] = {}

FIGURES = {f"readout.under-rival.{name}": Figure(f"under-rival.{name}", "points", at_least=-0.5)
           for name in Config.sets}


class Table(NamedTuple):
    """(N, D) features or readings, (N,) their labels, and the bundle of the features; None where a brain is left to
    find its own. `ask` is (N,) bool, what is only ever asked about, or None where that is drawn."""

    rows: FloatArray
    labels: npt.NDArray[Any]
    bundle: Bundle | None = None
    ask: npt.NDArray[np.bool_] | None = None


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws the examples."""
    values: Values = {"sets": {}}
    for i, name in enumerate(config.sets):
        told = part(progress, i, len(config.sets), name)
        step = f"{steps_of('readout', asdict(config), seed=seed)}-{name}"
        found = measured(step, partial(one_set, config, name, seed, told))
        values["sets"][name] = found
        values[f"under-rival.{name}"] = min(under_best_rival(at) for at in found.values())
    return values


def one_set(config: Config, name: str, seed: int, progress: Progress) -> Values:
    """Accuracy in percent of the head and of every rival: examples of each class -> name -> mean over the draws.

    Raises:
        ExperimentError: there is no set of that name.
    """
    if name not in TABLES:
        raise ExperimentError(f"No set {name!r}. There are: {', '.join(TABLES)}.")
    table, found = TABLES[name](), {}
    for i, shots in enumerate([*config.shots, None]):
        draws = config.draws_of_all if shots is None else config.draws
        drawn: list[Values] = []
        for j in range(draws):
            progress((i + j / draws) / (len(config.shots) + 1), f"{shots or ALL} examples of each class")
            rng = np.random.default_rng([seed, j])
            mine = table if name != "intents" else some_classes(table, config.intents, rng)
            drawn.append(one_draw(mine, *split(mine, shots, rng)))
        found[str(shots or ALL)] = averaged(drawn)
    return found


def split(table: Table, shots: int | None, rng: np.random.Generator) -> tuple[Places, Places]:
    """Places to teach, `shots` of each class or all, and places to ask about: a third of each class, or as set."""
    teach, ask = [], []
    for label in np.unique(table.labels):
        places = rng.permutation(np.flatnonzero(table.labels == label))
        if table.ask is None:
            asked, taught = places[: len(places) // 3], places[len(places) // 3 :]
        else:
            asked, taught = places[table.ask[places]], places[~table.ask[places]]
        teach.append(taught[:shots])
        ask.append(asked)
    return rng.permutation(np.concatenate(teach)), np.concatenate(ask)


def some_classes(table: Table, count: int, rng: np.random.Generator) -> Table:
    """Only the examples of so many classes."""
    mine = np.isin(table.labels, rng.permutation(np.unique(table.labels))[:count])
    return Table(table.rows[mine], table.labels[mine], table.bundle, None if table.ask is None else table.ask[mine])


def one_draw(table: Table, teach: Places, ask: Places) -> dict[str, float]:
    """Accuracy in percent, by the name of who answers."""
    truth = table.labels[ask].tolist()
    rows = table.rows
    answers = {"head": ours(table, teach, ask)}
    if table.bundle is not None and table.bundle.normalise:
        rows = unit_length(rows)
    rivals = read_out_rivals(Task(rows[teach], table.labels[teach], rows[ask]))
    answers |= {name: best.tolist() for name, best in rivals.items()}
    return {name: 100 * accuracy(best, truth) for name, best in answers.items()}


def ours(table: Table, teach: Places, ask: Places) -> list[Any]:
    """What the recommended head answers, with the bundle's statistics; for readings, what a brain does."""
    learner: Any = brain_for(table.rows) if table.bundle is None else fast_head(table.bundle)
    learner.learn(table.rows[teach], table.labels[teach].tolist())
    return list(learner.predict(table.rows[ask]).best)


def brain_for(rows: FloatArray) -> Brain:
    """A brain that is told nothing, or, where it would refuse (N, D) readings, how large they get and no more."""
    try:
        Brain().learn(rows, "any")
    except InputError:
        return Brain(Bundle.of_vectors(rows.shape[1], largest=float(np.abs(rows).max())))
    return Brain()


def under_best_rival(accuracies: Mapping[str, float]) -> float:
    """The head's accuracy minus that of the best rival, in points."""
    return accuracies["head"] - max(value for name, value in accuracies.items() if name != "head")


# What is learned


def of_features(name: str) -> Table:
    """A featured set without what belongs to no class."""
    data = featured(name)
    named = data.labels != OUTSIDE
    return Table(data.features[named].astype(np.float64), data.labels[named], data.bundle,
                 None if data.ask is None else data.ask[named])


def of_scikit_learn(name: str) -> Table:
    """A table that ships with scikit-learn."""
    from sklearn import datasets

    data = getattr(datasets, f"load_{name}")()
    return Table(np.asarray(data.data, np.float64), np.asarray(data.target_names)[data.target].astype(str))


def sea() -> Table:
    """Three sensors from 0 to 10; the class says whether the first two add to more than 8, the third nothing."""
    rows = np.random.default_rng(0).uniform(0, 10, (GENERATED, 3))
    return Table(rows, np.where(rows[:, 0] + rows[:, 1] > 8, "above", "below"))


def bananas() -> Table:
    """Two curved classes wound into each other, so that no line tells them apart."""
    rng = np.random.default_rng(0)
    side = np.arange(GENERATED) % 2
    along = rng.uniform(0.25, 1.25, GENERATED)
    angle = 2 * np.pi * along + np.pi * side
    rows = 3 * along[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1) + rng.normal(0, 0.5, (GENERATED, 2))
    return Table(rows, np.where(side, "one", "other"))


def levels() -> Table:
    """Five sensors around 20 or 21, by 0.5 more or less, and two that always say 100."""
    side = np.arange(GENERATED) % 2
    readings = 20 + side[:, None] + np.random.default_rng(0).normal(0, 0.5, (GENERATED, 5))
    return Table(np.hstack([readings, np.full((GENERATED, 2), 100.0)]), np.where(side, "21 degrees", "20 degrees"))


TABLES: dict[str, Callable[[], Table]] = {
    "photos": partial(of_features, "photos-shipped"),
    "mobilenet": partial(of_features, "photos-mobilenet"),
    "steel": partial(of_features, "steel-shipped"),
    "steel-mobilenet": partial(of_features, "steel-mobilenet"),
    "intents": partial(of_features, "clinc-english"),
    "spoken-digits": partial(of_features, "digits-sound"),
    "iris": partial(of_scikit_learn, "iris"),
    "wine": partial(of_scikit_learn, "wine"),
    "breast-cancer": partial(of_scikit_learn, "breast_cancer"),
    "digits": partial(of_scikit_learn, "digits"),
    "sea": sea,
    "bananas": bananas,
    "levels": levels,
}


def plot(result: Mapping[str, Any]) -> Any:
    """The head's distance to the best rival, for each count of examples, set by set."""
    sets = result["values"]["sets"]
    counts = list(next(iter(sets.values())))
    figure, axes = canvas(len(counts), width=4.2, height=4.6)
    for panel, shots in zip(axes, counts, strict=True):
        bars = {name: (under_best_rival({model: value["mean"] for model, value in at[shots].items()}), 0.0)
                for name, at in sets.items()}
        draw_bars(panel, bars, "accuracy beside the best rival (points)", f"{shots} examples of each class")
    return figure
