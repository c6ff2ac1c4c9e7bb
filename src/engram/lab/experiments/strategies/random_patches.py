"""Digits two by two in one pass, nothing stored, on filters cut from the first two digits' images themselves.

Class-incremental MNIST as in `split-mnist`: five portions of two digits each, every image seen once, then which of all
ten digits is asked. The features are random patches, cut from images of the first portion; the head, streaming linear
discriminant analysis in closed form, keeps sums of them alone. Nothing was trained before. Patch, threshold, grid and
head were chosen on training images held out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engram.features.backbones import BACKBONES
from engram.heads import make
from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.result import Figure, Values
from engram.lab.streams import class_incremental, data_set


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        data: a data set by its name; with "digits" everything runs in seconds.
        first: images of the first portion from which filters are cut.
        filters: of the small and of the large set.
        patch: the side of a patch, of the small and of the large set.
        head: a key of `engram.heads.HEADS`.
        portion: images that are seen at once.
    """

    data: str = "mnist"
    first: int = 300
    filters: tuple[int, ...] = (30, 268)
    patch: tuple[int, ...] = (7, 7)
    head: str = "streaming_lda"
    portion: int = 5000


REPLAY = "Buzzega et al., arXiv 2004.07211: replay of 200 examples"
PUBLISHED: dict[str, Any] = {"random-patches": {"value": 80.4, "source": REPLAY}}
NAMES = ("random-patches", "random-patches-large")
FIGURES = {
    "split-mnist.class.random-patches": Figure("random-patches", "%", at_least=98.2, published=80.4, source=REPLAY),
    "split-mnist.class.random-patches-large": Figure("random-patches-large", "%", at_least=99.0),
    "split-mnist.class.random-patches-mb": Figure("random-patches-mb", "MB", at_most=4.0),
    "split-mnist.class.random-patches-large-mb": Figure("random-patches-large-mb", "MB"),
}


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws the order of digits and images, and the filters."""
    values: Values = {}
    for i, name in enumerate(NAMES):
        progress(i / 2, f"{config.filters[i]} filters")
        values |= measured(config, name, config.filters[i], config.patch[i], seed)
    return values


def measured(config: Config, name: str, filters: int, patch: int, seed: int) -> Values:
    """Accuracy after all portions, in percent; megabytes of head and filters; the width."""
    stream = class_incremental(data_set(config.data), seed=seed)
    shown = stream[0].train.inputs[: config.first]
    backbone = BACKBONES.load("random-patches").cut(shown, filters=filters, patch=patch, seed=seed)
    head = make(config.head)
    for experience in stream:
        for start in range(0, len(experience.train), config.portion):
            part = slice(start, start + config.portion)
            head.learn(backbone.features(experience.train.inputs[part]), list(experience.train.labels[part]))
    right = total = 0
    for experience in stream:
        answers = head.predict(backbone.features(experience.test.inputs)).best
        right += sum(a == t for a, t in zip(answers, experience.test.labels, strict=True))
        total += len(answers)
    size = head.memory_bytes + len(backbone.network())
    return {name: 100 * right / total, f"{name}-mb": size / 1e6, f"{name}-width": backbone.width}


def plot(result: Mapping[str, Any]) -> Any:
    """Accuracy of both sizes."""
    figure, (axes,) = canvas(1, width=5.0, height=2.4)
    values = result["values"]
    bars = {f"{values[f'{name}-width']['mean']:.0f} features, {values[f'{name}-mb']['mean']:.1f} MB":
            (values[name]["mean"], values[name]["sd"]) for name in NAMES}
    draw_bars(axes, bars, "accuracy on the test images (%)", "Class-incremental MNIST in one pass", span=(95.0, 100.0))
    return figure
