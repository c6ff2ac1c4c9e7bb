"""The deployed learner: a frozen backbone, a fast head on it, and what makes them last.

A brain is taught in one step, says "Nothing I know" where it should, unlearns to the bit, and becomes one with other
brains on the same backbone. It is a Learner, so it keeps the laws in `engram.checks`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from threading import RLock
from typing import Any, Self
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from engram.backbones.backbone import Progress
from engram.backbones.bundle import Bundle
from engram.brain.conflicts import Conflict, find_conflicts
from engram.brain.edicts import Edict, obey
from engram.brain.examples import Examples, as_bundle, default_bundle, gather, takes
from engram.brain.forgetting import only_labels, plan_forgetting, without
from engram.brain.melding import MeldReport, unite
from engram.brain.receipts import Receipts, receipts_of
from engram.brain.slots import Contents, Slot
from engram.brain.snapshot import Folder
from engram.brain.unknowns import Group, Unknowns, alike
from engram.heads.fast import FastHead
from engram.inputs.vectors import as_labels
from engram.learner import (
    Consolidation,
    InputError,
    Label,
    LabelError,
    MeldError,
    NotTaughtError,
    Predictions,
    State,
)


class Brain:
    """A backbone that is ready to be learned upon, and everything learned upon it.

    Args:
        bundle: a bundle or backbone, or the name or folder of one ("descriptor" describes pictures by hand). None
            decides by the first inputs: pictures are described by hand, numbers taken as they are.
        gate: learn only what is not well known yet: where the right label leads by less than this. See `FastHead`.
        alpha: share of known things that may be refused as unknown.
        memory_budget: bytes for single examples in the head; beyond it the least are merged and let go.
        unknowns: how many refused inputs the inbox keeps.
        device: the id of this brain among those it may be melded with; None for a random one.

    >>> brain = Brain()
    >>> brain.learn([[1, 0.1], [0, 1], [0.9, 0]], ["right", "up", "right"])
    >>> brain.predict([0.95, 0.1]).best
    ['right']
    >>> before = brain.digest()
    >>> brain.learn([0.1, -1], "down")
    >>> brain.forget(label="down")
    >>> brain.digest() == before
    True
    """

    boundaries = False

    def __init__(
        self,
        bundle: Any = None,
        *,
        gate: float | None = None,
        alpha: float = 0.02,
        memory_budget: int = 2**28,
        unknowns: int = 512,
        device: str | None = None,
    ) -> None:
        self._lock = RLock()
        self._options: dict[str, Any] = {"gate": gate, "alpha": alpha, "memory_budget": memory_budget}
        self._bundle: Bundle | None = None
        self._edicts: dict[str, Edict] = {}
        self._slots: dict[str, Slot] = {}
        self._folder: Folder | None = None
        self.unknowns = Unknowns(unknowns)
        self.seq = 0
        self._own = Slot(device or uuid4().hex, b"", (), Contents(self._new_head(), Receipts()))
        self._total = self._own.head
        if bundle is not None:
            self._adopt(as_bundle(bundle))

    # Learning and asking

    @property
    def exact(self) -> bool:
        """Whether the laws of batching, order, melding and forgetting hold to the bit: always but for a gate."""
        return self._options["gate"] is None

    def learn(self, inputs: Any, targets: Any = None, *, progress: Progress | None = None) -> None:
        """Learn one example or many, new labels at any time.

        Args:
            inputs: what the backbone takes. Pictures: paths, Pillow images, arrays (H, W), (H, W, 3), or many of them;
                a folder of pictures, or one with a folder per class. Vectors: (D,), (N, D), .npy or .csv files.
            targets: one label, str or int, for each input or one for all; None takes them from the folders' names.
            progress: called with how many inputs have been looked at, and how many there are.

        Raises:
            InputError, LabelError, CapacityError: nothing was changed.
        """
        bundle, examples = self._gather(inputs)
        labels = examples.labelled(targets, self._like())
        self._learn(bundle, bundle.features(examples.items, progress), labels)

    def predict(
        self,
        inputs: Any,
        among: Iterable[Label] | None = None,
        *,
        remember: bool = False,
        progress: Progress | None = None,
    ) -> Predictions:
        """The best label of each input, or None: "Nothing I know".

        Args:
            inputs: as for `learn`.
            among: the labels in question; None for all.
            remember: keep what is refused in the inbox of unknowns.

        Raises:
            InputError: not what the backbone takes.
            LabelError: `among` names a label that was never taught.
        """
        bundle, examples = self._gather(inputs)
        features = bundle.features(examples.items, progress)
        answers = self._total.predict(features, among)
        if remember and not answers.known.all():
            self._remember(bundle, features, examples, ~answers.known)
        return answers

    def consolidate(self) -> Consolidation:
        """Merge redundant examples into weighted prototypes, keep outliers; the sums, and so the digest, stay."""
        with self._lock:
            report = self._total.consolidate()
            if self._own.head is not self._total:
                self._own.head.consolidate()
            self.seq += 1
            return report

    # Correcting

    def forget(
        self,
        inputs: Any = None,
        targets: Any = None,
        *,
        label: Label | None = None,
        examples: Any = None,
        labels: Any = None,
    ) -> None:
        """Unlearn a label, or single examples: afterwards the digest is that of a brain that never saw them.

        What is forgotten stays forgotten: a later meld with a brain that still holds it loses the label, or is refused.

        Args:
            inputs, examples: the examples, as they were taught.
            targets, labels: the labels under which they were taught; None where each was taught under one only.
            label: forget everything taught under it.

        Raises:
            NotTaughtError: it was never taught, or not so often. Nothing was changed.
        """
        inputs, targets = (inputs if examples is None else examples), (targets if labels is None else labels)
        if (inputs is None) == (label is None):
            raise InputError("Forget either a label, or examples.")
        if label is not None:
            self._forget_label(label)
        else:
            self._forget_examples(inputs, targets)

    def rename(self, old: Label, new: Label) -> None:
        """Call a label by another name, here and in all that is melded later.

        Raises:
            NotTaughtError: `old` was never taught.
            LabelError: `new` is taken, or of the other type.
        """
        with self._lock:
            if old not in self._total.labels:
                raise NotTaughtError(f"{old!r} was never taught. Known: {list(self.labels)[:20]}.")
            if new in self._total.labels:
                raise LabelError(f"{new!r} is taught already: forget it first, or choose another name.")
            if type(new) is not type(old):
                raise LabelError(f"Labels here are {type(old).__name__}; {new!r} is {type(new).__name__}.")
            edict = Edict.make("rename", self._edicts.values(), label=old, new=new)
            slots = {device: obey(slot, [edict])[0] for device, slot in self._slots.items()}
            self._total.rename(old, new)
            if self._own.head is not self._total and old in self._own.head.labels:
                self._own.head.rename(old, new)
            self._own.receipts.rename(old, new)
            self._decree(edict, slots)

    def holds(self, inputs: Any, targets: Any = None) -> list[int]:
        """How often each example is held, under its label or any."""
        bundle, examples = self._gather(inputs)
        features = bundle.features(examples.items)
        labels = [None] * len(features) if targets is None else examples.labelled(targets, None)
        with self._lock:
            if self._bundle is None:
                return [0] * len(features)
            receipts, slots = receipts_of(self._total.quantise(features)), self._all_slots()
            return [sum(slot.receipts.count(*key) for slot in slots) for key in zip(receipts, labels, strict=True)]

    # Melding

    def meld(self, *others: Any, strict: bool = False) -> MeldReport:
        """Take over all that other brains on the same backbone learned; the same as having learned it all here.

        Each device counts once, with its latest contribution: melding twice changes nothing.

        Args:
            others: brains; they stay as they are.
            strict: refuse where labels conflict, instead of melding by name and reporting it.

        Raises:
            MeldError: another backbone, labels of another type, or one holds what was forgotten elsewhere. Nothing
                was changed.
        """
        for other in others:
            self._check_meldable(other)
        parts = [other._parts() for other in others]
        conflicts = self._conflicts(others)
        if strict and conflicts:
            raise MeldError("Labels conflict: " + "; ".join(map(str, conflicts)) + ". Rename or forget one, then meld.")
        with self._lock:
            bundle = self._bundle or next((other._bundle for other in others if other._bundle), None)
            if bundle is None:
                return MeldReport()
            edicts = dict(self._edicts)
            for _, theirs in parts:
                edicts |= theirs
            mine = {self._own.device: self._own, **self._slots}
            united = unite(mine, [slots for slots, _ in parts], edicts.values())
            self._adopt(bundle)
            self._take(united.slots, united.added, united.changed)
            news = bool(united.added or united.changed or edicts != self._edicts)
            self._edicts = edicts
            self.seq += news
            return MeldReport(united.added, united.changed, united.notes, tuple(conflicts))

    def fork(self) -> None:
        """Go on under a new device id: for a copy of a brain that is to learn beside the original."""
        with self._lock:
            own = self._own
            if own.epoch:
                self._slots[own.device] = own.copy() if own.head is self._total else own
            self._own = Slot(uuid4().hex, b"", own.applied, Contents(self._new_head(), Receipts()))
            self._own.head.gate = None
            if not own.epoch:
                self._total = self._own.head
            self.seq += 1

    # The inbox of unknowns

    def unknown_groups(self) -> list[Group]:
        """What was refused and remembered, grouped by likeness in the metric of what was learned; largest first."""
        with self._lock:
            if not len(self.unknowns) or self._bundle is None:
                return []
            similarity = self._total.similarity(self.unknowns.features)
            return self.unknowns.groups(similarity, alike(self._total, self._bundle))

    def name(self, group: int, label: Label) -> int:
        """Learn a group of unknowns under a label; returns how many they were.

        Raises:
            NotTaughtError: there is no group of that number.
        """
        with self._lock:
            groups = {found.number: found for found in self.unknown_groups()}
            if group not in groups:
                raise NotTaughtError(f"No group {group} of unknowns; there are {sorted(groups)}.")
            features = self.unknowns.take(groups[group].members)
            labels = as_labels(label, len(features), self._like())
            assert self._bundle is not None
            self._learn(self._bundle, features, labels)
            return len(features)

    # What a user can ask

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels known, in the order of their first arrival."""
        return self._total.labels

    @property
    def bundle(self) -> Bundle | None:
        """The backbone with its statistics; None before anything decided it."""
        return self._bundle

    @property
    def options(self) -> dict[str, Any]:
        """Gate, alpha and memory budget, as they were given."""
        return dict(self._options)

    @property
    def device(self) -> str:
        """The id of this brain among those it is melded with."""
        return self._own.device

    @property
    def epoch(self) -> int:
        """How often this brain itself has changed what it knows."""
        return self._own.epoch

    @property
    def edicts(self) -> tuple[Edict, ...]:
        """Forgets and renames, which everything melded must obey."""
        return tuple(self._edicts.values())

    def slots(self) -> list[Slot]:
        """Every device's contribution, one's own among them; not to be changed."""
        with self._lock:
            return [slot for slot in self._all_slots() if slot.epoch]

    def digest(self) -> str:
        """SHA-256 of the exact sums: equal exactly where the same examples are held under the same labels."""
        return self._total.digest()

    def rebuild(self) -> None:
        """Derive the read-out anew from the sums."""
        self._total.rebuild()

    def info(self) -> dict[str, Any]:
        """What there is to know, as JSON values."""
        with self._lock:
            bundle = self._bundle
            return {
                "labels": [{"label": label, "examples": n} for label, n in self._total.counts.items()],
                "examples": self._total.sums.total,
                "digest": self.digest(),
                "backbone": bundle and bundle.name,
                "takes": bundle and takes(bundle),
                "width": bundle and bundle.width,
                "fingerprint": bundle and bundle.fingerprint,
                "device": self.device,
                "devices": [{"device": s.device, "epoch": s.epoch} for s in self._all_slots() if s.epoch],
                "seq": self.seq,
                "unknowns": len(self.unknowns),
                "edicts": len(self._edicts),
                "memory_bytes": self.memory_bytes,
                **self._options,
            }

    @property
    def memory_bytes(self) -> int:
        """Bytes held by what was learned."""
        with self._lock:
            heads = {id(self._total): self._total, id(self._own.head): self._own.head}
            receipts = self._own.receipts.nbytes + 8 * self._own.epoch
            return sum(head.memory_bytes for head in heads.values()) + receipts + self.unknowns.nbytes

    @property
    def memory_limit(self) -> int:
        """Bytes beyond which the memory does not grow: the head's bound, and 16 to 28 for each example's receipt."""
        from engram.brain.saving import overhead_bytes

        with self._lock:
            heads = {id(self._total): self._total, id(self._own.head): self._own.head}
            return sum(head.memory_limit for head in heads.values()) + overhead_bytes(self)

    # Saving

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save as a folder. A crash at any moment leaves the brain that was there, or this one.

        Raises:
            EngramError: another program has changed the folder since this brain was opened from it.
            OSError: the disk refused; the brain that was there is still there.
        """
        from engram.brain.saving import save

        with self._lock:
            save(self, path)

    @classmethod
    def open(cls, path: str | os.PathLike[str], **parts: Any) -> Self:
        """The brain in a folder, every byte verified before any of it is used.

        Args:
            parts: what a bundle cannot hold, such as `module=` for a PyTorch backbone.

        Raises:
            InputError: there is no such folder.
            DamagedError: truncated, altered, foreign, or written by a later version.
        """
        from engram.brain.saving import open_brain

        return open_brain(cls, path, **parts)

    def state(self) -> State:
        """The whole brain as arrays, its backbone's files among them."""
        from engram.brain.saving import state

        with self._lock:
            return state(self)

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]], **parts: Any) -> Self:
        """The brain that `state` described. Raises DamagedError where entries are missing or do not fit."""
        from engram.brain.saving import from_state

        return from_state(cls, state, **parts)

    # How it is done

    def _new_head(self) -> FastHead:
        bundle = self._bundle
        if bundle is None:
            return FastHead(**self._options)
        return FastHead(bundle.mean, bundle.covariance, step=bundle.step, normalise=bundle.normalise, **self._options)

    def _adopt(self, bundle: Bundle) -> None:
        """Stand on this bundle from now on, if on none yet."""
        if self._bundle is None:
            self._bundle = bundle
            self._own = Slot(self.device, b"", self._own.applied, Contents(self._new_head(), Receipts()))
            self._total = self._own.head
        elif bundle is not self._bundle and bundle.fingerprint != self._bundle.fingerprint:
            raise InputError(f"This brain stands on {self._bundle.name!r}, the inputs were made for {bundle.name!r}.")

    def _gather(self, inputs: Any) -> tuple[Bundle, Examples]:
        bundle = self._bundle or default_bundle(inputs)
        return bundle, gather(inputs, takes(bundle))

    def _like(self) -> Label | None:
        return next(iter(self._total.labels), None)

    def _all_slots(self) -> list[Slot]:
        return [self._own, *(self._slots[device] for device in sorted(self._slots))]

    def _learn(self, bundle: Bundle, features: npt.NDArray[np.float32], labels: list[Label]) -> None:
        with self._lock:
            self._adopt(bundle)
            rows = self._total.quantise(features)
            as_labels(labels, len(rows), self._like())  # another thread may have taught meanwhile
            receipts = receipts_of(rows)
            self.unknowns.discard(receipts)
            learned = self._learn_in_total(features, labels)
            if not learned:
                return
            kept, names = [receipts[i] for i in learned], [labels[i] for i in learned]
            if self._own.head is not self._total:
                self._own.head.learn(features[learned], names)
            self._own.receipts.add(kept, names)
            self._own.changed()
            self.seq += 1

    def _learn_in_total(self, features: npt.NDArray[np.float32], labels: list[Label]) -> list[int]:
        """The places of those that were learned: all, unless a gate skips some."""
        if self.exact:
            self._total.learn(features, labels)
            return list(range(len(labels)))
        learned = []
        for i, label in enumerate(labels):
            before = self._total.sums.total
            self._total.learn(features[i], label)
            if self._total.sums.total > before:
                learned.append(i)
        return learned

    def _remember(self, bundle: Bundle, features: Any, examples: Examples, refused: npt.NDArray[np.bool_]) -> None:
        with self._lock:
            if self._bundle is None:
                self._adopt(bundle)
            places = np.flatnonzero(refused)
            keys = receipts_of(self._total.quantise(features[places]))
            self.unknowns.add(features[places], [examples.sources[i] for i in places], keys)
            self.seq += 1

    def _forget_label(self, label: Label) -> None:
        with self._lock:
            if label not in self._total.labels:
                raise NotTaughtError(f"{label!r} was never taught. Known: {list(self.labels)[:20]}.")
            before = self.digest()
            draft = Edict.make("forget label", self._edicts.values(), label=label)
            slots = {device: obey(slot, [draft])[0] for device, slot in self._slots.items()}
            self._total.forget_label(label)
            if self._own.head is not self._total and label in self._own.head.labels:
                self._own.head.forget_label(label)
            self._own.receipts.drop(label)
            self._decree(replace(draft, before=before, after=self.digest()), slots)

    def _forget_examples(self, inputs: Any, targets: Any) -> None:
        bundle, examples = self._gather(inputs)
        features = bundle.features(examples.items)
        with self._lock:
            if self._bundle is None or not self._total.labels:
                raise NotTaughtError("Nothing was taught yet, so there is nothing to forget.")
            receipts = receipts_of(self._total.quantise(features))
            if targets is None and examples.labels is None:
                labels = only_labels(self._all_slots(), receipts)
            else:
                labels = examples.labelled(targets, self._like())
            plan = plan_forgetting(self._all_slots(), receipts, labels)
            before = self.digest()
            slots = {
                device: without(self._slots[device], features, receipts, labels, plan[device])
                for device in self._slots if device in plan
            }
            self._total.forget(features, labels)
            mine = plan.get(self.device, [])
            names = [labels[i] for i in mine]
            if mine and self._own.head is not self._total:
                self._own.head.forget(features[mine], names)
            self._own.receipts.remove([receipts[i] for i in mine], names)
            slots = {**self._slots, **slots}
            gone = {r for r in receipts if not any(s.receipts.count(r) for s in (self._own, *slots.values()))}
            self.unknowns.discard(receipts)
            edict = Edict.make(
                "forget examples", self._edicts.values(), receipts=tuple(sorted(r.hex() for r in gone)),
                before=before, after=self.digest(),
            )
            self._decree(edict, {device: obey(slot, [edict])[0] for device, slot in slots.items()})

    def _decree(self, edict: Edict, slots: dict[str, Slot]) -> None:
        """The brain has obeyed a new edict, and so have these slots of other devices."""
        self._edicts[edict.id] = edict
        self._slots = slots
        self._own.applied |= {edict.id}
        self._own.changed()
        self.seq += 1

    def _check_meldable(self, other: Any) -> None:
        if not isinstance(other, Brain):
            raise MeldError(f"Only brains meld with a brain, not {type(other).__name__}.")
        mine, theirs = self._bundle, other._bundle
        if mine is not None and theirs is not None and mine.fingerprint != theirs.fingerprint:
            raise MeldError(
                f"These brains stand on different backbones ({mine.name!r} {mine.fingerprint[:12]}, {theirs.name!r} "
                f"{theirs.fingerprint[:12]}): what their features mean differs. Teach one anew on the other's."
            )

    def _parts(self) -> tuple[dict[str, Slot], dict[str, Edict]]:
        """What another brain melds: slots that will not change any more, and edicts."""
        with self._lock:
            own = {self.device: self._own.copy()} if self._own.epoch else {}
            return {**own, **self._slots}, dict(self._edicts)

    def _conflicts(self, others: Iterable[Brain]) -> list[Conflict]:
        brains: list[Brain] = [self, *others]
        bundle = next((brain._bundle for brain in brains if brain._bundle), None)
        covariance = None if bundle is None or bundle.covariance is None else bundle.covariance / bundle.step**2
        found: list[Conflict] = []
        for i, one in enumerate(brains):
            for two in brains[i + 1 :]:
                names = (one.device[:8], two.device[:8])
                if one.device != two.device:
                    found += find_conflicts(one._total, two._total, covariance, names)
        return found

    def _take(self, slots: dict[str, Slot], added: tuple[str, ...], changed: tuple[str, ...]) -> None:
        """Serve these slots: all prepared on copies, then swapped in."""
        own = slots[self.device]
        if self.device in changed and own.contents is not self._own.contents:
            own = own.copy()
        others = {device: slot for device, slot in slots.items() if device != self.device}
        if changed or added:
            total = FastHead.from_state(self._total.state()) if not changed else self._new_head()
            for device in sorted(others if changed else added):
                total.meld(others[device].head)
            if changed:
                total.meld(own.head)
            if not others:
                total = own.head
            elif own.head.gate is not None:
                own = own.copy()  # the served head alone decides what is known well enough to skip
                own.head.gate = None
            self._total = total
        self._own, self._slots = own, others
