"""The data sets by name, each in the one shape `DataSet`. Nothing is read before it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from inspect import signature
from typing import Any

import numpy as np

from engram.inputs.images import decode
from engram.lab.streams.data_set import DataSet, Decoded, from_arrays
from engram.lab.streams.labelled_folder import LabelledPictures, square_rgb
from engram.learner import InputError

DATA_SETS = {
    "mnist": "engram.lab.streams.data_sets:mnist",
    "digits": "engram.lab.streams.data_sets:digits",
    "tiny-imagenet": "engram.lab.streams.data_sets:tiny_imagenet",
    "photos": "engram.lab.streams.data_sets:photos",
    "steel-defects": "engram.lab.streams.data_sets:steel_defects",
    "omniglot": "engram.lab.streams.data_sets:omniglot",
    "spoken-digits": "engram.lab.streams.data_sets:spoken_digits",
}
"""Where each is made, by its name."""

SMALL_TEST = 0.3
"""Of a data set that has no test part of its own, the share of each class that is asked about; drawn with seed 0."""


def data_set(name: str, *, side: int | None = None) -> DataSet:
    """A data set by its name.

    Args:
        side: pixels of pictures that come in many sizes ("photos", "steel-defects"); 64 otherwise.

    Raises:
        InputError: there is no data set of this name, or its pictures all have one size.
        MissingDataError: it is not on this computer; says how to get it.
        DamagedError: a file is truncated or altered.
    """
    if name not in DATA_SETS:
        raise InputError(f"There is no data set {name!r}. Data sets: {', '.join(DATA_SETS)}.")
    module, _, function = DATA_SETS[name].partition(":")
    make: Callable[..., DataSet] = getattr(import_module(module), function)
    if side is None:
        return make()
    if "side" not in signature(make).parameters:
        raise InputError(f"The pictures of {name} have one size: leave the side away.")
    return make(side=side)


def mnist() -> DataSet:
    """MNIST: 60,000 + 10,000 of (28, 28) uint8, labels 0 to 9, in their published order."""
    from engram.lab.streams.mnist import mnist as read

    return DataSet("mnist", *read())


def digits() -> DataSet:
    """scikit-learn's digits: 1,297 + 500 of (8, 8) uint8, 0 to 240; the test part is that of `streams.digits`."""
    from engram.lab.streams.digits import digits as read

    data = read()
    images = (data.images * 15).astype(np.uint8)
    taught = np.setdiff1d(np.arange(len(images)), data.test)
    return DataSet("digits", images[taught], data.labels[taught], images[data.test], data.labels[data.test])


def tiny_imagenet() -> DataSet:
    """Tiny-ImageNet: 160 + 20 of each of 200 classes, (64, 64, 3) uint8, decoded when asked for."""
    from engram.lab.streams.tiny_imagenet import tiny_imagenet as read

    train, test = read("train"), read("val")
    return DataSet("tiny-imagenet", Decoded(len(train), train.__getitem__), np.array(train.labels),
                   Decoded(len(test), test.__getitem__), np.array(test.labels))


def photos(side: int = 64) -> DataSet:
    """Twenty kinds of photographs, 21 + 9 of each, (side, side, 3) uint8, decoded when asked for."""
    from engram.lab.streams.photos import photos as read

    return _from_pictures("photos", read(), side)


def steel_defects(side: int = 64) -> DataSet:
    """Six kinds of defects on steel, 42 + 18 of each, (side, side, 3) uint8, decoded when asked for."""
    from engram.lab.streams.steel_defects import steel_defects as read

    return _from_pictures("steel-defects", read(), side)


def omniglot(part: str = "background") -> DataSet:
    """Omniglot's characters, 14 + 6 drawings of each, (105, 105) uint8, decoded when asked for."""
    from engram.lab.streams.omniglot import omniglot as read

    drawings = read(part)
    return _divided("omniglot", Decoded(len(drawings), drawings.__getitem__), drawings.labels)


def spoken_digits() -> DataSet:
    """Digits said by six people: 900 + 300 of (64, 40) float32, log-mel frames; takes 0 to 4 are the test part."""
    from engram.lab.streams.spoken_digits import spoken_digits as read

    data = read()
    images = data.images()
    taught = np.setdiff1d(np.arange(len(images)), data.test)
    return DataSet("spoken-digits", images[taught], data.labels[taught], images[data.test], data.labels[data.test])


def _from_pictures(name: str, pictures: LabelledPictures, side: int) -> DataSet:
    paths = pictures.paths
    rows = Decoded(len(paths), lambda place: square_rgb(decode(paths[place]), side))
    return _divided(name, rows, pictures.labels)


def _divided(name: str, rows: Decoded, labels: Any) -> DataSet:
    return from_arrays(rows, np.array(labels), test=SMALL_TEST, name=name)
