"""Sound as it comes in: WAV files to samples, samples to log-mel frames; numpy and the standard library alone."""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.learner import InputError

Samples = npt.NDArray[np.float32]
Frames = npt.NDArray[np.float32]

SILENCE = 1e-10
"""Power below which nothing is told apart: that of a sample's last bit, about."""

_ROUNDED = 1 + 1e-9
_PORTION = 512  # frames that are transformed at once: bounds the memory that a long sound takes


class Sound(NamedTuple):
    """Samples (N,) float32 in [-1, 1] of one channel, and how many a second has."""

    samples: Samples
    rate: int


class Wav(NamedTuple):
    """What the chunks of a WAV file say.

    Attributes:
        tag: how samples are coded: `WHOLE`, `FLOAT`, or another number for something compressed.
        channels, rate: how many there are, and samples a second of each.
        width: bytes of one sample.
        data: the samples of all channels in turn.
    """

    tag: int
    channels: int
    rate: int
    width: int
    data: memoryview

    @property
    def plain(self) -> bool:
        """Whether `read_wav` reads it: whole numbers or floats, not compressed."""
        return (self.tag == WHOLE and 1 <= self.width <= 4) or (self.tag == FLOAT and self.width in (4, 8))


WHOLE, FLOAT = 1, 3
"""Tags of formats: integers, and floats of IEEE 754."""

_EXTENSIBLE = 0xFFFE  # the tag stands in the first two bytes of the sub-format
_STREAMED = 0xFFFFFFFF  # a length that was not known when the file was begun


def is_wav(content: bytes) -> bool:
    """Whether a file begins as a WAV file does."""
    return content[:4] == b"RIFF" and content[8:12] == b"WAVE"


def parse_wav(content: bytes) -> Wav:
    """The format and the samples' bytes of a WAV file, extensible ones included (Microsoft, "Multiple channel audio
    data and WAVE files", 2007).

    Raises:
        InputError: not such a file, empty, or cut off.
    """
    if not is_wav(content):
        raise InputError("Not a WAV file: it does not begin with RIFF and WAVE.")
    found, place = None, 12
    while place + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, place)
        place += 8
        if name == b"fmt " and size >= 16 and place + 16 <= len(content):
            tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", content, place)
            if tag == _EXTENSIBLE and size >= 40 and place + 26 <= len(content):
                (tag,) = struct.unpack_from("<H", content, place + 24)
            found = tag, channels, rate, (bits + 7) // 8
        if name == b"data":
            if found is None or not found[1] or not found[2]:
                raise InputError("A damaged WAV file: its format is missing.")
            if size != _STREAMED and place + size > len(content):
                raise InputError(f"A WAV file that is cut off: {place + size - len(content):,} bytes of sound are "
                                 "missing at its end. Record or copy it again.")
            wav = Wav(*found, memoryview(content)[place : len(content) if size == _STREAMED else place + size])
            if not len(wav.data) or (wav.plain and len(wav.data) % (wav.width * wav.channels)):
                raise InputError(f"A WAV file with {len(wav.data)} bytes of {8 * wav.width} bit samples in "
                                 f"{wav.channels} channels is empty or cut off.")
            return wav
        place += size + size % 2
    raise InputError("A WAV file that is cut off: there is no sound in it.")


def read_wav(content: bytes) -> Sound:
    """The sound in a WAV file of 8, 16, 24 or 32 bit integers or of 32 or 64 bit floats; several channels are averaged.

    Raises:
        InputError: not such a file, compressed, cut off, or no samples in it.
    """
    wav = parse_wav(content)
    if not wav.plain:
        raise InputError(f"A WAV file of another format ({wav.tag}, {8 * wav.width} bits) than whole numbers or "
                         "floats.")
    if wav.tag == FLOAT:
        values = np.frombuffer(wav.data, f"<f{wav.width}").astype(np.float64)
        if not np.isfinite(values).all():
            raise InputError("A WAV file with samples that are not finite: record it again.")
    else:
        values = _integers(np.frombuffer(wav.data, np.uint8).reshape(-1, wav.width))
    return Sound(values.reshape(-1, wav.channels).mean(1).astype(np.float32), wav.rate)


def resampled(sound: Sound, rate: int) -> Sound:
    """The sound at another rate, what lies above half of either rate left out.

    >>> tone = Sound(np.sin(2 * np.pi * 440 * np.arange(4800) / 48_000).astype(np.float32), 48_000)
    >>> other = resampled(tone, 16_000)
    >>> bool(np.abs(other.samples[99:-99] - np.sin(2 * np.pi * 440 * np.arange(1600) / 16_000)[99:-99]).max() < 0.02)
    True
    """
    size = quick_length(len(sound.samples), sound.rate // math.gcd(sound.rate, rate))
    other = size * rate // sound.rate
    spectrum = np.fft.rfft(sound.samples, size)[: other // 2 + 1]
    samples = np.fft.irfft(spectrum, other)[: -(-len(sound.samples) * rate // sound.rate)] * (other / size)
    return Sound(samples.astype(np.float32), rate)


def quick_length(length: int, unit: int = 1) -> int:
    """A length from this on that is a unit times a power of two: Fourier transforms of it are quick.

    >>> quick_length(1000), quick_length(1000, 441)
    (1024, 1764)
    """
    return unit << max(1, (-(-length // unit) - 1).bit_length())


def log_mel(
    sound: Sound, bands: int = 40, *, window: float = 0.025, step: float = 0.01, low: float = 20.0,
    high: float | None = None,
) -> Frames:
    """The natural logarithm of the power in mel bands, frame by frame.

    Frames under a Hann window, the power of a Fourier transform over the next power of two, triangular bands of equal
    width on the mel scale 2595 log10(1 + f / 700) (Davis and Mermelstein 1980; O'Shaughnessy 1987).

    Args:
        bands: of the result.
        window, step: seconds of sound in a frame, and from one frame to the next.
        low, high: hertz where the first band begins and the last one ends; None: half the sampling rate.

    Returns:
        (T, bands) float32; a sound shorter than a window is one frame.

    Raises:
        InputError: frequencies or durations that the sound does not have, samples that are not finite.

    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000).astype(np.float32)
    >>> frames = log_mel(Sound(tone, 8000))
    >>> frames.shape, set(frames.argmax(1).tolist())
    ((98, 40), {18})
    """
    high = sound.rate / 2 if high is None else high
    if high > sound.rate / 2:
        raise InputError(f"At {sound.rate} samples a second, bands up to {high} Hz are not possible: nothing above "
                         f"{sound.rate / 2:g} Hz is recorded.")
    power = mel_power(sound, bands, window=window, step=step, low=low, high=high)
    return np.asarray(np.log(power + SILENCE), np.float32)


def mel_power(
    sound: Sound, bands: int, *, window: float = 0.025, step: float = 0.01, low: float, high: float
) -> npt.NDArray[np.float64]:
    """The power in mel bands, frame by frame, (T, B) float64, as `log_mel` describes it.

    Where the last bands lie above half the sampling rate, B is less than `bands`: those are left out.

    Raises:
        InputError: as `log_mel`.
    """
    samples, rate = sound
    size, hop = round(window * rate), round(step * rate)
    if samples.ndim != 1 or not len(samples) or not np.isfinite(samples).all():
        raise InputError(f"Samples must be (N,) finite numbers, at least one; given: shape {samples.shape}.")
    if size < 2 or hop < 1 or bands < 1 or not 0 <= low < min(high, rate / 2):
        raise InputError(f"At {rate} samples a second, frames of {window} s every {step} s with {bands} bands from "
                         f"{low} to {high} Hz are not possible.")
    padded = np.pad(samples, (0, max(0, size - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    points = 1 << (size - 1).bit_length()
    shares, taper = mel_bands(bands, points, rate, low, high), np.hanning(size + 1)[:-1]
    power = np.empty((len(frames), shares.shape[1]))
    for start in range(0, len(frames), _PORTION):
        spectrum = np.fft.rfft(frames[start : start + _PORTION] * taper, points)
        power[start : start + _PORTION] = np.square(np.abs(spectrum)) / size @ shares
    return power


@lru_cache(maxsize=16)
def mel_bands(bands: int, points: int, rate: int, low: float, high: float) -> npt.NDArray[np.float64]:
    """Weights of each frequency of a Fourier transform in each mel band: (points // 2 + 1, bands) float64.

    A band whose triangle falls between two frequencies listens to the nearest one. Bands that reach above half the
    sampling rate are left out.
    """
    edges = _hertz(np.linspace(_mel(low), _mel(high), bands + 2))
    edges = edges[: 2 + max(1, int((edges[2:] <= rate / 2 * _ROUNDED).sum()))]
    places = np.linspace(0, rate / 2, points // 2 + 1)[:, None]
    rising = (places - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - places) / (edges[2:] - edges[1:-1])
    shares: npt.NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    deaf = np.flatnonzero(~shares.any(0))
    shares[np.abs(places - edges[1:-1][deaf]).argmin(0), deaf] = 1.0
    return shares


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def _hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    frequencies: npt.NDArray[np.float64] = 700 * (10 ** (mel / 2595) - 1)
    return frequencies


def _integers(raw: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """(N, bytes of a sample), little-endian, as float64 in [-1, 1); 8 bit samples are unsigned, all others signed."""
    width = raw.shape[1]
    if width == 1:
        return (raw[:, 0].astype(np.float64) - 128) / 128
    if width == 2:
        return raw.view("<i2")[:, 0] / np.float64(2**15)
    whole = np.zeros((len(raw), 4), np.uint8)
    whole[:, 4 - width:] = raw
    return whole.view("<i4")[:, 0].astype(np.float64) / 2**31
