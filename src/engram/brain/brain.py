"""The deployed learner: a frozen backbone, a fast head on it, and what makes them last.

A brain is taught in one step, says "Nothing I know" where it should, unlearns to the bit, and becomes one with other
brains on the same backbone. It is a Learner, so it keeps the laws in `engram.checks`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from threading import RLock
from typing import Any, Self
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from engram.backbones.backbone import Progress
from engram.backbones.bundle import Bundle
from engram.brain.conflicts import Conflict, find_conflicts
from engram.brain.contributions import Contributions, describe
from engram.brain.edicts import Edict
from engram.brain.examples import Examples, as_bundle, default_bundle, gather, takes
from engram.brain.melding import MeldReport
from engram.brain.receipts import receipts_of
from engram.brain.slots import Slot
from engram.brain.snapshot import Folder
from engram.brain.unknowns import Group, Unknowns, alike, likeness
from engram.heads.exact_sums import ExactSums
from engram.heads.fast import FastHead
from engram.inputs.vectors import as_labels
from engram.learner import Consolidation, FloatArray, InputError, Label, MeldError, NotTaughtError, Predictions, State


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
        self._folder: Folder | None = None
        self._taught = Contributions(device or uuid4().hex, self._new_head)
        self.unknowns = Unknowns(unknowns)
        self.seq = 0
        if bundle is not None:
            self._adopt(as_bundle(bundle))

    # Learning and asking

    @property
    def exact(self) -> bool:
        """Whether the laws of batching, order, melding and forgetting hold to the bit: always but for a gate."""
        return self._options["gate"] is None

    def learn(
        self, inputs: Any, targets: Any = None, *, again: bool = True, progress: Progress | None = None
    ) -> None:
        """Learn one example or many, new labels at any time.

        Args:
            inputs: what the backbone takes. Pictures: paths, Pillow images, arrays (H, W), (H, W, 3), or many of them;
                a folder of pictures, or one with a folder per class. Vectors: (D,), (N, D), .npy or .csv files.
            targets: one label, str or int, for each input or one for all; None takes them from the folders' names.
            again: learn also what is held under that label already; it counts once more then.
            progress: called with how many inputs have been looked at, and how many there are.

        Raises:
            InputError, LabelError, CapacityError: nothing was changed.
        """
        bundle, examples = self._gather(inputs)
        labels = examples.labelled(targets, self._taught.like)
        self._learn(bundle, bundle.features(examples.items, progress), labels, again)

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
        answers = self._taught.total.predict(features, among)
        if remember and not answers.known.all():
            self._remember(bundle, features, examples, ~answers.known)
        return answers

    def consolidate(self) -> Consolidation:
        """Merge redundant examples into weighted prototypes, keep outliers; the sums, and so the digest, stay."""
        with self._lock:
            self.seq += 1
            return self._taught.consolidate()

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
        if label is None:
            self._forget_examples(inputs, targets)
            return
        with self._lock:
            self._taught.forget_label(label)
            self.seq += 1

    def rename(self, old: Label, new: Label) -> None:
        """Call a label by another name, here and in all that is melded later.

        Raises:
            NotTaughtError: `old` was never taught.
            LabelError: `new` is taken, or of the other type.
        """
        with self._lock:
            self._taught.rename(old, new)
            self.seq += 1

    def holds(self, inputs: Any, targets: Any = None) -> list[int]:
        """How often each example is held, under its label or any."""
        bundle, examples = self._gather(inputs)
        features = bundle.features(examples.items)
        labels = [None] * len(features) if targets is None else examples.labelled(targets, None)
        with self._lock:
            return self._taught.held(features, labels) if self._bundle is not None else [0] * len(features)

    def quantised(self, inputs: Any) -> FloatArray:
        """(N, D) the integers that are added when these inputs are learned.

        Raises:
            InputError: not what the backbone takes.
        """
        bundle, examples = self._gather(inputs)
        features = bundle.features(examples.items)
        with self._lock:
            self._adopt(bundle)
            return self._taught.total.quantise(features)

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
            bundle = next((brain.bundle for brain in (self, *others) if brain.bundle), None)
            if bundle is None:
                return MeldReport()
            self._adopt(bundle)
            united, news = self._taught.meld(parts)
            self.seq += news
            return MeldReport(united.added, united.changed, united.notes, tuple(conflicts))

    def fork(self) -> None:
        """Go on under a new device id: for a copy of a brain that is to learn beside the original."""
        with self._lock:
            self._taught.fork(uuid4().hex)
            self.seq += 1

    # The inbox of unknowns

    def unknown_groups(self) -> list[Group]:
        """What was refused and remembered, grouped by likeness in the metric of what was learned; largest first."""
        with self._lock:
            if not len(self.unknowns) or self._bundle is None:
                return []
            total = self._taught.total
            return self.unknowns.groups(
                likeness(total, self._bundle, self.unknowns.features), alike(total, self._bundle)
            )

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
            labels = as_labels(label, len(features), self._taught.like)
            assert self._bundle is not None
            self._learn(self._bundle, features, labels)
            return len(features)

    # What a user can ask

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels known, in the order of their first arrival."""
        return self._taught.total.labels

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
        return self._taught.own.device

    @property
    def epoch(self) -> int:
        """How often this brain itself has changed what it knows."""
        return self._taught.own.epoch

    @property
    def edicts(self) -> tuple[Edict, ...]:
        """Forgets and renames, which everything melded must obey."""
        return tuple(self._taught.edicts.values())

    def slots(self) -> list[Slot]:
        """Every device's contribution, one's own among them; not to be changed."""
        with self._lock:
            return [slot for slot in self._taught.all() if slot.epoch]

    def exact_sums(self) -> ExactSums:
        """A copy of the sums, classes in the order of `labels`."""
        with self._lock:
            return self._taught.total.sums.copy()

    def digest(self) -> str:
        """SHA-256 of the exact sums: equal exactly where the same examples are held under the same labels."""
        return self._taught.total.digest()

    def rebuild(self) -> None:
        """Derive the read-out anew from the sums."""
        self._taught.total.rebuild()

    def info(self) -> dict[str, Any]:
        """What there is to know, as JSON values."""
        with self._lock:
            bundle, total = self._bundle, self._taught.total
            return {
                "labels": [{"label": label, "examples": n} for label, n in total.counts.items()],
                "examples": total.sums.total,
                "digest": self.digest(),
                "backbone": bundle and bundle.name,
                "takes": bundle and takes(bundle),
                "width": bundle and bundle.width,
                "fingerprint": bundle and bundle.fingerprint,
                "device": self.device,
                "devices": describe(self._taught.all()),
                "seq": self.seq,
                "unknowns": len(self.unknowns),
                "edicts": len(self._taught.edicts),
                "memory_bytes": self.memory_bytes,
                **self._options,
            }

    @property
    def memory_bytes(self) -> int:
        """Bytes held by what was learned."""
        with self._lock:
            receipts = self._taught.own.receipts.nbytes + len(self._taught.own.history)
            return sum(head.memory_bytes for head in self._taught.heads()) + receipts + self.unknowns.nbytes

    @property
    def memory_limit(self) -> int:
        """Bytes beyond which the memory does not grow: the head's bound, and 16 to 28 for each example's receipt."""
        from engram.brain.saving import overhead_bytes

        with self._lock:
            return sum(head.memory_limit for head in self._taught.heads()) + overhead_bytes(self)

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
            self._taught = Contributions(self.device, self._new_head)
        elif bundle is not self._bundle and bundle.fingerprint != self._bundle.fingerprint:
            raise InputError(f"This brain stands on {self._bundle.name!r}, the inputs were made for {bundle.name!r}.")

    def _gather(self, inputs: Any) -> tuple[Bundle, Examples]:
        bundle = self._bundle or default_bundle(inputs)
        return bundle, gather(inputs, takes(bundle))

    def _learn(
        self, bundle: Bundle, features: npt.NDArray[np.float32], labels: list[Label], again: bool = True
    ) -> None:
        with self._lock:
            self._adopt(bundle)
            if not again:
                new = [i for i, times in enumerate(self._taught.held(features, labels)) if not times]
                features, labels = features[new], [labels[i] for i in new]
                if not new:
                    return
            self.unknowns.discard(self._taught.learn(features, labels))
            self.seq += 1

    def _forget_examples(self, inputs: Any, targets: Any) -> None:
        bundle, examples = self._gather(inputs)
        features = bundle.features(examples.items)
        with self._lock:
            if self._bundle is None:
                raise NotTaughtError("Nothing was taught yet, so there is nothing to forget.")
            unlabelled = targets is None and examples.labels is None
            self._taught.forget(features, None if unlabelled else examples.labelled(targets, self._taught.like))
            self.unknowns.discard(receipts_of(self._taught.total.quantise(features)))
            self.seq += 1

    def _remember(self, bundle: Bundle, features: Any, examples: Examples, refused: npt.NDArray[np.bool_]) -> None:
        with self._lock:
            self._adopt(bundle)
            places = np.flatnonzero(refused)
            keys = receipts_of(self._taught.total.quantise(features[places]))
            self.unknowns.add(features[places], [examples.sources[i] for i in places], keys)
            self.seq += 1

    def _parts(self) -> Any:
        with self._lock:
            return self._taught.parts()

    def _check_meldable(self, other: Any) -> None:
        if not isinstance(other, Brain):
            raise MeldError(f"Only brains meld with a brain, not {type(other).__name__}.")
        mine, theirs = self._bundle, other._bundle
        if mine is not None and theirs is not None and mine.fingerprint != theirs.fingerprint:
            raise MeldError(
                f"These brains stand on different backbones ({mine.name!r} {mine.fingerprint[:12]}, {theirs.name!r} "
                f"{theirs.fingerprint[:12]}): what their features mean differs. Teach one anew on the other's."
            )

    def _conflicts(self, others: Iterable[Brain]) -> list[Conflict]:
        brains = [self, *others]
        bundle = next((brain.bundle for brain in brains if brain.bundle), None)
        covariance = None if bundle is None or bundle.covariance is None else bundle.covariance / bundle.step**2
        found: list[Conflict] = []
        for i, one in enumerate(brains):
            for two in brains[i + 1 :]:
                names = (one.device[:8], two.device[:8])
                if one.device != two.device:
                    found += find_conflicts(one._taught.total, two._taught.total, covariance, names)
        return found


def meld(*brains: Brain, strict: bool = False) -> Brain:
    """A new brain that knows all that these know; they stay as they are.

    Args:
        brains: one or more, on the same backbone.
        strict: refuse where labels conflict.

    Raises:
        MeldError: none given, or see `Brain.meld`.

    >>> one, two = Brain(), Brain()
    >>> one.learn([[1, 0]], "right")
    >>> two.learn([[0, 1]], "up")
    >>> meld(one, two).digest() == meld(two, one, two).digest()
    True
    """
    if not brains or not all(isinstance(brain, Brain) for brain in brains):
        raise MeldError("Only brains meld, and one is needed at least.")
    made = Brain(brains[0].bundle, **brains[0].options)
    made.meld(*brains, strict=strict)
    return made
