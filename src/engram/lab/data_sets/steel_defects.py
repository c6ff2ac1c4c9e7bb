"""Six kinds of defects on hot-rolled steel, 60 pictures of each, 200×200 grey: a part of NEU-DET (Song, Yan 2013)."""

from __future__ import annotations

from engram.lab.data_sets.data_set import DataSet
from engram.lab.data_sets.labelled_folder import LabelledPictures, labelled_folder

KINDS = ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")
PER_CLASS = 60
HOW = (
    f"take {PER_CLASS} pictures of each kind of the NEU surface defect database "
    "(http://faculty.neu.edu.cn/songkechen/en/zdylm/263270) into folders named like the kinds, in a folder named "
    "'steel-defects'"
)


def steel_defects() -> LabelledPictures:
    """All 360 pictures.

    Raises:
        MissingDataError: not on this computer; says how to get it.
        DamagedError: a kind is incomplete.
    """
    return labelled_folder("steel-defects", KINDS, PER_CLASS, HOW)


def load(side: int = 64) -> DataSet:
    """Six kinds of defects on steel, 42 + 18 of each, (side, side, 3) uint8, decoded when asked for.

    Raises:
        MissingDataError, DamagedError: as `steel_defects`.
    """
    return steel_defects().resized("steel-defects", side)
