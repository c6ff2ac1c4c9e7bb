"""What lies in a brain's folder: nothing of what was forgotten, everything of what was acknowledged."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engram.brain import Brain, meld
from engram.brain.bundles import rows_of
from engram.brain.changes import consolidate
from engram.brain.repair import repair, verify
from engram.learner import DamagedError, EngramError, InputError, LabelError, NotTaughtError, TracesError
from engram.store.event import Reply
from engram.store.event_log import EventLog
from engram.store.folder import MANIFEST

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(30, 64))
LABELS = [f"label {i % 3}" for i in range(30)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Brain.create(tmp_path / "brain") as brain:
        brain.learn(POINTS, LABELS, teacher="ada")
    return tmp_path / "brain"


def everything(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def holders(folder: Path, brain: Brain, point: np.ndarray) -> list[str]:
    """The files in which a point's features can be found."""
    row = rows_of(brain.bundle, np.atleast_2d(point))  # type: ignore[arg-type]
    parts = (row.astype("<i2").tobytes(), row.astype("<f8").tobytes(), np.asarray(point, "<f4").tobytes())
    return [name for name, content in everything(folder).items() if any(part[:64] in content for part in parts)]


def test_what_was_forgotten_is_in_no_file(folder: Path, tmp_path: Path) -> None:
    other = Brain()
    other.learn(POINTS[:4] + 1, "melded")
    secret = RNG.normal(size=64)
    with Brain.open(folder) as brain:
        brain.learn(secret, "secret")
        brain.meld(other)
        brain.save()
        brain.predict(secret * 0.5 + 3, remember=True)
        assert holders(folder, brain, secret)
        assert holders(folder, brain, POINTS[1])
        assert holders(folder, brain, POINTS[0] + 1)
        brain.forget(label="secret")
        brain.forget(POINTS[1])
        brain.forget(label="melded")
        for point in (secret, POINTS[1], POINTS[0] + 1):
            assert holders(folder, brain, point) == []
        assert holders(folder, brain, POINTS[2])
        digest = brain.digest()
    for snapshot in folder.glob("snapshot-*"):
        snapshot.unlink()
    with Brain.open(folder) as brain:
        assert brain.digest() == digest


@pytest.mark.parametrize("forget", [
    lambda brain, secret: brain.forget(secret),
    lambda brain, secret: brain.forget(label="secret"),
    lambda brain, secret: brain.meld(_that_forgot("secret")),
])
def test_what_was_forgotten_is_in_no_file_though_the_inbox_held_it_too(
    folder: Path, forget: Callable[[Brain, np.ndarray], object]
) -> None:
    secret = 3 + RNG.normal(size=64) / 2
    other = Brain(device="other")
    other.learn(secret, "secret")
    with Brain.open(folder) as brain:
        brain.predict(secret, remember=True)
        brain.save()
        brain.meld(other)
        assert len(brain.unknowns) == 1
        forget(brain, secret)
        assert len(brain.unknowns) == 0
        assert holders(folder, brain, secret) == []
    with Brain.open(folder) as brain:
        assert len(brain.unknowns) == 0


def _that_forgot(label: str) -> Brain:
    brain = Brain(device="third")
    brain.learn(POINTS[:1], label)
    brain.forget(label=label)
    return brain


def test_what_was_rolled_back_goes_with_the_next_forget(folder: Path) -> None:
    with Brain.open(folder) as brain:
        seq, secret = brain.seq, RNG.normal(size=64)
        brain.learn(secret, "secret")
        brain.rollback(seq)
        assert holders(folder, brain, secret)
        brain.forget(POINTS[0])
        assert holders(folder, brain, secret) == []


def test_a_label_forgotten_elsewhere_leaves_the_files_when_that_brain_is_melded_in(folder: Path) -> None:
    other = Brain()
    other.learn(POINTS[:3], "label 0")
    other.forget(label="label 0")
    with Brain.open(folder) as brain:
        brain.meld(other)
        assert "label 0" not in brain.labels
        assert holders(folder, brain, POINTS[0]) == []
        digest = brain.digest()
    for snapshot in folder.glob("snapshot-*"):
        snapshot.unlink()
    with Brain.open(folder) as brain:
        assert brain.digest() == digest


def test_a_second_writer_is_told_so_and_readers_follow(folder: Path) -> None:
    reader = Brain.open(folder, readonly=True)
    with Brain.open(folder) as writer:
        writer.learn(POINTS[0] + 2, "new")
        code = f"from engram.brain import Brain; Brain.open({str(folder)!r}).learn([0.0] * 63 + [1.0], 'x')"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "is being written to by process" in done.stderr
        assert reader.refresh()
        assert reader.digest() == writer.digest()
        assert not reader.refresh()
        writer.forget(label="new")
        writer.predict(POINTS[0] * -1, remember=True)
        writer.save()
        assert reader.refresh()
        assert reader.digest() == writer.digest()
        assert reader.seq == writer.seq
        with pytest.raises(EngramError, match="reading only"):
            reader.learn(POINTS[0], "x")
    reader.close()


def test_what_another_program_taught_meanwhile_is_known_before_the_next_change(folder: Path) -> None:
    one = Brain.open(folder)
    with Brain.open(folder) as two:
        two.learn(POINTS[0] + 2, "new")
    one.learn(POINTS[0] + 3, "newer")
    assert {"new", "newer"} <= set(one.labels)
    one.close()


def test_a_damaged_snapshot_is_made_up_for_from_the_log(folder: Path) -> None:
    with Brain.open(folder) as brain:
        brain.save()
        digest = brain.digest()
    (snapshot,) = folder.glob("snapshot-*")
    content = bytearray(snapshot.read_bytes())
    content[len(content) // 2] ^= 1
    snapshot.write_bytes(content)
    assert verify(folder) == [f"{snapshot.name} is missing or altered."]
    with Brain.open(folder) as brain:
        assert brain.digest() == digest
        brain.save(folder.parent / "copy")  # of what is sound
    assert verify(folder.parent / "copy") == []
    with Brain.open(folder.parent / "copy") as copy:
        assert copy.digest() == digest
    assert repair(folder) == ["The snapshot was made anew from the log."]
    assert verify(folder) == []
    with Brain.open(folder) as brain:
        assert brain.digest() == digest


def test_a_lost_manifest_is_written_anew(folder: Path) -> None:
    other = Brain(device="other")
    other.learn(POINTS[:4] + 1, "melded")
    with Brain.open(folder) as brain:
        brain.meld(other)
        digest = brain.digest()
    (folder / MANIFEST).write_text("{}")
    with pytest.raises(DamagedError):
        Brain.open(folder)
    assert "The manifest was written anew from the log." in repair(folder)
    with Brain.open(folder) as brain:
        assert brain.digest() == digest
    assert verify(folder) == []


def test_the_same_request_teaches_once(folder: Path) -> None:
    with Brain.open(folder) as brain:
        first = brain.learn_examples(POINTS[0] + 2, "new", answer=Reply("key", b"request", None))
    with Brain.open(folder) as brain:
        digest = brain.digest()
        again = brain.learn_examples(POINTS[0] + 2, "new", answer=Reply("key", b"request", None))
        assert (again.ids, again.seq, again.skipped, again.repeated) == (first.ids, first.seq, first.skipped, True)
        assert brain.digest() == digest
        with pytest.raises(InputError, match="idempotency key was used"):
            brain.learn_examples(POINTS[1] + 2, "new", answer=Reply("key", b"other", None))


def run_together(brain: Brain, threads: list[threading.Thread]) -> None:
    """Threads that teach, begun while the brain is busy: most of their lessons wait, and are learned together."""
    with brain._lock:
        for thread in threads:
            thread.start()
        until = time.monotonic() + 2
        while len(brain._callers._queue) < len(threads) // 2 and time.monotonic() < until:
            time.sleep(0)
    for thread in threads:
        thread.join()


def test_in_memory_lessons_that_are_learned_together_have_numbers_of_their_own() -> None:
    brain, ids = Brain(), list[int]()
    brain.learn(POINTS[0] * 2, "first")
    before = brain.seq

    def teach(number: int) -> None:
        ids.extend(brain.learn_examples(POINTS[number], f"thread {number}").ids)

    run_together(brain, [threading.Thread(target=teach, args=(number,)) for number in range(12)])
    assert sorted(ids) == list(range(before + 1, before + 13))
    assert brain.seq == before + 12


def test_many_threads_share_commits_and_one_bad_lesson_spoils_no_other(folder: Path) -> None:
    outcomes: list[object] = []

    def teach(number: int) -> None:
        try:
            label = 7 if number == 5 else f"thread {number % 4}"
            outcomes.append(brain.learn_examples(POINTS[number] + number / 8, label))
        except LabelError as error:
            outcomes.append(error)

    with Brain.open(folder) as brain:
        brain.learn(POINTS[0] * 2, "first")  # takes the writer's lock
        commits: list[float] = []
        brain.on_sync = commits.append
        threads = [threading.Thread(target=teach, args=(number,)) for number in range(24)]
        run_together(brain, threads)  # the bad lesson is learned with others
        assert sum(isinstance(outcome, LabelError) for outcome in outcomes) == 1
        ids = [seq for outcome in outcomes if not isinstance(outcome, LabelError) for seq in outcome.ids]  # type: ignore[attr-defined]
        assert sorted(ids) == list(range(min(ids), min(ids) + 23))
        assert len(commits) < 23
        assert sum(example.label.startswith("thread") for example in brain.examples(limit=100)) == 23  # type: ignore[union-attr]


def test_examples_say_who_taught_them_where_from_and_what_they_look_like(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    Image.fromarray(RNG.integers(0, 255, (120, 90, 3), dtype=np.uint8)).save(picture)
    with Brain.create(tmp_path / "brain", "descriptor") as brain:
        brain.learn(picture, "noise", teacher="ada")
        brain.predict(np.zeros((50, 50, 3), np.uint8), remember=True)
        (example,) = brain.examples()
        assert (example.label, example.teacher, example.source) == ("noise", "ada", str(picture))
        assert abs(example.time - datetime.now(UTC)) < timedelta(minutes=5)
        shown = brain.thumbnail(example.id)
        assert shown is not None
        assert shown[:3] == b"\xff\xd8\xff"
        brain.forget(ids=[example.id])
        assert brain.thumbnail(example.id) is None
        assert brain.examples() == []
        with pytest.raises(NotTaughtError):
            brain.forget(ids=[example.id])


def test_forgetting_a_teacher_forgets_what_that_one_taught_and_nothing_else(folder: Path) -> None:
    reference = Brain()
    reference.learn(POINTS, LABELS)
    with Brain.open(folder) as brain:
        brain.learn(POINTS + 3, LABELS, teacher="bob")
        brain.rename("label 1", "label one")
        brain.forget(teacher="bob")
        reference.rename("label 1", "label one")
        assert brain.digest() == reference.digest()
        with pytest.raises(NotTaughtError, match="bob"):
            brain.forget(teacher="bob")


def test_history_can_be_read_compared_and_returned_to_but_not_across_a_forget(folder: Path) -> None:
    with Brain.open(folder) as brain:
        start = brain.seq
        brain.learn(POINTS[:5] + 1, "new", teacher="bob")
        taught = brain.seq
        brain.consolidate()
        brain.rollback(start)
        assert brain.counts() == {f"label {i}": 10 for i in range(3)}
        entries = brain.history()
        assert [(entry.kind, entry.undone) for entry in entries] == [
            ("rolled back", False), ("consolidated", True), ("taught", True), ("taught", False)
        ]
        assert (entries[2].labels, entries[2].teacher, entries[2].first, entries[2].seq) == (
            {"new": 5}, "bob", taught - 4, taught
        )
        assert brain.history(before=entries[1].first, limit=1) == entries[2:3]
        assert brain.diff(start, taught) == {"new": (0, 5)}
        assert brain.at(taught).counts()["new"] == 5
        brain.rollback(entries[2].time)
        assert "new" in brain.labels
        brain.forget(label="new")
        with pytest.raises(InputError, match="forgotten for good"):
            brain.rollback(start)
        with pytest.raises(InputError, match="There is no event"):
            brain.rollback(brain.seq + 1)


def test_undo_takes_back_a_rollback_and_then_goes_further_back(folder: Path) -> None:
    with Brain.open(folder) as brain:
        start = brain.seq
        brain.learn(POINTS[:5] + 1, "new")
        brain.learn(POINTS[5:9] + 1, "newer")
        brain.rollback(start + 3)  # in the midst of a lesson
        assert brain.counts().get("newer", 0) == 0
        assert brain.undo().kind == "rolled back"
        assert (brain.counts()["new"], brain.counts()["newer"]) == (5, 4)
        assert brain.undo().labels == {"newer": 4}
        assert brain.undo().labels == {"new": 5}
        assert "new" not in brain.labels
        assert brain.history()[0].note.startswith("undo, to ")


def test_a_brain_saved_from_memory_is_whole_and_saved_again_in_place(tmp_path: Path) -> None:
    brain = meld(Brain(), *_two_brains())
    brain.save(tmp_path / "brain")
    brain.learn(POINTS[0], "later")
    brain.save(tmp_path / "brain")
    with Brain.open(tmp_path / "brain") as saved:
        assert saved.digest() == brain.digest()
        assert {entry["device"] for entry in saved.info()["devices"]} == {e["device"] for e in brain.info()["devices"]}
        saved.learn(POINTS[1], "on its own")
    with pytest.raises(EngramError, match="does not know"):
        brain.save(tmp_path / "brain")
    stranger = Brain()
    stranger.learn(POINTS[0], "x")
    with pytest.raises(InputError, match="another brain"):
        stranger.save(tmp_path / "brain")


def test_a_copy_is_a_brain_of_its_own(folder: Path, tmp_path: Path) -> None:
    with Brain.open(folder) as brain:
        brain.learn(POINTS[0] + 1, "more")
        brain.save(tmp_path / "copy")
        digest = brain.digest()
        with pytest.raises(InputError):
            brain.save(tmp_path / "copy")
    with Brain.open(tmp_path / "copy") as copy:
        assert copy.digest() == digest
        assert copy.history()[0].labels == {"more": 1}
    assert verify(tmp_path / "copy") == []


def test_the_oldest_examples_make_room_and_the_sums_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = Brain()
    with Brain.create(tmp_path / "brain", memory_budget=64 * 2 * 60) as brain:
        for part in range(8):
            points = POINTS[:10] + part / 8
            brain.learn(points, LABELS[:10])
            reference.learn(points, LABELS[:10])
        assert len(brain.examples(limit=1000)) <= 60
        assert brain.digest() == reference.digest()
        with pytest.raises(InputError, match="let go"):
            brain.rollback(4)
        brain.forget(POINTS[3])  # its content was let go, its sums are cut
        reference.forget(POINTS[3])
        assert brain.digest() == reference.digest()
    for label in ("label 0", "label 1"):
        for snapshot in (tmp_path / "brain").glob("snapshot-*"):
            snapshot.unlink()
        with Brain.open(tmp_path / "brain") as brain:  # from the checkpoint and the examples that are left
            assert brain.digest() == reference.digest()
            brain.forget(label=label)
            reference.forget(label=label)
            assert brain.digest() == reference.digest()


def test_room_is_made_for_half_a_budget_at_once_not_anew_with_every_lesson(tmp_path: Path) -> None:
    with Brain.create(tmp_path / "brain", memory_budget=64 * 2 * 60) as brain:
        for part in range(24):
            brain.learn(POINTS[:10] + part / 8, LABELS[:10])
    with EventLog.open(tmp_path / "brain" / "log.sqlite", readonly=True) as log:
        assert 1 <= len(list(log.read(kinds=["checkpoint"]))) <= 240 // 30


def test_a_snapshot_from_before_examples_made_room_is_not_built_on(tmp_path: Path) -> None:
    reference = Brain()
    with Brain.create(tmp_path / "brain", memory_budget=64 * 2 * 60) as brain:
        for part in range(12):
            brain.learn(POINTS[:10] + part / 8, LABELS[:10])
            reference.learn(POINTS[:10] + part / 8, LABELS[:10])
            if part == 1:
                brain.save()
    with Brain.open(tmp_path / "brain", readonly=True) as brain:
        assert brain.digest() == reference.digest()


def test_unknowns_that_wait_are_on_disk_when_the_brain_is_closed(folder: Path) -> None:
    with Brain.open(folder) as brain:
        brain.learn(POINTS[0] + 1, "more")
        brain.predict(3 + RNG.normal(size=64) / 2, remember=True)
        kept = [unknown.number for unknown in brain.unknowns]
        assert kept
    with Brain.open(folder, readonly=True) as brain:
        assert [unknown.number for unknown in brain.unknowns] == kept


def test_a_label_is_consolidated_when_it_has_grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consolidate, "LOOSE", 40)
    with Brain.create(tmp_path / "brain") as brain:
        brain.learn(RNG.normal(size=(60, 8)) * 0.1 + 1, "grown")
        brain.learn(RNG.normal(size=(10, 8)), "small")
        assert [entry.kind for entry in brain.history()] == ["taught", "consolidated", "taught"]
        assert brain._knowledge.total.loose["small"] == 10
        assert brain._knowledge.total.loose["grown"] < 60
        digest = brain.digest()
    with Brain.open(tmp_path / "brain") as brain:
        assert brain.digest() == digest


def test_nothing_is_changed_where_the_disk_refuses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Brain.open(folder) as brain:
        brain.learn(POINTS[0] + 1, "more")
        digest, seq = brain.digest(), brain.seq

        def full(*_: object, **__: object) -> None:
            raise OSError(28, os.strerror(28))

        with monkeypatch.context() as patched:
            patched.setattr(EventLog, "commit", full)
            for change in (
                lambda: brain.learn(POINTS[0], "x"), lambda: brain.forget(label="more"),
                lambda: brain.rename("more", "less"), brain.consolidate, lambda: brain.rollback(seq - 1),
            ):
                with pytest.raises(OSError, match="No space"):
                    change()
                assert (brain.digest(), brain.seq) == (digest, seq)
        brain.learn(POINTS[0], "x")
        assert "x" in brain.labels
    with Brain.open(folder) as brain:
        assert "x" in brain.labels
    assert verify(folder) == []


def test_a_forget_whose_traces_cannot_go_yet_says_so_and_they_go_with_the_next_change(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Brain.open(folder) as brain:
        brain.save()
        with monkeypatch.context() as patched:

            def full(*_: object) -> bool:
                raise OSError(28, os.strerror(28))

            patched.setattr(EventLog, "finish_erasing", full)
            with pytest.raises(TracesError, match="forgotten, but traces remain"):
                brain.forget(POINTS[0])
            assert not any(brain.holds(POINTS[:1]))
            brain.learn(POINTS[1] / 2, "still learning")
        brain.learn(POINTS[2] / 2, "x")
        assert holders(folder, brain, POINTS[0]) == []
        digest = brain.digest()
    with Brain.open(folder) as brain:
        assert brain.digest() == digest


def test_a_rollback_that_the_disk_refused_leaves_no_trace_in_the_lineage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Brain.open(folder) as brain:

        def full(*_: object, **__: object) -> None:
            raise OSError(28, os.strerror(28))

        with monkeypatch.context() as patched:
            patched.setattr(EventLog, "commit", full)
            with pytest.raises(OSError, match="No space"):
                brain.rollback(brain.seq - 5)
        brain.learn(POINTS[0] / 2, "x")
        lineage = brain.slots()[0].lineage
    with Brain.open(folder) as brain:
        assert brain.slots()[0].lineage == lineage


def _two_brains() -> list[Brain]:
    brains = [Brain(device="one"), Brain(device="two")]
    for number, brain in enumerate(brains):
        brain.learn(POINTS[number :: 2], LABELS[number :: 2])
    return brains
