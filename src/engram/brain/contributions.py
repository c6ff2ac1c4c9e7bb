"""All that a brain was taught, by device: its own contribution, those melded in, their total, and the edicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.brain.edicts import Edict, obey
from engram.brain.forgetting import only_labels, plan_forgetting, without
from engram.brain.melding import Union, unite
from engram.brain.receipts import Receipts, receipts_of
from engram.brain.slots import Contents, Slot
from engram.heads.fast import FastHead
from engram.inputs.vectors import as_labels
from engram.learner import Consolidation, Label, LabelError, NotTaughtError

Features = npt.NDArray[np.float32]
Parts = tuple[dict[str, Slot], dict[str, Edict]]


class Contributions:
    """Slots whose sum is served. Not safe for threads by itself: the brain holds a lock.

    Args:
        device: the id of the device that learns here.
        new_head: makes an empty head on the brain's bundle.

    Attributes:
        own: this device's slot.
        others: device -> slot of every other device.
        total: the head that answers; the own slot's head itself while there are no others.
        edicts: id -> forget or rename that everything here has obeyed.
    """

    def __init__(self, device: str, new_head: Callable[[], FastHead]) -> None:
        self._new_head = new_head
        self.own = Slot(device, b"", (), Contents(new_head(), Receipts()))
        self.others: dict[str, Slot] = {}
        self.total = self.own.head
        self.edicts: dict[str, Edict] = {}

    @property
    def apart(self) -> bool:
        """Whether the total is another head than one's own."""
        return self.own.head is not self.total

    @property
    def like(self) -> Label | None:
        """Some label that is known: new ones share its type."""
        return next(iter(self.total.labels), None)

    def all(self) -> list[Slot]:
        """One's own slot, then the others by device."""
        return [self.own, *(self.others[device] for device in sorted(self.others))]

    def heads(self) -> list[FastHead]:
        """The heads in use: the total, and one's own if it is another."""
        return [self.total, self.own.head] if self.apart else [self.total]

    def learn(self, features: Features, labels: list[Label]) -> list[bytes]:
        """Learn (N, D) features; returns the receipts of all, learned or skipped by a gate.

        Raises:
            InputError, LabelError, CapacityError: nothing was changed.
        """
        receipts = receipts_of(self.total.quantise(features))
        labels = as_labels(labels, len(features), self.like)
        learned = self._learn_in_total(features, labels)
        if learned:
            names = [labels[i] for i in learned]
            if self.apart:
                self.own.head.learn(features[learned], names)
            self.own.receipts.add([receipts[i] for i in learned], names)
            self.own.changed()
        return receipts

    def consolidate(self) -> Consolidation:
        """Merge redundant examples; says what became of those that are served."""
        report = self.total.consolidate()
        if self.apart:
            self.own.head.consolidate()
        return report

    def held(self, features: Features, labels: Sequence[Label | None]) -> list[int]:
        """How often each example is held, under its label or (None) any."""
        receipts, slots = receipts_of(self.total.quantise(features)), self.all()
        return [sum(slot.receipts.count(*key) for slot in slots) for key in zip(receipts, labels, strict=True)]

    def forget_label(self, label: Label) -> None:
        """Raises NotTaughtError where it was never taught."""
        self._must_know(label)
        before = self.total.digest()
        draft = Edict.make("forget label", self.edicts.values(), label=label)
        others = self._obeyed(self.others, draft)
        self.total.forget_label(label)
        if self.apart and label in self.own.head.labels:
            self.own.head.forget_label(label)
        self.own.receipts.drop(label)
        self._decree(replace(draft, before=before, after=self.total.digest()), others)

    def forget(self, features: Features, labels: list[Label] | None) -> None:
        """Forget single examples; without labels, where each was taught under one only.

        Raises:
            NotTaughtError, LabelError: not taught, or not so often, or under several. Nothing was changed.
        """
        if not self.total.labels:
            raise NotTaughtError("Nothing is known yet, so there is nothing to forget.")
        receipts = receipts_of(self.total.quantise(features))
        names = only_labels(self.all(), receipts) if labels is None else labels
        plan = plan_forgetting(self.all(), receipts, names)
        before = self.total.digest()
        others = {
            device: without(slot, features, receipts, names, plan[device]) if device in plan else slot
            for device, slot in self.others.items()
        }
        self.total.forget(features, names)
        mine = plan.get(self.own.device, [])
        if mine and self.apart:
            self.own.head.forget(features[mine], [names[i] for i in mine])
        self.own.receipts.remove([receipts[i] for i in mine], [names[i] for i in mine])
        left = [self.own, *others.values()]
        gone = sorted({r.hex() for r in receipts if not any(slot.receipts.count(r) for slot in left)})
        edict = Edict.make(
            "forget examples", self.edicts.values(), receipts=tuple(gone), before=before, after=self.total.digest()
        )
        self._decree(edict, self._obeyed(others, edict))

    def rename(self, old: Label, new: Label) -> None:
        """Raises NotTaughtError where `old` was never taught, LabelError where `new` cannot be its name."""
        self._must_know(old)
        if new in self.total.labels:
            raise LabelError(f"{new!r} is taught already: forget it first, or choose another name.")
        as_labels(new, 1, old)
        edict = Edict.make("rename", self.edicts.values(), label=old, new=new)
        others = self._obeyed(self.others, edict)
        self.total.rename(old, new)
        if self.apart and old in self.own.head.labels:
            self.own.head.rename(old, new)
        self.own.receipts.rename(old, new)
        self._decree(edict, others)

    def parts(self) -> Parts:
        """What another brain melds: slots that will not change any more, and edicts."""
        if not self.own.epoch:
            return dict(self.others), dict(self.edicts)
        own, head = self.own, self._melded([self.own.head])
        head.gate = None
        frozen = Slot(own.device, own.history, own.applied, Contents(head, own.receipts.copy()))
        return {own.device: frozen, **self.others}, dict(self.edicts)

    def meld(self, parts: Iterable[Parts]) -> tuple[Union, bool]:
        """Take over other brains' parts; returns what came, and whether anything is new.

        Raises:
            MeldError, CapacityError: they cannot be added. Nothing was changed.
        """
        theirs = list(parts)
        edicts = dict(self.edicts)
        for _, more in theirs:
            edicts |= more
        mine = {self.own.device: self.own, **self.others}
        united = unite(mine, [slots for slots, _ in theirs], edicts.values())
        self._serve(united)
        news = bool(united.added or united.changed or edicts != self.edicts)
        self.edicts = edicts
        return united, news

    def fork(self, device: str) -> None:
        """Go on under another id; what was learned so far stays a contribution of the old one."""
        old = self.own
        if not old.epoch:
            old.device = device
            return
        self.others[old.device] = old.copy()
        self.own = Slot(device, b"", old.applied, Contents(self._new_head(), Receipts()))
        self.own.head.gate = None  # the head that is served alone decides what is known well enough to skip

    def _learn_in_total(self, features: Features, labels: list[Label]) -> list[int]:
        """The places of those that were learned: all, unless a gate skips some."""
        if self.total.gate is None:
            self.total.learn(features, labels)
            return list(range(len(labels)))
        learned = []
        for i, label in enumerate(labels):
            before = self.total.sums.total
            self.total.learn(features[i], label)
            if self.total.sums.total > before:
                learned.append(i)
        return learned

    def _must_know(self, label: Label) -> None:
        if label not in self.total.labels:
            raise NotTaughtError(f"{label!r} was never taught. Known: {list(self.total.labels)[:20]}.")

    def _obeyed(self, slots: dict[str, Slot], edict: Edict) -> dict[str, Slot]:
        return {device: obey(slot, [edict])[0] for device, slot in slots.items()}

    def _decree(self, edict: Edict, others: dict[str, Slot]) -> None:
        """The own slot has obeyed a new edict, and so have these of the other devices."""
        self.edicts[edict.id] = edict
        self.others = others
        self.own.applied |= {edict.id}
        self.own.changed()

    def _serve(self, united: Union) -> None:
        """Serve these slots: all prepared on copies, then swapped in."""
        others = dict(united.slots)
        own = others.pop(self.own.device)
        if own.contents is not self.own.contents:
            own = own.copy()
        if united.added or united.changed:
            parts = [own.head, *(slot.head for slot in others.values())]
            if not united.changed:
                parts = [self.total, *(others[device].head for device in united.added)]
            total = self._melded(parts)
            gate = None if others else self.total.gate  # only what is served decides what is known well enough
            if own.head.gate != gate:
                own = own.copy()
                own.head.gate = gate
            self.total = total if others else own.head
        self.own, self.others = own, others

    def _melded(self, heads: Iterable[FastHead]) -> FastHead:
        """A new head that holds what these hold."""
        made = self._new_head()
        for head in heads:
            made.meld(head)
        return made


def describe(slots: Iterable[Slot]) -> list[dict[str, Any]]:
    """Device and epoch of each slot that holds anything, as JSON values."""
    return [{"device": slot.device, "epoch": slot.epoch} for slot in slots if slot.epoch]
