"""Forgetting for good: what is forgotten leaves the log, every snapshot, other devices' files and the inbox.

The event of forgetting stays, without content. What had been rolled back by then can no longer be returned to, so it is
erased too.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from itertools import pairwise
from typing import Any, Self
from uuid import uuid4

import numpy as np
from safetensors.numpy import load

from engram.brain.contributions import Against, Contributions, Rows, Ruling
from engram.brain.edicts import Edict, effect, forgets_in
from engram.brain.journal import LOG, Journal, rows_in
from engram.brain.melding import Union
from engram.brain.naming import Names
from engram.brain.pseudonyms import in_records
from engram.brain.receipts import counter_receipts_of, receipts_of
from engram.brain.recorded import Recorded
from engram.brain.saving import slot_entry, taught_state
from engram.brain.slots import Slot
from engram.brain.timeline import FORGOT, LESSONS, MELDED, TAUGHT, TAUGHT_NOT, Timeline
from engram.brain.unnaming import Rewritten, Unnamed, passed_by, told, unnamed
from engram.learner import DamagedError, EngramError, InputError, Label, NotTaughtError, TracesError
from engram.packing import pack
from engram.store.event import Change, Draft, Event, Unknown

Row = tuple[int, Label]
"""The number of an example, and what it is called now."""


class Erasing(Recorded):
    """A brain that can forget for good."""

    def __init__(self, options: Mapping[str, Any], unknowns: int, device: str | None) -> None:
        super().__init__(options, unknowns, device)
        self._traces = False  # something forgotten may still be found in a file

    def traces(self) -> list[str]:
        """The files of its folder in which something forgotten may still be found: none, but for a moment.

        Where a crash, the disk or another program's reader keeps them, they go with the next change, or when the brain
        is opened for writing.
        """
        with self._lock:
            if self._journal is None:
                return []
            found = self._journal.stale(self._slots_in_use())
            return [LOG, *found] if told(self._journal.timeline()) and LOG not in found else found

    def _forget_label(self, label: Label) -> None:
        ruling = self._taught.rule_forgetting_label(label)
        ids = [seq for seq, _ in self._rows_called(label, LESSONS)] if self._journal is not None else []
        self._rule(ruling, ids)

    def _forget_rows(self, rows: Rows, labels: Sequence[Label] | None) -> None:
        """Forget examples by their content."""
        if self._bundle is None:
            raise NotTaughtError("Nothing was taught yet, so there is nothing to forget.")
        ruling = self._taught.rule_forgetting(rows, labels)
        self._rule(ruling, self._rows_like(ruling) if self._journal is not None else [])

    def _forget_not(self, rows: Rows, labels: Sequence[Label]) -> None:
        """Forget counterexamples by their content."""
        ruling = self._taught.rule_forgetting(_NO_ROWS, (), Against(rows, tuple(labels)))
        self._rule(ruling, self._rows_against(ruling.against) if self._journal is not None else [])

    def _forget_ids(self, ids: Iterable[int], teacher: str | None = None) -> None:
        """Forget examples and counterexamples by their numbers, and the name of a teacher."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            raise NotTaughtError("There is nothing to forget: no examples are named.")
        found = list(zip(*self._live(wanted, LESSONS), strict=True))
        parts = []
        for kind in LESSONS:
            chosen = [(event, label) for event, label in found if event.kind == kind]
            rows = rows_in([event for event, _ in chosen]) if chosen else _NO_ROWS
            parts.append(Against(rows, tuple(label for _, label in chosen)))
        examples, against = parts
        self._rule(self._taught.rule_forgetting(*examples, against), wanted, teacher)

    def _live(self, ids: Sequence[int], kinds: Sequence[str] = (TAUGHT,)) -> tuple[list[Event], list[Label]]:
        """The examples of these numbers, and what they are called now.

        Args:
            kinds: of events, in place of examples.

        Raises:
            NotTaughtError: there is no such example, or it is forgotten or rolled back.
        """
        if self._journal is None:
            raise InputError("A brain in memory keeps no numbers of examples: Brain.create(path) makes one that does.")
        timeline, log = self._journal.timeline(), self._journal.log
        names, spans, events = Names(timeline), timeline.in_force(), []
        for seq in ids:
            event = log.event(seq) if 0 < seq <= timeline.last else None
            if event is None or event.kind not in kinds or event.gone or seq not in spans:
                raise NotTaughtError(f"There is no example {seq} any more, or there never was.")
            events.append(event)
        return events, [names.now(event.seq, event.label) for event in events if event.label is not None]

    def _ids_of(self, teacher: str) -> list[int]:
        """The numbers of all that someone taught."""
        if self._journal is None:
            raise InputError("A brain in memory keeps no record of teachers: Brain.create(path) makes one that does.")
        spans = self._journal.timeline().in_force()
        found = [seq for seq, _ in self._journal.log.find(teacher=teacher, kinds=LESSONS) if seq in spans]
        if not found:
            raise NotTaughtError(f"Nothing that {teacher!r} taught is known.")
        return found

    # Carrying it out

    def _changing(self) -> None:
        before, held = self._journal, self._journal is not None and self._journal.held
        super()._changing()
        if self._journal is not None and (self._journal is not before or not held or self._traces):
            self._try_to_finish_erasing()

    @classmethod
    def _opened(cls, journal: Journal, parts: Mapping[str, Any]) -> Self:
        brain = super()._opened(journal, parts)
        if not journal.readonly and brain.traces():
            with suppress(EngramError, OSError):  # who writes to it, or does so next, finishes it
                brain._changing()
                journal.release()
        return brain

    def _try_to_finish_erasing(self) -> None:
        """Finish what a crash, the disk or another program's reader kept from being finished; what remains is told."""
        try:
            self._finish_erasing()
            self._traces = False
        except OSError as error:
            self._traces = True
            logging.getLogger("engram").warning("Traces of what was forgotten remain: %s", error)

    def _rule(self, ruling: Ruling, ids: Sequence[int], teacher: str | None = None) -> None:
        """Record and carry out a forget.

        Args:
            ids: the examples of the log that go.
            teacher: whose name goes too.
        """
        edicts = {**self._taught.edicts, ruling.edict.id: ruling.edict}
        erase = sorted({*ids, *self._rolled_back()})
        known = self._known_after(ruling)
        names = self._unnamed(known, edicts, ruling.edict.id, erase)
        body = {"edict": ruling.edict.as_json(), "ends": list(names.ends)}
        change = Change(events=[Draft(kind=FORGOT, body=body, time=self._now())], unnamed=[teacher] if teacher else [])
        receipts = receipts_of(ruling.rows) if ruling.labels else []
        unknown = self._discard(receipts, set(self._taught.total.named) - known)  # by the same commit, off the disk
        try:
            if self._journal is None:
                self._record(change)
            else:
                self._erase([change], erase, ids, ruling.others, [ruling], names)
        except BaseException:
            self.unknowns.keep(unknown)
            raise
        self._taught.carry_out(ruling)
        self._taught.end(names.ends, names.hidden)
        self._forgotten()

    def _known_after(self, ruling: Ruling) -> set[Label]:
        """The labels that are known when a forget is carried out."""
        left, against = Counter(self._taught.total.counts), Counter(self._taught.total.counterexamples)
        left.subtract(ruling.labels)
        against.subtract(ruling.against.labels)
        known = {label for label in self._taught.total.named if left[label] > 0 or against[label] > 0}
        return known - {ruling.edict.found_in(known)}

    def _unnamed(self, known: set[Label], edicts: Mapping[str, Edict], act: str, erase: Sequence[int]) -> Unnamed:
        """The names that leave the records when these labels are known still, and these examples are not.

        Args:
            edicts: all that are obeyed from now on.
            act: the id of the forget.
        """
        ended = (one for one in self._taught.edicts.values() if one.kind != edicts[one.id].kind)
        more = {label for one in ended for label in (one.label, one.new) if label is not None}
        if self._journal is not None:
            more |= self._journal.log.labels_of(erase) | passed_by(self._journal.timeline(), erase)
        return unnamed(set(self._taught.total.named) - known, known, edicts, act, more)

    def _discard(self, receipts: Collection[bytes], gone: Collection[Label]) -> list[Unknown]:
        """Let go of what the inbox holds of examples with these receipts, and of labels that are forgotten."""
        keys = [unknown.key for unknown in self.unknowns]
        held = {key for label in gone for key, count in
                zip(keys, self._taught.held(keys, [label] * len(keys)), strict=True) if count}
        return self.unknowns.discard({*receipts, *held})

    def _take_over(self, united: Union, adopting: list[Change]) -> None:
        """Record and serve what a meld brings."""
        others = {device: slot for device, slot in united.slots.items() if device != self.device}
        own = self._taught.own
        replaced = self.device in united.changed and united.slots[self.device].lineage != own.lineage
        orders = [edict for edict in united.edicts.values() if edict.id not in own.applied]
        renamed, lost = effect(own.head.named, orders)
        held = self._journal is not None
        ids = [seq for label, _ in lost for seq, _ in self._rows_called(label, LESSONS)] if held else []
        erase = sorted({*(self._everything() if replaced else ids), *self._rolled_back()})
        erased = bool(lost) or replaced or self._held_before(united, erase)
        known = set((united.total or self._taught.total).named)
        names = self._unnamed(known, united.edicts, uuid4().hex, erase) if erased else Unnamed()
        body: dict[str, Any] = in_records({
            "slots": [], "edicts": [edict.as_json() for edict in united.edicts.values()],
            "notes": [note.recorded for note in united.notes], "erased": erased,
            "renamed": list(map(list, renamed.items())), "ends": list(names.ends),
        }, names.hidden)
        if erased:
            self._discard((), set(self._taught.total.named) - known)
        if self._journal is None:
            self._record(*adopting, Change(events=[Draft(kind=MELDED, body=body)]))
        else:
            self._journal.keep_slots(others.values())
            news = {*united.added, *united.changed} - {self.device}
            body["slots"] = [slot_entry(others[device]) for device in sorted(news)]
            drafts = [Draft(kind=MELDED, body=body, time=self._now())]
            if replaced:
                drafts.append(self._restart(united, sum(len(change.events) for change in adopting) + 2))
            changes = [*adopting, Change(events=drafts)]
            if erased:
                rulings = [Ruling(replace(edict, label=label), {}) for label, edict in lost]
                self._erase(changes, erase, ids, others, rulings, names)
            else:
                self._record(*changes)
        self._taught.serve(united)
        self._taught.end(names.ends, names.hidden)
        self._forgotten() if erased else self._changed()

    def _held_before(self, united: Union, rolled_back: Sequence[int]) -> bool:
        """Whether a forget that a meld brings is about what lies in an earlier contribution, or was rolled back."""
        if any(one.kind != united.edicts[key].kind for key, one in self._taught.edicts.items()):
            return True  # a rename here, of what was forgotten there
        if any(forgets_in(slot, united.edicts.values()) for slot in self._taught.others.values()):
            return True
        fresh = [edict for key, edict in united.edicts.items() if key not in self._taught.edicts]
        labels = self._journal.log.labels_of(rolled_back) if self._journal is not None else set()
        return any(edict.kind == "forget label" and edict.found_in(labels) is not None for edict in fresh)

    def _everything(self) -> list[int]:
        """The examples and checkpoints of the log."""
        if self._journal is None:
            return []
        earlier = [event.seq for event in self._journal.timeline().checkpoints]
        return [*earlier, *(seq for seq, _ in self._journal.log.find(kinds=LESSONS))]

    def _restart(self, united: Union, place: int) -> Draft:
        """A checkpoint of what will be known: another copy of this very brain knew more, and takes its place."""
        trial = copy(self._taught)
        trial.serve(united)
        covers = self.seq + place + (not self._taught.own.live)
        return self._checkpoint(trial, covers, erased=True)

    def _erase(
        self,
        changes: Sequence[Change],
        erase: Sequence[int],
        ids: Sequence[int],
        others: Mapping[str, Slot],
        rulings: Sequence[Ruling],
        names: Unnamed,
    ) -> None:
        """Commit changes, and with them the end of what they forget.

        Args:
            erase: the examples of the log that go.
            ids: of these, those that are forgotten.
            others: what becomes of other devices' contributions.
            rulings: what a checkpoint in the log is to lose too.
            names: what leaves the records.
        """
        assert self._journal is not None
        journal, timeline, going = self._journal, self._journal.timeline(), set(erase)
        journal.keep_slots(others.values())
        rewrite = names.rewritten(timeline, _pointing_to(others, timeline))
        checkpoint = timeline.checkpoint()
        if checkpoint is not None and checkpoint.seq not in going:
            rewrite |= self._cut(checkpoint, ids, rulings, others, names.hidden, Names(timeline))
        labels = {seq: hidden for name, hidden in names.hidden.items()
                  for seq, _ in journal.log.find(label=name, kinds=LESSONS) if seq not in going}
        rewrite = {seq: what for seq, what in rewrite.items() if seq not in going}
        erasing = Change(erase=erase, rewrite=rewrite, labels=labels, for_good=True)
        self._record(*changes, erasing) if changes else self._commit([erasing])
        journal.rewritten()

    def _forgotten(self) -> None:
        """What was forgotten is off the record; now it leaves all that was made of it."""
        self._changed()
        if self._journal is None:
            return
        try:
            self._snapshot(alone=True)
            self._journal.log.finish_erasing()
            self._journal.check_swept()
            self._traces = False
        except OSError as error:
            self._traces = True  # the next change begins by finishing this
            raise TracesError(
                f"It is forgotten, but traces remain in {self._journal.folder.path}: {error.strerror or error}. They "
                "go with the next change, or when it is opened again, once that allows it."
            ) from error

    def _finish_erasing(self) -> None:
        """A crash may have come between forgetting and the end of the last file: finish it."""
        assert self._journal is not None
        journal = self._journal
        journal.folder.sweep()
        named = told(journal.timeline())
        if named:
            known = set(self._taught.total.named)
            names = unnamed(named - known, known, self._taught.edicts, uuid4().hex)
            self._erase([], [], [], self._taught.others, [], names)
            self._taught.end(names.ends, names.hidden)
        if named or any(name in journal.files for name in self.traces()):
            self._snapshot(alone=True)
        journal.log.finish_erasing()
        journal.check_swept()

    def _rolled_back(self) -> list[int]:
        """The examples that are not in force, and never will be again after a forget."""
        if self._journal is None:
            return []
        spans, gone = self._journal.timeline().in_force(), []
        for before, after in pairwise(spans):
            found = self._journal.log.find(after=before.stop - 1, upto=after.start - 1, kinds=LESSONS)
            gone += [seq for seq, _ in found]
        return gone

    def _rows_called(self, label: Label, kinds: Sequence[str] = (TAUGHT,)) -> list[Row]:
        """The examples of the log that go by a label now; `kinds` of events in their place."""
        assert self._journal is not None
        log, timeline = self._journal.log, self._journal.timeline()
        names = Names(timeline)
        found = {seq: name for taught in names.ever(label) for seq, name in log.find(label=taught, kinds=kinds)}
        for seq in names.moved_to(label):
            event = log.event(seq)
            if event.label is not None:
                found[seq] = event.label
        return [(seq, label) for seq, taught in sorted(found.items()) if names.now(seq, taught) == label]

    def _rows_like(self, ruling: Ruling) -> list[int]:
        """The examples of the log that a ruling on examples is about; the newest, where there are more than it asks."""
        assert self._journal is not None
        timeline = self._journal.timeline()
        names, spans = Names(timeline), timeline.in_force()
        wanted = Counter(zip(receipts_of(ruling.rows), ruling.labels, strict=True))
        chosen = []
        for receipt in {receipt for receipt, _ in wanted}:
            for seq, label in reversed(self._journal.log.find(receipts=[receipt])):
                key = (receipt, names.now(seq, label))
                if wanted[key] > 0 and seq in spans:
                    wanted[key] -= 1
                    chosen.append(seq)
        return chosen

    def _rows_against(self, against: Against) -> list[int]:
        """These counterexamples in the log, the newest where there are more."""
        assert self._journal is not None
        timeline = self._journal.timeline()
        names, spans, chosen = Names(timeline), timeline.in_force(), []
        wanted = Counter(zip(counter_receipts_of(against.rows), against.labels, strict=True))
        for receipt in {receipt for receipt, _ in wanted}:
            for seq, label in reversed(self._journal.log.find(receipts=[receipt], kinds=(TAUGHT_NOT,))):
                key = (receipt, names.now(seq, label))
                if wanted[key] > 0 and seq in spans:
                    wanted[key] -= 1
                    chosen.append(seq)
        return chosen

    def _cut(
        self, found: Event, ids: Sequence[int], rulings: Sequence[Ruling], others: Mapping[str, Slot],
        hidden: Mapping[Label, Label], names: Names,
    ) -> Rewritten:
        """A checkpoint without what is forgotten: what of it was not found among the examples lies in there."""
        assert self._journal is not None
        event = self._journal.log.event(found.seq)
        body = dict(event.body or {})
        try:
            base = self._recovery().restored(load(event.content or b""))
        except EngramError as error:
            raise DamagedError(f"{self._journal.folder.path}: a checkpoint in the log cannot be read.") from error
        left = Counter(self._journal.log.event(seq).receipt for seq in ids)
        touched = [_lose(base, ruling, left, names, int(body["covers"])) for ruling in rulings]
        touched += [_hide(base, hidden)]
        entries = [slot_entry(others.get(device, slot)) for device, slot in base.others.items()]
        if not any(touched) and entries == body["slots"]:
            return {}
        base.others = {device: others.get(device, slot) for device, slot in base.others.items()}
        body |= {"slots": entries, "digest": base.total.digest()}
        content = pack(taught_state(base, self._options, int(body["covers"])))
        return {event.seq: (body, content)}


def _pointing_to(others: Mapping[str, Slot], timeline: Timeline) -> Rewritten:
    """The events of melds, rewritten: each device's contribution as it is now, in the last meld that brought it."""
    spans, seen = timeline.in_force(), set[str]()
    rewritten: Rewritten = {}
    for event in reversed(timeline.rare):
        if event.kind != MELDED:
            continue
        body, entries = dict(event.body or {}), []
        for entry in body["slots"]:
            device = entry["device"]
            if device in others and device not in seen and event.seq in spans:
                entries.append(slot_entry(others[device]))
                seen.add(device)
        if entries != body["slots"]:
            rewritten[event.seq] = ({**body, "slots": entries}, None)
    return rewritten


def _hide(base: Contributions, hidden: Mapping[Label, Label]) -> bool:
    """Put pseudonyms in the place of names in a checkpoint; whether any was in there."""
    edicts, alphas = dict(base.edicts), base.alphas
    base.end((), hidden)
    named = [label for label in base.total.named if label in hidden]
    for label in named:
        for head in base.heads():
            if head.holds(label):
                head.rename(label, hidden[label])
        base.own.receipts.rename(label, hidden[label])
    return bool(named) or base.edicts != edicts or base.alphas != alphas


def _lose(base: Contributions, ruling: Ruling, left: Counter[bytes | None], names: Names, covers: int) -> bool:
    """Take what is forgotten out of a checkpoint's own contribution; whether any was in there."""
    edict: Edict = ruling.edict
    heads = base.heads()
    touched = False
    for label in base.own.head.named:
        called = names.now(covers, label)
        if edict.kind == "forget label" and edict.found_in([called]) is not None:
            for head in heads:
                head.forget_label(label)
            base.own.receipts.drop(label)
            touched = True
        for row, receipt, name in zip(ruling.rows, receipts_of(ruling.rows), ruling.labels, strict=True):
            if name != called or not base.own.receipts.count(receipt, label):
                continue
            if left[receipt]:
                left[receipt] -= 1
                continue
            for head in heads:
                with suppress(NotTaughtError):
                    head.forget_rows(row[None], [label])
            base.own.receipts.remove([receipt], [label])
            touched = True
        for row, receipt, name in zip(
            ruling.against.rows, counter_receipts_of(ruling.against.rows), ruling.against.labels, strict=True
        ):
            if name != called or base.own.head.lacks_not(row[None], [label]) is not None:
                continue
            if left[receipt]:
                left[receipt] -= 1
                continue
            for head in heads:
                head.forget_not_rows(row[None], [label])
            touched = True
    return touched


_NO_ROWS: Rows = np.zeros((0, 0), np.int16)


