"""A forgotten label, a name that it had before, and a forgotten teacher are named in no byte of what a brain keeps."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lasting import lasts

from engram.brain import Brain
from engram.brain.erasing import Unnamed
from engram.brain.repair import verify
from engram.brain.tombstones import Tombstone
from engram.learner import EngramError, Label
from engram.store.event_log import EventLog

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(40, 8))
JANE, P7, BOB = "Jane Q. Doe", "person 7", "Bob"


@pytest.fixture
def brain(tmp_path: Path) -> Iterator[Brain]:
    with Brain.create(tmp_path / "brain") as made:
        made.learn(POINTS[:3], "other", teacher="ann")
        yield made


def named(brain: Brain, *names: Label) -> list[str]:
    """Where one of these names can be read: files of the brain, its export, its history."""
    home = brain._ledger.path
    brain.save()
    said = {file.name: file.read_bytes() for file in home.rglob("*") if file.is_file()}
    export = io.StringIO()
    brain.export(export)
    said |= {"export": export.getvalue().encode(), "history": repr(brain.history()).encode()}
    return sorted(where for where, content in said.items() if any(str(name).encode() in content for name in names))


@pytest.mark.parametrize("label", [JANE, "Zoë \"quoted\" \\ name"])
def test_a_forgotten_label_is_named_nowhere(brain: Brain, label: str) -> None:
    brain.learn(POINTS[3:6], label)
    assert named(brain, json.dumps(label)[1:-1])
    brain.forget(label=label)
    assert named(brain, label, json.dumps(label)[1:-1]) == []
    assert brain.history()[0].note == "a label, for good"
    lasts(brain)


def test_a_forgotten_whole_number_is_named_nowhere(tmp_path: Path) -> None:
    number, renamed = 4021977123456, 5021977123456
    with Brain.create(tmp_path / "brain") as brain:
        brain.learn(POINTS[:3], 1)
        brain.learn(POINTS[3:6], number)
        brain.rename(number, renamed)
        brain.forget(label=renamed)
        assert named(brain, number, renamed) == []
        lasts(brain)


def test_the_names_that_a_forgotten_label_had_before_go_with_it(brain: Brain) -> None:
    brain.learn(POINTS[3:6], JANE)
    brain.rename(JANE, "Jane")
    brain.rename("Jane", P7)
    assert named(brain, JANE)
    brain.forget(label=P7)
    assert named(brain, "Jane", P7) == []
    lasts(brain)


def test_what_was_corrected_stays_and_its_first_label_goes(brain: Brain) -> None:
    ids = brain.learn_examples(POINTS[3:6], JANE).ids
    brain.relabel(ids[:1], BOB)
    brain.rename(JANE, P7)
    brain.relabel(ids[1:2], BOB)
    brain.forget(label=P7)
    assert named(brain, JANE, P7) == []
    assert (brain.counts()[BOB], len(brain.examples(BOB))) == (2, 2)
    brain.forget(ids=ids[:1])
    assert brain.counts()[BOB] == 1
    lasts(brain)


@pytest.mark.parametrize("forget", [
    lambda brain, ids: brain.forget(ids=ids),
    lambda brain, ids: brain.forget(POINTS[3:6]),
    lambda brain, ids: brain.forget(teacher="eve"),
])
def test_a_label_that_loses_its_last_example_is_named_nowhere(
    brain: Brain, forget: Callable[[Brain, Any], None]
) -> None:
    ids = brain.learn_examples(POINTS[3:6], JANE, teacher="eve").ids
    brain.rename(JANE, P7)
    forget(brain, ids)
    assert named(brain, JANE, P7) == []
    lasts(brain)


def test_a_label_that_keeps_examples_keeps_its_names(brain: Brain) -> None:
    ids = brain.learn_examples(POINTS[3:6], JANE).ids
    brain.rename(JANE, P7)
    brain.forget(ids=ids[:1])
    assert [entry.note for entry in brain.history() if entry.kind == "renamed"] == [f"{JANE} is called {P7}"]


def test_a_name_that_was_rolled_back_goes_with_the_next_forget(brain: Brain) -> None:
    seq = brain.seq
    brain.learn(POINTS[3:6], JANE)
    brain.rename(JANE, P7)
    brain.rollback(seq)
    brain.forget(POINTS[:1])
    assert named(brain, JANE, P7) == []
    lasts(brain)


def test_a_forgotten_teacher_is_named_nowhere(brain: Brain) -> None:
    ids = brain.learn_examples(POINTS[3:6], "other", teacher="Eve Example").ids
    brain.forget(ids=ids[:1])
    seq = brain.seq
    brain.learn(POINTS[6:8], "other", teacher="Eve Example")
    brain.rollback(seq)
    assert named(brain, "Eve Example")
    brain.forget(teacher="Eve Example")
    assert named(brain, "Eve Example") == []
    assert "ann" in {entry.teacher for entry in brain.history()}
    lasts(brain)


def test_a_label_taught_again_is_known_again_and_forgotten_again(brain: Brain) -> None:
    for _ in range(2):
        brain.learn(POINTS[3:6], JANE)
        brain.forget(label=JANE)
        assert named(brain, JANE) == []
    brain.learn(POINTS[3:6], JANE)
    assert brain.counts()[JANE] == 3
    lasts(brain)


# Beside other devices


def old_device(label: str) -> Brain:
    made = Brain(device=f"old {len(label)}")
    made.learn(POINTS[20:23], label)
    return made


@pytest.mark.parametrize("still_called", [JANE, P7])
def test_an_old_device_that_knows_the_label_does_not_bring_it_back(brain: Brain, still_called: str) -> None:
    brain.learn(POINTS[3:6], JANE)
    brain.rename(JANE, P7)
    brain.forget(label=P7)
    report = brain.meld(old_device(still_called))
    assert not {JANE, P7} & set(brain.labels)
    assert repr(still_called) in report.notes[0]
    assert named(brain, JANE, P7) == []
    lasts(brain)


def test_a_forget_that_comes_with_a_meld_takes_the_names_here_too(brain: Brain, tmp_path: Path) -> None:
    with Brain.create(tmp_path / "other", device="other") as other:
        other.learn(POINTS[3:6], JANE)
        brain.meld(other)
        other.rename(JANE, P7)
        brain.meld(other)
        assert named(brain, JANE)
        other.forget(label=P7)
        brain.meld(other)
        assert named(brain, JANE, P7) == []
        assert not {JANE, P7} & set(brain.labels)
        with pytest.raises(EngramError, match="forgotten for good"):
            brain.rollback(brain.seq - 1)
    lasts(brain)


def test_what_was_rolled_back_here_and_forgotten_there_is_not_returned_to(brain: Brain) -> None:
    seq = brain.seq
    brain.learn(POINTS[3:6], JANE)
    taught = brain.seq
    brain.rollback(seq)
    other = old_device(JANE)
    other.forget(label=JANE)
    brain.meld(other)
    assert named(brain, JANE) == []
    with pytest.raises(EngramError, match="forgotten for good"):
        brain.rollback(taught)


def test_two_devices_that_forget_each_for_itself_agree() -> None:
    brains = [Brain(device=name) for name in ("one", "two")]
    brains[0].learn(POINTS[:3], JANE)
    brains[1].meld(brains[0])
    brains[1].rename(JANE, P7)
    brains[0].meld(brains[1])
    for brain in brains:
        brain.forget(label=P7)
    brains[0].meld(brains[1])
    brains[1].meld(brains[0])
    assert brains[0].digest() == brains[1].digest()
    for brain in brains:
        for label in (JANE, P7):
            brain.meld(old_device(label))
            assert brain.labels == ()


def test_an_import_from_before_does_not_bring_back_a_name(brain: Brain) -> None:
    brain.learn(POINTS[3:6], JANE)
    before = io.StringIO()
    brain.export(before)
    brain.rename(JANE, P7)
    brain.forget(label=P7)
    before.seek(0)
    assert brain.import_events(before).forgotten == 3
    assert named(brain, JANE, P7) == []


def test_a_brain_that_recorded_labels_of_forgets_in_clear_is_rid_of_them_when_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Brain.create(tmp_path / "brain") as brain, monkeypatch.context() as patched:
        patched.setattr(Tombstone, "ended", lambda edict: edict)
        patched.setattr("engram.brain.erasing.unnamed", lambda *_: Unnamed())
        brain.learn(POINTS[:3], "other")
        brain.learn(POINTS[3:6], JANE)
        brain.rename(JANE, P7)
        brain.forget(label=P7)
        digest = brain.digest()
        with EventLog.open(tmp_path / "brain" / "log.sqlite", readonly=True) as log:
            assert P7 in repr([event.body for event in log.read(kinds=["forgot"])])
    assert verify(tmp_path / "brain")
    with Brain.open(tmp_path / "brain") as brain:
        assert (brain.traces(), brain.digest()) == ([], digest)
        assert named(brain, JANE, P7) == []
        brain.meld(old_device(JANE), Brain())
        assert brain.digest() == digest
        lasts(brain)


def acts(brain: Brain, other: Brain, rng: random.Random) -> list[Callable[[], Any]]:
    """What may be done next."""
    one, two = rng.sample([f"name {i} of many" for i in range(6)], 2)
    ids = [rng.choice(found).id] if (found := brain.examples(limit=1000)) else []
    acts: dict[Callable[[], Any], int] = {
        lambda: brain.learn(RNG.normal(size=(2, 8)), one): 8, lambda: brain.rename(one, two): 4,
        lambda: brain.relabel(ids, one): 3, lambda: brain.forget(label=one): 2, lambda: brain.forget(ids=ids): 2,
        lambda: brain.undo(): 1, lambda: brain.meld(other): 3,
    }
    return rng.choices(list(acts), list(acts.values()))


def test_whatever_is_done_the_log_alone_tells_the_same(tmp_path: Path) -> None:
    rng = random.Random(11)
    brains = [Brain.create(tmp_path / f"{i}", device=f"{i}") for i in range(2)]
    for brain in brains:
        brain.learn(POINTS[:1], "other")
    for _ in range(60):
        brain, other = rng.sample(brains, 2)
        for act in acts(brain, other, rng):
            with suppress(EngramError):
                act()
    for brain in brains:
        assert brain.history(limit=1000)
        lasts(brain)
