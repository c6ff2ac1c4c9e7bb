"""Proof that a brain knows what its log tells, no more and no less: from the examples that remain to the same digest.

The certificate holds those examples, as the integers that were added, and sums for what the log holds no examples of:
what other devices taught, and what was let go to stay within the budget. Anybody can add them up.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from engram.brain.brain import Brain
from engram.brain.certificate import make_room, sum_of, write
from engram.brain.naming import Names
from engram.files import writing
from engram.heads.exact_sums import ExactSums
from engram.learner import DamagedError, InputError, Label
from engram.store.event import Taught

EXAMPLES, LABELS = "examples.npy", "labels.npy"

Progress = Callable[[int, int], None]


def prove_log(brain: Brain, folder: str | os.PathLike[str], progress: Progress | None = None) -> dict[str, Any]:
    """Certify that what a brain knows is exactly the sum of what its log holds.

    Args:
        brain: one that lasts in a folder.
        folder: where the certificate goes; it must not exist, or hold a certificate.
        progress: called with how many examples are written, and how many there are.

    Returns:
        The certificate, as JSON values.

    Raises:
        InputError: the brain lives in memory only, or was taught nothing, or the folder holds something else.
        DamagedError: the log does not give what the brain knows.
    """
    journal, bundle, digest = brain._past(), brain.bundle, brain.digest()
    if bundle is None:
        raise InputError("There is nothing to prove: the brain was taught nothing yet.")
    if brain._recovery().at(brain.seq, snapshots=False).total.digest() != digest:
        raise DamagedError(f"{journal.folder.path}: the log gives another state than what was opened: engram verify.")
    target = make_room(folder)
    log, sums = _log(brain, target, bundle.width, progress)
    rest = brain.exact_sums()
    rest.merge(sums, np.arange(len(sums.counts)), -1)
    if rest.counts.any() or rest.gram().any():
        states = {"rest": (brain.labels, rest)}
        sentence = "the examples of the log, and the sums of what was melded or let go, are exactly the state"
    else:
        states = {}
        sentence = "the examples of the log are exactly the state"
    about = {
        "claim": "log", "epochs": {}, "sums": [sum_of(["log", *states], sentence, brain.sums_digest())],
        "forgotten": None, "log": log, "seq": brain.seq,
    }
    return write(target, brain, about, states)


def _log(brain: Brain, folder: Path, width: int, progress: Progress | None) -> tuple[dict[str, Any], ExactSums]:
    """Write the examples and the places of their labels; what was written, and what they add up to."""
    log, timeline = brain._past().log, brain._past().timeline()
    names, spans = Names(timeline, brain.seq), timeline.in_force(brain.seq)
    count = sum(seq in spans for seq, _ in log.find(upto=brain.seq))
    place_of: dict[Label, int] = {label: place for place, label in enumerate(brain.labels)}
    sums, done = ExactSums(width), 0
    with writing(folder / EXAMPLES) as examples, writing(folder / LABELS) as labels:
        _begin(examples, "<i2", count, width)
        _begin(labels, "<i4", count)
        for run in _runs(item for span in spans for item in log.runs(span.start - 1, span.stop - 1)):
            named = zip(run.seqs, run.labels, strict=True)
            places = np.array([place_of[names.now(seq, label)] for seq, label in named], "<i4")
            examples.write(run.rows.astype("<i2").tobytes())
            labels.write(places.tobytes())
            sums.add(run.rows, places)
            done += len(run.seqs)
            if progress is not None:
                progress(done, count)
    files = {name: _digest(folder / name) for name in (EXAMPLES, LABELS)}
    return {"files": files, "labels": list(place_of), "examples": count}, sums


def _runs(items: Iterator[Any]) -> Iterator[Taught]:
    return (item for item in items if isinstance(item, Taught))


def _begin(out: IO[bytes], kind: str, *shape: int) -> None:
    """The head of a .npy file, whose rows follow as they are read, so that a long log needs no memory."""
    np.lib.format.write_array_header_1_0(out, {"descr": kind, "fortran_order": False, "shape": shape})


def _digest(file: Path) -> str:
    """The SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
