"""A brain in a folder is what its log tells."""

from __future__ import annotations

from engram.brain import Brain
from engram.brain.repair import verify


def lasts(brain: Brain) -> None:
    """What it knows is what its log alone tells, and every file is sound."""
    home, digest = brain._ledger.path, brain.digest()
    brain.close()
    assert verify(home) == []
    for snapshot in home.glob("snapshot-*"):
        snapshot.unlink()
    with Brain.open(home) as again:
        assert again.digest() == digest
