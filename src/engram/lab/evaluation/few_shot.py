"""How good features are to be learned upon: accuracy after a few examples of each class, and of saying "unknown". It is
the number by which to choose a backbone, measured on your own pictures or sounds."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.features.backbones.bundle import Bundle
from engram.heads.fast import FastHead
from engram.inputs.folders import survey
from engram.inputs.media import MEDIA
from engram.lab.evaluation.intervals import Interval, interval
from engram.lab.evaluation.measures import accuracy, auroc
from engram.learner import FloatArray, InputError, Label
from engram.progress import Progress, silent, stage

MakeHead = Callable[[], FastHead]
Places = list[npt.NDArray[np.intp]]

SHOTS = (1, 5, 14)
UNKNOWN = 0.3
"""Share of the classes that stands for the unknown in each split."""


class FewShot(NamedTuple):
    """What several random splits gave.

    Attributes:
        accuracy: (splits, shots) in [0, 1].
        auroc: (splits, shots) in [0, 1]: known examples against those of classes left out; None where there are
            too few classes to leave one out.
    """

    accuracy: FloatArray
    auroc: FloatArray | None


def few_shot(
    features: npt.NDArray[Any],
    labels: Sequence[Label],
    make_head: MakeHead,
    *,
    shots: Sequence[int] = (1, 5, 14),
    splits: int = 10,
    ask: int | None = None,
    unknown: float = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> FewShot:
    """Teach a fresh head a few examples of every class, ask about others, again and again.

    In a split each class's examples are shuffled; the first max(shots) may be taught, the others are asked about, the
    same ones whatever the number of shots.

    Args:
        features: (N, D).
        labels: one for each.
        make_head: an untaught head for these features.
        shots: examples taught of each class.
        splits: how many random splits.
        ask: at most so many examples are asked of each class; None for all the others.
        unknown: share of the classes that is left out in turn (another draw in each split), for `auroc`; 0 leaves
            that away. At least one class is left out and two stay.
        seed: of the splits.
        progress: called with how many heads are done, and how many there are.

    Raises:
        InputError: fewer than two classes, or a class with no more examples than max(shots).
    """
    array = np.asarray(labels)
    classes = np.unique(array)
    most = max(shots)
    fewest = min(int((array == label).sum()) for label in classes) if len(classes) else 0
    if len(classes) < 2 or fewest <= most:
        raise InputError(
            f"{most} shots need two classes or more with {most + 1} examples or more; here are {len(classes)}, the "
            f"smallest with {fewest}: give more pictures, or take fewer shots."
        )
    left_out = min(max(1, round(unknown * len(classes))), len(classes) - 2) if unknown else 0
    accuracies = np.zeros((splits, len(shots)))
    aurocs = np.zeros((splits, len(shots)))
    for split in range(splits):
        rng = np.random.default_rng([seed, split])
        drawn = [rng.permutation(np.flatnonzero(array == label)) for label in classes]
        strangers = set(rng.permutation(len(classes))[:left_out].tolist())
        for column, count in enumerate(shots):
            taught = [places[:count] for places in drawn]
            asked = [places[most : None if ask is None else most + ask] for places in drawn]
            accuracies[split, column] = _recognised(features, array, make_head(), taught, asked)
            if left_out:
                aurocs[split, column] = _told_apart(features, array, make_head(), taught, asked, strangers)
            if progress is not None:
                progress(split * len(shots) + column + 1, splits * len(shots))
    return FewShot(accuracies, aurocs if left_out else None)


def _recognised(
    features: npt.NDArray[Any], labels: npt.NDArray[Any], head: FastHead, taught: Places, asked: Places
) -> float:
    teach, ask = np.concatenate(taught), np.concatenate(asked)
    head.learn(features[teach], labels[teach].tolist())
    return accuracy(head.predict(features[ask]).best, labels[ask].tolist())


def _told_apart(
    features: npt.NDArray[Any], labels: npt.NDArray[Any], head: FastHead, taught: Places, asked: Places,
    strangers: set[int],
) -> float:
    known = [i for i in range(len(taught)) if i not in strangers]
    teach = np.concatenate([taught[i] for i in known])
    head.learn(features[teach], labels[teach].tolist())
    mine, other = (
        head.predict(features[np.concatenate([asked[i] for i in group])]).familiarity
        for group in (known, sorted(strangers))
    )
    return auroc(mine, other)


@dataclass(frozen=True)
class BackboneQuality:
    """What the fast head makes of a backbone's features on a folder of pictures or sounds.

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
        folder: pictures or sounds, whichever the backbone takes, a folder for each class.
        shots: how many are taught of each class; None for those of 1, 5 and 14 that leave every class one to ask about.
        splits, seed: how many random splits, and which.
        progress: see Progress.

    Raises:
        InputError: no folder per class, fewer than two classes, or too few pictures of one.
    """
    medium = MEDIA.get(bundle.takes, MEDIA["pictures"])
    paths, labels, _ = survey(folder, medium.suffixes, medium.one)
    if labels is None:
        raise InputError(f"{folder} has no folder per class: put each class's {medium.one}s into a folder of its own.")
    fewest = min(Counter(labels).values())
    chosen = tuple(shots) if shots is not None else tuple(count for count in SHOTS if count < fewest)
    if not chosen or min(chosen) < 1 or splits < 1:
        raise InputError("One shot or more, one split or more; every class needs a picture more than there are shots.")
    told = progress or silent
    features = bundle.features(paths, stage(told, f"taking in {medium.one}s"))
    classes = len(set(labels))
    found = few_shot(
        features, labels,
        partial(FastHead, bundle.mean, bundle.covariance, step=bundle.step, normalise=bundle.normalise,
                scaled=bundle.scaled),
        shots=chosen, splits=splits, unknown=UNKNOWN if classes > 2 else 0.0, seed=seed,
        progress=stage(told, "teaching and asking"),
    )
    return BackboneQuality(
        classes, len(paths), chosen, tuple(interval(column) for column in found.accuracy.T),
        None if found.auroc is None else tuple(interval(column) for column in found.auroc.T),
        tuple(count for count in SHOTS if shots is None and count not in chosen),
    )
