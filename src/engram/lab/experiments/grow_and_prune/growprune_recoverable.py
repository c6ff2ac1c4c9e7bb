"""Recoverable and non-recoverable pruning: how small a network gets, and whether it can grow again afterwards.

LeNet-300-100 is trained on all of MNIST with all connections alive, then pruned to three sizes while the whole network
teaches the small one. Recoverable pruning leaves every neuron a way in and a way out and loses no accuracy: of these
two conditions the first is kept at the given size, and what the second costs there is reported. Non-recoverable pruning
goes further and lets neurons die. Then each of the pruned networks grows again where its gradients ask for it: a neuron
that is cut off has no gradient and stays dead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from engram.lab.evaluation.plots import COLOURS, canvas, draw_bars, draw_scatter
from engram.lab.experiments.experiment import Progress, part
from engram.lab.experiments.grow_and_prune.growprune_chain import portions
from engram.lab.experiments.grow_and_prune.growprune_learner import error, gathered
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import measured, steps_of, trained
from engram.lab.streams import Stream
from engram.networks.module_copy import module_copy
from engram.networks.strategies.grow_and_prune import GrowAndPrune
from engram.networks.strategies.kept import Kept
from engram.networks.strategies.networks import perceptron
from engram.networks.strategies.update_recipe import UpdateRecipe
from engram.networks.structure.denormals import denormals_flushed
from engram.networks.structure.pruning import hidden_alive, isolated

PATENT = "US 12,393,842 B2, FIG. 7"


@dataclass(frozen=True)
class Config:
    """Settings of the published run, chosen on the validation images.

    Attributes:
        hidden: units of each layer.
        grown_epochs, rate: of the training before all pruning.
        recoverable, sizes: parameters to be left by recoverable, and by non-recoverable pruning.
        prune_epochs: of each of these prunings in turn, passes over everything.
        prune_rate, prune_share, distillation, temperature, averaging: see `UpdateRecipe`.
        augmentation: of the images while the network is pruned; a small one does not fit the strong one.
        alpha, again_epochs, again_rate: of growing again.
        device: of the training.
    """

    hidden: tuple[int, ...] = (300, 100)
    grown_epochs: float = 20.0
    rate: float = 2e-3
    recoverable: int = 12_000
    sizes: tuple[int, ...] = (7_500, 4_000)
    prune_epochs: tuple[float, ...] = (10.0, 14.0, 30.0)
    prune_rate: float = 3e-3
    prune_share: float = 0.8
    distillation: float = 0.5
    temperature: float = 1.0
    augmentation: str = "slight"
    averaging: float = 0.999
    alpha: float = 40.0
    again_epochs: float = 2.0
    again_rate: float = 1e-3
    device: str = "cpu"


PUBLISHED: dict[str, Any] = {
    "patent": {"source": PATENT, "recoverable": {"error": 1.33, "parameters": 21_700},
               "non-recoverable": {"error": 1.40, "parameters": 12_200}},
    "NeST": {"source": "arXiv 1711.02017, table 3", "error": [1.29, 1.58], "parameters": [7_800, 3_800]},
}
FIGURES = {
    "growprune-recoverable.error-12000": Figure("recoverable.error", "%", published=1.33, source=f"{PATENT}, at 21.7K"),
    "growprune-recoverable.error-7500": Figure("error-7500", "%", at_most=1.35, published=1.40,
                                               source=f"{PATENT}, at 12.2K"),
    "growprune-recoverable.error-4000": Figure("error-4000", "%", at_most=1.45, published=1.40,
                                               source=f"{PATENT}, at 12.2K"),
    "growprune-recoverable.isolated-recoverable": Figure("recoverable.isolated", "count", at_most=0),
    "growprune-recoverable.accuracy-lost": Figure("recoverable.accuracy-lost", "points"),
    "growprune-recoverable.dead-4000": Figure("dead-4000", "count"),
    "growprune-recoverable.dead-after-growth-4000": Figure("dead-after-growth-4000", "count"),
}


class Pruner(GrowAndPrune):
    """Can be pruned again and again, taught by what it was when it was whole."""

    whole_before: torch.nn.Module

    def prune_further(self, data: Kept, parameters: int, recipe: UpdateRecipe) -> Values:
        """From here to so many parameters; what has come of it."""
        self.recipe, self.parameters = recipe, parameters
        try:
            self.prune(data, self.whole_before)
        finally:
            self._teacher = None
        return self.conditions(data)

    def conditions(self, data: Kept) -> Values:
        """What decides whether a pruning can be recovered from."""
        alive = hidden_alive(self.masks)
        return {"parameters": self.masks.live, "isolated": sum(isolated(self.masks)), "dead": int((~alive).sum()),
                "neurons": len(alive), "validation-error": 100 - self.accuracy(data)}


@denormals_flushed()
def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws the validation images, the weights and the order."""
    stream = portions(seed)
    recipe = UpdateRecipe(constant_budget=0, all_epochs=config.grown_epochs, learning_rate=config.rate,
                    averaging=config.averaging)
    learner = Pruner(perceptron(stream.input_shape, config.hidden, seed=seed), recipe=recipe, held_out=0,
                     augmentation="affine", seed=seed, device=config.device)
    held = stream[0].held_out
    learner.add_validation(held.inputs, held.labels.tolist())
    data = gathered(stream, learner)
    folder = steps_of("growprune-recoverable", asdict(config), seed=seed)
    stages = 2 + len(config.sizes)

    def step(number: int, name: str, parameters: int, recipe: UpdateRecipe) -> Values:
        learner.progress = part(progress, number, stages, name)
        learner.augmentation = config.augmentation if number else "affine"

        def train() -> Values:
            learner.generator.manual_seed(seed + 1000 * number)
            values = learner.prune_further(data, parameters, recipe) if number else grow(learner, data)
            return values | {"error": error(learner, stream[0].test)}

        values = trained(f"{folder}/{name}", learner.model, train)
        progress((number + 1) / stages, f"{name}: {values['parameters']:,} parameters, "
                                        f"{values['validation-error']:.2f}% wrong on validation images")
        return values | {"again": measured(f"{folder}/{name}-again", lambda: again(config, learner, data, stream))}

    found = {"grown": step(0, "grown", learner.masks.total, recipe)}
    learner.whole_before = module_copy(learner.model).eval().requires_grad_(False)
    first, *further = [
        replace(recipe, prune_epochs=epochs, prune_rate=config.prune_rate, prune_share=config.prune_share,
                distillation=config.distillation, temperature=config.temperature) for epochs in config.prune_epochs]
    found["recoverable"] = step(1, "recoverable", config.recoverable, first)
    for number, (size, pruning) in enumerate(zip(config.sizes, further, strict=True), 2):
        found[f"non-recoverable-{size}"] = step(number, str(size), size, replace(pruning, recoverable=False))
    for size in config.sizes:
        small = found[f"non-recoverable-{size}"]
        found |= {f"error-{size}": small["error"], f"dead-{size}": small["dead"],
                  f"dead-after-growth-{size}": small["again"]["dead"]}
    return found | {"recoverable.error": found["recoverable"]["error"],
                    "recoverable.isolated": found["recoverable"]["isolated"],
                    "recoverable.accuracy-lost":
                        found["recoverable"]["validation-error"] - found["grown"]["validation-error"]}


def grow(learner: Pruner, data: Kept) -> Values:
    """The whole network, trained."""
    learner.fit(data, learner.recipe.all_epochs, learner.recipe.learning_rate)
    return learner.conditions(data)


def again(config: Config, learner: Pruner, data: Kept, stream: Stream) -> Values:
    """The pruned network grows once more and is trained; the learner is as before afterwards."""
    before, recipe = learner.model.snapshot(), learner.recipe
    learner.recipe = replace(recipe, alpha=config.alpha)
    learner.generator.manual_seed(learner.seed)
    try:
        learner.grow_connections(data)
        learner.fit(data, config.again_epochs, config.again_rate)
        return learner.conditions(data) | {"error": error(learner, stream[0].test)}
    finally:
        learner.recipe = recipe
        learner.become(before)


def plot(result: Mapping[str, Any]) -> Any:
    """Error against size, beside the published; neurons that stay dead when the network grows again."""
    values = result["values"]
    stages = {"recoverable": "recoverable", **{name: f"{name.removeprefix('non-recoverable-')} asked"
                                               for name in values if name.startswith("non-recoverable-")}}
    figure, (left, right) = canvas(2, width=4.6, height=3.4)
    ours = [(values[name]["parameters"]["mean"], values[name]["error"]["mean"]) for name in stages]
    draw_scatter(left, {
        "here": ([x for x, _ in ours], [y for _, y in ours], ["recoverable", *["non-recoverable"] * (len(ours) - 1)]),
        "patent": ((21_700, 12_200), (1.33, 1.40), ("recoverable", "non-recoverable")),
        "NeST": ((7_800, 3_800), (1.29, 1.58), ("", "")),
    }, "parameters", "wrong on the test images (%)", "Error and size")
    left.axhline(values["grown"]["error"]["mean"], color=COLOURS[-1], linewidth=0.9, linestyle=":")
    bars = {stages[name]: (values[name]["again"]["dead"]["mean"], values[name]["again"]["dead"]["sd"])
            for name in stages}
    draw_bars(right, bars, "neurons still dead after growing again", "What pruning cannot take back")
    return figure
