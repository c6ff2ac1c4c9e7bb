"""Half-cheetah: 31 simulated trajectories of a running robot, 17 readings each (Hasani, Lechner et al. 2021)."""

from __future__ import annotations

import io
import zipfile
from typing import NamedTuple

import numpy as np

from engram.learner import DamagedError, FloatArray
from engram.locations import locate

FILE = "cheetah.zip"
HOW = (f"zip the 'cheetah' folder of trajectories that belongs to github.com/mlech26l/ode-lstms as {FILE} into a "
       "folder named 'half-cheetah'")
VALIDATION, TEST, TRAIN = slice(0, 5), slice(5, 15), slice(15, 25)
"""Which of the sorted files are what, as its authors have it."""

_SHAPE = (1000, 17)


class HalfCheetah(NamedTuple):
    """Trajectories, each (1000, 17) float64."""

    train: tuple[FloatArray, ...]
    validation: tuple[FloatArray, ...]
    test: tuple[FloatArray, ...]


def half_cheetah() -> HalfCheetah:
    """The whole data set.

    Raises:
        MissingDataError: not on this computer; says how to get it.
        DamagedError: the archive is truncated, incomplete or another one.
    """
    path = locate("half-cheetah", FILE, how=HOW) / FILE
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith(".npy"))
            found = [np.load(io.BytesIO(archive.read(name)), allow_pickle=False) for name in names]
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise DamagedError(f"{path} is damaged: {error}") from error
    if len(found) < TRAIN.stop or any(one.shape != _SHAPE for one in found):
        raise DamagedError(f"{path} holds other trajectories: {TRAIN.stop} or more of {_SHAPE} are wanted.")
    whole = [one.astype(np.float64) for one in found]
    return HalfCheetah(tuple(whole[TRAIN]), tuple(whole[VALIDATION]), tuple(whole[TEST]))


def next_frames(trajectories: tuple[FloatArray, ...]) -> tuple[FloatArray, FloatArray]:
    """(N, 17) frames, and (N, 17) those that follow them."""
    return (np.concatenate([one[:-1] for one in trajectories]), np.concatenate([one[1:] for one in trajectories]))
