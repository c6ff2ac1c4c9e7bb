"""A brain's audit and its reasons: examples by the numbers, sources and pictures that its log keeps of them."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engram.brain import Brain
from engram.learner import InputError


def directions(per_class=12, width=40, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    names = [name for name in ("ant", "bee", "cow", "dog")[:classes] for _ in range(per_class)]
    centres = np.repeat(rng.normal(size=(classes, width)), per_class, axis=0)
    return centres + 0.7 * rng.normal(size=centres.shape), names


@pytest.fixture
def brain(tmp_path):
    """Taught one by one from named files; example 4 (a bee) was called a cow."""
    vectors, names = directions()
    names[15] = "cow"
    with Brain.create(tmp_path / "b") as made:
        made.vectors = vectors
        learned = made.learn_examples(vectors, names, teacher="eve", sources=[f"{i}.csv" for i in range(36)])
        made.ids = list(learned.ids)
        yield made


def test_an_audit_names_the_example_and_what_it_would_be_called(brain):
    found = brain.audit()
    assert found.examined == 36
    assert found.disputed >= 1
    worst = found.suspects[0]
    assert (worst.label, worst.other) == ("cow", "bee")
    assert worst.margin > 0
    assert worst.probability < 0.5
    assert (worst.example.id, worst.example.source, worst.example.teacher) == (brain.ids[15], "15.csv", "eve")
    assert [suspect.margin for suspect in found.suspects] == sorted((s.margin for s in found.suspects), reverse=True)


def test_a_correction_by_number_settles_it(brain):
    worst = brain.audit().suspects[0]
    brain.relabel([worst.example.id], worst.other)
    after = brain.audit()
    assert after.disputed < 1 + brain.audit(limit=1).disputed
    assert all(suspect.example.id != worst.example.id for suspect in after.suspects if suspect.margin > 0)
    moved = next(suspect for suspect in after.suspects if suspect.example.id == worst.example.id)
    assert (moved.label, moved.example.label) == ("bee", "bee")


def test_what_was_renamed_and_forgotten_is_told_as_it_is_now(brain):
    brain.rename("cow", "ox")
    brain.forget(ids=[brain.ids[0]])
    found = brain.audit()
    assert (found.examined, found.suspects[0].label, found.suspects[0].example.label) == (35, "ox", "ox")
    assert found.suspects[0].example.id == brain.ids[15]
    assert brain.ids[0] not in {suspect.example.id for suspect in found.suspects}


def test_the_same_example_taught_again_has_two_numbers_and_both_are_told(brain):
    again = brain.learn_examples(brain.vectors[[20, 30]], ["bee", "ant"]).ids
    groups = brain.audit().duplicates
    assert [group.conflict for group in groups] == [True, False]
    assert sorted(groups[0].labels) == ["ant", "cow"]
    assert {one.id for one in groups[0].examples} == {brain.ids[30], again[1]}
    assert {one.id for one in groups[1].examples} == {brain.ids[20], again[0]}


def test_the_limit_bounds_what_is_told_and_not_what_is_counted(brain):
    found = brain.audit(limit=2)
    assert len(found.suspects) == 2
    assert (found.examined, len(found.needs)) == (36, 3)
    with pytest.raises(InputError, match="limit"):
        brain.audit(limit=0)


def test_an_audit_changes_nothing(brain):
    before = brain.digest(), brain.seq
    brain.audit()
    brain.why(brain.vectors[:2])
    assert (brain.digest(), brain.seq) == before


def test_a_brain_in_memory_and_what_another_device_taught_have_no_numbers(brain):
    vectors, names = directions(seed=1)
    other = Brain()
    other.learn(vectors, [name + "s" for name in names])
    assert all(suspect.example is None for suspect in other.audit().suspects)
    brain.meld(other)
    numbered = {suspect.label for suspect in brain.audit().suspects if suspect.example is not None}
    without = {suspect.label for suspect in brain.audit().suspects if suspect.example is None}
    assert (numbered, without) == ({"ant", "bee", "cow"}, {"ants", "bees", "cows"})


def test_an_empty_brain_has_nothing_to_find():
    found = Brain().audit()
    assert (found.examined, found.disputed, found.suspects, found.duplicates, found.needs) == (0, 0, (), (), ())
    with pytest.raises(InputError, match="call learn first"):
        Brain().why([[1.0, 2.0]])


def test_reasons_are_the_nearest_examples_and_every_labels_share(brain):
    asked = brain.vectors[5:6] + 0.2 * np.random.default_rng(2).normal(size=(1, 40))
    (found,) = brain.why(asked, nearest=3)
    assert found.answer.label == "ant" == found.shares[0][0]
    assert {label for label, _ in found.shares} == {"ant", "bee", "cow"}
    assert math.isclose(sum(share for _, share in found.shares), 1.0)
    assert len(found.nearest) == 3
    first = found.nearest[0]
    assert (first.label, first.example.id, first.example.source) == ("ant", brain.ids[5], "5.csv")
    assert 0.5 < first.similarity <= 1.0
    with pytest.raises(InputError, match="nearest"):
        brain.why(asked, nearest=0)


def test_pictures_come_with_the_thumbnails_that_are_kept(tmp_path: Path):
    rng = np.random.default_rng(0)
    for name, hue in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        (tmp_path / "in" / name).mkdir(parents=True)
        for i in range(3):
            pixels = np.clip(np.array(hue) + rng.normal(0, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "in" / name / f"{i}.png")
    with Brain.create(tmp_path / "b", "descriptor") as brain:
        brain.learn(tmp_path / "in")
        assert all(suspect.example.thumbnail for suspect in brain.audit().suspects)
        (found,) = brain.why(tmp_path / "in" / "red" / "1.png", nearest=1)
        assert found.nearest[0].example.source.endswith("1.png")
        assert brain.thumbnail(found.nearest[0].example.id) is not None
