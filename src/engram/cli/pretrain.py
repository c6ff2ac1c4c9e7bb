"""`engram backbone pretrain`: a backbone out of one's own pictures; see `engram.features.pretraining.pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engram.cli.backbone import Name, Overwrite, check_training, free_target, show
from engram.cli.output import Json, progress, resumable
from engram.features.pretraining import RECIPES, unlabelled
from engram.features.pretraining.families import FAMILIES

if TYPE_CHECKING:
    from engram.features.pretraining.pretrain import Pictures

_LABELLED = ", ".join(name for name in RECIPES if name not in unlabelled())

TINY_IMAGENET = "tiny-imagenet"
"""Stands for a folder of this name where there is none."""


def pretrain_backbone(
    pictures: Annotated[
        str, typer.Argument(metavar="PICTURES", help="A folder with one folder of pictures per class; for the "
                            "recipes without labels, a folder of pictures; or tiny-imagenet.")
    ],
    name: Name = None,
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="RECIPE", help=f"With labels: {_LABELLED}. Without labels:"
                          f" {', '.join(unlabelled())}. With --teacher: distillation.")
    ] = "combination",
    teacher: Annotated[
        str | None, typer.Option("--teacher", metavar="BACKBONE", help="For distillation: name or folder of the"
                                 " backbone whose features the network learns to reproduce.")
    ] = None,
    family: Annotated[
        str, typer.Option("--family", metavar="FAMILY", help=f"Architecture: {', '.join(FAMILIES)}.")
    ] = "resnet18",
    multiplier: Annotated[
        float, typer.Option("--multiplier", metavar="M", help="Width of the network, relative to the published one.")
    ] = 1.0,
    size: Annotated[
        int, typer.Option("--size", metavar="PIXELS", help="Side of the square input pictures.")
    ] = 64,
    steps: Annotated[int, typer.Option("--steps", metavar="N", help="Number of training steps.")] = 2000,
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", help="Pictures per training step.")
    ] = 128,
    rate: Annotated[float, typer.Option("--rate", metavar="R", help="Peak learning rate.")] = 2e-3,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the weights and batches.")] = 0,
    bfloat16: Annotated[
        bool, typer.Option("--bfloat16", help="Compute in bfloat16; faster on CPUs and GPUs that support it.")
    ] = False,
    device: Annotated[str, typer.Option("--device", metavar="DEVICE", help="Device to train on, such as cpu or"
                             " cuda.")] = "cpu",
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Train a network on pictures and make it a backbone.

    After Ctrl-C the same command resumes. The statistics of the features are measured too, so the backbone is ready for
    a brain. Requires the extras train and export.
    """
    target = free_target(name or f"{family}-{recipe}", overwrite)
    check_training()
    from engram.brain.bundles import as_bundle
    from engram.features.pretraining.pretrain import Plan, pretrain

    wanted = None if teacher is None else as_bundle(teacher)
    plan = Plan(recipe, family, size, steps, batch, rate, multiplier, seed, bfloat16)
    with resumable(), progress("reading pictures", quiet=as_json) as report:
        bundle = pretrain(_pictures(pictures), plan, name=target.name, teacher=wanted, device=device,
                          progress=report)
    bundle.save(target, overwrite=overwrite)
    show(bundle, as_json)


def _pictures(source: str) -> Pictures:
    from engram.features.pretraining.pretrain import Pictures, pictures_of

    if source != TINY_IMAGENET or Path(source).exists():
        return pictures_of(source)
    from engram.lab.data_sets.tiny_imagenet import tiny_imagenet

    pictures = tiny_imagenet("train")
    return Pictures(pictures, pictures.labels)
