"""The photo backbone that ships with Engram: `python -m engram.lab.recipes.photo_recipe`.

A small residual network is distilled from MobileNetV2 on 180 of Tiny-ImageNet's classes (160 pictures each, 64×64).
The other 20 classes are held out: every setting was chosen by how well the fast head learns those from a few examples.
No photograph and no steel image of the experiments is read here.

It runs on one processor core within two hours and can be interrupted and continued. The same seed draws the same
views; what comes out is as good, but not the same to the bit on another processor or version of PyTorch.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engram.features.backbones.inverted_residuals import WIDTH
from engram.features.backbones.mobilenet_v2 import classifier, load
from engram.features.backbones.onnx import OnnxBackbone
from engram.features.pretraining.distillation import Distillation, Target, taught
from engram.features.pretraining.families.resnet import small_resnet
from engram.features.pretraining.loop import Batch, Schedule, train
from engram.features.pretraining.photo_augmentation import RandomView, Recolour, View
from engram.features.pretraining.recipe import Draw
from engram.files import make_folder, write_atomically, writing
from engram.lab.data_sets.tiny_imagenet import TinyPictures, tiny_imagenet
from engram.locations import cache_folder, cached, key_of, locate
from engram.packing import pack_tensors
from engram.progress import Progress

WEIGHTS = "mobilenetv2_1.0_224_int8.npz"
HOW = f"put {WEIGHTS} (MobileNetV2 1.0 at 224 pixels, int8, one array per convolution) into a folder named 'weights'"
OBJECTIVE = "objective.safetensors"
HELD_OUT = slice(5, None, 10)
"""Which of the 200 classes, in the order of their names, no training sees."""


@dataclass(frozen=True)
class PhotoRecipe:
    """How the photo backbone is trained; every default was settled on the held-out classes.

    Attributes:
        passes: views of each picture that the teacher looks at; the first is the whole picture.
        teacher_side: of the views it is shown.
        sides: of the views that the student is shown, one drawn for each batch.
        batch: views per step.
        directions: of the teacher's features.
        weights: from which step on, and what the losses of truth, features and answers weigh then.
        temperature: of the teacher's answers.
        recolour: what the student has to bear with.
        schedule: how long and how fast.
    """

    passes: int = 7
    teacher_side: int = 128
    sides: tuple[int, ...] = (48, 64, 80)
    batch: int = 128
    directions: int = 256
    weights: tuple[tuple[int, float, float, float], ...] = (
        (0, 1.0, 3.0, 1.0), (2250, 0.5, 8.0, 1.0), (3750, 0.5, 20.0, 1.0),
    )
    temperature: float = 2.0
    recolour: Recolour = field(default_factory=lambda: Recolour(focus=0.5))
    schedule: Schedule = field(
        default_factory=lambda: Schedule(
            steps=9_000, learning_rate=2e-3, warm_up=0.1, weight_decay=0.05, averaging=0.999
        )
    )


class Pictures(NamedTuple):
    """(N, 3, 64, 64) uint8, their classes (N,) int64, and the classes' names."""

    images: Tensor
    classes: Tensor
    names: tuple[str, ...]


def everything(pictures: TinyPictures) -> Pictures:
    """All pictures of a part, decoded."""
    names = tuple(sorted(set(pictures.labels)))
    classes = torch.tensor([names.index(label) for label in pictures.labels])
    images = np.stack([pictures[place] for place in range(len(pictures))]).transpose(0, 3, 1, 2)
    return Pictures(torch.from_numpy(np.ascontiguousarray(images)), classes, names)


def trained_on(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of all classes that are not held out."""
    return tuple(name for name in names if name not in names[HELD_OUT])


def teacher(side: int) -> OnnxBackbone:
    """MobileNetV2 for views of `side` pixels (a multiple of 32)."""
    return load(locate("weights", WEIGHTS, how=HOW) / WEIGHTS, side=side)


def views(recipe: PhotoRecipe, count: int, number: int) -> View:
    """The views of one pass: of the whole picture in pass 0, else drawn with the pass as the seed."""
    if number:
        return RandomView()(count, torch.Generator().manual_seed(number))
    nothing = torch.zeros(count, dtype=torch.bool)
    return View(torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(count, 1), nothing, nothing)


def lessons(recipe: PhotoRecipe, images: Tensor, number: int, batch: int = 16) -> Tensor:
    """The teacher's features of one pass, (N, 1280) float16, from the cache where they are in it."""
    settings = {"teacher": WEIGHTS, "side": recipe.teacher_side, "pictures": len(images)}
    file = cache_folder() / f"photo-lessons-{key_of(settings)}" / f"pass-{number:02d}.npy"
    if not file.exists():
        make_folder(file.parent)
        network, seen = teacher(recipe.teacher_side), views(recipe, len(images), number)
        features = np.empty((len(images), WIDTH), np.float16)
        for first in range(0, len(images), batch):
            part = torch.arange(first, min(first + batch, len(images)))
            features[part.numpy()] = taught(network, images[part], seen.at(part)).numpy()
        with writing(file) as out:
            np.save(out, features)
    return torch.from_numpy(np.load(file, mmap_mode="c"))


class Lessons:
    """Draws batches: pictures at random, one of the teacher's passes for each, one side for all.

    Args:
        recipe: its settings.
        pictures: all there are, those of classes held out included: the passes were made of all.
        learned: the names of the classes that are trained on.
    """

    def __init__(self, recipe: PhotoRecipe, pictures: Pictures, learned: tuple[str, ...]) -> None:
        self.recipe, self.images = recipe, pictures.images
        number = torch.full((len(pictures.names),), -1)
        number[[pictures.names.index(name) for name in learned]] = torch.arange(len(learned))
        self.classes = number[pictures.classes]
        self.places = torch.nonzero(self.classes >= 0)[:, 0]
        passes = [views(recipe, len(self.images), p) for p in range(recipe.passes)]
        self.views = View(*(torch.stack([getattr(v, n) for v in passes]) for n in ("boxes", "mirrored", "grey")))
        self.features = [lessons(recipe, self.images, p) for p in range(recipe.passes)]

    def target(self) -> Target:
        """Measured on every fourth picture of two passes."""
        some = self.places[::4]
        features = torch.cat([part[some] for part in self.features[:2]])
        weights, biases = classifier(locate("weights", WEIGHTS, how=HOW) / WEIGHTS)
        return Target.measure(features, self.recipe.directions, (torch.from_numpy(weights), torch.from_numpy(biases)))

    def draw(self, objective: Distillation) -> Draw:
        """Batches for `loop.train`."""
        recipe = self.recipe

        def batch(generator: torch.Generator) -> Batch:
            def pick(count: int) -> Tensor:
                return torch.randint(count, (recipe.batch,), generator=generator)

            places, passes = self.places[pick(len(self.places))], pick(recipe.passes)
            side = recipe.sides[int(torch.randint(len(recipe.sides), (1,), generator=generator))]
            # The teacher says nearly the same of a mirrored view: the student sees either.
            view = replace(self.views.at(passes, places), mirrored=pick(2) > 0)
            pairs = zip(passes.tolist(), places.tolist(), strict=True)
            with torch.autocast("cpu", enabled=False):  # places in a picture need more than eight bits
                images = objective.seen(self.images[places], view, side, generator)
                features = torch.stack([self.features[p][i].float() for p, i in pairs])
            return images, self.classes[places], features

        return batch


def pretrain_photos(
    recipe: PhotoRecipe | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> Distillation:
    """Train on the classes that are not held out."""
    recipe = recipe or PhotoRecipe()
    pictures = everything(tiny_imagenet("train"))
    learned = trained_on(pictures.names)
    material = Lessons(recipe, pictures, learned)
    torch.manual_seed(seed)
    objective = Distillation(
        small_resnet().to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        len(learned), max(recipe.sides), None, material.target(),
        temperature=recipe.temperature,
    )
    objective.recolour = recipe.recolour

    def weigh(step: int) -> None:
        _, objective.truth, objective.features, objective.answers = max(w for w in recipe.weights if w[0] <= step)

    train(objective, material.draw(objective), recipe.schedule, seed=seed, before_step=weigh, progress=progress,
          checkpoint=checkpoint)
    return objective


def trained_photos(recipe: PhotoRecipe | None = None, *, seed: int = 0, progress: Progress | None = None) -> Path:
    """The file of all tensors that the training leaves, from the cache; an interrupted training goes on."""
    recipe = recipe or PhotoRecipe()
    name = f"photo-backbone-{key_of({**asdict(recipe), 'seed': seed})}"
    checkpoint = cache_folder() / f"{name}.checkpoint"

    def make(folder: Path) -> None:
        objective = pretrain_photos(recipe, seed=seed, progress=progress, checkpoint=checkpoint)
        write_atomically(folder / OBJECTIVE, pack_tensors(objective.state_dict()))

    return cached(name, make) / OBJECTIVE


def main() -> None:
    """Train, or continue."""
    start = time.monotonic()

    def progress(done: int, steps: int | None, what: str = "") -> None:
        print(f"{time.monotonic() - start:7.0f} s  {done}/{steps} steps, {what}", flush=True)

    torch.set_num_threads(1)
    print(trained_photos(progress=progress))


if __name__ == "__main__":
    main()
