"""A log notices that the files which it holds open are not those under their names any more."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from log_examples import teach

from engram.learner import DamagedError, EngramError
from engram.store.event_log import EventLog

pytestmark = pytest.mark.skipif(os.name != "posix", reason="elsewhere open files can be neither moved nor removed")


def looked_at_by_another_library(log: EventLog) -> int:
    """As a notebook does in the program that teaches; closing it unlinks the write-ahead log."""
    other = sqlite3.connect(log.path)
    (events,) = other.execute("SELECT count(*) FROM events").fetchone()
    other.close()
    assert not log.path.with_name("log.sqlite-wal").exists()
    return int(events)


def after_a_crash(log: EventLog, to: Path) -> int:
    """The number of events in the files, as they lie there now."""
    shutil.copytree(log.path.parent, to)
    with EventLog.open(to / "log.sqlite") as found:
        assert found.verify() == []
        return found.last


def test_a_commit_after_the_write_ahead_log_was_unlinked_is_on_the_disk(log: EventLog, tmp_path: Path) -> None:
    teach(log, 3)
    for i in range(1, 4):
        assert looked_at_by_another_library(log) == log.last
        teach(log, 2, start=3 + 2 * i)
        assert after_a_crash(log, tmp_path / str(i)) == log.last == 3 + 2 * i


def test_a_log_that_is_only_read_goes_on_reading(log: EventLog) -> None:
    teach(log, 3)
    log.close()
    with EventLog.open(log.path, readonly=True) as reader:
        looked_at_by_another_library(reader)
        assert reader.last == 3


def test_where_two_logs_of_a_folder_are_open_the_first_says_so_until_the_other_is_closed(log: EventLog) -> None:
    teach(log, 3)
    other = EventLog.open(log.path, readonly=True)
    looked_at_by_another_library(log)
    with pytest.raises(EngramError, match="another SQLite library"):
        teach(log, 1, start=3)
    other.close()
    teach(log, 1, start=3)
    assert log.last == 4


@pytest.mark.parametrize("how", ["unlinked", "moved"])
def test_a_commit_that_is_cut_off_while_it_is_written_is_not_acknowledged(
    log: EventLog, tmp_path: Path, how: str
) -> None:
    teach(log, 3)
    wal = log.path.with_name("log.sqlite-wal")

    def meanwhile() -> bool:
        if how == "unlinked":
            wal.unlink()
        else:
            log.path.parent.rename(tmp_path / "elsewhere")
        return False

    assert log._writer is not None
    log._writer.set_commit_hook(meanwhile)
    with pytest.raises(OSError, match="while it was written to"):
        teach(log, 1, start=3)
    assert log._mark.read() in (0, 3)


def test_what_was_acknowledged_and_lost_with_the_write_ahead_log_is_noticed(log: EventLog) -> None:
    teach(log, 3)
    log.path.with_name("log.sqlite-wal").unlink()  # with what was in it
    log.path.with_name("log.sqlite-shm").unlink()
    with pytest.raises(DamagedError, match="3 were committed"):
        teach(log, 1, start=3)


@pytest.mark.parametrize("gone", ["moved", "removed", "log alone"])
def test_a_log_that_was_moved_or_removed_is_not_written_to(log: EventLog, tmp_path: Path, gone: str) -> None:
    teach(log, 3)
    if gone == "moved":
        log.path.parent.rename(tmp_path / "elsewhere")
    elif gone == "removed":
        shutil.rmtree(log.path.parent)
    else:
        log.path.unlink()
    for _ in range(2):
        with pytest.raises(EngramError, match="moved, removed or replaced"):
            teach(log, 1, start=3)
    log.close()
    if gone == "moved":
        with EventLog.open(tmp_path / "elsewhere" / "log.sqlite") as moved:
            assert moved.last == 3


def test_what_is_put_in_a_logs_place_is_left_alone(log: EventLog, tmp_path: Path) -> None:
    folder = log.path.parent
    teach(log, 3)
    shutil.copytree(folder, tmp_path / "backup")
    teach(log, 2, start=3)
    folder.rename(tmp_path / "old")
    (tmp_path / "backup").rename(folder)

    def files() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    before = files()
    assert {"log.sqlite", "log.sqlite-wal", "log.mark"} <= before.keys()
    with pytest.raises(EngramError, match="moved, removed or replaced"):
        teach(log, 1, start=5)
    log._mark.write(5)
    log.close()
    assert files() == before
    for place, events in ((folder, 3), (tmp_path / "old", 5)):
        with EventLog.open(place / "log.sqlite") as found:
            assert found.last == events


def test_a_closed_log_is_not_written_to(log: EventLog) -> None:
    teach(log, 1)
    log.close()
    with pytest.raises(EngramError, match="closed"):
        teach(log, 1, start=1)
    with pytest.raises(EngramError, match="closed"):
        _ = log.last
