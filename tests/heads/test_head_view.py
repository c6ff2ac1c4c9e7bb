"""A view of a head is the head at that moment, to the bit, whatever the head does afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.heads.fast import FastHead
from engram.heads.fast.view import HeadView
from engram.learner import FloatArray, InputError, Label, LabelError, Predictions

WIDTH = 6
FIELDS = ("scores", "known", "confidence", "focus", "familiarity")


def make(width: int = WIDTH, **options: object) -> FastHead:
    return FastHead(mean=np.full(width, 0.02), covariance=np.eye(width) * 0.05, **options)  # type: ignore[arg-type]


def examples(count: int, seed: int, width: int = WIDTH, classes: int = 5) -> tuple[FloatArray, list[str]]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, width))
    places = rng.integers(classes, size=count)
    return centres[places] + 0.3 * rng.normal(size=(count, width)), [f"c{i}" for i in places]


def same(one: Predictions, two: Predictions) -> bool:
    return one.candidates == two.candidates and all(
        np.array_equal(getattr(one, name), getattr(two, name)) for name in FIELDS
    )


changes = st.lists(
    st.tuples(st.sampled_from(["learn", "many", "forget", "label", "consolidate", "rename", "rebuild"]),
              st.integers(0, 10_000)),
    min_size=1, max_size=12,
)


def change(head: FastHead, kind: str, seed: int) -> None:
    x, y = examples(60 if kind == "many" else 1, seed)
    if kind in ("learn", "many"):
        head.learn(x, y)
    elif kind == "forget":
        label = head.labels[seed % len(head.labels)]
        head.learn(x, [label])
        head.forget(x, [label])
    elif kind == "label" and len(head.labels) > 1:
        head.forget_label(head.labels[seed % len(head.labels)])
    elif kind == "consolidate":
        head.consolidate()
    elif kind == "rename":
        head.rename(head.labels[0], f"new {seed} {len(head.labels)} {head.counts}")
    elif kind == "rebuild":
        head.rebuild()


@pytest.mark.parametrize("readout", ["cosine", "linear", "priors", "prototypes", "kernel", "logistic"])
@pytest.mark.parametrize("width", [1, 2, 64, 256])
def test_a_few_are_answered_together_to_the_bit_as_each_is_alone(width: int, readout: str) -> None:
    head = make(width, readout=readout, normalise=False, step=0.01)
    head.learn(*examples(40, 0, width))
    head.predict(examples(1, 1, width)[0])
    head.learn(*examples(20, 2, width))  # kept as updates of the matrix, where it is wide enough for that
    view = head.view()
    assert view.together == 16
    asked = examples(64, 3, width)[0] * np.geomspace(1e-3, 20, 64)[:, None]
    for count in (2, 3, 16):
        for start in range(0, 64 - count, count):
            answers = view.predict(asked[start : start + count])
            for place in range(count):
                assert same(answers[place : place + 1], view.predict(asked[start + place]))


def test_wide_vectors_are_asked_about_one_by_one() -> None:
    head = make(257)
    head.learn(*examples(10, 0, 257))
    assert head.view().together == 1
    assert make().view().together == 1, "where nothing was taught"


@given(changes, st.sampled_from(["auto", "prototypes", "linear"]))
@settings(max_examples=60, deadline=None)
def test_a_view_answers_as_the_head_did_at_that_moment_and_goes_on_doing_so(
    story: list[tuple[str, int]], readout: str
) -> None:
    head, ask = make(readout=readout), examples(7, 1)[0]
    head.learn(*examples(30, 0))
    head.consolidate()
    views: list[tuple[HeadView, Predictions, Predictions, dict[Label, int]]] = []
    for kind, seed in story:
        change(head, kind, seed)
        view, some = head.view(), head.labels[::2]
        views.append((view, head.predict(ask), head.predict(ask[0], among=some), head.counts))
        assert view.labels == head.labels
    for view, then, among, counts in views:
        assert same(view.predict(ask), then)
        assert same(view.predict(ask[0], among=among.candidates), among)
        assert view.counts == counts


@pytest.mark.parametrize("width", [6, 520])  # wide features are fitted beside serving
def test_views_stay_as_they_are_while_another_thread_changes_the_head(width: int) -> None:
    head, ask = make(width), examples(5, 1, width)[0]
    head.learn(*examples(40, 0, width))
    taken: list[tuple[HeadView, Predictions]] = []
    stop = threading.Event()

    def teach() -> None:
        for i in range(200):
            x, y = examples(1 + 40 * (i % 50 == 49), i + 2, width)
            head.learn(x, y)
            if i % 3 == 0:
                head.forget(x[0], y[0])
            if i % 70 == 69:
                head.consolidate()
            if i % 4 == 0:
                with head._lock:
                    taken.append((head.view(), head.predict(ask)))
        stop.set()

    teaching = threading.Thread(target=teach)
    teaching.start()
    asked, wrong = 0, 0
    while not stop.is_set() or asked < 200:
        for view, then in taken[-8:]:
            asked, wrong = asked + 1, wrong + (not same(view.predict(ask), then))
    teaching.join()
    assert wrong == 0
    assert all(same(view.predict(ask), then) for view, then in taken)


def test_a_view_shares_the_precision_and_copies_only_what_grows_with_the_classes() -> None:
    head = make(64)
    head.learn(*examples(80, 0, 64))
    one, two = head.view(), head.view()
    assert one._reading is not None
    assert two._reading is not None
    assert np.shares_memory(one._reading.metric.base, two._reading.metric.base)
    assert not np.shares_memory(one._reading.classes.sums, head.sums.sums)


def test_a_view_has_done_what_was_due_so_that_asking_it_computes_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = make()
    head.learn(*examples(200, 0))
    view = head.view()

    def refuse(*_: object) -> None:
        raise AssertionError("asked the read-out")

    monkeypatch.setattr(type(head._readout), "sample", refuse)
    monkeypatch.setattr(type(head._readout), "discriminant", refuse)
    assert len(view.predict(examples(3, 1)[0])) == 3


def test_a_view_of_nothing_answers_nothing_i_know() -> None:
    view = FastHead().view()
    assert view.predict([1.0, 2.0]).labels == [None]
    assert (view.labels, view.counts) == ((), {})


@pytest.mark.parametrize(("error", "ask"), [
    (InputError, lambda view: view.predict(np.zeros(WIDTH + 1))),
    (InputError, lambda view: view.predict(np.full(WIDTH, np.nan))),
    (LabelError, lambda view: view.predict(np.ones(WIDTH), among=["nobody"])),
])
def test_a_view_refuses_what_the_head_refuses(error: type[Exception], ask: Callable[[HeadView], object]) -> None:
    head = make()
    head.learn(*examples(20, 0))
    with pytest.raises(error):
        ask(head.view())
