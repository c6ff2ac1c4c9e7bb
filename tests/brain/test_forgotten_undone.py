"""What was taught and then undone is forgotten like what is known: by label, number, teacher and content."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lasting import lasts

from engram.brain import Brain
from engram.features.backbones.bundle import Bundle
from engram.learner import EngramError, NotTaughtError

RNG = np.random.default_rng(4)
POINTS = RNG.normal(0, 0.3, (40, 16)) + 3 * np.eye(16)[np.arange(40) % 2]
SECRET = RNG.normal(0, 0.3, (2, 16)) + 6 * np.eye(16)[5]
BUNDLE = Bundle.of_vectors(16, largest=8.0)
JANE, EVE = "Jane Q. Doe", "Eve Example"

Forget = Callable[[Brain, tuple[int, ...]], Any]
WAYS: dict[str, Forget] = {
    "label": lambda brain, ids: brain.forget(label=JANE),
    "ids": lambda brain, ids: brain.forget(ids=ids),
    "teacher": lambda brain, ids: brain.forget(teacher=EVE),
    "content": lambda brain, ids: brain.forget(SECRET),
    "content and label": lambda brain, ids: brain.forget(SECRET, JANE),
    "every copy": lambda brain, ids: brain.forget(SECRET, JANE, every_copy=True),
}


@pytest.fixture
def brain(tmp_path: Path) -> Iterator[Brain]:
    with Brain.create(tmp_path / "brain", BUNDLE, device="here") as made:
        made.learn(POINTS[:20], ["cup", "fern"] * 10, teacher="ann")
        yield made


def contents(brain: Brain) -> dict[str, bytes]:
    """Everything that is, or can be read: files, the export, the history."""
    home = brain._ledger.path
    found = {file.name: file.read_bytes() for file in home.rglob("*") if file.is_file()}
    export = io.StringIO()
    brain.export(export)
    return found | {"export": export.getvalue().encode(), "history": repr(brain.history(limit=1000)).encode()}


def holders(brain: Brain, *needles: Any) -> list[str]:
    """Where a name, or the features or quantised features of a point, can be read."""
    parts = []
    for needle in needles:
        if isinstance(needle, str):
            parts.append(needle.encode())
        else:
            rows, features = brain.quantised(needle), brain.bundle.features(needle)
            parts += [row.astype("<i2").tobytes() for row in rows] + [row.astype("<f8").tobytes() for row in rows]
            parts += [np.asarray(row, "<f4").tobytes() for row in features]
    return sorted(where for where, content in contents(brain).items() if any(part in content for part in parts))


def taught_and_undone(brain: Brain, undo: str) -> tuple[int, ...]:
    before = brain.seq
    ids = brain.learn_examples(SECRET, JANE, teacher=EVE, sources=[f"people/{JANE}/{i}.png" for i in range(2)]).ids
    if undo == "undo":
        brain.undo()
    else:
        brain.learn(POINTS[26:28], "cup", teacher="ann")
        brain.rollback(before)
    return ids


@pytest.mark.parametrize("undo", ["undo", "rollback"])
@pytest.mark.parametrize("way", WAYS)
def test_what_was_undone_is_forgotten_by_label_number_teacher_and_content(brain: Brain, way: str, undo: str) -> None:
    digest = brain.digest()
    ids = taught_and_undone(brain, undo)
    assert min(len(holders(brain, needle)) for needle in (SECRET, JANE, EVE))
    WAYS[way](brain, ids)
    assert holders(brain, SECRET, JANE) == []
    assert holders(brain, EVE) == [] or way != "teacher"
    assert brain.digest() == digest
    with pytest.raises(NotTaughtError):
        WAYS[way](brain, ids)
    lasts(brain)


@pytest.mark.parametrize("way", WAYS)
def test_undone_renamed_and_corrected_it_is_found_by_the_name_it_had_last_too(brain: Brain, way: str) -> None:
    before = brain.seq
    ids = brain.learn_examples(SECRET, "person 7", teacher=EVE).ids
    brain.rename("person 7", "P. Seven")
    brain.relabel(ids[:1], JANE)
    brain.rename("P. Seven", "Seven")
    brain.relabel(ids[1:], JANE)
    brain.rollback(before)
    WAYS[way](brain, ids)
    assert holders(brain, SECRET, JANE, "person 7", "P. Seven", "Seven") == []
    lasts(brain)


def test_an_undone_copy_goes_with_the_one_that_is_known(brain: Brain) -> None:
    before = brain.digest()
    brain.learn(SECRET[:1], JANE, teacher=EVE)
    undone = brain.learn_examples(SECRET, JANE, teacher=EVE).ids
    brain.undo()
    brain.forget(SECRET, JANE)  # one is known, the other only undone
    assert (brain.digest(), holders(brain, SECRET, JANE)) == (before, [])
    with pytest.raises(NotTaughtError):
        brain.forget(ids=undone)
    lasts(brain)


def test_known_and_undone_numbers_are_forgotten_together(brain: Brain) -> None:
    before = brain.digest()
    known = brain.learn_examples(SECRET[:1], JANE).ids
    undone = brain.learn_examples(SECRET[1:], JANE).ids
    brain.undo()
    brain.forget(ids=[*known, *undone])
    assert brain.history()[0].note == "2 example(s), for good"
    assert (brain.digest(), holders(brain, SECRET, JANE)) == (before, [])
    lasts(brain)


def test_what_nobody_ever_named_is_refused_and_changes_nothing(brain: Brain) -> None:
    taught_and_undone(brain, "undo")
    seq = brain.seq
    for refused in ({"label": "nobody"}, {"teacher": "nobody"}, {"ids": [seq + 5]}, {"ids": [1]}):
        with pytest.raises(NotTaughtError):
            brain.forget(**refused)
    with pytest.raises(NotTaughtError, match="Example 2 to forget"):
        brain.forget(np.stack([SECRET[0], POINTS[30]]))
    with pytest.raises(NotTaughtError, match="as 'cup'"):
        brain.forget(SECRET, "cup")
    assert brain.seq == seq
    assert holders(brain, SECRET)


def test_a_name_that_a_label_had_before_is_refused_and_the_new_one_told(brain: Brain) -> None:
    brain.learn(SECRET, JANE)
    brain.rename(JANE, "Seven")
    with pytest.raises(NotTaughtError, match="is called 'Seven' now"):
        brain.forget(label=JANE)


def test_a_name_under_which_nothing_is_left_is_forgotten_too(brain: Brain) -> None:
    ids = brain.learn_examples(SECRET, JANE, sources=[f"people/{JANE}/1.png", "2.png"]).ids
    brain.relabel(ids, "fern")
    digest = brain.digest()
    brain.forget(label=JANE)
    assert (holders(brain, JANE), brain.digest()) == ([], digest)
    assert [one.source for one in brain.examples("fern")][-2:] == [None, "2.png"]
    lasts(brain)


def test_a_name_that_came_with_an_undone_meld_is_forgotten_too(brain: Brain) -> None:
    other = Brain(BUNDLE, device="elsewhere")
    other.learn(SECRET, JANE)
    brain.meld(other)
    brain.undo()
    assert holders(brain, JANE)
    brain.forget(label=JANE)
    assert holders(brain, JANE, SECRET) == []
    lasts(brain)


def test_a_teacher_of_whom_only_the_name_is_left_is_forgotten_too(brain: Brain) -> None:
    brain.forget(ids=brain.learn_examples(SECRET, "cup", teacher=EVE).ids)
    assert holders(brain, EVE)
    digest = brain.digest()
    brain.forget(teacher=EVE)
    assert (holders(brain, EVE), brain.digest()) == ([], digest)
    assert brain.history()[0].note == "a teacher's name, for good"
    lasts(brain)


def test_names_that_are_no_unicode_text_are_forgotten_too(brain: Brain) -> None:
    teacher = "ad\udce9"
    brain.learn_examples(SECRET, "cup", teacher=teacher, sources=["caf\udce9/1.png", "2.png"])
    brain.undo()
    brain.forget(teacher=teacher)
    assert holders(brain, SECRET, "ad\\xe9", "caf\\xe9") == []
    with pytest.raises(NotTaughtError):
        brain.forget(teacher=teacher)
    brain.learn_examples(POINTS[30:31], "cup", sources=["caf\udce9/3.png"])
    brain.learn(SECRET, "cafe")
    brain.rename("cafe", r"caf\xe9")
    brain.forget(label=r"caf\xe9")
    assert holders(brain, r"caf\xe9") == []
    lasts(brain)


def test_no_rollback_and_no_import_brings_it_back(brain: Brain) -> None:
    before = brain.seq
    brain.learn(SECRET, JANE, teacher=EVE)
    taught, export = brain.seq, io.StringIO()
    brain.export(export)
    brain.rollback(before)
    brain.forget(SECRET)
    with pytest.raises(EngramError, match="forgotten for good"):
        brain.rollback(taught)
    export.seek(0)
    assert brain.import_events(export).forgotten == 2
    assert JANE not in brain.labels


@pytest.mark.parametrize("way", WAYS)
def test_followers_and_melds_go_on(brain: Brain, way: str) -> None:
    other = Brain(BUNDLE, device="elsewhere")
    other.learn(POINTS[32:34], "cup")
    with Brain.open(brain._ledger.path, readonly=True) as follower:
        ids = taught_and_undone(brain, "undo")
        follower.refresh()
        WAYS[way](brain, ids)
        brain.meld(other)
        follower.refresh()
        assert follower.digest() == brain.digest()
    other.meld(brain)
    assert other.digest() == brain.digest()
    lasts(brain)


def test_what_another_device_forgot_is_not_returned_to_where_it_was_undone_here(brain: Brain) -> None:
    ids = taught_and_undone(brain, "undo")
    other = Brain(BUNDLE, device="elsewhere")
    other.learn(SECRET, JANE)
    other.forget(SECRET)
    brain.predict(SECRET, remember=True)
    brain.meld(other)
    assert holders(brain, SECRET, JANE) == []
    with pytest.raises(EngramError, match="forgotten for good"):
        brain.rollback(ids[-1])
    lasts(brain)


# Counterexamples and the inbox


def test_undone_counterexamples_are_forgotten_by_content_label_number_and_teacher(brain: Brain) -> None:
    ways: list[Forget] = [
        lambda brain, ids: brain.forget_not(SECRET, "cup"), lambda brain, ids: brain.forget(ids=ids),
        lambda brain, ids: brain.forget(teacher=EVE), lambda brain, ids: brain.forget(label="cup"),
    ]  # fmt: skip
    for forget in ways:
        ids = brain.learn_not(SECRET, "cup", teacher=EVE).ids
        brain.undo()
        assert holders(brain, SECRET)
        forget(brain, ids)
        assert holders(brain, SECRET) == []
    assert holders(brain, EVE, "cup") != []  # they were named again after the teacher was forgotten
    brain.forget(teacher=EVE)
    assert holders(brain, EVE, "cup") == []
    lasts(brain)


@pytest.mark.parametrize("forget", [
    lambda brain, ids: brain.forget_not(SECRET, "cup"), lambda brain, ids: brain.forget(ids=ids),
    lambda brain, ids: brain.forget(teacher=EVE), lambda brain, ids: brain.forget(label="cup"),
])
@pytest.mark.parametrize("undone", [False, True])
def test_a_counterexample_that_the_inbox_holds_too_leaves_it(brain: Brain, forget: Forget, undone: bool) -> None:
    brain.predict(SECRET, remember=True)
    assert len(brain.unknowns) == 2
    ids = brain.learn_not(SECRET, "cup", teacher=EVE).ids
    if undone:
        brain.undo()
    forget(brain, ids)
    assert len(brain.unknowns) == 0
    assert holders(brain, SECRET) == []
    lasts(brain)


@pytest.mark.parametrize("way", WAYS)
def test_what_was_undone_leaves_the_inbox_too(brain: Brain, way: str) -> None:
    ids = taught_and_undone(brain, "undo")
    brain.predict(SECRET, remember=True)
    brain.save()
    assert len(brain.unknowns) == 2
    WAYS[way](brain, ids)
    assert len(brain.unknowns) == 0
    assert holders(brain, SECRET, JANE) == []
    lasts(brain)


def test_unknowns_from_a_folder_of_the_forgotten_name_leave_the_inbox(brain: Brain) -> None:
    brain.learn(SECRET, JANE)
    strange = SECRET[:, ::-1].copy()
    brain.predict(strange, remember=True, sources=[f"people/{JANE}/9.png", f"people/{JANE}'s friend/1.png"])
    brain.save()
    brain.forget(label=JANE)
    assert [one.source for one in brain.unknowns] == [f"people/{JANE}'s friend/1.png"]
    assert holders(brain, strange[:1], f"{JANE}/") == []
