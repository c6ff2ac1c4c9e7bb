"""How far one lesson runs: the files of Engram whose code is entered while a warm brain learns one vector."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import engram
from engram.brain import Brain

SOURCE = Path(engram.__file__).parent


def files_entered(act: Callable[[], Any]) -> set[str]:
    """The files below src/engram in which a function is called meanwhile, in this thread."""
    found: set[str] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(SOURCE):
            found.add(path.relative_to(SOURCE).as_posix())

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(before)
    return found


@pytest.mark.parametrize(("where", "most"), [("in memory", 20), ("in a folder", 24)])
def test_one_vector_is_learned_by_way_of_few_files(where: str, most: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with Brain.create(tmp_path / "brain") if where == "in a folder" else Brain() as brain:
        brain.learn(rng.normal(size=(50, 8)), ["a", "b"] * 25)
        brain.predict(rng.normal(size=8))
        brain.learn(rng.normal(size=8), "a")
        vector = rng.normal(size=8)
        found = files_entered(lambda: brain.learn(vector, "a"))
    assert "brain/brain.py" in found
    assert len(found) <= most, "\n".join(sorted(found))
