"""Picture sets as arrays of one small size, decoded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.features.backbones.preprocessing import Preprocessing
from engram.files import make_folder, writing
from engram.lab.data_sets.omniglot import DRAWINGS, omniglot
from engram.lab.data_sets.photos import NEAR, NOVEL, photos
from engram.lab.data_sets.steel_defects import steel_defects
from engram.lab.data_sets.tiny_imagenet import tiny_imagenet
from engram.locations import cache_folder

CHARACTERS = 50
"""So many of Omniglot's evaluation characters, drawn once and for all."""


class SmallPictures(NamedTuple):
    """(N, 3, S, S) uint8 pixels, and the class of each."""

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.str_]

    def of(self, classes: Sequence[str]) -> SmallPictures:
        """Those of some classes."""
        mine = np.isin(self.labels, list(classes))
        return SmallPictures(self.pixels[mine], self.labels[mine])


def small_pictures(name: str, side: int) -> SmallPictures:
    """A set of SETS at this size, from the cache where it is in it: the shorter side kept, cut square about the centre.

    Raises:
        MissingDataError: not on this computer; says how to get it.
    """
    path = cache_folder() / "pictures" / f"{name}-{side}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as stored:
            return SmallPictures(stored["pixels"], stored["labels"])
    pictures, labels = SETS[name]()
    shrink = Preprocessing((side, side), fit="cover", scale=(1.0,))
    found = SmallPictures(
        np.concatenate([shrink([picture]).round().astype(np.uint8) for picture in pictures]), np.asarray(labels)
    )
    make_folder(path.parent)
    with writing(path) as out:
        np.savez(out, pixels=found.pixels, labels=found.labels)
    return found


def _tiny(part: str) -> tuple[Iterator[Any], Sequence[str]]:
    pictures = tiny_imagenet(part)
    return (pictures[i] for i in range(len(pictures))), pictures.labels


def _photos(classes: Sequence[str]) -> tuple[Iterator[Any], Sequence[str]]:
    pictures = photos()
    mine = [i for i, label in enumerate(pictures.labels) if label in classes]
    return (pictures.paths[i] for i in mine), [pictures.labels[i] for i in mine]


def _steel() -> tuple[Iterator[Any], Sequence[str]]:
    pictures = steel_defects()
    return iter(pictures.paths), pictures.labels


def _characters() -> tuple[Iterator[Any], Sequence[str]]:
    drawings = omniglot("evaluation")
    first = np.random.default_rng(0).permutation(len(drawings) // DRAWINGS)[:CHARACTERS] * DRAWINGS
    places = [int(i + j) for i in np.sort(first) for j in range(DRAWINGS)]
    return (255 - drawings[i] for i in places), [drawings.labels[i] for i in places]


SETS: dict[str, Callable[[], tuple[Iterator[Any], Sequence[str]]]] = {
    "tiny-train": lambda: _tiny("train"),
    "tiny-val": lambda: _tiny("val"),
    "near": lambda: _photos(NEAR),
    "novel": lambda: _photos(NOVEL),
    "steel": _steel,
    "omniglot": _characters,
}
