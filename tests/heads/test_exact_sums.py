"""Exact sums against sums of int64, across every count at which they are added up another way."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.heads import exact_sums as module
from engram.heads.exact_sums import ExactSums
from engram.heads.quantisation import LIMIT
from engram.learner import CapacityError

WIDTH = 3


class Reference:
    """The same sums by arithmetic that cannot round: int64 arrays, one example at a time."""

    def __init__(self, width=WIDTH):
        self.width, self.rows, self.classes = width, [], []

    def add(self, rows, classes):
        self.rows += [tuple(int(value) for value in row) for row in rows]
        self.classes += [int(place) for place in classes]

    def subtract(self, rows, classes):
        for row, place in zip(rows, classes, strict=True):
            found = list(zip(self.rows, self.classes, strict=True)).index((tuple(int(v) for v in row), int(place)))
            del self.rows[found], self.classes[found]

    def arrays(self, classes):
        x = np.array(self.rows, np.int64).reshape(-1, self.width)
        places = np.array(self.classes, np.int64)
        counts = np.array([(places == place).sum() for place in range(classes)])
        sums = np.array([x[places == place].sum(axis=0) for place in range(classes)]).reshape(classes, self.width)
        return counts, sums, x.T @ x

    def digest(self, labels):
        counts, sums, gram = self.arrays(len(labels))
        order = sorted((place for place in range(len(labels)) if counts[place]), key=lambda place: labels[place])
        total = hashlib.sha256()
        for place in order:
            total.update(f"{json.dumps(labels[place])} {counts[place]}\n".encode())
        if order:
            total.update(sums[order].astype("<i8").tobytes() + gram.astype("<i8").tobytes())
        return total.hexdigest()


def check(sums, reference):
    """Everything that is read off the sums, against what it is by definition."""
    counts, totals, gram = reference.arrays(len(sums.counts))
    assert sums.gram().tolist() == gram.tolist()
    assert sums.counts.tolist() == counts.tolist()
    assert sums.sums.tolist() == totals.tolist()
    assert sums.total == counts.sum()
    assert sums.classes == (counts > 0).sum()
    assert sums.degrees == counts.sum() - (counts > 0).sum()
    labels = [f"label {len(counts) - place}" for place in range(len(counts))]
    assert sums.digest(labels) == reference.digest(labels)


def rows_of(rng, count, width=WIDTH):
    return rng.integers(-LIMIT, LIMIT + 1, (count, width)).astype(np.float64)


WAITING = module._PENDING


@pytest.mark.parametrize("count", [1, 2, WAITING - 1, WAITING, WAITING + 1, 2 * WAITING + 3])
def test_one_by_one_is_all_at_once_however_many_wait(count):
    rng = np.random.default_rng(count)
    rows, classes = rows_of(rng, count), rng.integers(0, 4, count)
    singles, together, reference = ExactSums(WIDTH), ExactSums(WIDTH), Reference()
    for place in range(count):
        singles.add(rows[place : place + 1], classes[place : place + 1])
    together.add(rows, classes)
    reference.add(rows, classes)
    check(singles, reference)
    check(together, reference)


@pytest.mark.parametrize("operation", ["subtract", "drop", "merge", "merged", "copy", "state", "scatter", "digest"])
def test_examples_that_wait_count_in_whatever_comes_next(operation):
    """Single examples wait for one matrix product: nothing may be done as if they were not there."""
    rng = np.random.default_rng(1)
    rows, classes = rows_of(rng, 9), np.array([0, 1, 2] * 3)
    sums, reference = ExactSums(WIDTH), Reference()
    for place in range(9):
        sums.add(rows[place : place + 1], classes[place : place + 1])
    reference.add(rows, classes)
    if operation == "subtract":
        sums.subtract(rows[:1], classes[:1])
        reference.subtract(rows[:1], classes[:1])
    elif operation == "drop":
        mine = rows[classes == 2]
        sums.drop(2, mine.T @ mine)
        reference.subtract(mine, [2] * 3)
    elif operation in ("merge", "merged"):
        other = ExactSums(WIDTH)
        other.add(rows[:1], np.array([0]))
        if operation == "merge":
            sums.merge(other, np.array([1]))
            reference.add(rows[:1], [1])
        else:
            other.merge(sums, np.array([0, 1, 2]))
            reference.add(rows[:1], [0])
            sums = other
    elif operation == "copy":
        sums = sums.copy()
    elif operation == "state":
        sums = ExactSums.from_state(sums.state())
    elif operation == "scatter":
        centred = rows - np.array([rows[classes == place].mean(axis=0) for place in range(3)])[classes]
        np.testing.assert_allclose(sums.scatter(), centred.T @ centred, rtol=1e-9)
    check(sums, reference)


@pytest.mark.parametrize("count", [module._PORTION - 1, module._PORTION, module._PORTION + 1, 2 * module._PORTION + 5])
@pytest.mark.parametrize("classes", [1, module._FEW, module._FEW + 1, 300])
def test_large_batches_are_added_whole_by_either_way(count, classes):
    rng = np.random.default_rng(count + classes)
    rows, places = rows_of(rng, count), rng.integers(0, classes, count)
    sums, reference = ExactSums(WIDTH), Reference()
    sums.add(rows.astype(np.int16) if count % 2 else rows, places)
    reference.add(rows, places)
    check(sums, reference)
    sums.subtract(rows[: count // 2], places[: count // 2])
    reference.rows, reference.classes = reference.rows[count // 2 :], reference.classes[count // 2 :]
    check(sums, reference)


def test_room_for_classes_grows_and_loses_nothing():
    sums, reference = ExactSums(WIDTH), Reference()
    for place in (0, 3, 4, 9, 40, 2):
        row = rows_of(np.random.default_rng(place), 1)
        sums.add(row, np.array([place]))
        reference.add(row, [place])
        check(sums, reference)


def test_how_many_classes_have_examples_is_counted_anew_after_every_change():
    row = rows_of(np.random.default_rng(4), 1)
    sums, other = ExactSums(WIDTH), ExactSums(WIDTH)
    changes = [
        (lambda: sums.add(row, np.array([0])), 1),
        (lambda: sums.add(row, np.array([3])), 2),
        (lambda: sums.add(np.repeat(row, 2, 0), np.array([1, 2])), 4),
        (lambda: sums.subtract(row, np.array([3])), 3),
        (lambda: other.add(row, np.array([0])), 3),
        (lambda: sums.merge(other, np.array([5])), 4),
        (lambda: sums.merge(other, np.array([5]), -1), 3),
        (lambda: sums.drop(1, row.T @ row), 2),
    ]
    for change, classes in changes:
        change()
        assert sums.classes == classes


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_class_that_is_dropped_takes_its_examples_and_place_with_it(place):
    rng = np.random.default_rng(place)
    rows, classes = rows_of(rng, 12), np.array([0, 1, 2] * 4)
    sums, left = ExactSums(WIDTH), ExactSums(WIDTH)
    sums.add(rows, classes)
    mine, others = rows[classes == place], classes != place
    moved = classes[others] - (classes[others] > place)
    left.add(rows[others], moved)
    assert sums.classes == 3  # counted before: the count has to be made anew
    sums.drop(place, mine.T @ mine)
    assert len(sums.counts) == len(sums.sums) == 2
    reference = Reference()
    reference.add(rows[others], moved)
    check(sums, reference)
    assert sums.digest(["a", "b"]) == left.digest(["a", "b"])
    sums.add(rows[:1], np.array([2]))  # a new class takes the room that became free
    reference.add(rows[:1], [2])
    check(sums, reference)


@pytest.mark.parametrize("sign", [1, -1])
def test_merging_adds_another_ones_sums_at_their_places_and_leaves_it_as_it_was(sign):
    rng = np.random.default_rng(7)
    rows, classes = rows_of(rng, 10), rng.integers(0, 3, 10)
    sums, other, reference = ExactSums(WIDTH), ExactSums(WIDTH), Reference()
    for place in range(10):  # what waits in the other one counts too
        other.add(rows[place : place + 1], classes[place : place + 1])
    places = np.array([4, 0, 2])
    sums.add(rows[:5], np.array([0, 1, 2, 3, 4]))
    reference.add(rows[:5], [0, 1, 2, 3, 4])
    before = other.digest(["x", "y", "z"])
    if sign < 0:
        sums.merge(other, places)
        reference.add(rows, places[classes])
        assert sums.classes
        reference.subtract(rows, places[classes])
    else:
        assert sums.classes == 5
        reference.add(rows, places[classes])
    sums.merge(other, places, sign)
    check(sums, reference)
    assert other.digest(["x", "y", "z"]) == before
    nothing = ExactSums(WIDTH)
    sums.merge(nothing, np.array([], np.intp))
    check(sums, reference)


def test_a_copy_and_a_state_share_nothing_with_the_original():
    rows, classes = rows_of(np.random.default_rng(2), 6), np.array([0, 1, 1, 2, 0, 2])
    sums, reference = ExactSums(WIDTH), Reference()
    sums.add(rows, classes)
    reference.add(rows, classes)
    untouched, copies = sums.copy(), [sums.copy(), ExactSums.from_state(sums.state())]
    own = sums.copy()
    own.add(rows, classes)  # first the copy changes, then ...
    check(sums, reference)
    check(untouched, reference)
    for each in copies:
        each.add(rows, classes)
        each.add(rows[:1], np.array([5]))
    check(sums, reference)
    reference.add(rows, classes)
    reference.add(rows[:1], [5])
    for each in copies:
        check(each, reference)
    later = sums.copy()
    before = later.digest(["a", "b", "c"])
    sums.add(rows, classes)  # ... the original
    assert later.digest(["a", "b", "c"]) == untouched.digest(["a", "b", "c"]) == before


def test_what_is_derived_is_what_its_definition_says():
    rng = np.random.default_rng(3)
    rows, classes = rows_of(rng, 40, 5), rng.integers(0, 4, 40)
    classes[classes == 2] = 3  # a class without examples
    sums = ExactSums(5)
    sums.add(rows, classes)
    means = np.array([rows[classes == place].mean(axis=0) if (classes == place).any() else np.zeros(5)
                      for place in range(4)])
    centred = rows - means[classes]
    scatter = centred.T @ centred
    np.testing.assert_allclose(sums.means(), means)
    np.testing.assert_allclose(sums.scatter(), scatter, rtol=1e-9)
    np.testing.assert_allclose(sums.diagonal(), np.diagonal(scatter), rtol=1e-9)
    np.testing.assert_allclose(sums.trace(), np.trace(scatter), rtol=1e-9)
    np.testing.assert_allclose(sums.variances(), rows.var(axis=0), rtol=1e-9)
    scales = rng.uniform(1, 3, 5)
    scaled = scatter / scales[:, None] / scales
    np.testing.assert_allclose(sums.squared_norm(scales, probes=5), np.square(scaled).sum(), rtol=1e-9)
    assert abs(sums.squared_norm(scales, probes=4) / np.square(scaled).sum() - 1) < 0.9
    assert sums.squared_norm(scales, probes=4) == sums.squared_norm(scales, probes=4)


def test_the_estimate_of_a_norm_is_right_on_average():
    rng = np.random.default_rng(5)
    rows = rows_of(rng, 300, 60)
    sums = ExactSums(60)
    sums.add(rows, rng.integers(0, 3, 300))
    estimate, exact = (sums.squared_norm(np.ones(60), probes) for probes in (40, 60))
    assert abs(estimate / exact - 1) < 0.2


def test_one_example_of_each_class_has_itself_as_mean_and_no_scatter():
    rows = rows_of(np.random.default_rng(6), 3)
    sums = ExactSums(WIDTH)
    sums.add(rows, np.arange(3))
    assert sums.means().tolist() == rows.tolist()
    assert not sums.diagonal().any()
    np.testing.assert_allclose(sums.scatter(), 0, atol=1e-6)
    assert sums.degrees == 0


def test_variances_of_nothing_and_of_one_example():
    sums = ExactSums(2)
    assert sums.variances().tolist() == [1.0, 1.0]
    sums.add(np.array([[3.0, -4.0]]), np.array([0]))
    assert sums.variances().tolist() == [9.0, 16.0]
    sums.add(np.array([[3.0, -6.0]]), np.array([0]))
    assert sums.variances().tolist() == [0.0, 1.0]


def test_more_examples_than_stay_exact_are_refused_and_change_nothing(monkeypatch):
    monkeypatch.setattr(module, "_EXACT_EXAMPLES", 8)
    rows = rows_of(np.random.default_rng(8), 9)
    sums, other, two = ExactSums(WIDTH), ExactSums(WIDTH), np.zeros(2, int)
    sums.add(rows[:7], np.zeros(7, int))
    other.add(rows[7:], two)
    before = sums.digest(["a"])
    with pytest.raises(CapacityError, match="no longer be exact"):
        sums.add(rows[7:], two)
    with pytest.raises(CapacityError, match="no longer be exact"):
        sums.merge(other, np.array([0]))
    assert (sums.digest(["a"]), sums.total) == (before, 7)
    sums.add(rows[7:8], two[:1])
    with pytest.raises(CapacityError, match="no longer be exact"):
        sums.add(rows[8:], two[:1])
    assert sums.total == 8
    sums.merge(sums.copy(), np.array([0]), -1)  # taking back is no more
    assert not sums.total


def test_the_range_is_where_sums_of_products_stay_below_two_to_the_53():
    assert module._EXACT_EXAMPLES * LIMIT**2 == 2**53
    sums = ExactSums(1)
    sums.add(np.full((2, 1), float(LIMIT)), np.array([0, 0]))
    sums._gram[:] = 2.0**53 - 2 * LIMIT**2  # as if nearly all of the range had been taught
    sums.add(np.full((1, 1), float(LIMIT)), np.array([0]))
    assert sums.gram().item() == 2**53 - LIMIT**2


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("gram", [[0.5]], "integers"), ("sums", [[np.nan]], "integers"), ("sums", [[2.0**54]], "integers"),
        ("counts", [-1.0], "whole numbers"), ("counts", [2.0**28], "whole numbers"), ("counts", [0.25], "integers"),
        ("sums", [[1.0], [1.0]], "do not fit"), ("gram", [[1.0, 1.0]], "do not fit"),
        ("sums", [[1.0, 1.0]], "do not fit"),
    ],
)
def test_a_state_that_holds_no_sums_is_refused(name, value, message):
    state = {"counts": np.array([1.0]), "sums": np.array([[2.0]]), "gram": np.array([[4.0]])}
    assert ExactSums.from_state(state).total == 1
    with pytest.raises(ValueError, match=message):
        ExactSums.from_state(state | {name: np.array(value)})


def test_equal_knowledge_has_one_digest_and_other_knowledge_another():
    rng = np.random.default_rng(9)
    rows, classes = rows_of(rng, 6), np.array([0, 1, 0, 1, 0, 1])
    sums, turned = ExactSums(WIDTH), ExactSums(WIDTH)
    sums.add(rows, classes)
    turned.add(rows[::-1], 1 - classes[::-1])
    assert sums.digest(["a", "b"]) == turned.digest(["b", "a"])
    assert sums.digest(["a", "b"]) != sums.digest(["b", "a"])
    assert sums.digest(["1", "2"]) != sums.digest([1, 2])
    moved = ExactSums(WIDTH)
    moved.add(rows[:5], classes[:5])
    moved.add(-rows[5:], classes[5:])
    assert moved.digest(["a", "b"]) != sums.digest(["a", "b"])
    assert ExactSums(2).digest([]) == ExactSums(5).digest([])


EXAMPLES = st.lists(
    st.tuples(st.lists(st.integers(-LIMIT, LIMIT), min_size=WIDTH, max_size=WIDTH), st.integers(0, 5)),
    min_size=1, max_size=12,
)


@given(st.lists(EXAMPLES, min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_whatever_is_added_and_taken_back_the_sums_are_those_of_integers(batches, random):
    sums, reference = ExactSums(WIDTH), Reference()
    for batch in batches:
        rows, classes = np.array([row for row, _ in batch], float), np.array([place for _, place in batch])
        sums.add(rows, classes)
        reference.add(rows, classes)
        check(sums, reference)
        if random.random() < 0.5:
            gone = random.sample(range(len(batch)), random.randint(1, len(batch)))
            sums.subtract(rows[gone], classes[gone])
            reference.subtract(rows[gone], classes[gone])
            check(sums, reference)
