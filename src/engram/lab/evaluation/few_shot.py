"""How good features are to be learned upon: accuracy after a few examples of each class, and of saying "unknown"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.heads.fast import FastHead
from engram.lab.evaluation.measures import accuracy, auroc
from engram.learner import FloatArray, InputError, Label
from engram.progress import Progress

MakeHead = Callable[[], FastHead]


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


Places = list[npt.NDArray[np.intp]]


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
