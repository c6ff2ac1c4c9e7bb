"""A folder for each class with pictures in it: the form in which the small picture sets come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.inputs.images import SUFFIXES
from engram.learner import DamagedError
from engram.streams.location import locate


class LabelledPictures(NamedTuple):
    """Paths of pictures and the name of each one's class, sorted by class, then by file name."""

    paths: tuple[Path, ...]
    labels: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return tuple(sorted(set(self.labels)))


def labelled_folder(name: str, classes: Sequence[str], per_class: int, how: str) -> LabelledPictures:
    """The data set `name`: `classes` folders of exactly `per_class` pictures each.

    Raises:
        MissingDataError: not on this computer; says how to get it.
        DamagedError: a class has another number of pictures.
    """
    root = locate(name, *classes, how=how)
    paths: list[Path] = []
    labels: list[str] = []
    for label in sorted(classes):
        found = sorted(path for path in (root / label).iterdir() if path.suffix.lower() in SUFFIXES)
        if len(found) != per_class:
            raise DamagedError(f"{root / label} holds {len(found)} pictures, not {per_class}.")
        paths += found
        labels += [label] * per_class
    return LabelledPictures(tuple(paths), tuple(labels))


def few_of_each(
    labels: Sequence[str], classes: Sequence[str], first: int, rest: int, rng: np.random.Generator
) -> tuple[list[npt.NDArray[np.intp]], list[npt.NDArray[np.intp]]]:
    """For each class, in the order given, `first` places drawn at random and `rest` other ones.

    >>> rng = np.random.default_rng(0)
    >>> teach, ask = few_of_each(["a", "a", "b", "b"], ["b", "a"], 1, 1, rng)
    >>> sorted([*teach[0].tolist(), *ask[0].tolist()]), sorted([*teach[1].tolist(), *ask[1].tolist()])
    ([2, 3], [0, 1])
    """
    array = np.asarray(labels)
    drawn = [rng.permutation(np.flatnonzero(array == label)) for label in classes]
    return [places[:first] for places in drawn], [places[first : first + rest] for places in drawn]
