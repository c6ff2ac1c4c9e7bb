"""Where is it: five boxes of each of five things taught on composed scenes, then found in other scenes.

Things and what is behind them are of `photos.NOVEL`, which have no relatives among ImageNet's classes; the seed draws
which five are taught, and the scenes. Photographs in scenes that are asked about are in none that was taught. Beside it
stand sliding windows scored by the cosine with the mean of the same cut-outs: the same windows, kept apart in the same
way, plain, and less the score of the surroundings as here.

The way of scoring and the windows were chosen on scenes of `photos.NEAR`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from engram.brain import Brain, meld
from engram.brain.locating import Candidate, Windows, apart, candidates, maps_of, windows_of
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.catalogue import bundle_of
from engram.inputs.boxes import Box, cut_out, overlap
from engram.inputs.images import decode
from engram.inputs.vectors import unit_length
from engram.lab.data_sets.photos import NOVEL, photos
from engram.lab.evaluation.measures import average_precision
from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.result import Figure, Values
from engram.learner import FloatArray

SIZE = (240, 320)
"""Rows and columns of a scene."""

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        things: kinds that are taught; the others are behind them.
        boxes: boxes of each that are taught.
        scenes: scenes that are asked about.
        most: candidates of each label and scene.
    """

    things: int = 5
    boxes: int = 5
    scenes: int = 25
    most: int = 20


PUBLISHED: dict[str, Any] = {}

FIGURES = {
    "locate.map": Figure("map", "%"),
    "locate.map-rival": Figure("map-rival", "%"),
    "locate.map-rival-ring": Figure("map-rival-ring", "%"),
    "locate.over-rival": Figure("over-rival", "points", at_least=0.0),
    "locate.precision": Figure("precision", "%"),
    "locate.recall": Figure("recall", "%"),
    "locate.ask-ms": Figure("ask-ms", "ms"),
    "locate.identical": Figure("identical", "flag", at_least=1.0),
}


class Scene(NamedTuple):
    """A picture (H, W, 3), and for each thing in it the label and the box."""

    picture: Picture
    labels: tuple[str, ...]
    boxes: tuple[Box, ...]


class Drawn(NamedTuple):
    """Scenes to teach, and scenes to ask about."""

    taught: list[Scene]
    asked: list[Scene]


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed."""
    names, scenes = drawn(config, seed)
    bundle = bundle_of("photos")
    brain = Brain(bundle)
    for scene in scenes.taught:
        brain.learn_boxes(scene.picture, scene.boxes, scene.labels)
    means = class_means(bundle, scenes.taught, names)
    ways: dict[str, Callable[[Windows], FloatArray]] = {
        "rival": lambda windows: unit_length(windows.inside + 1e-9) @ means.T,
        "rival-ring": lambda windows: (unit_length(windows.inside + 1e-9)
                                       - unit_length(windows.around + 1e-9)) @ means.T,
    }
    found: dict[str, list[list[Candidate]]] = {name: [] for name in ("own", *ways)}
    shown, seconds = [], 0.0
    for i, scene in enumerate(scenes.asked):
        progress(i / len(scenes.asked), f"scene {i + 1} of {len(scenes.asked)}")
        maps = maps_of(bundle, scene.picture)
        found["own"].append(candidates(brain.view, maps, SIZE, names, config.most))
        windows = windows_of(maps, SIZE)
        for way, scored in ways.items():
            found[way].append(_kept(windows, scored(windows), names, config.most))
        start = time.perf_counter()
        shown.append([Candidate(one.label, one.box, one.score) for one in brain.locate(scene.picture)])
        seconds += time.perf_counter() - start
    precision = {way: 100 * mean_precision(some, scenes.asked, names) for way, some in found.items()}
    right, told, there = counted(shown, scenes.asked)
    return {
        "map": precision["own"], "map-rival": precision["rival"], "map-rival-ring": precision["rival-ring"],
        "over-rival": precision["own"] - max(precision["rival"], precision["rival-ring"]),
        "precision": 100 * right / max(told, 1), "recall": 100 * right / there,
        "ask-ms": 1000 * seconds / len(scenes.asked), "identical": float(laws_hold(bundle, scenes.taught, brain)),
        "things": list(names),
    }


def drawn(config: Config, seed: int, kinds: Sequence[str] = NOVEL) -> tuple[tuple[str, ...], Drawn]:
    """Which things are taught, and the scenes of a seed."""
    rng, pictures = np.random.default_rng([11, seed]), photos()
    order = [str(name) for name in rng.permutation(kinds)]
    labels, half = np.array(pictures.labels), 15

    def some(name: str, part: slice) -> list[Any]:
        return [decode(pictures.paths[place]) for place in np.flatnonzero(labels == name)[part]]

    made = []
    for part in (slice(0, half), slice(half, None)):
        things = {name: some(name, part) for name in order[: config.things]}
        behind = [picture for name in order[config.things :] for picture in some(name, part)]
        made.append((things, behind))
    taught: list[Scene] = []
    count = dict.fromkeys(order[: config.things], 0)
    while min(count.values()) < config.boxes:
        scene = composed(rng, *made[0])
        if all(count[label] + scene.labels.count(label) <= config.boxes for label in scene.labels):
            taught.append(scene)
            for label in scene.labels:
                count[label] += 1
    return tuple(count), Drawn(taught, [composed(rng, *made[1]) for _ in range(config.scenes)])


def composed(
    rng: np.random.Generator, things: Mapping[str, Sequence[Picture]], behind: Sequence[Picture], most: int = 3,
) -> Scene:
    """A scene of one to `most` things: each the middle of a photograph within an ellipse, 70 to 140 pixels long, on the
    photograph of something else; no two overlap much.

    Args:
        things: photographs of each label.
        behind: photographs of other things.
    """
    chosen = behind[int(rng.integers(len(behind)))]
    scene = Image.fromarray(chosen).convert("RGB").resize(SIZE[::-1], Image.Resampling.BILINEAR)
    names = sorted(things)
    labels: list[str] = []
    boxes: list[Box] = []
    for _ in range(rng.integers(1, most + 1)):
        label = names[int(rng.integers(len(names)))]
        photo = Image.fromarray(things[label][int(rng.integers(len(things[label])))]).convert("RGB")
        scale = rng.uniform(70, 140) / max(photo.size)
        width, height = (max(24, round(side * scale)) for side in photo.size)
        for _ in range(30):
            left, top = int(rng.integers(0, SIZE[1] - width)), int(rng.integers(0, SIZE[0] - height))
            box = Box(left, top, left + width, top + height)
            if all(overlap(box, other) < 0.05 for other in boxes):
                _paste(scene, photo.resize((width, height), Image.Resampling.BILINEAR), left, top)
                labels.append(label)
                boxes.append(box)
                break
    return Scene(np.asarray(scene), tuple(labels), tuple(boxes))


def _paste(scene: Image.Image, photo: Image.Image, left: int, top: int) -> None:
    mask = Image.new("L", photo.size, 0)
    ImageDraw.Draw(mask).ellipse((1, 1, photo.width - 2, photo.height - 2), fill=255)
    scene.paste(photo, (left, top), mask.filter(ImageFilter.GaussianBlur(1.5)))


def class_means(bundle: Bundle, scenes: Sequence[Scene], names: Sequence[str]) -> FloatArray:
    """(C, D) means of the cut-outs' features, each and together of unit length."""
    cut = [(label, cut_out(scene.picture, box)) for scene in scenes
           for label, box in zip(scene.labels, scene.boxes, strict=True)]
    features = unit_length(bundle.features([picture for _, picture in cut]).astype(np.float64))
    labels = np.array([label for label, _ in cut])
    return unit_length(np.stack([features[labels == name].mean(axis=0) for name in names]))


def _kept(windows: Windows, scores: FloatArray, names: Sequence[str], most: int) -> list[Candidate]:
    """The best windows of each label that do not overlap much."""
    return [Candidate(name, Box(*windows.boxes[place].tolist()), float(scores[place, column]))
            for column, name in enumerate(names) for place in apart(windows.boxes, scores[:, column], most)]


def mean_precision(found: Sequence[Sequence[Candidate]], scenes: Sequence[Scene], names: Sequence[str]) -> float:
    """Mean over the labels of the average precision at an overlap of one half."""
    every = []
    for name in names:
        there = [[box for label, box in zip(scene.labels, scene.boxes, strict=True) if label == name]
                 for scene in scenes]
        if any(there):
            told = [[(one.box, one.score) for one in some if one.label == name] for some in found]
            every.append(average_precision(told, there))
    return float(np.mean(every))


def counted(found: Sequence[Sequence[Candidate]], scenes: Sequence[Scene]) -> tuple[int, int, int]:
    """How many boxes are right (label, and an overlap of one half with a thing that no other has), told, and there."""
    right = 0
    for some, scene in zip(found, scenes, strict=True):
        left = list(zip(scene.labels, scene.boxes, strict=True))
        for one in some:
            hit = next((thing for thing in left if thing[0] == one.label and overlap(one.box, thing[1]) >= 0.5), None)
            if hit is not None:
                left.remove(hit)
                right += 1
    return right, sum(map(len, found)), sum(len(scene.boxes) for scene in scenes)


def laws_hold(bundle: Bundle, scenes: Sequence[Scene], brain: Brain) -> bool:
    """Whether another order, a meld of two brains and unlearning end in the same SHA-256."""
    devices = [Brain(bundle), Brain(bundle)]
    for i, scene in enumerate(reversed(scenes)):
        devices[i % 2].learn_boxes(scene.picture, scene.boxes, scene.labels)
    whole = meld(*devices).digest()
    digest, extra = brain.digest(), scenes[0]
    brain.learn_boxes(extra.picture, [(0, 0, 60, 60)], "corner")
    changed = brain.digest()
    brain.forget(label="corner")
    return digest == whole == brain.digest() != changed


def plot(result: Mapping[str, Any]) -> Any:
    """Mean average precision beside the rivals'."""
    figure, axes = canvas(1, width=4.4, height=2.6)
    values = result["values"]
    bars = {"the brain": "map", "class mean": "map-rival", "class mean, less its ring": "map-rival-ring"}
    draw_bars(axes[0], {told: (values[name]["mean"], values[name]["sd"]) for told, name in bars.items()},
              "mean average precision (%)", "five boxes taught of each of five things", span=(0.0, 100.0))
    return figure


