"""The deployed learner: a frozen backbone, a fast head on it, and what makes them last.

A brain is taught in one step, says "Nothing I know" where it should, unlearns to the bit, and becomes one with other
brains on the same backbone. It is a Learner, so it keeps the laws in `engram.checks`.

What it knows (`engram.brain.knowledge`) changes in one way only. A change is prepared, which may refuse it; recorded in
the ledger (`engram.brain.ledger`), where the disk may refuse it; applied to what is known; shown to whoever asks; and
then acknowledged. What is in memory is always what the ledger's record, replayed, gives.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from threading import RLock
from typing import IO, Any, NoReturn, Self
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from engram.brain import exchange
from engram.brain.auditing import Findings, Reason, examined, reason
from engram.brain.both_errors import accepted, between, good_parts_in_words, in_words, needed, percent, reliable
from engram.brain.bundles import (
    as_bundle,
    augmented,
    check_sees_places,
    default_bundle,
    out_of_range,
    quantisation_of,
    rows_of,
    rows_to_learn,
)
from engram.brain.changes import (
    CONSOLIDATED,
    HOUSEKEEPING,
    ROLLED_BACK,
    Prepared,
    acting,
    apply,
    begin,
    checkpoint,
    consolidate,
    forget,
    present_act,
    relabel,
    rename,
    rollback,
    teach,
)
from engram.brain.changes import alpha as setting_alpha
from engram.brain.changes import meld as melding
from engram.brain.changes.meld import MeldReport, Parts
from engram.brain.changes.teach import Learned, Lesson, weighted
from engram.brain.erasing import names_told
from engram.brain.exported import Header, Reader
from engram.brain.folder_ledger import FolderLedger, spared
from engram.brain.history import Example, History, HistoryEntry, entry_of
from engram.brain.inbox import Group, Inbox, alike, likeness
from engram.brain.knowledge import Knowledge, describe_slots
from engram.brain.ledger import Ledger, rows_in
from engram.brain.locating import LEAST, Found, located
from engram.brain.numbers import check_labels_alone, for_numbers, joined, numbers_info, numbers_taught, rows_taught
from engram.brain.receipts import Receipts, counter_receipts_of, receipts_of
from engram.brain.saving import from_state, overhead_bytes, state
from engram.brain.several_labels import (
    called_otherwise,
    check_one_label,
    counted,
    for_several,
    kept_with,
    label_given,
    labels_given,
    single,
)
from engram.brain.slots import Slot
from engram.brain.tombstones import Tombstone
from engram.brain.ways_back import Way, WaysBack
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.vectors import VectorBackbone
from engram.heads.exact_sums import ExactSums
from engram.heads.fast.conflicts import Classes, all_conflicts
from engram.heads.fast.left_out import LeftOut
from engram.heads.fast.memory_map import MapPoint, memory_map
from engram.heads.fast.nearest_examples import nearest_examples
from engram.heads.fast.novelty import ALPHAS, ErrorRates, as_alpha
from engram.heads.fast.view import HeadView
from engram.heads.parts.parts_view import PartsView
from engram.heads.regression.targets import as_numbers
from engram.inputs.boxes import Box, cut_out
from engram.inputs.encoding import few
from engram.inputs.examples import Examples, gather
from engram.inputs.images import decode
from engram.inputs.media import MEDIA
from engram.inputs.text_files import check_no_names
from engram.inputs.vectors import as_labels, as_vectors, known_label
from engram.learner import (
    Consolidation,
    DamagedError,
    EngramError,
    FloatArray,
    InputError,
    Label,
    LabelError,
    MeldError,
    NotTaughtError,
    Predictions,
    RangeWarning,
    State,
    TracesError,
)
from engram.printable import printable
from engram.progress import Progress
from engram.store.event import Event, Reply, Taught, Transaction, Unknown, in_folder
from engram.store.folder import MANIFEST
from engram.store.group_commit import GroupCommit

PASSED_OVER = (*HOUSEKEEPING, CONSOLIDATED, ROLLED_BACK)
"""Kinds of changes after which a brain in memory can still undo what it was taught before."""


class Brain:
    """A deployed learner: a backbone, a head and everything taught to them, in a folder or in memory.

    `Brain()` makes one in memory, `Brain.create(path)` one in a folder, and `Brain.open(path)` opens a folder.

    Args:
        bundle: a bundle or backbone, or the name or folder of one. None chooses by the first inputs: for pictures
            "efficientnet-lite0" where the extra [photos] is installed, else the packaged "photos"; for vectors the
            values themselves.
        gate: skip an example if the score of its label already leads the next label's by this. See `FastHead`.
        alpha: share of known inputs that may be refused as unknown, until `set_alpha` changes it.
        memory_budget: bytes for single examples in the head; beyond it, some are merged into prototypes.
        unknowns: how many unknown inputs the inbox holds.
        device: the id of this brain for melding; None for a random one.

    Attributes:
        unknowns: the inbox.
        out_of_range: how many rows that `predict` was given since the brain was opened are beyond its range.
        seq: the number of the last event.
        settled: the number of the last event that answers take into account.

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
        self, bundle: Any = None, *, gate: float | None = None, alpha: float = 0.02, memory_budget: int = 2**28,
        unknowns: int = 512, device: str | None = None,
    ) -> None:
        if device is not None and not (isinstance(device, str) and device):
            raise InputError(f"device must be a str that is not empty, the id of this brain; not {device!r}.")
        options = {"gate": gate, "alpha": alpha, "memory_budget": memory_budget}
        self._lock = RLock()
        self._knowledge = Knowledge(device or uuid4().hex, options)
        self._ledger = Ledger()
        self._callers: GroupCommit[Lesson, Learned] = GroupCommit(self._learn_together)
        self._published = False
        self._view: HeadView | None = None
        self.unknowns = Inbox(unknowns)
        self.out_of_range = 0
        self._warned: set[int] = set()
        self.seq = 0
        self.settled = 0  # not an event that is on disk, but not known yet
        if bundle is not None:
            self._knowledge.adopt(as_bundle(bundle))

    def __reduce__(self) -> NoReturn:
        raise InputError("A brain is not pickled or copied as an object: brain.save(FOLDER) writes all of it, and "
                         "Brain.open(FOLDER) is the copy; call fork() on it if both are to learn.")

    def __repr__(self) -> str:
        stands_on = "nothing yet" if self.bundle is None else repr(self.bundle.name)
        return f"<{type(self).__name__} of {len(self.labels)} labels on {stands_on}>"

    # A brain and its folder

    @classmethod
    def create(cls, path: str | os.PathLike[str], bundle: Any = None, **options: Any) -> Self:
        """Make a brain in a new folder: every change is on disk when the call returns.

        Args:
            path: a folder that does not exist, or is empty.
            bundle, options: as for the brain itself.

        Raises:
            InputError: the folder is not empty, or the bundle cannot be used.
            OSError: the folder cannot be written.
        """
        brain = cls(bundle, **options)
        brain._ledger, brain.seq = brain._recorded_in(path)
        brain.settled = brain.seq
        brain._knowledge.own.live = False
        return brain

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, readonly: bool = False, **parts: Any) -> Self:
        """Open the brain in a folder. The first change locks the folder for writing; one program can hold the lock.

        Args:
            readonly: refuse every change; `refresh` takes in the changes of the program that writes.
            parts: what a bundle cannot hold, such as `module=` for a PyTorch backbone.

        Raises:
            InputError: there is no such folder.
            DamagedError: a file is truncated, altered or foreign, or a later version of Engram wrote it.
        """
        while True:
            ledger = FolderLedger.open(path, readonly=readonly, **parts)
            try:
                return cls._opened(ledger)
            except DamagedError:
                ledger.close()
                if not ledger.folder.changed():  # else another program wrote meanwhile, and swept away what was read
                    raise
            except BaseException:
                ledger.close()
                raise

    @classmethod
    def _opened(cls, ledger: FolderLedger) -> Self:
        options = ledger.made_with()
        brain = cls(ledger.bundle(), **options)
        brain._ledger = ledger
        brain._reload()
        if not ledger.readonly and brain.traces():
            with suppress(EngramError, OSError):  # who writes to it, or does so next, finishes it
                brain._begin()
                ledger.release()
        return brain

    def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Save a complete copy of the brain to a folder.

        Args:
            path: a new folder, or one in which this brain was saved before. The brain's own folder (or None) holds
                every change already; there, a snapshot is added, so that it opens faster.

        Raises:
            InputError: the folder holds another brain, or something else.
            EngramError: the brain in that folder has learned more than this one, or another program writes to it.
            OSError: the folder cannot be written; its content is unchanged.
        """
        with self._lock:
            self._ledger.check_open()
            home = self._ledger.path
            if home is None:
                self._save_from_memory(path)
            elif path is None or os.path.realpath(path) == os.fspath(home):
                self._begin()
                self._record_inbox()
                self._ledger.snapshot(self._knowledge, self.seq)
            else:
                self._ledger.copy_to(path)

    def _save_from_memory(self, path: str | os.PathLike[str] | None) -> None:
        if path is None:
            raise InputError("This brain is in memory only: pass a folder, brain.save(FOLDER).")
        if os.path.isfile(os.path.join(path, MANIFEST)):
            with type(self).open(path) as saved, saved._change():
                saved._become(self)
            return
        self._recorded_in(path)[0].close()

    def _recorded_in(self, path: str | os.PathLike[str]) -> tuple[FolderLedger, int]:
        """A new folder in which all that is known is on record, as its first checkpoint; and the last event there."""
        known = self._knowledge
        ledger = FolderLedger.create(path, known)
        try:
            made = Knowledge(known.own.device, known.options)
            prepared = [] if known.bundle is None else begin.adopting(made, ledger, known.bundle)
            prepared += begin.naming(made, known.columns)
            first = [begin.created(known, self.unknowns.limit), *(change for one in prepared for change in one.changes)]
            if known.own.epoch or known.others or known.tombstones:
                first.append(Transaction(events=ledger.checkpoint(known, len(first) + 1)))
            return ledger, ledger.record(first, self.unknowns.copy(), 0)[-1].stop - 1
        except BaseException:
            ledger.remove()
            raise

    def _become(self, later: Self) -> None:
        """Know what a later version of this very brain knows, from now on.

        Raises:
            InputError: it is another brain.
            EngramError: this one knows what that one does not.
        """
        mine, theirs, where = self._knowledge, later._knowledge, self._ledger.path
        if mine.own.device != theirs.own.device or _print(mine.bundle) not in (None, _print(theirs.bundle)):
            raise InputError(f"{where} holds another brain: save this one to another folder.")
        if not theirs.own.lineage.continues(mine.own.lineage):
            raise EngramError(f"{where} has learned what this brain does not know: save to another folder, then"
                              f" meld the two.")
        first = [] if theirs.bundle is None else begin.adopting(mine, self._ledger, theirs.bundle)
        first += begin.naming(mine, theirs.columns)
        self._carry_out(*first, checkpoint.prepare_all(mine, self._ledger, theirs, self._next(first)))
        self.unknowns = later.unknowns.copy()
        self._reload()
        self._sweep()

    def close(self) -> None:
        """Release the folder. Every change is on disk already, so nothing is lost without this call.

        A closed brain still predicts. It refuses to learn, to change, and to read its history.
        """
        with self._lock:
            try:
                self._ledger.finish(self._knowledge, self.unknowns, self.seq)
            finally:
                self._ledger = self._ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def refresh(self) -> bool:
        """Take in the changes that another program has written to the folder; return whether there were any."""
        with self._lock:
            ledger = self._ledger
            ledger.check_open()
            if ledger.held or not (ledger.moved or ledger.log.last != self.seq):
                return False
            last = ledger.log.last
            items = [] if ledger.moved else list(ledger.log.runs(self.seq, last))
            if items and self.bundle is not None and all(isinstance(item, Taught) for item in items):
                for item in items:
                    apply(self._knowledge, item)
                self.seq = self.settled = last
                self._show()
                self.unknowns = ledger.inbox(self.unknowns)
            else:
                self._reopen()
            return True

    @property
    def moved(self) -> bool:
        """Whether the folder was moved, removed or replaced since it was opened; nothing is written to it any more."""
        return self._ledger.moved

    def traces(self) -> list[str]:
        """The files of the folder that may still contain something forgotten; normally none.

        After a crash or a disk error, or while another program reads the log, a file may keep it. The next change, or
        the next opening for writing, clears it.
        """
        with self._lock:
            return self._ledger.traces(self._knowledge)

    @property
    def on_sync(self) -> Callable[[float], None] | None:
        """A function that is called with the seconds of each commit, or None."""
        listener: Callable[[float], None] | None = self._ledger.log.on_sync
        return listener

    @on_sync.setter
    def on_sync(self, listener: Callable[[float], None] | None) -> None:
        self._ledger.log.on_sync = listener

    def state(self) -> State:
        """The whole brain as arrays by name, including the files of its backbone."""
        with self._lock:
            return state(self._knowledge, self.unknowns, self.seq)

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]], **parts: Any) -> Self:
        """The brain that `state` described, arrays by name.

        Raises:
            DamagedError: an array is missing, or the arrays do not fit each other.
        """
        knowledge, inbox, seq = from_state(state, **parts)
        brain = cls(**knowledge.options)
        brain._knowledge, brain.unknowns, brain.seq = knowledge, inbox, seq
        return brain

    # Learning and asking

    def learn(
        self, inputs: Any, targets: Any = None, *, again: bool = True, augment: bool = False,
        numbers: bool | None = None, multilabel: bool | None = None, weights: int | Sequence[int] | None = None,
        teacher: str | None = None, progress: Progress | None = None,
    ) -> None:
        """Learn one example or many; new labels may come at any time.

        Args:
            inputs: what the backbone accepts. Pictures: paths, Pillow images, uint8 arrays (H, W) or (H, W, 3) of 0 to
                255, float arrays of 0 to 1, or lists of these; a folder of pictures, or one with a folder per label.
                Sounds: paths, (samples, rate), or lists of these; folders as for pictures. Vectors: (D,) or (N, D),
                .npy or .csv files, data frames, structured arrays; if columns have names, later inputs need the same
                names in the same order. Text: one str or a list.
            targets: one label, str or int, for each input or one for all; None takes the folders' names or the column
                `label`. Or numbers, floats (N,) or (N, K): the brain then answers numbers, and no labels. Or a list of
                labels for each input: the brain then answers which labels hold, `Predictions.label_sets`. The name of a
                column of a table takes what is in it.
            numbers: whether targets are numbers (True) or labels (False). None: floats are numbers, int and str labels;
                a column is of numbers if one has a fraction, or if it has 20 rows or more and more than half of its
                whole numbers differ (then it is not the column `label`).
            multilabel: whether an input may have several labels (True), so that "red;round" are two; decided by the
                first examples. None: if lists of labels are given.
            again: also learn an example that is held under this label already; it then counts twice.
            augment: learn each picture together with seven views of it: mirrored, shifted, turned a little, in other
                light. They are one example: it counts once, and forgetting it forgets them. Takes eight times as long.
            weights: how often each example counts, whole numbers from 1 to 1,000, one for each or one for all; None:
                once. It is the same as teaching it so often. Others are refused: their sums would not be exact.
            teacher: the name of the teacher, for the history.
            progress: called with the number of inputs processed and their total.

        Raises:
            InputError: the inputs cannot be used; nothing was changed.
            LabelError: the labels cannot be used; nothing was changed.
            CapacityError: the sums would no longer be exact; nothing was changed.
            OSError: the disk refused the change; nothing was changed.
        """
        self.learn_examples(inputs, targets, again=again, augment=augment, numbers=numbers, multilabel=multilabel,
                            weights=weights, teacher=teacher, progress=progress)

    def learn_examples(
        self, inputs: Any, targets: Any = None, *, again: bool = True, augment: bool = False,
        numbers: bool | None = None, multilabel: bool | None = None, called: str | None = None,
        weights: int | Sequence[int] | None = None, teacher: str | None = None,
        sources: Sequence[str | None] | None = None, answer: Reply | None = None,
        progress: Progress | None = None,
    ) -> Learned:
        """`learn` that returns the numbers of the examples. Threads that call it at once share one write.

        Args:
            inputs, targets, again, augment, numbers, multilabel, weights, teacher, progress: as for `learn`.
            called: what a number is called, where no column says it; decided by the first examples.
            sources: where each input came from, for the history; None uses the given paths.
            answer: identifies a request that is to be carried out only once; see `Reply`.

        Returns:
            The number of each example, its id; as many for one as it counts.

        Raises:
            as `learn`, and InputError where another request has the same key.
        """
        with self._callers.announced():
            decided = self.bundle is not None
            bundle, examples = self._gather(inputs, targets if isinstance(targets, str) else None)
            if examples.strange is not None:
                raise InputError(examples.strange)
            if bundle.takes == "text":
                check_no_names(examples.items)
            values = None
            if numbers is not None or bundle.targets or not isinstance(targets, str | int) or examples.target:
                values, name = numbers_taught(bundle.targets, self._knowledge.begun, examples, targets, numbers)
                bundle = bundle.with_targets(None) if values is None else for_numbers(
                    self._knowledge, bundle, values, called or name)
            if bundle.multilabel or multilabel or not isinstance(targets, str | int):
                bundle = for_several(self._knowledge, bundle, targets, multilabel)
            named = self._meant(self._named(bundle, examples, targets))
            origins = _sources(examples, sources)
            also = None
            if augment:
                plain, features = augmented(bundle, examples.items, progress)
                kept = rows_of(bundle, plain)
                also = receipts_of(kept if values is None else joined(bundle, kept, values))
            else:
                features = bundle.features(examples.items, progress)
            pictures = self._pictures(bundle, examples, range(len(examples)))
            rows = rows_to_learn(bundle, features, examples)
            rows = rows if values is None else joined(bundle, rows, values)
            lesson = Lesson(bundle, rows, receipts_of(rows), named, origins, pictures, teacher, again, answer,
                            examples.columns, also=also, act=present_act())  # fmt: skip
            try:
                return self._callers.commit(weighted(lesson, weights))
            except InputError:
                chosen = self.bundle
                if decided or chosen is None or chosen.fingerprint == bundle.fingerprint:
                    raise
            # another caller's first examples have set the ranges meanwhile: by those, then
            rows = joined(chosen, rows_to_learn(chosen, chosen.features(examples.items), examples), values)
            lesson = replace(lesson, bundle=chosen, rows=rows, receipts=receipts_of(rows))
            return self._callers.commit(weighted(lesson, weights))

    def _named(self, bundle: Bundle, examples: Examples, targets: Any) -> list[Label]:
        """A label for each example; where numbers are taught, what they are called."""
        if bundle.targets is not None:
            return [next(iter(self.labels), bundle.targets.label)] * len(examples)
        if not bundle.multilabel and isinstance(targets, str | int):
            return examples.labelled(targets, None)
        return labels_given(bundle, examples, targets)

    def learn_not(
        self, inputs: Any, labels: Any, *, teacher: str | None = None, sources: Sequence[str | None] | None = None,
        answer: Reply | None = None,
    ) -> Learned:
        """Learn counterexamples: inputs that do not belong to a label.

        An input more similar to a counterexample of a label than to the label is not answered with it any more. An
        input more similar to it than to every label is unknown, unless the counterexample was taught under another
        label too. `forget_not`, `forget(ids=…)` and `forget(teacher=…)` forget counterexamples exactly; forgetting
        their label forgets them too.

        Args:
            inputs: as for `learn`.
            labels: for each input the label that it does not belong to, or one for all.
            teacher, sources, answer: as for `learn_examples`.

        Returns:
            The number of each counterexample.

        Raises:
            NotTaughtError: a label was never taught.
            InputError, LabelError, OSError: as for `learn`; nothing was changed.
        """
        check_labels_alone(self.bundle, "counterexamples are of labels")
        check_one_label(self.bundle, "which do not hold is said by teaching the input with those that do")
        bundle, examples = self._gather(inputs)
        if bundle.grid is not None:
            raise InputError("A brain of good parts is taught good ones alone: a fault needs no counterexample.")
        named = self._meant(examples.labelled(labels, None))
        rows = rows_to_learn(bundle, bundle.features(examples.items), examples)
        pictures = self._pictures(bundle, examples, range(len(examples)))
        return self._learn_not(Lesson(bundle, rows, counter_receipts_of(rows), named, _sources(examples, sources),
                                      pictures, teacher, True, answer, examples.columns,
                                      act=present_act()))  # fmt: skip

    def predict(
        self, inputs: Any, among: Iterable[Label] | None = None, *, remember: bool = False,
        sources: Sequence[str | None] | None = None, progress: Progress | None = None,
    ) -> Predictions:
        """The best label of each input, or None: "Nothing I know".

        Args:
            inputs: as for `learn`.
            among: the candidate labels; None for all.
            sources: where each input came from, for the inbox; None uses the given paths.
            remember: keep unknown inputs in the inbox; they are written with the next change, or by `save`. A brain
                that answers numbers keeps none: they cannot be named.

        Returns:
            `Predictions`, one for each input: `labels` has None where the input is unknown, `best` the nearest label. A
            brain that was taught numbers answers them in `values` (N, K), and `intervals` (N, K, 2) in which they lie
            with the chance `confidence`.

        A row of a table that lacks a value where none was missing when the columns were first taught is not known; a
        warning (`RangeWarning`) says so, and names the first.

        Raises:
            InputError: the backbone does not accept the inputs.
            LabelError: `among` names a label that was never taught.
        """
        if remember:
            self._ledger.check_open()
        bundle, examples = self._gather(inputs, lacking=True)
        among = among if among is None or isinstance(among, str) else self._meant(among)
        features = bundle.features(examples.items, progress)
        view = self._view
        answers = (self._knowledge.total if view is None else view).predict(features, among)
        if examples.lacking is not None:
            answers = answers.refusing(examples.lacking)
            warnings.warn(RangeWarning(f"Nothing is known of {int(examples.lacking.sum())} rows. "
                                       f"{printable(examples.strange or '')}"), stacklevel=2)
        outside = out_of_range(bundle, features, examples)
        if outside is not None:
            self.out_of_range += outside.rows
            if outside.column not in self._warned:  # Python keeps every different warning as long as it runs
                self._warned.add(outside.column)
                warnings.warn(RangeWarning(printable(outside.words)), stacklevel=2)
        strange = ~answers.known if examples.lacking is None else ~answers.known & ~examples.lacking
        if remember and strange.any() and bundle.targets is None:
            origins = _sources(examples, sources)
            self._remember(bundle, features, examples, origins, np.flatnonzero(strange))
        return answers

    def heat(self, inputs: Any) -> FloatArray:
        """Where pictures are not like the good ones that were taught.

        Args:
            inputs: as for `learn`.

        Returns:
            (N, rows, columns): above 0 where a place is stranger than good ones are, and the picture refused for it.

        Raises:
            InputError: the brain's backbone gives no maps, or does not accept the inputs.
        """
        bundle, examples = self._gather(inputs)
        check_sees_places(bundle)
        view = self.view
        assert isinstance(view, PartsView)
        return view.heat(bundle.features(examples.items))

    def learn_boxes(
        self, picture: Any, boxes: Iterable[Sequence[float]], labels: Any, *, again: bool = True,
        teacher: str | None = None, source: str | None = None,
    ) -> Learned:
        """Learn what is in boxes of a picture: each cut-out is an example like any other picture.

        Args:
            picture: one picture, as for `learn`.
            boxes: left, top, right and bottom of each, in pixels.
            labels: for each box its label, or one for all.
            again, teacher: as for `learn`.
            source: where the picture came from; None for its path, if it is one.

        Returns:
            The number of each example.

        Raises:
            InputError, LabelError, OSError: as for `learn`, and for a box that holds nothing; nothing was changed.
        """
        pixels, places = decode(picture), [Box(*map(float, box)) for box in boxes]
        named = source or (os.fspath(picture) if isinstance(picture, str | os.PathLike) else None)
        sources = None if named is None else [f"{named}#{','.join(f'{at:g}' for at in box)}" for box in places]
        return self.learn_examples([cut_out(pixels, box) for box in places], labels, again=again, teacher=teacher,
                                   sources=sources)

    def locate(self, picture: Any, labels: Sequence[Label] | None = None, *, least: float = LEAST) -> list[Found]:
        """Find what was taught in a picture, and where it is: the surest first.

        Works for a brain of pictures on a network that ends in an average over places, such as `photos`.

        Args:
            picture: one picture, as for `learn`.
            labels: which labels are looked for; None for all.
            least: how much larger the cosine with the label's mean is inside a box than around it, at least. More finds
                less, and is right more often.

        Returns:
            `Found` things, each with label, box in pixels, score, confidence and a coarse mask, and whether the brain
            knows the cut-out alone. One that is nearer to another label is none.

        Raises:
            InputError: the backbone does not see places, or not a picture.
            LabelError: a label that was never taught.
        """
        bundle = self.bundle or default_bundle([picture])
        return located(bundle, self.view, picture, labels, least)

    def keep_unknowns(self) -> None:
        """Write the inbox to disk now.

        Raises:
            EngramError: the brain cannot be changed now, such as when another program writes to it.
            OSError: the disk refused."""
        with self._change():
            self._record_inbox()

    def publish(self) -> None:
        """From now on, predict from a view that is made after each change: predicting never waits for learning."""
        with self._lock:
            self._published = True
            self._show()

    @property
    def view(self) -> HeadView:
        """An immutable snapshot for predicting without waiting: the last published one, else the present state."""
        view = self._view
        if view is None:
            with self._lock:
                view = self._knowledge.total.view()
        return view

    # Correcting

    def forget(
        self, inputs: Any = None, targets: Any = None, *, label: Label | None = None, examples: Any = None,
        labels: Any = None, ids: Iterable[int] | None = None, teacher: str | None = None, every_copy: bool = False,
    ) -> None:
        """Forget a label or single examples permanently: the digest is then that of a brain that never saw them.

        What is forgotten leaves every file of the brain, and no rollback brings it back. What was undone can be
        forgotten like what is known: the log holds it until then. Melding with a brain that
        still holds a forgotten label does not bring it back; if it holds forgotten examples, melding is refused.

        Args:
            inputs, examples: the examples, as they were taught; pictures with or without their further views.
            targets, labels: the labels under which they were taught, or the numbers; None if each was taught under one
                only.
            label: forget this label with all its examples.
            ids: forget the examples with these numbers.
            teacher: forget every example that this teacher taught to this brain.
            every_copy: forget an example as often as it was taught, not once.

        Raises:
            NotTaughtError: an example was never taught, or less often. Nothing was changed.
            InputError: not exactly one of label, examples, ids and teacher is given.
            TracesError: it is forgotten, but a file still contains it; see `traces`.
        """
        inputs, targets = (inputs if examples is None else examples), (targets if labels is None else labels)
        if sum(one is not None for one in (inputs, label, ids, teacher)) != 1:
            raise InputError("Pass exactly one of label, examples, ids and teacher.")
        rows, sources = None, None
        if inputs is not None:
            bundle, found = self._gather(inputs)
            if bundle.targets is not None:
                rows, targets, sources = self._numbers_held(bundle, found, targets), None, found.sources
            else:
                named = targets is not None or found.labels is not None
                targets = self._meant(labels_given(bundle, found, targets)) if named else None
                rows, sources = self._rows_held(bundle, found, targets), found.sources
        with self._change():
            known, ledger = self._knowledge, self._ledger
            if label is not None:
                for kept in kept_with(known, self._meant([label])[0]):
                    self._carry_out(forget.prepare_label(self._knowledge, ledger, kept))
            elif rows is not None:
                if every_copy:
                    rows, targets = forget.every_copy(known, ledger, rows, targets, sources)
                self._carry_out(forget.prepare_examples(known, ledger, rows, targets))
            elif teacher is not None:
                self._carry_out(forget.prepare_teacher(known, ledger, teacher))
            else:
                self._carry_out(forget.prepare_ids(known, ledger, ids or ()))

    def forget_not(self, inputs: Any, labels: Any) -> None:
        """Forget counterexamples permanently: the digest is then that of a brain that never saw them.

        Args:
            inputs: as they were taught.
            labels: the label that each is a counterexample of, or one for all.

        Raises:
            NotTaughtError: one was never taught to this brain as a counterexample of its label, or less often.
                Nothing was changed.
        """
        bundle, found = self._gather(inputs)
        rows = rows_of(bundle, bundle.features(found.items))
        named = self._meant(found.labelled(labels, None))
        with self._change():
            self._carry_out(forget.prepare_counterexamples(self._knowledge, self._ledger, rows, named))

    def rename(self, old: Label, new: Label) -> None:
        """Rename a label, here and in everything that is melded later.

        Raises:
            NotTaughtError: `old` was never taught.
            LabelError: `new` exists already, is empty, or is of the other type.
        """
        with self._change():
            (old,) = self._meant([old])
            if not self._several:
                self._carry_out(rename.prepare(self._knowledge, old, new))
                return
            if new in self.labels:
                raise LabelError(f"{new!r} exists already: forget it first, or choose another name.")
            with acting(None, present_act() or uuid4().hex):
                for kept in kept_with(self._knowledge, old):
                    self._carry_out(rename.prepare(self._knowledge, kept, called_otherwise(kept, old, new)))

    def relabel(self, ids: Iterable[int], label: Label | Sequence[Label]) -> None:
        """Correct the label of examples.

        Args:
            ids: the numbers of the examples.
            label: the right label, or the right labels, where an input may have several.

        Raises:
            NotTaughtError: there is no such example, or it was forgotten or rolled back.
            LabelError: a label of another type, or an empty one.
            InputError: the brain is in memory only, or another device taught them; or it answers numbers.
        """
        check_labels_alone(self.bundle, "forget the example, and teach it with the right number")
        with self._change():
            events, old = History(self._ledger).live(list(dict.fromkeys(ids)))
            (label,) = self._meant([label_given(self.bundle, label)])
            self._carry_out(*relabel.prepare(self._knowledge, events, old, label))

    def set_alpha(self, alpha: float, label: Label | None = None) -> None:
        """Set the share of known inputs that may be refused; `error_rates` estimates both errors for it.

        The change is in the history and can be undone. Melding does not carry it to other brains.

        Args:
            alpha: between 0 and 1.
            label: apply it only to inputs most similar to this label; None for all labels without their own alpha.

        Raises:
            InputError: alpha is not between 0 and 1.
            NotTaughtError: the label was never taught.
        """
        share = as_alpha(alpha)
        if label is not None:
            check_one_label(self.bundle, "alpha is the same for all of them")
        with self._change():
            name = None if label is None else self._meant([label])[0]
            self._carry_out(*setting_alpha.prepare(self._knowledge, share, name))

    def consolidate(self) -> Consolidation:
        """Merge redundant examples into weighted prototypes and keep outliers. Sums and digest do not change."""
        with self._change():
            return self._consolidate(None)

    # Melding

    def meld(self, *others: Any, strict: bool = False) -> MeldReport:
        """Take over what other brains with the same backbone know: the result equals having learned it all here.

        Each device counts once, with its latest contribution: melding twice changes nothing.

        Args:
            others: brains; they are not changed.
            strict: refuse if labels conflict, instead of melding by name and reporting the conflicts.

        Raises:
            MeldError: another backbone, labels of another type, conflicts with `strict`, or a brain that holds what
                was forgotten elsewhere. Nothing was changed.
        """
        _check_meldable([self, *others])
        parts = [other._parts() for other in others]
        brains = [self, *others]
        bundle = next((brain.bundle for brain in brains if brain.bundle), None)
        covariance = None if bundle is None or bundle.covariance is None else bundle.covariance / bundle.step**2
        named = bundle is None or (bundle.targets is None and not bundle.multilabel)
        conflicts = all_conflicts([(brain.device, brain._classes()) for brain in brains], covariance) if named else []
        if strict and conflicts:
            raise MeldError("Labels conflict: " + "; ".join(map(str, conflicts)) + ". Rename or forget one, then meld.")
        with self._change():
            bundle = next((brain.bundle for brain in brains if brain.bundle), None)
            if bundle is None:
                return MeldReport()
            columns = next((brain.columns for brain in brains if brain.columns), None)
            first = begin.adopting(self._knowledge, self._ledger, bundle)
            first += begin.naming(self._knowledge, columns)
            standing = self._knowledge.standing_on(bundle)
            united = melding.unite(standing, parts)
            if united.news_to(standing):
                waiting = [unknown.key for unknown in self.unknowns]
                prepared = melding.prepare(standing, self._ledger, united, self._next(first) + 1, waiting)
                self._carry_out(*first, prepared)
            notes = tuple(note.said for note in united.notes)
            return MeldReport(united.added, united.changed, notes, tuple(conflicts))

    def fork(self) -> None:
        """Take a new device id. Call it on a copy of a brain before teaching both, so that they can be melded later."""
        with self._change():
            self._carry_out(begin.forking())

    # The past

    def history(self, before: int | None = None, limit: int = 100) -> list[HistoryEntry]:
        """The changes to the brain, newest first; examples taught by one call are one entry.

        Args:
            before: only changes before this event; None for all.
            limit: the largest number of entries.

        Raises:
            InputError: the brain is in memory only.
        """
        return self._past().entries(before, limit)

    def last_change(self, act: str | None = None) -> HistoryEntry | None:
        """The change that `undo` would undo; None if there is none.

        Args:
            act: as for `undo`.

        Raises:
            InputError: the brain is in memory only.
        """
        with self._lock:
            history = self._past()
            events = history.last_act() if act is None else history.act(act)
            return history.entry(events) if events else None

    def rollback(self, to: int | datetime) -> int:
        """Return to an earlier state. Later changes stay in the history, and the rollback itself can be undone.

        Args:
            to: the number of an event, or a time: the state after the last event before it.

        Returns:
            The number of the event to which the brain returned.

        Raises:
            InputError: there is no such event or time, or something was forgotten since.
        """
        with self._change():
            history = self._past()
            seq = to if isinstance(to, int) else history.seq_at(to)
            history.timeline.check_reachable(seq)
            self._return_to(seq, undoing=False)
            return seq

    def undo(self, act: str | None = None) -> HistoryEntry:
        """Undo the last change and return it; call it again for the change before.

        What one call taught is undone whole; so is what many calls taught under one id of an act
        (`with acting(name, act)`), even if others taught between: what they taught stays. A rollback can be undone, an
        undo cannot: the next undo goes further back. Consolidations do not change what is known, so undo passes over
        them. Undoing `name` puts the unknown inputs back into the inbox.

        Args:
            act: the id of an act: undo that one, also where others taught since. None for the last change.

        A brain in memory undoes what it was taught last, back to its last change of another kind.

        Raises:
            InputError: there is nothing to undo, or something was forgotten since; or what came after the act, such
                as a rename, has to be undone first.
        """
        with self._change():
            if self._ledger.ways is not None:
                return self._take_back(self._ledger.ways, act)
            history = self._past()
            events = history.last_act() if act is None else history.act(act)
            if not events:
                raise InputError("There is nothing to undo." if act is None else "There is nothing of this act to undo:"
                                 " it was undone already, or taught nothing.")
            entry = history.entry(events)
            self._return_to(*history.way_back(events), undoing=True)
            return entry

    def seq_at(self, moment: datetime) -> int:
        """The number of the last event up to a time.

        Raises:
            InputError: the brain was created later."""
        return self._past().seq_at(moment)

    def at(self, seq: int) -> Self:
        """A copy in memory of the brain as it was after event `seq`, for predicting.

        Raises:
            InputError: there is no such event, or something was forgotten since.
        """
        with self._lock:
            self._past().timeline.check_reachable(seq)
            brain = type(self)(**self._knowledge.options)
            brain._knowledge, brain.seq = self._ledger.recover(seq), seq
            return brain

    def diff(self, one: int, two: int | None = None) -> dict[Label, tuple[int, int]]:
        """The labels whose number of examples differs between two events.

        Returns:
            label -> (number after `one`, number after `two`).

        Args:
            one, two: the numbers of two events; None for the present.
        """
        with self._lock:
            before, after = (self.counts(one), self.counts(two))
        labels = dict.fromkeys([*before, *after])
        pairs = {label: (before.get(label, 0), after.get(label, 0)) for label in labels}
        return {label: pair for label, pair in pairs.items() if pair[0] != pair[1]}

    def counts(self, seq: int | None = None) -> dict[Label, int]:
        """The number of examples of each label after event `seq`; None for the present."""
        with self._lock:
            known = (self if seq in (None, self.seq) else self.at(seq or 0))._knowledge
            return counted(known.bundle, known.total.counts)

    def examples(
        self, label: Label | None = None, after: int = 0, limit: int = 100, *, teacher: str | None = None
    ) -> list[Example]:
        """The examples taught to this brain that it still holds, oldest first.

        Args:
            label: only those that have this label now; None for all.
            after: only those with a larger number.
            limit: the largest number of examples.
            teacher: only those that this teacher taught; None for all.
        """
        with self._lock:
            past = self._past()
            if label is None:
                return past.examples(None, after, limit, teacher)
            kept = kept_with(self._knowledge, self._meant([label])[0])
            found = [one for name in kept for one in past.examples(name, after, limit, teacher)]
            return sorted(found, key=lambda one: one.id)[:limit]

    def newest(self, each: int = 3, among: int = 2_000, *, teacher: str | None = None) -> dict[Label, list[int]]:
        """The numbers of the newest examples of each label, newest first.

        Args:
            each: the largest number of examples per label.
            among: how many of the last events are searched.
            teacher: only those that this teacher taught; None for all.
        """
        with self._lock:
            found = self._past().newest(each, self.seq - among, teacher)
        if not self._several:
            return found
        return {label: sorted((id for kept, ids in found.items() if label in single(self.bundle, (kept,))
                               for id in ids), reverse=True)[:each] for label in single(self.bundle, tuple(found))}

    def taught_by_others(self, teacher: str, *, ids: Iterable[int] = (), label: Label | None = None) -> int:
        """How many of these examples and counterexamples were not taught by `teacher`, here or on another device.

        What was undone counts where nothing known has the label, since it can be forgotten.

        Args:
            ids: numbers of examples.
            label: all examples that have this label now.

        Raises:
            NotTaughtError: there is no example with such a number, or it was forgotten.
            InputError: the brain is in memory only.
        """
        with self._lock:
            if label is None:
                others, own = self._past().taught_by(teacher, ids, None)
                return others - own
            total, past, found = self._knowledge.total, self._past(), 0
            for kept in kept_with(self._knowledge, self._meant([label])[0]):
                others, own = past.taught_by(teacher, ids, kept)
                found += others + total.counts.get(kept, 0) + total.counterexamples.get(kept, 0) - own
            return found

    def thumbnail(self, example: int) -> bytes | None:
        """A small picture of an example, JPEG, or None."""
        self._ledger.check_open()
        picture: bytes | None = self._ledger.log.thumbnail(example)
        return picture

    def export(self, file: str | os.PathLike[str] | IO[str], progress: Progress | None = None) -> Header:
        """Write the examples taught to this brain as JSON lines; see `engram.brain.exported`.

        Args:
            file: a path, written as a whole or not at all, or a file opened for writing text.
            progress: called with the number of examples written and their total.

        Raises:
            InputError: the brain is in memory only, or has not been taught yet.
            EngramError: something was forgotten during the export.
            OSError: the file cannot be written.
        """
        with exchange.written_events(file) as out:
            lines = self.export_lines(progress)
            out.writelines(lines)
            return lines.header

    def export_lines(self, progress: Progress | None = None) -> exchange.Lines:
        """`export` as an iterator of lines. The brain can be taught meanwhile.

        Raises:
            InputError, EngramError: as for `export`, some while iterating.
        """
        with self._lock:
            return exchange.Lines(self._ledger, self._knowledge, self.seq, progress)

    def import_events(
        self, file: str | os.PathLike[str] | IO[Any], progress: Progress | None = None, *, bundle: Any = None
    ) -> exchange.Imported:
        """Learn the examples in a file from `export`, with their time, teacher and source; 4,096 per commit.

        Examples that the brain holds already are skipped, so an interrupted import can be repeated.

        Args:
            file: a path, or a file opened for reading.
            progress: called with the number of examples read and their total.
            bundle: for a brain without a backbone, a bundle or the name of one; None finds it by its name in the file.

        Raises:
            InputError: another kind of file, a damaged one (the message names the line), or another backbone. Examples
                before that line may have been learned, none after it.
            LabelError, CapacityError, OSError: as for `learn`.
        """
        with exchange.opened_events(file) as lines:
            reader, seen, act = Reader(lines), Receipts(), present_act() or uuid4().hex
            header = reader.header
            stands_on = exchange.importable(self._knowledge, header, bundle)
            taught = known = forgotten = read = 0
            for portion in exchange.portions(reader):
                learned, gone = self._import(portion, stands_on, header, seen, act)
                read += len(portion)
                taught, known, forgotten = taught + learned, known + len(portion) - gone - learned, forgotten + gone
                if progress is not None:
                    progress(read, header.examples)
            return exchange.Imported(taught, known, forgotten, header)

    # What is known

    @property
    def exact(self) -> bool:
        """Whether batching, order, melding and forgetting are exact: always, unless there is a gate."""
        return self._knowledge.options["gate"] is None

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels, in the order in which they were first taught."""
        return single(self.bundle, self._knowledge.total.labels)

    @property
    def total(self) -> int:
        """The number of examples that are known, whatever their labels."""
        return self._knowledge.total.sums.total

    @property
    def _several(self) -> bool:
        """Whether an input may have several labels."""
        return self.bundle is not None and self.bundle.multilabel

    @property
    def counterexamples(self) -> dict[Label, int]:
        """The number of counterexamples of each label that has some; see `Brain.learn_not`."""
        return self._knowledge.total.counterexamples

    @property
    def bundle(self) -> Bundle | None:
        """The backbone with its statistics; None until the first inputs choose it."""
        return self._knowledge.bundle

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the columns of the taught vectors, in order; None if they have no names."""
        return self._knowledge.columns

    @property
    def options(self) -> dict[str, Any]:
        """Gate, alpha and memory budget, as they are now."""
        made = self._knowledge.options
        return {"gate": made["gate"], "alpha": self.alpha, "memory_budget": made["memory_budget"]}

    @property
    def alpha(self) -> float:
        """The share of known inputs that may be refused, except for labels with their own alpha."""
        return self._knowledge.total.alpha

    @property
    def alphas(self) -> dict[Label, float]:
        """The labels with their own alpha, and its value."""
        return {label: share for label, share in self._knowledge.alphas.items() if label in self.labels}

    @property
    def device(self) -> str:
        """The id of this brain for melding."""
        return self._knowledge.own.device

    @property
    def epoch(self) -> int:
        """The number of changes of this brain's own knowledge: its version for melding."""
        return self._knowledge.own.epoch

    @property
    def edicts(self) -> tuple[Tombstone, ...]:
        """The tombstones: forgets and renames that apply to everything that is melded."""
        return tuple(self._knowledge.tombstones.values())

    def slots(self) -> list[Slot]:
        """The contribution of every device, including this one; do not change it."""
        with self._lock:
            return [slot for slot in self._knowledge.all() if slot.epoch]

    def exact_sums(self) -> ExactSums:
        """A copy of the sums, classes in the order of `labels`."""
        with self._lock:
            return self._knowledge.total.exact_sums()

    def digest(self) -> str:
        """SHA-256 of the exact sums and any counterexamples: equal if and only if two brains hold the same under the
        same labels.
        """
        return self._knowledge.total.digest()

    def sums_digest(self) -> str:
        """SHA-256 of the exact sums alone: `digest` where there are no counterexamples."""
        return self._knowledge.total.sums_digest()

    def rebuild(self) -> None:
        """Derive the read-out anew from the sums."""
        self._knowledge.total.rebuild()

    def left_out(self) -> LeftOut:
        """Predictions for the examples that calibrate the head, each as if it had not been taught."""
        with self._lock:
            return self._knowledge.total.left_out()

    def error_rates(self, alphas: Iterable[float] = ALPHAS) -> list[ErrorRates]:
        """The two expected error rates for each alpha, see `info`; an empty list if nothing was taught.

        `accepted` is NaN while there are fewer than five labels: the estimate would not be reliable.
        """
        with self._lock:
            total = self._knowledge.total
            return reliable(total.error_rates(alphas), len(total.labels))

    def memory_map(self, like: Sequence[MapPoint] = ()) -> list[MapPoint]:
        """Classes, prototypes and the inbox as points in a plane, oldest first; aligned with an earlier map, `like`."""
        with self._lock:
            if self.bundle is not None and self.bundle.targets is not None:
                return []  # there are no classes
            unknowns = [unknown.features for unknown in self.unknowns]
            return memory_map(self._knowledge.total, np.stack(unknowns) if unknowns else None, like=like)

    def info(self) -> dict[str, Any]:
        """Labels, settings and error rates as JSON values; `errors` states the two error rates in words."""
        with self._lock:
            bundle, total = self.bundle, self._knowledge.total
            rates = self.error_rates([self.alpha])
            vectors = bundle is not None and bundle.takes == "vectors"
            return {
                "labels": [{"label": label, "examples": n} for label, n in counted(bundle, total.counts).items()],
                "multilabel": self._several,
                "examples": total.sums.total,
                "counterexamples": [{"label": label, "examples": n} for label, n in total.counterexamples.items()],
                "digest": self.digest(),
                "backbone": bundle and bundle.name,
                "takes": bundle and bundle.takes,
                "width": bundle and bundle.width,
                "columns": self.columns and list(self.columns),
                "out_of_range": self.out_of_range,
                "numbers": numbers_info(total),
                "zero_columns": self._knowledge.zero_columns() if vectors else [],
                "fingerprint": bundle and bundle.fingerprint,
                "device": self.device,
                "devices": describe_slots(self._knowledge.all()),
                "seq": self.seq,
                "unknowns": len(self.unknowns),
                "edicts": len(self._knowledge.tombstones),
                "memory_bytes": self.memory_bytes,
                **self.options,
                "alphas": [{"label": label, "alpha": share} for label, share in self.alphas.items()],
                "refused": rates[0].refused if rates else None,
                "accepted": accepted(rates[0]) if rates else None,
                "accepted_between": between(rates[0]) if rates else None,
                "accepted_needs": None if self.sees_places else needed(len(total.labels)),
                "errors": self._errors_in_words(rates),
            }

    def _errors_in_words(self, rates: Sequence[ErrorRates]) -> str | None:
        if not rates:
            return None
        if self.bundle is not None and (self.bundle.targets is not None or self._several):
            return f"{percent(rates[0].alpha)} of the inputs that are like those taught will be refused."
        if self.sees_places:
            return good_parts_in_words(rates[0], self.alphas, self._knowledge.total.counts)
        return in_words(rates[0], self.alphas, len(self.labels))

    @property
    def memory_bytes(self) -> int:
        """Bytes in memory that the taught examples take."""
        with self._lock:
            beside = self._knowledge.own.receipts.nbytes + self.unknowns.nbytes + self._ways_bytes
            return sum(head.memory_bytes for head in self._knowledge.heads()) + beside

    @property
    def memory_limit(self) -> int:
        """Upper limit of `memory_bytes`: the head's limit, and 16 to 28 bytes for the receipt of each example."""
        with self._lock:
            beside = overhead_bytes(self._knowledge, self.unknowns, self.seq) + self._ways_bytes
            return sum(head.memory_limit for head in self._knowledge.heads()) + beside

    @property
    def _ways_bytes(self) -> int:
        return 0 if self._ledger.ways is None else self._ledger.ways.nbytes

    def holds(self, inputs: Any, targets: Any = None) -> list[int]:
        """How often the brain holds each example, under its label or, without `targets`, any; an int per input."""
        bundle, examples = self._gather(inputs)
        if bundle.targets is not None:
            held = receipts_of(self._numbers_held(bundle, examples, targets))
            with self._lock:
                return self._knowledge.held(held, [None] * len(held))
        named = None if targets is None else self._meant(labels_given(bundle, examples, targets))
        receipts = receipts_of(self._rows_held(bundle, examples, named))
        with self._lock:
            return self._knowledge.held(receipts, named or [None] * len(receipts))

    def quantised(self, inputs: Any) -> FloatArray:
        """The integers that are added to the sums when these inputs are learned, (N, D).

        Raises:
            InputError: the backbone does not accept the inputs.
        """
        bundle, examples = self._gather(inputs)
        return rows_of(bundle, bundle.features(examples.items)).astype(np.float64)

    def audit(self, limit: int = 100, *, teacher: str | None = None) -> Findings:
        """Find likely wrong labels, near-duplicates, and labels that need more examples.

        Each example is predicted as if it had not been taught. Nothing is changed; use `relabel` and `forget(ids=…)`.

        Args:
            limit: the largest number of suspects, and of groups of near-duplicates.
            teacher: list only examples that this teacher taught; None for all. The counts cover all.

        Raises:
            InputError: the limit is below 1.
        """
        check_labels_alone(self.bundle, "an audit looks for wrong labels")
        check_one_label(self.bundle, "an audit looks for examples whose one label is wrong")
        if limit < 1:
            raise InputError(f"limit must be 1 or more, not {limit!r}.")
        self.check_sees_wholes("The audit")
        with self._lock:
            total, ledger = self._knowledge.total, self._ledger
        return examined(total, ledger, self._lock, limit, teacher)

    def why(self, inputs: Any, nearest: int = 5) -> list[Reason]:
        """The taught examples most similar to each input, and the share of each label in its answer.

        Args:
            inputs: as for `learn`.
            nearest: the number of examples per input.

        Raises:
            InputError: the backbone does not accept the inputs, nothing was taught yet, or `nearest` is below 1.
        """
        check_labels_alone(self.bundle, "`why` tells the shares of labels")
        check_one_label(self.bundle, "`why` tells the shares of labels of which one holds")
        if nearest < 1:
            raise InputError(f"nearest must be 1 or more, not {nearest!r}.")
        self.check_sees_wholes("`why`")
        bundle, examples = self._gather(inputs)
        features = bundle.features(examples.items)
        with self._lock:
            total, history = self._knowledge.total, History(self._ledger)
            found = nearest_examples(total, features, nearest)
            return [reason(*one, history) for one in zip(total.predict(features), found, strict=True)]

    # The inbox of unknowns

    def unknown_groups(self) -> list[Group]:
        """The unknown inputs in the inbox, grouped by similarity, the largest group first."""
        with self._lock:
            kept, bundle = list(self.unknowns), self.bundle
            if not kept or bundle is None:
                return []
            total, features = self._knowledge.total, np.stack([unknown.features for unknown in kept])
            return self.unknowns.groups(likeness(total, bundle, features), alike(total, bundle), kept)

    def unknown_thumbnail(self, number: int) -> bytes | None:
        """A small picture of an unknown input in the inbox, as JPEG, or None."""
        return next((one.thumbnail for one in self.unknowns if one.number == number), None)

    def name(self, group: int, label: Label | Sequence[Label], *, teacher: str | None = None) -> int:
        """Learn a group of unknown inputs under a label; return how many there were.

        A brain of good parts learns them as good ones of a product: name false alarms alone, and leave faults unknown.

        Raises:
            NotTaughtError: there is no group with that number.
            LabelError: the label cannot be used; to a brain of good parts, it was never taught.
        """
        with self._change():
            (named,) = self._meant(as_labels(label_given(self.bundle, label), 1, self._knowledge.like))
            self._check_product(named)
            groups = {found.number: found for found in self.unknown_groups()}
            if group not in groups:
                raise NotTaughtError(f"There is no group {group} of unknown inputs. Groups: {sorted(groups)}.")
            members = self.unknowns.take(groups[group].members)
            assert self.bundle is not None
            features, backbone = np.stack([member.features for member in members]), self.bundle.backbone
            given = backbone.readings(features.astype(np.float64)) if isinstance(backbone, VectorBackbone) else features
            rows = rows_to_learn(self.bundle, features, Examples(given, [one.source for one in members], None,
                                                                 self.columns))
            labels: list[Label] = [named] * len(members)
            sources, pictures = [one.source for one in members], [one.thumbnail for one in members]
            lesson = Lesson(self.bundle, rows, receipts_of(rows), labels, sources, pictures, teacher,
                            act=present_act())  # fmt: skip
            self._learn_now(lesson)
            return len(members)

    def _check_product(self, label: Label) -> None:
        """Raises LabelError where unknown pictures would be learned as good ones of a product that was never taught."""
        if self.sees_places and label not in self.labels:
            raise LabelError(f"{label!r} is none of the products whose good pictures this brain was taught: "
                             f"{few(list(map(str, self.labels))) or 'none yet'}. Naming unknown pictures teaches them "
                             "as good ones: name those alone that were refused by mistake, by their product's label, "
                             "and leave faults unknown. A new product is taught with its good pictures: "
                             "brain.learn(GOOD, LABEL), or engram teach BRAIN GOOD --label LABEL.")

    # How a change is made

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Hold the brain, and its folder, for a change."""
        with self._lock:
            self._begin()
            before = self.seq
            try:
                yield
            except BaseException:  # out of memory, say, or a key pressed
                self._ledger.astray |= self.seq != before
                raise
            finally:
                self.settled = self.seq

    def _begin(self) -> None:
        """Make sure that what is known is what is on record, and that more may be recorded."""
        self._ledger.check_open()
        if self._ledger.outdated(self.seq):
            self._reopen()
        taking_over = not self._ledger.held
        if taking_over:
            if self._ledger.hold(self.seq):
                self._reload()
            else:
                self.unknowns = self._ledger.inbox(self.unknowns)  # which may have been filled without an event
        if taking_over or self._ledger.unswept:
            self._finish_sweeping()

    def _carry_out(self, *prepared: Prepared) -> tuple[list[range], Any]:
        """Record what was prepared, apply it, and let it be seen: the one way in which what is known changes.

        Returns:
            For each change recorded, the numbers of its events; and what the last one applied has to say.

        Raises:
            OSError, EngramError: the disk refused; nothing was changed.
            TracesError: it is forgotten, but may still be found in a file.
        """
        whole = [*self._opening(), *prepared] if prepared else []
        leaving = self._taken_out(whole)  # of the inbox, by the same commit
        back, beyond = self.unknowns.put_back([unknown for one in whole for unknown in one.back])
        try:
            changes = [change for one in whole for change in one.changes]
            numbers = self._ledger.record(changes, self.unknowns, self.seq) if whole else []
        except BaseException:
            self.unknowns.discard(unknown.key for unknown in back)
            self.unknowns.keep([*leaving, *beyond])
            raise
        self.seq = max((span.stop - 1 for span in numbers if span), default=self.seq)
        result, values = None, 0
        for one in whole:
            self._knowledge = self._knowledge if one.onto is None else one.onto
            result = apply(self._knowledge, one.item, one.referred)
            values += one.item.rows.size if isinstance(one.item, Taught) else 0
        self._show()
        self._note(whole, numbers, leaving)
        self._ledger.grown(self._knowledge, self.seq, values)
        if any(one.forgets for one in whole):
            self._sweep()
        return numbers[len(whole) - len(prepared) :], result

    def _opening(self) -> list[Prepared]:
        return [begin.opening()] if self._ledger.opening(self._knowledge.own) else []

    def _next(self, first: Sequence[Prepared]) -> int:
        """The number of the event that will follow these, if they are recorded now."""
        return self.seq + len(self._opening()) + len(first) + 1

    def _taken_out(self, whole: Sequence[Prepared]) -> list[Unknown]:
        """The unknowns that leave the inbox with these changes; they are taken out."""
        keys = [unknown.key for unknown in self.unknowns]
        if not keys:
            return []
        gone = {label for prepared in whole for label in prepared.gone}
        held = {key for label in gone for key, count in
                zip(keys, self._knowledge.held(keys, [label] * len(keys)), strict=True) if count}
        held |= {key for label in gone for key in receipts_of(self._knowledge.total.rows_not(label))}
        held |= {unknown.key for label in gone for unknown in self.unknowns if in_folder(unknown.source, str(label))}
        return self.unknowns.discard(held.union(*(prepared.keys for prepared in whole)))

    def _show(self) -> None:
        """Let those who ask see what is known now."""
        if self._published:
            self._view = self._knowledge.total.view()

    def _sweep(self) -> None:
        """What was forgotten is off the record; now it leaves all that was made of it."""
        try:
            self._ledger.sweep(self._knowledge, self.seq)
        except OSError as error:  # the next change begins by finishing this
            raise TracesError(
                f"It is forgotten, but traces remain in {self._ledger.path}: {error.strerror or error}. They "
                "go with the next change, or when it is opened again, once that allows it."
            ) from error

    def _finish_sweeping(self) -> None:
        """Finish what a crash, the disk or another program's reader kept from being finished; what remains is told."""
        ledger, known = self._ledger, self._knowledge
        try:
            told = names_told(ledger, known)
            if told is not None:
                change, names = told
                ledger.record([change], self.unknowns, self.seq)
                known.end(names.ends, names.hidden)  # nothing that is known changes, but what tombstones tell of it
            ledger.finish_sweeping(known, self.seq, renamed=told is not None)
        except OSError as error:
            ledger.unswept = True
            logging.getLogger("engram").warning("Traces of what was forgotten remain: %s", error)

    def _record_inbox(self) -> None:
        if any(self.unknowns.unsaved()):
            self._ledger.record([], self.unknowns, self.seq)

    def _reload(self) -> None:
        """Know what is on record."""
        ledger = self._ledger
        last = ledger.log.last
        self._knowledge = ledger.recover(last)
        ledger.begin(self._knowledge)
        self.unknowns = ledger.inbox(self.unknowns)
        self.seq = self.settled = last
        self._show()

    def _reopen(self) -> None:
        """Read the folder anew, as another program left it, or a disk that failed; it is not held any more."""
        self._ledger = self._ledger.reopened()
        self._reload()

    # What single changes need of it

    def _learn_together(self, lessons: Sequence[Lesson]) -> list[Learned | BaseException]:
        """Learn all lessons that can be, in one commit; for each what became of it, or why not."""
        keys = [lesson.answer.key for lesson in lessons if lesson.answer]
        alone = not self.exact  # what one teaches decides what the next may skip
        if len(lessons) > 1 and (alone or len(set(keys)) < len(keys)):
            return [outcome for lesson in lessons for outcome in self._learn_together([lesson])]
        with self._change():
            accepted, outcomes = teach.judged(self._knowledge, self._ledger, lessons)
            learned = iter(self._learn_accepted(accepted) if accepted else ())
            return [next(learned) if outcome is None else outcome for outcome in outcomes]

    def _learn_accepted(self, lessons: Sequence[Lesson]) -> list[Learned]:
        waiting = {unknown.key: unknown.number for unknown in self.unknowns}
        lessons = [replace(lesson, unknowns=waiting) for lesson in lessons] if waiting else lessons
        prepared = teach.prepare(self._knowledge, self._ledger, lessons, self.seq)
        numbers, _ = self._carry_out(*prepared)
        taught = prepared[-1].item
        assert isinstance(taught, Taught)
        self._tidy(taught.labels)
        return [
            Learned(tuple(ids), self.seq, len(lesson.rows) - len(ids))
            for lesson, ids in zip(lessons, numbers[-len(lessons) :], strict=True)
        ]

    def _learn_now(self, lesson: Lesson) -> Learned:
        """Learn one lesson of a brain that is held. Raises what `learn` does."""
        (learned,) = self._learn_together([lesson])
        if isinstance(learned, BaseException):
            raise learned
        return learned

    def _learn_not(self, lesson: Lesson) -> Learned:
        with self._change():
            earlier = teach.answered(self._ledger, lesson.answer)
            if earlier is not None:
                return earlier
            (ids,), _ = self._carry_out(teach.prepare_not(self._knowledge, lesson, self.seq))
            return Learned(tuple(ids), self.seq, 0)

    def _import(
        self, portion: Sequence[Any], bundle: Bundle, header: Header, seen: Receipts, act: str
    ) -> tuple[int, int]:
        """Learn what is new of a portion of a file; how many that were, and how many were forgotten here."""
        examples, against = ([one for one in portion if one.against == kind] for kind in (False, True))
        learned = left_out = 0
        with self._change():
            decided = exchange.Decided(self._ledger, self._knowledge.tombstones)
            if examples:
                chosen, left_out = exchange.new_examples(self._knowledge, decided, examples, seen)
                if chosen:
                    lesson = exchange.lesson_of(bundle, chosen, act, header.columns)
                    learned = len(chosen) - self._learn_now(lesson).skipped
            if against:
                chosen, gone = exchange.new_counterexamples(self._knowledge, decided, against)
                if chosen:
                    self._learn_not(exchange.lesson_of(bundle, chosen, act))
                learned, left_out = learned + len(chosen), left_out + gone
        return learned, left_out

    def _tidy(self, learned: Sequence[Label]) -> None:
        """These were learned: do what has fallen due. What fails is left for later: nothing depends on it."""
        try:
            due = self._ledger.grown_labels(self._knowledge, learned)
            if due:
                self._consolidate(due)
            keep = self._ledger.beyond(self._knowledge, self.seq)
            if keep:
                self._carry_out(checkpoint.prepare(self._ledger, keep))
        except (OSError, EngramError) as error:
            logging.getLogger("engram").warning("The memory could not be tidied: %s", error)

    def _consolidate(self, labels: list[Label] | None) -> Consolidation:
        _, report = self._carry_out(consolidate.prepare(labels))
        for label in list(self._ledger.loose) if labels is None else labels:
            del self._ledger.loose[label]
        done: Consolidation = report
        return done

    def _return_to(self, seq: int, without: Sequence[range] = (), *, undoing: bool) -> None:
        """Record and take up the state after event `seq`; or, where events are given, the present one without these."""
        history, upto = self._past(), None if without else seq
        then = self._ledger.recover(upto, without=without)
        left = history.timeline.in_force(upto).without(without)
        prepared = rollback.prepare(self._knowledge, then, seq, undoing=undoing, without=without)
        prepared.back = [self._unknown_again(event) for event in history.named_since(left)]
        prepared.keys = history.known_by(left, [unknown.key for unknown in self.unknowns])
        self._carry_out(prepared)
        with spared():
            self._ledger.snapshot(self._knowledge, self.seq)

    def _note(self, whole: Sequence[Prepared], numbers: Sequence[range], leaving: Sequence[Unknown]) -> None:
        """Keep the way back of changes that were made, where no log tells it; `leaving` left the inbox with them."""
        ways = self._ledger.ways
        if ways is None:
            return
        spans = iter(numbers)
        for prepared in whole:
            for change in prepared.changes:
                span, drafts = next(spans), change.events
                if isinstance(drafts, teach.Drafts) and len(drafts):
                    asked = set(drafts.lesson.receipts)
                    back = tuple(one for one in leaving if one.key in asked)
                    ways.add(Way(drafts.taught(span), drafts.lesson.act, drafts.lesson.teacher, back))
                elif not isinstance(drafts, teach.Drafts) and prepared.item.kind not in PASSED_OVER:
                    ways.end()

    def _take_back(self, ways: WaysBack, act: str | None) -> HistoryEntry:
        """Undo lessons of a brain in memory."""
        lessons = ways.act(act)
        undone = entry_of(lessons)
        prepared = rollback.prepare_lessons(self._knowledge, [way.taught for way in lessons], undone.first - 1)
        prepared.back = [unknown for way in lessons for unknown in way.back]
        self._carry_out(prepared)
        ways.drop(lessons)
        return undone

    def _unknown_again(self, event: Event) -> Unknown:
        """An example that waited in the inbox when it was taught, as an unknown: its features to half a step."""
        bundle, body = self.bundle, event.body or {}
        assert bundle is not None
        features = (bundle.mean + bundle.step * rows_in([event])).astype(np.float32)
        (key,) = receipts_of(rows_of(bundle, features))
        picture = self._ledger.log.thumbnail(event.seq)
        return Unknown(int(body["unknown"]), features[0], key, event.source, picture)

    def _remember(
        self, bundle: Bundle, features: Any, examples: Examples, sources: Sequence[str | None],
        places: npt.NDArray[np.intp],
    ) -> None:
        rows, lost = quantisation_of(bundle).asked(as_vectors(features[places], bundle.width))
        if bundle.normalise:  # zeros have no direction: nothing could be learned of them
            places, rows = places[~lost], rows[~lost]
        if not len(places):
            return
        if self.bundle is None:
            with self._change():
                self._carry_out(*begin.adopting(self._knowledge, self._ledger, bundle))
                self._knowledge.standing_on(bundle)
        chosen = places.tolist()
        pictures = self._pictures(bundle, examples, chosen)
        keys = receipts_of(rows.astype(np.int16))
        self.unknowns.add(features[places], [sources[i] for i in chosen], keys, pictures)

    def _meant(self, labels: Iterable[Label]) -> list[Label]:
        """The labels that are known by these names, typed in whichever normal form; else the names in form C."""
        given = list(labels)
        if all(not isinstance(label, str) or label.isascii() for label in given):
            return given
        known = self._knowledge.total.named
        meant = {label: known_label(label, known) for label in set(given)}
        return [meant[label] for label in given]

    def _gather(
        self, inputs: Any, target: str | None = None, *, lacking: bool = False
    ) -> tuple[Bundle, Examples]:
        """What was given, as examples. Raises InputError for rows that lack a value, unless these are to be refused."""
        bundle = self.bundle or default_bundle(inputs, target)
        if target is None and bundle.targets is not None:
            target = bundle.targets.label
        examples = gather(inputs, bundle.takes, self.columns, target)
        if examples.lacking is not None and not lacking:
            raise InputError(str(examples.strange))
        return bundle, examples

    def _numbers_held(self, bundle: Bundle, examples: Examples, targets: Any) -> npt.NDArray[np.int16]:
        """The rows of examples with their numbers: those given, else those of the table, else those that are held."""
        features = bundle.features(examples.items)
        rows = rows_of(bundle, features)
        given = examples.numbers if targets is None else targets
        count = bundle.targets.count if bundle.targets else None
        numbers = None if given is None else as_numbers(given, len(examples), count)
        with self._lock:
            return rows_taught(self._knowledge, bundle, rows, features, numbers, examples.sources)

    def _rows_held(self, bundle: Bundle, examples: Examples, labels: Sequence[Label] | None) -> npt.NDArray[np.int16]:
        """The quantised features of examples as they are held: pictures that are not, but are with further views of
        them, with these."""
        rows = rows_of(bundle, bundle.features(examples.items))
        if bundle.takes != "pictures":
            return rows
        named: list[Label | None] = [None] * len(rows) if labels is None else [*labels]
        absent = self._not_held(rows, named)
        if absent:
            _, together = augmented(bundle, [examples.items[place] for place in absent])
            others = rows_of(bundle, together)
            missing = self._not_held(others, [named[place] for place in absent])
            found = [place for place in range(len(absent)) if place not in missing]
            rows[[absent[place] for place in found]] = others[found]
        return rows

    def _not_held(self, rows: npt.NDArray[np.int16], labels: Sequence[Label | None]) -> list[int]:
        with self._lock:
            held = self._knowledge.held(receipts_of(rows), labels)
        return [place for place, times in enumerate(held) if not times]

    def _pictures(self, bundle: Bundle, examples: Examples, places: Iterable[int]) -> list[bytes | None]:
        """A small picture of each input at these places, where there is a folder to keep it in."""
        if bundle.takes not in MEDIA:
            return [None for _ in places]
        small = MEDIA[bundle.takes].thumbnail
        return [self._ledger.picture(small, examples.items[place]) for place in places]

    def _past(self) -> History:
        """Raises InputError where the brain lives in memory only, EngramError where it was closed."""
        self._ledger.check_keeps("history")
        return History(self._ledger)

    def _parts(self) -> Parts:
        with self._lock:
            return melding.parts_of(self._knowledge)

    @property
    def sees_places(self) -> bool:
        """Whether it is taught good parts alone, by maps of places: `heat` shows where a picture is not like them."""
        return self.bundle is not None and self.bundle.grid is not None

    def check_sees_wholes(self, what: str) -> None:
        """Raises InputError where maps were taught, which `what` does not read."""
        if self.sees_places:
            raise InputError(f"{what} works on features of whole inputs; this brain has maps of places. "
                             "brain.heat(picture) shows where it finds a picture strange.")

    def _classes(self) -> Classes:
        with self._lock:
            if self.sees_places:  # maps are not compared label by label
                return Classes((), ExactSums(1))
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
        raise MeldError("Pass one brain or more to meld.")
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
                f"These brains use different backbones ({mine.name!r} {mine.fingerprint[:12]}, {theirs.name!r} "
                f"{theirs.fingerprint[:12]}): their features cannot be compared. Teach one brain again on the"
                f" backbone of the other."
            )


def _print(bundle: Bundle | None) -> str | None:
    return None if bundle is None else bundle.fingerprint
