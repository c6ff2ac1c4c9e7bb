"""Vectors as they come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.features.backbones.bundle import STEPS, Bundle, step_for
from engram.features.backbones.vectors import VectorBackbone
from engram.learner import InputError


def test_vectors_pass_unchanged_one_or_many() -> None:
    rows = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    backbone = VectorBackbone(3)
    assert np.array_equal(backbone.features(rows), rows)
    assert np.array_equal(backbone.features(rows[0]), rows[:1])


def test_standardised_readings_have_mean_0_and_deviation_1_whatever_their_units() -> None:
    rows = np.random.default_rng(0).normal([300, 0.01, 7], [5, 1e-4, 0], (500, 3))
    seen = VectorBackbone.standardised(rows).features(rows)
    assert np.allclose(seen.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(seen.std(axis=0), [1, 1, 0], atol=1e-5)


def test_the_fingerprint_is_of_width_offset_and_scale() -> None:
    same = [VectorBackbone(2), VectorBackbone(2, [0, 0], [1, 1]), VectorBackbone(2, name="other")]
    others = [VectorBackbone(3), VectorBackbone(2, [0, 1]), VectorBackbone(2, None, [1, 2])]
    assert len({b.fingerprint for b in same}) == 1
    assert len({b.fingerprint for b in [same[0], *others]}) == 4


@pytest.mark.parametrize("rows", [[1, 2, 3], [[1, np.nan]], [[1, np.inf]], [], "ab", [["a", "b"]]])
def test_vectors_that_cannot_be_features_are_refused(rows: object) -> None:
    with pytest.raises(InputError):
        VectorBackbone(2).features(rows)


def test_values_that_float32_cannot_hold_count_as_the_largest() -> None:
    features = VectorBackbone(2).features([[1, -1e39]])
    assert features.tolist() == [[1, -np.finfo(np.float32).max]]


@pytest.mark.parametrize("wrong", [(0,), (-1,), (2.0,), (True,), (2, [1]), (2, None, [1, np.nan])], ids=str)
def test_a_width_or_scale_that_makes_no_sense_is_refused(wrong: tuple[object, ...]) -> None:
    with pytest.raises(InputError):
        VectorBackbone(*wrong)


@given(st.floats(1e-30, 1e30))
def test_the_step_is_the_finest_power_of_two_that_reaches_the_largest_value(largest: float) -> None:
    step = step_for(largest)
    assert np.log2(step) == np.round(np.log2(step))
    assert largest <= STEPS * step < 2 * largest


def test_a_measured_bundle_of_raw_readings_covers_them() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 3)) * 40
    bundle = Bundle.measure(VectorBackbone(3), rows, [0, 1, 2] * 20, normalise=False)
    assert np.abs(rows - bundle.mean).max() <= STEPS * bundle.step
    assert np.allclose(bundle.mean, rows.mean(axis=0), atol=1e-5)
