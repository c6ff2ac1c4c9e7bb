"""Undo takes back what one act did, whole: a call, or the many calls of one drop of files or one command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engram.brain import Brain, acting
from engram.brain.changes import checkpoint
from engram.brain.repair import verify
from engram.features.backbones.bundle import Bundle
from engram.learner import InputError

POINTS = np.random.default_rng(5).normal(size=(80, 6))


@pytest.fixture
def brain(tmp_path: Path) -> Iterator[Brain]:
    with Brain.create(tmp_path / "brain", Bundle.of_vectors(6, largest=8.0)) as made:
        made.learn(POINTS[:6], ["cup", "fern", "shoe"] * 2)
        yield made
        made.close()
        assert verify(tmp_path / "brain") == []


def in_parts(brain: Brain, act: str, *parts: tuple[int, str], teacher: str | None = None) -> None:
    """Teach points of these places, each under its label, by a call of its own, as one act."""
    with acting(None, act):
        for place, label in parts:
            brain.learn(POINTS[place], label, teacher=teacher)


def test_all_calls_of_an_act_are_one_line_of_history_and_one_undo(brain: Brain, tmp_path: Path) -> None:
    before = brain.digest()
    in_parts(brain, "drop", *((place, f"thing {place % 10}") for place in range(10, 50)))
    newest = brain.history()[0]
    assert (sum(newest.labels.values()), len(newest.labels)) == (40, 10)
    brain.close()
    with Brain.open(tmp_path / "brain") as again, Brain.open(tmp_path / "brain", readonly=True) as follower:
        undone = again.undo()
        assert (undone.labels, again.digest()) == (newest.labels, before)
        assert follower.refresh()
        assert follower.digest() == before
        assert again.undo().kind == "taught"  # further back: the first lesson
        with pytest.raises(InputError, match="nothing to undo"):
            again.undo()


def test_what_others_taught_between_stays(brain: Brain, tmp_path: Path) -> None:
    with Brain.create(tmp_path / "other", Bundle.of_vectors(6, largest=8.0)) as other:
        other.learn(POINTS[:6], ["cup", "fern", "shoe"] * 2)
        in_parts(brain, "a", (10, "lamp"), (11, "cup"))
        for mind in (brain, other):
            in_parts(mind, "b", (20, "tent"), teacher="bob")
        in_parts(brain, "a", (12, "lamp"))
        for mind in (brain, other):
            mind.learn_not(POINTS[30], "tent")
            mind.set_alpha(0.1, "cup")
            mind.undo()
            mind.set_alpha(0.2)
            in_parts(mind, "b", (21, "cup"), teacher="bob")
        in_parts(brain, "a", (13, "lamp"))
        brain._ledger.snapshot(brain._knowledge, brain.seq)
        undone = brain.undo()
        assert undone.labels == {"lamp": 3, "cup": 1}
        assert (brain.digest(), brain.alpha, brain.counterexamples) == (other.digest(), 0.2, {"tent": 1})
        with Brain.open(tmp_path / "brain", readonly=True) as follower:
            assert follower.digest() == other.digest()
        assert brain._ledger.recover(snapshots=False).total.digest() == other.digest()
        for mind in (brain, other):
            assert (mind.undo().labels, mind.undo().kind) == ({"tent": 1, "cup": 1}, "alpha set")
        assert brain.digest() == other.digest()
        assert brain.undo().kind == other.undo().kind == "taught not"


def test_undo_never_crosses_a_forget_or_a_rename_in_the_midst_of_an_act(brain: Brain) -> None:
    in_parts(brain, "a", (10, "lamp"))
    brain.rename("cup", "mug")
    in_parts(brain, "a", (11, "lamp"))
    assert [brain.undo().kind, brain.undo().kind, brain.undo().kind] == ["taught", "renamed", "taught"]
    in_parts(brain, "b", (12, "lamp"))
    brain.forget(POINTS[0])
    in_parts(brain, "b", (13, "lamp"))
    brain.undo()
    assert brain.counts() == {"cup": 1, "fern": 2, "shoe": 2, "lamp": 1}
    with pytest.raises(InputError, match=r"nothing to undo|forgotten"):
        brain.undo()


def test_an_undone_act_leaves_a_meld_that_had_it(brain: Brain, tmp_path: Path) -> None:
    before = brain.digest()
    in_parts(brain, "a", (10, "lamp"), (11, "lamp"))
    with Brain.create(tmp_path / "all") as everything:
        everything.meld(brain)
        brain.undo()
        everything.meld(brain)
        assert everything.digest() == brain.digest() == before


def test_an_act_larger_than_the_budget_is_undone_whole_or_not_at_all(tmp_path: Path) -> None:
    with Brain.create(tmp_path / "small", Bundle.of_vectors(6, largest=8.0), memory_budget=12 * 20) as brain:
        brain.learn(POINTS[:2], ["cup", "fern"])
        in_parts(brain, "a", *((place, "lamp") for place in range(2, 40)))
        with pytest.raises(InputError, match="let go"):
            brain.undo()


def test_a_checkpoint_after_an_undo_does_not_bring_back_what_was_undone(brain: Brain) -> None:
    in_parts(brain, "a", (10, "lamp"))
    brain.learn(POINTS[11], "tent")
    between = brain.seq
    in_parts(brain, "a", (12, "lamp"))
    brain.undo()
    brain.learn(POINTS[13:16], "tent")
    before = brain.digest()
    brain._carry_out(checkpoint.prepare(brain._ledger, brain.seq - between))
    assert brain._ledger.recover(snapshots=False).total.digest() == brain.digest() == before


def test_the_import_of_a_file_by_many_teachers_is_one_act(brain: Brain, tmp_path: Path) -> None:
    brain.learn(POINTS[10], "lamp", teacher="ada")
    brain.learn_not(POINTS[11], "lamp", teacher="bob")
    brain.export(tmp_path / "all.jsonl")
    with Brain.create(tmp_path / "other") as other:
        other.import_events(tmp_path / "all.jsonl")
        undone = other.undo()
        assert (sum(undone.labels.values()), undone.teacher, other.counts()) == (8, None, {})


def test_unknowns_that_a_gate_would_skip_come_back_when_their_naming_is_undone(tmp_path: Path) -> None:
    centres = 3 * np.eye(8)
    noise = np.random.default_rng(3).normal(0, 0.2, (30, 8))
    with Brain.create(tmp_path / "gated", Bundle.of_vectors(8, largest=8.0), gate=0.05) as brain:
        for place, label in enumerate(("cup", "fern", "shoe")):
            for row in centres[place] + noise[8 * place : 8 * place + 8]:
                brain.learn(row, label)
        brain.predict(centres[4] + noise[24:], remember=True)
        numbers, digest = brain.unknowns.numbers, brain.digest()
        assert len(numbers) == 6
        brain.name(brain.unknown_groups()[0].number, "lamp")
        assert len(brain.unknowns) == 0
        brain.undo()
        assert (brain.unknowns.numbers, brain.digest()) == (numbers, digest)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_taught_and_undone_the_brain_knows_what_its_log_tells(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    with Brain.create(tmp_path / "brain", Bundle.of_vectors(6, largest=8.0)) as brain:
        brain.learn(POINTS[:2], ["cup", "fern"])
        lessons: list[tuple[str, int, str]] = []  # in force: act, place, label
        for place in rng.permutation(np.arange(2, 40)):
            act, label = f"act {rng.integers(4)} of {place // 10}", f"thing {rng.integers(5)}"
            in_parts(brain, act, (place, label))
            lessons.append((act, place, label))
            if rng.random() < 0.3:
                brain.undo()
                lessons = [one for one in lessons if one[0] != act]
            if rng.random() < 0.2:
                brain._ledger.snapshot(brain._knowledge, brain.seq)
        fresh = Brain(Bundle.of_vectors(6, largest=8.0))
        fresh.learn(POINTS[[0, 1, *(place for _, place, _ in lessons)]], ["cup", "fern", *(one[2] for one in lessons)])
        assert brain.digest() == fresh.digest()
    with Brain.open(tmp_path / "brain") as brain:
        assert brain.digest() == fresh.digest()
        while lessons:
            undone = lessons[-1][0]
            brain.undo()
            lessons = [one for one in lessons if one[0] != undone]
        assert brain.counts() == {"cup": 1, "fern": 1}
    assert verify(tmp_path / "brain") == []


def test_a_brain_in_memory_undoes_what_it_was_taught_last_back_to_a_change_of_another_kind() -> None:
    brain = Brain(Bundle.of_vectors(6, largest=8.0))
    brain.learn(POINTS[:6], ["cup", "fern", "shoe"] * 2)
    brain.rename("shoe", "boot")
    digests = [brain.digest()]
    in_parts(brain, "a", (10, "lamp"), (11, "cup"))
    brain.learn(POINTS[12:14], ["tent", "cup"])
    brain.learn_not(POINTS[14], "tent")
    in_parts(brain, "a", (15, "lamp"))
    other = Brain()
    other.meld(brain)
    assert brain.undo().labels == {"lamp": 2, "cup": 1}
    other.meld(brain)
    assert other.digest() == brain.digest()
    fresh = Brain(Bundle.of_vectors(6, largest=8.0))
    fresh.learn(POINTS[[0, 1, 2, 3, 4, 5, 12, 13]], [*["cup", "fern", "boot"] * 2, "tent", "cup"])
    fresh.learn_not(POINTS[14], "tent")
    assert brain.digest() == fresh.digest()
    assert [brain.undo().kind, brain.undo().kind] == ["taught not", "taught"]
    assert brain.digest() == digests[0]
    with pytest.raises(InputError, match=r"change of another kind.*Brain\.create"):
        brain.undo()
    brain.learn(POINTS[20], "cup")
    brain.forget(label="fern")
    with pytest.raises(InputError, match="nothing to undo"):  # no way back holds what was forgotten
        brain.undo()
    assert brain._ledger.ways is not None
    assert brain._ledger.ways.nbytes == 0


def test_undoing_a_name_in_memory_gives_the_group_back_and_ways_back_stay_bounded() -> None:
    brain = Brain(Bundle.of_vectors(6, largest=8.0))
    for place, label in enumerate(("cup", "fern", "shoe")):
        brain.learn(3 * np.eye(6)[place] + 0.05 * POINTS[10 * place : 10 * place + 10], label)
    brain.predict(3 * np.eye(6)[4] + 0.05 * POINTS[40:44], remember=True)
    numbers = brain.unknowns.numbers
    assert len(numbers) == 4
    brain.name(brain.unknown_groups()[0].number, "lamp")
    brain.undo()
    assert (brain.unknowns.numbers, "lamp" in brain.labels) == (numbers, False)
    for _ in range(3):
        brain.learn(np.tile(POINTS, (80, 1)), "cup")
    assert brain.memory_bytes <= brain.memory_limit
    brain.undo()
    brain.undo()
    assert brain.counts()["cup"] == 10 + 6_400
    with pytest.raises(InputError, match="nothing to undo"):
        brain.undo()
