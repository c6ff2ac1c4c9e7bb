"""What remains of what was forgotten: byte searches over a brain's folder, temporary files, copies and exports.

    python benchmarks/forgetting.py [--out results/forgetting.json] [--stories 60] [--quick]

In each story a brain of pictures or of vectors is taught, renamed, corrected, melded, undone and asked, then forgets a
label, examples, or a teacher, which it knows or which were undone; some stories are cut short by a crash at a random
moment of the forget and opened again. Searched for are the names as text, the quantised rows and features as bytes and
as base64, the small pictures. All of these must be found before the forget, or the search would prove nothing.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import base64
import io
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engram import files
from engram.brain import Brain
from engram.lab.experiments import figures_of
from engram.lab.experiments.result import build, write_json
from engram.learner import EngramError
from engram.store.event_log import EventLog

WIDTH = 48
PART = 40  # bytes of a row or picture that count as it
UNDONE = ("undone, by label", "undone, by examples", "undone, by ids", "undone, by teacher")


@dataclass
class Story:
    """One brain's life.

    Attributes:
        needles: what each search looks for -> the bytes.
        untaught: the last event before what is forgotten was taught.
        searched, found, before: searches after the forget, those that found something, and those before it that did.
    """

    seed: int
    folder: Path
    temporary: Path
    searched: int = 0
    found: int = 0
    before: int = 0
    untaught: int = 0
    crashed: bool = False
    needles: dict[str, bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng, self.numbers = random.Random(self.seed), np.random.default_rng(self.seed)
        self.pictures = self.seed % 2 == 0
        word = f"{self.numbers.integers(2**60):x}"
        self.names = [f"Jane Doe {word}", f"J. Doë {word}", f"person {word}"]
        self.teacher, self.other = f"Eve {word}", f"Ann {word}"

    def inputs(self, count: int) -> Any:
        if self.pictures:
            return [self.numbers.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(count)]
        return self.numbers.normal(size=(count, WIDTH))

    def live(self) -> None:
        """Teach, remember, forget; then search."""
        way = self.rng.choice(["label", "label", "examples", "ids", "teacher", "meld", *UNDONE])
        brain = Brain.create(self.folder / "brain", "descriptor" if self.pictures else None, device="here")
        brain.learn(self.inputs(4), "other", teacher=self.other)
        brain.learn(self.inputs(3), "another", teacher=self.other)
        secret, self.untaught = self.inputs(3), brain.seq
        ids = brain.learn_examples(
            secret, self.names[0], teacher=self.teacher, sources=[f"{self.names[0]} {i}.png" for i in range(3)]
        ).ids
        self._remember(brain, secret, ids, way)
        label = self._lived_on(brain, ids)
        self.before += sum(any(needle in content for _, content in self._contents(brain))
                           for needle in self.needles.values())
        brain = self._forget(brain, way, label, secret, ids)
        with suppress(EngramError):
            brain.learn(self.inputs(1), "other", teacher=self.other)
        for place, content in self._contents(brain):
            for what, needle in self.needles.items():
                self.searched += 1
                if needle in content:
                    self.found += 1
                    self.problems.append(f"story {self.seed}, {way}: {what} in {place}")
        brain.close()

    def _remember(self, brain: Brain, secret: Any, ids: tuple[int, ...], way: str) -> None:
        rows = brain.quantised(secret)
        features = brain.bundle.features(list(secret)) if brain.bundle else rows
        for i, row in enumerate(rows):
            packed_row = row.astype("<i2").tobytes()
            self.needles |= {f"row {i}": packed_row[:PART], f"row {i}, base64": base64.b64encode(packed_row)[:PART]}
            self.needles[f"row {i}, later half"] = packed_row[len(packed_row) // 2 :][:PART]
            self.needles[f"features {i}"] = np.asarray(features[i], "<f4").tobytes()[:PART]
            picture = brain.thumbnail(ids[i])
            if picture is not None:
                middle = picture[len(picture) // 2 :][:PART]
                self.needles |= {f"picture {i}": middle}
        self.needles |= {f"name {i}": name.encode() for i, name in enumerate(self.names)}
        self.needles |= {f"name {i}, escaped": json.dumps(name)[1:-1].encode() for i, name in enumerate(self.names)}
        if "teacher" in way:
            self.needles["teacher"] = self.teacher.encode()

    def _lived_on(self, brain: Brain, ids: tuple[int, ...]) -> str:
        """What else happens before; the label that the secret examples go by at last."""
        device = Brain(device="elsewhere")
        device.learn(self.inputs(2), "other") if not self.pictures else None
        brain.rename(self.names[0], self.names[1])
        brain.save()
        if not self.pictures:
            brain.meld(device)
        extra = brain.learn_examples(self.inputs(1), self.names[1]).ids
        brain.undo()
        del extra
        brain.relabel(ids[:1], "another")
        brain.relabel(ids[:1], self.names[1])
        brain.rename(self.names[1], self.names[2])
        with suppress(EngramError):
            brain.predict(self.inputs(2), remember=True)
        brain.consolidate()
        brain.save()
        return self.names[2]

    def _forget(self, brain: Brain, way: str, label: str, secret: Any, ids: tuple[int, ...]) -> Brain:
        if self.rng.random() < 0.4:
            brain.close()
            self._crash(way, label, secret, ids)
            return Brain.open(self.folder / "brain")
        self._carry_out(brain, way, label, secret, ids)
        return brain

    def _carry_out(self, brain: Brain, way: str, label: str, secret: Any, ids: tuple[int, ...]) -> None:
        if way in UNDONE:
            brain.rollback(self.untaught)
            way = way.removeprefix("undone, by ")
        if way == "label":
            brain.forget(label=label)
        elif way == "examples":
            brain.forget(list(secret) if self.pictures else secret)
        elif way == "ids":
            brain.forget(ids=ids)
        elif way == "teacher":
            brain.forget(teacher=self.teacher)
        else:
            elsewhere = Brain("descriptor" if self.pictures else None, device="forgetful")
            elsewhere.learn(self.inputs(1), label)
            elsewhere.forget(label=label)
            brain.meld(elsewhere)

    def _crash(self, way: str, label: str, secret: Any, ids: tuple[int, ...]) -> None:
        """The same in a process that dies at a random call after the forget was committed."""
        self.crashed, left = True, [self.rng.randrange(12)]

        def step() -> None:
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)

        child = os.fork()
        if child:
            os.waitpid(child, 0)
            return
        commit = EventLog.commit

        def committed(log: EventLog, *changes: Any, **options: Any) -> Any:
            done = commit(log, *changes, **options)
            if any(change.for_good for change in changes[0]):
                real = files.os
                files.os = _Dying(real, step)  # type: ignore[assignment]
                finish, EventLog.finish_erasing = EventLog.finish_erasing, lambda log: (step(), finish(log))[1]  # type: ignore[method-assign]
            return done

        EventLog.commit = committed  # type: ignore[method-assign]
        self._carry_out(Brain.open(self.folder / "brain"), way, label, secret, ids)
        os._exit(0)

    def _contents(self, brain: Brain) -> Iterator[tuple[str, bytes]]:
        """Everything that is or can be read: files, temporary files, a copy, exports, the history."""
        for root in (self.folder, self.temporary):
            for file in sorted(root.rglob("*")):
                if file.is_file():
                    yield f"{root.name}/{file.relative_to(root)}", file.read_bytes()
        text = io.StringIO()
        brain.export(text)
        yield "the export", text.getvalue().encode()
        copy = self.temporary.parent / f"copy-{self.seed}"  # what the server sends as a zip
        brain.save(copy)
        for file in sorted(copy.rglob("*")):
            if file.is_file():
                yield f"the copy: {file.relative_to(copy)}", file.read_bytes()
        shutil.rmtree(copy)
        yield "the history", repr(brain.history(limit=1000)).encode()


class _Dying:
    """The calls of the system, each of which may be the last."""

    def __init__(self, real: Any, step: Any) -> None:
        self._real, self._step = real, step

    def __getattr__(self, name: str) -> Any:
        if name in ("open", "write", "fsync", "replace", "unlink"):
            self._step()
        return getattr(self._real, name)


def measure(stories: int, scratch: Path) -> tuple[dict[str, Any], list[str]]:
    """All values, and in words what was found."""
    temporary = scratch / "temporary"
    temporary.mkdir()
    tempfile.tempdir = str(temporary)
    lived = []
    for seed in range(stories):
        folder = scratch / f"story-{seed}"
        folder.mkdir()
        lived.append(Story(seed, folder, temporary))
        lived[-1].live()
    least = min(story.before / len(story.needles) for story in lived)
    return {
        "bytes-found": sum(story.found for story in lived), "searched": sum(story.searched for story in lived),
        "stories": stories, "crashes": sum(story.crashed for story in lived),
        "least-share-found-before": least,
    }, [problem for story in lived for problem in story.problems]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the result to this file")
    parser.add_argument("--stories", type=int, default=60)
    parser.add_argument("--quick", action="store_true", help="six stories: does it run?")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args()
    stories = 6 if options.quick else options.stories
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory) as path:
        values, problems = measure(stories, Path(path))
    for problem in problems:
        print(problem, file=sys.stderr)
    command = "python benchmarks/forgetting.py --out results/forgetting.json"
    result = build("forgetting", "What remains of what was forgotten", command, {"part": PART}, [0], [values],
                   figures_of("forgetting"))
    if options.out:
        write_json(options.out, result)
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in values.items():
            print(f"{name:30s} {value:g}")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
