"""A folder for each class with pictures in it: the form in which the small picture sets come."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from engram.inputs.images import SUFFIXES, decode, scan
from engram.lab.data_sets.data_set import SMALL_TEST, DataSet, Decoded, from_arrays
from engram.learner import DamagedError, InputError
from engram.locations import locate


class LabelledPictures(NamedTuple):
    """Paths of pictures and the name of each one's class, sorted by class, then by file name."""

    paths: tuple[Path, ...]
    labels: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return tuple(sorted(set(self.labels)))

    def resized(self, name: str, side: int) -> DataSet:
        """The pictures as a data set of (side, side, 3) uint8, decoded when asked for; `SMALL_TEST` of each class is
        the test part."""
        rows = Decoded(len(self.paths), lambda place: square_rgb(decode(self.paths[place]), side))
        return from_arrays(rows, np.array(self.labels), test=SMALL_TEST, name=name)


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


def from_folder(
    folder: str | os.PathLike[str], test_folder: str | os.PathLike[str] | None = None, *,
    side: int = 64, test: float = 0.2, seed: int = 0,
) -> DataSet:
    """Your own pictures: a folder for each class, decoded when asked for to (side, side, 3) uint8.

    Args:
        folder: holds a folder for each class.
        test_folder: the like, for the test part; without it that is drawn as in `from_arrays`.
        side: pixels; a picture is cut to a square about its centre and scaled to it.

    Raises:
        InputError: no such folder, no folder per class, or a class of one picture.
    """
    asked = (None, None) if test_folder is None else _pictures(test_folder, side)
    return from_arrays(*_pictures(folder, side), *asked, test=test, seed=seed, name=Path(folder).resolve().name)


def square_rgb(picture: npt.NDArray[Any], side: int) -> npt.NDArray[np.uint8]:
    """(side, side, 3): the middle of a grey or RGB picture with values 0 to 255, scaled bilinearly as Pillow does.

    >>> square_rgb(np.full((20, 30), 7, np.uint8), 8).shape
    (8, 8, 3)
    """
    image = Image.fromarray(np.asarray(picture).astype(np.uint8)).convert("RGB")
    return np.asarray(ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR), np.uint8)


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


def _pictures(folder: str | os.PathLike[str], side: int) -> tuple[Decoded, list[str]]:
    paths, labels = scan(folder)
    if labels is None:
        raise InputError(f"{os.fspath(folder)} has no folder per class: put each class's pictures into its own.")
    return Decoded(len(paths), lambda place: square_rgb(decode(paths[place]), side)), labels
