"""New data first: what an update costs when the network first grows and learns on what is new, and then on everything.

LeNet-300-100 has learned 90% of MNIST's training images and rests with 12,000 parameters when the last 10% arrive.
Merged, it grows and is trained on all data together. New data first, it grows and is trained on the new portion, in the
same way, then on all data. Merged with a single growth is what merged training costs at least: every growth is a pass
over the data in which nothing is learned. The cost is counted in examples shown, growth included, in epochs over all
data, until the validation accuracy is reached that the merged network comes to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from engram.lab.evaluation.plots import canvas, draw_curves
from engram.lab.experiments.experiment import Progress, part
from engram.lab.experiments.grow_and_prune.growprune_chain import portions
from engram.lab.experiments.grow_and_prune.growprune_learner import error, gathered
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import measured, steps_of, trained
from engram.lab.streams import Stream
from engram.networks.strategies.average import Average
from engram.networks.strategies.grow_and_prune import GrowAndPrune
from engram.networks.strategies.kept import Kept
from engram.networks.strategies.networks import perceptron
from engram.networks.strategies.update_recipe import UpdateRecipe
from engram.networks.structure.denormals import denormals_flushed

PATENT = "US 12,393,842 B2, FIG. 6"
WAYS = ("merged", "merged, one growth", "new data first")


@dataclass(frozen=True)
class Config:
    """Settings of the published run, chosen on the validation images.

    Attributes:
        hidden: units of each layer.
        old: portions, of ten, that were learned before; the next one is new.
        parameters: alive at rest, before the update.
        old_epochs, old_prune_epochs: passes over the old data, before and while it was pruned.
        alpha, growths: percentile of the gradients from which a connection wakes, and how often the network grows.
        merged_epochs: passes over all data while it grows, merged; with a single growth as many as follow each.
        new_epochs: passes over the new data while it grows, new data first.
        epochs: all that is shown, in epochs over all data, for either way.
        rate, averaging: Adam's learning rate, constant, and the decay of the average of the weights that is looked at.
        look_every: epochs between two looks at the validation images.
        smooth: looks whose mean is the accuracy.
        share: how much of what the merged network gains has to be reached.
        augmentation: of the images.
        device: of the training.
    """

    hidden: tuple[int, ...] = (300, 100)
    old: int = 9
    parameters: int = 12_000
    old_epochs: float = 5.0
    old_prune_epochs: float = 9.0
    alpha: float = 40.0
    growths: int = 3
    merged_epochs: float = 3.0
    new_epochs: float = 1.5
    epochs: float = 8.0
    rate: float = 5e-4
    averaging: float = 0.99
    look_every: float = 0.1
    smooth: int = 3
    share: float = 0.9
    augmentation: str = "affine"
    device: str = "cpu"


PUBLISHED: dict[str, Any] = {
    "patent": {"source": PATENT, "accuracy": 98.67, "merged": {"epochs": 49},
               "new data first": {"epochs on new data": 15, "epochs on all data": 20, "epochs": 21.5}, "gain": 2.3},
}
FIGURES = {
    "growprune-new-data-first.gain": Figure("gain", "ratio", at_least=2.3, published=2.3, source=PATENT),
    "growprune-new-data-first.gain-over-one-growth": Figure("gain-over-one-growth", "ratio"),
    "growprune-new-data-first.epochs": Figure("new data first.epochs", "epochs", published=21.5, source=PATENT),
    "growprune-new-data-first.epochs-merged": Figure("merged.epochs", "epochs", published=49, source=PATENT),
    "growprune-new-data-first.epochs-merged-one-growth": Figure("merged, one growth.epochs", "epochs"),
    "growprune-new-data-first.error": Figure("new data first.error", "%", published=1.33, source=PATENT),
    "growprune-new-data-first.error-merged": Figure("merged.error", "%", published=1.33, source=PATENT),
}


@denormals_flushed()
def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed; the network before the update, and every way, are kept when they are done."""
    folder = steps_of("growprune-new-data-first", asdict(config), seed=seed)
    stream = portions(seed)
    learner = make(config, stream, seed)
    old, new = (gathered(stream[some], learner) for some in (slice(config.old), slice(config.old, config.old + 1)))
    learner.progress = part(progress, 0, 1 + len(WAYS), "before the update")

    def rest() -> Values:
        learner.fit(old, config.old_epochs, learner.recipe.learning_rate)
        learner.prune(old)
        return {"error": error(learner, stream[0].test), "validation-error": 100 - learner.accuracy(old)}

    before = trained(f"{folder}/before", learner.model, rest)
    resting = learner.model.snapshot()
    everything = Kept(old.inputs, old.targets)
    everything.add(new.inputs, new.targets)
    curves = {}
    for place, way in enumerate(WAYS, 1):
        learner.become(resting)
        learner.progress = part(progress, place, 1 + len(WAYS), way)
        first = way == "new data first"
        growths = 1 if way == "merged, one growth" else config.growths
        epochs = config.new_epochs if first else config.merged_epochs * growths / config.growths
        curves[way] = measured(f"{folder}/{place}", partial(
            update, config, learner, new if first else everything, everything, growths, epochs, stream))
    return {"before": before, **compared(config, curves)}


def make(config: Config, stream: Stream, seed: int) -> GrowAndPrune:
    """The learner, judged by the validation images."""
    recipe = UpdateRecipe(constant_budget=0, prune_epochs=config.old_prune_epochs, distillation=0, alpha=config.alpha)
    learner = GrowAndPrune(perceptron(stream.input_shape, config.hidden, seed=seed), parameters=config.parameters,
                           recipe=recipe, held_out=0, augmentation=config.augmentation, seed=seed,
                           device=config.device)
    held = stream[0].held_out
    learner.add_validation(held.inputs, held.labels.tolist())
    return learner


class Watch:
    """Looks at the average of a network's weights, every so many examples shown."""

    def __init__(self, config: Config, learner: GrowAndPrune, everything: Kept) -> None:
        self._config, self._learner, self._everything = config, learner, everything
        self._average = Average(learner.model, config.averaging)
        self.shown = 0
        self.epochs: list[float] = []
        self.accuracy: list[float] = []

    def step(self, step: int, steps: int) -> None:
        """After a step of training."""
        self._average.take()
        self.count(self._learner.batch)

    def count(self, shown: int) -> None:
        """So many examples more were shown."""
        self.shown += shown
        now = self.shown / len(self._everything)
        if not self.epochs or now - self.epochs[-1] >= self._config.look_every - 1e-9:
            self.look()

    def look(self) -> None:
        """Ask the average about the validation images."""
        whole = self._learner.model
        trained = whole.snapshot()
        self._average.give()
        self.epochs.append(self.shown / len(self._everything))
        self.accuracy.append(self._learner.accuracy(self._everything))
        whole.load_state_dict(trained.tensors)
        whole.train()


def update(
    config: Config, learner: GrowAndPrune, first: Kept, everything: Kept, growths: int, first_epochs: float,
    stream: Stream,
) -> Values:
    """Grow and train on `first`, growing on the way; then train on everything until the budget is spent."""
    learner.recipe = UpdateRecipe(constant_budget=0, alpha=config.alpha, anneal=False, averaging=0, distillation=0)
    learner.generator.manual_seed(learner.seed)
    watch = Watch(config, learner, everything)
    watch.look()
    for _ in range(growths):
        learner.grow_connections(first)
        watch.count(len(first))
        learner.fit(first, first_epochs / growths, config.rate, watch.step)
    learner.fit(everything, config.epochs - watch.shown / len(everything), config.rate, watch.step)
    watch.look()
    return {"epochs": watch.epochs, "accuracy": watch.accuracy, "error": error(learner, stream[0].test),
            "parameters": learner.masks.live}


def compared(config: Config, curves: Mapping[str, Values]) -> Values:
    """The accuracy to be reached, by the merged network alone, and what it costs either way.

    That is `share` of the way from where both begin to the mean of the merged network's last quarter. Where it is never
    reached, the whole budget counts.
    """
    start = curves["merged"]["accuracy"][0]
    merged = curves["merged"]["accuracy"]
    wanted = start + config.share * (float(np.mean(merged[-(len(merged) // 4):])) - start)
    values: Values = {"start": start, "wanted": wanted, "curves": {}}
    grid = np.arange(0, config.epochs + 1e-9, config.look_every)
    for way, curve in curves.items():
        epochs, accuracy = np.array(curve["epochs"]), smoothed(curve["accuracy"], config.smooth)
        values |= {f"{way}.epochs": reached(epochs, accuracy, wanted), f"{way}.error": curve["error"],
                   f"{way}.reached": float(accuracy.max() >= wanted)}
        values["curves"][way] = np.interp(grid, epochs, accuracy)
    values["epochs"] = grid
    for name, way in (("gain", "merged"), ("gain-over-one-growth", "merged, one growth")):
        values[name] = values[f"{way}.epochs"] / values["new data first.epochs"]
    return values


def smoothed(accuracy: list[float], looks: int) -> Any:
    """The mean of each look and those before it, `looks` in all.

    >>> smoothed([1.0, 2.0, 3.0, 4.0], 2).tolist()
    [1.0, 1.5, 2.5, 3.5]
    """
    return np.array([np.mean(accuracy[max(0, i + 1 - looks):i + 1]) for i in range(len(accuracy))])


def reached(epochs: Any, accuracy: Any, wanted: float) -> float:
    """When the accuracy was reached first, between two looks on a straight line; the end if it never was.

    >>> reached([0, 1, 2], [90.0, 91.0, 93.0], 92.0)
    1.5
    """
    enough = np.flatnonzero(np.asarray(accuracy) >= wanted)
    if not len(enough):
        return float(epochs[-1])
    i = int(enough[0])
    return float(epochs[0]) if i == 0 else float(np.interp(wanted, accuracy[i - 1:i + 1], epochs[i - 1:i + 1]))


def plot(result: Mapping[str, Any]) -> Any:
    """Validation accuracy against what was shown, every way."""
    values = result["values"]
    figure, (axes,) = canvas(width=5.6, height=3.6)
    grid = values["epochs"]["mean"]
    curves = {way: (grid, values["curves"][way]["mean"], values["curves"][way]["sd"]) for way in reversed(WAYS)}
    draw_curves(axes, curves, "examples shown, growth included (epochs over all data)",
                "right on the validation images (%)", "The last tenth of MNIST arrives",
                references={"to be reached": values["wanted"]["mean"]})
    return figure
