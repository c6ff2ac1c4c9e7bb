"""CMU AN4: people spell their names, say numbers, dates and commands to a census taker (CMU, 1991).

Not audio: 13 mel-frequency cepstra at 100 frames a second, as the speech tools of CMU compute them from 16 kHz.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.learner import DamagedError, InputError
from engram.locations import locate

FILE = "an4-mfcc.zip"
HOW = (f"put {FILE}, an archive with feat/…/*.mfc and etc/an4_train.fileids, .transcription and an4.dic of CMU's AN4 "
       "(http://www.speech.cs.cmu.edu/databases/an4), into a folder named 'an4'")
COEFFICIENTS = 13
FRAME_RATE = 100  # frames a second
SIZES = {"train": 948, "test": 130}

Frames = npt.NDArray[np.float32]


class Utterances(NamedTuple):
    """What was said, in the order of the published lists.

    Attributes:
        frames: of each utterance (T, 13) float32: its cepstra.
        transcripts: words in capitals, separated by single blanks: "ENTER SIX TWO".
        speakers: four letters; the first says f(emale) or m(ale).
    """

    frames: tuple[Frames, ...]
    transcripts: tuple[str, ...]
    speakers: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frames)


class AN4(NamedTuple):
    """The corpus.

    Attributes:
        train, test: 948 and 130 utterances; nobody speaks in both.
        dictionary: word -> its pronunciations, each a text of ARPAbet phones: {"A": ("AH", "EY"), …}.
    """

    train: Utterances
    test: Utterances
    dictionary: dict[str, tuple[str, ...]]


def an4() -> AN4:
    """The whole corpus, 16 MB of cepstra.

    Raises:
        MissingDataError: not on this computer; says how to get it.
        DamagedError: the archive is truncated, incomplete or another one.
    """
    path = locate("an4", FILE, how=HOW) / FILE
    try:
        with zipfile.ZipFile(path) as archive:
            root = archive.namelist()[0].partition("/")[0]
            parts = {part: _utterances(archive, root, part) for part in SIZES}
            dictionary = _dictionary(archive.read(f"{root}/etc/an4.dic").decode("ascii"))
    except (zipfile.BadZipFile, KeyError, IndexError, ValueError) as error:
        raise DamagedError(f"{path} is not the AN4 archive it should be ({error}): get it again.") from error
    for part, size in SIZES.items():
        if len(parts[part]) != size:
            raise DamagedError(f"{path} lists {len(parts[part])} {part} utterances, not {size}: get it again.")
    return AN4(parts["train"], parts["test"], dictionary)


def read_cepstra(content: bytes) -> Frames:
    """The frames in a `.mfc` file: a big-endian int32 count of numbers, then as many big-endian float32.

    Returns:
        (T, 13) float32.

    Raises:
        ValueError: the count is not that of the numbers, or they are no whole frames.

    >>> read_cepstra(np.array([13], ">i4").tobytes() + np.arange(13, dtype=">f4").tobytes()).shape
    (1, 13)
    """
    count = int.from_bytes(content[:4], "big")
    if count == 0 or count % COEFFICIENTS or len(content) != 4 + 4 * count:
        raise ValueError(f"{len(content)} bytes are not the {count} cepstra they say")
    return np.frombuffer(content, ">f4", offset=4).astype(np.float32).reshape(-1, COEFFICIENTS)


def normalise(frames: Frames, deltas: int = 0) -> Frames:
    """An utterance with mean 0 and variance 1 in every coefficient, whoever speaks into whatever microphone.

    Args:
        frames: (T, K).
        deltas: how many times differences over time are appended: 1, velocity; 2, acceleration as well. They are
            the slopes of regression lines over five frames (Furui 1986).

    Returns:
        (T, K (1 + deltas)) float32.

    Raises:
        InputError: no frames, or a negative number of deltas.

    >>> normalise(np.random.default_rng(0).normal(3, 2, (50, 13)).astype(np.float32), deltas=2).shape
    (50, 39)
    """
    if frames.ndim != 2 or not len(frames) or deltas < 0:
        raise InputError(f"Frames have the shape (T, K) with T at least 1, deltas are 0 or more; "
                         f"given: {frames.shape}, {deltas}.")
    blocks = [frames.astype(np.float32)]
    for _ in range(deltas):
        blocks.append(_slopes(blocks[-1]))
    joined = np.concatenate(blocks, 1)
    spread = joined.std(0)
    normal: Frames = ((joined - joined.mean(0)) / np.where(spread > 1e-6, spread, 1.0)).astype(np.float32)
    return normal


def _slopes(frames: Frames) -> Frames:
    """The regression slope of each coefficient over frames t - 2 … t + 2; the ends are repeated."""
    padded = np.pad(frames, ((2, 2), (0, 0)), mode="edge")
    return np.float32(0.1) * (padded[3:-1] - padded[1:-3] + 2 * (padded[4:] - padded[:-4]))


def _utterances(archive: zipfile.ZipFile, root: str, part: str) -> Utterances:
    names = archive.read(f"{root}/etc/an4_{part}.fileids").decode("ascii").split()
    lines = archive.read(f"{root}/etc/an4_{part}.transcription").decode("ascii").splitlines()
    said = dict(_transcript(line) for line in lines if line.strip())
    return Utterances(
        tuple(read_cepstra(archive.read(f"{root}/feat/{name}.mfc")) for name in names),
        tuple(said[Path(name).name] for name in names),
        tuple(Path(name).parent.name for name in names),
    )


def _transcript(line: str) -> tuple[str, str]:
    """"<s> ENTER SIX </s> (an1-abcd-b)" -> ("an1-abcd-b", "ENTER SIX")."""
    found = re.fullmatch(r"(.*)\((\S+)\)\s*", line)
    if found is None:
        raise ValueError(f"{line!r} is no transcript with an utterance in brackets")
    words = (word for word in found[1].split() if not word.startswith("<"))
    return found[2], " ".join(words)


def _dictionary(text: str) -> dict[str, tuple[str, ...]]:
    """Lines such as "AND(2)  AH N D", the number being that of a further pronunciation."""
    entries: dict[str, tuple[str, ...]] = {}
    for line in filter(str.strip, text.splitlines()):
        word, phones = line.split(maxsplit=1)
        word = re.sub(r"\(\d+\)$", "", word)
        entries[word] = (*entries.get(word, ()), " ".join(phones.split()))
    return entries
