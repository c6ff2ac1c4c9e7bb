"""A hundred updates: does a network that grows and is pruned again and again stay able to learn?

A network with two hidden layers gets 300 new images of MNIST at a time and keeps the last 3,000. At every update it
grows, learns what is new, then what is kept, and is pruned to the same small size. Recoverable pruning leaves every
neuron a way in and a way out; without that, neurons are cut off, get no gradient, and never come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from engram.lab.evaluation.plots import canvas, draw_curves
from engram.lab.experiments.experiment import Progress, part
from engram.lab.experiments.grow_and_prune.growprune_learner import error
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import measured, steps_of
from engram.lab.streams import Experience, channels_first, data_incremental, data_set
from engram.networks.strategies.grow_and_prune import GrowAndPrune
from engram.networks.strategies.kept import Kept
from engram.networks.strategies.networks import perceptron
from engram.networks.strategies.update_recipe import UpdateRecipe
from engram.networks.structure.denormals import denormals_flushed
from engram.networks.structure.pruning import hidden_alive


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        data: a data set of digits, by its name.
        hidden: units of each layer.
        cycles: updates after the first.
        portion, kept: new images of an update, and how many of the last ones are at hand; the first update brings
            that many at once.
        parameters: alive at rest.
        alpha: percentile of the gradients from which a dormant connection wakes.
        examples, new_epochs, all_epochs, prune_epochs: of each update; epochs are meant at so many examples.
        first_times: how much longer the first update is.
        batch: of the training.
        look_every: updates between two looks at the test images.
        augmentation: of the images.
        device: of the training.
    """

    data: str = "mnist"
    hidden: tuple[int, ...] = (100, 50)
    cycles: int = 100
    portion: int = 300
    kept: int = 3_000
    parameters: int = 2_500
    alpha: float = 50.0
    examples: int = 6_400
    new_epochs: float = 0.25
    all_epochs: float = 0.25
    prune_epochs: float = 1.0
    first_times: float = 8.0
    batch: int = 64
    look_every: int = 5
    augmentation: str = "affine"
    device: str = "cpu"


PUBLISHED: dict[str, Any] = {}
FIGURES = {
    "growprune-long.alive-recoverable": Figure("alive-recoverable", "%", at_least=100),
    "growprune-long.alive-non-recoverable": Figure("alive-non-recoverable", "%"),
    "growprune-long.accuracy-change": Figure("accuracy-change-recoverable", "points", at_least=0),
    "growprune-long.accuracy-change-non-recoverable": Figure("accuracy-change-non-recoverable", "points"),
    "growprune-long.accuracy": Figure("accuracy-recoverable", "%"),
    "growprune-long.accuracy-non-recoverable": Figure("accuracy-non-recoverable", "%"),
}
KINDS = ("recoverable", "non-recoverable")
LOOKS = 3  # whose mean is the accuracy at the beginning, and at the end


@denormals_flushed()
def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed; each of its two networks is kept when it is done."""
    folder = steps_of("growprune-long", asdict(config), seed=seed)
    values: Values = {}
    for place, kind in enumerate(KINDS):
        told = part(progress, place, len(KINDS), kind)
        life = measured(f"{folder}/{kind}", partial(live, config, seed, kind == "recoverable", told))
        values[kind] = life
        values[f"alive-{kind}"] = life["alive"][-1]
        values[f"accuracy-{kind}"] = float(np.mean(life["accuracy"][-LOOKS:]))
        values[f"accuracy-change-{kind}"] = values[f"accuracy-{kind}"] - float(np.mean(life["accuracy"][:LOOKS]))
    return values


def live(config: Config, seed: int, recoverable: bool, progress: Progress) -> Values:
    """One network through all updates: neurons alive in percent at every update; accuracy and parameters at looks."""
    arrivals = data_incremental(data_set(config.data).map(channels_first), 1, seed=seed)
    arriving = arrivals[0]
    recipe = UpdateRecipe(alpha=config.alpha, new_epochs=config.new_epochs,
                    all_epochs=config.all_epochs, prune_epochs=config.prune_epochs, distillation=0, averaging=0.98,
                    recoverable=recoverable).with_epochs_of(config.examples)
    first = recipe.with_epochs_of(round(config.first_times * config.examples))
    learner = GrowAndPrune(perceptron(arrivals.input_shape, config.hidden, seed=seed), parameters=config.parameters,
                           recipe=first, held_out=0, augmentation=config.augmentation, batch=config.batch, seed=seed,
                           device=config.device)
    found = Values(cycle=[], accuracy=[], parameters=[], alive=[])
    for cycle, portion in enumerate(portions(config, arriving)):
        learner.learn(portion.train.inputs, portion.train.labels.tolist())
        learner.recipe = recipe
        learner.kept = Kept(learner.kept.inputs[-config.kept:], learner.kept.targets[-config.kept:])
        found["alive"].append(100 * hidden_alive(learner.masks).double().mean().item())
        if cycle % config.look_every == 0:
            found["cycle"].append(cycle)
            found["accuracy"].append(100 - error(learner, arriving.test))
            found["parameters"].append(learner.masks.live)
            progress(cycle / config.cycles, f"update {cycle}: {found['alive'][-1]:.0f}% of the neurons alive, "
                                            f"{found['accuracy'][-1]:.2f}% right")
    return found


def portions(config: Config, arriving: Experience) -> list[Experience]:
    """What each update brings, over again from the beginning where the data end."""
    train, start = arriving.train, config.kept
    parts = [replace(arriving, train=train.part(0, config.kept))]
    for _ in range(config.cycles):
        if start + config.portion > len(train):
            start = 0
        parts.append(replace(arriving, train=train.part(start, start + config.portion)))
        start += config.portion
    return parts


def plot(result: Mapping[str, Any]) -> Any:
    """Neurons alive and accuracy, over the updates."""
    values = result["values"]
    figure, (left, right) = canvas(2, width=4.6, height=3.4)
    lives = {kind: values[kind] for kind in KINDS}
    draw_curves(left, {kind: (list(range(len(life["alive"]["mean"]))), life["alive"]["mean"], life["alive"]["sd"])
                       for kind, life in lives.items()}, "updates", "neurons alive (%)", "Neurons")
    draw_curves(right, {kind: (life["cycle"]["mean"], life["accuracy"]["mean"], life["accuracy"]["sd"])
                        for kind, life in lives.items()}, "updates", "right on the test images (%)", "Accuracy")
    return figure
