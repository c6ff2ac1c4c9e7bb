"""Tiny-ImageNet: 200 of ImageNet's classes as 64×64 pictures; here 160 + 20 of each (Le, Yang 2015, CS231n)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image

from engram.lab.data_sets.data_set import DataSet, Decoded
from engram.learner import DamagedError, InputError
from engram.locations import locate

ARCHIVE = "tiny-imagenet-160.zip"
HOW = (
    f"zip 160 training and 20 validation pictures of each class of Tiny-ImageNet "
    f"(http://cs231n.stanford.edu/tiny-imagenet-200.zip) as tiny-imagenet/train/WNID/*.JPEG and "
    f"tiny-imagenet/val/WNID/*.JPEG into {ARCHIVE}, in a folder named 'tiny-imagenet'"
)
PARTS = {"train": 160, "val": 20}
CLASSES = 200


class TinyPictures(Sequence[npt.NDArray[np.uint8]]):
    """The pictures of one part, decoded when asked for; those of a class stand together.

    Attributes:
        labels: the WordNet id of each picture's class, such as "n01443537", sorted.
    """

    def __init__(self, archive: bytes, names: Sequence[str]) -> None:
        self._archive = zipfile.ZipFile(io.BytesIO(archive))
        self._names = tuple(names)
        self.labels: tuple[str, ...] = tuple(PurePosixPath(name).parts[2] for name in names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:  # type: ignore[override]
        """(64, 64, 3) uint8, RGB."""
        with self._archive.open(self._names[index]) as file:
            return np.asarray(Image.open(file).convert("RGB"), np.uint8)


def tiny_imagenet(part: str = "train") -> TinyPictures:
    """The pictures of "train" (160 of each class) or "val" (20).

    Raises:
        InputError: there is no such part.
        MissingDataError: not on this computer; says how to get it.
        DamagedError: the archive is truncated or incomplete.
    """
    if part not in PARTS:
        raise InputError(f"Tiny-ImageNet has the parts {', '.join(PARTS)}; there is no {part!r}.")
    path = locate("tiny-imagenet", ARCHIVE, how=HOW) / ARCHIVE
    try:
        archive = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            inside = [name for name in file.namelist() if name.endswith(".JPEG")]
    except zipfile.BadZipFile as error:
        raise DamagedError(f"{path} is not a readable zip file: make it again.") from error
    names = sorted(name for name in inside if PurePosixPath(name).parts[1] == part)
    if len(names) != CLASSES * PARTS[part]:
        raise DamagedError(f"{path} holds {len(names)} pictures of {part}, not {CLASSES * PARTS[part]}.")
    return TinyPictures(archive, names)


def load() -> DataSet:
    """Tiny-ImageNet: 160 + 20 of each of 200 classes, (64, 64, 3) uint8, decoded when asked for.

    Raises:
        MissingDataError, DamagedError: as `tiny_imagenet`.
    """
    train, test = tiny_imagenet("train"), tiny_imagenet("val")
    return DataSet("tiny-imagenet", Decoded(len(train), train.__getitem__), np.array(train.labels),
                   Decoded(len(test), test.__getitem__), np.array(test.labels))
