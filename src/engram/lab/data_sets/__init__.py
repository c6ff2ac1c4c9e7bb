"""Data sets, one file each, all in the one shape `DataSet`. `DATA_SETS` lists them; nothing is read before it is asked
for."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING

from engram.extension import Extension, Extensions

if TYPE_CHECKING:
    from engram.lab.data_sets.data_set import DataSet

DATA_SETS = Extensions("data set", {
    "mnist": Extension(
        path="engram.lab.data_sets.mnist:load", takes=("pictures",),
        summary="handwritten digits, 60,000 + 10,000 of 28×28", source="LeCun et al. 1998",
    ),
    "digits": Extension(
        path="engram.lab.data_sets.digits:load", takes=("pictures",), needs=("demo",),
        summary="scikit-learn's handwritten digits, 1,297 + 500 of 8×8", source="Alpaydın, Kaynak 1998",
    ),
    "tiny-imagenet": Extension(
        path="engram.lab.data_sets.tiny_imagenet:load", takes=("pictures",),
        summary="photographs of 200 classes, 160 + 20 of each, 64×64", source="Le, Yang 2015",
    ),
    "photos": Extension(
        path="engram.lab.data_sets.photos:load", takes=("pictures",),
        summary="photographs of twenty kinds, 21 + 9 of each, in many sizes", source="Fei-Fei et al. 2004",
    ),
    "steel-defects": Extension(
        path="engram.lab.data_sets.steel_defects:load", takes=("pictures",),
        summary="six kinds of defects on steel, 42 + 18 of each, 200×200", source="Song, Yan 2013",
    ),
    "omniglot": Extension(
        path="engram.lab.data_sets.omniglot:load", takes=("pictures",),
        summary="964 handwritten characters, 14 + 6 drawings of each, 105×105", source="Lake et al. 2015",
    ),
    "spoken-digits": Extension(
        path="engram.lab.data_sets.spoken_digits:load", takes=("sound",),
        summary="digits said by six people, 900 + 300 recordings as log-mel frames", source="Jackson et al. 2018",
    ),
})
"""Every data set by its name. To add one: a file in this folder, and a row here."""


def load(name: str, *, side: int | None = None) -> DataSet:
    """A data set by its name.

    Args:
        name: a key of `DATA_SETS`.
        side: pixels to which pictures that come in many sizes are resized (`resizable`); None for 64.

    Raises:
        InputError: there is no data set of this name, or its pictures all have one size.
        MissingDataError: it is not on this computer; says how to get it.
        DamagedError: a file is truncated or altered.
    """
    make = DATA_SETS.load(name)
    if side is not None and not resizable(name):
        from engram.learner import InputError

        raise InputError(f"The pictures of {name} have one size: leave the side away.")
    found: DataSet = make() if side is None else make(side=side)
    return found


def resizable(name: str) -> bool:
    """Whether the pictures of a data set come in many sizes. Raises InputError where there is no data set so called."""
    return "side" in signature(DATA_SETS.load(name)).parameters
