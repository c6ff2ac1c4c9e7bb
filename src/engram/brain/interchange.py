"""Export and import: what a brain was taught, as JSON lines, to another brain on the same backbone.

An import teaches; it obeys what was decided here. An example that is held already is not taught twice, one that was
forgotten here does not come back, and one that was renamed or corrected here comes under its new label.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from engram.brain.decided import Decided
from engram.brain.examples import PHOTOS, as_bundle
from engram.brain.exported import Exported, Header, Reader, event_line, example_line
from engram.brain.lessons import Lesson, Pupil
from engram.brain.naming import Names
from engram.brain.receipts import Receipts, counter_receipts_of, receipts_of
from engram.brain.reviewed import note_of, taught_at
from engram.brain.timeline import HOUSEKEEPING, LESSONS, ROLLED_BACK, TAUGHT, TAUGHT_NOT
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.vectors import VectorBackbone
from engram.files import writing
from engram.inputs.tables import few
from engram.inputs.vectors import as_labels
from engram.learner import DamagedError, EngramError, InputError, Label
from engram.store.event import Event

Progress = Callable[[int, int], None]

_PORTION = 4096  # examples that are learned by one commit


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file of events.

    Attributes:
        taught: examples learned.
        known: examples that were held already, or that a gate skipped.
        forgotten: examples that were forgotten here since: they stay forgotten.
        header: what the file says of itself.
    """

    taught: int
    known: int
    forgotten: int
    header: Header


class Exchanging(Pupil):
    """A brain whose examples can be written to a file and read from one."""

    def export(self, file: str | os.PathLike[str] | IO[str], progress: Progress | None = None) -> Header:
        """Write all that was taught here, and is known, as JSON lines; see `engram.brain.exported`.

        Args:
            file: a path, written whole or not at all (see `engram.files.writing`), or a file opened for writing text.
            progress: called with how many examples are written, and how many there are.

        Raises:
            InputError: the brain lives in memory only, or was taught nothing yet.
            EngramError: something was forgotten meanwhile.
            OSError: the disk refused.
        """
        with _written(file) as out:
            lines = self.export_lines(progress)
            out.writelines(lines)
            return lines.header

    def export_lines(self, progress: Progress | None = None) -> Lines:
        """The same as an iterator of lines; teaching may go on meanwhile.

        Raises:
            as `export`, some while iterating.
        """
        with self._lock:
            return Lines(self, progress)

    def import_events(
        self, file: str | os.PathLike[str] | IO[Any], progress: Progress | None = None, *, bundle: Any = None
    ) -> Imported:
        """Learn what a file of events holds, each example with its time, teacher and source; 4,096 by one commit.

        What is held already is skipped, so an import that was interrupted can be repeated.

        Args:
            file: a path, or a file opened for reading.
            progress: called with how many examples were read, and how many there are.
            bundle: for a brain that stands on nothing yet, a bundle or the name of one; None finds it by the file.

        Raises:
            InputError: not such a file, damaged (the message names the line), or made on another backbone. Examples
                before the line may have been learned; of what follows nothing was.
            LabelError, CapacityError, OSError: as for `learn`.
        """
        with _opened(file) as lines:
            reader = Reader(lines)
            stands_on = self._importable(reader.header, bundle)
            taught = known = forgotten = read = 0
            seen = Receipts()
            for portion in _portions(reader):
                examples = [one for one in portion if not one.against]
                against = [one for one in portion if one.against]
                with self._change():
                    chosen, left_out = self._new_to_me(examples, seen) if examples else ([], 0)
                    learned = self._learn_imported(stands_on, chosen, reader.header.columns) if chosen else 0
                    more, gone = self._learn_not_imported(stands_on, against) if against else (0, 0)
                learned, left_out = learned + more, left_out + gone
                read += len(portion)
                taught, forgotten = taught + learned, forgotten + left_out
                known += len(portion) - left_out - learned
                if progress is not None:
                    progress(read, reader.header.examples)
            return Imported(taught, known, forgotten, reader.header)

    def _importable(self, header: Header, given: Any) -> Bundle:
        bundle = self._bundle or (_bundle_for(header) if given is None else as_bundle(given))
        if bundle is None:
            raise InputError(f"These events were made on the backbone {header.backbone!r}: say where that is.")
        if bundle.fingerprint != header.fingerprint or bundle.width != header.width:
            raise InputError(
                f"These events were made on another backbone ({header.backbone!r} {header.fingerprint[:12]}) than "
                f"{bundle.name!r} {bundle.fingerprint[:12]}: what their features mean differs."
            )
        if header.columns and self._columns and header.columns != self._columns:
            raise InputError(f"These events have the columns {few(header.columns)}, but this brain was taught "
                             f"{few(self._columns)}: teach another brain.")
        return bundle

    def _new_to_me(
        self, portion: Sequence[Exported], seen: Receipts
    ) -> tuple[list[tuple[Exported, Label, bytes]], int]:
        """Those examples of a portion that are to be learned, under which label; and how many were forgotten here.

        Args:
            seen: what of the file has come by, which is added to: what it holds twice is to be held twice.
        """
        decided = Decided(self._journal, self._taught.edicts)
        receipts = receipts_of(np.stack([one.row for one in portion]))
        labels = [decided.now(one.label, receipt, one.time) for one, receipt in zip(portion, receipts, strict=True)]
        kept = [(one, label, receipt) for one, label, receipt in zip(portion, labels, receipts, strict=True)
                if label is not None]
        as_labels([label for _, label, _ in kept], len(kept), self._taught.like)
        held = self._taught.held([receipt for _, _, receipt in kept], [label for _, label, _ in kept])
        new: Counter[tuple[bytes, Label]] = Counter()
        came: Counter[tuple[bytes, Label]] = Counter()
        chosen = []
        for (one, label, receipt), had in zip(kept, held, strict=True):
            key = (receipt, label)
            came[key] += 1
            if seen.count(receipt, label) + came[key] > had + new[key]:
                new[key] += 1
                chosen.append((one, label, receipt))
        seen.add([receipt for _, _, receipt in kept], [label for _, label, _ in kept])
        return chosen, len(portion) - len(kept)

    def _learn_imported(
        self, bundle: Bundle, chosen: Sequence[tuple[Exported, Label, bytes]], columns: tuple[str, ...] | None
    ) -> int:
        lesson = _lesson(bundle, chosen, columns)
        (learned,) = self._learn_together([lesson])
        if isinstance(learned, BaseException):
            raise learned
        return len(lesson.rows) - learned.skipped


    def _learn_not_imported(self, bundle: Bundle, portion: Sequence[Exported]) -> tuple[int, int]:
        """Learn the counterexamples that are new here and whose label is known; how many, and how many were forgotten
        here or have no such label any more.
        """
        decided = Decided(self._journal, self._taught.edicts)
        receipts = counter_receipts_of(np.stack([one.row for one in portion]))
        now = [decided.now(one.label, receipt, one.time) for one, receipt in zip(portion, receipts, strict=True)]
        known = [(one, label, receipt) for one, label, receipt in zip(portion, now, receipts, strict=True)
                 if label is not None and label in self.labels]
        came = Counter[tuple[bytes, Label]]()
        chosen = []
        for one, label, receipt in known:
            came[receipt, label] += 1
            times = came[receipt, label]
            if self._taught.total.lacks_not(np.stack([one.row] * times), [label] * times) is not None:
                chosen.append((one, label, receipt))
        if chosen:
            self._learn_not(_lesson(bundle, chosen))
        return len(chosen), len(portion) - len(known)


def _lesson(
    bundle: Bundle, chosen: Sequence[tuple[Exported, Label, bytes]], columns: tuple[str, ...] | None = None
) -> Lesson:
    examples, labels, receipts = zip(*chosen, strict=True)
    return Lesson(
        bundle, np.stack([one.row for one in examples]), receipts, labels, [one.source for one in examples],
        [one.picture for one in examples], None, True, None,
        teachers=[one.teacher for one in examples], times=[one.time for one in examples], columns=columns,
    )  # fmt: skip


class Lines:
    """The lines of an export; iterate once.

    Attributes:
        header: what the first line says.
    """

    def __init__(self, brain: Exchanging, progress: Progress | None) -> None:
        self._journal = brain._past()
        bundle = brain._bundle
        if bundle is None:
            raise InputError("There is nothing to export: the brain was taught nothing yet.")
        self._progress, timeline = progress, self._journal.timeline()
        self._names, self._spans = Names(timeline, brain.seq), timeline.in_force(brain.seq)
        found, against = ([row for row in self._journal.log.find(upto=brain.seq, kinds=(kind,))
                           if row[0] in self._spans] for kind in LESSONS)
        self._pictured = self._journal.log.pictured([seq for seq, _ in (*found, *against)])
        total = brain._taught.total
        whole = all(Counter(self._names.now(*row) for row in rows) == Counter(counts)
                    for rows, counts in ((found, total.counts), (against, total.counterexamples)))
        self.header = Header(
            bundle.fingerprint, bundle.name, bundle.width, bundle.step, brain.device, brain.digest(), brain.seq,
            len(found), whole, len(against), brain.columns, _readings(bundle),
        )

    def __iter__(self) -> Iterator[str]:
        yield self.header.as_line()
        written = 0
        for span in self._spans:
            for event in self._journal.log.read(span.start - 1, span.stop - 1):
                if event.kind == TAUGHT_NOT and not event.gone:
                    yield self._example(event)
                elif event.kind == TAUGHT and not event.gone:
                    written += 1
                    yield self._example(event)
                    if self._progress is not None and (written % 256 == 0 or written == self.header.examples):
                        self._progress(written, self.header.examples)
                elif event.kind not in (*LESSONS, ROLLED_BACK, *HOUSEKEEPING):
                    note = note_of(event.kind, event.body)
                    yield event_line(event.seq, event.time, event.kind, event.teacher, note)
        if written != self.header.examples:
            raise EngramError("Something was forgotten while it was being exported: export it again.")

    def _example(self, event: Event) -> str:
        assert event.label is not None
        picture = self._journal.log.thumbnail(event.seq) if event.seq in self._pictured else None
        label = self._names.now(event.seq, event.label)
        return example_line(
            event.seq, taught_at(event), label, event.teacher, event.source, event.content or b"", picture,
            event.kind,
        )


def _bundle_for(header: Header) -> Bundle | None:
    """The backbone that a file speaks of, where it can be found."""
    found = [Bundle.of_vectors(header.width)] if header.width < 2**20 else []
    if header.readings is not None and header.step > 0:
        with suppress(DamagedError):
            backbone = VectorBackbone.restore(header.backbone, dict(header.readings), None)
            found.append(Bundle.bare(backbone, step=header.step, normalise=False))
    for name in dict.fromkeys((header.backbone, PHOTOS)):
        try:
            found.append(as_bundle(name))
        except EngramError:
            continue
    return next((bundle for bundle in found if bundle.fingerprint == header.fingerprint), None)


def _readings(bundle: Bundle) -> dict[str, Any] | None:
    """How raw readings are scaled, where the backbone is made of nothing else."""
    return bundle.backbone.config() if isinstance(bundle.backbone, VectorBackbone) else None


def _portions(reader: Reader) -> Iterator[list[Exported]]:
    examples = iter(reader)
    while portion := list(islice(examples, _PORTION)):
        yield portion


@contextmanager
def _opened(file: Any) -> Iterator[Any]:
    if hasattr(file, "readline"):
        yield file
    else:
        with Path(file).open("rb") as opened:
            yield opened


@contextmanager
def _written(file: Any) -> Iterator[Any]:
    """A file for writing; a path gets its name when all is written."""
    if hasattr(file, "write"):
        yield file
        return
    with writing(file) as opened:
        out = io.TextIOWrapper(opened, encoding="utf-8", newline="\n")
        yield out
        out.detach()
