"""Omniglot: 1,623 handwritten characters of 50 alphabets, 20 drawings each (Lake, Salakhutdinov,
Tenenbaum 2015, https://github.com/brendenlake/omniglot, MIT licence)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image

from engram.lab.data_sets.data_set import SMALL_TEST, DataSet, Decoded, from_arrays
from engram.learner import DamagedError, InputError
from engram.locations import locate

HOW = (
    "put images_background.zip and images_evaluation.zip from "
    "https://github.com/brendenlake/omniglot/tree/master/python into a folder named 'omniglot'"
)
PARTS = {"background": 964, "evaluation": 659}
DRAWINGS = 20
SIDE = 105


class Drawings:
    """The drawings of one part, decoded when asked for.

    Drawings of one character stand together, in the order of their file names; characters in the order
    of their labels.

    Attributes:
        labels: "alphabet/character" of each drawing, such as "Greek/character01".
    """

    def __init__(self, archive: bytes, names: Sequence[str]) -> None:
        self._archive = zipfile.ZipFile(io.BytesIO(archive))
        self._names = tuple(names)
        self.labels: tuple[str, ...] = tuple("/".join(PurePosixPath(name).parts[1:3]) for name in names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        """(105, 105) uint8: 0 background, 255 ink (white on black, as in MNIST)."""
        with self._archive.open(self._names[index]) as file:
            ink = np.asarray(Image.open(file).convert("L"), np.uint8)
        return 255 - ink

    def images(self, indices: Sequence[int] | npt.NDArray[np.intp] | None = None) -> npt.NDArray[np.uint8]:
        """(N, 105, 105) uint8: the drawings asked for, or all of them (11 KB each)."""
        chosen = range(len(self)) if indices is None else indices
        return np.stack([self[int(i)] for i in chosen])


def omniglot(part: str = "background") -> Drawings:
    """The drawings of "background" (964 characters of 30 alphabets) or "evaluation" (659 of 20).

    Raises:
        InputError: there is no such part.
        MissingDataError: not on this computer; says how to get it.
        DamagedError: the archive is truncated or incomplete.
    """
    if part not in PARTS:
        raise InputError(f"Omniglot has the parts {', '.join(PARTS)}; there is no {part!r}.")
    name = f"images_{part}.zip"
    path = locate("omniglot", *(f"images_{p}.zip" for p in PARTS), how=HOW) / name
    try:
        archive = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            names = sorted(n for n in file.namelist() if n.endswith(".png") and not n.startswith("__"))
    except zipfile.BadZipFile as error:
        raise DamagedError(f"{path} is not a readable zip file: download it again.") from error
    if len(names) != PARTS[part] * DRAWINGS:
        raise DamagedError(f"{path} holds {len(names)} drawings, not {PARTS[part] * DRAWINGS}.")
    return Drawings(archive, names)


def load(part: str = "background") -> DataSet:
    """Omniglot's characters, 14 + 6 drawings of each, (105, 105) uint8, decoded when asked for.

    Raises:
        InputError, MissingDataError, DamagedError: as `omniglot`.
    """
    drawings = omniglot(part)
    rows = Decoded(len(drawings), drawings.__getitem__)
    return from_arrays(rows, np.array(drawings.labels), test=SMALL_TEST, name="omniglot")
