"""Modules under the names that they had before the wings: importing one warns, and gives the module where it is now."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

ROOMS = {
    "backbones": "features", "pretraining": "features",
    "memory": "networks", "strategies": "networks", "structure": "networks",
    "evaluation": "lab", "experiments": "lab", "streams": "lab",
}
"""The wing in which each former top-level package is now."""


class RenamedFinder(MetaPathFinder, Loader):
    """Finds `engram.backbones…` as `engram.features.backbones…`, and so on; asked before every other finder.

    >>> import engram.backbones.bundle
    >>> engram.backbones.bundle.Bundle.__module__
    'engram.features.backbones.bundle'
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, rest = fullname.partition(".")
        return ModuleSpec(fullname, self) if package == "engram" and rest.partition(".")[0] in ROOMS else None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        rest = old.partition(".")[2]
        new = f"engram.{ROOMS[rest.partition('.')[0]]}.{rest}"
        found = import_module(new)
        warnings.warn(f"{old} is now {new}: import it from there.", DeprecationWarning, stacklevel=2)
        sys.modules[old] = found  # what the import statement gets
