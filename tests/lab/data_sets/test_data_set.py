"""A user's own data become a data set in one call, or are refused in a sentence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engram.lab.data_sets.data_set import divided
from engram.lab.streams import DataSet, Rows, class_incremental, from_arrays, from_folder
from engram.learner import InputError, LabelError


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.floats(0, 0.99), st.integers(0, 99))
def test_a_division_takes_the_same_share_of_each_class(labels, share, seed):
    array = np.array(labels)
    first, second = divided(array, share, np.random.default_rng(seed))
    assert sorted([*first, *second]) == list(range(len(labels)))
    for label in set(labels):
        there = (array == label).sum()
        assert abs((array[second] == label).sum() - share * there) < 1 + 1e-9
        assert (array[first] == label).sum() >= 1
    assert abs(len(second) - share * len(labels)) <= max(1, len(set(labels)))


def test_a_number_held_out_is_exact_where_classes_are_large_enough():
    labels = np.repeat(np.arange(7), [100, 30, 51, 77, 20, 90, 33])
    for count in (7, 50, 101, 200):
        _, held = divided(labels, count / len(labels), np.random.default_rng(0))
        assert len(held) == count


def test_arrays_without_a_test_part_give_one_of_each_class():
    data = from_arrays(np.arange(20.0).reshape(10, 2), list("aaaaaabbbb"), test=0.1)
    assert sorted(data.test_labels.tolist()) == ["a", "b"]
    taught, asked = data.train_inputs[np.arange(8)], data.test_inputs[np.arange(2)]
    assert sorted([*taught[:, 0], *asked[:, 0]]) == list(range(0, 20, 2))
    again = from_arrays(np.arange(20.0).reshape(10, 2), list("aaaaaabbbb"), test=0.1)
    assert np.array_equal(asked, again.test_inputs[np.arange(2)])


def test_arrays_with_a_test_part_stay_as_they_are():
    inputs = np.eye(4)
    data = from_arrays(inputs, [5, 6, 5, 6], inputs[:2], [5, 6])
    assert data.train_inputs is inputs
    assert data.train_labels.dtype == np.int64
    assert data.classes == (5, 6)


def test_lists_and_rows_of_ones_own_will_do():
    class Squares:
        def __len__(self):
            return 6

        def __getitem__(self, places):
            return np.array([[place**2] for place in places])

    assert isinstance(Squares(), Rows)
    data = from_arrays(Squares(), ["a", "b"] * 3, test=0.34)
    assert sorted(data.in_memory().train_inputs.ravel().tolist() + data.in_memory().test_inputs.ravel().tolist()) == [
        0, 1, 4, 9, 16, 25]
    assert from_arrays([[1.0], [2.0]], [0, 1], [[3.0]], [0]).train_inputs.shape == (2, 1)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: from_arrays(np.eye(3), [0, 1]), InputError, "3 inputs with 2 labels"),
        (lambda: from_arrays(np.eye(3), [0, 1], np.eye(3), [0, 1, 1]), InputError, "3 train inputs with 2 labels"),
        (lambda: from_arrays(np.eye(2), [0, 1], np.eye(2), [0]), InputError, "2 test inputs with 1 labels"),
        (lambda: from_arrays(np.eye(2), [0, 1], np.eye(2)), InputError, "both"),
        (lambda: from_arrays(np.eye(3), [0, 0, 1]), InputError, "Class 1 has 1 example"),
        (lambda: from_arrays(np.eye(4), [0, 1] * 2, test=1.0), InputError, "share"),
        (lambda: from_arrays([[1.0], [2.0, 3.0]], [0, 1]), InputError, "rectangle"),
        (lambda: from_arrays(np.eye(2), [0, "a"]), LabelError, "integers or of texts"),
        (lambda: from_arrays(np.eye(2), [0.5, 1.5]), LabelError, "integers or of texts"),
        (lambda: from_arrays(np.eye(2), [True, False]), LabelError, "integers or of texts"),
        (lambda: from_arrays(np.eye(2), [[0], [1]]), LabelError, "2-dimensional"),
        (lambda: DataSet("x", np.eye(2), [0, 1], np.eye(2), ["a", "b"]), LabelError, "all texts or all integers"),
        (lambda: DataSet("x", np.eye(2), [0, 1], np.zeros((0, 2)), []), InputError, "0 test inputs"),
    ],
)
def test_what_is_no_data_set_is_refused_in_a_sentence(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_a_folder_for_each_class_is_a_data_set(tmp_path):
    for label, shade in (("dark", 20), ("light", 230)):
        (tmp_path / label).mkdir()
        for number in range(5):
            Image.new("L", (30 + number, 20), shade + number).save(tmp_path / label / f"{number}.png")
    data = from_folder(tmp_path, side=16)
    assert data.name == tmp_path.name
    assert (len(data.train_inputs), len(data.test_inputs)) == (8, 2)
    stream = class_incremental(data, per=1)
    assert stream[1].inputs.shape == (4, 16, 16, 3)
    assert stream[1].inputs.min() >= 230
    whole = from_folder(tmp_path, tmp_path, side=16)
    assert len(whole.train_inputs) == len(whole.test_inputs) == 10
    with pytest.raises(InputError, match="folder per class"):
        from_folder(tmp_path / "dark")
