"""How much of what is known may be refused can be changed at any time: it lasts like every other change."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engram.brain import Brain, acting
from engram.brain.both_errors import percent
from engram.brain.repair import repair, verify
from engram.learner import InputError, NotTaughtError

RNG = np.random.default_rng(0)
NAMES = ("cup", "fern", "shoe")
POINTS = {name: at + RNG.normal(0, 0.5, (20, 8)) for name, at in zip(NAMES, RNG.normal(size=(3, 8)), strict=True)}


def taught(brain: Brain) -> Brain:
    for name, points in POINTS.items():
        brain.learn(points, name)
    return brain


@pytest.fixture
def brain(tmp_path: Path) -> Iterator[Brain]:
    with taught(Brain.create(tmp_path / "brain")) as made:
        yield made


def reopened(brain: Brain, *, from_log: bool = False) -> Brain:
    """The same brain, by its snapshot or by its log alone."""
    home = brain._ledger.path
    brain.save()
    brain.close()
    assert verify(home) == []
    if from_log:
        for snapshot in home.glob("snapshot-*"):
            snapshot.unlink()
        repair(home)
    return Brain.open(home)


def refused(brain: Brain, name: str = "cup") -> float:
    """The share of many inputs around a label that is nothing it knows."""
    middle = POINTS[name].mean(axis=0)
    return float(1 - brain.predict(middle + np.random.default_rng(1).normal(0, 0.5, (400, 8))).known.mean())


def test_a_larger_share_refuses_more_at_once_and_for_one_label_alone(brain: Brain) -> None:
    brain.publish()
    before = refused(brain), refused(brain, "fern")
    brain.set_alpha(0.4, "cup")
    assert refused(brain) > before[0] + 0.1
    assert refused(brain, "fern") == before[1]
    brain.set_alpha(0.4)
    assert refused(brain, "fern") > before[1] + 0.1
    assert (brain.alpha, brain.alphas, brain.options["alpha"]) == (0.4, {"cup": 0.4}, 0.4)


@pytest.mark.parametrize("from_log", [False, True])
def test_it_is_there_when_the_brain_is_opened_again(brain: Brain, from_log: bool) -> None:
    brain.set_alpha(0.2)
    brain.set_alpha(0.4, "cup")
    brain.rename("cup", "mug")
    answers = refused(brain)
    with reopened(brain, from_log=from_log) as again:
        assert (again.alpha, again.alphas, refused(again)) == (0.2, {"mug": 0.4}, answers)


def test_a_brain_in_memory_takes_it_along(tmp_path: Path) -> None:
    brain = taught(Brain(alpha=0.05))
    brain.set_alpha(0.1)
    brain.set_alpha(0.3, "fern")
    copy = Brain.from_state(brain.state())
    brain.save(tmp_path / "brain")
    with Brain.open(tmp_path / "brain") as saved:
        assert [(one.alpha, one.alphas) for one in (brain, copy, saved)] == [(0.1, {"fern": 0.3})] * 3


def test_labels_may_be_numbers(tmp_path: Path) -> None:
    with Brain.create(tmp_path / "brain") as brain:
        brain.learn(POINTS["cup"], 7)
        brain.learn(POINTS["fern"], 8)
        brain.set_alpha(0.3, 7)
        with reopened(brain) as again:
            assert again.alphas == {7: 0.3}


def test_an_export_tells_of_it_and_an_import_leaves_it_as_it_is(brain: Brain) -> None:
    brain.set_alpha(0.2)
    file = io.StringIO()
    brain.export(file)
    assert "20% of what is known may be refused" in file.getvalue()
    other = Brain(brain.bundle, alpha=0.1)
    other.import_events(io.StringIO(file.getvalue()))
    assert (other.digest(), other.alpha) == (brain.digest(), 0.1)


def test_it_can_be_set_before_anything_is_taught(tmp_path: Path) -> None:
    with Brain.create(tmp_path / "brain") as brain:
        brain.set_alpha(0.2)
        taught(brain)
        assert brain.alpha == 0.2
        other = Brain()
        other.meld(brain)
        with reopened(brain, from_log=True) as again:
            assert again.alpha == 0.2
            again.learn(POINTS["cup"][0], "cup")
            other.meld(again)  # the same brain, later
            assert other.digest() == again.digest()


def test_it_can_be_undone_and_rolled_back(brain: Brain) -> None:
    before, answers = brain.seq, refused(brain)
    brain.set_alpha(0.2)
    brain.set_alpha(0.4, "cup")
    assert brain.undo().kind == "alpha set"
    assert (brain.alpha, brain.alphas) == (0.2, {})
    brain.rollback(before)
    assert (brain.alpha, brain.alphas, refused(brain)) == (0.02, {}, answers)
    brain.undo()
    with reopened(brain, from_log=True) as again:
        assert (again.alpha, again.alphas, again.at(before).alpha) == (0.2, {}, 0.02)


def test_history_says_what_was_set_and_by_whom(brain: Brain) -> None:
    with acting("ada"):
        brain.set_alpha(0.015)
    brain.set_alpha(0.1, "cup")
    brain.set_alpha(0.1, "cup")  # which changes nothing
    said = [(entry.kind, entry.teacher, entry.note) for entry in brain.history(limit=2)]
    assert said == [("alpha set", None, "10% of cup may be refused"),
                    ("alpha set", "ada", "1.5% of what is known may be refused")]


def test_a_follower_sees_it(brain: Brain) -> None:
    with Brain.open(brain._ledger.path, readonly=True) as follower:
        brain.set_alpha(0.3)
        brain.set_alpha(0.1, "shoe")
        assert follower.refresh()
        assert (follower.alpha, follower.alphas) == (0.3, {"shoe": 0.1})


def test_what_it_is_about_is_forgotten_with_its_name(brain: Brain) -> None:
    brain.set_alpha(0.4, "cup")
    brain.rename("cup", "mug")
    brain.forget(label="mug")
    assert (brain.alphas, brain.history()[1].kind) == ({}, "renamed")
    brain.save()
    files = [file.read_bytes() for file in brain._ledger.path.rglob("*") if file.is_file()]
    assert not any(name in content for content in files for name in (b'"mug"', b'"cup"'))
    brain.learn(POINTS["cup"], "cup")
    assert brain.alphas == {}
    with reopened(brain, from_log=True) as again:
        assert again.alphas == {}


def test_a_label_whose_last_example_is_forgotten_leaves_no_setting(brain: Brain) -> None:
    brain.set_alpha(0.4, "cup")
    brain.forget(POINTS["cup"])
    brain.save()
    files = [file.read_bytes() for file in brain._ledger.path.rglob("*") if file.is_file()]
    assert not any(b'"cup"' in content for content in files)
    with reopened(brain, from_log=True) as again:
        assert again._knowledge.alphas == {}


def test_a_label_that_was_corrected_away_has_its_own_again_when_it_is_taught_again(brain: Brain) -> None:
    brain.set_alpha(0.4, "cup")
    brain.relabel([one.id for one in brain.examples("cup")], "mug")
    assert brain.alphas == {}
    brain.learn(POINTS["cup"], "cup")
    assert (brain.alphas, brain._knowledge.total.config()["alphas"]) == ({"cup": 0.4}, [("cup", 0.4)])


def test_a_label_keeps_it_when_some_of_its_examples_are_forgotten(brain: Brain) -> None:
    brain.set_alpha(0.4, "cup")
    brain.learn(POINTS["fern"][0] + 0.1, "cup")
    brain.forget(POINTS["cup"], "cup")
    assert brain.alphas == {"cup": 0.4}
    answers = refused(brain)
    with reopened(brain, from_log=True) as again:
        assert (again.alphas, refused(again)) == ({"cup": 0.4}, answers)


def test_a_melded_brain_keeps_its_own_and_follows_renames_made_elsewhere(brain: Brain) -> None:
    other = Brain(alpha=0.3)
    other.learn(RNG.normal(3, 0.5, (5, 8)), "lamp")
    brain.meld(other)
    brain.set_alpha(0.2, "lamp")
    brain.set_alpha(0.1, "cup")
    other.rename("lamp", "torch")
    brain.meld(other)
    answers = refused(brain)
    assert (brain.alpha, brain.alphas, other.alphas) == (0.02, {"torch": 0.2, "cup": 0.1}, {})
    with reopened(brain, from_log=True) as again:
        assert (again.alpha, again.alphas, refused(again)) == (0.02, {"torch": 0.2, "cup": 0.1}, answers)
        other.forget(label="torch")
        again.meld(other)
        assert again.alphas == {"cup": 0.1}


def test_what_is_refused_leaves_no_trace(brain: Brain) -> None:
    seq = brain.seq
    with pytest.raises(InputError, match="between 0 and 1"):
        brain.set_alpha(2)
    with pytest.raises(NotTaughtError, match="never taught"):
        brain.set_alpha(0.1, "lamp")
    assert (brain.seq, brain.alpha, brain.alphas) == (seq, 0.02, {})


def test_both_errors_are_told(brain: Brain) -> None:
    for name in ("lid", "pan"):
        brain.learn(RNG.normal(size=8) + RNG.normal(0, 0.5, (20, 8)), name)
    curve = brain.error_rates()
    assert [rates.alpha for rates in curve] == sorted(rates.alpha for rates in curve)
    taken = [rates.accepted for rates in curve]
    assert taken == sorted(taken, reverse=True)
    found = brain.info()
    assert (found["alpha"], found["refused"]) == (0.02, 0.02)
    assert found["errors"] == (
        f"2% of what I know will be refused; of strangers like your other classes, {percent(found['accepted'])} would "
        "still be taken for something (judged by 5 labels: between "
        f"{percent(found['accepted_between'][0])} and {percent(found['accepted_between'][1])})."
    )
    brain.set_alpha(0.3, "cup")
    assert brain.info()["errors"].endswith("By its own setting, 30% of cup may be refused.")


def test_with_few_classes_no_share_of_strangers_is_told_but_how_many_it_needs() -> None:
    brain = Brain()
    assert (brain.error_rates(), brain.info()["errors"]) == ([], None)
    for count, name in enumerate(("cup", "fern", "lid", "pan", "pot"), 1):
        brain.learn(RNG.normal(size=8) + RNG.normal(0, 0.2, (10, 8)), name)
        found = brain.info()
        few = count < 5
        assert [math.isnan(rates.accepted) for rates in brain.error_rates()] == [few] * 10
        assert (found["accepted"] is None, found["accepted_needs"]) == (few, 5 if few else None)
        assert (found["accepted_between"] is None) == few
        assert (f"that needs 5 labels, and there {'is' if count == 1 else 'are'} {count}." in found["errors"]) == few


def test_each_class_counts_as_half_a_stranger_in_how_sure_the_share_of_strangers_is(brain: Brain) -> None:
    """Wilson's interval is where a share lies from which what was seen deviates by no more than 1.645 deviations."""
    for name in ("lid", "pan"):
        brain.learn(RNG.normal(size=8) + RNG.normal(0, 0.5, (20, 8)), name)
    for rates in brain.error_rates():
        for end in (rates.least, rates.most):
            deviation = math.sqrt(end * (1 - end) / (len(brain.labels) / 2))
            assert abs(rates.accepted - end) == pytest.approx(1.6449 * deviation, rel=1e-3, abs=1e-6)
