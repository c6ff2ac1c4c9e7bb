"""What a label is not: a change like every other, which lasts, is undone, forgotten, exported, melded, followed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engram.brain import Brain
from engram.brain.certificate import prove_forgotten, prove_meld
from engram.brain.repair import verify
from engram.features.backbones.bundle import Bundle
from engram.learner import InputError, LabelError, NotTaughtError

RNG = np.random.default_rng(0)
CENTRES = 3 * np.eye(8)
NAMES = ("cup", "fern", "shoe")
POINTS = {name: centre + RNG.normal(0, 0.5, (20, 8)) for name, centre in zip(NAMES, CENTRES, strict=False)}
STRANGE = CENTRES[0] + 0.4 * CENTRES[5] + RNG.normal(0, 0.1, (12, 8))
NOT_CUPS, OTHERS = STRANGE[:3], STRANGE[3:]
BUNDLE = Bundle.of_vectors(8, largest=8.0)


def taught(brain: Brain) -> Brain:
    for name, points in POINTS.items():
        brain.learn(points, name, teacher="ada")
    return brain


@pytest.fixture
def brain(tmp_path: Path) -> Iterator[Brain]:
    with taught(Brain.create(tmp_path / "brain", BUNDLE)) as made:
        yield made


def reopened(brain: Brain, *, from_log: bool = False) -> Brain:
    """The same brain, by its snapshot or by its log alone."""
    home = brain._ledger.path
    brain.save()
    brain.close()
    assert verify(home) == []
    opened = Brain.open(home)
    if from_log:
        opened._knowledge = opened._ledger.recover(snapshots=False)
    return opened


def cups(brain: Brain) -> int:
    return brain.predict(OTHERS).labels.count("cup")


def folder_holds(brain: Brain, content: bytes) -> bool:
    home = brain._ledger.path
    return any(content in file.read_bytes() for file in home.rglob("*") if file.is_file())


def row(brain: Brain, points: np.ndarray) -> bytes:
    return brain.quantised(points).astype("<i2").tobytes()


def test_what_is_like_a_counterexample_is_not_called_so(brain: Brain) -> None:
    assert cups(brain) > 6
    known = {name: brain.predict(points).labels for name, points in POINTS.items()}
    learned = brain.learn_not(NOT_CUPS, "cup")
    assert len(learned.ids) == 3
    assert brain.counterexamples == {"cup": 3}
    assert cups(brain) <= 3
    assert brain.predict(NOT_CUPS).labels == [None] * 3
    assert {name: brain.predict(points).labels for name, points in POINTS.items()} == known
    brain.learn(NOT_CUPS, "mug")
    assert brain.predict(NOT_CUPS).labels == ["mug"] * 3


@pytest.mark.parametrize("from_log", [False, True])
def test_it_is_there_when_the_brain_is_opened_again(brain: Brain, from_log: bool) -> None:
    brain.learn_not(NOT_CUPS, "cup")
    digest, answers = brain.digest(), brain.predict(STRANGE)
    with reopened(brain, from_log=from_log) as again:
        assert again.digest() == digest
        assert again.predict(STRANGE).scores.tobytes() == answers.scores.tobytes()
        assert again.counterexamples == {"cup": 3}
    in_memory = Brain.from_state(again.state())
    assert (in_memory.digest(), in_memory.counterexamples) == (digest, {"cup": 3})


def test_history_tells_it_and_undo_takes_it_back(brain: Brain) -> None:
    before = brain.digest()
    brain.learn_not(NOT_CUPS, "cup", teacher="bob")
    entry = brain.history()[0]
    assert (entry.kind, entry.labels, entry.teacher) == ("taught not", {"cup": 3}, "bob")
    brain.undo()
    assert brain.digest() == before
    brain.rollback(entry.seq)
    assert brain.counterexamples == {"cup": 3}
    with reopened(brain, from_log=True) as again:
        assert again.counterexamples == {"cup": 3}


@pytest.mark.parametrize("how", ["content", "ids", "teacher"])
def test_it_is_forgotten_for_good(brain: Brain, how: str) -> None:
    before = brain.digest()
    learned = brain.learn_not(NOT_CUPS, "cup", teacher="bob")
    content = row(brain, NOT_CUPS[:1])
    assert folder_holds(brain, content)
    if how == "content":
        brain.forget_not(NOT_CUPS, "cup")
    else:
        brain.forget(**({"ids": learned.ids} if how == "ids" else {"teacher": "bob"}))
    assert brain.digest() == before
    assert not folder_holds(brain, content)
    with reopened(brain, from_log=True) as again:
        assert (again.digest(), again.counterexamples) == (before, {})
    assert brain.edicts[-1].after == before


def test_a_teacher_is_forgotten_with_examples_and_counterexamples(brain: Brain) -> None:
    before = brain.digest()
    brain.learn(OTHERS[:2], "mug", teacher="bob")
    brain.learn_not(NOT_CUPS, ["cup", "mug", "shoe"], teacher="bob")
    brain.forget(teacher="bob")
    assert (brain.digest(), brain.counterexamples) == (before, {})


def test_it_goes_with_its_label_and_follows_a_rename(brain: Brain) -> None:
    brain.learn_not(NOT_CUPS, ["cup", "cup", "fern"])
    content = row(brain, NOT_CUPS[:1])
    brain.rename("cup", "beaker")
    assert brain.counterexamples == {"beaker": 2, "fern": 1}
    brain.forget(label="beaker")
    assert brain.counterexamples == {"fern": 1}
    assert not folder_holds(brain, content)
    assert not folder_holds(brain, b'"cup"')
    digest = brain.digest()
    with reopened(brain, from_log=True) as again:
        assert again.digest() == digest


def test_a_label_whose_examples_are_forgotten_one_by_one_keeps_its_counterexamples_until_it_is_forgotten(
    brain: Brain,
) -> None:
    brain.learn_not(NOT_CUPS, "cup")
    brain.forget(POINTS["cup"], "cup")
    assert ("cup" in brain.labels, brain.counterexamples) == (False, {"cup": 3})
    with reopened(brain, from_log=True) as again:
        assert again.counterexamples == {"cup": 3}
        again.forget(label="cup")
        assert again.counterexamples == {}
        assert not folder_holds(again, b'"cup"')


def test_what_is_refused_changes_nothing(brain: Brain) -> None:
    brain.learn_not(NOT_CUPS[:1], "cup")
    digest, seq = brain.digest(), brain.seq
    for refused, error in (
        (lambda: brain.learn_not(NOT_CUPS, "mug"), NotTaughtError),
        (lambda: brain.learn_not(NOT_CUPS, ["cup"]), LabelError),
        (lambda: brain.learn_not(np.full((1, 8), np.nan), "cup"), InputError),
        (lambda: brain.forget_not(NOT_CUPS[1], "cup"), NotTaughtError),
        (lambda: brain.forget_not(NOT_CUPS[0], "fern"), NotTaughtError),
        (lambda: brain.relabel([seq], "fern"), NotTaughtError),
    ):
        with pytest.raises(error):
            refused()
    assert (brain.digest(), brain.seq) == (digest, seq)


def test_it_is_exported_and_imported(brain: Brain, tmp_path: Path) -> None:
    brain.learn_not(NOT_CUPS, ["cup", "cup", "fern"], teacher="bob")
    out = io.StringIO()
    header = brain.export(out)
    assert (header.examples, header.counterexamples, header.whole) == (60, 3, True)
    with Brain.create(tmp_path / "other", BUNDLE) as other:
        for taught_then in (63, 0):
            found = other.import_events(io.StringIO(out.getvalue()))
            assert found.taught == taught_then
            assert other.digest() == brain.digest()
        other.forget_not(NOT_CUPS[0], "cup")
        assert other.import_events(io.StringIO(out.getvalue())).forgotten == 1
        assert other.counterexamples == {"cup": 1, "fern": 1}
    with pytest.raises(InputError, match="of 3 counterexamples"):
        other.import_events(io.StringIO("\n".join(out.getvalue().splitlines()[:-1])))


def test_it_is_melded_with_what_it_is_about(brain: Brain, tmp_path: Path) -> None:
    with Brain.create(tmp_path / "other", BUNDLE) as other:
        other.meld(brain)
        other.learn_not(NOT_CUPS, "cup")  # its own counterexamples of what another device taught
        brain.meld(other)
        assert brain.counterexamples == {"cup": 3}
        assert brain.digest() == other.digest()
        with pytest.raises(NotTaughtError, match="another device"):
            brain.forget_not(NOT_CUPS, "cup")
        prove_meld(brain, {"one": other}, tmp_path / "proof")
        other.forget_not(NOT_CUPS[:1], "cup")
        brain.meld(other)
        assert brain.counterexamples == {"cup": 2}
        brain.forget(label="cup")
        other.meld(brain)
        assert (other.counterexamples, other.labels) == ({}, ("fern", "shoe"))
    digest = brain.digest()
    with reopened(brain, from_log=True) as again:
        assert again.digest() == digest


def test_a_follower_sees_it(brain: Brain) -> None:
    with Brain.open(brain._ledger.path, readonly=True) as follower:
        brain.learn_not(NOT_CUPS, "cup")
        assert follower.refresh()
        assert (follower.digest(), follower.counterexamples) == (brain.digest(), {"cup": 3})


def test_it_stays_when_old_examples_are_let_go_and_can_be_forgotten_then(tmp_path: Path) -> None:
    with Brain.create(tmp_path / "small", BUNDLE, memory_budget=16 * 40) as brain:
        brain.learn(POINTS["cup"], "cup")
        brain.learn_not(NOT_CUPS, "cup")
        for _ in range(3):
            taught(brain)
        assert any(event.kind == "checkpoint" for event in brain._ledger.timeline().rare)
        assert brain.counterexamples == {"cup": 3}
        brain.forget_not(NOT_CUPS[:1], "cup")
        assert brain.counterexamples == {"cup": 2}
        digest = brain.digest()
        with reopened(brain, from_log=True) as again:
            assert (again.digest(), again.counterexamples) == (digest, {"cup": 2})
            again.forget(label="cup")
            assert not folder_holds(again, row(again, NOT_CUPS[1:2]))


def test_a_certificate_of_forgetting_holds_beside_counterexamples(brain: Brain, tmp_path: Path) -> None:
    brain.learn_not(NOT_CUPS, "cup")
    brain.forget(POINTS["shoe"][:2], "shoe")
    proof = prove_forgotten(brain, tmp_path / "proof", examples=POINTS["shoe"][:2], labels="shoe")
    assert proof["sums"][0]["digest"] == brain.sums_digest() != brain.digest()
