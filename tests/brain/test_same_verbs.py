"""What the terminal does with folders and copies, Python does with the same verb."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engram.brain import Brain
from engram.learner import LabelError, NotTaughtError

RED, BLUE = (200, 30, 30), (30, 30, 200)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two folders of three pictures each."""
    rng = np.random.default_rng(0)
    for label, colour in (("red", RED), ("blue", BLUE)):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for place in range(3):
            pixels = np.clip(rng.normal(colour, 20, (24, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / label / f"{place}.png")
    return tmp_path / "pictures"


def test_pictures_in_a_folder_without_folders_are_called_by_its_name(pictures: Path) -> None:
    one_by_one, at_once = Brain("descriptor"), Brain("descriptor")
    one_by_one.learn(pictures / "red")
    one_by_one.learn([pictures / "blue"])
    at_once.learn(pictures)
    assert one_by_one.labels == ("red", "blue")
    assert one_by_one.digest() == at_once.digest()


def test_a_label_that_is_given_comes_before_the_name_of_the_folder(pictures: Path) -> None:
    brain = Brain("descriptor")
    brain.learn(pictures / "red", "warm")
    assert brain.labels == ("warm",)


def test_a_single_picture_still_needs_a_label(pictures: Path) -> None:
    with pytest.raises(LabelError, match="a folder named by their label"):
        Brain("descriptor").learn(pictures / "red" / "0.png")


def test_every_copy_of_an_example_is_forgotten_in_one_change(pictures: Path) -> None:
    brain, never = Brain("descriptor"), Brain("descriptor")
    for mind in (brain, never):
        mind.learn(pictures / "blue")
    for _ in range(3):
        brain.learn([pictures / "red" / "0.png"], "red")
    before = brain.seq
    brain.forget([pictures / "red" / "0.png"] * 2, every_copy=True)
    assert brain.digest() == never.digest()
    assert brain.seq == before + 1


def test_one_that_is_not_held_is_named_and_nothing_is_forgotten(pictures: Path) -> None:
    brain = Brain("descriptor")
    brain.learn(pictures / "red")
    digest = brain.digest()
    with pytest.raises(NotTaughtError, match=r"blue/0\.png: not taught as red.* Nothing was forgotten"):
        brain.forget([pictures / "red" / "0.png", pictures / "blue" / "0.png"], "red", every_copy=True)
    assert brain.digest() == digest
