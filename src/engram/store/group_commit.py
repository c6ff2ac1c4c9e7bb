"""Group commit: many threads share one sync of the disk, and each is told only when it is done (Gray and Reuter 1992).

There is no thread of its own: the first caller to find nobody at work leads, takes what the others have brought
meanwhile along, and hands each its result; whoever comes during that waits, and one of them leads next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Place(Generic[Item, Result]):
    """A caller's place in the queue."""

    __slots__ = ("done", "error", "item", "result")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.done = False
        self.error: BaseException | None = None
        self.result: Result | None = None


class GroupCommit(Generic[Item, Result]):
    """Calls from many threads, carried out together.

    Args:
        together: carries out many items and returns, for each, its result or the exception it is to raise;
            what it raises itself, every caller of the group gets.
        patience: seconds a leader waits at most for callers that have announced themselves.
        most: items carried out together at most.

    >>> group = GroupCommit(lambda items: [item * 2 for item in items])
    >>> with group.announced():
    ...     group.commit(21)
    42
    """

    def __init__(
        self,
        together: Callable[[Sequence[Item]], Sequence[Result | BaseException]],
        *,
        patience: float = 0.005,
        most: int = 1024,
    ) -> None:
        self._together = together
        self._patience = patience
        self._most = most
        self._changed = Condition()
        self._queue: list[_Place[Item, Result]] = []
        self._coming = 0
        self._led = False

    @contextmanager
    def announced(self) -> Iterator[None]:
        """While a caller prepares and commits an item: leaders may wait a moment for it."""
        with self._changed:
            self._coming += 1
        try:
            yield
        finally:
            with self._changed:
                self._coming -= 1
                self._changed.notify_all()

    def commit(self, item: Item) -> Result:
        """Carry the item out, with others'; returns when that is done.

        Raises:
            whatever `together` raises or returns for it.
        """
        place: _Place[Item, Result] = _Place(item)
        with self._changed:
            self._queue.append(place)
            self._changed.notify_all()
        while not place.done:
            group = self._lead(place)
            if group:
                self._carry_out(group)
        if place.error is not None:
            raise place.error
        return place.result  # type: ignore[return-value]

    def _lead(self, place: _Place[Item, Result]) -> list[_Place[Item, Result]]:
        """Wait until the place was carried out, or until it is its caller's turn to lead the group that is returned."""
        with self._changed:
            while self._led and not place.done:
                self._changed.wait()
            if place.done:
                return []
            self._led = True
            try:
                self._wait_for_announced()
            except BaseException:  # a key pressed: somebody else is to lead
                self._led = False
                self._queue.remove(place)
                self._changed.notify_all()
                raise
            group, self._queue = self._queue[: self._most], self._queue[self._most :]
            return group

    def _wait_for_announced(self) -> None:
        """Until everyone announced has arrived or gone away, or patience ends."""
        until = time.monotonic() + self._patience
        while self._coming > len(self._queue) < self._most:
            left = until - time.monotonic()
            if left <= 0:
                return
            self._changed.wait(left)

    def _carry_out(self, group: list[_Place[Item, Result]]) -> None:
        try:
            results = self._together([place.item for place in group])
            for place, result in zip(group, results, strict=True):
                if isinstance(result, BaseException):
                    place.error = result
                else:
                    place.result = result
        except BaseException as error:
            for place in group:
                place.error = error
        with self._changed:
            self._led = False
            for place in group:
                place.done = True
            self._changed.notify_all()
