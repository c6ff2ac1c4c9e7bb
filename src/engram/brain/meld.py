"""`meld`: several brains as one new brain."""

from __future__ import annotations

from engram.brain.brain import Brain
from engram.learner import MeldError


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
    if not brains:
        raise MeldError("Nothing to meld: give one brain at least.")
    for brain in brains:
        if not isinstance(brain, Brain):
            raise MeldError(f"Only brains meld, not {type(brain).__name__}.")
    made = Brain(brains[0].bundle, **brains[0].options)
    made.meld(*brains, strict=strict)
    return made
