"""What a caller may do: the scopes of its token, and the brains the token is bound to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

Scope = Literal["ask", "teach", "correct", "export", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

MEANINGS: Mapping[Scope, str] = {
    "ask": "Ask what things are; see labels, counts, the map and health.",
    "teach": "Ask and teach; see its own examples, the inbox and the history.",
    "correct": "Teach; correct, undo and forget what it taught or changed itself.",
    "export": "Ask; see every example with its picture and the history; download the brain.",
    "admin": "Everything.",
}
INCLUDES: Mapping[Scope, frozenset[Scope]] = {
    "ask": frozenset({"ask"}),
    "teach": frozenset({"ask", "teach"}),
    "correct": frozenset({"ask", "teach", "correct"}),
    "export": frozenset({"ask", "export"}),
    "admin": frozenset(SCOPES),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sends a request.

    Attributes:
        name: of the token; the teacher in the history. None where no tokens are needed.
        scopes: those the token was given.
        brains: the names of the brains it is bound to; None for every brain.
    """

    name: str | None
    scopes: tuple[Scope, ...]
    brains: tuple[str, ...] | None = None

    @property
    def all_scopes(self) -> frozenset[Scope]:
        """The scopes given, and those that they include."""
        return _included(self.scopes)

    def may(self, *scopes: Scope) -> bool:
        """Whether it has one of these scopes.

        >>> Caller("ada", ("teach",)).may("ask"), Caller("ada", ("teach",)).may("export", "admin")
        (True, False)
        """
        return not self.all_scopes.isdisjoint(scopes)

    def may_use(self, brain: str) -> bool:
        """Whether it is not bound to other brains."""
        return self.brains is None or brain in self.brains

    def limited_to(self, scope: Scope) -> str | None:
        """The teacher whose examples alone it may deal with: itself, without this scope; None for everyone's."""
        return None if self.may(scope) else self.name


@cache
def _included(scopes: tuple[Scope, ...]) -> frozenset[Scope]:
    return frozenset[Scope]().union(*(INCLUDES[scope] for scope in scopes))


EVERYONE = Caller(None, ("admin",))
"""Who asks where no tokens are needed."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a route takes.

    Attributes:
        scopes: any one of them suffices.
        own: suffices for what the caller taught or changed itself.
    """

    scopes: tuple[Scope, ...]
    own: Scope | None = None

    def met_by(self, caller: Caller) -> bool:
        return caller.may(*self.scopes, *([self.own] if self.own else []))

    def cell(self, scope: Scope) -> str:
        """What a token of one scope may do there, as a word of a table: yes, own or nothing.

        >>> Need(("admin",), own="correct").cell("correct")
        'own'
        """
        caller = Caller("", (scope,))
        return "yes" if caller.may(*self.scopes) else "own" if self.met_by(caller) else ""

    def __str__(self) -> str:
        """
        >>> str(Need(("admin",), own="correct"))
        "the scope 'admin', or 'correct' for what it taught itself"
        """
        named = " or ".join(map(repr, self.scopes))
        return f"the scope {named}" + (f", or {self.own!r} for what it taught itself" if self.own else "")
