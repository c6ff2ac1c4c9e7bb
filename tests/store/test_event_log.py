"""The event log: what a commit returned for is there, whoever reads; what was erased is nowhere; damage shows."""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_examples import ROWS, taught, teach

from engram.learner import DamagedError, EngramError, InputError, NotTaughtError, TracesError
from engram.store import database, event_log
from engram.store.event import Draft, Event, Reply, Taught, Transaction, Unknown
from engram.store.event_log import EventLog

NOW = int(time.time())

words = st.none() | st.text(max_size=20)
drafts = st.builds(
    Draft, kind=st.sampled_from(["taught", "renamed", "melded"]), teacher=words,
    label=st.none() | st.text(max_size=9) | st.integers(-(2**70), 2**70), source=words,
    receipt=st.none() | st.binary(max_size=16), content=st.none() | st.binary(max_size=50),
    body=st.none() | st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.booleans()),
    thumbnail=st.none() | st.binary(max_size=30), time=st.integers(0, 2**50),
)


@settings(max_examples=25, deadline=None)
@given(groups=st.lists(st.lists(drafts, max_size=4), max_size=5), closed=st.booleans())
def test_events_come_back_as_they_were_committed(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[Draft]], closed: bool
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.sqlite"
    with EventLog.create(path) as log:
        ranges = log.commit([Transaction(group) for group in groups])
        assert [len(r) for r in ranges] == [len(group) for group in groups]
        assert [seq for r in ranges for seq in r] == list(range(1, log.last + 1))
        if closed:
            log.close()
            log = EventLog.open(path, readonly=True)
        flat = [draft for group in groups for draft in group]
        for event, draft in zip(log.read(), flat, strict=True):
            for name in ("kind", "label", "receipt", "content", "body", "time"):
                assert getattr(event, name) == getattr(draft, name)
            for name in ("teacher", "source"):
                given_text = getattr(draft, name)
                assert getattr(event, name) == (given_text and given_text.encode("utf-8", "backslashreplace").decode())
            assert log.thumbnail(event.seq) == draft.thumbnail
            assert log.event(event.seq) == event
        assert log.pictured(range(1, 30)) == {i for i, draft in enumerate(flat, 1) if draft.thumbnail is not None}
        assert log.verify() == []
        log.close()


def test_reading_a_part_forwards_backwards_and_by_kind(log: EventLog) -> None:
    many = 2 * event_log.PORTION + 77
    log.commit([Transaction([taught(i) if i % 10 else Draft(kind="renamed") for i in range(many)])])
    assert [e.seq for e in log.read(5, 2000)] == list(range(6, 2001))
    assert [e.seq for e in log.read(5, 2000, backward=True)] == list(range(2000, 5, -1))
    assert [e.seq for e in log.read(kinds=["renamed"])] == list(range(1, many + 1, 10))
    assert [e.content for e in log.read(0, 3, content=False)] == [None] * 3
    assert [e.label for e in log.read(1, 3, content=False)] == ["c1", "c2"]
    assert list(log.read(many)) == list(log.read(many + 10)) == list(log.read(5, 5)) == []


@pytest.mark.parametrize("size", [1, 100, 1024, 5000])
def test_examples_in_a_row_come_as_arrays(log: EventLog, size: int) -> None:
    teach(log, 1500)
    log.commit([Transaction([Draft(kind="renamed", body={"old": "c1"})], erase=[3, 700])])
    teach(log, 50, 1500)
    log.commit([Transaction([taught(0, content=b"\1\0")])])  # of another width
    found = list(log.runs(size=size))
    parts = [part for part in found if isinstance(part, Taught)]
    assert max(len(part.seqs) for part in parts) == min(size, 1498)
    seqs = [seq for part in parts for seq in part.seqs]
    assert seqs == [*(s for s in range(1, 1501) if s not in (3, 700)), *range(1502, 1553)]
    rows = np.concatenate([part.rows for part in parts if part.rows.shape[1] == 6])
    assert np.array_equal(rows, ROWS[np.array(seqs[:-1]) - 1 - (np.array(seqs[:-1]) > 1501)])
    assert [label for part in parts for label in part.labels][:4] == ["c0", "c1", "c3", "c4"]
    assert parts[0].receipts[0] == b"%016d" % 0
    assert [part.body for part in found if isinstance(part, Event)] == [{"old": "c1"}]


def test_a_commit_is_whole_or_not_at_all(log: EventLog) -> None:
    teach(log, 3)
    too_long = Transaction([taught(0), taught(1, teacher="x" * 2**21)])
    for bad in (too_long, Transaction([taught(4)], erase=[99]), Transaction(rewrite={50: (None, b"")})):
        with pytest.raises((InputError, NotTaughtError)):
            log.commit([Transaction([taught(3)], erase=[1]), bad])
    assert [event.gone for event in log.read()] == [False] * 3
    teach(log, 1)
    assert log.last == 4


def test_a_commit_takes_one_sync_and_tells_how_long_it_took(log: EventLog) -> None:
    seconds: list[float] = []
    log.on_sync = seconds.append
    log.commit([Transaction([taught(i)]) for i in range(32)])
    assert len(seconds) == 1
    assert 0 < seconds[0] < 5


def test_what_an_event_says_can_be_replaced_in_place(log: EventLog) -> None:
    melded = Draft(kind="melded", body={"receipts": ["aa", "bb"]}, content=b"long content", label="x")
    log.commit([Transaction([melded])])
    log.commit([Transaction(rewrite={1: ({"receipts": ["aa"]}, b"short")})])
    event = log.event(1)
    assert (event.body, event.content, event.label, event.gone) == ({"receipts": ["aa"]}, b"short", "x", False)
    assert log.verify() == []


def test_answers_are_kept_with_what_they_answer(log: EventLog) -> None:
    log.commit([Transaction([taught(0), taught(1)], answer=Reply("key", b"digest", lambda seqs: {"ids": list(seqs)}))])
    log.commit([Transaction([taught(2)], answer=Reply("other", b"d", {"id": 3}))])
    assert log.answer("key") == Reply("key", b"digest", {"ids": [1, 2]})
    assert log.answer("other") == Reply("other", b"d", {"id": 3})
    assert log.answer("nothing") is None
    with pytest.raises(EngramError, match="answered already"):
        log.commit([Transaction([taught(3)], answer=Reply("key", b"digest", None))])
    assert log.last == 3


def test_answers_are_let_go_after_a_week(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log.commit([Transaction([taught(0)], answer=Reply("old", b"d", 1))])
    monkeypatch.setattr(database.time, "time_ns", lambda: (NOW + 8 * 24 * 3600) * 10**9)
    log.commit([Transaction([taught(1)], answer=Reply("new", b"d", 2))])
    assert log.answer("old") is None
    assert log.answer("new") == Reply("new", b"d", 2)


def test_the_inbox_is_kept_and_let_go(log: EventLog) -> None:
    features = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    unknowns = [Unknown(i + 1, features[i], b"k%d" % i, "a.png" if i else None, b"jpg", 5) for i in range(3)]
    log.commit([Transaction(inbox_add=unknowns)])
    log.commit([Transaction(inbox_remove=[2])])
    assert [u.number for u in log.unknowns()] == [1, 3]
    (third,) = log.unknowns([3])
    assert np.array_equal(third.features, features[2])
    assert (third.key, third.source, third.thumbnail, third.time) == (b"k2", "a.png", b"jpg", 5)


# Erasing


def every_byte(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("count", [30, 2000])
@pytest.mark.parametrize("reopened", [False, True])
def test_what_was_erased_is_in_no_byte_of_any_file(log: EventLog, count: int, reopened: bool) -> None:
    secret = [np.random.default_rng(i).bytes(64) for i in range(6)]
    for start in range(0, count, 500):
        teach(log, min(500, count - start), start)
    named = {"source": "Zürich.png", "label": "confidential", "thumbnail": secret[2]}
    hidden = taught(0, content=secret[0], receipt=secret[1][:16], **named)
    (seqs,) = log.commit([Transaction([hidden])])
    log.commit([Transaction([Draft(kind="melded", content=secret[3] * 200, body={"who": "someone-secret"})])])
    log.commit([Transaction(inbox_add=[Unknown(1, np.frombuffer(secret[4], np.float32), secret[5][:16])])])
    teach(log, 20)
    texts = ["Zürich".encode(), b"confidential", b"someone-secret"]
    needles = [secret[0], secret[1][:16], *secret[2:5], secret[5][:16], *texts]
    found = every_byte(log.path.parent)
    assert all(any(needle in content for content in found.values()) for needle in needles)
    meld = seqs[0] + 1
    log.commit([Transaction([Draft(kind="forgot")], erase=[seqs[0]], rewrite={meld: (None, None)}, inbox_remove=[1])])
    assert log.erasing
    if reopened:
        log.close()
        EventLog.open(log.path).close()
    else:
        log.finish_erasing()
    for path, content in every_byte(log.path.parent).items():
        assert not [needle for needle in needles if needle in content], path
    with EventLog.open(log.path) as again:
        assert not again.erasing
        event = again.event(seqs[0])
        assert (event.gone, event.label, event.source, event.receipt, event.content) == (True, None, None, None, None)
        assert again.thumbnail(seqs[0]) is None
        assert again.verify() == []
        assert again.last == seqs[0] + 22


def test_what_left_pages_that_were_rebuilt_is_in_no_byte_either(tmp_path: Path) -> None:
    """SQLite's secure_delete clears the cells of rows that go; pages that it rebuilds keep copies of others."""
    for seed in (4, 36):
        story = _Erasing(tmp_path / str(seed), seed)
        for _ in range(60):
            story.go_on()
        story.log.finish_erasing()
        found = b"".join(every_byte(story.log.path.parent).values())
        assert not [part for part in story.gone if part in found], seed
        assert all(part[:32] in found for part in story.here.values())
        story.log.close()


class _Erasing:
    """A log to which events of many lengths come and go; and parts of 32 bytes of what is gone."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.log = EventLog.create(folder / "log.sqlite", synchronous="OFF")
        self.here: dict[int, bytes] = {}
        self.gone: list[bytes] = []
        self._rng, self._bytes, self._inbox = random.Random(seed), np.random.default_rng(seed).bytes, dict[int, bytes]()

    def go_on(self) -> None:
        changes = [self._add, self._erase, self._rewrite, self._remember, self._let_go]
        (change,) = self._rng.choices(changes, [4, 3, 3, 2, 2])
        self.log.commit([change()])

    def _add(self) -> Transaction:
        lengths = self._rng.choices([32, 64, 128, 700, 2560, 9000], k=self._rng.randint(1, 40))
        drafts = [Draft(kind=self._rng.choice(["taught", "melded"]), content=self._bytes(n)) for n in lengths]
        self.here |= {self.log.last + i: draft.content or b"" for i, draft in enumerate(drafts, 1)}
        return Transaction(drafts)

    def _erase(self) -> Transaction:
        seqs = self._some(self.here)
        for seq in seqs:
            self._leaves(self.here.pop(seq))
        return Transaction(erase=seqs)

    def _rewrite(self) -> Transaction:
        seqs = self._some(self.here)
        for seq in seqs:
            self._leaves(self.here[seq])
            self.here[seq] = self._bytes(self._rng.choice([32, 100, 700, 4000]))
        return Transaction(rewrite={seq: (None, self.here[seq]) for seq in seqs})

    def _remember(self) -> Transaction:
        first = max(self._inbox, default=0) + 1
        kept = {first + i: self._bytes(4 * n) for i, n in enumerate(self._rng.choices([8, 64, 300], k=10))}
        self._inbox |= kept
        return Transaction(inbox_add=[Unknown(n, np.frombuffer(f, "<f4"), f[:16]) for n, f in kept.items()])

    def _let_go(self) -> Transaction:
        numbers = self._some(self._inbox)
        for number in numbers:
            self._leaves(self._inbox.pop(number))
        return Transaction(inbox_remove=numbers, for_good=True)

    def _some(self, held: dict[int, bytes]) -> list[int]:
        return self._rng.sample(sorted(held), min(len(held), self._rng.randint(1, 20)))

    def _leaves(self, content: bytes) -> None:
        self.gone += [content[i : i + 32] for i in range(0, max(1, len(content) - 31), 128)]


def test_erasing_waits_for_a_reader_and_is_not_forgotten(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    teach(log, 20)
    reader = apsw.Connection(str(log.path), apsw.SQLITE_OPEN_READONLY)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchall()
    log.commit([Transaction(erase=[1])])
    monkeypatch.setattr(event_log, "READERS_MS", 10)
    for _ in range(2):
        with pytest.raises(TracesError, match="another program reads"):
            log.finish_erasing()
        assert log.erasing
        teach(log, 1, 50)
    reader.close()
    log.finish_erasing()
    assert not log.erasing
    assert not any(ROWS[0].tobytes() in content for content in every_byte(log.path.parent).values())

def written_beside(log: EventLog) -> threading.Timer:
    """Another program's change of the database, that is under way and will be over in a moment."""
    other = apsw.Connection(str(log.path))
    other.execute("BEGIN IMMEDIATE; UPDATE events SET time = time")
    ending = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    ending.start()
    return ending


def test_a_commit_waits_for_another_program_that_is_writing(log: EventLog) -> None:
    teach(log, 3)
    ending = written_beside(log)
    teach(log, 1, 10)
    ending.join()
    assert log.last == 4


def test_after_erasing_a_commit_waits_as_before(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "READERS_MS", 0)
    teach(log, 3)
    log.commit([Transaction(erase=[1])])
    log.finish_erasing()
    ending = written_beside(log)
    teach(log, 1, 10)
    ending.join()
    assert log.last == 4


def test_a_damaged_log_is_not_said_to_be_read_by_another_program_where_erasing_fails(log: EventLog) -> None:
    teach(log, 2000)
    log.commit([Transaction(erase=[1])])
    log.close()
    content = bytearray(log.path.read_bytes())
    middle = len(content) // 2 // database.PAGE_BYTES * database.PAGE_BYTES
    content[middle : middle + database.PAGE_BYTES] = bytes(database.PAGE_BYTES)
    log.path.write_bytes(content)
    with EventLog.open(log.path) as opened:
        for _ in range(2):
            with pytest.raises(DamagedError, match="restore the folder from a copy"):
                opened.finish_erasing()
            assert opened.erasing


# Who may write


def test_whoever_releases_a_log_lets_another_write_and_may_write_again_after_it(log: EventLog) -> None:
    teach(log, 1)
    with EventLog.open(log.path) as other:
        with pytest.raises(EngramError):
            teach(other, 1, 1)
        log.release()
        teach(other, 1, 1)
        with pytest.raises(EngramError):
            teach(log, 1, 2)
        other.release()
        teach(log, 1, 2)
        assert log.last == other.last == 3


def test_a_second_writer_is_told_who_the_first_is(log: EventLog) -> None:
    teach(log, 1)
    for _ in range(2):
        with EventLog.open(log.path) as second, pytest.raises(EngramError, match=f"process {os.getpid()}"):
            teach(second, 1)
    code = f"from engram.store.event_log import EventLog; EventLog.open({str(log.path)!r}).acquire()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"process {os.getpid()}: close that one" in done.stderr
    log.close()
    with EventLog.open(log.path) as second:
        teach(second, 1)
        assert second.last == 2


def test_events_of_another_writer_are_not_written_over(log: EventLog) -> None:
    teach(log, 1)
    log.close()
    with EventLog.open(log.path) as one:
        with EventLog.open(log.path) as other:
            teach(other, 1)
        with pytest.raises(EngramError, match="open it again"):
            one.commit([Transaction([taught(0)])], after=1)
        one.commit([Transaction([taught(0)])], after=2)


def test_opened_for_reading_only_it_is_never_written(log: EventLog) -> None:
    teach(log, 5)
    log.close()
    before = every_byte(log.path.parent)
    with EventLog.open(log.path, readonly=True) as reader:
        assert len(list(reader.read())) == 5
        with pytest.raises(EngramError, match="reading only"):
            teach(reader, 1)
    assert {k: v for k, v in every_byte(log.path.parent).items() if not k.endswith(("-shm", "-wal"))} == before


def test_a_log_on_a_medium_that_cannot_be_written_is_read(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    teach(log, 5)
    log.close()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere: as if it could not
    before = sorted(log.path.parent.iterdir())
    with EventLog.open(log.path, readonly=True) as reader:
        assert len(list(reader.read())) == 5
        assert sorted(log.path.parent.iterdir()) == before


def read_until(path: str, count: int, queue: Any) -> None:
    """In another process: read all there is, again and again, and tell what was seen."""
    lengths = []
    with EventLog.open(path, readonly=True) as log:
        while not lengths or lengths[-1] < count:
            lengths.append(len([event for event in log.read() if event.content is not None]))
    queue.put(lengths)


def test_other_processes_read_while_it_is_written(log: EventLog) -> None:
    teach(log, 1)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    readers = [context.Process(target=read_until, args=(str(log.path), 1500, queue)) for _ in range(2)]
    for reader in readers:
        reader.start()
    written = 1
    while written < 1500 or any(reader.is_alive() and queue.empty() for reader in readers):
        teach(log, 1 if written >= 1500 else 7, written % 1000)
        written += 1 if written >= 1500 else 7
        if written > 20_000:
            break
    for _ in readers:
        lengths = queue.get(timeout=60)
        assert lengths == sorted(lengths)
    for reader in readers:
        reader.join(60)
        assert reader.exitcode == 0


def test_threads_read_while_one_writes(log: EventLog) -> None:
    teach(log, 100)
    done = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        try:
            while not done.is_set():
                events = list(log.read())
                assert [e.seq for e in events] == list(range(1, len(events) + 1))
                log.event(50)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(60):
        teach(log, 3, i)
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
