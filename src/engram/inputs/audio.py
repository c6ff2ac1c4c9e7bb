"""Sound as it comes in: WAV files to samples, samples to log-mel frames; numpy and the standard library alone."""

from __future__ import annotations

import io
import wave
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.learner import InputError

Samples = npt.NDArray[np.float32]
Frames = npt.NDArray[np.float32]

SILENCE = 1e-10
"""Power below which nothing is told apart: that of a sample's last bit, about."""


class Sound(NamedTuple):
    """Samples (N,) float32 in [-1, 1] of one channel, and how many a second has."""

    samples: Samples
    rate: int


def read_wav(content: bytes) -> Sound:
    """The sound in a WAV file of 8, 16, 24 or 32 bit integers; several channels are averaged.

    Raises:
        InputError: not such a file, or no samples in it.
    """
    try:
        with wave.open(io.BytesIO(content)) as file:
            channels, width, rate, count = file.getparams()[:4]
            raw = np.frombuffer(file.readframes(count), np.uint8)
    except (wave.Error, EOFError) as error:
        raise InputError(f"Not a readable WAV file of whole numbers: {error or 'it ends too early'}.") from error
    if not len(raw) or width > 4 or len(raw) % (width * channels):
        raise InputError(f"A WAV file with {len(raw)} bytes of {8 * width} bit samples in {channels} channels is empty "
                         "or cut off.")
    return Sound(_integers(raw.reshape(-1, width)).reshape(-1, channels).mean(1).astype(np.float32), rate)


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
    samples, rate = sound
    high = rate / 2 if high is None else high
    size, hop = round(window * rate), round(step * rate)
    if samples.ndim != 1 or not len(samples) or not np.isfinite(samples).all():
        raise InputError(f"Samples must be (N,) finite numbers, at least one; given: shape {samples.shape}.")
    if size < 2 or hop < 1 or bands < 1 or not 0 <= low < high <= rate / 2:
        raise InputError(f"At {rate} samples a second, frames of {window} s every {step} s with {bands} bands from "
                         f"{low} to {high} Hz are not possible.")
    padded = np.pad(samples, (0, max(0, size - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    points = 1 << (size - 1).bit_length()
    spectrum = np.fft.rfft(frames * np.hanning(size + 1)[:-1], points)
    power = np.square(np.abs(spectrum)) / size
    energies: Frames = np.log(power @ mel_bands(bands, points, rate, low, high) + SILENCE).astype(np.float32)
    return energies


@lru_cache(maxsize=16)
def mel_bands(bands: int, points: int, rate: int, low: float, high: float) -> npt.NDArray[np.float64]:
    """Weights of each frequency of a Fourier transform in each mel band: (points // 2 + 1, bands) float64.

    A band whose triangle falls between two frequencies listens to the nearest one.
    """
    edges = _hertz(np.linspace(_mel(low), _mel(high), bands + 2))
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
    whole = np.zeros((len(raw), 4), np.uint8)
    whole[:, 4 - width:] = raw
    return whole.view("<i4")[:, 0].astype(np.float64) / 2**31
