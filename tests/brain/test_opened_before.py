"""A brain that was opened before another program wrote to its folder goes on from what that one left."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engram.brain import Brain
from engram.brain.repair import verify


def test_what_another_wrote_since_it_was_opened_is_gone_on_from(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(3, 8))
    folder = tmp_path / "brain"
    first = Brain.create(folder)
    later = Brain.open(folder)  # as a server does that changes over to a folder while it is still taught
    first.learn(rows[0], "a")  # the first lesson puts the backbone into the folder
    first.save()
    first.close()
    later.learn(rows[1], "b")
    later.save()
    later.learn(rows[2], "a")
    later.close()
    whole = Brain()
    whole.learn(rows, ["a", "b", "a"])
    assert Brain.open(folder).digest() == whole.digest()
    assert verify(folder) == []
