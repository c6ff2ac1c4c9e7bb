"""One row for each thing that can be added: where it is, and what is to be known of it before it is imported.

A room keeps its rows in one table, `Extensions`: terminal, server, help and documentation read it. Neither the rows nor
this module load numpy or PyTorch, so that the help can name everything there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeVar


@dataclass(frozen=True, kw_only=True)
class Extension:
    """A head, a strategy, a backbone, a data set, a recipe: one file, and this row.

    Attributes:
        path: "module:attribute", imported when it is asked for.
        summary: what it is, in a few words that go on after its name.
        takes: what it works on, such as ("pictures",); more than one where that is up to how it is made.
        short: what else it is called, such as the abbreviation of its paper.
        needs: of `engram.extras.EXTRAS`: the extras without which it cannot be imported.
        settings: what it is made with, unless the caller says otherwise.
        source: who published it, and when.
    """

    path: str
    summary: str
    takes: tuple[str, ...] = ()
    short: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    @property
    def attribute(self) -> str:
        """The name of the class or function."""
        return self.path.partition(":")[2]

    def load(self, what: str = "") -> Any:
        """The class or function itself.

        Args:
            what: needs the extras, for the message; the attribute's name unless it is given.

        Raises:
            InputError: a package of an extra is missing; says how to install it.
        """
        if self.needs:
            from engram.extras import check

            check(what or self.attribute, *self.needs)
        return getattr(import_module(self.path.partition(":")[0]), self.attribute)


Row = TypeVar("Row", bound=Extension)


class Extensions(dict[str, Row]):
    """The rows of a room by name.

    Args:
        what: one of them, for messages: "head".
        rows: by name, in the order in which they are listed.

    >>> shapes = Extensions("shape", {"long-box": Extension(path="shapes:Box", summary="a long box", short=("lb",))})
    >>> shapes.name_of("lb"), shapes.name_of("long_box")
    ('long-box', 'long-box')
    """

    def __init__(self, what: str, rows: Mapping[str, Row]) -> None:
        super().__init__(rows)
        self.what = what

    def name_of(self, given: str) -> str:
        """The key of a row: `given` may also be short, or have hyphens for underscores or the other way round.

        Raises:
            InputError: there is no such row; says which there are.
        """
        if given in self:
            return given
        for name, row in self.items():
            if given in row.short or given.replace("-", "_") == name.replace("-", "_"):
                return name
        from engram.learner import InputError

        raise InputError(f"Unknown {self.what} {given!r}. Choose from: {', '.join(self)}.")

    def load(self, given: str) -> Any:
        """The class or function of a row, imported now.

        Raises:
            InputError: no such row, or an extra that it needs is missing.
        """
        name = self.name_of(given)
        return self[name].load(f"The {self.what} {name}")
