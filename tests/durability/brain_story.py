"""The life of a brain, with everything in it that changes what is known; its twin is a list of examples, no more."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stories import Step, features

from engram.brain import Brain, folder_ledger
from engram.brain.repair import verify
from engram.learner import InputError, NotTaughtError

Known = list[tuple[int, str, bool]]  # number of the vector, label, whether taught here
Change = Callable[["Twin"], None]


class BrainStory:
    """A brain taught over and over, corrected, melded, rolled back, made to forget, tidied and saved."""

    made_by_first_step = False

    def __init__(self, length: int = 40) -> None:
        self._pairs = [_KINDS[i % len(_KINDS)](i) for i in range(length)]
        self.steps: list[Step] = [step for step, _ in self._pairs]

    def create(self, folder: Path) -> Brain:
        return Brain.create(folder, device="story")

    def open(self, folder: Path) -> Brain:
        return Brain.open(folder)

    def digest(self, living: Brain) -> str:
        digest = self.live_digest(living)
        for _ in living._ledger.log.read():  # all of it is whole, not only what follows the snapshot
            pass
        return digest

    def live_digest(self, living: Brain) -> str:
        return living.digest()

    def everything(self, living: Brain) -> str:
        """What is known, and all that can be asked about how it came to be."""
        examples = [(one.id, one.label, one.teacher, one.source) for one in living.examples(limit=10_000)]
        history = [(entry.seq, entry.kind, entry.teacher, entry.labels, entry.undone) for entry in living.history()]
        inbox = [(one.number, one.key) for one in living.unknowns]
        return hashlib.sha256(repr((living.digest(), examples, history, inbox)).encode()).hexdigest()

    def twin(self, done: tuple[int, ...]) -> str:
        twin = Twin()
        for i in done:
            self._pairs[i][1](twin)
        brain = Brain()
        for number, label, _ in twin.known:
            brain.learn(features(number, 1), label)
        return brain.digest()

    def forgotten(self, done: tuple[int, ...]) -> list[bytes]:
        twin, quantised = Twin(), Brain()
        for i in done:
            self._pairs[i][1](twin)
        quantised.learn(features(0, 1), "any")
        return [quantised.quantised(features(number, 1)).astype("<i2").tobytes() for number in twin.forgotten]

    def go_on(self, living: Brain) -> str:
        before = living.digest()
        living.learn(features(10**6, 1), "more")
        living.forget(features(10**6, 1), "more")
        problems = verify(living._ledger.path) if living._ledger.path else []
        return "" if living.digest() == before and not problems else f"going on leads elsewhere {problems}"


class Twin:
    """What a brain knows, as the examples themselves."""

    def __init__(self) -> None:
        self.known: Known = []
        self.forgotten: list[int] = []
        self.past: list[Known | None] = []  # before each change; None where it cannot be undone

    def change(self, known: Known, undoable: bool = True) -> None:
        self.past.append(list(self.known) if undoable else None)
        self.known = known


def _teach(i: int, count: int = 2) -> tuple[Step, Change]:
    label, numbers = f"c{i % 3}", [1000 * i + j for j in range(count)]

    def step(brain: Brain) -> None:
        rows = [features(number, 1)[0] for number in numbers]
        brain.learn_examples(rows, [label] * count, teacher="Ada", sources=["a.png"] * count)

    return step, lambda twin: twin.change([*twin.known, *((number, label, True) for number in numbers)])


def _teach_one(i: int) -> tuple[Step, Change]:
    return _teach(i, 1)


def _forget(i: int) -> tuple[Step, Change]:
    """One of what was taught the last time that two were taught."""
    number, label = 1000 * (i - 3) + 1, f"c{(i - 3) % 3}"

    def change(twin: Twin) -> None:
        if (number, label, True) not in twin.known:
            raise NotTaughtError("gone, or called otherwise")
        twin.forgotten.append(number)
        twin.change([one for one in twin.known if one[0] != number], undoable=False)

    def step(brain: Brain) -> None:
        before = brain.digest()
        try:
            brain.forget(features(number, 1), label)
        except OSError:  # forgotten, or not; where it is, the disk has yet to let go of it: tried again when opened
            if brain.digest() == before:
                raise

    return step, change


def _rename(i: int) -> tuple[Step, Change]:
    old, new = f"c{(i - 1) % 3}", f"renamed {i}"

    def change(twin: Twin) -> None:
        if old not in {label for _, label, _ in twin.known}:
            raise NotTaughtError(old)
        twin.change([(number, new if label == old else label, here) for number, label, here in twin.known])

    return lambda brain: brain.rename(old, new), change


def _relabel(i: int) -> tuple[Step, Change]:
    """The oldest example taught here."""
    def step(brain: Brain) -> None:
        examples = brain.examples(limit=1)
        if not examples:
            raise NotTaughtError("nothing to correct")
        brain.relabel([examples[0].id], f"corrected {i}")

    def change(twin: Twin) -> None:
        place = next((place for place, one in enumerate(twin.known) if one[2]), None)
        if place is None:
            raise NotTaughtError("nothing to correct")
        known = list(twin.known)
        known[place] = (known[place][0], f"corrected {i}", True)
        twin.change(known)

    return step, change


def _meld(i: int) -> tuple[Step, Change]:
    numbers = [1000 * i + j for j in range(3)]

    def step(brain: Brain) -> None:
        other = Brain(device=f"device {i}")
        other.learn([features(number, 1)[0] for number in numbers], [f"other {i}"] * 3)
        brain.meld(other)

    return step, lambda twin: twin.change([*twin.known, *((number, f"other {i}", False) for number in numbers)])


def _undo(i: int) -> tuple[Step, Change]:
    def change(twin: Twin) -> None:
        if not twin.past or twin.past[-1] is None:
            raise InputError("nothing to undo")
        twin.known = twin.past.pop() or []

    return lambda brain: brain.undo(), change


def _tidy(i: int) -> tuple[Step, Change]:
    return lambda brain: brain.consolidate(), lambda twin: twin.change(list(twin.known))


def _save(i: int) -> tuple[Step, Change]:
    return lambda brain: brain.save(), lambda twin: None


def _wonder(i: int) -> tuple[Step, Change]:
    return lambda brain: brain.predict(5 * features(i, 2), remember=True), lambda twin: None


_KINDS = (_teach, _teach_one, _save, _forget, _wonder, _teach, _teach_one, _relabel, _meld, _teach, _undo, _teach,
          _rename, _teach_one, _tidy, _teach)  # fmt: skip


@contextmanager
def frequent_snapshots() -> Iterator[None]:
    """Snapshots after every few examples, so that a short story has them."""
    usual = folder_ledger._REPLAYED, folder_ledger._CLOSING
    folder_ledger._REPLAYED, folder_ledger._CLOSING = 60, 1
    try:
        yield
    finally:
        folder_ledger._REPLAYED, folder_ledger._CLOSING = usual


