"""A brain takes sounds as it takes pictures: in Python, in the terminal, and what it does not know can be named."""

from __future__ import annotations

import io
import json
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engram import Brain
from engram.brain.bundles import SOUND_EXTRA, SOUNDS
from engram.cli import app
from engram.extras import installed
from engram.learner import InputError

RATE = 16_000


def tone(hertz: float, seed: int = 0, seconds: float = 0.4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = hertz * rng.uniform(0.97, 1.03)
    return np.asarray(np.sin(2 * np.pi * pitch * time) * np.hanning(len(time)) + 0.01 * rng.normal(size=len(time)))


def wav(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes((samples / np.abs(samples).max() * 20000).astype("<i2").tobytes())
    return file.getvalue()


def folder_of(place: Path, count: int = 4) -> Path:
    for label, hertz in (("low", 200), ("high", 2500)):
        (place / label).mkdir(parents=True)
        for seed in range(count):
            (place / label / f"{seed}.wav").write_bytes(wav(tone(hertz, seed)))
    return place


def test_a_folder_of_sounds_is_taught_asked_and_what_is_strange_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sounds = folder_of(tmp_path / "sounds", 6)
    (sounds / "low" / "silent.wav").write_bytes(wav(np.r_[1e-9, np.zeros(RATE)])[:44] + bytes(2 * RATE))
    (sounds / "low" / "notes.txt").write_text("made with a synthesiser")
    brain = str(tmp_path / "s.brain")
    assert app.run(["teach", brain, str(sounds)]) == 0
    said = capsys.readouterr().out
    assert "Taught 12" in said
    assert "notes.txt: a text, no sound" in said
    assert "silent.wav" in said
    (tmp_path / "new").mkdir()
    rng = np.random.default_rng(5)
    for name, made in (("a", tone(200, 77)), ("b", tone(2500, 78)), ("x", rng.normal(size=RATE))):
        (tmp_path / "new" / f"{name}.wav").write_bytes(wav(made))
    assert app.run(["predict", brain, str(tmp_path / "new"), "--json"]) == 0
    assert [one["label"] for one in json.loads(capsys.readouterr().out)["answers"]] == ["low", "high", None]
    with Brain.open(brain) as mind:
        assert mind.info()["takes"] == "sound"
        (group,) = mind.unknown_groups()
        picture = mind.unknown_thumbnail(group.number)
        assert picture is not None
        assert picture.startswith(b"\xff\xd8")
    assert app.run(["name", brain, str(group.number), "rush"]) == 0
    with Brain.open(brain, readonly=True) as mind:
        assert mind.counts() == {"high": 6, "low": 6, "rush": 1}


def test_a_backbone_is_measured_on_a_folder_of_sounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sounds = str(folder_of(tmp_path / "sounds"))
    assert app.run(["backbone", "evaluate", "log-mel", sounds, "--shots", "1", "--splits", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pictures"] == 8
    assert found["results"][0]["accuracy"]["mean"] == 1.0


def test_the_first_inputs_decide_that_a_brain_hears(tmp_path: Path) -> None:
    file = folder_of(tmp_path / "s") / "low" / "0.wav"
    with file.open("rb") as opened:
        for first in (file, [str(file)], file.read_bytes(), opened, (tone(200), RATE), [(RATE, tone(200))],
                      tmp_path / "s"):
            brain = Brain()
            brain.learn(first, None if first == tmp_path / "s" else "low")
            assert brain.bundle is not None
            assert brain.bundle.name == (SOUND_EXTRA if installed("sound") else SOUNDS)


def test_a_mixed_folder_is_of_what_it_has_more_of_and_what_it_lacks_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mix, brain = folder_of(tmp_path / "mix"), str(tmp_path / "m.brain")
    Image.new("RGB", (9, 9)).save(mix / "low" / "cover.png")
    assert app.run(["teach", brain, str(mix), "--backbone", "photos"]) == 1
    said = capsys.readouterr().err
    assert f"No pictures in {mix / 'high'}" in said
    assert "It holds 4 sounds (0.wav)" in said
    assert f"engram teach NEW.brain {mix / 'high'} --label high" in said
    assert app.run(["teach", brain, str(mix)]) == 0
    said = capsys.readouterr().out
    assert "1 left out (1 picture):" in said
    assert "cover.png: a picture, no sound" in said
    words = tmp_path / "words"
    words.mkdir()
    (words / "hello.txt").write_text("good morning\ngood evening\n")
    Image.new("RGB", (9, 9)).save(words / "cover.png")
    assert app.run(["teach", str(tmp_path / "t.brain"), str(words), "--backbone", "english-ngrams"]) == 0
    assert "cover.png: a picture, no text" in capsys.readouterr().out


def test_a_brain_of_vectors_that_is_given_a_file_says_so_in_few_words() -> None:
    brain = Brain()
    brain.learn([tone(200)], "low")
    for given in (wav(tone(200)), [wav(tone(200))], (tone(200), RATE)):
        with pytest.raises(InputError, match="accepts vectors, not") as refused:
            brain.predict(given)
        assert len(str(refused.value)) < 250
    assert len(str(InputError("x" * 10_000))) < 1000


def test_sounds_are_learned_in_any_order_forgotten_and_melded_exactly() -> None:
    low, high = ([(tone(hertz, seed), RATE) for seed in range(5)] for hertz in (200, 2500))
    one, two, other = Brain("log-mel"), Brain("log-mel"), Brain("log-mel")
    one.learn(low, "low")
    one.learn(high, "high")
    two.learn(high[::-1], "high")
    two.learn(low, "low")
    assert one.digest() == two.digest()
    other.learn([(tone(900), RATE)], "mid")
    one.meld(other)
    one.forget([(tone(900), RATE)], "mid")
    assert one.digest() == two.digest()
    assert one.predict([(tone(200, 9), RATE), (tone(2500, 9), RATE)]).labels == ["low", "high"]


def test_an_input_of_another_kind_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    brain = Brain("log-mel")
    brain.learn([(tone(200, s), RATE) for s in range(3)], "low")
    digest = brain.digest()
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for wrong in (tone(200), tmp_path / "a.png", tmp_path / "none.wav", b"text", (np.zeros(RATE), RATE), [[1, 2]]):
        with pytest.raises(InputError):
            brain.learn(wrong, "low")
    assert brain.digest() == digest
