"""Vectors and labels are checked at the door."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.inputs.images import decode
from engram.inputs.vectors import (
    as_batch,
    as_covariance,
    as_labels,
    as_vectors,
    check_varies,
    kept_labels,
    unit_length,
)
from engram.learner import InputError, LabelError


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=5).filter(any), st.integers(-300, 300))
def test_a_vector_of_any_length_has_its_direction(values: list[float], exponent: int) -> None:
    short = np.array(values) / np.abs(values).max()
    expected = short / np.linalg.norm(short)
    rows = np.stack([short, short * 10.0**exponent])
    np.testing.assert_allclose(unit_length(rows), [expected, expected], rtol=1e-9, atol=1e-15)


def test_a_vector_of_zeros_has_no_direction() -> None:
    with pytest.raises(InputError, match="Vector 2 is all zeros"):
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


READERS = [as_vectors, as_batch, decode]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("wrap", [lambda array: array, list])
def test_masked_values_are_no_readings(read, wrap) -> None:  # type: ignore[no-untyped-def]
    hidden = np.ma.masked_array([[0.1, 0.2], [0.3, 0.4]], mask=[[False, True], [False, False]])
    with pytest.raises(InputError, match="masked"):
        read(wrap(hidden))
    hidden.mask = np.ma.nomask
    assert np.asarray(read(wrap(hidden))).size == 4


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("wrap", [lambda tensor: tensor, list])
def test_a_tensor_is_taken_without_its_gradient(read, wrap) -> None:  # type: ignore[no-untyped-def]
    torch = pytest.importorskip("torch")
    tensor = torch.full((2, 2), 0.5, requires_grad=True) * 1.0
    assert np.asarray(read(wrap(tensor))).size == 4
    with pytest.raises(InputError, match="no data"):
        read(wrap(torch.ones(2, 2, device="meta")))


def test_labels_may_be_a_tensor() -> None:
    torch = pytest.importorskip("torch")
    assert as_labels(torch.tensor([3, 4]), 2) == [3, 4]
    with pytest.raises(LabelError, match="not float"):
        as_labels(torch.tensor([3.5, 4.5]), 2)


def test_a_covariance_may_be_asymmetric_by_rounding_only() -> None:
    rows = np.random.default_rng(0).normal(size=(20, 3))
    exact = np.cov(rows.T)
    rounded = exact.copy()
    rounded[0, 1] *= 1 + 1e-8
    assert (as_covariance(rounded) == as_covariance(rounded).T).all()
    np.testing.assert_allclose(as_covariance(rounded), exact, rtol=1e-7)
    assert as_covariance(exact).tobytes() == exact.tobytes()
    for bad, why in [
        (exact + np.triu(np.ones((3, 3)), 1), "symmetric; this one holds"), (-exact, "no negative variance"),
        (rows, "matrix, not"), (exact * np.nan, "NaN"),
    ]:
        with pytest.raises(InputError, match=why):
            as_covariance(bad)
    with pytest.raises(InputError, match="covariance is zero"):
        check_varies(np.zeros((3, 3)))


@pytest.mark.parametrize("label", ["", " ", "\t\n"])
def test_a_label_without_a_visible_character_is_refused(label: str) -> None:
    with pytest.raises(LabelError, match="at least one visible character"):
        as_labels(["cat", label], 2)
    assert kept_labels(["cat", label], 2) == ["cat", label]  # earlier versions learned it
