"""Scenes composed of photographs: cut-outs of taught things on photographs of other things, and where each one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from engram.inputs.boxes import Box, overlap

SIZE = (240, 320)
"""Rows and columns of a scene."""

Picture = npt.NDArray[np.uint8]


class Scene(NamedTuple):
    """A picture (H, W, 3), and for each thing in it the label and the box."""

    picture: Picture
    labels: tuple[str, ...]
    boxes: tuple[Box, ...]


def composed(
    rng: np.random.Generator, things: Mapping[str, Sequence[Picture]], behind: Sequence[Picture], most: int = 3,
) -> Scene:
    """A scene of one to `most` things: each the middle of a photograph within an ellipse, 70 to 140 pixels long, on the
    photograph of something else; no two overlap much.

    Args:
        things: photographs of each label.
        behind: photographs of other things.
    """
    chosen = behind[int(rng.integers(len(behind)))]
    scene = Image.fromarray(chosen).convert("RGB").resize(SIZE[::-1], Image.Resampling.BILINEAR)
    names = sorted(things)
    labels: list[str] = []
    boxes: list[Box] = []
    for _ in range(rng.integers(1, most + 1)):
        label = names[int(rng.integers(len(names)))]
        photo = Image.fromarray(things[label][int(rng.integers(len(things[label])))]).convert("RGB")
        scale = rng.uniform(70, 140) / max(photo.size)
        width, height = (max(24, round(side * scale)) for side in photo.size)
        for _ in range(30):
            left, top = int(rng.integers(0, SIZE[1] - width)), int(rng.integers(0, SIZE[0] - height))
            box = Box(left, top, left + width, top + height)
            if all(overlap(box, other) < 0.05 for other in boxes):
                _paste(scene, photo.resize((width, height), Image.Resampling.BILINEAR), left, top)
                labels.append(label)
                boxes.append(box)
                break
    return Scene(np.asarray(scene), tuple(labels), tuple(boxes))


def _paste(scene: Image.Image, photo: Image.Image, left: int, top: int) -> None:
    mask = Image.new("L", photo.size, 0)
    ImageDraw.Draw(mask).ellipse((1, 1, photo.width - 2, photo.height - 2), fill=255)
    scene.paste(photo, (left, top), mask.filter(ImageFilter.GaussianBlur(1.5)))
