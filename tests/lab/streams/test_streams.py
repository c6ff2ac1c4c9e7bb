"""Laws of every stream: the same by seed, a partition of the data, and nothing that is asked was ever taught."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.lab.streams import (
    blurry,
    channels_first,
    class_incremental,
    data_incremental,
    data_set,
    domain_incremental,
    flattened,
    from_arrays,
    one_by_one,
    permuted,
    rotated,
    task_incremental,
)
from engram.lab.streams.domains import turned
from engram.learner import InputError
from engram.locations import MissingDataError

ONCE = {  # every training example arrives in one experience
    "class": class_incremental,
    "task": task_incremental,
    "domain": domain_incremental,
    "blurry": blurry,
    "data": lambda data, **options: data_incremental(data, 3, **options),
    "one by one": lambda data, **options: one_by_one(data, 4, order="class-by-class", **options),
}
AGAIN = {  # and here in every one
    "permuted": lambda data, **options: permuted(data, 3, **options),
    "rotated": lambda data, **options: rotated(data, (0, 90, 45), **options),
}
ALL = {**ONCE, **AGAIN}
seeds = st.integers(0, 2**16)
kinds = st.sampled_from(["integers", "texts"])
shares = st.sampled_from([0, 0.1, 0.25, 7])


def numbered(classes: int = 4, each: int = 9, texts: bool = False):
    """Data whose every input is a 2×2 picture with a number of its own in it; test inputs have others."""
    count = classes * each
    labels = np.random.default_rng(5).permutation(np.repeat(np.arange(classes), each))
    names = np.array([f"class {label}" for label in labels]) if texts else labels
    inputs = np.arange(4.0 * count * 2).reshape(-1, 2, 2)
    order = np.random.default_rng(6).permutation(count)
    return from_arrays(inputs[:count], names, inputs[count:], names[order], name="numbered")


def numbers(part) -> list[float]:
    """Which examples these are, whatever was done to their inputs."""
    return sorted(part.inputs.reshape(len(part), -1).min(axis=1).tolist()) if len(part) else []


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
@given(seed=seeds, kind=kinds, held_out=shares)
@settings(max_examples=15, deadline=None)
def test_the_same_seed_gives_the_same_stream(make, seed, kind, held_out):
    one, other = (make(numbered(texts=kind == "texts"), held_out=held_out, seed=seed) for _ in range(2))
    assert one.fingerprint() == other.fingerprint()
    for mine, theirs in zip(one, other, strict=True):
        for part in ("train", "held_out", "test"):
            a, b = getattr(mine, part), getattr(theirs, part)
            assert a.labels.tolist() == b.labels.tolist()
            assert np.array_equal(a.inputs, b.inputs) if len(a) else not len(b)


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_another_seed_gives_another_stream(make):
    one, other = (make(numbered(), seed=seed) for seed in (0, 1))
    assert any(a.train.places.tolist() != b.train.places.tolist() for a, b in zip(one, other, strict=True))
    assert one.fingerprint() != other.fingerprint()


def test_every_experience_permutes_in_an_order_of_its_own_drawn_by_the_seed():
    data = from_arrays(np.tile(np.arange(50.0), (4, 1)), [0, 1] * 2, test=0.5)
    orders = [tuple(e.inputs[0]) for seed in (0, 1) for e in permuted(data, 4, seed=seed)]
    assert len(set(orders)) == 7  # the first of each stream is as it was
    assert {tuple(sorted(order)) for order in orders} == {tuple(range(50))}


@pytest.mark.parametrize("make", ONCE.values(), ids=ONCE)
@given(seed=seeds, held_out=shares)
@settings(max_examples=15, deadline=None)
def test_every_example_is_taught_once_or_held_out_and_none_is_asked_that_was_taught(make, seed, held_out):
    data = numbered()
    stream = make(data, held_out=held_out, seed=seed)
    taught = [number for experience in stream for number in numbers(experience.train)]
    held = {number for experience in stream for number in numbers(experience.held_out)}
    asked = {number for experience in stream for number in numbers(experience.test)}
    assert len(set(taught)) == len(taught)
    assert set(taught) | held == set(data.train_inputs.reshape(36, -1).min(axis=1))
    assert asked == set(data.test_inputs.reshape(36, -1).min(axis=1))
    assert not set(taught) & held
    assert not asked & (set(taught) | held)
    assert len(held) == (held_out if isinstance(held_out, int) else round(36 * held_out))


@pytest.mark.parametrize("make", AGAIN.values(), ids=AGAIN)
def test_a_domain_shows_every_example_of_the_taught_part_in_every_experience(make):
    stream = make(numbered(), held_out=0.25)
    places = [sorted(experience.train.places.tolist()) for experience in stream]
    assert places[0] == places[1] == places[2]
    assert len(places[0]) == 27
    assert not set(places[0]) & set(stream[0].held_out.places.tolist())
    assert all(experience.classes == (0, 1, 2, 3) for experience in stream)


@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_what_is_held_out_does_not_depend_on_how_the_data_arrive(seed):
    held = [{number for experience in make(numbered(), held_out=0.2, seed=seed)
             for number in experience.held_out.places.tolist()} for make in ALL.values()]
    assert all(part == held[0] for part in held)


@pytest.mark.parametrize("make", ONCE.values(), ids=ONCE)
@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_inputs_keep_their_labels(make, seed):
    data = numbered()
    known = {tuple(x.ravel()): int(y) for x, y in zip(data.train_inputs, data.train_labels, strict=True)}
    known |= {tuple(x.ravel()): int(y) for x, y in zip(data.test_inputs, data.test_labels, strict=True)}
    for experience in make(data, held_out=0.2, seed=seed):
        for part in (experience.train, experience.held_out, experience.test):
            truth = [known[tuple(x.ravel())] for x in part.inputs] if len(part) else []
            assert part.labels.tolist() == ([y % 2 for y in truth] if make is domain_incremental else truth)


def test_classes_come_in_groups_in_the_order_asked_for():
    stream = class_incremental(numbered(), groups=[[3], [1, 0]])
    assert [experience.classes for experience in stream] == [(3,), (1, 0)]
    assert [set(experience.labels.tolist()) for experience in stream] == [{3}, {0, 1}]
    assert [set(experience.test.labels.tolist()) for experience in stream] == [{3}, {0, 1}]
    assert stream.classes == (3, 1, 0)
    assert [len(e.classes) for e in class_incremental(numbered(5), per=2)] == [2, 2, 1]
    shuffled = [class_incremental(numbered(9), per=9, shuffle=True, seed=seed)[0].classes for seed in range(4)]
    assert len(set(shuffled)) == 4


def test_a_task_is_told_with_the_question_and_a_domain_counts_its_labels_anew():
    assert [experience.among for experience in task_incremental(numbered())] == [(0, 1), (2, 3)]
    assert {experience.among for experience in class_incremental(numbered())} == {None}
    domains = domain_incremental(numbered(), groups=[[2, 0], [1, 3]])
    plain = class_incremental(numbered(), groups=[[2, 0], [1, 3]])
    for mine, theirs in zip(domains, plain, strict=True):
        assert mine.classes == (0, 1)
        assert mine.labels.tolist() == [theirs.classes.index(label) for label in theirs.labels.tolist()]


@given(seed=seeds, mixed=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
@settings(max_examples=15, deadline=None)
def test_a_blurry_stream_deals_its_share_evenly_to_the_others(seed, mixed):
    stream = blurry(numbered(4, 30), per=1, mixed=mixed, seed=seed)
    for experience in stream:
        own = np.isin(experience.labels, experience.classes).sum()
        assert own == 30 - round(30 * mixed)
        shares = [int((experience.labels == label).sum()) for label in set(range(4)) - set(experience.classes)]
        assert max(shares) - min(shares) <= 1


def test_portions_differ_by_one_example_at_most_and_share_their_test_part():
    stream = data_incremental(numbered(), portions=5, held_out=3)
    assert [len(experience.train) for experience in stream] == [7, 7, 7, 6, 6]
    assert len({id(experience.test) for experience in stream.map(flattened)}) == 1


def test_one_by_one_teaches_single_examples_in_the_order_asked_for():
    stream = one_by_one(numbered(), 4, order="class-by-class")
    assert stream.batch == 1
    labels = np.concatenate([experience.labels for experience in stream])
    assert (np.diff(labels) != 0).sum() == 3
    assert class_incremental(numbered()).in_batches(1).batch == 1


def test_nothing_is_made_before_it_is_asked_for_and_then_no_more_than_that():
    made: list[int] = []
    data = numbered().map(lambda inputs: made.append(len(inputs)) or inputs)  # type: ignore[func-returns-value]
    stream = class_incremental(data, per=1).map(flattened)
    assert made == []
    assert stream[2].train.part(0, 3).inputs.shape == (3, 4)
    assert stream[1].inputs.shape == (9, 4)
    assert [len(part) for part in stream[0].train.batches(4)] == [4, 4, 1]
    assert made == [3, 9]


def test_validation_asks_about_what_was_held_out():
    stream = class_incremental(numbered(), held_out=0.3)
    asked = stream.validation()
    assert [numbers(e.test) for e in asked] == [numbers(e.held_out) for e in stream]
    assert [numbers(e.train) for e in asked] == [numbers(e.train) for e in stream]
    with pytest.raises(InputError, match="held_out"):
        class_incremental(numbered()).validation()


def test_permuting_moves_values_alike_in_training_and_test():
    stream = permuted(numbered(), 3)
    assert np.array_equal(stream[0].test.inputs, numbered().test_inputs)
    for experience in stream[1:]:
        first = np.argsort(experience.inputs[0].ravel() % 4)
        for part in (experience.train, experience.test):
            assert all(np.argsort(x.ravel()).tolist() == first.tolist() for x in part.inputs)


def test_turning_by_right_angles_is_exact_and_between_them_bilinear():
    picture = np.random.default_rng(0).integers(0, 256, (3, 9, 9), np.uint8)
    for turns in range(4):
        assert np.array_equal(turned(picture, 90 * turns), np.rot90(picture, turns, axes=(1, 2)))
    colour = np.random.default_rng(0).random((2, 8, 8, 3))
    assert np.allclose(turned(colour, 90), np.rot90(colour, 1, axes=(1, 2)))
    ndimage = pytest.importorskip("scipy.ndimage")
    smooth = ndimage.gaussian_filter(np.random.default_rng(1).random((40, 40)), 3)
    ours = turned(smooth[None], 30)[0]
    theirs = ndimage.rotate(smooth, 30, reshape=False, order=1)
    y, x = np.mgrid[:40, :40] - 19.5
    assert np.abs(ours - theirs)[np.hypot(y, x) < 18].max() < 1e-6


def test_what_learners_take_is_flat_or_channels_first_with_bytes_from_0_to_1():
    grey, colour = np.full((2, 4, 5), 255, np.uint8), np.arange(2 * 4 * 5 * 3).reshape(2, 4, 5, 3)
    assert flattened(grey).dtype == np.float32
    assert flattened(grey).max() == 1.0
    assert channels_first(grey).shape == (2, 1, 4, 5)
    assert np.array_equal(channels_first(colour)[:, 2], colour[..., 2])
    with pytest.raises(InputError, match="Pictures"):
        channels_first(np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: class_incremental(numbered(), per=0), "at least 1, not per=0"),
        (lambda: class_incremental(numbered(), per=2.5), "whole number of at least 1, not per=2.5"),
        (lambda: class_incremental(numbered(), groups=[[0, 1], [1]]), "two groups"),
        (lambda: class_incremental(numbered(), groups=[[0], []]), "at least one class"),
        (lambda: class_incremental(numbered(), groups=[2, 0, 1]), r"list of lists.*groups=\[\[2\], \[0, 1\]\]"),
        (lambda: class_incremental(numbered(), groups=["ab", "cd"]), "list of lists"),
        (lambda: class_incremental(numbered(), groups=[[0], [7, 8]]), "no training examples of 7, 8"),
        (lambda: class_incremental(numbered(), held_out=1.0), "held out"),
        (lambda: class_incremental(numbered(), held_out=-1), "held out"),
        (lambda: class_incremental(numbered(), held_out=36), "held out"),
        (lambda: blurry(numbered(), mixed=1.5), "mixed must be between 0 and 1"),
        (lambda: blurry(numbered(), per=4), "two or more"),
        (lambda: data_incremental(numbered(), 0), "0 portions"),
        (lambda: data_incremental(numbered(), 37), "37 portions"),
        (lambda: one_by_one(numbered(), 0), "0 times"),
        (lambda: one_by_one(numbered(), order="backwards"), "Choose from: shuffled"),
        (lambda: permuted(numbered(), 0), "one experience"),
        (lambda: rotated(numbered(), ()), "angle"),
        (lambda: rotated(numbered(), (0, 0)), "angle"),
        (lambda: rotated(numbered().map(flattened)), "pictures"),
        (lambda: class_incremental(numbered())[:0], "one experience or more"),
        (lambda: class_incremental(numbered()).in_batches(0), "batch"),
        (lambda: class_incremental(numbered().map(lambda inputs: inputs[:1]))[0].inputs, "as many as it gets"),
        (lambda: data_set("nosuch"), "Choose from: mnist"),
    ],
)
def test_what_cannot_arrive_is_refused_in_a_sentence(make, says):
    with pytest.raises(InputError, match=says):
        make()


def test_class_without_test_examples_is_named():
    data = from_arrays(np.eye(4), ["a", "b", "a", "b"], np.eye(4)[:1], ["a"])
    with pytest.raises(InputError, match="no test examples of 'b'"):
        class_incremental(data)


@pytest.mark.parametrize(
    ("name", "train", "test", "classes", "shape"),
    [
        ("mnist", 60_000, 10_000, 10, (28, 28)),
        ("digits", 1297, 500, 10, (8, 8)),
        ("photos", 420, 180, 20, (64, 64, 3)),
        ("steel-defects", 252, 108, 6, (64, 64, 3)),
        ("tiny-imagenet", 32_000, 4_000, 200, (64, 64, 3)),
        ("omniglot", 13_496, 5_784, 964, (105, 105)),
        ("spoken-digits", 900, 300, 10, (64, 40)),
    ],
)
def test_a_data_set_by_its_name(name, train, test, classes, shape):
    try:
        data = data_set(name)
    except (MissingDataError, ImportError) as missing:
        pytest.skip(str(missing))
    assert (len(data.train_inputs), len(data.test_inputs), len(data.classes)) == (train, test, classes)
    first = data.train_inputs[np.array([0, train - 1])]
    assert first.shape == (2, *shape)
    assert first.dtype == (np.float32 if name == "spoken-digits" else np.uint8)
    assert np.ptp(first) > (5 if name == "spoken-digits" else 100)
    assert set(np.unique(data.test_labels)) == set(data.classes)


def test_ten_portions_of_mnist_are_those_of_the_literature():
    try:
        stream = data_incremental(data_set("mnist"), 10, held_out=5000)
    except MissingDataError as missing:
        pytest.skip(str(missing))
    assert [len(experience.train) for experience in stream] == [5500] * 10
    assert len(stream[0].held_out) == 5000
    assert stream.input_shape == (28, 28)
