"""Scripts written earlier go on: modules are found under their former names."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

import pytest

from engram.renamed import MERGED, ROOMS


@pytest.mark.parametrize("old", ["backbones", "backbones.bundle", "evaluation.measures", "streams.stream"])
def test_a_former_name_gives_the_module_itself_and_says_where_it_is(old: str) -> None:
    new = f"engram.{ROOMS[old.partition('.')[0]]}.{old}"
    code = f"""
import warnings
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    import engram.{old} as before
import {new} as now
assert before is now and now.__name__ == now.__spec__.name == {new!r}
assert any({new!r} in str(one.message) for one in told)
from engram.{old} import __name__ as name
assert name == {new!r}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_module_that_became_part_of_another_gives_that_one() -> None:
    for old, new in MERGED.items():
        package, _, name = f"engram.{old}".rpartition(".")
        assert find_spec(f"engram.{new}") is not None
        assert name not in {found.name for found in iter_modules(import_module(package).__path__)}, old
    with pytest.warns(DeprecationWarning, match=r"engram\.store\.held is now engram\.store\.log_files"):
        assert import_module("engram.store.held").Held is import_module("engram.store.log_files").Held
    with pytest.warns(DeprecationWarning, match=r"is now engram\.heads\.fast\.episodes"):
        from engram.heads.fast.episodic_memory import EpisodicMemory
    assert EpisodicMemory.__module__ == "engram.heads.fast.episodes"


def test_a_name_that_never_was_is_not_found() -> None:
    for name in ("engram.attic", "engram.backbones.attic"):
        with pytest.raises(ModuleNotFoundError, match="attic"):
            import_module(name)
