"""What a brain knows, in memory: who contributed what, their total, and what all of them must obey.

Nothing here reads or writes a disk, holds a lock or remembers the past. `engram.brain.changes` changes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.brain.receipts import Receipts, receipts_of
from engram.brain.slots import Contents, Lineage, Slot
from engram.brain.tombstones import Tombstone, effect, obey
from engram.features.backbones.bundle import Bundle
from engram.heads.fast import FastHead
from engram.heads.multilabel import MultiLabelHead
from engram.heads.parts import GoodParts
from engram.heads.regression.regressor import Regressor
from engram.learner import InputError, Label, NotTaughtError

Rows = npt.NDArray[np.int16]
"""(N, D) quantised features: what is added, and what the log keeps."""

NO_ROWS: Rows = np.zeros((0, 0), np.int16)


class Against(NamedTuple):
    """Counterexamples: (N, D) rows, and the N labels that they are not of."""

    rows: Rows = NO_ROWS
    labels: tuple[Label, ...] = ()


NOTHING = Against()


@dataclass(frozen=True)
class Loss:
    """What goes with a tombstone. The log does not keep it, so in a replay nothing is left to go.

    Attributes:
        rows, labels: the single examples that the total loses.
        mine: the places of those that one's own slot loses.
        against: the counterexamples that are lost; they are one's own.
        others: the other devices' slots, which have obeyed already; None where they have not.
        hidden: name -> the pseudonym that takes its place in what is kept.
    """

    rows: Rows = field(default_factory=lambda: NO_ROWS)
    labels: tuple[Label, ...] = ()
    mine: tuple[int, ...] = ()
    against: Against = NOTHING
    others: Mapping[str, Slot] | None = None
    hidden: Mapping[Label, Label] = field(default_factory=dict)


class Knowledge:
    """Slots whose sum is served. Not safe for threads by itself: the brain holds a lock.

    Args:
        device: the id of the device that learns here.
        options: gate, alpha and memory budget of its heads.
        bundle: the backbone with its statistics; None while nothing has decided it.

    Attributes:
        own: this device's slot.
        others: device -> slot of every other device.
        total: the head that answers; the own slot's head itself while there are no others.
        tombstones: id -> forget or rename that everything here has obeyed.
        alpha: share of known things that may be refused, where it was set since the brain was made; else None.
        alphas: label -> a share of its own. One whose last example was corrected away keeps it, should it come back.
        columns: the names of the columns that were taught, in their order; None where they came without names.
    """

    def __init__(self, device: str, options: Mapping[str, Any], bundle: Bundle | None = None) -> None:
        self.options, self.bundle = dict(options), bundle
        self.columns: tuple[str, ...] | None = None
        self.own = Slot(device, Lineage(), (), Contents(self.new_head(), Receipts()))
        self.others: dict[str, Slot] = {}
        self.total = self.own.head
        self.tombstones: dict[str, Tombstone] = {}
        self.alpha: float | None = None
        self.alphas: dict[Label, float] = {}

    @property
    def apart(self) -> bool:
        """Whether the total is another head than one's own."""
        return self.own.head is not self.total

    @property
    def like(self) -> Label | None:
        """Some label that is known: new ones share its type."""
        return self.total.like

    def all(self) -> list[Slot]:
        """One's own slot, then the others by device."""
        return [self.own, *(self.others[device] for device in sorted(self.others))]

    def heads(self) -> list[FastHead]:
        """The heads in use: the total, and one's own if it is another."""
        return [self.total, self.own.head] if self.apart else [self.total]

    def held(self, receipts: Sequence[bytes], labels: Sequence[Label | None]) -> list[int]:
        """How often each example is held, under its label or (None) any."""
        slots = self.all()
        return [sum(slot.receipts.count(*key) for slot in slots) for key in zip(receipts, labels, strict=True)]

    def check_known(self, label: Label) -> None:
        """Raises NotTaughtError where the label was never taught."""
        if label not in self.total.labels:
            raise NotTaughtError(f"{label!r} was never taught. Known: {list(self.total.labels)[:20]}.")

    def zero_columns(self) -> list[str | int]:
        """Columns of vectors of which nothing is kept: names, or places from 0. They are 0 in all that was taught, or
        less than half a step.
        """
        if not self.total.sums.total:
            return []
        squares = np.diagonal(self.total.sums.gram())[: self.bundle.width if self.bundle else None]
        places = np.flatnonzero(squares == 0).tolist()
        return [self.columns[place] if self.columns else place for place in places]

    # On which backbone

    def new_head(self) -> FastHead:
        """An empty head on the bundle."""
        bundle = self.bundle
        if bundle is None:
            return FastHead(**self.options)
        if bundle.grid is not None:
            return GoodParts(bundle.mean, step=bundle.step, normalise=bundle.normalise, grid=bundle.grid,
                             **self.options)
        if bundle.multilabel:
            return MultiLabelHead(bundle.mean, bundle.covariance, step=bundle.step, normalise=bundle.normalise,
                                  freedom=bundle.freedom, measured=bundle.measured, **self.options)
        if bundle.targets is not None:
            return Regressor(bundle.targets, bundle.mean, step=bundle.step, normalise=bundle.normalise, **self.options)
        return FastHead(bundle.mean, bundle.covariance, step=bundle.step, normalise=bundle.normalise,
                        freedom=bundle.freedom, measured=bundle.measured, scaled=bundle.scaled, units=bundle.units,
                        **self.options)

    def adopt(self, bundle: Bundle) -> None:
        """Stand on this bundle from now on, if on none yet, or on the same for numbers in place of labels: nothing was
        taught before.

        Raises:
            InputError: it stands on another one.
        """
        if self.bundle is None or self.may_turn_to(bundle):
            before, self.bundle = self.own, bundle
            self.own = Slot(before.device, before.lineage, before.applied, Contents(self.new_head(), Receipts()))
            self.own.live, self.total = before.live, self.own.head
            self.tell_alphas(())
        elif bundle is not self.bundle and bundle.fingerprint != self.bundle.fingerprint:
            raise InputError(f"This brain uses the backbone {self.bundle.name!r}, but the inputs were made by"
                             f" {bundle.name!r}.")

    @property
    def begun(self) -> bool:
        """Whether anything was ever taught, here or elsewhere."""
        return bool(self.own.epoch or self.others)

    def may_turn_to(self, bundle: Bundle) -> bool:
        """Whether it is the bundle that this one is for other numbers, for labels or for sets of labels, and nothing
        was ever taught."""
        mine = self.bundle
        if mine is None or self.begun or (mine.targets, mine.multilabel) == (bundle.targets, bundle.multilabel):
            return False
        return mine.with_targets(bundle.targets).with_sets(bundle.multilabel).fingerprint == bundle.fingerprint

    def standing_on(self, bundle: Bundle) -> Knowledge:
        """Itself, or what it will be once it has adopted the bundle. Raises InputError where it stands on another."""
        made = copy(self) if self.bundle is None or self.may_turn_to(bundle) else self
        made.adopt(bundle)
        return made

    # The share of known things that may be refused

    def tell_alphas(self, labels: Iterable[Label]) -> None:
        """Let the head that answers know the shares, those of these labels among them."""
        if self.alpha is not None:
            self.total.set_alpha(self.alpha)
        for label in labels:
            if label in self.total.labels:
                self.total.set_alpha(self.alphas[label], label)

    def carry_alphas(self, tombstones: Iterable[Tombstone]) -> None:
        """Let the shares of labels follow forgets and renames."""
        renamed, lost = effect(self.alphas, tombstones)
        gone = {label for label, _ in lost}
        self.alphas = {renamed.get(name, name): share for name, share in self.alphas.items() if name not in gone}

    # Forgets and renames

    def obeyed(self, slots: Mapping[str, Slot], tombstone: Tombstone) -> dict[str, Slot]:
        """These slots once they have obeyed it. Raises MeldError or DamagedError where they cannot."""
        return {device: obey(slot, [tombstone])[0] for device, slot in slots.items()}

    def obey(self, tombstone: Tombstone, loss: Loss) -> None:
        """Lose, or call by another name, what a tombstone says.

        In a log, other devices' contributions may be read as they became later, under the names that they have since:
        then one's own obeys, and the total is added up anew.
        """
        later = any(tombstone.id in slot.applied for slot in self.others.values())
        heads = [self.own.head] if later else self.heads()
        self._lose(loss)
        if tombstone.kind != "forget examples" and (label := tombstone.found_in(heads[0].named)) is not None:
            self.lose_or_rename(heads, label, tombstone.new)
        self.others = dict(self.obeyed(self.others, tombstone) if loss.others is None else loss.others)
        if later:
            self.add_up()
        if tombstone.kind != "rename":
            tombstone = replace(tombstone, after=self.total.digest())
        self.tombstones[tombstone.id] = tombstone
        self.carry_alphas([tombstone])
        self.tell_alphas(self.alphas)
        self.own.applied |= {tombstone.id}
        self.own.changed()

    def _lose(self, loss: Loss) -> None:
        if loss.against.labels:
            for head in self.heads():
                head.forget_not_rows(loss.against.rows, list(loss.against.labels))
        if not loss.labels:
            return
        mine = list(loss.mine)
        names = [loss.labels[i] for i in mine]
        self.total.forget_rows(loss.rows, list(loss.labels))
        if mine and self.apart:
            self.own.head.forget_rows(loss.rows[mine], names)
        self.own.receipts.remove(receipts_of(loss.rows[mine]), names)

    def lose_or_rename(self, heads: Iterable[FastHead], label: Label, new: Label | None) -> None:
        """Let these heads, and one's own receipts, lose a label (None), or call it by another name."""
        for head in heads:
            if head.holds(label):
                head.forget_label(label) if new is None else head.rename_as_recorded(label, new)
        if new is None:
            self.own.receipts.drop(label)
        else:
            self.own.receipts.rename(label, new)

    def end(self, ids: Iterable[str], hidden: Mapping[Label, Label]) -> None:
        """Let tombstones name no label that was forgotten since.

        Args:
            ids: renames that led to such a label: whoever has not obeyed them yet is to forget it.
            hidden: name -> pseudonym.
        """
        if hidden:
            self.tombstones = {key: one.hiding(hidden) for key, one in self.tombstones.items()}
            self.alphas = {label: share for label, share in self.alphas.items() if label not in hidden}
        self.tombstones |= {key: self.tombstones[key].ended() for key in ids if key in self.tombstones}

    def hide(self, hidden: Mapping[Label, Label]) -> bool:
        """Put pseudonyms in the place of names, those of what is held too; whether any was in there."""
        before = dict(self.tombstones), self.alphas
        self.end((), hidden)
        named = [label for label in self.total.named if label in hidden]
        for label in named:
            self.lose_or_rename(self.heads(), label, hidden[label])
        return bool(named) or before != (self.tombstones, self.alphas)

    # The total

    def melded(self, heads: Iterable[FastHead]) -> FastHead:
        """A new head that holds what these hold."""
        made = self.new_head()
        for head in heads:
            made.meld(head)
        return made

    def add_up(self) -> None:
        """The total anew, where it is another than one's own."""
        if self.apart:
            gate, self.total = self.total.gate, self.melded([slot.head for slot in self.all()])
            self.total.gate = gate


def describe_slots(slots: Iterable[Slot]) -> list[dict[str, Any]]:
    """Device and epoch of each slot that holds anything, as JSON values."""
    return [{"device": slot.device, "epoch": slot.epoch} for slot in slots if slot.epoch]
