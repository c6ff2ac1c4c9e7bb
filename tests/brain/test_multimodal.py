"""One label seen, heard and read: asked with any of them or several; forgotten, melded and undone in all of them."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engram import Brain
from engram.brain.multimodal import MultimodalBrain
from engram.cli import app
from engram.inputs.modalities import things_in
from engram.learner import InputError, LabelError, MeldError, NotTaughtError

BACKBONES = {"pictures": "descriptor", "sound": "log-mel", "text": "hashed-ngrams"}
RATE = 16_000
WORDS = {"siren": ["a wailing alarm", "the alarm wails loudly", "loud wailing alarm"],
         "bell": ["a soft chime", "the chime rings softly", "soft ringing chime"]}
HERTZ, GREY = {"siren": 2500, "bell": 200}, {"siren": 30, "bell": 220}


def picture(label: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    pixels = np.full((48, 48, 3), GREY[label]) + rng.integers(-12, 12, (48, 48, 3))
    pixels[:, :: 4 if label == "siren" else 16] = 128
    return np.clip(pixels, 0, 255).astype(np.uint8)


def sound(label: str, seed: int) -> tuple[np.ndarray, int]:
    rng = np.random.default_rng(seed)
    time = np.arange(RATE // 2) / RATE
    tone = np.sin(2 * np.pi * HERTZ[label] * rng.uniform(0.97, 1.03) * time)
    return tone * np.hanning(len(time)) + 0.01 * rng.normal(size=len(time)), RATE


def lesson(label: str, seeds: range = range(3)) -> dict[str, list[Any]]:
    return {"pictures": [picture(label, seed) for seed in seeds], "sound": [sound(label, seed) for seed in seeds],
            "text": [WORDS[label][seed % 3] for seed in seeds]}


def files(place: Path, seeds: range = range(3)) -> Path:
    for label in WORDS:
        (place / label).mkdir(parents=True)
        for seed in seeds:
            Image.fromarray(picture(label, seed)).save(place / label / f"{seed}.png")
            samples, rate = sound(label, seed)
            out = io.BytesIO()
            with wave.open(out, "wb") as file:
                file.setparams((1, 2, rate, 0, "NONE", ""))
                file.writeframes((samples / np.abs(samples).max() * 20000).astype("<i2").tobytes())
            (place / label / f"{seed}.wav").write_bytes(out.getvalue())
            (place / label / f"{seed}.txt").write_text(WORDS[label][seed % 3] + "\n")
    return place


@pytest.fixture(params=["memory", "folder"])
def brain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MultimodalBrain]:
    made = MultimodalBrain(BACKBONES) if request.param == "memory" else MultimodalBrain.create(
        tmp_path / "things.brain", BACKBONES)
    with made as mind:
        for label in WORDS:
            mind.learn(lesson(label), label)
        yield mind


def test_a_thing_is_told_by_any_modality_and_by_several_together(brain: MultimodalBrain) -> None:
    for label in WORDS:
        one = lesson(label, range(4, 5))
        for names in (["pictures"], ["sound"], ["text"], ["pictures", "sound"], ["pictures", "sound", "text"]):
            assert brain.predict({name: one[name] for name in names}).best == [label], names
    mixed = brain.predict([sound("bell", 7), picture("siren", 8), "a soft chime"])
    assert mixed.best == ["bell", "siren", "bell"]


def test_several_say_it_more_surely_than_the_surest_alone(brain: MultimodalBrain) -> None:
    one = lesson("bell", range(4, 5))
    alone = [brain.predict({name: one[name]}).confidence[0] for name in one]
    assert brain.predict(one).confidence[0] >= max(alone)


def test_asked_by_one_modality_it_answers_as_that_brain_alone(brain: MultimodalBrain) -> None:
    asked = [sound(label, seed) for label in WORDS for seed in (5, 6)] + [(np.random.default_rng(0).normal(size=RATE),
                                                                          RATE)]
    mine, alone = brain.predict({"sound": asked}), brain.members["sound"].predict(asked)
    assert mine.known.tolist() == alone.known.tolist()
    assert mine.best == alone.best
    assert np.sign(mine.familiarity).tolist() == np.sign(alone.familiarity).tolist()


def test_noise_in_every_modality_is_nothing_i_know(brain: MultimodalBrain) -> None:
    rng = np.random.default_rng(1)
    strange = {"pictures": [rng.integers(0, 255, (48, 48, 3)).astype(np.uint8)],
               "sound": [(rng.normal(size=RATE), RATE)], "text": ["zwölf Boxkämpfer jagen Viktor"]}
    assert brain.predict(strange).labels == [None]


def test_a_label_taught_by_one_modality_alone_is_answered_by_it(brain: MultimodalBrain) -> None:
    brain.learn({"text": ["fresh warm bread", "bread from the oven", "a warm loaf of bread"]}, "bread")
    assert brain.predict({"text": ["warm bread"]}).best == ["bread"]
    assert "bread" not in brain.predict({"sound": [sound("bell", 9)]}).best
    assert brain.counts()["bread"] == {"text": 3}


def test_what_was_undone_or_forgotten_is_as_if_it_had_never_been(brain: MultimodalBrain) -> None:
    before = brain.digest()
    brain.learn(lesson("bell", range(10, 12)), "gong")
    assert set(brain.undo()) == {"pictures", "sound", "text"}
    assert brain.digest() == before
    brain.learn(lesson("bell", range(10, 12)), "gong")
    brain.forget(label="gong")
    assert brain.digest() == before
    with pytest.raises(NotTaughtError, match="'gong' was never taught"):
        brain.forget(label="gong")
    one = {name: items[:1] for name, items in lesson("bell", range(20, 21)).items()}
    brain.learn(one, "bell")
    brain.forget(one, "bell")
    assert brain.digest() == before


def test_renamed_in_every_modality(brain: MultimodalBrain) -> None:
    brain.rename("bell", "gong")
    assert brain.labels == ("siren", "gong")
    assert all("bell" not in member.labels for member in brain.members.values())
    with pytest.raises(LabelError, match="exists already"):
        brain.rename("gong", "siren")


def test_melding_equals_having_been_taught_all(brain: MultimodalBrain) -> None:
    other = MultimodalBrain({name: one for name, one in BACKBONES.items() if name != "pictures"})
    more = {name: items for name, items in lesson("siren", range(30, 33)).items() if name != "pictures"}
    other.learn(more, "siren")
    one = MultimodalBrain(BACKBONES)
    for label in WORDS:
        one.learn(lesson(label), label)
    one.learn(more, "siren")
    brain.meld(other)
    assert brain.digest() == one.digest()
    assert brain.predict({"sound": [sound("siren", 3)]}).best == ["siren"]
    other = MultimodalBrain({"text": "english-ngrams"})
    other.learn({"text": ["la la"]}, "song")
    with pytest.raises(MeldError, match="different backbones for text"):
        brain.meld(other)


def test_what_cannot_be_learned_changes_nothing_anywhere(brain: MultimodalBrain) -> None:
    before = brain.digest()
    bad = lesson("bell", range(2))
    bad["sound"][1] = (np.zeros(RATE), RATE)
    with pytest.raises(InputError, match="silent"):
        brain.learn(bad, "bell")
    with pytest.raises(InputError, match="3 of pictures, 2 of sound"):
        brain.learn({"pictures": [picture("bell", 0)] * 3, "sound": [sound("bell", 0)] * 2}, "bell")
    with pytest.raises(LabelError):
        brain.learn(lesson("bell"), 7)
    with pytest.raises(InputError, match="'smell'"):
        brain.predict({"smell": ["roses"]})
    assert brain.digest() == before


def test_it_is_there_again_when_it_is_opened(tmp_path: Path) -> None:
    with MultimodalBrain.create(tmp_path / "things.brain", BACKBONES, alpha=0.05) as mind:
        mind.learn(lesson("bell"), "bell")
        digest = mind.digest()
        mind.save(tmp_path / "copy.brain")
    for place in ("things.brain", "copy.brain"):
        with MultimodalBrain.open(tmp_path / place) as mind:
            assert mind.digest() == digest
            assert mind.members["text"].alpha == 0.05
    with Brain.open(tmp_path / "things.brain" / "sound") as alone:
        assert alone.counts() == {"bell": 3}
    with MultimodalBrain.open(tmp_path / "things.brain") as mind:
        assert set(mind.undo()) == {"pictures", "sound", "text"}
        assert mind.labels == ()
        with pytest.raises(InputError, match="nothing to undo"):
            mind.undo()


def test_files_of_one_name_are_one_thing(tmp_path: Path) -> None:
    found = things_in(files(tmp_path), together=True)
    assert (found.count, found.labels) == (6, ["bell"] * 3 + ["siren"] * 3)
    assert all(part.places == [0, 1, 2, 3, 4, 5] for part in found.parts.values())
    apart = things_in([tmp_path / "bell" / "0.png", tmp_path / "bell" / "0.wav"])
    assert apart.count == 2


def test_the_terminal_teaches_asks_undoes_renames_forgets_and_melds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (files(tmp_path / "new", range(5, 6)), files(tmp_path / "old"))
    (tmp_path / "old" / "bell" / "notes.pdf").write_text("no sound")

    def engram(*arguments: str) -> Any:
        assert app.run([*arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    taught = engram("teach", "a.brain", "old", "--multimodal")
    assert taught["taught"] == {"pictures": 6, "sound": 6, "text": 6}
    assert [one["file"] for one in taught["left_out"]] == ["old/bell/notes.pdf"]
    assert engram("teach", "a.brain", "old")["skipped"] == 18
    answers = engram("predict", "a.brain", "new", "--together")
    assert (len(answers["answers"]), answers["right"]) == (2, 2)
    assert len(engram("predict", "a.brain", "new/bell/5.wav", "new/siren/5.png")["answers"]) == 2
    engram("rename", "a.brain", "bell", "gong")
    assert engram("undo", "a.brain")["labels"] == ["bell", "siren"]
    assert engram("meld", "b.brain", "a.brain")["digest"] == taught["digest"]
    assert engram("info", "b.brain")["digest"] == taught["digest"]
    assert engram("forget", "b.brain", "bell")["forgotten"] == 9
    assert app.run(["audit", "a.brain"]) == 1
    assert "a.brain/pictures" in capsys.readouterr().err
    assert app.run(["predict", "a.brain", "new", "--together"]) == 0
    assert "new/bell/5.png + new/bell/5.wav" in capsys.readouterr().out
