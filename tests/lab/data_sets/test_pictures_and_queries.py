"""Photographs, steel defects, Tiny-ImageNet and CLINC150 come complete or not at all."""

from __future__ import annotations

import json
import os
import zipfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from engram.lab.data_sets.clinc150 import clinc150
from engram.lab.data_sets.labelled_folder import few_of_each, labelled_folder
from engram.lab.data_sets.photos import NEAR, NOVEL, photos
from engram.lab.data_sets.steel_defects import KINDS, steel_defects
from engram.lab.data_sets.tiny_imagenet import tiny_imagenet
from engram.learner import DamagedError, InputError
from engram.locations import MissingDataError

needs_data = pytest.mark.skipif("ENGRAM_DATA" not in os.environ, reason="ENGRAM_DATA is not set")


@needs_data
def test_photographs_are_thirty_of_each_of_twenty_classes_and_half_of_them_near():
    pictures = photos()
    assert Counter(pictures.labels) == dict.fromkeys(NEAR + NOVEL, 30)
    assert len(NEAR) == len(NOVEL) == 10
    assert all(path.parent.name == label for path, label in zip(pictures.paths, pictures.labels, strict=True))
    assert list(pictures.labels) == sorted(pictures.labels)


@needs_data
def test_steel_defects_are_sixty_of_each_of_six_kinds():
    pictures = steel_defects()
    assert Counter(pictures.labels) == dict.fromkeys(KINDS, 60)
    with Image.open(pictures.paths[0]) as picture:
        assert picture.size == (200, 200)


@needs_data
def test_tiny_imagenet_is_decoded_when_asked_for():
    pictures = tiny_imagenet("val")
    assert Counter(Counter(pictures.labels).values()) == {20: 200}
    picture = pictures[7]
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 1
    with pytest.raises(InputError, match="val"):
        tiny_imagenet("test")


@needs_data
def test_queries_have_150_intents_and_some_have_none():
    data = clinc150()
    for part, each in ((data.train, 100), (data.val, 20), (data.test, 30)):
        assert Counter(Counter(part.intents).values()) == {each: 150}
    assert [len(part) for part in (data.outside_train, data.outside_val, data.outside_test)] == [100, 100, 1000]
    assert not set(data.train.texts) & set(data.outside_test)


@pytest.mark.parametrize("load", [photos, steel_defects, tiny_imagenet, clinc150])
def test_where_data_is_missing_it_is_said_how_to_get_it(load, tmp_path, monkeypatch):
    monkeypatch.setenv("ENGRAM_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(MissingDataError, match="To get it"):
        load()


def test_a_class_with_a_missing_picture_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("ENGRAM_DATA", str(tmp_path))
    for name, count in (("a", 2), ("b", 1)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(count):
            Image.new("L", (4, 4)).save(tmp_path / "set" / name / f"{i}.png")
    assert labelled_folder("set", ("a",), 2, "how").classes == ("a",)
    with pytest.raises(DamagedError, match="1 pictures, not 2"):
        labelled_folder("set", ("a", "b"), 2, "how")


def test_damaged_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("ENGRAM_DATA", str(tmp_path))
    (tmp_path / "clinc150").mkdir()
    (tmp_path / "tiny-imagenet").mkdir()
    queries, archive = tmp_path / "clinc150/data_full.json", tmp_path / "tiny-imagenet/tiny-imagenet-160.zip"
    for content in ("{", "[]", json.dumps({"train": []})):
        queries.write_text(content)
        with pytest.raises(DamagedError):
            clinc150()
    archive.write_bytes(b"not a zip")
    with pytest.raises(DamagedError, match="zip"):
        tiny_imagenet()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("tiny-imagenet/train/n1/1.JPEG", b"")
    with pytest.raises(DamagedError, match="1 pictures"):
        tiny_imagenet()


def test_what_is_taught_is_never_asked():
    labels = ["a"] * 5 + ["b"] * 5
    teach, ask = few_of_each(labels, ["b", "a"], 3, 2, np.random.default_rng(1))
    assert sorted(np.concatenate([*teach, *ask]).tolist()) == list(range(10))
    assert {labels[i] for i in teach[0]} == {labels[i] for i in ask[0]} == {"b"}
