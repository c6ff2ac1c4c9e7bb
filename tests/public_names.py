"""What is public: the names that packages export, that the documentation imports, and that the tables of rooms list;
and the members of these classes. `undocumented` compares them with the pages that Sphinx built."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from engram.features.backbones import BACKBONES
from engram.heads import HEADS
from engram.networks.strategies import STRATEGIES

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(?:python|pycon)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
IMPORT = re.compile(r"^\s*from (engram[\w.]*) import ([\w, ]+)", re.MULTILINE)
NOT_FOR_USERS = {"demo"}


def public_names() -> set[str]:
    """Every public name as "module.name"."""
    rows = {row.path.replace(":", ".") for table in (HEADS, STRATEGIES, BACKBONES) for row in table.values()}
    return {*exported(), *imported_by_pages(), *rows}


def exported() -> Iterator[str]:
    """What packages name in `__all__`."""
    for file in sorted((ROOT / "src" / "engram").rglob("__init__.py")):
        place = file.parent.relative_to(ROOT / "src").parts
        targets = (
            target
            for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.Assign)
            for target in node.targets
        )
        if any(getattr(target, "id", "") == "__all__" for target in targets) and NOT_FOR_USERS.isdisjoint(place):
            module = import_module(".".join(place))
            yield from (f"{module.__name__}.{name}" for name in module.__all__ if name != "__version__")


def imported_by_pages() -> Iterator[str]:
    """What the examples of README and docs import."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for code in BLOCK.findall(page.read_text(encoding="utf-8")):
            for module, names in IMPORT.findall(re.sub(r"^(>>>|\.\.\.) ?", "", code, flags=re.MULTILINE)):
                yield from (f"{module}.{name.strip().split(' ')[0]}" for name in names.split(","))


def found(name: str) -> Any:
    """The object of a dotted name; None where there is none."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            value: Any = import_module(".".join(parts[:count]))
            for part in parts[count:]:
                value = getattr(value, part)
        except (ImportError, AttributeError):
            continue
        return value
    return None


class Shown:
    """What is on the built pages: Sphinx's list of objects."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    @cached_property
    def by_identity(self) -> dict[int, list[str]]:
        """Under which names each object is shown."""
        shown: dict[int, list[str]] = {}
        for name in self.names:
            shown.setdefault(id(found(name)), []).append(name)
        return shown

    def holds(self, name: str) -> bool:
        """Whether an object is shown, under this or another name."""
        return name in self.names or id(found(name)) in self.by_identity

    def holds_member(self, of: type, name: str) -> bool:
        """Whether a member of a class is shown with the class, or with the ancestor that it comes from."""
        homes = [home for ancestor in of.__mro__ for home in self.by_identity.get(id(ancestor), [])]
        return any(f"{home}.{name}" in self.names for home in homes)


def members(of: type) -> Iterator[str]:
    """The public methods and properties of a class that come from Engram."""
    for ancestor in of.__mro__:
        if ancestor.__module__.startswith("engram"):
            for name, value in vars(ancestor).items():
                member = inspect.isroutine(value) or isinstance(value, property | cached_property | classmethod)
                ours = getattr(value, "__module__", "engram").startswith("engram")  # scikit-learn adds some of its own
                if member and ours and not name.startswith("_"):
                    yield name


def undocumented(shown: set[str]) -> list[str]:
    """Public names that are on no page."""
    pages, missing = Shown(shown), []
    for name in sorted(public_names()):
        if not pages.holds(name):
            missing.append(name)
        elif isinstance(value := found(name), type):
            missing += [f"{name}.{member}" for member in members(value) if not pages.holds_member(value, member)]
    return missing
