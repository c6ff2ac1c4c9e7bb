"""Export and import: what a brain was taught, as JSON lines, to another brain on the same backbone.

An import teaches; it obeys what was decided here. An example that is held already is not taught twice, one that was
forgotten here does not come back, and one that was renamed or corrected here comes under its new label.
"""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from engram.brain.bundles import PHOTOS, as_bundle
from engram.brain.changes import (
    CHECKPOINT,
    CREATED,
    FORGOT,
    HOUSEKEEPING,
    LESSONS,
    MELDED,
    RELABELLED,
    RENAMED,
    ROLLED_BACK,
    TAUGHT,
    TAUGHT_NOT,
    describe,
)
from engram.brain.changes.teach import Lesson
from engram.brain.exported import Exported, Header, Reader, event_line, example_line
from engram.brain.history import taught_at
from engram.brain.knowledge import Knowledge
from engram.brain.ledger import Ledger
from engram.brain.pseudonyms import stands_for
from engram.brain.receipts import Receipts, counter_receipts_of, receipts_of
from engram.brain.timeline import Names, Timeline
from engram.brain.tombstones import Tombstone, in_order, tombstones_in
from engram.features.backbones.bundle import Bundle, step_for
from engram.features.backbones.vectors import VectorBackbone
from engram.files import writing
from engram.inputs.encoding import few
from engram.inputs.vectors import as_labels, known_label
from engram.learner import DamagedError, EngramError, InputError, Label
from engram.progress import Progress
from engram.store.event import Event

Chosen = list[tuple[Exported, Label, bytes]]
"""Examples of a file that are to be learned, under which label, and their receipts."""

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


_Move = tuple[int, float, Label, Label]  # number of the event, its time, label before and after


class Decided:
    """Forgets, renames and corrections, and when they were made.

    A rename or correction that was rolled back does not count; a forget cannot be.

    Args:
        ledger: of the brain; in memory all counts as decided just now.
        tombstones: every forget and rename that the brain obeys.
    """

    def __init__(self, ledger: Ledger, tombstones: Mapping[str, Tombstone]) -> None:
        self._gone: dict[bytes, float] = {}  # receipt -> when the example was forgotten last
        self._called: list[tuple[int, float, Label, Label | None]] = []  # label before and after; None: forgotten
        self._moved: dict[bytes, list[_Move]] = {}
        left, timeline = dict(tombstones), ledger.timeline()
        self._read(ledger, timeline, left)
        # those from before the log began, or that a saved brain brought with it
        self._take(0, _arrived(timeline), in_order(left.values()), in_force=True)
        self._called.sort(key=lambda order: order[0])

    def now(self, label: Label, receipt: bytes, time: int) -> Label | None:
        """What an example taught at `time` (microseconds since 1970) is called here; None where it was forgotten."""
        if self._gone.get(receipt, -math.inf) >= time:
            return None
        orders: Iterable[tuple[int, float, Label, Label | None]] = self._called
        if receipt in self._moved:
            orders = sorted([*self._called, *self._moved[receipt]], key=lambda order: order[0])
        for _, when, before, after in orders:
            if when >= time and stands_for(before, label):
                if after is None:
                    return None
                label = after
        return label

    def _read(self, ledger: Ledger, timeline: Timeline, left: dict[str, Tombstone]) -> None:
        spans = timeline.in_force()
        for event in timeline.rare:
            body: Mapping[str, Any] = event.body or {}
            current = event.seq in spans
            if event.kind in (FORGOT, RENAMED, MELDED):
                fresh = [one for key, one in tombstones_in(body).items() if left.pop(key, None) is not None]
                self._take(event.seq, event.time, in_order(fresh), in_force=current)
            elif event.kind == RELABELLED and current:
                self._move(ledger, event.seq, event.time, body)

    def _take(self, seq: int, time: float, tombstones: Iterable[Tombstone], *, in_force: bool) -> None:
        for tombstone in tombstones:
            if tombstone.kind == "forget examples":
                for receipt in map(bytes.fromhex, tombstone.receipts):
                    self._gone[receipt] = max(time, self._gone.get(receipt, -math.inf))
            elif tombstone.label is not None and (tombstone.kind == "forget label" or in_force):
                self._called.append((seq, time, tombstone.label, tombstone.new))

    def _move(self, ledger: Ledger, seq: int, time: int, body: Mapping[str, Any]) -> None:
        for example, old in zip(body["ids"], body["old"], strict=True):
            receipt = ledger.log.event(int(example)).receipt
            if receipt is not None:
                self._moved.setdefault(receipt, []).append((seq, time, old, body["label"]))


def _arrived(timeline: Timeline) -> float:
    """When the newest of the log's beginnings was; in memory just now."""
    return max((event.time for event in timeline.rare if event.kind in (CREATED, CHECKPOINT)), default=math.inf)


def importable(knowledge: Knowledge, header: Header, given: Any) -> Bundle:
    """The backbone on which a file can be learned; `given` names it for a brain that stands on none.

    Raises:
        InputError: it was made on another backbone, or with other columns.
    """
    bundle = knowledge.bundle or (_bundle_for(header) if given is None else as_bundle(given))
    if bundle is None:
        raise InputError(f"These events need the backbone {header.backbone!r}, which is not on this computer: pass"
                         f" bundle= (--backbone).")
    if bundle.fingerprint != header.fingerprint or bundle.row_width != header.width:
        raise InputError(
            f"These events were made on another backbone ({header.backbone!r} {header.fingerprint[:12]}) than "
            f"{bundle.name!r} {bundle.fingerprint[:12]}: their features cannot be compared."
        )
    if header.columns and knowledge.columns and header.columns != knowledge.columns:
        raise InputError(f"These events have the columns {few(header.columns)}, but this brain was taught "
                         f"{few(knowledge.columns)}: teach another brain.")
    return bundle


def new_examples(
    knowledge: Knowledge, decided: Decided, portion: Sequence[Exported], seen: Receipts
) -> tuple[Chosen, int]:
    """Those examples of a portion that are to be learned; and how many were forgotten here.

    Args:
        seen: what of the file has come by, which is added to: what it holds twice is to be held twice.
    """
    receipts = receipts_of(np.stack([one.row for one in portion])) if portion else []
    labels = [decided.now(one.label, receipt, one.time) for one, receipt in zip(portion, receipts, strict=True)]
    kept = [(one, label, receipt) for one, label, receipt in zip(portion, labels, receipts, strict=True)
            if label is not None]
    as_labels([label for _, label, _ in kept], len(kept), knowledge.like)
    named = {label: known_label(label, knowledge.total.named) for label in {label for _, label, _ in kept}}
    kept = [(one, named[label], receipt) for one, label, receipt in kept]
    held = knowledge.held([receipt for _, _, receipt in kept], [label for _, label, _ in kept])
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


def new_counterexamples(knowledge: Knowledge, decided: Decided, portion: Sequence[Exported]) -> tuple[Chosen, int]:
    """The counterexamples that are new here and whose label is known; and how many were forgotten here or have no such
    label any more.
    """
    receipts = counter_receipts_of(np.stack([one.row for one in portion])) if portion else []
    now = [decided.now(one.label, receipt, one.time) for one, receipt in zip(portion, receipts, strict=True)]
    known = [(one, label, receipt) for one, label, receipt in zip(portion, now, receipts, strict=True)
             if label is not None and label in knowledge.total.labels]
    came = Counter[tuple[bytes, Label]]()
    chosen = []
    for one, label, receipt in known:
        came[receipt, label] += 1
        times = came[receipt, label]
        if knowledge.total.lacks_not(np.stack([one.row] * times), [label] * times) is not None:
            chosen.append((one, label, receipt))
    return chosen, len(portion) - len(known)


def lesson_of(bundle: Bundle, chosen: Chosen, act: str, columns: tuple[str, ...] | None = None) -> Lesson:
    """What was chosen of a file, as a lesson of the act that the import is."""
    examples, labels, receipts = zip(*chosen, strict=True)
    return Lesson(
        bundle, np.stack([one.row for one in examples]), receipts, labels, [one.source for one in examples],
        [one.picture for one in examples], columns=columns,
        teachers=[one.teacher for one in examples], times=[one.time for one in examples], act=act,
    )  # fmt: skip


class Lines:
    """The lines of an export; iterate once.

    Attributes:
        header: what the first line says.
    """

    def __init__(self, ledger: Ledger, knowledge: Knowledge, seq: int, progress: Progress | None) -> None:
        ledger.check_keeps("history")
        bundle, total, self._log = knowledge.bundle, knowledge.total, ledger.log
        if bundle is None:
            raise InputError("There is nothing to export: the brain has not been taught yet.")
        self._progress, timeline = progress, ledger.timeline()
        self._names, self._spans = Names(timeline, seq), timeline.in_force(seq)
        found, against = ([row for row in self._log.find(upto=seq, kinds=(kind,)) if row[0] in self._spans]
                          for kind in LESSONS)
        self._pictured = self._log.pictured([seq for seq, _ in (*found, *against)])
        whole = all(Counter(self._names.now(*row) for row in rows) == Counter(counts)
                    for rows, counts in ((found, total.counts), (against, total.counterexamples)))
        self.header = Header(
            bundle.fingerprint, bundle.name, bundle.row_width, bundle.step, knowledge.own.device, total.digest(), seq,
            len(found), whole, len(against), knowledge.columns, _readings(bundle),
            bundle.targets.as_json() if bundle.targets else None, bundle.multilabel or None,
        )

    def __iter__(self) -> Iterator[str]:
        yield self.header.as_line()
        written = 0
        for span in self._spans:
            for event in self._log.read(span.start - 1, span.stop - 1):
                if event.kind == TAUGHT_NOT and not event.gone:
                    yield self._example(event)
                elif event.kind == TAUGHT and not event.gone:
                    written += 1
                    yield self._example(event)
                    if self._progress is not None and (written % 256 == 0 or written == self.header.examples):
                        self._progress(written, self.header.examples)
                elif event.kind not in (*LESSONS, ROLLED_BACK, *HOUSEKEEPING):
                    yield event_line(event.seq, event.time, event.kind, event.teacher, describe(event))
        if written != self.header.examples:
            raise EngramError("Something was forgotten during the export: export again.")

    def _example(self, event: Event) -> str:
        assert event.label is not None
        picture = self._log.thumbnail(event.seq) if event.seq in self._pictured else None
        label = self._names.now(event.seq, event.label)
        return example_line(
            event.seq, taught_at(event), label, event.teacher, event.source, event.content or b"", picture,
            event.kind,
        )


def _bundle_for(header: Header) -> Bundle | None:
    """The backbone that a file speaks of, where it can be found."""
    found = []
    targets = header.targets()
    width = header.width - (2 * targets.count if targets else 0)
    if 0 < width < 2**20:
        plain = VectorBackbone(width)  # what earlier versions made of vectors
        found.append(Bundle.of_vectors(width))
        found.append(Bundle.bare(plain, step=step_for(8.0), normalise=False, scaled=False))
    if header.readings is not None and header.step > 0:
        with suppress(DamagedError):
            backbone = VectorBackbone.restore(header.backbone, dict(header.readings), None)
            found += [Bundle.bare(backbone, step=header.step, normalise=False, scaled=it) for it in (True, False)]
    for name in dict.fromkeys((header.backbone, PHOTOS)):
        try:
            found.append(as_bundle(name))
        except EngramError:
            continue
    made = (bundle.with_targets(targets).with_sets(header.multilabel is True) for bundle in found)
    return next((bundle for bundle in made if bundle.fingerprint == header.fingerprint), None)


def _readings(bundle: Bundle) -> dict[str, Any] | None:
    """How raw readings are scaled, where the backbone is made of nothing else."""
    return bundle.backbone.config() if isinstance(bundle.backbone, VectorBackbone) else None


def portions(reader: Reader) -> Iterator[list[Exported]]:
    """The examples and counterexamples of a file, as many at a time as are learned by one commit."""
    examples = iter(reader)
    while portion := list(islice(examples, _PORTION)):
        yield portion


@contextmanager
def opened_events(file: Any) -> Iterator[Any]:
    """A file for reading; a path is opened."""
    if hasattr(file, "readline"):
        yield file
    else:
        with Path(file).open("rb") as opened:
            yield opened


@contextmanager
def written_events(file: Any) -> Iterator[Any]:
    """A file for writing; a path gets its name when all is written."""
    if hasattr(file, "write"):
        yield file
        return
    with writing(file) as opened:
        out = io.TextIOWrapper(opened, encoding="utf-8", newline="\n")
        yield out
        out.detach()
