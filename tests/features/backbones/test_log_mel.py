"""The features of a sound are those of a slow computation, and do not know gain, silence around it, or the sampling
rate."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.bundle_folder import packaged_folder
from engram.features.backbones.catalogue import bundle_of
from engram.features.backbones.log_mel import MelSegments, in_segments, log_mel
from engram.inputs.audio import Sound, mel_bands
from engram.learner import DamagedError, InputError


def word(rate: int = 16_000, seconds: float = 0.6) -> np.ndarray:
    """Something like a word: a buzz whose colour changes."""
    time = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 130 * n * time) * np.exp(-((130 * n - 500 - 2000 * time / seconds) / 400) ** 2)
               for n in range(1, 26))
    return np.asarray(buzz * np.hanning(len(time)), np.float32)


def apart(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.linalg.norm(one - two) / np.linalg.norm(one))


def test_features_are_those_of_a_slow_computation() -> None:
    rate, samples = 8000, word(8000, 0.3).astype(np.float64)
    samples -= samples.mean()
    samples /= np.abs(samples).max()
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 200)
    waves = np.exp(-2j * np.pi * np.arange(129)[:, None] * np.arange(200) / 256)
    power = np.stack([np.abs(waves @ (samples[at : at + 200] * window)) ** 2 / 200
                      for at in range(0, len(samples) - 199, 80)]) @ mel_bands(10, 256, rate, 60.0, 7600.0)
    total = power.sum(1)
    loud = np.flatnonzero(total > total.max() / 10**2.2)
    power = power[loud[0] : loud[-1] + 1]
    heard = np.maximum(0, 1 + 10 * np.log10(power / power.max() + 1e-10) / 45)
    heard = np.pad(heard, ((0, 0), (0, 10 - heard.shape[1])), mode="edge")
    fine = np.repeat(heard, 1000, axis=0)  # each frame a thousand slices
    length = len(fine)
    parts = [fine[max(0, round((m - 0.75) * length / 3)) : round((m + 0.75) * length / 3)].mean(0)
             for m in (0.5, 1.5, 2.5)]
    slow = np.concatenate([*parts, 3**0.5 * heard.std(0), 3 * 3**0.5 * np.abs(np.diff(heard, axis=0)).mean(0),
                           [2 * np.log(len(heard) / 50)]])
    assert np.allclose(MelSegments(10, 3).features((samples, rate))[0], slow, atol=2e-3)


def test_gain_and_offset_and_silence_around_make_no_difference_and_the_rate_hardly_any() -> None:
    backbone, sound = MelSegments(), word()
    plain = backbone.features((sound, 16_000))[0]
    padded = np.concatenate([np.zeros(4000, np.float32), sound, np.zeros(8000, np.float32)])
    for other in (0.01 * sound, sound + 0.3, padded):
        assert apart(plain, backbone.features((other, 16_000))[0]) < 0.02
    assert apart(plain, backbone.features((word(48_000), 48_000))[0]) < 0.05
    assert apart(plain, backbone.features((word(16_000)[::-1], 16_000))[0]) > 0.1


def test_a_feature_does_not_depend_on_its_company() -> None:
    sounds = [Sound(word(seconds=s), 16_000) for s in (0.3, 0.6, 1.2)]
    together = MelSegments().features(sounds)
    assert together.shape == (3, 401)
    assert together.dtype == np.float32
    assert all(np.array_equal(MelSegments().features(one)[0], row) for one, row in zip(sounds, together, strict=True))


def test_segments_of_a_short_sound_are_parts_of_frames() -> None:
    frames = np.arange(3.0)[:, None]
    assert np.allclose(in_segments(frames, 6)[:, 0], [0, 0.2857142857, 0.8333333333, 1.1666666667, 1.7142857143, 2],
                       atol=0.15)
    assert np.allclose(in_segments(np.ones((1, 2)), 8), 1)


def test_the_bundle_comes_with_statistics_and_is_stored_and_found_by_its_name() -> None:
    bundle = bundle_of("log-mel")
    assert bundle.fingerprint == log_mel().fingerprint == Bundle.from_files(bundle.files()).fingerprint
    assert bundle.covariance is not None
    assert np.linalg.eigvalsh(bundle.covariance).min() > -1e-6
    card = json.loads((packaged_folder() / "log-mel" / "card.json").read_text())
    assert "words" in card["statistics"]


@pytest.mark.parametrize("wrong", [{"bands": 0}, {"segments": 2.5}, {"bands": True}, {"segments": 1000}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match="is a whole number from 1 to"):
        MelSegments(**wrong)  # type: ignore[arg-type]
    with pytest.raises(DamagedError, match=r"cannot be used|of version"):
        MelSegments.restore("it", {"version": 1, **wrong}, None)
    with pytest.raises(DamagedError, match="of version"):
        MelSegments.restore("it", {"version": 7}, None)
