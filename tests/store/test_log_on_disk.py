"""How an event log takes its place on the disk: durable by name, for its owner alone, and let go of when it fails."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from log_examples import taught

from engram.store import event_log
from engram.store.database import CHECKPOINT_PAGES, PAGE_BYTES
from engram.store.event import Transaction
from engram.store.event_log import EventLog


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, set[str]]]:
    """Each folder that was synced, and the names that were in it then."""
    found: list[tuple[Path, set[str]]] = []
    real = event_log.sync_folder

    def noted(folder: Path) -> None:
        real(folder)
        found.append((folder, {path.name for path in folder.iterdir()}))

    monkeypatch.setattr(event_log, "sync_folder", noted)
    return found


def test_the_name_of_a_new_log_is_on_the_disk(tmp_path: Path, synced: list[tuple[Path, set[str]]]) -> None:
    with EventLog.create(tmp_path / "log.sqlite"):
        assert [folder for folder, names in synced if "log.sqlite" in names] == [tmp_path]


def test_the_name_of_a_copy_is_on_the_disk(tmp_path: Path, synced: list[tuple[Path, set[str]]]) -> None:
    with EventLog.create(tmp_path / "one" / "log.sqlite") as log:
        log.commit([Transaction([taught(1)])])
        synced.clear()
        log.copy_to(tmp_path / "two" / "log.sqlite")
    assert synced[-1] == (tmp_path / "two", synced[-1][1])
    with EventLog.open(tmp_path / "two" / "log.sqlite", readonly=True) as copy:
        assert copy.last == 1


def test_a_copy_is_synced_after_its_events_are_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(event_log, "sync_folder", lambda folder: sizes.append((folder / "log.sqlite").stat().st_size))
    with EventLog.create(tmp_path / "one" / "log.sqlite") as log:
        log.commit([Transaction([taught(i) for i in range(2000)])])
        sizes.clear()
        log.copy_to(tmp_path / "two" / "log.sqlite")
    assert len(sizes) == 2  # where it was made, and when it was whole
    assert sizes[1] > sizes[0]


def test_a_log_and_what_lies_beside_it_are_their_owners(tmp_path: Path) -> None:
    with EventLog.create(tmp_path / "log.sqlite") as log:
        log.commit([Transaction([taught(1)])])
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("log.sqlite*")}
    assert {"log.sqlite", "log.sqlite-wal"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_a_writer_that_cannot_connect_leaves_the_lock_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EventLog.create(tmp_path / "log.sqlite") as log, EventLog.open(tmp_path / "log.sqlite") as other:
        with monkeypatch.context() as patch:
            patch.setattr(log, "_connected_writer", lambda: (_ for _ in ()).throw(OSError("no memory left")))
            with pytest.raises(OSError, match="no memory left"):
                log.commit([Transaction([taught(1)])])
        assert other.commit([Transaction([taught(2)])]) == [range(1, 2)]


def test_a_long_write_ahead_log_is_moved_into_the_database_and_a_short_one_is_not(tmp_path: Path) -> None:
    with EventLog.create(tmp_path / "log.sqlite") as log:
        before = log.path.stat().st_size
        log.commit([Transaction([taught(1)])])
        assert log.path.stat().st_size == before
        while log.path.stat().st_size == before:
            log.commit([Transaction([taught(i) for i in range(1000)])])
            assert log.size_bytes < 4 * CHECKPOINT_PAGES * PAGE_BYTES


def test_each_commit_tells_how_long_it_took(tmp_path: Path) -> None:
    told: list[float] = []
    with EventLog.create(tmp_path / "log.sqlite") as log:
        log.on_sync = told.append
        log.commit([Transaction([taught(1)])])
        log.commit([Transaction([taught(2)])])
    assert len(told) == 2
    assert min(told) > 0
