"""Any object with a name, a width, a fingerprint and features is a backbone that a brain can stand on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engram.brain import Brain
from engram.inputs.images import decode
from engram.learner import InputError

RNG = np.random.default_rng(0)
DARK, LIGHT = (RNG.integers(low, low + 100, (6, 8, 8), np.uint8) for low in (0, 150))


class Histogram:
    """Grey pictures as the share of pixels in each of 16 brightness bins: the object of the documentation."""

    name = "histogram"
    width = 16
    fingerprint = hashlib.sha256(b"histogram of 16 bins, 0 to 255").hexdigest()

    def features(self, inputs: Any, progress: Callable[[int, int | None], None] | None = None) -> Any:
        counts = [np.histogram(picture, bins=16, range=(0, 256))[0] / np.size(picture) for picture in inputs]
        return np.asarray(counts, np.float32)


class OfFiles(Histogram):
    """The same, which says that it takes pictures: a brain finds them in folders."""

    takes = "pictures"

    def features(self, inputs: Any, progress: Callable[[int, int | None], None] | None = None) -> Any:
        return super().features([decode(picture) for picture in inputs])


def test_an_object_with_four_members_is_taught_asked_and_corrected() -> None:
    brain = Brain(Histogram())
    brain.learn(list(DARK), "dark")
    brain.learn(LIGHT, ["light"] * len(LIGHT))
    assert brain.predict([DARK[0], LIGHT[0]]).labels == ["dark", "light"]
    brain.forget(label="dark")
    assert brain.labels == ("light",)


def test_two_brains_on_equal_fingerprints_meld() -> None:
    brain, other = Brain(Histogram()), Brain(Histogram())
    brain.learn(list(DARK), "dark")
    other.learn(list(LIGHT), "light")
    brain.meld(other)
    assert brain.predict([LIGHT[1]]).labels == ["light"]


def test_one_that_takes_pictures_is_given_those_of_a_folder(tmp_path: Path) -> None:
    for label, pictures in (("dark", DARK), ("light", LIGHT)):
        (tmp_path / label).mkdir()
        for place, picture in enumerate(pictures):
            Image.fromarray(picture).save(tmp_path / label / f"{place}.png")
    brain = Brain(OfFiles())
    brain.learn(tmp_path)
    assert brain.predict(tmp_path / "light").labels == ["light"] * len(LIGHT)


def test_what_cannot_be_restored_cannot_be_kept_in_a_folder_and_nothing_is_left_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be saved: it needs kind, takes.* restore\(\)"):
        Brain.create(tmp_path / "mind", Histogram())
    assert not (tmp_path / "mind").exists()
