"""Vectors and labels are checked at the door."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.inputs.vectors import as_labels, as_vectors, unit_length
from engram.learner import InputError, LabelError


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=5).filter(any), st.integers(-300, 300))
def test_a_vector_of_any_length_has_its_direction(values: list[float], exponent: int) -> None:
    short = np.array(values) / np.abs(values).max()
    expected = short / np.linalg.norm(short)
    rows = np.stack([short, short * 10.0**exponent])
    np.testing.assert_allclose(unit_length(rows), [expected, expected], rtol=1e-9, atol=1e-15)


def test_a_vector_of_zeros_has_no_direction() -> None:
    with pytest.raises(InputError, match="Vector 1 is all zeros"):
        unit_length(np.array([[1e-300, 0.0], [0.0, 0.0], [1.0, 1e300]]))


@pytest.mark.parametrize("targets", [b"ab", bytearray(b"ab"), {"a", "b"}, frozenset("ab"), {"a": 1, "b": 2}])
def test_labels_without_an_order_and_bytes_are_refused(targets: object) -> None:
    with pytest.raises(LabelError, match="one or a list of them"):
        as_labels(targets, 2)


@pytest.mark.parametrize("targets", [["a", "b"], ("a", "b"), np.array(["a", "b"]), iter("ab"), {"a": 1, "b": 2}.keys()])
def test_labels_in_order_are_taken(targets: object) -> None:
    assert as_labels(targets, 2) == ["a", "b"]


@pytest.mark.parametrize("bad", [[], [[]], [np.nan], [[1, 2], [3]], ["a"], np.zeros((1, 1, 1)), [1j]])
def test_what_is_no_rectangle_of_numbers_is_refused(bad: object) -> None:
    with pytest.raises(InputError):
        as_vectors(bad)
