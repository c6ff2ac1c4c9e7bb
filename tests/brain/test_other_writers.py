"""What a brain makes of others that write to its folder, of changes cut short, and of names from elsewhere."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.brain import Brain
from engram.brain.bundles import rows_of
from engram.brain.changes import teach
from engram.brain.folder_ledger import FolderLedger
from engram.brain.receipts import receipts_of
from engram.brain.repair import verify
from engram.learner import EngramError, FloatArray

RNG = np.random.default_rng(7)
FAR = [[7.0, -7.0, 7.0, 7.0], [-7.0, 7.0, 7.0, -7.0]]


def points(count: int) -> FloatArray:
    return 0.5 * RNG.normal(size=(count, 4))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "one.brain"
    with Brain.create(path) as brain:
        brain.learn(points(20), ["a", "b"] * 10)
    return path


def counts(brain: Brain) -> dict[object, int]:
    return {entry["label"]: entry["examples"] for entry in brain.info()["labels"]}


def content_of(brain: Brain, example: int) -> bytes:
    content = brain._ledger.log.event(example).content
    assert content
    return content


def contents(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def test_whoever_comes_second_in_making_a_brain_does_the_first_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, commit, refused = tmp_path / "one.brain", FolderLedger.record, list[bool]()

    def second() -> None:
        with pytest.raises(EngramError, match="written to"):
            Brain.create(path)
        refused.append(True)

    def slow(*given: Any) -> Any:
        if not refused and threading.current_thread() is threading.main_thread():
            other = threading.Thread(target=second)
            other.start()
            other.join()
        return commit(*given)

    monkeypatch.setattr(FolderLedger, "record", slow)
    with Brain.create(path) as brain:
        brain.learn([[1.0, 0.0], [0.0, 1.0]], ["a", "b"])
    assert refused
    with Brain.open(path, readonly=True) as again:
        assert counts(again) == {"a": 1, "b": 1}


def test_an_inbox_that_another_filled_meanwhile_does_not_stop_the_teaching(folder: Path) -> None:
    with Brain.open(folder) as first:
        first.learn(points(1), "a")
        first.predict(FAR[0], remember=True)
        second = Brain.open(folder)
    with second:
        second.predict(FAR[1], remember=True)
        second.learn(points(1), "a")
        assert len(second.unknowns) == 2
    with Brain.open(folder, readonly=True) as again:
        assert len(again.unknowns) == 2


def test_a_snapshot_that_another_wrote_meanwhile_is_known_to_the_next_writer(folder: Path) -> None:
    with Brain.open(folder) as second:
        with Brain.open(folder) as first:
            first.learn(points(1), "a")
            first.save()
        second.learn(points(1), "b")
        second.save()
        second.forget(label="b")
    assert verify(folder) == []


def test_a_backbone_that_another_chose_meanwhile_is_taken_over(tmp_path: Path) -> None:
    Brain.create(tmp_path / "new.brain").close()
    with Brain.open(tmp_path / "new.brain") as second:
        with Brain.open(tmp_path / "new.brain") as first:
            first.learn(points(2), ["a", "b"])
        second.learn(points(1), "a")
        assert counts(second) == {"a": 2, "b": 1}
    assert verify(tmp_path / "new.brain") == []


def test_what_is_on_disk_but_could_not_be_applied_is_known_from_the_next_change_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Brain.open(folder) as brain:
        with monkeypatch.context() as broken:
            broken.setattr(teach, "apply", lambda *_: (_ for _ in ()).throw(MemoryError()))
            with pytest.raises(MemoryError):
                brain.learn(points(2), "a")
        brain.learn(points(1), "b")
        assert counts(brain) == {"a": 12, "b": 11}
        brain.save()
    assert verify(folder) == []


def test_nobody_is_told_of_an_event_before_what_it_changed_is_known(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn, seen = teach.apply, list[tuple[int, int]]()
    with Brain.open(folder) as brain:
        brain.publish()
        before = brain.seq

        def watched(*what: Any) -> None:
            seen.append((brain.settled, sum(brain.view.counts.values())))
            learn(*what)

        monkeypatch.setattr(teach, "apply", watched)
        brain.learn(points(1), "a")
        assert seen == [(before, 20)]
        assert (brain.settled, sum(brain.view.counts.values())) == (brain.seq, 21)


def test_a_name_that_came_by_a_meld_holds_for_the_examples_of_the_log(folder: Path) -> None:
    other = Brain()
    other.learn(points(3), "a")
    other.rename("a", "alpha")
    with Brain.open(folder) as brain:
        brain.meld(other)
        mine = brain.examples("alpha")
        assert len(mine) == 10
        assert {one.label for one in brain.examples()} == {"alpha", "b"}
        brain.relabel([mine[0].id], "b")
        brain.forget(ids=[mine[1].id])
        held = [content_of(brain, one.id) for one in mine[2:]]
        brain.forget(label="alpha")
        assert not brain.examples("alpha")
        assert len(brain.examples()) == 11
    assert not any(content in contents(folder) for content in held)
    assert verify(folder) == []


def test_what_a_meld_renames_and_then_forgets_leaves_the_log(folder: Path) -> None:
    other = Brain()
    other.learn(points(3), "a")
    other.rename("a", "alpha")
    other.forget(label="alpha")
    other.learn(points(1), "b")
    with Brain.open(folder) as brain:
        held = [content_of(brain, one.id) for one in brain.examples("a")]
        brain.meld(other)
        assert counts(brain) == {"b": 11}
        assert len(brain.examples()) == 10
    assert held
    assert not any(content in contents(folder) for content in held)
    assert verify(folder) == []


def test_a_crash_before_the_last_file_was_swept_is_made_up_for_by_the_next_writer(folder: Path) -> None:
    with Brain.open(folder) as brain:
        brain.save()
        kept = {file.name: file.read_bytes() for file in folder.glob("snapshot-*")}
        brain.forget(label="b")
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    with Brain.open(folder) as brain:
        brain.learn(points(1), "a")
    assert kept
    assert not any((folder / name).exists() for name in kept)


def test_what_is_forgotten_leaves_the_inbox_on_the_disk_too(folder: Path) -> None:
    with Brain.open(folder) as brain:
        taught, bundle = points(2), brain.bundle
        assert bundle is not None
        brain.learn(taught, ["a", "b"])
        features = bundle.features(taught)
        keys = receipts_of(rows_of(bundle, features))
        brain.unknowns.add(features, [None, None], keys)  # refused all the same
        brain.keep_unknowns()
        raw = [row.astype("<f4").tobytes() for row in brain.unknowns.features]
        assert all(content in contents(folder) for content in raw)
        brain.forget(label="a")
        assert raw[0] not in contents(folder)
        brain.forget(taught[1:], "b")
        assert raw[1] not in contents(folder)
        assert len(brain.unknowns) == 0
