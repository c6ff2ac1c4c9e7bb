"""Sound comes in as it was recorded, and its log-mel frames are those of the slow Fourier transform."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from engram.inputs.audio import Sound, log_mel, mel_bands, read_wav
from engram.learner import InputError

RATE = 8000


def wav(samples: np.ndarray, width: int, channels: int = 1) -> bytes:
    """Samples in [-1, 1) as a WAV file."""
    scaled = np.floor(samples * 2.0 ** (8 * width - 1)).astype(np.int64) + (128 if width == 1 else 0)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((channels, width, RATE, 0, "NONE", ""))
        writer.writeframes(b"".join(int(s).to_bytes(width, "little", signed=width > 1) for s in scaled.ravel()))
    return file.getvalue()


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_samples_of_any_width_come_back(width: int):
    samples = np.random.default_rng(width).uniform(-1, 1, 500)
    sound = read_wav(wav(samples, width))
    assert sound.rate == RATE
    assert sound.samples.dtype == np.float32
    assert np.abs(sound.samples - samples).max() <= max(2.0 ** (1 - 8 * width), 1e-6)


def test_channels_are_averaged():
    left, right = np.random.default_rng(0).uniform(-1, 1, (2, 300))
    sound = read_wav(wav(np.stack([left, right], 1), 2, channels=2))
    assert np.allclose(sound.samples, (left + right) / 2, atol=1e-4)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all", wav(np.zeros(0), 2)])
def test_what_is_no_sound_is_refused(content: bytes):
    with pytest.raises(InputError, match="WAV"):
        read_wav(content)


def test_frames_are_those_of_a_slow_fourier_transform():
    samples = np.random.default_rng(1).normal(0, 0.1, 500).astype(np.float32)
    frames = log_mel(Sound(samples, RATE), 10)
    start, size, points = 80 * 3, 200, 256
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    places = np.arange(points // 2 + 1)[:, None] * np.arange(size) / points
    power = np.abs((samples[start:start + size] * window * np.exp(-2j * np.pi * places)).sum(1)) ** 2 / size
    assert frames.shape == (1 + (500 - size) // 80, 10)
    assert np.allclose(frames[3], np.log(power @ mel_bands(10, points, RATE, 20.0, 4000.0) + 1e-10), atol=1e-4)


def test_every_band_listens_and_a_higher_tone_is_in_a_higher_band():
    assert mel_bands(40, 256, RATE, 20.0, 4000.0).any(0).all()
    heights = [log_mel(Sound(np.sin(2 * np.pi * f * np.arange(RATE) / RATE).astype(np.float32), RATE))[5].argmax()
               for f in (200, 500, 1000, 2000, 3500)]
    assert heights == sorted(set(heights))


def test_a_louder_sound_adds_the_same_to_every_band_and_silence_is_finite():
    samples = np.random.default_rng(2).normal(0, 0.1, 800).astype(np.float32)
    louder = log_mel(Sound(3 * samples, RATE)) - log_mel(Sound(samples, RATE))
    assert np.allclose(louder, 2 * np.log(3), atol=1e-3)
    assert np.isfinite(log_mel(Sound(np.zeros(10, np.float32), RATE))).all()


@pytest.mark.parametrize("settings", [{"high": 5000.0}, {"low": 4000.0}, {"step": 0.0}, {"bands": 0}])
def test_what_the_sound_does_not_have_is_refused(settings: dict[str, float]):
    with pytest.raises(InputError, match="are not possible"):
        log_mel(Sound(np.zeros(500, np.float32), RATE), **settings)


def test_samples_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="finite"):
        log_mel(Sound(np.array([0.0, np.nan], np.float32), RATE))
