"""The deployed learner: a frozen backbone, a fast head on it, and what makes them last.

A brain is taught in one step, says "Nothing I know" where it should, unlearns to the bit, and becomes one with other
brains on the same backbone. It is a Learner, so it keeps the laws in `engram.checks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from engram.brain.auditing import Findings, Reason, examined, reason
from engram.brain.conflicts import Classes, all_conflicts
from engram.brain.examples import Examples, as_bundle, default_bundle, gather, takes
from engram.brain.interchange import Exchanging
from engram.brain.lessons import Learned, Lesson, quantisation_of, rows_of, rows_to_learn
from engram.brain.melding import MeldReport
from engram.brain.receipts import counter_receipts_of, receipts_of
from engram.brain.timeline import ALPHA, FORKED, RENAMED
from engram.brain.unknowns import Group, alike, likeness
from engram.features.backbones.bundle import Bundle
from engram.heads.fast.fast_memory import as_alpha
from engram.heads.fast.nearest_examples import nearest_examples
from engram.inputs.tables import few
from engram.inputs.thumbnails import thumbnail
from engram.inputs.vectors import as_labels, as_vectors
from engram.learner import FloatArray, InputError, Label, MeldError, NotTaughtError, Predictions
from engram.progress import Progress
from engram.store.event import Answer, Change, Draft


class Brain(Exchanging):
    """A backbone that is ready to be learned upon, and everything learned upon it.

    Args:
        bundle: a bundle or backbone, or the name or folder of one ("descriptor" describes pictures by hand). None
            decides by the first inputs: pictures are shown to the packaged "photos", numbers taken as they are.
        gate: learn only what is not well known yet: where the right label leads by less than this. See `FastHead`.
        alpha: share of known things that may be refused as unknown, until `set_alpha` changes it.
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
        super().__init__({"gate": gate, "alpha": alpha, "memory_budget": memory_budget}, unknowns, device)
        if bundle is not None:
            self._adopt(as_bundle(bundle))

    # Learning and asking

    def learn(
        self,
        inputs: Any,
        targets: Any = None,
        *,
        again: bool = True,
        teacher: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Learn one example or many, new labels at any time.

        Args:
            inputs: what the backbone takes. Pictures: paths, Pillow images, arrays (H, W), (H, W, 3), or many of them;
                a folder of pictures, or one with a folder per class. Vectors: (D,), (N, D), .npy or .csv files, data
                frames, structured arrays. Names of columns are kept: later ones have to be the same, in the same order.
            targets: one label, str or int, for each input or one for all; None takes them from the folders' names.
            again: learn also what is held under that label already; it counts once more then.
            teacher: who teaches, for the record.
            progress: called with how many inputs have been looked at, and how many there are.

        Raises:
            InputError, LabelError, CapacityError: nothing was changed.
            OSError: the disk refused; nothing was changed.
        """
        self.learn_examples(inputs, targets, again=again, teacher=teacher, progress=progress)

    def learn_examples(
        self,
        inputs: Any,
        targets: Any = None,
        *,
        again: bool = True,
        teacher: str | None = None,
        sources: Sequence[str | None] | None = None,
        answer: Answer | None = None,
        progress: Progress | None = None,
    ) -> Learned:
        """`learn`, and what became of it. Many threads that call it at once share one write to the disk.

        Args:
            inputs, targets, again, teacher, progress: as for `learn`.
            sources: where each input came from, for the record; None for the paths given.
            answer: a request that is to be carried out once only, however often it comes; see `Answer`.

        Returns:
            The number of each example, which is its id from now on.

        Raises:
            as `learn`, and InputError where another request has the same key.
        """
        with self._callers.announced():
            decided = self._bundle is not None
            bundle, examples = self._gather(inputs)
            named = examples.labelled(targets, None)
            origins = _sources(examples, sources)
            features = bundle.features(examples.items, progress)
            pictures = self._pictures(bundle, examples, range(len(examples)))
            rows = rows_to_learn(bundle, features, examples)
            lesson = Lesson(bundle, rows, receipts_of(rows), named, origins, pictures, teacher, again, answer,
                            columns=examples.columns)  # fmt: skip
            try:
                return self._callers.commit(lesson)
            except InputError:
                chosen = self._bundle
                if decided or chosen is None or chosen.fingerprint == bundle.fingerprint:
                    raise
            # another caller's first examples have set the ranges meanwhile: by those, then
            rows = rows_to_learn(chosen, chosen.features(examples.items), examples)
            return self._callers.commit(replace(lesson, bundle=chosen, rows=rows, receipts=receipts_of(rows)))

    def learn_not(
        self,
        inputs: Any,
        labels: Any,
        *,
        teacher: str | None = None,
        sources: Sequence[str | None] | None = None,
        answer: Answer | None = None,
    ) -> Learned:
        """Learn that inputs are not of a label: counterexamples, beside what was taught.

        What is more like a counterexample than like its label is not called so any more. What is more like it than like
        anything taught is unknown, unless the counterexample itself is taught as something else. `forget_not` unlearns
        counterexamples exactly; they go with their label too, and with `forget(ids=…)` and `forget(teacher=…)`.

        Args:
            inputs: as for `learn`.
            labels: the label that each is not of, or one for all.
            teacher, sources, answer: as for `learn_examples`.

        Returns:
            The number of each counterexample.

        Raises:
            NotTaughtError: a label was never taught, so nothing is called so.
            InputError, LabelError, OSError: nothing was changed.
        """
        bundle, examples = self._gather(inputs)
        named = examples.labelled(labels, None)
        rows = rows_to_learn(bundle, bundle.features(examples.items), examples)
        pictures = self._pictures(bundle, examples, range(len(examples)))
        return self._learn_not(Lesson(bundle, rows, counter_receipts_of(rows), named, _sources(examples, sources),
                                      pictures, teacher, True, answer, columns=examples.columns))

    def predict(
        self,
        inputs: Any,
        among: Iterable[Label] | None = None,
        *,
        remember: bool = False,
        sources: Sequence[str | None] | None = None,
        progress: Progress | None = None,
    ) -> Predictions:
        """The best label of each input, or None: "Nothing I know".

        Args:
            inputs: as for `learn`.
            among: the labels in question; None for all.
            sources: where each input came from, for the inbox; None for the paths given.
            remember: keep what is refused in the inbox of unknowns; it is saved with the next change, or on `save`.

        Raises:
            InputError: not what the backbone takes.
            LabelError: `among` names a label that was never taught.
        """
        if remember:
            self._check_open()
        bundle, examples = self._gather(inputs)
        features = bundle.features(examples.items, progress)
        view = self._view
        answers = (self._taught.total if view is None else view).predict(features, among)
        if remember and not answers.known.all():
            origins = _sources(examples, sources)
            self._remember(bundle, features, examples, origins, np.flatnonzero(~answers.known))
        return answers

    def keep_unknowns(self) -> None:
        """Put what was remembered as unknown on disk now. Raises EngramError or OSError where that cannot be."""
        with self._change():
            self._record_inbox()

    def publish(self) -> None:
        """From now on answer from a view that is made after each change: asking never waits for learning."""
        with self._lock:
            self._published = True
            self._changed()

    # Correcting

    def forget(
        self,
        inputs: Any = None,
        targets: Any = None,
        *,
        label: Label | None = None,
        examples: Any = None,
        labels: Any = None,
        ids: Iterable[int] | None = None,
        teacher: str | None = None,
    ) -> None:
        """Unlearn a label, or single examples: afterwards the digest is that of a brain that never saw them.

        What is forgotten stays forgotten: it leaves every file of the brain, no rollback brings it back, and a later
        meld with a brain that still holds it loses the label, or is refused.

        Args:
            inputs, examples: the examples, as they were taught.
            targets, labels: the labels under which they were taught; None where each was taught under one only.
            label: forget everything taught under it.
            ids: forget the examples of these numbers.
            teacher: forget everything that this one taught here.

        Raises:
            NotTaughtError: it was never taught, or not so often. Nothing was changed.
        """
        inputs, targets = (inputs if examples is None else examples), (targets if labels is None else labels)
        if sum(one is not None for one in (inputs, label, ids, teacher)) != 1:
            raise InputError("Forget either a label, or examples, or ids, or what a teacher taught.")
        rows = None
        if inputs is not None:
            bundle, found = self._gather(inputs)
            rows = rows_of(bundle, bundle.features(found.items))
            targets = None if targets is None and found.labels is None else found.labelled(targets, None)
        with self._change():
            if label is not None:
                self._forget_label(label)
            elif rows is not None:
                self._forget_rows(rows, targets)
            else:
                self._forget_ids(self._ids_of(teacher) if teacher is not None else list(ids or ()), teacher)

    def forget_not(self, inputs: Any, labels: Any) -> None:
        """Unlearn counterexamples for good: the digest is again that of a brain that never saw them.

        Args:
            inputs: as they were taught.
            labels: the label that each was said not to be of, or one for all.

        Raises:
            NotTaughtError: one is no counterexample of its label that was taught here, or not so often. Nothing was
                changed.
        """
        bundle, found = self._gather(inputs)
        rows = rows_of(bundle, bundle.features(found.items))
        with self._change():
            self._forget_not(rows, found.labelled(labels, None))

    def rename(self, old: Label, new: Label) -> None:
        """Call a label by another name, here and in all that is melded later.

        Raises:
            NotTaughtError: `old` was never taught.
            LabelError: `new` is taken, or of the other type.
        """
        with self._change():
            ruling = self._taught.rule_renaming(old, new)
            self._record(Change(events=[Draft(kind=RENAMED, body={"edict": ruling.edict.as_json()}, time=self._now())]))
            self._taught.carry_out(ruling)
            self._changed()

    def set_alpha(self, alpha: float, label: Label | None = None) -> None:
        """Change the share of known things that may be refused; `error_rates` tells what to expect of it.

        It is a change like others: it lasts, is in the history, and can be undone. Other brains keep their own.

        Args:
            alpha: between 0 and 1.
            label: only for inputs that are most like this one; None for all labels that have none of their own.

        Raises:
            InputError: alpha is no such share.
            NotTaughtError: the label was never taught.
        """
        share = as_alpha(alpha)
        with self._change():
            if label is not None:
                self._taught.check_known(label)
            if share == (self.alpha if label is None else self.alphas.get(label)):
                return
            body = {"alpha": share} if label is None else {"alpha": share, "label": label}
            self._record(Change(events=[Draft(kind=ALPHA, body=body, time=self._now())]))
            self._taught.set_alpha(share, label)
            self._changed()

    def holds(self, inputs: Any, targets: Any = None) -> list[int]:
        """How often each example is held, under its label or any."""
        bundle, examples = self._gather(inputs)
        receipts = receipts_of(rows_of(bundle, bundle.features(examples.items)))
        labels = [None] * len(receipts) if targets is None else examples.labelled(targets, None)
        with self._lock:
            return self._taught.held(receipts, labels) if self._bundle is not None else [0] * len(receipts)

    def quantised(self, inputs: Any) -> FloatArray:
        """(N, D) the integers that are added when these inputs are learned.

        Raises:
            InputError: not what the backbone takes.
        """
        bundle, examples = self._gather(inputs)
        return rows_of(bundle, bundle.features(examples.items)).astype(np.float64)

    # Asking why

    def audit(self, limit: int = 100, *, teacher: str | None = None) -> Findings:
        """Which examples do harm: labels that are likely wrong, near-duplicates, and labels that need more examples.

        Each example is asked as if it had never been taught. Nothing is changed: `relabel` and `forget(ids=…)` do that.

        Args:
            limit: how many suspicious examples, and groups of near-duplicates, are told at most.
            teacher: only examples that this one taught are told; None for all. All are counted.

        Raises:
            InputError: the limit is below 1.
        """
        if limit < 1:
            raise InputError(f"limit is 1 or more, not {limit!r}.")
        with self._lock:
            total, journal = self._taught.total, self._journal
        return examined(total, journal, self._lock, limit, teacher)

    def why(self, inputs: Any, nearest: int = 5) -> list[Reason]:
        """Why each input is answered as it is: the taught examples nearest to it, and each label's share.

        Args:
            inputs: as for `learn`.
            nearest: how many examples are told for each.

        Raises:
            InputError: not what the backbone takes, nothing was taught yet, or `nearest` is below 1.
        """
        if nearest < 1:
            raise InputError(f"nearest is 1 or more, not {nearest!r}.")
        bundle, examples = self._gather(inputs)
        features = bundle.features(examples.items)
        with self._lock:
            total = self._taught.total
            found = nearest_examples(total, features, nearest)
            return [reason(*one, self._journal) for one in zip(total.predict(features), found, strict=True)]

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
        _check_meldable([self, *others])
        parts = [other._parts() for other in others]
        brains = [self, *others]
        bundle = next((brain.bundle for brain in brains if brain.bundle), None)
        covariance = None if bundle is None or bundle.covariance is None else bundle.covariance / bundle.step**2
        conflicts = all_conflicts([(brain.device, brain._classes()) for brain in brains], covariance)
        if strict and conflicts:
            raise MeldError("Labels conflict: " + "; ".join(map(str, conflicts)) + ". Rename or forget one, then meld.")
        with self._change():
            bundle = next((brain.bundle for brain in (self, *others) if brain.bundle), None)
            if bundle is None:
                return MeldReport()
            columns = next((brain.columns for brain in (self, *others) if brain.columns), None)
            adopting = [*self._adopting(bundle), *self._naming(columns)]
            with self._standing_on(bundle):
                united = self._taught.unite(parts)
                if united.added or united.changed or united.edicts != self._taught.edicts:
                    self._take_over(united, adopting)
                    self._columns = self._columns or columns
            notes = tuple(note.said for note in united.notes)
            return MeldReport(united.added, united.changed, notes, tuple(conflicts))

    def fork(self) -> None:
        """Go on under a new device id: for a copy of a brain that is to learn beside the original."""
        with self._change():
            device = uuid4().hex
            self._record(Change(events=[Draft(kind=FORKED, body={"device": device}, time=self._now())]))
            self._taught.fork(device)

    # The inbox of unknowns

    def unknown_groups(self) -> list[Group]:
        """What was refused and remembered, grouped by likeness in the metric of what was learned; largest first."""
        with self._lock:
            kept = list(self.unknowns)
            if not kept or self._bundle is None:
                return []
            total, features = self._taught.total, np.stack([unknown.features for unknown in kept])
            return self.unknowns.groups(likeness(total, self._bundle, features), alike(total, self._bundle), kept)

    def name(self, group: int, label: Label, *, teacher: str | None = None) -> int:
        """Learn a group of unknowns under a label; returns how many they were.

        Raises:
            NotTaughtError: there is no group of that number.
        """
        with self._change():
            groups = {found.number: found for found in self.unknown_groups()}
            if group not in groups:
                raise NotTaughtError(f"No group {group} of unknowns; there are {sorted(groups)}.")
            members = self.unknowns.take(groups[group].members)
            assert self._bundle is not None
            rows = rows_of(self._bundle, np.stack([member.features for member in members]))
            labels = as_labels(label, len(members), self._taught.like)
            sources, pictures = [one.source for one in members], [one.thumbnail for one in members]
            lesson = Lesson(self._bundle, rows, receipts_of(rows), labels, sources, pictures, teacher, True, None)
            (learned,) = self._learn_together([lesson])
            if isinstance(learned, BaseException):
                raise learned
            return len(members)

    # How it is done

    def _gather(self, inputs: Any) -> tuple[Bundle, Examples]:
        bundle = self._bundle or default_bundle(inputs)
        return bundle, gather(inputs, takes(bundle), self._columns)

    def _pictures(self, bundle: Bundle, examples: Examples, places: Iterable[int]) -> list[bytes | None]:
        """A small picture of each input at these places, where there is a folder to keep it in."""
        if self._journal is None or takes(bundle) != "pictures":
            return [None for _ in places]
        return [thumbnail(examples.items[place]) for place in places]

    def _remember(
        self, bundle: Bundle, features: Any, examples: Examples, sources: Sequence[str | None],
        places: npt.NDArray[np.intp],
    ) -> None:
        places = places[~quantisation_of(bundle).asked(as_vectors(features[places], bundle.width))[1]]
        if not len(places):  # what is out of range cannot be learned, so it need not be named
            return
        if self._bundle is None:
            with self._change():
                adopting = self._adopting(bundle)
                with self._standing_on(bundle):
                    self._record(*adopting)
        chosen = places.tolist()
        pictures = self._pictures(bundle, examples, chosen)
        keys = receipts_of(rows_of(bundle, features[places]))
        self.unknowns.add(features[places], [sources[i] for i in chosen], keys, pictures)

    def _parts(self) -> Any:
        with self._lock:
            return self._taught.parts()

    def _classes(self) -> Classes:
        with self._lock:
            return Classes(self.labels, self.exact_sums())


def _sources(examples: Examples, given: Sequence[str | None] | None) -> list[str | None]:
    if given is None:
        return examples.sources
    if len(given) != len(examples):
        raise InputError(f"{len(given)} sources for {len(examples)} inputs: give one for each.")
    return list(given)


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


def _check_meldable(brains: list[Any]) -> None:
    stranger = next((brain for brain in brains if not isinstance(brain, Brain)), None)
    if stranger is not None:
        raise MeldError(f"Only brains meld with a brain, not {type(stranger).__name__}.")
    named = [brain.columns for brain in brains if brain.columns is not None]
    if len(set(named)) > 1:
        other = next(names for names in named if names != named[0])
        raise MeldError(f"These brains were taught columns of other names or in another order: {few(named[0])}; "
                        f"{few(other)}. Teach one anew as the other was.")
    bundles = [brain.bundle for brain in brains if brain.bundle is not None]
    for theirs in bundles[1:]:
        mine = bundles[0]
        if mine.fingerprint != theirs.fingerprint:
            raise MeldError(
                f"These brains stand on different backbones ({mine.name!r} {mine.fingerprint[:12]}, {theirs.name!r} "
                f"{theirs.fingerprint[:12]}): what their features mean differs. Teach one anew on the other's."
            )
