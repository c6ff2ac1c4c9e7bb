"""AN4 and the spoken digits come complete or not at all, and as their files say."""

from __future__ import annotations

import zipfile
from collections import Counter

import numpy as np
import pytest

from engram.lab.data_sets.an4 import FILE, an4, normalise, read_cepstra
from engram.lab.data_sets.spoken_digits import of_length, spoken_digits
from engram.lab.streams import data_set
from engram.learner import DamagedError, InputError
from engram.locations import MissingDataError


def present(load):
    try:
        return load()
    except MissingDataError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def speech():
    return present(an4)


@pytest.fixture(scope="module")
def digits():
    return present(spoken_digits)


def test_nobody_speaks_in_both_parts_of_an4(speech):
    assert (len(speech.train), len(speech.test)) == (948, 130)
    assert (len(set(speech.train.speakers)), len(set(speech.test.speakers))) == (74, 10)
    assert not set(speech.train.speakers) & set(speech.test.speakers)


def test_every_utterance_of_an4_has_frames_and_words(speech):
    for part in speech[:2]:
        assert all(frames.shape[1] == 13 and frames.dtype == np.float32 for frames in part.frames)
        assert all(np.isfinite(frames).all() for frames in part.frames)
        assert all(text == " ".join(text.split()) != "" for text in part.transcripts)
    assert sum(map(len, speech.train.frames)) == 253_682
    assert sum(len(text.split()) for text in speech.test.transcripts) == 773
    assert speech.test.transcripts[0] == "RUBOUT G M E F THREE NINE"
    assert speech.test.speakers[0] == "fcaw"


def test_the_dictionary_of_an4_pronounces_every_word(speech):
    said = {word for part in speech[:2] for text in part.transcripts for word in text.split()}
    assert said <= set(speech.dictionary)
    assert speech.dictionary["A"] == ("AH", "EY")


def test_cepstra_that_do_not_fit_their_count_are_refused():
    content = np.array([26], ">i4").tobytes() + np.arange(26, dtype=">f4").tobytes()
    assert read_cepstra(content).tolist() == np.arange(26.0).reshape(2, 13).tolist()
    for wrong in (content[:-4], content + b"\0", b"", np.array([12], ">i4").tobytes() + content[4:52]):
        with pytest.raises(ValueError, match="bytes"):
            read_cepstra(wrong)


def test_another_archive_is_refused(tmp_path, monkeypatch):
    (tmp_path / "an4").mkdir()
    monkeypatch.setenv("ENGRAM_DATA", str(tmp_path))
    (tmp_path / "an4" / FILE).write_bytes(b"no archive")
    with pytest.raises(DamagedError, match="AN4"):
        an4()
    with zipfile.ZipFile(tmp_path / "an4" / FILE, "w") as archive:
        archive.writestr("an4-mfcc/README", "")
    with pytest.raises(DamagedError, match="AN4"):
        an4()


def test_normal_frames_have_mean_0_and_variance_1_and_know_whither_they_move():
    cepstra = np.random.default_rng(0).normal(5, 3, (80, 13)).astype(np.float32)
    frames = normalise(cepstra, deltas=2)
    assert frames.shape == (80, 39)
    assert np.allclose(frames.mean(0), 0, atol=1e-5)
    assert np.allclose(frames.std(0), 1, atol=1e-4)
    assert np.allclose(normalise(3 * cepstra - 7, 2), frames, atol=1e-4)
    slope = np.polyfit(np.arange(-2, 3), cepstra[38:43], 1)[0]
    spread = np.array([np.polyfit(np.arange(-2, 3), np.pad(cepstra, ((2, 2), (0, 0)), mode="edge")[t:t + 5], 1)[0]
                       for t in range(80)])
    assert np.allclose(frames[40, 13:26], (slope - spread.mean(0)) / spread.std(0), atol=1e-3)


def test_a_constant_coefficient_stays_finite_and_nothing_is_refused():
    assert (normalise(np.ones((4, 13), np.float32), 1) == 0).all()
    with pytest.raises(InputError, match="at least 1"):
        normalise(np.zeros((0, 13), np.float32))


def test_spoken_digits_are_twenty_takes_of_six_people(digits):
    assert Counter(zip(digits.labels.tolist(), digits.speakers.tolist(), strict=True)) == dict.fromkeys(
        [(digit, name) for digit in range(10)
         for name in ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")], 20)
    assert len(digits.test) == 300
    assert set(digits.takes[digits.test].tolist()) == set(range(5))


def test_spoken_digits_look_alike_within_a_digit(digits):
    images = digits.images()
    assert images.shape == (1200, 64, 40)
    assert np.isfinite(images).all()
    flat = images.reshape(1200, -1)
    flat = (flat - flat.mean(1, keepdims=True)) / flat.std(1, keepdims=True)
    taught = np.setdiff1d(np.arange(1200), digits.test)
    nearest = (flat[digits.test] @ flat[taught].T).argmax(1)
    assert (digits.labels[taught][nearest] == digits.labels[digits.test]).mean() > 0.8


def test_a_recording_stands_in_the_middle():
    frames = np.arange(5, dtype=np.float32)[:, None]
    assert of_length(frames, 3)[:, 0].tolist() == [1, 2, 3]
    assert of_length(frames, 8)[:, 0].tolist() == [0, 0, 1, 2, 3, 4, 0, 0]


def test_spoken_digits_are_a_data_set_with_nine_hundred_to_learn(digits):
    data = data_set("spoken-digits")
    assert data.classes == tuple(range(10))
    assert data.train_inputs.shape == (900, 64, 40)
    assert np.bincount(data.test_labels).tolist() == [30] * 10
    assert np.array_equal(data.test_inputs, digits.images()[digits.test])
