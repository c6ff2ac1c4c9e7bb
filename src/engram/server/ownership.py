"""What a caller changes must be its own, unless it may change everyone's."""

from __future__ import annotations

from collections.abc import Iterable

from engram.brain import Brain
from engram.learner import Label
from engram.server.problems import Refusal
from engram.server.scopes import Scope


def check_own(
    brain: Brain, teacher: str | None, what: str, *, ids: Iterable[int] = (), label: Label | None = None,
    scope: Scope = "admin",
) -> None:
    """Raises Refusal where others taught some of the examples.

    Args:
        teacher: who alone may have taught them; None for anyone.
        what: what is to be done, in words.
        ids, label: the examples.
        scope: what it takes to do it to everyone's.
    """
    others = 0 if teacher is None else brain.taught_by_others(teacher, ids=ids, label=label)
    if others:
        raise Refusal("forbidden", f"{others} of these examples were not taught by {teacher!r}: to {what} them"
                                   f" requires "
                      f"the scope {scope!r}.")


def check_own_change(brain: Brain, teacher: str | None, act: str | None = None) -> None:
    """Raises Refusal where someone else made the last change, or the act, which an undo would take back."""
    last = None if teacher is None else brain.last_change(act)
    if last is not None and last.teacher != teacher:
        raise Refusal("forbidden", f"The last change ({last.kind}) was not made by {teacher!r}: to undo it requires"
                                   f" the "
                      "scope 'admin'.")
