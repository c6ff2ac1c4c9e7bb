"""Preprocessing is data, and does to a picture exactly what it says."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engram.features.backbones.preprocessing import DIGITS, DRAWINGS, IMAGENET, MNIST, MOBILENET, Preprocessing
from engram.learner import InputError

RNG = np.random.default_rng(0)


def test_mobilenet_sees_the_central_seven_eighths_at_224_between_minus_one_and_one() -> None:
    photo = RNG.integers(0, 256, (240, 320, 3), dtype=np.uint8)
    cropped = Image.fromarray(photo).crop((20, 15, 300, 225)).resize((224, 224), Image.Resampling.BILINEAR)
    expected = ((np.asarray(cropped, np.float32) - 127) * np.float32(0.00784314)).transpose(2, 0, 1)
    (seen,) = MOBILENET([photo])
    # Cropping before or while resizing differs at the rim alone, where the filter reaches beyond the crop.
    assert np.allclose(seen[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2], atol=2 / 255)
    assert seen.shape == (3, 224, 224)


def test_imagenet_keeps_proportions_where_mobilenet_stretches() -> None:
    wide = np.zeros((100, 400), np.uint8)
    wide[:, :100] = 255  # a white quarter at the left, outside the central square
    assert np.unique(IMAGENET([wide])[0, 0]).size == 1
    assert np.unique(MOBILENET([wide])[0, 0]).size > 1


def test_digits_from_0_to_16_reach_the_network_between_0_and_1_unrounded() -> None:
    digit = RNG.integers(0, 17, (8, 8)).astype(np.float64)
    assert np.allclose(DIGITS([digit])[0, 0], digit / 16, atol=1e-7)


def test_area_resizing_is_the_mean_of_the_pixels_covered() -> None:
    big = RNG.random((56, 84))
    expected = big.reshape(28, 2, 28, 3).mean(axis=(1, 3))
    assert np.allclose(MNIST([big])[0, 0], expected, atol=1e-6)


def test_drawings_on_paper_become_light_strokes_on_black() -> None:
    drawing = np.full((105, 105), 255, np.uint8)
    drawing[40:60, 50:62] = 0
    seen = DRAWINGS([drawing])[0, 0]
    assert seen[0, 0] == 0
    assert seen.max() > 0.9
    assert np.allclose(seen, 1 - MNIST([drawing])[0, 0], atol=1e-6)


def test_light_on_dark_inverts_paper_and_leaves_black_ground_alone() -> None:
    either = replace(MNIST, ink="light on dark")
    drawing = np.full((28, 28), 250, np.uint8)
    drawing[10:20, 12:16] = 5
    assert np.array_equal(either([drawing]), either([255 - drawing]))


def test_colour_becomes_grey_by_luma_and_grey_fills_all_channels() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    grey = Preprocessing((4, 4), "grey", scale=(1.0,))
    assert np.allclose(grey([red]), 200 * 0.299, atol=0.5)
    assert np.allclose(grey([red / 255.0]), 200 * 0.299, atol=0.01)
    shades = Preprocessing((4, 4), mean=(0.0, 1.0, 2.0), scale=(1.0,))([np.full((4, 4), 9, np.uint8)])
    assert shades[0, :, 0, 0].tolist() == [9, 8, 7]


def test_layouts_hold_the_same_numbers() -> None:
    photo = RNG.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    first, last, flat = (Preprocessing((5, 6), layout=layout)([photo]) for layout in ("nchw", "nhwc", "flat"))
    assert np.array_equal(first, last.transpose(0, 3, 1, 2))
    assert np.array_equal(flat, first.reshape(1, -1))
    assert np.allclose(last[0], photo / 255)


def test_a_finer_picture_gives_nearly_what_its_rounding_gives() -> None:
    photo = RNG.random((40, 30, 3))
    rounded = (photo * 255).round().astype(np.uint8)
    assert np.allclose(IMAGENET([photo]), IMAGENET([rounded]), atol=2 / 57)


choices = st.builds(
    Preprocessing,
    size=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    channels=st.sampled_from(["rgb", "grey"]),
    crop=st.floats(0.01, 1),
    fit=st.sampled_from(["stretch", "cover"]),
    resize=st.sampled_from(["bilinear", "area"]),
    mean=st.tuples(st.floats(-1e3, 1e3)),
    scale=st.tuples(st.floats(1e-3, 1e3)),
    ink=st.sampled_from(["as given", "inverted", "light on dark"]),
    layout=st.sampled_from(["nchw", "nhwc", "flat"]),
    peak=st.floats(1e-3, 1e5),
)


@given(choices, st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_it_survives_json_and_keeps_its_promised_shape(prepare: Preprocessing, size: tuple[int, int]) -> None:
    again = Preprocessing.from_config(json.loads(json.dumps(prepare.config())))
    assert again == prepare
    pictures = [RNG.integers(0, 256, size, dtype=np.uint8), RNG.integers(0, 256, (*size, 3), dtype=np.uint8)]
    inputs = prepare(pictures)
    assert inputs.shape == (2, *prepare.shape)
    assert inputs.dtype == np.float32
    assert np.array_equal(again(pictures), inputs)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": (0, 4)}, {"size": (4,)}, {"size": (4.5, 4)}, {"size": (9999, 4)}, {"channels": "cmyk"},
        {"crop": 0.0}, {"crop": 1.1}, {"mean": (1.0, 2.0)}, {"scale": (0.0,)}, {"mean": (float("nan"),)},
        {"ink": "blue"}, {"peak": 0.0}, {"layout": "chwn"}, {"colour": "rgb"}, {"mean": "a"},
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Preprocessing.from_config({**MNIST.config(), **wrong})


def test_every_preset_takes_a_photo_and_every_field_is_in_the_config() -> None:
    for prepare in (DIGITS, DRAWINGS, IMAGENET, MNIST, MOBILENET):
        assert prepare([np.zeros((30, 40, 3), np.uint8)]).shape == (1, *prepare.shape)
    assert set(MNIST.config()) == {field.name for field in fields(Preprocessing)}


def test_no_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="0 pictures"):
        MNIST([])
