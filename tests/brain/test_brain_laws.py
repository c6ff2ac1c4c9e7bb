"""A brain keeps the laws of a learner, and its own promises about melding and forgetting, on any small history."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.brain import Brain, meld
from engram.checks import Check, learner_checks
from engram.features.backbones.vectors import VectorBackbone
from engram.learner import (
    Bounded,
    Digests,
    Forgets,
    InputError,
    LabelError,
    Learner,
    MeldError,
    Melds,
    NotTaughtError,
    Saves,
)

WIDTH = 4
LABELS = ("a", "b", "c")


def gated() -> Brain:
    return Brain(gate=0.3)


@pytest.mark.parametrize("check", learner_checks(), ids=str)
def test_keeps(check: Check) -> None:
    check(Brain)


@pytest.mark.parametrize("check", [check for check in learner_checks() if "forgotten" not in check.name], ids=str)
def test_behind_a_gate_keeps(check: Check) -> None:  # an example that the gate skipped cannot be forgotten
    check(gated)


def test_speaks_every_protocol_of_a_learner() -> None:
    brain = Brain()
    assert all(isinstance(brain, kind) for kind in (Learner, Forgets, Melds, Saves, Bounded, Digests))
    assert brain.exact
    assert not gated().exact


vectors = st.lists(
    st.lists(st.integers(-12, 12).map(lambda n: n / 8), min_size=WIDTH, max_size=WIDTH), min_size=1, max_size=6
)
batches = st.lists(st.tuples(vectors, st.sampled_from(LABELS)), min_size=1, max_size=4)
History = list[tuple[list[list[float]], str]]
quick = settings(max_examples=25, deadline=None)


def taught(*histories: History) -> Brain:
    brain = Brain()
    for history in histories:
        for inputs, label in history:
            brain.learn(inputs, label)
    return brain


@quick
@given(batches, batches, batches)
def test_melding_is_commutative_associative_idempotent_and_equals_learning_all(
    one: History, two: History, three: History
) -> None:
    a, b, c = taught(one), taught(two), taught(three)
    union = taught(one, two, three).digest()
    left, right = meld(meld(a, b), c), meld(a, meld(c, b))
    assert left.digest() == right.digest() == union
    left.meld(a, b, right)
    assert left.digest() == union


@quick
@given(batches, batches, batches)
def test_a_later_contribution_takes_the_place_of_the_earlier(one: History, two: History, more: History) -> None:
    a, b = taught(one), taught(two)
    together, earlier = meld(a, b), meld(a)
    for inputs, label in more:
        a.learn(inputs, label)
    together.meld(a)
    assert together.digest() == taught(one, two, more).digest()
    together.meld(earlier)  # old news
    assert together.digest() == taught(one, two, more).digest()


@quick
@given(batches, batches)
def test_forgetting_after_a_meld_equals_never_having_learned_whoever_taught_it(one: History, two: History) -> None:
    together = meld(taught(one), taught(two))
    inputs, label = two[-1]
    together.forget(inputs, label)
    assert together.digest() == taught(one, two[:-1]).digest()


@quick
@given(batches, batches)
def test_saving_a_state_and_going_on_is_the_same_as_going_on(one: History, two: History) -> None:
    brain = meld(taught(one), taught(two))
    again = Brain.from_state(brain.state())
    for mind in (brain, again):
        mind.learn([[0.5] * WIDTH], "z")
        mind.forget(*one[0])
        mind.rename("z", "y")
    assert brain.digest() == again.digest()
    assert {**brain.info(), "memory_bytes": 0} == {**again.info(), "memory_bytes": 0}


@quick
@given(batches)
def test_a_label_forgotten_is_as_if_never_taught(history: History) -> None:
    brain = taught(history)
    label = history[0][1]
    brain.forget(label=label)
    assert brain.digest() == taught([part for part in history if part[1] != label]).digest()


def pair() -> tuple[Brain, Brain, np.ndarray]:
    x = np.random.default_rng(0).uniform(-1, 1, (12, WIDTH))
    a, b = Brain(), Brain()
    a.learn(x[:6], ["cat", "dog"] * 3)
    b.learn(x[6:], ["cat", "fox"] * 3)
    return a, b, x


def test_what_was_never_taught_cannot_be_forgotten_and_nothing_changes() -> None:
    a, b, x = pair()
    together = meld(a, b)
    before, seq = together.digest(), together.seq
    for inputs, label in ((x[0], "dog"), (np.ones(WIDTH), "cat"), (x[[0, 0]], "cat"), (x[0], "owl")):
        with pytest.raises((NotTaughtError, LabelError)):
            together.forget(inputs, label)
    with pytest.raises(NotTaughtError):
        together.forget(label="owl")
    assert (together.digest(), together.seq) == (before, seq)


def test_an_example_is_forgotten_without_its_label_unless_it_has_several() -> None:
    brain = Brain()
    brain.learn([[1, 0], [0, 1]], ["right", "up"])
    brain.learn([1, 0], "east")
    brain.forget([0, 1])
    assert brain.labels == ("right", "east")
    with pytest.raises(LabelError, match=r"right.*east"):
        brain.forget([1, 0])


def test_a_forgotten_label_is_not_brought_back_by_an_old_device() -> None:
    a, b, _ = pair()
    a.forget(label="cat")
    report = a.meld(b)
    assert "cat" not in a.labels
    assert "cat" in b.labels
    assert any("cat" in note for note in report.notes)
    other = meld(b, a)
    assert other.digest() == a.digest()


def test_a_label_taught_again_after_it_was_forgotten_stays() -> None:
    a, b, x = pair()
    a.forget(label="cat")
    b.meld(a)  # b obeys the forget ...
    b.learn(x[:2], "cat")  # ... and learns the label anew
    a.meld(b)
    assert "cat" in a.labels
    assert a.digest() == b.digest()


def test_a_forgotten_example_is_not_brought_back_by_an_old_device() -> None:
    a, b, x = pair()
    together = meld(a, b)
    together.forget(x[6], "cat")
    without = together.digest()
    together.meld(b)  # b has nothing new: what is known of it stays as it is
    assert together.digest() == without
    b.learn(x[0], "fox")
    with pytest.raises(MeldError, match="forget them there first"):
        together.meld(b)
    with pytest.raises(MeldError, match="forget them there first"):
        b.meld(meld(together))
    assert together.digest() == without
    b.forget(x[6], "cat")
    together.meld(b)
    assert together.holds(x[[0, 6]]) == [2, 0]


def test_the_device_itself_learns_what_was_forgotten_of_it_elsewhere() -> None:
    a, b, x = pair()
    together = meld(a, b)
    together.forget(x[6], "cat")
    b.meld(together)
    assert b.digest() == together.digest()
    assert b.holds(x[[6]]) == [0]


def test_a_renamed_label_is_renamed_in_what_comes_later() -> None:
    a, b, x = pair()
    a.rename("cat", "felis")
    a.meld(b)
    assert set(a.labels) == {"felis", "dog", "fox"}
    assert a.digest() == meld(b, a).digest()
    a.forget(x[6], "felis")
    with pytest.raises(LabelError):
        a.rename("dog", "fox")
    with pytest.raises(LabelError):
        a.rename("dog", 5)  # type: ignore[arg-type]
    with pytest.raises(NotTaughtError):
        a.rename("owl", "strix")


def test_copies_that_learned_apart_under_one_id_are_refused_until_one_is_forked() -> None:
    a, b, x = pair()
    twin = Brain.from_state(a.state())
    a.learn(x[6], "cat")
    twin.learn(x[7], "cat")
    with pytest.raises(MeldError, match="fork"):
        a.meld(twin)
    forked = Brain.from_state(meld(b).state())
    assert forked.device != b.device
    copy = Brain.from_state(b.state())
    copy.fork()
    copy.learn(x[0], "owl")
    b.learn(x[1], "elk")
    assert set(meld(copy, b).labels) == {"cat", "fox", "owl", "elk"}


def test_a_backup_catches_up_with_its_brain() -> None:
    a, _, x = pair()
    backup = Brain.from_state(a.state())
    a.learn(x[6], "cat")
    backup.meld(a)
    assert backup.digest() == a.digest()
    backup.learn(x[7], "cat")  # and goes on as the same device
    a.meld(backup)
    assert backup.digest() == a.digest()


def test_brains_on_different_backbones_do_not_meld() -> None:
    a, _, _ = pair()
    b = Brain()
    b.learn(np.zeros((3, WIDTH + 1)), "x")
    with pytest.raises(MeldError, match="different backbones"):
        a.meld(b)
    with pytest.raises(MeldError):
        meld()
    numbers = Brain()
    numbers.learn(np.ones((1, WIDTH)), 3)
    with pytest.raises(MeldError):
        a.meld(numbers)


def test_a_gated_brain_forgets_what_it_learned_and_knows_nothing_of_what_it_skipped() -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal([1, 0, 0, 0], 0.05, (40, 4)), rng.normal([0, 1, 0, 0], 0.05, (40, 4))])
    y = ["one"] * 40 + ["two"] * 40
    order = rng.permutation(80)
    brain = gated()
    brain.learn(x[order], [y[i] for i in order])
    held = brain.holds(x, y)
    assert 4 <= sum(held) < 60
    skipped = held.index(0)
    with pytest.raises(NotTaughtError, match="gate"):
        brain.forget(x[skipped], y[skipped])
    learned = [i for i, times in enumerate(held) if times]
    brain.forget(x[learned], [y[i] for i in learned])
    assert brain.digest() == Brain().digest()


def test_melded_brains_behind_a_gate_still_add_up() -> None:
    a, b, _ = pair()
    gate, x = gated(), np.random.default_rng(5).uniform(-1, 1, (20, WIDTH))
    gate.learn(x[:10], ["cat"] * 10)
    gate.meld(a, b)
    gate.learn(x[10:], ["owl"] * 10)
    assert gate.digest() == meld(gate).digest()


def test_consolidating_changes_no_digest_with_or_without_other_devices() -> None:
    a, b, _ = pair()
    together = meld(a, b)
    together.learn(np.random.default_rng(3).uniform(-1, 1, (30, WIDTH)), "new")
    before = together.digest()
    together.consolidate()
    assert together.digest() == before == meld(together).digest()


def test_what_is_refused_decides_no_backbone() -> None:
    brain, x = Brain(), np.ones((1, WIDTH))
    with pytest.raises(LabelError):
        brain.learn(100 * x, ["more labels", "than inputs"])
    brain.quantised(x)
    assert brain.bundle is None
    with pytest.raises((InputError, LabelError)):
        brain.learn(x, float("nan"))
    brain.learn(np.ones((1, WIDTH + 1)), "of another width")


def test_brains_on_different_backbones_do_not_meld_in_an_untaught_one_either() -> None:
    backbones = (VectorBackbone(WIDTH), VectorBackbone(WIDTH, [1.0] * WIDTH, [2.0] * WIDTH), VectorBackbone(WIDTH + 1))
    parts = [Brain(backbone) for backbone in backbones]
    for part in parts:
        part.learn(np.ones((1, part.bundle.width if part.bundle else 0)), "cat")
    for others in (parts[:2], parts[1:]):
        untaught = Brain()
        for refused in (untaught.meld, lambda *brains: meld(Brain(), *brains)):
            with pytest.raises(MeldError, match="different backbones"):
                refused(*others)
        assert untaught.bundle is None


def test_a_backup_that_catches_up_keeps_its_gate() -> None:
    brain = gated()
    brain.learn(np.eye(WIDTH), ["cat"] * WIDTH)
    backup = Brain.from_state(brain.state())
    brain.learn(-np.eye(WIDTH), ["dog"] * WIDTH)
    backup.meld(brain)
    assert backup.digest() == brain.digest()
    for one in (brain, backup):
        one.learn(np.eye(WIDTH), ["cat"] * WIDTH)
    assert backup.digest() == brain.digest()
    assert brain.info()["examples"] < 3 * WIDTH


def test_sums_are_not_read_while_somebody_asks() -> None:
    """Asking adds up the examples that wait for a matrix product: read at that moment, they would count twice."""
    a, b, _ = pair()
    for read in (b.exact_sums, lambda: a.meld(b)):
        with b._knowledge.total._lock:
            reading = threading.Thread(target=read)
            reading.start()
            reading.join(0.1)
            assert reading.is_alive()
        reading.join(30)
    assert set(a.labels) >= set(b.labels)
