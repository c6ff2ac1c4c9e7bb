"""A log that was damaged, or made by another hand: noticed, refused, and never shortened silently."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import apsw
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from log_examples import foreign, taught, teach

from engram.learner import DamagedError, EngramError, InputError
from engram.store import database
from engram.store.event import Draft, Event, Transaction, Unknown
from engram.store.event_log import EventLog
from engram.store.log_files import Mark


@pytest.mark.parametrize("column", ["time", "kind", "teacher", "label", "source", "receipt", "content", "body", "gone"])
def test_a_value_altered_in_the_database_is_noticed(log: EventLog, column: str) -> None:
    teach(log, 10)
    log.close()
    connection = apsw.Connection(str(log.path))
    number = column in ("time", "gone")
    connection.execute(f"UPDATE events SET {column} = ? WHERE seq = 5", (7 if number else "7",) if column not in
                       ("receipt", "content") else (b"7",))
    connection.close()
    with EventLog.open(log.path) as opened:
        for read in (lambda: list(opened.read()), lambda: list(opened.runs()), lambda: opened.event(5)):
            with pytest.raises(DamagedError, match="Event 5"):
                read()
        assert opened.verify() == ["Event 5 of the log is damaged: its checksum does not fit."]
        assert len(list(opened.read(5))) == 5


@pytest.mark.parametrize(
    "change",
    [Transaction(erase=[5]), Transaction(rewrite={5: (None, b"new")}), Transaction(labels={5: "c1"}),
     Transaction(unnamed=["Ada"])],
    ids=["erase", "rewrite", "label", "unname"],
)  # fmt: skip
def test_a_damaged_event_is_not_written_anew_with_a_checksum_that_fits(log: EventLog, change: Transaction) -> None:
    teach(log, 10)
    log.close()
    foreign(log.path, "UPDATE events SET receipt = x'37' WHERE seq = 5")
    with EventLog.open(log.path) as opened:
        with pytest.raises(DamagedError, match="Event 5"):
            opened.commit([change])
        assert opened.verify()[:1] == ["Event 5 of the log is damaged: its checksum does not fit."]


@pytest.mark.parametrize("lost", [
    "UPDATE meta SET value = value + 1 WHERE name = 'rare'", "DELETE FROM meta WHERE name = 'rare'",
    "DELETE FROM events WHERE seq = 3", "UPDATE events SET kind = 'taught' WHERE seq = 3",
])  # fmt: skip
def test_an_index_that_lost_an_event_is_noticed(log: EventLog, lost: str) -> None:
    log.commit([Transaction([taught(0), taught(1), Draft(kind="renamed"), taught(2), taught(3)])])
    log.close()
    foreign(log.path, lost)
    with EventLog.open(log.path) as opened, pytest.raises(DamagedError):
        list(opened.read(kinds=["renamed", "forgot"]))


@pytest.mark.parametrize("lost", ["DELETE FROM inbox", "DELETE FROM inbox WHERE number = 2", "DELETE FROM meta"])
def test_an_inbox_that_lost_something_is_noticed(log: EventLog, lost: str) -> None:
    log.commit([Transaction(inbox_add=[Unknown(i, np.ones(2, np.float32), b"%d" % i) for i in (1, 2, 3)])])
    log.commit([Transaction(inbox_remove=[3, 17])])
    assert [one.number for one in log.unknowns()] == [1, 2]
    log.close()
    foreign(log.path, lost)
    with EventLog.open(log.path) as opened, pytest.raises(DamagedError, match="inbox"):
        opened.unknowns()


def test_missing_exchanged_and_lost_events_are_noticed(log: EventLog) -> None:
    teach(log, 10)
    log.close()
    for statement, said in (
        ("DELETE FROM events WHERE seq = 4", "lacks event 4"),
        ("UPDATE events SET seq = 100 - seq WHERE seq IN (1, 2)", "lacks event 1"),
    ):
        copy = Path(shutil.copytree(log.path.parent, log.path.parent.with_name("copy"))) / log.path.name
        connection = apsw.Connection(str(copy))
        connection.execute(statement)
        connection.close()
        with EventLog.open(copy) as opened, pytest.raises(DamagedError, match=said):
            list(opened.read())
        with EventLog.open(copy) as opened:
            assert any("missing" in problem for problem in opened.verify())
        shutil.rmtree(copy.parent)
    connection = apsw.Connection(str(log.path))
    connection.execute("DELETE FROM events WHERE seq > 8")
    connection.close()
    with pytest.raises(DamagedError, match="ends at event 8, but 10 were committed"):
        EventLog.open(log.path)
    Mark(log.path.parent).remove()
    EventLog.open(log.path).close()


def test_a_killed_programs_log_whose_end_is_damaged_is_not_shortened_silently(log: EventLog) -> None:
    for i in range(10):
        teach(log, 1, i)
    copy = log.path.parent.with_name("copy")
    shutil.copytree(log.path.parent, copy)
    with EventLog.open(copy / log.path.name) as opened:
        assert opened.last == 10
    shutil.rmtree(copy)
    shutil.copytree(log.path.parent, copy)
    wal = copy / "log.sqlite-wal"
    content = bytearray(wal.read_bytes())
    content[-5000] ^= 1
    wal.write_bytes(content)
    with pytest.raises(DamagedError, match="10 were committed"):
        EventLog.open(copy / log.path.name)


def test_a_mark_that_cannot_be_read_says_nothing(log: EventLog) -> None:
    teach(log, 3)
    log.close()
    mark = Mark(log.path.parent)
    assert mark.read() == 3
    for content in (b"", b"x" * 24, mark.path.read_bytes()[:-1], b"\xff" * 1000):
        mark.path.write_bytes(content)
        assert mark.read() == 0
        with EventLog.open(log.path) as opened:
            opened.acquire()
        assert mark.read() == 3
    mark.path.unlink()
    mark.path.mkdir()
    with EventLog.open(log.path) as opened:
        teach(opened, 1)


HOSTILE = {
    "a trigger": ["CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM events; END"],
    "a view": ["CREATE VIEW v AS SELECT * FROM events"],
    "an index": ["CREATE INDEX i ON events (kind)"],
    "a table more": ["CREATE TABLE more (x)"],
    "a view for a table": ["DROP TABLE inbox", "CREATE VIEW inbox AS SELECT * FROM events"],
    "another schema": ["DROP TABLE inbox", "CREATE TABLE inbox (number)"],
    "a table less": ["DROP TABLE events"],
    "a later version": ["PRAGMA user_version = 9"],
    "another application": ["PRAGMA application_id = 5"],
}


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize("how", HOSTILE)
def test_a_database_made_by_another_hand_is_refused(log: EventLog, how: str, readonly: bool) -> None:
    teach(log, 5)
    log.close()
    foreign(log.path, *HOSTILE[how])
    with pytest.raises(DamagedError):
        EventLog.open(log.path, readonly=readonly)


def test_a_log_that_lost_its_write_ahead_mode_has_it_again(log: EventLog) -> None:
    teach(log, 5)
    log.close()
    foreign(log.path, "PRAGMA journal_mode = delete")
    with EventLog.open(log.path) as opened:
        teach(opened, 1)
        assert log.path.with_name("log.sqlite-wal").exists()


def test_other_files_are_no_log_and_stay_as_they_are(tmp_path: Path) -> None:
    foreign(tmp_path / "other.sqlite", "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")
    (tmp_path / "text").write_text("hello" * 1000)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "header").write_bytes(b"SQLite format 3\0" + b"\0" * 84)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("other.sqlite", "text", "empty", "header", "folder", "pipe"):
        before = (tmp_path / name).read_bytes() if (tmp_path / name).is_file() else b""
        with pytest.raises(DamagedError):
            EventLog.open(tmp_path / name)
        if name not in ("empty", "folder", "pipe"):
            with pytest.raises((DamagedError, InputError)):
                EventLog.create(tmp_path / name)
        assert before == ((tmp_path / name).read_bytes() if (tmp_path / name).is_file() else b"")
    with pytest.raises(InputError):
        EventLog.open(tmp_path / "nothing")


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1), how=st.sampled_from(["cut", "zeros", "noise"]))
@example(share=0.892578125, how="cut")  # 272 bytes into the last page
@example(share=0.892578125, how="zeros")  # the numbers of the last events
def test_a_truncated_or_overwritten_database_is_an_error_or_unharmed(
    tmp_path_factory: pytest.TempPathFactory, whole: tuple[bytes, list[Event]], share: float, how: str
) -> None:
    content, events = whole
    path = tmp_path_factory.mktemp("damaged") / "log.sqlite"
    place = int(share * len(content))
    filler = b"" if how == "cut" else b"\0" * 700 if how == "zeros" else np.random.default_rng(place).bytes(700)
    rest = b"" if how == "cut" else content[place + 700 :]
    path.write_bytes((content[:place] + filler + rest)[: len(content)])
    try:
        with EventLog.open(path) as opened:
            assert list(opened.read()) == events
    except DamagedError:
        pass


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[Event]]:
    with EventLog.create(tmp_path_factory.mktemp("whole") / "log.sqlite") as log:
        teach(log, 200)
        events = list(log.read())
    (log.path.parent / "log.mark").unlink()
    return log.path.read_bytes(), events


def test_a_half_made_log_is_made_whole_and_a_used_one_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    path.write_bytes(b"")
    EventLog.create(path).close()
    with EventLog.create(path) as log:
        teach(log, 1)
    with pytest.raises(InputError, match="exists already"):
        EventLog.create(path)


def test_an_old_sqlite_is_refused(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database.apsw, "sqlite_lib_version", lambda: "3.51.2")
    with pytest.raises(EngramError, match=r"3\.51\.2.*update apsw"):
        EventLog.open(log.path)
