"""The photo backbone that comes with the program."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import engram.features.backbones
from engram.features.backbones.bundle import Bundle
from engram.heads.fast import FastHead
from engram.lab.data_sets.labelled_folder import few_of_each
from engram.lab.data_sets.photos import NOVEL, photos
from engram.learner import EngramError

FOLDER = Path(engram.features.backbones.__file__).parent / "data" / "photos"


def test_it_is_small_whole_and_found_by_name():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 6_000_000
    bundle = Bundle.open(FOLDER)
    assert bundle.covariance is not None
    assert bundle.name == "photos"


def test_a_picture_of_any_size_and_colour_becomes_one_vector():
    bundle, rng = Bundle.open(FOLDER), np.random.default_rng(0)
    pictures = [
        rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((300, 240, 3), (64, 64, 3), (50, 200), (1, 1, 3))
    ]
    features = bundle.features([*pictures, Image.fromarray(pictures[0])])
    assert features.shape == (5, bundle.width)
    assert np.array_equal(features[0], features[4])


def test_five_photographs_of_each_of_ten_kinds_it_never_saw_are_enough_to_tell_them_apart():
    try:
        pictures = photos()
    except EngramError as error:
        pytest.skip(str(error))
    bundle = Bundle.open(FOLDER)
    teach, ask = few_of_each(pictures.labels, NOVEL, 5, 10, np.random.default_rng(0))
    head = FastHead(bundle.mean, bundle.covariance)
    for places in teach:
        head.learn(bundle.features([pictures.paths[i] for i in places]), pictures.labels[places[0]])
    asked = np.concatenate(ask)
    found = head.predict(bundle.features([pictures.paths[i] for i in asked])).best
    right = [label == pictures.labels[i] for label, i in zip(found, asked, strict=True)]
    assert np.mean(right) > 0.7
