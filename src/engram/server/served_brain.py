"""One brain that is served: opened beside the server, changed by many at once, replaced without a pause.

Whoever asks gets the brain's published view, which no change ever blocks. Changes go to `Brain.learn_examples` and its
siblings, which are durable when they return and share one commit; they go side by side, unless one must not be
overtaken.

Single vectors that several clients ask about at the same moment are answered by one call of the head: most of what one
answer takes is spent on calling numpy some sixty times, for one vector as for sixteen. Only where the head says that
each is then answered to the bit as it would be alone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Lock
from typing import Any, Literal, TypeVar

import numpy as np

from engram.brain import Brain, acting
from engram.features.backbones.backbone import Takes
from engram.heads.fast.memory_map import MapPoint
from engram.learner import EngramError, FloatArray, Label, Predictions
from engram.server.bodies import label_like
from engram.server.conditions import check_seq
from engram.server.health import HealthRecord
from engram.server.problems import Refusal

Result = TypeVar("Result")
Kind = Literal["opening", "ready", "failed"]
_SWAP_PATIENCE = 30.0  # seconds that those who still use the old brain are waited for


class Turns:
    """Shared by many, or held by one alone; whoever wants it alone is not kept waiting by those who come later.

    >>> turns = Turns()
    >>> with turns.shared(), turns.shared():
    ...     pass
    >>> with turns.alone():
    ...     pass
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._sharing = 0
        self._waiting = 0
        self._alone = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Together with others who share."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone and not self._waiting)
            self._sharing += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharing -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """When all others have finished, and before any further."""
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: not self._alone and not self._sharing)
                self._alone = True
            finally:
                self._waiting -= 1
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()


Answer = tuple[Predictions, int]
"""Of one vector, and the sequence number of what it was answered by."""


class Gathering:
    """What is asked in one turn of the event loop, until the next."""

    def __init__(self) -> None:
        self._asked: dict[ServedBrain, list[tuple[FloatArray, asyncio.Future[Answer]]]] = {}

    async def ask(self, served: ServedBrain, vector: FloatArray) -> Answer:
        """What a brain says of a (1, D) vector, together with what others ask.

        Raises:
            InputError, Refusal: as for this vector alone; it spoils no other's answer.
        """
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._answer)
        answer: asyncio.Future[Answer] = loop.create_future()
        self._asked.setdefault(served, []).append((vector, answer))
        return await answer

    def _answer(self) -> None:
        asked, self._asked = self._asked, {}
        for served, questions in asked.items():
            left = [question for question in questions if not question[1].done()]  # else whoever asked has gone
            most = served.together
            for start in range(0, len(left), most):
                _answer_together(served, left[start : start + most])


def _answer_together(served: ServedBrain, questions: list[tuple[FloatArray, asyncio.Future[Answer]]]) -> None:
    try:
        answers = served.brain.predict(np.concatenate([vector for vector, _ in questions]))
    except Exception as error:
        if len(questions) == 1:
            questions[0][1].set_exception(error)
        else:
            for question in questions:
                _answer_together(served, [question])
        return
    seq = served.seq
    served.count(asked=len(answers), refused=int(np.count_nonzero(~answers.known)))
    for place, (_, answer) in enumerate(questions):
        answer.set_result((answers[place : place + 1], seq))


class ServedBrain:
    """A brain under a name.

    Args:
        name: in the URLs.
        path: its folder.
        follower: read only; another process teaches it.
        on_sync: called with the seconds of every commit.

    Attributes:
        state: "opening" until all is replayed, "ready", or "failed".
        problem: why it failed.
        health: how well its classes were known at some moments.
        shown: the map that was shown last; the next one is turned like it.
        taught, asked, refused: examples learned, inputs answered, and answered with "Nothing I know", since the start.
    """

    def __init__(
        self, name: str, path: Path, *, follower: bool = False, on_sync: Callable[[float], None] | None = None
    ) -> None:
        self.name, self.path, self.follower = name, path, follower
        self.state: Kind = "opening"
        self.problem: str | None = None
        self.taught = self.asked = self.refused = 0
        self.health = HealthRecord()
        self.shown: list[MapPoint] = []
        self._on_sync = on_sync
        self._brain: Brain | None = None
        self._turns = Turns()
        self._users: dict[int, int] = {}
        self._left = Condition()
        self._swapping = Lock()
        self._counting = Lock()
        self._place: tuple[int, int] | None = None
        self._listeners: dict[Callable[[], None], Hashable] = {}

    # Its life

    def open(self) -> None:
        """Open the folder; what fails is kept in `problem`."""
        try:
            self._brain = self._opened()
            self.state, self.problem = "ready", None
        except (EngramError, OSError) as error:
            self.state, self.problem = "failed", str(error)
        self.tell()

    def close(self) -> None:
        """Let changes finish, and close the folder."""
        with self._swapping, self._turns.alone():
            brain, self._brain = self._brain, None
            self.state = "opening"
            if brain is not None:
                self._wait_for_users(brain)
                brain.close()

    def swap(self) -> None:
        """Open the folder anew, and go over to what is in it. Those who ask are answered all the while.

        Raises:
            EngramError, OSError: what is there now cannot be opened; the brain that was served still is.
        """
        with self._swapping:
            fresh = self._opened()
            with self._turns.alone():
                old, self._brain = self._brain, fresh
                self.state, self.problem = "ready", None
                if old is not None:
                    self._wait_for_users(old)
                    old.close()
        self.tell()

    def replaced(self) -> bool:
        """Whether another folder, or another log in it, is now where the one was that was opened."""
        try:
            found = os.stat(self.path)
        except OSError:
            return False
        whole = (self.path / "manifest.json").exists()
        if not whole or self._place is None:
            return False
        brain = self._brain
        return (found.st_dev, found.st_ino) != self._place or (brain is not None and brain.moved)

    def follow(self) -> None:
        """Take in what another process has taught since."""
        with self.using() as brain:
            if brain.refresh():
                self.tell()

    def _opened(self) -> Brain:
        found = os.stat(self.path)
        brain = Brain.open(self.path, readonly=self.follower)
        brain.on_sync = self._on_sync
        brain.publish()
        self._place = (found.st_dev, found.st_ino)
        return brain

    def _wait_for_users(self, brain: Brain) -> None:
        with self._left:
            self._left.wait_for(lambda: not self._users.get(id(brain)), _SWAP_PATIENCE)

    # Using it

    @property
    def ready(self) -> bool:
        """Whether it can be used."""
        return self.state == "ready"

    @property
    def brain(self) -> Brain:
        """The brain, for what needs nothing but memory. Raises Refusal while it is not open."""
        if self._brain is not None:
            return self._brain
        if self.state == "failed":
            detail, wait = f"{self.name} could not be opened: {self.problem}", "60"
        else:
            detail, wait = f"{self.name} is being opened: ask again.", "1"
        raise Refusal("not-ready", detail, headers={"Retry-After": wait})

    @contextmanager
    def using(self) -> Iterator[Brain]:
        """The brain, its folder kept open meanwhile. Raises Refusal while it is not open."""
        with self._left:
            brain = self.brain
            self._users[id(brain)] = self._users.get(id(brain), 0) + 1
        try:
            yield brain
        finally:
            with self._left:
                self._users[id(brain)] -= 1
                if not self._users[id(brain)]:
                    del self._users[id(brain)]
                self._left.notify_all()

    def change(
        self, do: Callable[[Brain], Result], wanted: frozenset[int] | None = None, *, by: str | None = None,
        alone: bool = False, act: str | None = None,
    ) -> Result:
        """Change something; returns when it is on disk.

        Args:
            do: the change.
            wanted: sequence numbers at one of which the brain has to be; then no other change comes between.
            by: who makes it, for the history; None where that is not known.
            alone: let no other change come between what `do` looks at and what it does.
            act: the id of the act that it belongs to with others.

        Raises:
            Refusal: read only, not open, or at another sequence number.
            whatever the change raises.
        """
        if self.follower:
            raise Refusal("read-only", "This server is read-only (--follow): teach the brain in the process that it"
                                       " follows.")
        turn = self._turns.shared() if wanted is None and not alone else self._turns.alone()
        with turn, self.using() as brain, acting(by, act):
            check_seq(wanted, brain.seq)
            result = do(brain)
        self.tell()
        return result

    def count(self, *, taught: int = 0, asked: int = 0, refused: int = 0) -> None:
        """Note what was done, for the metrics."""
        with self._counting:
            self.taught += taught
            self.asked += asked
            self.refused += refused

    # Watching it

    def listen(self, told: Callable[[], None], who: Hashable = None) -> Callable[[], None]:
        """Have something called, from any thread, whenever the brain has changed; returns what ends that."""
        self._listeners[told] = who

        def end() -> None:
            self._listeners.pop(told, None)

        return end

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def listeners_of(self, who: Hashable) -> int:
        """How many of them one client has."""
        return list(self._listeners.values()).count(who)

    def tell(self) -> None:
        """Say that the brain has changed."""
        for told in list(self._listeners):
            told()

    # What it holds, in numbers

    @property
    def seq(self) -> int:
        """The sequence number of what it answers by; 0 while it is not open."""
        return self._brain.settled if self._brain is not None else 0

    @property
    def counts(self) -> dict[Label, int]:
        """Examples of each label."""
        return self._brain.view.counts if self._brain is not None else {}

    @property
    def examples(self) -> int:
        return sum(self.counts.values())

    @property
    def classes(self) -> int:
        return len(self.counts)

    @property
    def unknowns(self) -> int:
        return len(self._brain.unknowns) if self._brain is not None else 0

    @property
    def memory_bytes(self) -> int:
        return self._brain.memory_bytes if self._brain is not None else 0

    @property
    def unknown_rate(self) -> float:
        """Share of what was asked since the start that was not known; NaN before anything was."""
        return self.refused / self.asked if self.asked else float("nan")

    @property
    def takes(self) -> Takes | None:
        """What its backbone works on, if it stands on one yet."""
        bundle = self._brain.bundle if self._brain is not None else None
        return bundle.takes if bundle is not None else None

    @property
    def sees_places(self) -> bool:
        """Whether it is taught good parts, and shows where a picture is not one."""
        return self._brain is not None and self._brain.sees_places

    @property
    def numbers(self) -> list[str] | None:
        """What the numbers are called that it answers; None where it answers labels."""
        bundle = self._brain.bundle if self._brain is not None else None
        return list(bundle.targets.names) if bundle is not None and bundle.targets is not None else None

    @property
    def locates(self) -> bool:
        """Whether its backbone sees places of pictures, so that it says where something is."""
        bundle = self._brain.bundle if self._brain is not None else None
        return bundle is not None and hasattr(bundle.backbone, "places") and bundle.takes == "pictures"

    @property
    def width(self) -> int | None:
        """How many values its vectors have, where it takes vectors."""
        bundle = self._brain.bundle if self._brain is not None else None
        return bundle.width if bundle is not None and bundle.takes == "vectors" else None

    @property
    def together(self) -> int:
        """How many vectors may be asked about at once and be answered, to the bit, as each would be alone."""
        return self._brain.view.together if self._brain is not None else 1

    def label(self, given: Label) -> Label:
        """The label that is meant by one that came in a request."""
        return label_like(given, self.counts)

    @property
    def inbox(self) -> tuple[int, int]:
        """What tells one state of the inbox from another: how many there are, and the newest one's number."""
        numbers = self._brain.unknowns.numbers if self._brain is not None else []
        return len(numbers), max(numbers, default=0)

    def summary(self) -> dict[str, Any]:
        """What the list of brains shows."""
        return {
            "name": self.name, "state": self.state, "problem": self.problem, "follower": self.follower,
            "seq": self.seq, "examples": self.examples, "classes": self.classes, "unknowns": self.unknowns,
            "takes": self.takes, "sees_places": self.sees_places, "locates": self.locates, "numbers": self.numbers,
        }
