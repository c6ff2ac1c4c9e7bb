"""Undoing the naming of unknowns puts them back into the inbox, as they were."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engram.brain import Brain
from engram.brain.repair import verify
from engram.features.backbones.bundle import Bundle
from engram.store.event_log import EventLog

RNG = np.random.default_rng(3)
CENTRES = 3 * np.eye(8)
STRANGE = np.concatenate([CENTRES[4] + RNG.normal(0, 0.2, (5, 8)), CENTRES[6] + RNG.normal(0, 0.2, (3, 8))])


@pytest.fixture(params=[False, True], ids=["as they are", "of length 1"])
def brain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Brain]:
    bundle = Bundle.of_vectors(8, largest=8.0)
    bundle = replace(bundle, normalise=request.param)
    with Brain.create(tmp_path / "brain", bundle) as made:
        for centre, label in zip(CENTRES, ("cup", "fern", "shoe"), strict=False):
            made.learn(centre + RNG.normal(0, 0.3, (20, 8)), label)
        made.predict(STRANGE, remember=True, sources=[f"strange {i}" for i in range(8)])
        assert len(made.unknowns) == 8
        yield made


def piles(brain: Brain) -> list[tuple[int, tuple[int, ...], tuple[str | None, ...]]]:
    return [(group.number, group.members, group.sources) for group in brain.unknown_groups()]


def test_undoing_a_name_gives_the_group_back(brain: Brain, tmp_path: Path) -> None:
    before, digest = piles(brain), brain.digest()
    brain.name(before[0][0], "lamp")
    named = brain.digest()
    assert piles(brain) == before[1:]
    brain.undo()
    assert (piles(brain), brain.digest()) == (before, digest)
    with Brain.open(tmp_path / "brain", readonly=True) as follower:
        assert piles(follower) == before
    brain.name(before[0][0], "lamp")
    assert (brain.digest(), piles(brain)) == (named, before[1:])
    brain.close()
    assert verify(tmp_path / "brain") == []
    with Brain.open(tmp_path / "brain") as again:
        again.undo()
        assert (piles(again), again.digest()) == (before, digest)


def test_a_rollback_puts_all_back_and_one_forth_takes_them_again(brain: Brain) -> None:
    before, seq = piles(brain), brain.seq
    for group in before:
        brain.name(group[0], f"thing {group[0]}")
    named = brain.seq
    brain.rollback(seq)
    assert piles(brain) == before
    brain.rollback(named)
    assert piles(brain) == []
    brain.undo()
    assert piles(brain) == before


def test_what_waited_and_was_taught_from_elsewhere_comes_back_too(brain: Brain) -> None:
    before = piles(brain)
    brain.learn(STRANGE[:5], "lamp")
    assert len(brain.unknowns) == 3
    brain.undo()
    assert [members for _, members, _ in piles(brain)] == [members for _, members, _ in before]
    brain.learn(STRANGE[:1] + 0.5, "lamp")
    brain.undo()
    assert len(brain.unknowns) == 8  # it never waited there


def test_the_inbox_stays_within_its_limit_and_gives_no_number_twice(brain: Brain) -> None:
    group, other = piles(brain)
    brain.name(other[0], "lamp")
    brain.unknowns.limit = 6
    brain.undo()
    assert brain.unknowns.numbers == [3, 4, 5, 6, 7, 8]
    numbers = [one.number for one in brain.unknowns]
    brain.predict(STRANGE[:2] + 0.01, remember=True)
    assert len({*numbers, *brain.unknowns.numbers}) == len(numbers) + 2
    assert group[0] not in brain.unknowns.numbers


def test_where_the_disk_refuses_the_undo_the_inbox_stays_as_it_is(
    brain: Brain, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = piles(brain)
    brain.name(before[0][0], "lamp")
    with monkeypatch.context() as patched:
        patched.setattr(EventLog, "commit", lambda *_, **__: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            brain.undo()
    assert piles(brain) == before[1:]
    brain.undo()
    assert piles(brain) == before


def test_what_is_forgotten_after_the_undo_leaves_the_inbox(brain: Brain) -> None:
    group = piles(brain)[0]
    brain.name(group[0], "lamp")
    brain.undo()
    brain.forget(label="lamp")
    assert len(brain.unknowns) == 3


def test_what_waits_in_the_inbox_is_learned_whatever_a_gate_says_and_comes_back_when_that_is_undone(
    tmp_path: Path,
) -> None:
    with Brain.create(tmp_path / "gated", Bundle.of_vectors(8, largest=8.0), gate=0.01) as brain:
        for centre, label in zip(CENTRES, ("cup", "fern", "shoe"), strict=False):
            brain.learn(centre + RNG.normal(0, 0.3, (20, 8)), label)
        brain.predict(STRANGE, remember=True)
        before, digest = piles(brain), brain.digest()
        learned = brain.learn_examples(STRANGE, ["lamp"] * 5 + ["kite"] * 3)
        assert (len(learned.ids), len(brain.unknowns)) == (8, 0)
        brain.undo()
        assert (piles(brain), brain.digest()) == (before, digest)
