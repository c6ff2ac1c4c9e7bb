"""Each kind of change has one row in the table and one file; what it does live, a replay of the log does again."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.brain import Brain
from engram.brain.changes import KINDS, Kind
from engram.brain.saving import knowledge_state
from engram.heads.head import from_json_array
from engram.learner import EngramError

POINTS = np.random.default_rng(3).normal(size=(40, 4))


def _melded(brain: Brain) -> None:
    other = Brain(device="other")
    other.learn(POINTS[20:24], ["a", "b", "x", "x"])
    other.rename("b", "bee")
    brain.meld(other)


def _rolled_back(brain: Brain) -> None:
    brain.learn(POINTS[30:32], "late")
    brain.undo()


CHANGES: dict[str, Callable[[Brain], Any]] = {
    "taught": lambda brain: brain.learn(POINTS[12:14], "a"),
    "taught not": lambda brain: brain.learn_not(POINTS[14:16], "a"),
    "renamed": lambda brain: brain.rename("a", "alpha"),
    "relabelled": lambda brain: brain.relabel([brain.examples("c")[0].id], "b"),
    "alpha set": lambda brain: brain.set_alpha(0.1, "a"),
    "melded": _melded,
    "forked": lambda brain: brain.fork(),
    "consolidated": lambda brain: brain.consolidate(),
    "rolled back": _rolled_back,
    "forgot": lambda brain: brain.forget(POINTS[0], "a"),
}

REFUSED = {("renamed", "renamed"), ("renamed", "taught not"), ("renamed", "alpha set"), ("renamed", "forgot"),
           ("forgot", "forgot"), ("forked", "relabelled"), ("melded", "melded")}


@pytest.fixture
def brain(tmp_path: Path) -> Any:
    with Brain.create(tmp_path / "brain", device="here") as made:
        made.learn(POINTS[:12], ["a", "b", "c"] * 4)
        yield made


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_kind_is_applied_by_its_file(kind: Kind) -> None:
    file = import_module(f"engram.brain.changes.{kind.file}")
    assert callable(file.apply)
    assert callable(getattr(file, "recall", None)) >= kind.refers


@pytest.mark.parametrize("then", CHANGES)
@pytest.mark.parametrize("first", CHANGES)
def test_what_is_known_is_the_log_replayed(brain: Brain, first: str, then: str) -> None:
    for kind in (first, then):
        try:
            CHANGES[kind](brain)
        except EngramError:  # what came first does not allow it: a change that is refused changes nothing
            assert (first, kind) in REFUSED
    now, again = brain._knowledge, brain._ledger.recover(snapshots=False)
    assert again.total.digest() == now.total.digest()
    assert again.own.head.digest() == now.own.head.digest()
    assert _about(brain, again) == _about(brain, now)


def _about(brain: Brain, knowledge: Any) -> dict[str, Any]:
    """All but the sums: tombstones, lineages, what each contribution has obeyed, and shares."""
    about: dict[str, Any] = from_json_array(knowledge_state(knowledge, brain.seq)["brain"])
    for slot in about["slots"]:
        slot.pop("file", None), slot.pop("sha256", None), slot.pop("bytes", None)  # once it was put there
    return about
