"""All that a brain was taught, by device: its own contribution, those melded in, their total, and the edicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.brain.edicts import Edict, effect, joined, obey, veiled
from engram.brain.forgetting import only_labels, plan_forgetting, without
from engram.brain.lineage import Lineage
from engram.brain.melding import Union, unite
from engram.brain.pseudonyms import is_pseudonym
from engram.brain.receipts import Receipts, counter_receipts_of, receipts_of
from engram.brain.slots import Contents, Slot
from engram.heads.fast import FastHead
from engram.inputs.vectors import as_labels
from engram.learner import Consolidation, Label, LabelError, NotTaughtError

Rows = npt.NDArray[np.int16]
"""(N, D) quantised features: what is added, and what the log keeps."""

Parts = tuple[dict[str, Slot], dict[str, Edict]]


class Against(NamedTuple):
    """Counterexamples: (N, D) rows, and the N labels that they are not of."""

    rows: Rows = np.zeros((0, 0), np.int16)
    labels: tuple[Label, ...] = ()


NOTHING = Against()


@dataclass(frozen=True)
class Ruling:
    """A forget or rename that was found possible: everything that can fail has been done, on copies.

    Attributes:
        edict: what all contributions must obey.
        others: the other devices' slots, which have obeyed.
        rows, labels: the single examples that the total loses.
        mine: the places of those that one's own slot loses.
        against: the counterexamples that are lost; they are one's own.
    """

    edict: Edict
    others: dict[str, Slot]
    rows: Rows = field(default_factory=lambda: np.zeros((0, 0), np.int16))
    labels: tuple[Label, ...] = ()
    mine: tuple[int, ...] = ()
    against: Against = NOTHING


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
        alpha: share of known things that may be refused, where it was set since the brain was made; else None.
        alphas: label -> a share of its own. One whose last example was corrected away keeps it, should it come back.
    """

    def __init__(self, device: str, new_head: Callable[[], FastHead]) -> None:
        self._new_head = new_head
        self.own = Slot(device, Lineage(), (), Contents(new_head(), Receipts()))
        self.others: dict[str, Slot] = {}
        self.total = self.own.head
        self.edicts: dict[str, Edict] = {}
        self.alpha: float | None = None
        self.alphas: dict[Label, float] = {}

    @property
    def apart(self) -> bool:
        """Whether the total is another head than one's own."""
        return self.own.head is not self.total

    @property
    def like(self) -> Label | None:
        """Some label that is known: new ones share its type."""
        return next(iter(self.total.named), None)

    def all(self) -> list[Slot]:
        """One's own slot, then the others by device."""
        return [self.own, *(self.others[device] for device in sorted(self.others))]

    def heads(self) -> list[FastHead]:
        """The heads in use: the total, and one's own if it is another."""
        return [self.total, self.own.head] if self.apart else [self.total]

    def learn(self, rows: Rows, labels: Sequence[Label], receipts: Sequence[bytes]) -> None:
        """Learn what `check` has passed."""
        for head in self.heads():
            head.learn_rows(rows, labels, receipts)
        self._tell_alphas(self.alphas.keys() & set(labels))
        self.own.receipts.add(receipts, labels)
        self.own.changed(len(rows))

    def learn_not(self, rows: Rows, labels: Sequence[Label]) -> None:
        """Learn counterexamples of labels that are known."""
        for head in self.heads():
            head.learn_not_rows(rows, labels)
        self.own.changed(len(rows))

    def worth_learning(self, rows: Rows, labels: Sequence[Label]) -> list[int]:
        """The places of those that a gate would not skip, one learned after the other; all where there is no gate."""
        if self.total.gate is None:
            return list(range(len(labels)))
        trial = self.total if len(labels) == 1 else self.total.copy()
        chosen = []
        for i, label in enumerate(labels):
            if not trial.knows_well(rows[i], label):
                chosen.append(i)
                if trial is not self.total:
                    trial.learn_rows(rows[i : i + 1], [label])
        return chosen

    def consolidate(self, labels: Iterable[Label] | None = None) -> Consolidation:
        """Merge redundant examples of these labels, or all; says what became of those that are served."""
        chosen = list(self.total.labels if labels is None else labels)
        report = self.total.consolidate(label for label in chosen if label in self.total.labels)
        if self.apart:
            self.own.head.consolidate(label for label in chosen if label in self.own.head.labels)
        return report

    def held(self, receipts: Sequence[bytes], labels: Sequence[Label | None]) -> list[int]:
        """How often each example is held, under its label or (None) any."""
        slots = self.all()
        return [sum(slot.receipts.count(*key) for slot in slots) for key in zip(receipts, labels, strict=True)]

    def relabel(self, rows: Rows, old: Sequence[Label], new: Label) -> None:
        """Move examples of one's own slot to another label."""
        labels = [new] * len(rows)
        for head in self.heads():
            head.learn_rows(rows, labels)
            head.forget_rows(rows, old)
        self._tell_alphas(self.alphas.keys() & {new})
        receipts = receipts_of(rows)
        self.own.receipts.add(receipts, labels)
        self.own.receipts.remove(receipts, old)
        self.own.changed(len(rows))

    # The share of known things that may be refused

    def set_alpha(self, alpha: float, label: Label | None) -> None:
        """Set it for one label, or for all that have none of their own; a label that was forgotten needs none."""
        if label is None:
            self.alpha = alpha
        elif not is_pseudonym(label):
            self.alphas = {**self.alphas, label: alpha}
        self._tell_alphas(self.alphas)

    def _tell_alphas(self, labels: Iterable[Label]) -> None:
        """Let the head that answers know the shares, those of these labels among them."""
        if self.alpha is not None:
            self.total.set_alpha(self.alpha)
        known = self.total.labels
        for label in labels:
            if label in known:
                self.total.set_alpha(self.alphas[label], label)

    def _carry_alphas(self, edicts: Iterable[Edict]) -> None:
        """Let the shares of labels follow forgets and renames."""
        renamed, lost = effect(self.alphas, edicts)
        gone = {label for label, _ in lost}
        self.alphas = {renamed.get(name, name): share for name, share in self.alphas.items() if name not in gone}

    def succeed(self, empty: Contributions) -> None:
        """Go on where contributions end to which nothing was taught."""
        self.own.lineage, self.own.live = empty.own.lineage, empty.own.live
        self.alpha = empty.alpha
        self._tell_alphas(())

    # Forgets and renames: found possible first, carried out once they are on record

    def rule_forgetting_label(self, label: Label) -> Ruling:
        """Raises NotTaughtError where it was never taught."""
        if not self.total.holds(label):
            self.check_known(label)
        return self._ruling(Edict.make("forget label", self.edicts.values(), label=label, before=self.total.digest()))

    def rule_forgetting(self, rows: Rows, labels: Sequence[Label] | None, against: Against = NOTHING) -> Ruling:
        """Forget single examples; without labels, where each was taught under one only; and counterexamples.

        Raises:
            NotTaughtError, LabelError: not taught, or not so often, or under several; or a counterexample of another
                device.
        """
        lacking = self.own.head.lacks_not(against.rows, against.labels)
        if lacking is not None:
            raise NotTaughtError(f"A counterexample to forget was never taught here against {lacking!r}, or not so "
                                 "often. One of another device is forgotten there, or with its label.")
        if not self.total.labels and not against.labels:
            raise NotTaughtError("Nothing is known yet, so there is nothing to forget.")
        receipts = receipts_of(rows)
        names = only_labels(self.all(), receipts) if labels is None else list(labels)
        plan = plan_forgetting(self.all(), receipts, names)
        others = {
            device: without(slot, rows, receipts, names, plan[device]) if device in plan else slot
            for device, slot in self.others.items()
        }
        mine = plan.get(self.own.device, [])
        leaving = Counter((receipts[i], names[i]) for i in mine)
        gone = sorted({
            receipt.hex() for receipt in receipts
            if not any(slot.receipts.count(receipt) for slot in others.values())
            and self.own.receipts.count(receipt) == sum(n for (known, _), n in leaving.items() if known == receipt)
        } | {receipt.hex() for receipt in counter_receipts_of(against.rows)})
        edict = Edict.make(
            "forget examples", self.edicts.values(), receipts=tuple(gone), before=self.total.digest()
        )
        return Ruling(edict, self._obeyed(others, edict), rows, tuple(names), tuple(mine), against)

    def rule_renaming(self, old: Label, new: Label) -> Ruling:
        """Raises NotTaughtError where `old` was never taught, LabelError where `new` cannot be its name."""
        if not self.total.holds(old):
            self.check_known(old)
        if self.total.holds(new):
            raise LabelError(f"{new!r} is taught already: forget it first, or choose another name.")
        as_labels(new, 1, old)
        return self._ruling(Edict.make("rename", self.edicts.values(), label=old, new=new))

    def repeat(self, edict: Edict) -> None:
        """Obey an edict read from a log, whose examples are not there any more.

        What other devices contributed may be read as it became later, under the names that it has since: so the edict
        is carried out on one's own contribution, and the total added up anew.
        """
        if edict.kind != "forget examples" and (label := edict.found_in(self.own.head.named)) is not None:
            self._lose_or_rename([self.own.head], label, edict.new)
        self.others = self._obeyed(self.others, edict)
        self._add_up()
        self._on_record(edict)

    def repeat_renames(self, renamed: Iterable[tuple[Label, Label]], edicts: Mapping[str, Edict]) -> None:
        """What a meld did to one's own contribution, read from a log: its examples may not all be there any more.

        Args:
            renamed: label before and after, all at once.
            edicts: what was obeyed, by id.
        """
        head = self.own.head
        self._carry_alphas(edict for edict in edicts.values() if edict.id not in self.own.applied)
        pairs = [(_meanwhile(place, old), old, new) for place, (old, new) in enumerate(renamed)
                 if head.holds(old)]
        for meanwhile, old, _ in pairs:
            self._lose_or_rename([head], old, meanwhile)
        for meanwhile, _, new in pairs:
            self._lose_or_rename([head], meanwhile, new)
        self.own.applied |= frozenset(edicts)
        self._add_up()

    def _add_up(self) -> None:
        """The total anew, where it is another than one's own."""
        if self.apart:
            gate, self.total = self.total.gate, self._melded([slot.head for slot in self.all()])
            self.total.gate = gate

    def _ruling(self, edict: Edict) -> Ruling:
        return Ruling(edict, self._obeyed(self.others, edict))

    def carry_out(self, ruling: Ruling) -> None:
        """Cannot fail: what might have, was done when it was ruled."""
        edict = ruling.edict
        if ruling.labels or ruling.against.labels:
            self._lose(ruling)
        elif edict.kind != "forget examples" and (label := edict.found_in(self.total.named)) is not None:
            self._lose_or_rename(self.heads(), label, edict.new)
        self.others = ruling.others
        self._on_record(edict)

    def _on_record(self, edict: Edict) -> None:
        """This was obeyed."""
        if edict.kind != "rename":
            edict = replace(edict, after=self.total.digest())
        self.edicts[edict.id] = edict
        self._carry_alphas([edict])
        self._tell_alphas(self.alphas)
        self.own.applied |= {edict.id}
        self.own.changed()

    def end(self, ids: Iterable[str], hidden: Mapping[Label, Label] | None = None) -> None:
        """Let edicts name no label that was forgotten since.

        Args:
            ids: renames that led to such a label: whoever has not obeyed them yet is to forget it.
            hidden: name -> pseudonym.
        """
        if hidden:
            self.edicts = {key: edict.hiding(hidden) for key, edict in self.edicts.items()}
            self.alphas = {label: share for label, share in self.alphas.items() if label not in hidden}
        self.edicts |= {key: self.edicts[key].ended() for key in ids if key in self.edicts}

    def _lose(self, ruling: Ruling) -> None:
        if ruling.against.labels:
            for head in self.heads():
                head.forget_not_rows(ruling.against.rows, list(ruling.against.labels))
        if not ruling.labels:
            return
        mine = list(ruling.mine)
        names = [ruling.labels[i] for i in mine]
        self.total.forget_rows(ruling.rows, list(ruling.labels))
        if mine and self.apart:
            self.own.head.forget_rows(ruling.rows[mine], names)
        self.own.receipts.remove(receipts_of(ruling.rows[mine]), names)

    def _lose_or_rename(self, heads: Iterable[FastHead], label: Label, new: Label | None) -> None:
        for head in heads:
            if head.holds(label):
                head.forget_label(label) if new is None else head.rename(label, new)
        if new is None:
            self.own.receipts.drop(label)
        else:
            self.own.receipts.rename(label, new)

    def parts(self) -> Parts:
        """What another brain melds: slots that will not change any more, and edicts."""
        if not self.own.epoch:
            return dict(self.others), dict(self.edicts)
        own, head = self.own, self._melded([self.own.head])
        frozen = Slot(own.device, own.lineage, own.applied, Contents(head, own.receipts.copy()))
        return {own.device: frozen, **self.others}, dict(self.edicts)

    def unite(self, parts: Iterable[Parts]) -> Union:
        """What `serve` is to take over from other brains' parts; all that can fail is done here, on copies.

        Raises:
            MeldError, CapacityError: they cannot be added.
        """
        theirs = list(parts)
        edicts = self.edicts
        for _, more in theirs:
            edicts = joined(edicts, more)
        mine = {self.own.device: self.own, **self.others}
        united = unite(mine, [slots for slots, _ in theirs], edicts)
        total: FastHead | None = None
        if united.added or united.changed:
            slots = dict(united.slots)
            heads = [slots.pop(self.own.device).head, *(slot.head for slot in slots.values())]
            if not united.changed:
                heads = [self.total, *(slots[device].head for device in united.added)]
            total = self._melded(heads)
        known = (total or self.total).named
        return replace(united, total=total, edicts=veiled(united.edicts, known))

    def serve(self, united: Union) -> None:
        """Take over what `unite` prepared."""
        others = dict(united.slots)
        own = others.pop(self.own.device)
        if own.contents is not self.own.contents:
            own = own.copy()
        if united.total is not None:
            gate, self.total = self.total.gate, united.total if others else own.head
            self.total.gate = gate
        self._carry_alphas(edict for edict in united.edicts.values() if edict.id not in self.own.applied)
        self._tell_alphas(self.alphas)
        self.own, self.others, self.edicts = own, others, dict(united.edicts)

    def fork(self, device: str) -> None:
        """Go on under another id; what was learned so far stays a contribution of the old one."""
        old = self.own
        if not old.epoch:
            old.device = device
            return
        self.others[old.device] = old.copy()
        self.own = Slot(device, Lineage(), old.applied, Contents(self._new_head(), Receipts()))

    def returned(self, lineage: Lineage, edicts: dict[str, Edict]) -> None:
        """These are what was known earlier; it is known again, by a change after all of these.

        What others must obey stays on record, and what is here counts as having obeyed: only content goes back.
        """
        self.edicts = joined(self.edicts, edicts)
        self.own.lineage, self.own.live = lineage, True
        for slot in self.all():
            slot.applied |= frozenset(self.edicts)

    def check_known(self, label: Label) -> None:
        """Raises NotTaughtError where the label was never taught."""
        if label not in self.total.labels:
            raise NotTaughtError(f"{label!r} was never taught. Known: {list(self.total.labels)[:20]}.")

    def _obeyed(self, slots: dict[str, Slot], edict: Edict) -> dict[str, Slot]:
        return {device: obey(slot, [edict])[0] for device, slot in slots.items()}

    def _melded(self, heads: Iterable[FastHead]) -> FastHead:
        """A new head that holds what these hold."""
        made = self._new_head()
        for head in heads:
            made.meld(head)
        return made


def _meanwhile(place: int, label: Label) -> Label:
    """A name that no label has, of the same type."""
    return -(1 << 300) - place if isinstance(label, int) else f"\0 {place}"


def describe(slots: Iterable[Slot]) -> list[dict[str, Any]]:
    """Device and epoch of each slot that holds anything, as JSON values."""
    return [{"device": slot.device, "epoch": slot.epoch} for slot in slots if slot.epoch]
