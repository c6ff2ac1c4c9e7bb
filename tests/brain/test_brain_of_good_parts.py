"""A brain of good parts is a brain like any other: log, undo, forgetting, melding, and a map of where it is strange."""

import io

import numpy as np
import pytest
from PIL import Image

from engram import Brain, meld
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.catalogue import bundle_of
from engram.inputs.overlay import heat_overlay
from engram.lab.experiments.parts.surfaces import drawn
from engram.learner import DamagedError, InputError, LabelError

GOOD = [drawn("mesh", (5, i)).picture for i in range(8)]
OTHER = [drawn("gauge", (5, i)).picture for i in range(3)]
STAINED = drawn("mesh", (5, 101), "stain")


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    path = tmp_path_factory.mktemp("parts") / "mesh.brain"
    with Brain.create(path, "good-parts") as brain:
        brain.learn(GOOD, "mesh")
        yield brain


def test_a_fault_is_nothing_it_knows_and_the_map_is_hottest_where_the_fault_is(taught):
    answers = taught.predict([drawn("mesh", (5, 99)).picture, STAINED.picture])
    assert answers.labels == ["mesh", None]
    heat = taught.heat([STAINED.picture])[0]
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert STAINED.mask[int((row + 0.5) * 128 / 20), int((column + 0.5) * 128 / 20)]
    shown = np.asarray(Image.open(io.BytesIO(heat_overlay(STAINED.picture, heat))))
    redder = shown[..., 0].astype(int) - STAINED.picture[..., 0]
    assert redder[STAINED.mask].mean() > 20 > redder[~STAINED.mask].mean()


def test_products_come_and_go_and_nothing_of_them_stays(taught):
    before = taught.digest()
    taught.learn(OTHER, "gauge")
    assert taught.predict(OTHER[:1]).best == ["gauge"]
    taught.undo()
    assert taught.digest() == before
    taught.learn(OTHER, "gauge")
    taught.forget(label="gauge")
    taught.forget([GOOD[2]], "mesh")
    one, two = Brain("good-parts"), Brain("good-parts")
    one.learn(GOOD[:2], "mesh")
    for picture in GOOD[:2:-1]:
        two.learn([picture], "mesh")
    assert taught.digest() == meld(one, two).digest()
    with Brain.open(taught._ledger.path, readonly=True) as reopened:
        assert reopened.digest() == taught.digest()
        np.testing.assert_array_equal(reopened.heat([STAINED.picture]), taught.heat([STAINED.picture]))
    taught.learn([GOOD[2]], "mesh")
    assert taught.digest() == before


def test_what_needs_whole_pictures_is_refused_with_the_way_to_go(taught):
    before = taught.digest()
    with pytest.raises(InputError, match="good ones alone"):
        taught.learn_not([STAINED.picture], "mesh")
    with pytest.raises(InputError, match="augment"):
        taught.learn([GOOD[0]], "mesh", augment=True)
    with pytest.raises(InputError, match="--backbone good-parts"):
        Brain("descriptor").heat([GOOD[0]])
    with pytest.raises(InputError, match="gate"):
        Brain("good-parts", gate=0.1)
    assert taught.digest() == before
    assert taught.info()["errors"].startswith("2% of good pictures will be refused")


def test_faults_are_not_named_as_a_product_and_false_alarms_are_as_theirs():
    brain = Brain("good-parts")
    brain.learn(GOOD[:1], "mesh")
    assert brain.info()["errors"] == "Nothing is refused as mesh yet: teach at least two pictures of it."
    assert brain.info()["refused"] == 0
    brain.learn(GOOD[1:4], "mesh")
    assert brain.predict([STAINED.picture], remember=True).labels == [None]
    (group,), before = brain.unknown_groups(), brain.digest()
    with pytest.raises(LabelError, match=r"'broken' is none of the products.*'mesh'.*as good ones"):
        brain.name(group.number, "broken")
    assert (brain.digest(), len(brain.unknowns)) == (before, 1)
    assert brain.name(group.number, "mesh") == 1


def test_the_bundle_travels_with_its_network_and_a_damaged_one_is_refused():
    bundle = bundle_of("good-parts")
    files = bundle.files()
    again = Bundle.from_files(files)
    assert again.fingerprint == bundle.fingerprint
    assert again.grid == (20, 20)
    np.testing.assert_array_equal(again.features(GOOD[:1]), bundle.features(GOOD[:1]))
    with pytest.raises(DamagedError):
        Bundle.from_files({**files, "network.onnx": files["network.onnx"][:-5]})
