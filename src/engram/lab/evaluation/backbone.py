"""The one number by which to choose a backbone: how well its features are learned upon, on your own pictures."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from engram.features.backbones.bundle import Bundle
from engram.heads.fast import FastHead
from engram.inputs.images import scan
from engram.lab.evaluation.few_shot import few_shot
from engram.lab.evaluation.intervals import Interval, interval
from engram.learner import InputError
from engram.progress import Progress, silent, stage

SHOTS = (1, 5, 14)
UNKNOWN = 0.3
"""Share of the classes that stands for the unknown in each split."""


@dataclass(frozen=True)
class BackboneQuality:
    """What the fast head makes of a backbone's features on a folder of pictures.

    Attributes:
        classes, pictures: how many were in the folder.
        shots: pictures taught of each class.
        accuracy: for each number of shots, in [0, 1]: mean and interval over random splits.
        auroc: the same, of telling pictures of known classes from pictures of classes left out; None where there are
            only two classes.
        left_away: numbers of shots for which a class has too few pictures.
    """

    classes: int
    pictures: int
    shots: tuple[int, ...]
    accuracy: tuple[Interval, ...]
    auroc: tuple[Interval, ...] | None
    left_away: tuple[int, ...]


def evaluate_backbone(
    bundle: Bundle,
    folder: str | os.PathLike[str],
    *,
    shots: Sequence[int] | None = None,
    splits: int = 20,
    seed: int = 0,
    progress: Progress | None = None,
) -> BackboneQuality:
    """Teach and ask, over random splits of a folder of pictures that holds a folder for each class.

    The intervals are Student's for the mean over splits of these pictures; they do not know how much other pictures
    would differ.

    Args:
        bundle: backbone and statistics.
        folder: pictures, a folder for each class.
        shots: how many are taught of each class; None for those of 1, 5 and 14 that leave every class one to ask about.
        splits, seed: how many random splits, and which.
        progress: see Progress.

    Raises:
        InputError: no folder per class, fewer than two classes, or too few pictures of one.
    """
    paths, labels = scan(folder)
    if labels is None:
        raise InputError(f"{folder} has no folder per class: put each class's pictures into a folder of its own.")
    fewest = min(Counter(labels).values())
    chosen = tuple(shots) if shots is not None else tuple(count for count in SHOTS if count < fewest)
    if not chosen or min(chosen) < 1 or splits < 1:
        raise InputError("One shot or more, one split or more; every class needs a picture more than there are shots.")
    told = progress or silent
    features = bundle.features(paths, stage(told, "looking at pictures"))
    classes = len(set(labels))
    found = few_shot(
        features, labels,
        partial(FastHead, bundle.mean, bundle.covariance, step=bundle.step, normalise=bundle.normalise),
        shots=chosen, splits=splits, unknown=UNKNOWN if classes > 2 else 0.0, seed=seed,
        progress=stage(told, "teaching and asking"),
    )
    return BackboneQuality(
        classes, len(paths), chosen, tuple(interval(column) for column in found.accuracy.T),
        None if found.auroc is None else tuple(interval(column) for column in found.auroc.T),
        tuple(count for count in SHOTS if shots is None and count not in chosen),
    )
