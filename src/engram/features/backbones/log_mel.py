"""Sounds as log-mel power over segments of time, with nothing to download or to train.

A sound is trimmed to where it is loud, so that silence before and after it makes no difference, and divided by its
loudest moment, so that its gain makes none. The logarithm of the power in mel bands (Davis and Mermelstein 1980) goes
down to 45 decibels below that moment. Segments of time, as many however long the sound is, keep the order of what is
heard; beside them stand the deviation and the mean change of each band, and the logarithm of the length.

The settings were chosen on five of twenty takes of spoken digits and on sounds made by programs, and
`data/log-mel/card.json` says on what the statistics were measured.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from engram.features.backbones.backbone import Features, Takes, fingerprint_of, in_batches, restored
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.bundle_folder import packaged_folder
from engram.features.backbones.compact_statistics import read_statistics
from engram.inputs.audio import SILENCE, Sound, mel_power
from engram.inputs.sounds import decode, each
from engram.learner import FloatArray, InputError
from engram.progress import Progress

NAME = "log-mel"
STEP = 2.0**-9
"""Quantisation step: features are at most about 13, and vary by some 0.1 within a class. They are not brought to unit
length, since fewer unknown words are then taken for known ones."""

VERSION = 1
"""Raised whenever the same sound would give other features."""

_LOW, _HIGH = 60.0, 7600.0  # hertz
_STEP = 0.01  # seconds from one frame to the next
_RANGE = 45.0  # decibels from the loudest moment of a band to what counts as nothing
_TRIM = 22.0  # decibels below the loudest frame at which a sound begins and ends
_WIDER = 1.5  # how long a segment is, where 1 is end to end
_CHANGE, _LENGTH = 3.0, 2.0  # weights of a band's mean change, and of the length
_TYPICAL = 0.5  # seconds of which the logarithm of the length is 0


class MelSegments:
    """Sounds -> (N, bands · (segments + 2) + 1) float32; the same on every machine to rounding.

    Args:
        bands: on the mel scale, from 60 to 7,600 Hz. Those above half the sampling rate repeat the last that is heard.
        segments: of the sound's length, each half as long again as its share.
        name: what people call it.

    >>> time = np.arange(8000) / 8000
    >>> low, high, quiet = MelSegments().features([(np.sin(2 * np.pi * f * time) * gain, 8000)
    ...                                            for f, gain in ((200, 1), (900, 1), (900, 0.1))])
    >>> len(low), bool(np.allclose(high, quiet, atol=1e-3)), bool(np.abs(low - high).max() > 0.5)
    (401, True, True)
    """

    kind: ClassVar[str] = "mel-segments"
    takes: Takes = "sound"
    network_file: ClassVar[str | None] = None

    def __init__(self, bands: int = 40, segments: int = 8, *, name: str = "mel-segments") -> None:
        for what, value, most in (("bands", bands, 128), ("segments", segments, 64)):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise InputError(f"{what} is a whole number from 1 to {most}, not {value!r}.")
        self.name, self.bands, self.segments = name, bands, segments
        self.width = bands * (segments + 2) + 1
        self.fingerprint = fingerprint_of(self.kind, self.config(), None)

    def features(self, inputs: Any, progress: Progress | None = None) -> Features:
        """One sound or many as (N, D) float32; what a sound may be says `engram.inputs.sounds.decode`.

        Raises:
            InputError: not a sound, cut off, damaged, too long, too short or silent.
        """
        total = len(inputs) if isinstance(inputs, list) else None
        return in_batches(each(inputs), lambda batch: self.of(decode(batch[0]))[None], size=1, total=total,
                          progress=progress)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, and the version of the features."""
        return {"version": VERSION, "bands": self.bands, "segments": self.segments}

    def network(self) -> None:
        """There is none."""

    @classmethod
    def restore(cls, name: str, config: dict[str, Any], network: bytes | None) -> Self:
        """The backbone that a bundle holds.

        Raises:
            DamagedError: the configuration cannot be used.
        """
        return restored(cls, name, config, VERSION)

    def of(self, sound: Sound) -> npt.NDArray[np.float32]:
        """(D,) features of a sound that `decode` gave."""
        heard = loud_frames(sound, self.bands)
        weight = np.sqrt(self.segments)
        change = np.abs(np.diff(heard, axis=0)).mean(axis=0) if len(heard) > 1 else np.zeros(self.bands)
        parts = (in_segments(heard, self.segments).ravel(), weight * heard.std(axis=0), _CHANGE * weight * change,
                 [_LENGTH * np.log(len(heard) * _STEP / _TYPICAL)])
        return np.concatenate(parts).astype(np.float32)


def loud_frames(sound: Sound, bands: int) -> FloatArray:
    """(T, bands) of the part between the first loud moment and the last, 100 frames a second: 1 where a band is as loud
    as it gets, 0 where it is 45 decibels below that or less."""
    power = mel_power(_at_full(sound), bands, step=_STEP, low=_LOW, high=_HIGH)
    power = power[_loud(power)]
    heard = np.maximum(0.0, 1 + 10 * np.log10(power / power.max() + SILENCE) / _RANGE)
    return np.asarray(np.pad(heard, ((0, 0), (0, bands - heard.shape[1])), mode="edge"))


def in_segments(frames: FloatArray, segments: int) -> FloatArray:
    """(segments, D) the mean of (T, D) frames over each segment of time and a little beyond.

    A frame that is cut counts for its share.

    >>> in_segments(np.array([[0.0], [1.0], [2.0], [3.0]]), 2).ravel().tolist()
    [0.8, 2.2]
    """
    length = len(frames)
    sums = np.concatenate([np.zeros((1, frames.shape[1])), np.cumsum(frames, axis=0)])
    middles = (np.arange(segments) + 0.5) * length / segments
    half = _WIDER * length / segments / 2
    begins, ends = np.clip(middles - half, 0, length), np.clip(middles + half, 0, length)

    def until(places: FloatArray) -> FloatArray:
        """The sum of all frames before places between frames."""
        whole = np.minimum(places.astype(int), length - 1)
        return np.asarray(sums[whole] + (places - whole)[:, None] * frames[whole])

    return np.asarray((until(ends) - until(begins)) / (ends - begins)[:, None])


def loud_part(sound: Sound, margin: float = 0.1) -> Sound:
    """The sound between its first loud moment and its last, at full swing.

    Args:
        margin: seconds that are left before and after.
    """
    whole = _at_full(sound)
    frames = _loud(mel_power(whole, 1, step=_STEP, low=_LOW, high=_HIGH))
    begin, end = (round(place * _STEP * sound.rate) for place in (frames.start, frames.stop))
    rest = round(margin * sound.rate)
    return Sound(whole.samples[max(0, begin - rest) : end + rest], sound.rate)


def _at_full(sound: Sound) -> Sound:
    """Without a constant part, and with 1 as the largest swing."""
    samples = sound.samples - sound.samples.mean(dtype=np.float64)
    return Sound((samples / np.abs(samples).max()).astype(np.float32), sound.rate)


def _loud(power: FloatArray) -> slice:
    """The frames from the first loud one to the last."""
    total = power.sum(axis=1)
    loud = np.flatnonzero(total > total.max() * 10 ** (-_TRIM / 10))
    return slice(int(loud[0]), int(loud[-1]) + 1)


@lru_cache(maxsize=1)
def log_mel() -> Bundle:
    """The backbone with its statistics, as `Brain("log-mel")` opens it: 401 features of a sound.

    >>> bundle = log_mel()
    >>> bundle.width, bundle.takes, bundle.covariance.shape
    (401, 'sound', (401, 401))
    """
    mean, covariance, freedom = read_statistics(packaged_folder() / NAME / "statistics.safetensors")
    return Bundle(MelSegments(name=NAME), mean, covariance, STEP, normalise=False, freedom=freedom)
