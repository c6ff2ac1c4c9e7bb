"""Grow and prune on photographs: ResNet-18 while Tiny-ImageNet arrives in portions, beside training from scratch.

The defaults are a narrow network on a few classes of small pictures, for a CPU. The whole of it is for a GPU: `--set
classes=200 --set side=64 --set multiplier=1 --set portions=10 --set budget=160000 --set device=cuda`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.features.pretraining.families.network import Embedding
from engram.features.pretraining.families.resnet import BasicBlock, ResNet
from engram.lab.evaluation.plots import canvas, draw_curves
from engram.lab.experiments.experiment import Progress, part
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import measured, steps_of
from engram.lab.streams import DataSet, Examples, Stream, channels_first, data_incremental, data_set, from_arrays
from engram.learner import Predictions
from engram.networks.strategies.grow_and_prune import GrowAndPrune
from engram.networks.strategies.networks import seeded
from engram.networks.strategies.structural import Structural
from engram.networks.strategies.train_from_scratch import TrainFromScratch
from engram.networks.strategies.update_recipe import UpdateRecipe
from engram.networks.structure.denormals import denormals_flushed
from engram.networks.structure.masks import Masks

Pixels = npt.NDArray[np.uint8]
PATENT = "US 12,393,842 B2, FIG. 12"
METHODS: dict[str, type[Structural]] = {"grow and prune": GrowAndPrune, "train from scratch": TrainFromScratch}
TOP = 5


@dataclass(frozen=True)
class Config:
    """Settings of the published run, which is short; chosen on the twenty classes after those that it is about.

    Attributes:
        data: a data set of pictures, by its name.
        classes: the first so many of its classes, sorted.
        side: of the pictures, in pixels.
        multiplier: of ResNet-18's channels; 1 is the whole network.
        portions: how many arrive.
        density: parameters alive at rest, as a share of the dense network's.
        budget: examples at which the epochs of an update are meant.
        new_epochs, all_epochs, prune_epochs, alpha, rate, batch: of every update; see `UpdateRecipe`.
        augmentation: of the pictures. Without it a network that goes on learning stays with what it knows by heart.
        device: of the training.
    """

    data: str = "tiny-imagenet"
    classes: int = 20
    side: int = 32
    multiplier: float = 0.25
    portions: int = 4
    density: float = 0.3
    budget: int = 3_200
    new_epochs: float = 1.0
    all_epochs: float = 4.0
    prune_epochs: float = 5.0
    alpha: float = 40.0
    rate: float = 2e-3
    batch: int = 64
    augmentation: str = "photo"
    device: str = "cpu"


PUBLISHED: dict[str, Any] = {
    "patent": {"source": PATENT, "data": "ImageNet", "top-5 error": {"train from scratch": 11.25,
                                                                     "grow and prune": 11.12},
               "epochs": {"train from scratch": 241, "grow and prune": 86}, "parameters": {"grow and prune": 3.9e6}},
}
FIGURES = {
    "growprune-resnet18.error": Figure("error", "%"),
    "growprune-resnet18.error-top-5": Figure("error-top-5", "%", published=11.12, source=f"{PATENT}, ImageNet"),
    "growprune-resnet18.error-tfs": Figure("error-tfs", "%"),
    "growprune-resnet18.error-top-5-tfs": Figure("error-top-5-tfs", "%", published=11.25,
                                                 source=f"{PATENT}, ImageNet"),
    "growprune-resnet18.parameters": Figure("parameters", "count"),
}


@denormals_flushed()
def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed; a method's chain is kept when it is done."""
    stream = data_incremental(pictures(config.data, config.classes, config.side), config.portions, seed=seed)
    folder = steps_of("growprune-resnet18", asdict(config), seed=seed)
    found = {}
    for place, name in enumerate(METHODS):
        told = part(progress, place, len(METHODS), name)
        found[name] = measured(f"{folder}/{name.replace(' ', '-')}", partial(chain, config, name, seed, stream, told))
    ours, scratch = (found[name] for name in METHODS)
    return {"error": ours["error"][-1], "error-top-5": ours["error-top-5"][-1], "error-tfs": scratch["error"][-1],
            "error-top-5-tfs": scratch["error-top-5"][-1], "parameters": ours["parameters"][-1],
            "data": [100 * (i + 1) / config.portions for i in range(config.portions)], "methods": found}


def chain(config: Config, method: str, seed: int, stream: Stream, progress: Progress) -> Values:
    """Portion after portion by one method: error and parameters after each."""
    learner = make(config, method, seed)
    found = Values({"error": [], "error-top-5": [], "parameters": [], "shown": []})
    for number, portion in enumerate(stream):
        learner.progress = part(progress, number, len(stream), f"portion {number + 1}")
        learner.learn(portion.inputs, portion.labels.tolist())
        first, five = errors(learner.predict(portion.test.inputs), portion.test)
        for key, value in zip(found, (first, five, learner.masks.live, learner.report["shown"]), strict=True):
            found[key].append(value)
        progress((number + 1) / len(stream), f"{first:.1f}% wrong at {learner.masks.live:,} parameters")
    return found


def make(config: Config, method: str, seed: int) -> Structural:
    """The learner: a ResNet-18 without its classifier, whose stem halves the side once."""
    widths = [max(8, 8 * round(width * config.multiplier / 8)) for width in (64, 128, 256, 512)]
    with seeded(seed):
        network = Embedding(ResNet(BasicBlock, (2, 2, 2, 2), widths, stem=widths[0], kernel=3, pool=False, classes=0))
    recipe = UpdateRecipe(new_epochs=config.new_epochs, all_epochs=config.all_epochs,
                    prune_epochs=config.prune_epochs, alpha=config.alpha, learning_rate=config.rate, distillation=0)
    dense = Masks(network).total + config.classes * (widths[-1] + 1)
    return METHODS[method](network, shape=(3, config.side, config.side), parameters=round(config.density * dense),
                           recipe=recipe.with_epochs_of(config.budget), batch=config.batch,
                           augmentation=config.augmentation, seed=seed, device=config.device)


def errors(answers: Predictions, asked: Examples) -> tuple[float, float]:
    """Percent whose label is not the best answer, and not among the best five."""
    columns = {label: place for place, label in enumerate(answers.candidates)}
    right = np.array([columns[label] for label in asked.labels.tolist()])
    above = (answers.scores > answers.scores[np.arange(len(right)), right][:, None]).sum(1)
    return 100 * float((above >= 1).mean()), 100 * float((above >= TOP).mean())


def pictures(name: str, classes: int, side: int) -> DataSet:
    """Some classes of a data set of square pictures, (3, side, side), made smaller by means over squares."""
    data = data_set(name)
    labels = sorted({str(label) for label in data.train_labels})[:classes]
    parts = []
    for rows, names in ((data.train_inputs, data.train_labels), (data.test_inputs, data.test_labels)):
        mine = np.flatnonzero(np.isin(names.astype(str), labels))
        parts += [smaller(rows[mine], side), names[mine].astype(str)]
    return from_arrays(*parts, name=name).map(channels_first)


def smaller(images: npt.NDArray[Any], side: int) -> Pixels:
    """(N, S, S, C), or (N, S, S) as three equal channels, to (N, side, side, 3), where side divides S."""
    images = np.repeat(images[..., None], 3, 3) if images.ndim == 3 else images
    squares = images.reshape(len(images), side, images.shape[1] // side, side, -1, images.shape[3])
    small: Pixels = squares.mean((2, 4)).round().astype(np.uint8)
    return small


def plot(result: Mapping[str, Any]) -> Any:
    """Error as data arrive, by both methods."""
    values = result["values"]
    figure, (left, right) = canvas(2, width=4.4, height=3.4)
    shares = values["data"]["mean"]
    for axes, key, title in ((left, "error", "Best answer"), (right, "error-top-5", "Best five")):
        draw_curves(axes, {name: (shares, values["methods"][name][key]["mean"], values["methods"][name][key]["sd"])
                           for name in METHODS}, "data that have arrived (%)", "wrong (%)", title)
    return figure
