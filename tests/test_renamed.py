"""Scripts written before the wings go on: modules are found under their former names."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from engram.renamed import ROOMS


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


def test_a_name_that_never_was_is_not_found() -> None:
    for name in ("engram.attic", "engram.backbones.attic"):
        with pytest.raises(ModuleNotFoundError, match="attic"):
            import_module(name)
