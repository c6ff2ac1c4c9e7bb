"""Negative teaching: what a label is not, in the fast head."""

from threading import RLock

import numpy as np
import pytest

from engram.checks import learner_checks
from engram.heads.fast import FastHead
from engram.learner import LabelError, MeldError, NotTaughtError

WIDTH = 12


def near(rng, centre, count, spread=0.15):
    return centre + spread * rng.standard_normal((count, len(centre)))


@pytest.fixture
def data():
    """Three kinds that are taught, and strangers that are taken for the first."""
    rng = np.random.default_rng(1)
    centres = np.eye(WIDTH)[:3]
    taught = np.concatenate([near(rng, centre, 12) for centre in centres])
    labels = np.repeat(["cup", "dog", "cat"], 12).tolist()
    strange = 0.8 * centres[0] + 0.6 * np.eye(WIDTH)[4]
    return taught, labels, near(rng, strange, 20, 0.08), np.concatenate([near(rng, centre, 20) for centre in centres])


def head_of(data, **options):
    head = FastHead(**options)
    head.learn(data[0], data[1])
    return head


def same(one, two):
    return all(np.array_equal(getattr(one, name), getattr(two, name), equal_nan=True)
               for name in ("scores", "known", "confidence", "focus", "familiarity"))


class Contrary(FastHead):
    """Learns with each example that its opposite is not of that label: two changes, between which nobody asks."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.both = RLock()

    def learn(self, inputs, targets):
        with self.both:
            super().learn(inputs, targets)
            self.learn_not(-np.asarray(inputs, np.float64), targets)

    def forget(self, inputs, targets):
        with self.both:
            super().forget(inputs, targets)
            self.forget_not(-np.asarray(inputs, np.float64), targets)

    def predict(self, inputs, among=None):
        with self.both:
            return super().predict(inputs, among)


@pytest.mark.parametrize("check", learner_checks(), ids=str)
def test_a_head_with_counterexamples_keeps(check):
    check(Contrary)


@pytest.mark.parametrize("normalise", [True, False])
def test_strangers_like_a_counterexample_are_not_taken_for_the_label_any_more(data, normalise):
    head = head_of(data, normalise=normalise, step=2.0**-10)
    strangers, known = data[2], data[3]
    before = head.predict(known)
    assert "cup" in head.predict(strangers).labels
    head.learn_not(strangers[:3], "cup")
    assert "cup" not in head.predict(strangers[:3]).labels
    assert head.predict(strangers[3:]).known.sum() < 5
    after = head.predict(known)
    assert (before.known & ~after.known).mean() <= 0.05
    assert after.scores[:, 1:].tobytes() == before.scores[:, 1:].tobytes()  # what else is known stays as it is


def test_a_counterexample_that_was_taught_as_something_else_is_known_as_that(data):
    head = head_of(data)
    strangers = data[2]
    head.learn_not(strangers[:1], "cup")
    assert head.predict(strangers[:1]).labels == [None]
    head.learn(strangers[:1], "mug")
    assert head.predict(strangers[:1]).labels == ["mug"]


def test_what_is_more_like_a_counterexample_than_like_anything_is_not_taken_for_the_next_label_either():
    rng = np.random.default_rng(2)
    centres = np.eye(WIDTH)[:3]
    head = FastHead(alpha=1e-6)
    for label, centre in zip(("cup", "dog", "cat"), centres, strict=True):
        head.learn(near(rng, centre, 12), [label] * 12)
    strangers = near(rng, 0.6 * centres[0] + 0.5 * centres[1] + 0.6 * np.eye(WIDTH)[4], 6, 0.02)
    assert head.predict(strangers).labels == ["cup"] * 6
    head.learn_not(strangers[0], "cup")
    assert head.predict(strangers).labels == [None] * 6
    assert set(head.predict(strangers).best) == {"dog"}
    head.learn(strangers[0], "dog")
    assert head.predict(strangers).labels == ["dog"] * 6


def test_unlearned_counterexamples_leave_no_trace(data):
    head = head_of(data)
    before, answers, state = head.digest(), head.predict(data[3]), head.state()
    head.learn_not(data[2][:3], ["cup", "dog", "cup"])
    assert head.digest() != before
    assert head.counterexamples == {"cup": 2, "dog": 1}
    head.forget_not(data[2][:3], ["cup", "dog", "cup"])
    assert head.digest() == before
    assert same(head.predict(data[3]), answers)
    assert sorted(head.state()) == sorted(state)


def test_only_what_is_a_counterexample_can_be_unlearned(data):
    head = head_of(data)
    head.learn_not(data[2][:1], "cup")
    before = head.digest()
    for rows, label in ((data[2][1:2], "cup"), (data[2][:1], "dog"), (data[2][[0, 0]], "cup")):
        with pytest.raises(NotTaughtError, match="never taught against"):
            head.forget_not(rows, label)
    assert head.digest() == before


def test_the_order_of_teaching_is_no_matter(data):
    one, two = FastHead(), FastHead()
    one.learn(data[0], data[1])
    one.learn_not(data[2][:4], ["cup", "dog", "cup", "cup"])
    two.learn_not(data[2][2:4], ["cup", "cup"])
    two.learn_not(data[2][1], "dog")
    two.learn(data[0][::-1], data[1][::-1])
    two.learn_not(data[2][0], "cup")
    assert one.digest() == two.digest()
    asked = np.concatenate([data[2], data[3]])
    assert one.predict(asked).labels == two.predict(asked).labels


def test_they_are_saved_copied_viewed_and_melded(data):
    head = head_of(data)
    head.learn_not(data[2][:3], ["cup", "dog", "cup"])
    asked = np.concatenate([data[2], data[3]])
    answers = head.predict(asked)
    one, two = FastHead(), FastHead()
    one.learn(data[0][:20], data[1][:20])
    one.learn_not(data[2][:1], "cup")
    two.learn_not(data[2][1:3], ["dog", "cup"])
    two.learn(data[0][20:], data[1][20:])
    one.meld(two)
    for other in (FastHead.from_state(head.state()), head.copy(), one):
        assert other.digest() == head.digest()
        assert other.counterexamples == head.counterexamples
        assert other.predict(asked).labels == answers.labels
    assert same(head.view().predict(asked), answers)
    alone = FastHead()
    alone.learn_not(data[2][:1], 7)
    with pytest.raises(MeldError):
        alone.meld(head)


def test_a_copy_learns_alone(data):
    head = head_of(data)
    head.learn_not(data[2][:1], "cup")
    before, copy = head.digest(), head.copy()
    copy.learn_not(data[2][1:2], "cup")
    copy.forget_not(data[2][:1], "cup")
    assert head.digest() == before


def test_they_follow_their_label(data):
    head = head_of(data)
    head.learn_not(data[2][:3], ["cup", "dog", "cup"])
    head.rename("cup", "mug")
    assert head.counterexamples == {"dog": 1, "mug": 2}
    head.forget_label("mug")
    assert head.counterexamples == {"dog": 1}
    only = FastHead()
    only.learn(data[0][12:], data[1][12:])
    only.learn_not(data[2][1], "dog")
    assert head.digest() == only.digest()
    with pytest.raises(LabelError):
        head.learn_not(data[2][:1], 7)


def test_where_every_label_in_question_is_ruled_out_nothing_is_known(data):
    head = head_of(data)
    head.learn_not(data[2][:1], "cup")
    head.learn(data[2][:1], "mug")
    answer = head.predict(data[2][:1], among=["cup"])
    assert (answer.labels, answer.confidence.tolist()) == ([None], [0.0])
    assert head.predict(data[2][:1], among=["cup", "mug"]).labels == ["mug"]


def test_digests_without_counterexamples_are_those_of_the_sums(data):
    head = head_of(data)
    assert head.digest() == head.exact_sums().digest(head.labels)
    assert not any(name.startswith("counterexample") for name in head.state())
