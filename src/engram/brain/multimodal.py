"""One label seen, heard and read: a brain for each modality, asked with any of them or with several together.

A folder holds one brain for pictures, one for sounds and one for texts, whichever were taught, each an ordinary brain
with a backbone of its own: whatever a command or a call does with a brain, it does with `things.brain/sound`. What
several of them say about one thing is combined by `engram.heads.late_fusion`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from threading import RLock
from typing import Any, NoReturn, Self
from uuid import uuid4

import numpy as np

from engram.brain.brain import Brain
from engram.brain.bundles import as_bundle, picture_bundle, sound_bundle, text_bundle
from engram.brain.changes import acting, present_act
from engram.brain.changes.meld import MeldReport
from engram.brain.changes.teach import Learned
from engram.brain.history import HistoryEntry
from engram.features.backbones.bundle import Bundle
from engram.files import make_folder, sync_folder, write_atomically
from engram.heads.fast.view import HeadView
from engram.heads.head import columns_of
from engram.heads.late_fusion import Judged, OpinionPool
from engram.inputs.media import MEDIA
from engram.inputs.modalities import MODALITIES, Things, labelled, things_in
from engram.inputs.vectors import as_labels
from engram.learner import (
    Consolidation,
    DamagedError,
    InputError,
    Label,
    LabelError,
    MeldError,
    NotTaughtError,
    Predictions,
)

RECORD, FORMAT = "multimodal.json", 1
_USUAL = {"pictures": picture_bundle, "sound": sound_bundle, "text": text_bundle}


def usual_bundle(modality: str) -> Bundle:
    """What the brain of a modality stands on where no other backbone is named."""
    return _USUAL[modality]()


def is_multimodal(path: str | os.PathLike[str]) -> bool:
    """Whether a folder holds a brain for each modality."""
    return (Path(path) / RECORD).is_file()


class MultimodalBrain:
    """A brain for each modality, and one answer.

    `MultimodalBrain()` makes one in memory, `MultimodalBrain.create(path)` one in a folder, and
    `MultimodalBrain.open(path)` opens a folder.

    Args:
        backbones: modality ("pictures", "sound", "text") -> a bundle or backbone, or the name or folder of one, where
            it is not the usual one (`Brain`).
        alpha, memory_budget, unknowns: as for `Brain`, of each modality.

    Attributes:
        members: modality -> its brain, of those that were taught. What this class has no call for is asked of them,
            such as `members["sound"].unknown_groups()`.

    >>> brain = MultimodalBrain()
    >>> brain.learn({"text": ["it purrs", "it meows", "it barks", "it growls"]}, ["cat", "cat", "dog", "dog"])
    >>> brain.predict({"text": ["it barks"]}).labels
    ['dog']
    >>> entry = brain.undo()
    >>> brain.labels
    ()
    """

    exact, boundaries = True, False

    def __init__(
        self, backbones: Mapping[str, Any] | None = None, *, alpha: float = 0.02, memory_budget: int = 2**28,
        unknowns: int = 512,
    ) -> None:
        self._options: dict[str, Any] = {"alpha": alpha, "memory_budget": memory_budget, "unknowns": unknowns}
        self._bundles = {name: _bundle_for(name, given) for name, given in (backbones or {}).items()}
        self._path: Path | None = None
        self._readonly = False
        self._lock = RLock()
        self._acts: list[str] = []  # of a brain in memory, which has no history
        self._pools: dict[tuple[str, ...], tuple[tuple[HeadView, ...], OpinionPool]] = {}
        self.members: dict[str, Brain] = {}

    @classmethod
    def of(cls, members: Mapping[str, Brain], path: str | os.PathLike[str]) -> Self:
        """These brains, modality -> brain, as one: they are open already, in the folders of the one in `path`."""
        made = cls()
        made._path = Path(path)
        made.members = {name: members[name] for name in MODALITIES if name in members}
        return made

    # A brain and its folder

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], backbones: Mapping[str, Any] | None = None, **options: Any
    ) -> Self:
        """Make one in a new folder: every change is on disk when the call returns.

        Raises:
            InputError: the folder is not empty, or a backbone cannot be used.
            OSError: the folder cannot be written.
        """
        brain, folder = cls(backbones, **options), Path(path)
        if folder.exists() and any(folder.iterdir()):
            raise InputError(f"{folder} is not empty: choose another folder; MultimodalBrain.open opens what is there.")
        make_folder(folder)
        _record(folder, brain._options)
        brain._path = folder
        for name, bundle in brain._bundles.items():
            brain._member(name, bundle)
        return brain

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, readonly: bool = False) -> Self:
        """Open the one in a folder; see `Brain.open`.

        Raises:
            InputError: there is none.
            DamagedError: a file is truncated, altered or foreign.
        """
        folder = Path(path)
        if not is_multimodal(folder):
            raise InputError(f"{folder} holds no brain of several modalities: Brain.open opens one of a single one.")
        try:
            record = json.loads((folder / RECORD).read_bytes())
            if record["format"] != FORMAT:
                raise DamagedError(f"{folder / RECORD} has format {record['format']!r}; this Engram reads {FORMAT}.")
            brain = cls(**record["options"])
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedError(f"{folder / RECORD} is damaged: {error}") from error
        brain._path, brain._readonly = folder, readonly
        try:
            for name in MODALITIES:
                if (folder / name / "manifest.json").exists():
                    brain.members[name] = Brain.open(folder / name, readonly=readonly)
        except BaseException:
            brain.close()
            raise
        return brain

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save a complete copy to a folder: a new one, or one in which it was saved before; see `Brain.save`."""
        folder = Path(path)
        make_folder(folder)
        for name, member in self.members.items():
            member.save(folder / name)
        _record(folder, self._options)

    def close(self) -> None:
        """Release the folder; see `Brain.close`."""
        for member in self.members.values():
            member.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise InputError("A brain is not pickled or copied as an object: brain.save(FOLDER) writes all of it, and "
                         "MultimodalBrain.open(FOLDER) is the copy.")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.labels)} labels by {', '.join(self.members) or 'nothing yet'}>"

    # Learning and asking

    def learn(self, inputs: Any, targets: Any = None, *, again: bool = True, teacher: str | None = None) -> None:
        """Learn things, each by every modality in which it is given; new labels may come at any time.

        Args:
            inputs: a dictionary, modality -> an input for each thing (None where it lacks one); or single inputs of any
                modality, or folders: see `engram.inputs.modalities.things_in`.
            targets: one label, str or int, for each thing or one for all; None takes the folders' names.
            again, teacher: as for `Brain.learn`.

        Raises:
            InputError, LabelError, CapacityError, OSError: nothing was changed.
        """
        self.learn_things(things_in(inputs), targets, again=again, teacher=teacher)

    def learn_things(
        self, things: Things, targets: Any = None, *, again: bool = True, teacher: str | None = None
    ) -> dict[str, Learned]:
        """`learn` that returns, for each modality, what became of its examples. One undo takes all of it back."""
        labels = as_labels(list(labelled(things, targets)), things.count, next(iter(self.labels), None))
        ready = {name: _decoded(name, part.items) for name, part in things.parts.items()}
        with self._lock, self._one_act() as done:
            for name, items in ready.items():
                part = things.parts[name]
                done[name] = self._member(name).learn_examples(
                    items, part.of(labels), again=again, teacher=teacher, sources=part.sources)
            return done

    def predict(
        self, inputs: Any, among: Iterable[Label] | None = None, *, together: bool = False, remember: bool = False
    ) -> Predictions:
        """The best label of each thing, or None: "Nothing I know".

        What several modalities say is combined: see `engram.heads.late_fusion`. A modality that was never taught says
        nothing.

        Args:
            inputs: as for `learn`.
            among: the candidate labels; None for all.
            together: files that differ in their endings alone are of one thing.
            remember: keep unknown things that came by one modality alone in its inbox.

        Returns:
            `Predictions`, one for each thing; scores are logarithms of chances, −inf for a label that none of the
            thing's modalities was taught.

        Raises:
            InputError: no inputs of these modalities.
            LabelError: `among` names a label that was never taught.
        """
        return self.predict_things(things_in(inputs, together=together), among, remember=remember)

    def predict_things(
        self, things: Things, among: Iterable[Label] | None = None, *, remember: bool = False
    ) -> Predictions:
        """`predict` for things whose modalities are told apart already."""
        labels, asked = self.labels, _Asked(self.members, things)
        columns = columns_of(among, {label: place for place, label in enumerate(labels)})
        wanted = [labels[place] for place in columns] if columns is not None else list(labels)
        scores = np.full((things.count, len(wanted)), -np.inf)
        known, (confidence, focus, familiarity) = np.zeros(things.count, bool), np.zeros((3, things.count))
        familiarity[:] = -np.inf
        for names, places in asked.groups():
            taught = {label for name in names for label in asked.views[name].labels}
            candidates = [label for label in wanted if label in taught]
            if not candidates:
                continue
            evidence = [asked.evidence(name, places) for name in names]
            answer = self._pool(names, asked.views).answer(evidence, candidates)
            scores[np.ix_(places, [wanted.index(label) for label in candidates])] = answer.scores
            known[places], confidence[places] = answer.known, answer.confidence
            focus[places], familiarity[places] = answer.focus, answer.familiarity
        if remember:
            asked.remember(np.flatnonzero(~known).tolist())
        return Predictions(tuple(wanted), scores, known, confidence, focus, familiarity)

    def _pool(self, names: tuple[str, ...], views: Mapping[str, HeadView]) -> OpinionPool:
        """The powers of these modalities, as long as nothing was taught since."""
        present = tuple(views[name] for name in names)
        with self._lock:
            before = self._pools.get(names)
            if before is None or any(one is not other for one, other in zip(before[0], present, strict=True)):
                before = present, pool_of([self.members[name] for name in names])
                self._pools[names] = before
            return before[1]

    # Correcting

    def forget(self, inputs: Any = None, targets: Any = None, *, label: Label | None = None) -> None:
        """Forget a label in every modality, or things as they were taught, permanently; see `Brain.forget`.

        Raises:
            NotTaughtError: never taught; nothing was changed.
            InputError: not exactly one of inputs and label is given.
        """
        if (inputs is None) == (label is None):
            raise InputError("Pass exactly one of inputs and label.")
        with self._lock:
            if label is not None:
                self._forget_label(label)
                return
            things = things_in(inputs)
            named = None if targets is None and things.labels is None else list(labelled(things, targets))
            parts = {name: (part.items, None if named is None else part.of(named)) for name, part in
                     things.parts.items()}
            for name, (items, labels) in parts.items():
                if name not in self.members or not all(self.members[name].holds(items, labels)):
                    raise NotTaughtError(f"One of the {name} was never taught, or under another label.")
            for name, (items, labels) in parts.items():
                self.members[name].forget(items, labels)

    def _forget_label(self, label: Label) -> None:
        gone = []
        for name, member in self.members.items():
            with suppress(NotTaughtError):
                member.forget(label=label)
                gone.append(name)
        if not gone:
            raise NotTaughtError(f"{label!r} was never taught. Known: {list(self.labels)[:20]}.")

    def rename(self, old: Label, new: Label) -> None:
        """Rename a label in every modality.

        Raises:
            NotTaughtError: `old` was never taught.
            LabelError: `new` exists already, is empty, or is of the other type.
        """
        with self._lock, self._one_act() as done:
            holding = [name for name, member in self.members.items() if old in member.labels]
            if not holding:
                raise NotTaughtError(f"{old!r} was never taught. Known: {list(self.labels)[:20]}.")
            if new in self.labels:
                raise LabelError(f"{new!r} exists already: forget it first, or choose another name.")
            for name in holding:
                self.members[name].rename(old, new)
                done[name] = None

    def undo(self) -> dict[str, HistoryEntry]:
        """Undo the last change, in every modality that it changed; call it again for the change before.

        Returns:
            modality -> what was undone there.

        Raises:
            InputError: there is nothing to undo, or something was forgotten since.
        """
        with self._lock:
            act = self._acts.pop() if self._in_memory and self._acts else self._last_act()
            undone = {}
            for name, member in self.members.items():
                if self._in_memory:
                    with suppress(InputError):  # this modality had no part in it
                        undone[name] = member.undo(act)
                elif member.last_change(act) is not None:
                    undone[name] = member.undo(act)
            return undone

    def _last_act(self) -> str | None:
        if self._in_memory:
            raise InputError("There is nothing to undo.")
        last = {name: change for name, member in self.members.items() if (change := member.last_change()) is not None}
        if not last:
            raise InputError("There is nothing to undo.")
        newest = max(last.values(), key=lambda change: change.time)
        if newest.act is None:  # made in one modality alone
            name = next(name for name, change in last.items() if change is newest)
            raise InputError(f"The last change was made to the brain for {name} alone: undo it there, "
                             f"engram undo {self._path}/{name}.")
        return newest.act

    def meld(self, *others: Self) -> dict[str, MeldReport]:
        """Take over what others know, modality by modality; see `Brain.meld`.

        Raises:
            MeldError: no such brain, another backbone for a modality, or labels of another type; nothing was changed.
        """
        stranger = next((one for one in others if not isinstance(one, MultimodalBrain)), None)
        if stranger is not None:
            raise MeldError(f"Only brains of several modalities meld with one, not {type(stranger).__name__}: meld a "
                            "single brain with the member of its modality.")
        with self._lock, self._one_act() as done:
            theirs = {name: [one.members[name] for one in others if name in one.members] for name in MODALITIES}
            for name, members in theirs.items():
                mine = [self.members[name]] if name in self.members else []
                prints = {one.bundle.fingerprint for one in [*mine, *members] if one.bundle is not None}
                if len(prints) > 1:
                    raise MeldError(f"These brains use different backbones for {name}: their features cannot be "
                                    "compared.")
            for name, members in theirs.items():
                if members:
                    done[name] = self._member(name, members[0].bundle).meld(*members)
            return done

    def consolidate(self) -> Consolidation:
        """Merge redundant examples of every modality; see `Brain.consolidate`."""
        done = [member.consolidate() for member in self.members.values()]
        return Consolidation(sum(one.before for one in done), sum(one.after for one in done))

    # What is known

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels taught by any modality."""
        return tuple(dict.fromkeys(label for member in self.members.values() for label in member.labels))

    def counts(self) -> dict[Label, dict[str, int]]:
        """label -> modality -> how many examples."""
        counts = {name: member.counts() for name, member in self.members.items()}
        return {label: {name: some[label] for name, some in counts.items() if label in some} for label in self.labels}

    def digest(self) -> str:
        """SHA-256 over the digests of its modalities: equal exactly when two know the same."""
        whole = hashlib.sha256()
        for name, member in sorted(self.members.items()):
            if member.labels or member.counterexamples:
                whole.update(f"{name} {member.digest()}\n".encode())
        return whole.hexdigest()

    def info(self) -> dict[str, Any]:
        """Labels with their examples by modality, and `Brain.info` of each modality, as JSON values."""
        return {
            "labels": [{"label": label, "examples": some} for label, some in self.counts().items()],
            "digest": self.digest(),
            "modalities": {name: member.info() for name, member in self.members.items()},
        }

    # How it is done

    @property
    def _in_memory(self) -> bool:
        return self._path is None

    def _member(self, name: str, bundle: Bundle | None = None) -> Brain:
        """The brain of a modality, made where there is none yet."""
        if name not in self.members:
            stands_on = bundle or self._bundles.get(name) or usual_bundle(name)
            if self._path is None:
                self.members[name] = Brain(stands_on, **self._options)
            elif self._readonly:
                raise InputError(f"{self._path} was opened for reading only.")
            else:
                self.members[name] = Brain.create(self._path / name, stands_on, **self._options)
            self.members = {one: self.members[one] for one in MODALITIES if one in self.members}
        return self.members[name]

    @contextmanager
    def _one_act(self) -> Iterator[dict[str, Any]]:
        """All changes of the modalities in here are undone at once; those made before one fails are taken back.

        Yields:
            What is filled with the modalities that were changed.
        """
        done: dict[str, Any] = {}
        given = present_act()
        act = given or uuid4().hex
        try:
            with acting(None, act) if given is None else nullcontext():
                yield done
        except BaseException:
            if given is None:
                for name in done:
                    with suppress(InputError):
                        self.members[name].undo(act)
            raise
        if self._in_memory and (not self._acts or self._acts[-1] != act):
            self._acts.append(act)


class _Asked:
    """Things that are asked about, and what each modality alone says of them."""

    def __init__(self, members: Mapping[str, Brain], things: Things) -> None:
        self._members, self._things = members, things
        self.views = {name: members[name].view for name in things.parts if name in members and members[name].labels}
        self._answers = {name: members[name].predict(things.parts[name].items) for name in self.views}
        self._rows = {name: {place: row for row, place in enumerate(things.parts[name].places)} for name in self.views}

    def groups(self) -> list[tuple[tuple[str, ...], list[int]]]:
        """Things by the modalities that say something of them."""
        found: dict[tuple[str, ...], list[int]] = {}
        for place in range(self._things.count):
            names = tuple(name for name in self.views if place in self._rows[name])
            if names:
                found.setdefault(names, []).append(place)
        return list(found.items())

    def evidence(self, name: str, places: Sequence[int]) -> Any:
        """What a modality says of the things at these places."""
        rows = np.array([self._rows[name][place] for place in places])
        whole, member = self._answers[name], self._members[name]
        answers = Predictions(whole.candidates, whole.scores[rows], whole.known[rows],
                              familiarity=whole.familiarity[rows])
        return self.views[name].evidence(answers, member.alpha)

    def remember(self, places: Sequence[int]) -> None:
        """Keep the things at these places that came by one modality alone."""
        alone = {place: names[0] for names, some in self.groups() if len(names) == 1 for place in some}
        for name in self.views:
            rows = [self._rows[name][place] for place in places if alone.get(place) == name]
            if rows:
                part = self._things.parts[name]
                self._members[name].predict([part.items[row] for row in rows], remember=True,
                                            sources=[part.sources[row] for row in rows])
                self._members[name].keep_unknowns()


def pool_of(members: Sequence[Brain]) -> OpinionPool:
    """How the answers of brains, each of a modality, are combined."""
    left = [member.left_out() for member in members]
    chances = [np.log(np.maximum(one.probabilities, 1e-300)) for one in left]
    return OpinionPool.fitted([Judged(one.labels, one.truth, some) for one, some in zip(left, chances, strict=True)])


def _decoded(modality: str, items: Sequence[Any]) -> list[Any]:
    """The inputs, decoded: what cannot be is refused before anything is learned."""
    return [MEDIA[modality].decode(item) for item in items] if modality in MEDIA else list(items)


def _bundle_for(modality: str, given: Any) -> Bundle:
    if modality not in MODALITIES:
        raise InputError(f"Backbones are given for {', '.join(map(repr, MODALITIES))}, not {modality!r}.")
    bundle = as_bundle(given)
    if bundle.takes != modality:
        raise InputError(f"The backbone {bundle.name!r} works on {bundle.takes}, not on {modality}.")
    if bundle.grid is not None:
        raise InputError(f"The backbone {bundle.name!r} gives maps of places, which say nothing of labels.")
    return bundle


def _record(folder: Path, options: Mapping[str, Any]) -> None:
    record = {"format": FORMAT, "options": dict(options)}
    write_atomically(folder / RECORD, (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
    sync_folder(folder)
