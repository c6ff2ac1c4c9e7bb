"""How far something has come, told to whoever waits for it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A function that is called again and again while something long runs, last with `done` equal to `total`."""

    def __call__(self, done: int, total: int | None, what: str = "", /) -> None:
        """Told that `done` of `total` are done (None: nobody knows how many there are), and what is going on."""


def silent(done: int, total: int | None, what: str = "", /) -> None:
    """Tells nobody."""


def stage(progress: Progress, name: str) -> Progress:
    """The progress of one stage, told under its name and what is going on in it.

    >>> stage(lambda done, total, what="": print(done, total, what), "training")(1, 2, "loss 0.5")
    1 2 training, loss 0.5
    """
    return lambda done, total, what="": progress(done, total, f"{name}, {what}" if what else name)
