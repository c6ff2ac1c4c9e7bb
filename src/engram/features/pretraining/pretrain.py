"""Your own pictures -> a backbone: decoded, trained upon by a recipe, exported, measured."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from engram.features.backbones.backbone import batched
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.preprocessing import Preprocessing
from engram.features.backbones.torch_module import TorchBackbone
from engram.features.pretraining import RECIPES, make_recipe, unlabelled
from engram.features.pretraining.distillation import as_student_sees, distilled_from
from engram.features.pretraining.families import FAMILIES, make_network
from engram.features.pretraining.families.network import Embedding
from engram.features.pretraining.loop import Schedule, train
from engram.features.pretraining.photo_views import shown
from engram.features.pretraining.recipe import from_pictures
from engram.files import make_folder
from engram.inputs.images import scan
from engram.learner import InputError
from engram.locations import cache_folder, key_of
from engram.progress import Progress, silent, stage

ROOM = 8 / 7
"""Pictures are kept this much larger than what the network is shown, so that random crops have detail to take."""

MEASURED = 5_000
"""Pictures on which the statistics of the features are measured, at most; evenly among the classes."""

MEMORY = 4_000_000_000
"""Bytes of decoded pictures, at most."""


@dataclass(frozen=True)
class Pictures:
    """What is trained upon.

    Attributes:
        sources: paths or arrays, whatever a preprocessing takes.
        labels: one for each; None where they are not known.
    """

    sources: Sequence[Any]
    labels: Sequence[str] | None


@dataclass(frozen=True)
class Plan:
    """Everything that decides the weights, beside the pictures.

    Attributes:
        recipe, family: of RECIPES (or "distillation") and FAMILIES.
        side: of the square pictures that the network is shown.
        steps: batches.
        passes: pictures through the network for each.
        learning_rate: at its peak.
        multiplier: of the family's channels; 1 for the published ones.
        seed: of weights and batches.
        bfloat16: multiply in bfloat16.
        teacher: fingerprint of the bundle whose features are imitated; "" without distillation.
    """

    recipe: str = "cross-entropy"
    family: str = "resnet18"
    side: int = 64
    steps: int = 2000
    passes: int = 128
    learning_rate: float = 2e-3
    multiplier: float = 1.0
    seed: int = 0
    bfloat16: bool = False
    teacher: str = ""


DISTILLATION = "distillation"
"""The recipe that takes a teacher too."""

def pictures_of(source: str | os.PathLike[str]) -> Pictures:
    """The pictures of a folder: with a folder for each class, or without labels.

    Raises:
        InputError: no such folder, or nothing in it.
    """
    paths, labels = scan(source)
    return Pictures(paths, labels)


def pretrain(
    pictures: Pictures, plan: Plan, *, name: str, teacher: Bundle | None = None, device: str = "cpu",
    progress: Progress | None = None,
) -> Bundle:
    """Train a network and make a bundle of it, with the statistics of its features on the pictures it was trained on.

    An interrupted training goes on where it stopped when the same is asked for again: its checkpoint lies in the cache
    until the bundle is made.

    Args:
        pictures: what is trained upon.
        plan: how.
        name: of the bundle.
        teacher: whose features the network learns to give, for the recipe "distillation".
        device: "cpu", "cuda", …: where the training runs.
        progress: see Progress.

    Raises:
        InputError: an unknown recipe, family or device; labels that the recipe needs and that are not there; pictures
            that cannot be read or are too many to hold in memory.
    """
    told = progress or silent
    plan = replace(plan, teacher=teacher.fingerprint if teacher else "")
    _check(pictures, plan, device)
    names = sorted(set(pictures.labels or ["picture"]))
    network = make_network(plan.family, 0, seed=plan.seed, **_options(plan))
    pixels = _decoded(pictures.sources, round(plan.side * ROOM), told)
    if teacher is None:
        recipe = make_recipe(plan.recipe, network, len(names), plan.side, seed=plan.seed).to(device)
    else:
        told(0, 1, "asking the teacher")
        truth = 1.0 if pictures.labels else 0.0
        images = torch.from_numpy(pixels)
        recipe = distilled_from(teacher, network, images, len(names), plan.side, truth=truth).to(device)
    labels = pictures.labels or ["picture"] * len(pixels)
    classes = torch.from_numpy(np.searchsorted(names, labels).astype(np.int64))
    draw = from_pictures(recipe, torch.from_numpy(pixels), classes, plan.passes)
    train(
        recipe, draw, Schedule(plan.steps, plan.learning_rate, bfloat16=plan.bfloat16, checkpoint_every=100),
        seed=plan.seed, checkpoint=checkpoint_of(plan, pixels, labels),
        progress=stage(told, "training"),
    )
    looks = shown(plan.side) if teacher is None else as_student_sees(plan.side)
    return _bundle(recipe.network.cpu(), pictures, looks, name, told)


def checkpoint_of(plan: Plan, pixels: npt.NDArray[np.uint8], labels: Sequence[str]) -> Path:
    """Where a training of just these (N, C, H, W) pictures by just this plan keeps its state."""
    content = hashlib.sha256(pixels.tobytes())
    content.update("\0".join(labels).encode())
    folder = cache_folder() / "trained"
    make_folder(folder)
    return folder / f"pretrain-{key_of({'plan': asdict(plan), 'pictures': content.hexdigest()})}.checkpoint"


def _check(pictures: Pictures, plan: Plan, device: str) -> None:
    if (plan.recipe == DISTILLATION) != bool(plan.teacher):
        raise InputError(f"The recipe {DISTILLATION} takes a teacher, a backbone of pictures; no other recipe does.")
    if plan.recipe in RECIPES and plan.recipe not in unlabelled() and pictures.labels is None:
        raise InputError(f"The recipe {plan.recipe} needs a folder for each class; without labels there are: "
                         f"{', '.join(unlabelled())}.")
    if plan.steps < 1 or plan.passes < 2 or not 16 <= plan.side <= 1024 or plan.learning_rate <= 0:
        raise InputError("One step or more, two passes or more, pictures of 16 to 1024 pixels, a rate above 0.")
    held = len(pictures.sources) * 3 * round(plan.side * ROOM) ** 2
    if held > MEMORY:
        raise InputError(f"The pictures would take {held / 1e9:.1f} GB of memory: take fewer, or a smaller --size.")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"Device {device!r} cannot be used here: {str(error).splitlines()[0]}") from error


def _options(plan: Plan) -> dict[str, Any]:
    options: dict[str, Any] = {} if plan.multiplier == 1 else {"multiplier": plan.multiplier}
    sized = "side" in signature(FAMILIES.load(plan.family)).parameters
    return options | ({"side": plan.side, "channels": 3} if sized else {})


def _decoded(sources: Sequence[Any], side: int, told: Progress) -> npt.NDArray[np.uint8]:
    """(N, 3, side, side): the shorter side kept, cut square about the centre."""
    shrink = Preprocessing((side, side), fit="cover", scale=(1.0,))
    pixels = np.empty((len(sources), 3, side, side), np.uint8)
    done = 0
    for batch in batched(sources, 64):
        pixels[done : done + len(batch)] = shrink(batch).round()
        done += len(batch)
        told(done, len(sources), "decoding pictures")
    return pixels


def _bundle(network: nn.Module, pictures: Pictures, preprocessing: Preprocessing, name: str, told: Progress) -> Bundle:
    backbone = TorchBackbone(Embedding(network).eval(), preprocessing, name=name).export()  # type: ignore[arg-type]
    places = _some(pictures.labels, len(pictures.sources))
    labels = None if pictures.labels is None else [pictures.labels[i] for i in places]
    sources = [pictures.sources[i] for i in places]
    return Bundle.measure(
        backbone, sources, labels, chunk=64,
        progress=lambda done, total, what="": told(done, total or len(sources), "measuring features"),
    )


def _some(labels: Sequence[str] | None, count: int) -> list[int]:
    """Places of at most MEASURED pictures, as evenly among the classes as they allow."""
    if count <= MEASURED:
        return list(range(count))
    named = np.asarray(labels if labels is not None else [""] * count)
    each = max(2, MEASURED // len(set(named.tolist())))
    kept = [np.flatnonzero(named == name)[:each] for name in np.unique(named)]
    return sorted(int(place) for place in np.concatenate(kept))
