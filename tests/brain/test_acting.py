"""The history names whoever made a change."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

from engram.brain import Brain, acting


def test_changes_are_signed_while_someone_acts_and_lessons_by_their_teacher(tmp_path: Path) -> None:
    with Brain.create(tmp_path / "b") as brain:
        brain.learn([[1, 0], [0, 1]], ["right", "up"], teacher="ada")
        brain.rename("up", "north")
        with acting("eve"):
            brain.learn([0, 1], "up")
            brain.rename("up", "top")
            with acting("bob"):
                brain.undo()
            brain.consolidate()
            brain.forget(label="north")
        brain.rename("right", "east")
    with Brain.open(tmp_path / "b", readonly=True) as brain:
        told = [(entry.kind, entry.teacher) for entry in brain.history()]
    assert told == [
        ("renamed", None), ("forgot", "eve"), ("consolidated", "eve"), ("rolled back", "bob"), ("renamed", "eve"),
        ("taught", None), ("renamed", None), ("taught", "ada"),
    ]


def test_who_acts_in_one_thread_acts_in_no_other(tmp_path: Path) -> None:
    with Brain.create(tmp_path / "b") as brain:
        brain.learn([[1, 0], [0, 1]], ["right", "up"])
        with acting("eve"):
            other = Thread(target=lambda: brain.rename("up", "north"))
            other.start()
            other.join()
        assert (brain.history()[0].kind, brain.history()[0].teacher) == ("renamed", None)


def test_who_taught_is_told_apart(tmp_path: Path) -> None:
    with Brain.create(tmp_path / "b") as brain, Brain.create(tmp_path / "c") as other:
        ids = brain.learn_examples([[1, 0], [0, 1]], ["right", "up"], teacher="ada").ids
        brain.learn([[1, 0.1]], "right", teacher="bob")
        assert [one.label for one in brain.examples(teacher="ada")] == ["right", "up"]
        assert [one.teacher for one in brain.examples("right", teacher="bob")] == ["bob"]
        assert brain.newest(teacher="bob") == {"right": [ids[1] + 1]}
        assert brain.taught_by_others("ada", label="up") == 0
        assert brain.taught_by_others("ada", label="right") == 1
        assert brain.taught_by_others("bob", ids=ids) == 2
        other.learn([0, 1], "up", teacher="ada")
        brain.meld(other)
        assert brain.taught_by_others("ada", label="up") == 1  # what another device learned is nobody's own here
        assert brain.last_change().kind == "melded"
