"""A picture and further views of it, taught as one example: learned, counted, skipped and forgotten as one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engram import Brain
from engram.brain.bundles import augmented
from engram.cli import app
from engram.features.backbones.catalogue import bundle_of
from engram.inputs.augmentation import views
from engram.learner import InputError, NotTaughtError


def picture(seed: int, side: int = 40) -> np.ndarray:
    """A bright square somewhere on a coloured ground."""
    rng = np.random.default_rng(seed)
    pixels = np.full((side, side + 10, 3), rng.integers(0, 120, 3), np.uint8)
    top, left = rng.integers(0, side // 2, 2)
    pixels[top : top + 12, left : left + 16] = rng.integers(130, 256, 3)
    return pixels


def taught(*seeds: int, augment: bool = True, label: str = "a") -> Brain:
    brain = Brain("descriptor")
    for seed in seeds:
        brain.learn(picture(seed), label, augment=augment)
    return brain


@pytest.mark.parametrize("pixels", [
    picture(0), picture(0)[:, :, 0], np.zeros((1, 1), np.uint8), np.zeros((3, 200, 4), np.uint8),
    picture(0).astype(np.float32) / 255,
], ids=lambda pixels: str(pixels.shape))  # fmt: skip
def test_views_are_seven_pictures_of_the_same_size_and_always_the_same(pixels: np.ndarray) -> None:
    made = views(pixels)
    assert len(made) == 7
    assert all(view.shape[:2] == pixels.shape[:2] and view.dtype == np.uint8 for view in made)
    assert all(np.array_equal(one, again) for one, again in zip(made, views(pixels), strict=True))


def test_mirroring_shifting_turning_and_light_each_change_the_picture() -> None:
    seen = [picture(3), *views(picture(3))]
    assert np.array_equal(seen[1], picture(3)[:, ::-1])
    assert len({one.tobytes() for one in seen}) == 8
    assert seen[6].mean() < picture(3).mean() < seen[7].mean()


def test_a_picture_and_its_views_count_as_one_example() -> None:
    brain = taught(0, 1)
    assert brain.info()["examples"] == 2
    assert brain.digest() != taught(0, 1, augment=False).digest()


def test_order_batches_and_melding_change_no_bit() -> None:
    together = Brain("descriptor")
    together.learn([picture(seed) for seed in range(4)], "a", augment=True)
    assert together.sums_digest() == taught(3, 1, 0, 2).sums_digest()
    one, other = taught(0, 1), taught(2, 3)
    one.meld(other)
    assert one.sums_digest() == together.sums_digest()


def test_forgetting_the_picture_forgets_its_views_to_the_bit() -> None:
    brain = taught(0, 1, 2)
    brain.forget(picture(1), "a")
    assert brain.sums_digest() == taught(0, 2).sums_digest()
    with pytest.raises(NotTaughtError):
        brain.forget(picture(1), "a")
    mixed = taught(0, 1)
    mixed.learn(picture(2), "a")
    mixed.forget([picture(2), picture(0)])
    assert mixed.sums_digest() == taught(1).sums_digest()


def test_forgetting_leaves_no_trace_in_a_folder(tmp_path: Path) -> None:
    with Brain.create(tmp_path / "x.brain", "descriptor") as brain:
        for seed in (0, 1):
            brain.learn(picture(seed), "a", augment=True)
        brain.forget(picture(0))
        assert brain.sums_digest() == taught(1).sums_digest()
        assert brain.traces() == []


def test_what_is_held_either_way_is_found_and_not_learned_again() -> None:
    brain = taught(0)
    brain.learn(picture(1), "a")
    assert brain.holds([picture(0), picture(1), picture(2)], "a") == [1, 1, 0]
    brain.learn([picture(0), picture(1), picture(2)], "a", augment=True, again=False)
    assert brain.info()["examples"] == 3


def test_vectors_and_texts_have_no_views() -> None:
    brain = Brain()
    with pytest.raises(InputError, match="Only pictures seen as a whole have further views"):
        brain.learn([[0.0, 1.0]], "a", augment=True)
    assert brain.labels == ()


def test_the_feature_lies_between_the_picture_and_its_views() -> None:
    bundle = bundle_of("photos")
    plain, together = augmented(bundle, [picture(0)])
    others = bundle.features(views(picture(0)))

    def alike(one: np.ndarray, other: np.ndarray) -> float:
        return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))

    assert np.array_equal(plain, bundle.features([picture(0)]))
    before = np.mean([alike(plain[0], other) for other in others])
    after = np.mean([alike(together[0], other) for other in others])
    assert before < after < 1
    assert alike(together[0], plain[0]) > 0.9


def test_the_threshold_stays_where_it_is_for_pictures_that_are_asked_about() -> None:
    """Copies taught as examples of their own once had most of what is known refused."""
    asked = [picture(seed) for seed in range(100, 160)]
    refused = []
    for augment in (False, True):
        brain = taught(*range(12), augment=augment)
        brain.learn([np.roll(picture(seed)[::-1, :, ::-1], 7, 1) for seed in range(12)], "b", augment=augment)
        refused.append(np.mean([not known for known in brain.predict(asked).known]))
    assert refused[1] <= refused[0] + 0.1


def test_the_terminal_teaches_views_and_a_repeated_command_nothing_new(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shown" / "a").mkdir(parents=True)
    for seed in range(3):
        Image.fromarray(picture(seed)).save(tmp_path / "shown" / "a" / f"{seed}.png")
    line = ["teach", str(tmp_path / "x.brain"), str(tmp_path / "shown"), "--backbone", "descriptor", "--augment"]
    assert app.run([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["taught"] == 3
    assert app.run([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 3
    with Brain.open(tmp_path / "x.brain") as brain:
        assert brain.sums_digest() == taught(0, 1, 2).sums_digest()
