"""Twenty kinds of photographs, 30 of each, about 300×240: a part of Caltech-101 (Fei-Fei, Fergus, Perona 2004).

Ten of them are classes of ImageNet too, or have a near relative there, so that a backbone trained on ImageNet knows
them: `NEAR`. The other ten have none: `NOVEL`.
"""

from __future__ import annotations

from engram.lab.data_sets.data_set import DataSet
from engram.lab.data_sets.labelled_folder import LabelledPictures, labelled_folder

# airliner, flamingo, grand piano, laptop, American lobster, pizza, soccer ball, starfish, strawberry, umbrella
NEAR = ("airplanes", "flamingo", "grand_piano", "laptop", "lobster", "pizza", "soccer_ball", "starfish",
        "strawberry", "umbrella")
NOVEL = ("bonsai", "buddha", "dollar_bill", "euphonium", "ewer", "menorah", "stegosaurus", "stop_sign", "sunflower",
         "yin_yang")
PER_CLASS = 30
HOW = (
    f"take the first {PER_CLASS} pictures of each of the twenty classes of Caltech-101 "
    "(https://data.caltech.edu/records/mzrjq-6wc02) into folders named like the classes, in a folder named 'photos'"
)


def photos() -> LabelledPictures:
    """All 600 photographs.

    Raises:
        MissingDataError: not on this computer; says how to get it.
        DamagedError: a class is incomplete.
    """
    return labelled_folder("photos", NEAR + NOVEL, PER_CLASS, HOW)


def load(side: int = 64) -> DataSet:
    """Twenty kinds of photographs, 21 + 9 of each, (side, side, 3) uint8, decoded when asked for.

    Raises:
        MissingDataError, DamagedError: as `photos`.
    """
    return photos().resized("photos", side)
