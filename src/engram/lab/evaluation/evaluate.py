"""A learner on a stream: taught one experience after another, asked about all of them after each."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from engram.files import make_folder, sync_folder, write_atomically
from engram.lab.evaluation.report import Cost, Report
from engram.lab.streams.stream import Examples, Experience, Stream
from engram.learner import Bounded, DamagedError, InputError, Label, LabelError, Learner, Saves, State
from engram.packing import pack
from engram.progress import Progress

FILE = "checkpoint.safetensors"
AGAIN = "Evaluate again with resume=False (--fresh), which starts from the beginning."

Rebuild = Callable[[State], Learner]

MADE_AT_ONCE = 2048
"""Inputs made together, where they are asked about or taught in smaller batches."""

JUDGED = 512
"""Test inputs of an experience by which the condition of a network is judged."""

NEEDED = ("exact", "boundaries", "learn", "predict", "consolidate")
"""What makes a learner."""

SEED_IT = "Seed torch before you build a network of your own: its first weights count. "


def evaluate(
    learner: Learner,
    stream: Stream,
    *,
    name: str | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = True,
    rebuild: Rebuild | None = None,
    forward: bool = True,
    every: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Teach the learner every experience in turn; after each, ask about the test parts of all.

    A learner with `boundaries` is told to consolidate where an experience ends. What counts is the best label, known
    or not: recognition. A stream that tells the task limits the answer to the task's labels. Where labels of a later
    experience cannot be asked about, since the learner was never taught them, no answer is right. Test examples of
    classes that no experience teaches either count as wrong, or belong to no test part: then the report's `left_out`
    counts them.

    Args:
        learner: any `Learner`. It learns; ask a fresh one for another evaluation.
        stream: what arrives; its inputs in the form that the learner takes (see `Stream.map`).
        name: what the learner is called; its class's name otherwise.
        out: a folder for `report.json`; a learner that `Saves` also leaves `checkpoint.safetensors` there after
            every experience, from which an interrupted evaluation goes on to the same result.
        resume: go on from the checkpoint in `out`, where there is one; else start from the beginning.
        rebuild: makes the learner out of its saved state; its class's `from_state` otherwise.
        forward: also ask about experiences still to come, for forward transfer; without it that is NaN.
        every: also ask while an experience is learned, whenever so many of its examples were taught (De Lange, van de
            Ven, Tuytelaars, ICLR 2023, arXiv 2205.13452): it is taught in portions of as many, each a call of `learn`.
            None: only after each experience.
        progress: see Progress.

    Returns:
        The report; `report.trained` is the learner at the end, which is another object than `learner` after a resume.

    Raises:
        InputError: no learner or no stream was given, `every` is below 1, or `out` holds the evaluation of another.
        DamagedError: its checkpoint is truncated or altered.
        EngramError: what the learner refuses of the stream.

    >>> from engram.heads import make
    >>> from engram.lab.streams import class_incremental, from_arrays
    >>> data = from_arrays(np.repeat(np.eye(4), 5, axis=0), np.repeat(np.arange(4), 5))
    >>> report = evaluate(make("nearest_class_mean"), class_incremental(data))
    >>> report.matrix.tolist(), report.forgetting
    ([[1.0, 0.0], [1.0, 1.0]], 0.0)
    """
    require_learner(learner)
    require_stream(stream)
    if every is not None and every < 1:
        raise InputError(f"every must be at least 1, not {every}.")
    folder = None if out is None else Path(out)
    begun = digest(learner.state()) if folder is not None and isinstance(learner, Saves) else ""
    asked = _Asked(stream)
    report = _empty(learner, stream, asked, name or type(learner).__name__, every)
    stored = Checkpoint.read(folder) if folder is not None and resume and begun else None
    steps = (len(stream) + 1) * len(asked.parts) + len(stream)

    def told(done: int, what: str) -> None:
        if progress is not None:
            progress(done, steps, what)

    if stored is not None and folder is not None:
        _check(stored, report, begun, folder, SEED_IT if _has_own_network(learner) else "")
        report = stored.report
        make = rebuild or cast("type[Saves]", type(learner)).from_state
        learner = cast(Learner, make(stored.state))
    else:
        report = replace(report, before=_counts(asked.ask(learner, 0, True, lambda part: told(part, "asking"))))
    for i in range(len(report.right), len(stream)):
        done = len(asked.parts) + i * (len(asked.parts) + 1)
        told(done, f"learning {stream[i].name}")
        during: list[tuple[int, ...]] = []

        learning, consolidating = _teach(learner, stream[i], stream.batch, every,
                                         partial(_midway, asked, learner, i, during))
        right = asked.ask(learner, i + 1, forward, partial(_shifted, told, done + 1))
        state = learner.state() if begun and isinstance(learner, Saves) else None
        cost = _cost(learner, state, learning, consolidating, asked.seconds, stream[i])
        report = replace(report, right=(*report.right, _counts(right)), costs=(*report.costs, cost),
                         during=(*report.during, tuple(during)) if every else (),
                         learner=_about(learner, str(report.learner["name"])))
        if folder is not None and state is not None:
            Checkpoint(report, state, begun).write(folder)
    if folder is not None:
        report.write(folder / "report.json")
    told(steps, "done")
    return replace(report, trained=learner)


def require_learner(learner: object) -> None:
    """
    Raises:
        InputError: a name or a class stands in place of a learner, or it lacks something that every learner has.
    """
    if isinstance(learner, type | str):
        given = learner.__name__ if isinstance(learner, type) else repr(learner)
        raise InputError(f"Pass a learner instance, such as engram.heads.make(\"fast\"), not {given}.")
    missing = [name for name in NEEDED if not hasattr(learner, name)]
    if missing:
        raise InputError(f"{type(learner).__name__} is not a learner: it lacks {', '.join(missing)}.")


def require_stream(stream: object) -> None:
    """
    Raises:
        InputError: something else, such as a data set, stands in place of a stream.
    """
    if not isinstance(stream, Stream):
        raise InputError(f"A {type(stream).__name__} is not a stream: choose how it arrives, such as "
                         "engram.lab.streams.class_incremental(data).")


def _shifted(told: Callable[[int, str], None], before: int, part: int) -> None:
    told(before + part, "asking")


@dataclass(frozen=True, eq=False)
class _Part:
    """A test part that one experience or several are asked about, first by experience number `first`."""

    examples: Examples
    among: tuple[Label, ...] | None
    first: int


class _Asked:
    """All that is asked: the distinct test parts of a stream, and the classes in them."""

    def __init__(self, stream: Stream) -> None:
        places: dict[tuple[int, tuple[Label, ...] | None], int] = {}
        self.parts: list[_Part] = []
        for number, experience in enumerate(stream):
            if not len(experience.test):
                raise InputError(f"Experience {experience.name!r} has no test examples to ask about.")
            key = (id(experience.test), experience.among)
            if places.setdefault(key, len(places)) == len(self.parts):
                self.parts.append(_Part(experience.test, experience.among, number))
        self.part_of = tuple(places[id(experience.test), experience.among] for experience in stream)
        labels = np.unique(np.concatenate([part.examples.labels for part in self.parts]))
        self.classes: tuple[Label, ...] = tuple(labels.tolist())
        self._truths = [np.searchsorted(labels, part.examples.labels) for part in self.parts]
        self.seconds = 0.0
        self.totals = np.stack([np.bincount(truth, minlength=len(labels)) for truth in self._truths])

    def ask(
        self, learner: Learner, learned: int, forward: bool, progress: Callable[[int], None]
    ) -> npt.NDArray[np.int64]:
        """(J, C) examples recognised after `learned` experiences; −1 for parts that are not asked about.

        `seconds` is then what the learner took to answer.
        """
        self.seconds = 0.0
        right = np.full(self.totals.shape, -1, np.int64)
        for number, (part, truth) in enumerate(zip(self.parts, self._truths, strict=True)):
            if forward or part.first < learned:
                hits = self._hits(learner, part, part.first < learned)
                right[number] = np.bincount(truth[hits], minlength=len(self.classes))
            progress(number + 1)
        return right

    def _hits(self, learner: Learner, part: _Part, met: bool) -> npt.NDArray[np.bool_]:
        found: list[bool] = []
        for batch in part.examples.batches(MADE_AT_ONCE):
            inputs = batch.inputs
            started = time.perf_counter()
            try:
                best = learner.predict(inputs, among=part.among).best
            except LabelError:
                if met or part.among is None:
                    raise
                best = [None] * len(batch)  # none of the task's labels was taught yet
            self.seconds += time.perf_counter() - started
            found += [answer == label for answer, label in zip(best, batch.labels.tolist(), strict=True)]
        return np.array(found, bool)


def _midway(asked: _Asked, learner: Learner, learned: int, during: list[tuple[int, ...]], taught: int) -> None:
    """Ask about the experiences before the one that is being learned, of which `taught` examples were taught."""
    right = asked.ask(learner, learned, False, lambda part: None)
    during.append((taught, *right.sum(axis=1).clip(-1).tolist()))


def _teach(
    learner: Learner, experience: Experience, batch: int | None, every: int | None, midway: Callable[[int], None]
) -> tuple[float, float]:
    """Seconds inside `learn`, and inside `consolidate`; `midway` is called after every `every` examples."""
    learning = consolidating = 0.0
    portion = every or max(1, len(experience.train))
    size = min(batch or portion, portion)
    made = portion if every else size * max(1, MADE_AT_ONCE // size)
    taught = 0
    for part in experience.train.batches(made):
        inputs = part.inputs
        started = time.perf_counter()
        for start in range(0, len(part), size):
            learner.learn(inputs[start : start + size], part.labels[start : start + size])
        learning += time.perf_counter() - started
        taught += len(part)
        if every:
            midway(taught)
    if learner.boundaries:
        started = time.perf_counter()
        learner.consolidate()
        consolidating = time.perf_counter() - started
    return learning, consolidating


def _cost(
    learner: Learner, state: State | None, learning: float, consolidating: float, asking: float, experience: Experience
) -> Cost:
    held: int | None = None
    if isinstance(learner, Bounded):
        held = int(learner.memory_bytes)
    elif state is not None or isinstance(learner, Saves):
        held = sum(array.nbytes for array in (state or cast(Saves, learner).state()).values())
    told = (getattr(learner, name, None) for name in ("samples_stored", "multiply_adds", "steps_taken",
                                                      "examples_shown"))
    condition = getattr(learner, "condition", None)
    fit = condition(experience.test.part(0, JUDGED).inputs) if callable(condition) else (None, None)
    return Cost(learning, consolidating, asking, len(experience.train), held,
                *(None if count is None else int(count) for count in told), *fit)


def _empty(learner: Learner, stream: Stream, asked: _Asked, name: str, every: int | None) -> Report:
    return Report(
        {"name": stream.name, "settings": dict(stream.settings), "fingerprint": stream.fingerprint(),
         **({"every": every} if every else {})},
        _about(learner, name),
        tuple(experience.name for experience in stream), asked.classes, asked.part_of, _counts(asked.totals), (),
        left_out=stream.left_out,
    )


def _about(learner: Learner, name: str) -> dict[str, Any]:
    """The learner's name, class and, where it tells them, settings."""
    about: dict[str, Any] = {"name": name, "kind": type(learner).__qualname__}
    config = getattr(learner, "config", None)
    return about | {"config": config()} if callable(config) else about


def _has_own_network(learner: Learner) -> bool:
    """Whether it learns with a network whose first weights follow from no seed in its settings."""
    network = getattr(learner, "network", None)
    return network is not None and not hasattr(network, "spec")


def _check(stored: Checkpoint, fresh: Report, begun: str, folder: Path, advice: str) -> None:
    """The stored evaluation is of this learner and this stream."""
    if stored.report.stream["fingerprint"] != fresh.stream["fingerprint"]:
        raise InputError(f"{folder} holds an evaluation on another stream ({stored.report.stream['name']}): pass "
                         f"another folder. {AGAIN}")
    if stored.report.stream.get("every") != fresh.stream.get("every"):
        raise InputError(f"{folder} holds an evaluation with every={stored.report.stream.get('every')}: pass another "
                         f"folder. {AGAIN}")
    if stored.begun != begun or stored.report.learner["kind"] != fresh.learner["kind"]:
        raise InputError(f"{folder} holds an evaluation of another learner, or of one with other settings or another "
                         f"seed ({stored.report.learner['name']}): pass another folder. {advice}{AGAIN}")


def _counts(array: npt.NDArray[np.int64]) -> Any:
    return tuple(tuple(_counts(row)) if row.ndim else int(row) for row in array)


class Checkpoint(NamedTuple):
    """An evaluation under way in one file, `checkpoint.safetensors`: both the state and the report so far, or neither.

    The arrays of the learner's state; in the header the report as JSON, and a SHA-256 of both, since the format itself
    only notices a wrong length. It is written under another name, synced and renamed.

    Attributes:
        report: what was found so far.
        state: the learner's, after the last experience that the report tells of.
        begun: the SHA-256 of its state at the start.
    """

    report: Report
    state: State
    begun: str

    def write(self, folder: Path) -> None:
        """Replace the checkpoint in the folder, which is made where there is none.

        Raises:
            OSError: the disk refused; the earlier checkpoint is still there.
        """
        make_folder(folder)
        arrays = {name: np.asarray(array, order="C") for name, array in self.state.items()}
        about = json.dumps({"report": self.report.to_json(), "begun": self.begun})
        header = {"about": about, "sha256": digest(arrays, about)}
        write_atomically(folder / FILE, pack(arrays, header))
        sync_folder(folder)

    @classmethod
    def read(cls, folder: Path) -> Checkpoint | None:
        """The checkpoint in the folder, or None where there is none.

        Raises:
            DamagedError: the file is truncated, altered or foreign.
        """
        path = folder / FILE
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                header = file.metadata() or {}
            if digest(arrays, header["about"]) != header["sha256"]:
                raise ValueError("its SHA-256 does not fit")
            about = json.loads(header["about"])
            return cls(Report.from_json(about["report"]), arrays, about["begun"])
        except (SafetensorError, DamagedError, ValueError, KeyError, TypeError) as error:
            raise DamagedError(f"{path} is damaged or foreign ({error}). {AGAIN}") from error


def digest(arrays: Mapping[str, Any], about: str = "") -> str:
    """SHA-256 of arrays by name, and of a text."""
    total = hashlib.sha256(about.encode())
    for name, array in sorted(arrays.items()):
        total.update(f"{name}{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()
