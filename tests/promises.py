"""Breaks the promises of docs/durability.md one by one, and shows that the tests named there find it.

    python tests/promises.py [--out results/promises.json] [--only WORD ...] [--at-once 2]

Each way of breaking a promise changes one line in a copy of the code; the tests that the promise's row names are run in
that copy, and several copies are tested side by side. Every way must make one of them fail, and every test must fail
for one of the ways. All of these tests are also run in the code as it is: they must pass.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NAMED = re.compile(r"`(tests/[\w/]+\.py::test_\w+)`")
COPIED = ("src", "tests", "docs", "pyproject.toml", "README.md", "ARCHITECTURE.md", "CHANGELOG.md")
LONGEST = 600  # seconds for the tests of one row


@dataclass(frozen=True)
class Way:
    """One way to break a promise.

    Attributes:
        promise: how its row of the page begins.
        file: what is changed, below src/engram or tests.
        old, new: the text there, once, and what takes its place.
    """

    promise: str
    file: str
    old: str
    new: str


LOG, TABLES = "store/event_log.py", "store/database.py"
DURABLE, LEDGER, BRAIN = "store/durable.py", "brain/folder_ledger.py", "brain/brain.py"
FORGET, HISTORY = "brain/changes/forget.py", "brain/history.py"
UNDONE_NONE = "def undone(self, label: Label) -> list[Event]:\n        return []\n"
COMMIT = 'connection.execute("COMMIT")'

WAYS = (
    Way("A folder moved", LOG, "        if self.moved:\n", "        if False:\n"),
    Way(
        "What is written to files that lost",
        LOG,
        "        if self._held.moved or self._held.cut_off:\n",
        "        if False:\n",
    ),
    Way("Another SQLite", LOG, "        if not self._closed and self._held.cut_off:", "        if False:"),
    Way(
        "A closed brain",
        "brain/ledger.py",
        "        if self._left is not None:\n            raise",
        "        if False:\n            raise",
    ),
    Way(
        "Reading goes on",
        LEDGER,
        "        self.finish_saving()\n        fresh =",
        "        self.close()\n        fresh =",
    ),
    Way("Arrays are saved", "packing.py", 'np.asarray(array, order="C")', "np.asarray(array)"),
    Way("What is written is its owner's", "files.py", "0o666 if public and before is None else 0o600", "0o666"),
    Way(
        "What was acknowledged survives",
        LOG,
        COMMIT,
        'lost = next(connection.execute("SELECT max(seq) > 12 FROM events"))[0]\n'
        '                connection.execute("ROLLBACK" if lost else "COMMIT")',
    ),
    Way(
        "… and a power cut",
        "store/database.py",
        'connection.pragma("synchronous", synchronous)',
        'connection.pragma("synchronous", "NORMAL")',
    ),
    Way(
        "… and that test would notice",
        "tests/durability/trials.py",
        "        if wrong:\n            verdict.wrong += 1",
        "        if not wrong and wrong:\n            verdict.wrong += 1",
    ),
    Way(
        "A disk that is full",
        BRAIN,
        "        try:\n            changes = [",
        "        for one in whole:\n            apply(self._knowledge, one.item, one.referred)\n"
        "        try:\n            changes = [",
    ),
    Way(
        "A disk that is full",
        DURABLE,
        "            except Exception:\n                self._recover()\n                raise",
        "            except Exception:\n                raise",
    ),
    Way(
        "A flipped bit",
        "store/database.py",
        '    if not sound:\n        raise DamagedError(f"Event',
        '    if False:\n        raise DamagedError(f"Event',
    ),
    Way(
        "A flipped bit",
        "store/folder.py",
        'if not whole or hashlib.sha256(content).hexdigest() != entry["sha256"]:',
        "if not whole:",
    ),
    Way(
        "A flipped bit",
        "store/log_files.py",
        "!= packed:\n            return 0",
        "!= packed:\n            return 2**62",
    ),
    Way("A log is never shortened", LOG, "        if mark > last:", "        if False:"),
    Way("A log is never shortened", LOG, "        if len(rows) != len(seqs):", "        if False:"),
    Way("A commit is whole", LOG, 'connection.execute("ROLLBACK")', COMMIT),
    Way(
        "A damaged snapshot",
        LEDGER,
        "                continue  # an older one",
        "                raise  #",
    ),
    Way(
        "The same request",
        "brain/changes/teach.py",
        "    if answer is None or found is None:\n",
        "    if answer is None or found is None or answer.key:\n",
    ),
    Way(
        "Many callers share",
        BRAIN,
        "        if len(lessons) > 1 and (alone or",
        "        if len(lessons) > 1 or (alone or",
    ),
    Way(
        "Many callers share",
        "brain/changes/teach.py",
        "            outcomes.append(error)",
        "            raise error",
    ),
    Way("A second writer", "store/writer_lock.py", "            _lock(handle)\n", "            pass\n"),
    Way(
        "A second writer",
        BRAIN,
        "if ledger.held or not (ledger.moved or",
        "if ledger.held or ledger or not (ledger.moved or",
    ),
    Way(
        "What is forgotten is in no byte",
        LOG,
        "mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)\n                    set_count",
        "mode=apsw.SQLITE_CHECKPOINT_PASSIVE)\n                    set_count",
    ),
    Way(
        "What is forgotten is in no byte",
        LEDGER,
        "seq: int) -> None:\n        self.snapshot(knowledge, seq, alone=True)",
        "seq: int) -> None:\n        self.snapshot(knowledge, seq)",
    ),
    Way(
        "What is forgotten is in no byte",
        TABLES,
        'connection.execute("DELETE FROM thumbnails WHERE seq = ?", (seq,))',
        "pass",
    ),
    Way("… nor on pages", LOG, 'self._writer.execute("VACUUM")', "pass"),
    Way("… nor in the inbox", BRAIN, "        if not keys:\n", "        if keys:\n"),
    Way("The inbox also loses", FORGET, "    rows += [loss.against.rows] if loss.against.labels else []\n", ""),
    Way("The inbox also loses", BRAIN, "for unknown in self.unknowns if in_folder(", "for unknown in () if in_folder("),
    Way("What was undone is forgotten", HISTORY, "def undone(self, label: Label) -> list[Event]:\n", UNDONE_NONE),
    Way("What was undone is forgotten", HISTORY, "for seq, _ in self._log.find(teacher=teacher, kinds=LESSONS)]\n",
        "for seq, _ in self._log.find(teacher=teacher, kinds=LESSONS) if seq in self.spans]\n"),
    Way("What was undone is forgotten", HISTORY, "        like: dict[bytes | None, list[Event]] = {}\n",
        "        return [[] for _ in receipts]\n"),
    Way("What was undone is forgotten", FORGET, "rows += [rows_in(undone)] if undone else []", "pass"),
    Way("What was undone is forgotten", FORGET, "[labels[i] for i in gone], TAUGHT_NOT)",
        "[labels[i] for i in gone])"),
    Way("A name that only the history tells", HISTORY, "if not found and not self._log.names_teacher(teacher):",
        "if not found:"),
    Way("A name that only the history tells", FORGET, "    if not history.tells(label):\n", "    if label:\n"),
    Way(
        "… nor is it named",
        "brain/tombstones.py",
        'return made.ended() if kind == "forget label" else made',
        "return made",
    ),
    Way("… nor is it named", "brain/erasing.py", "            found.add(tombstone.label)", "            pass"),
    Way("… nor is it named", TABLES, "(*event[:3], None, *event[4:10])", "event[:10]"),
    Way(
        "Where another program reads",
        LOG,
        "                raise TracesError(",
        "                return\n                raise TracesError(",
    ),
    Way(
        "Where another program reads",
        "brain/repair.py",
        "            problems += _traces(brain, ledger)",
        "            pass",
    ),
    Way("A forget that a crash", BRAIN, "        if not ledger.readonly and brain.traces():", "        if False:"),
    Way(
        "No old device",
        "brain/tombstones.py",
        "return None if self.label is None else found_in(labels, self.label)",
        "return self.label if self.label in labels else None",
    ),
    Way(
        "… nor what had been rolled back",
        "brain/history.py",
        "        return gone\n",
        "        return []\n",
    ),
    Way("… and no import", "brain/exchange.py", "if self._gone.get(receipt, -math.inf) >= time:", "if False:"),
    Way("One returns to any moment", "brain/timeline.py", "        if seq < earliest:", "        if False:"),
    Way(
        "One returns to any moment",
        BRAIN,
        "then = self._ledger.recover(upto, without=without)\n",
        "then = self._knowledge\n",
    ),
    Way("One undo takes back all of an act", "brain/changes/teach.py", '            body["act"] = lesson.act\n',
        "            pass\n"),
    Way("One undo takes back all of an act", "brain/timeline.py", "return Spans(reversed(spans)).without(gone)",
        "return Spans(reversed(spans))"),
    Way("One undo takes back all of an act", "brain/changes/checkpoint.py", "covers = timeline.settled(covers)",
        "covers = covers"),
    Way(
        "An exported brain",
        "brain/exchange.py",
        "label = self._names.now(event.seq, event.label)",
        "label = event.label",
    ),
    Way("A file of events", "brain/exported.py", "            if found[kind] != wanted:", "            if False:"),
    Way(
        "A file of events",
        "brain/exported.py",
        '            raise self._wrong("not JSON, or cut short") from None',
        '            return {"kind": "renamed"}',
    ),
    Way("A file of events", "brain/exported.py", 'InputError(f"Line {self.line}: {what}', 'InputError(f"{what}'),
    Way("A file of events", "brain/exchange.py", "islice(examples, _PORTION)", "islice(examples, 1)"),
    Way("The log's examples add up", "brain/certificate.py", "            sums.add(run.rows, places)\n", ""),
    Way(
        "The log's examples add up",
        "brain/verify_certificate.txt",
        '    gram = np.zeros((rows.shape[1], rows.shape[1]), "<i8")',
        '    return read(said["states"]["now"])',
    ),
    Way(
        "The log's examples add up",
        "brain/verify_certificate.txt",
        'for name in claim["of"]]) == claim["digest"],',
        'for name in claim["of"]]),',
    ),
    Way(
        "The log keeps within",
        LEDGER,
        "if seq - self._covered > room else 0",
        "if False else 0",
    ),
    Way(
        "The log keeps within",
        "brain/changes/checkpoint.py",
        "    base = ledger.recover(covers)\n",
        "    base = ledger.recover(covers - 1)\n",
    ),
)


@dataclass
class Outcome:
    """What became of it.

    Attributes:
        caught: the ways that a test found.
        blind: tests that fail for no way.
        problems: in words.
    """

    ways: int = 0
    caught: int = 0
    tests: int = 0
    blind: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def rows(page: str) -> dict[str, list[str]]:
    """Each promise of the page, and the tests that hold it."""
    table = page.partition("| promise | held by |")[2].partition("\n\n")[0]
    lines = [line.split("|") for line in table.splitlines() if NAMED.search(line)]
    return {cells[1].strip(): NAMED.findall(cells[2]) for cells in lines}


def place_of(root: Path, way: Way) -> Path:
    return root / way.file if way.file.startswith("tests/") else root / "src" / "engram" / way.file


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the code, its tests and its pages."""
    with tempfile.TemporaryDirectory() as made:
        for name in COPIED:
            source, target = ROOT / name, Path(made) / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "_build"))
            elif source.exists():
                shutil.copy(source, target)
        yield Path(made)


def broken(root: Path, way: Way) -> None:
    """Break a promise in a copy.

    Raises:
        SystemExit: the text to be changed is not there, or more than once.
    """
    file = place_of(root, way)
    before = file.read_text(encoding="utf-8")
    if before.count(way.old) != 1:
        raise SystemExit(f"{way.file} holds {before.count(way.old)} times: {way.old!r}. Adapt {Path(__file__).name}.")
    file.write_text(before.replace(way.old, way.new), encoding="utf-8")


def failing(root: Path, tests: Sequence[str]) -> set[str]:
    """Those of the tests that fail in the copy.

    Raises:
        SystemExit: a test could not be run: it was not found, or was passed over.
    """
    found = set()
    for test in tests:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-rs", "--tb=line", test]
        # What the caller asks of its own pytest, as `-n 2`, would change what the exit status means.
        paths = {"PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": ""}
        try:
            done = subprocess.run(
                command, cwd=root, env=os.environ | paths, capture_output=True, text=True, check=False, timeout=LONGEST
            )
        except subprocess.TimeoutExpired:
            found.add(test)
            continue
        if done.returncode not in (0, 1) or "SKIPPED" in done.stdout:
            raise SystemExit(f"{test} was not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        if done.returncode:
            found.add(test)
    return found


def found_by(tests: Sequence[str], way: Way | None) -> set[str]:
    """Those of the tests that fail in a copy in which this promise is broken; None for the code as it is."""
    with copied() as root:
        if way is not None:
            broken(root, way)
        return failing(root, tests)


def tried(words: Sequence[str], at_once: int) -> Outcome:
    """Break the promises whose row holds one of these words, or all; so many copies are tested side by side."""
    outcome, page = Outcome(), rows((ROOT / "docs" / "durability.md").read_text(encoding="utf-8"))
    chosen = {promise: tests for promise, tests in page.items() if not words or any(word in promise for word in words)}
    ways = [(promise, way) for promise in chosen for way in WAYS if promise.startswith(way.promise)]
    untried = chosen.keys() - {promise for promise, _ in ways}
    outcome.problems += [f"No way to break is known: {promise}" for promise in chosen if promise in untried]
    outcome.tests = sum(map(len, chosen.values()))
    seen = set[str]()
    with ThreadPoolExecutor(at_once) as pool:
        before = pool.map(found_by, chosen.values(), [None] * len(chosen))
        after = pool.map(found_by, [chosen[promise] for promise, _ in ways], [way for _, way in ways])
        outcome.problems += [f"{test} fails before anything is broken" for tests in before for test in sorted(tests)]
        for (promise, way), found in zip(ways, after, strict=True):
            outcome.ways, outcome.caught, seen = outcome.ways + 1, outcome.caught + bool(found), seen | found
            print("caught" if found else "MISSED", promise, "|", way.file, "|", way.new.strip()[:60], flush=True)
            if not found:
                outcome.problems.append(f"{promise}: nobody finds {way.new.strip()!r} in {way.file}")
    outcome.blind = [test for tests in chosen.values() for test in tests if test not in seen]
    outcome.problems += [f"{test} fails for no way of breaking what it holds" for test in outcome.blind]
    return outcome


def values_of(outcome: Outcome) -> dict[str, Any]:
    """As a result file keeps it."""
    return {
        "promises-caught": 100 * outcome.caught / max(1, outcome.ways),
        "ways": outcome.ways,
        "tests": outcome.tests,
        "tests-that-find-none": len(outcome.blind),
        "problems": len(outcome.problems),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the result to this file")
    parser.add_argument("--only", nargs="*", default=[], help="promises whose row holds one of these words")
    parser.add_argument("--at-once", type=int, default=2, help="copies whose tests run side by side")
    options = parser.parse_args()
    began = time.monotonic()
    outcome = tried(options.only, options.at_once)
    for name, value in values_of(outcome).items():
        print(f"{name:30s} {value:g}")
    for problem in outcome.problems:
        print(problem, file=sys.stderr)
    if options.out:
        from engram.lab.experiments import figures_of
        from engram.lab.experiments.result import build, write_json

        command = "python tests/promises.py --out results/promises.json"
        config = {"seconds": round(time.monotonic() - began)}
        result = build(
            "promises",
            "Promises of the durability page, broken one by one",
            command,
            config,
            [0],
            [values_of(outcome)],
            figures_of("durability"),
        )
        write_json(options.out, result)
    return int(bool(outcome.problems))


if __name__ == "__main__":
    sys.exit(main())
