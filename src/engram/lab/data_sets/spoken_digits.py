"""Spoken digits: 0 to 9 said by six people, 20 takes each (Free Spoken Digit Dataset, Jackson et al., CC BY-SA 4.0)."""

from __future__ import annotations

import zipfile
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.inputs.audio import Frames, Sound, log_mel, read_wav
from engram.lab.data_sets.data_set import DataSet
from engram.learner import DamagedError, InputError
from engram.locations import locate

FILE = "recordings.zip"
HOW = ("zip the 'recordings' folder of https://github.com/Jakobovski/free-spoken-digit-dataset, takes 0 to 19, as "
       f"{FILE} into a folder named 'spoken-digits'")
SIZE = 1200
TEST_TAKES = 5
"""Takes 0 to 4 are asked about, as the data set's authors have it."""
BANDS = 40
STEPS = 64
"""Frames of 10 ms that a recording is brought to: 95% of them are shorter."""


class Recording(NamedTuple):
    """A digit, the name of who says it, which of 20 times, and the sound: one channel at 8 kHz."""

    digit: int
    speaker: str
    take: int
    sound: Sound


class SpokenDigits(NamedTuple):
    """Every recording as log-mel frames, 40 bands at 100 frames a second; sorted by digit, speaker and take.

    Attributes:
        frames: of each recording (T, 40) float32.
        labels: (1200,) int64, the digits.
        speakers: (1200,) texts, the names of the six.
        takes: (1200,) int64, 0 to 19.
    """

    frames: tuple[Frames, ...]
    labels: npt.NDArray[np.int64]
    speakers: npt.NDArray[np.str_]
    takes: npt.NDArray[np.int64]

    @property
    def test(self) -> npt.NDArray[np.intp]:
        """The places of the 300 test recordings, (300,) intp."""
        return np.flatnonzero(self.takes < TEST_TAKES)

    def images(self, steps: int = STEPS) -> npt.NDArray[np.float32]:
        """(1200, steps, 40): all recordings brought to one length. See `of_length`."""
        return np.stack([of_length(frames, steps) for frames in self.frames])


def recordings() -> list[Recording]:
    """Every recording, sorted by digit, speaker and take.

    Raises:
        MissingDataError: not on this computer; says how to get it.
        DamagedError: the archive is truncated, incomplete or another one.
    """
    path = locate("spoken-digits", FILE, how=HOW) / FILE
    found = []
    try:
        with zipfile.ZipFile(path) as archive:
            for name in filter(lambda name: name.endswith(".wav"), archive.namelist()):
                digit, speaker, take = PurePosixPath(name).stem.split("_")
                found.append(Recording(int(digit), speaker, int(take), read_wav(archive.read(name))))
    except (zipfile.BadZipFile, InputError, ValueError) as error:
        raise DamagedError(f"{path} is not the archive of recordings it should be ({error}): get it again.") from error
    if len(found) != SIZE:
        raise DamagedError(f"{path} holds {len(found)} recordings, not {SIZE}: get it again.")
    return sorted(found, key=lambda one: one[:3])


def spoken_digits() -> SpokenDigits:
    """The whole data set as log-mel frames: about a second. Raises as `recordings`."""
    digits, speakers, takes, sounds = zip(*recordings(), strict=True)
    frames = tuple(log_mel(sound, BANDS) for sound in sounds)
    return SpokenDigits(frames, np.array(digits, np.int64), np.array(speakers), np.array(takes, np.int64))


def load() -> DataSet:
    """Digits said by six people: 900 + 300 of (64, 40) float32, log-mel frames; takes 0 to 4 are the test part.

    Raises:
        MissingDataError, DamagedError: as `recordings`.
    """
    data = spoken_digits()
    images = data.images()
    taught = np.setdiff1d(np.arange(len(images)), data.test)
    return DataSet("spoken-digits", images[taught], data.labels[taught], images[data.test], data.labels[data.test])


def of_length(frames: Frames, steps: int) -> Frames:
    """A recording in the middle of `steps` frames: shorter ones between silence, of longer ones the middle.

    Silence is as loud as the recording's most quiet value in each band.

    >>> of_length(np.array([[3.0], [5.0]], np.float32), 4)[:, 0].tolist()
    [3.0, 3.0, 5.0, 3.0]
    """
    before = (steps - len(frames)) // 2
    if before < 0:
        return frames[-before:-before + steps]
    whole: Frames = np.repeat(frames.min(0, keepdims=True), steps, 0)
    whole[before:before + len(frames)] = frames
    return whole
