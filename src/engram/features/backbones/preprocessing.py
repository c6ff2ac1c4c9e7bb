"""From a picture to a network's input: declared as data, the same for every backbone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from engram.inputs.images import Picture, decode
from engram.learner import InputError

Channels = Literal["rgb", "grey"]
Fit = Literal["stretch", "cover"]
Resize = Literal["bilinear", "area"]
Ink = Literal["as given", "inverted", "light on dark"]
Layout = Literal["nchw", "nhwc", "flat"]

CHOICES = {"channels": Channels, "fit": Fit, "resize": Resize, "ink": Ink, "layout": Layout}
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "area": Image.Resampling.BOX}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes numbers. Every field is part of a backbone's fingerprint.

    The input is (pixel − mean) · scale with pixels from 0 to 255, after cropping and resizing.

    Attributes:
        size: (height, width) of the input.
        channels: "rgb", or "grey" by ITU-R 601 luma.
        crop: share of each side that is kept, about the centre.
        fit: "stretch" the crop to the size, or "cover" it: crop to the size's proportions first.
        resize: "bilinear" or "area" (the mean of the pixels covered), both as in Pillow, where reducing
            averages over all pixels.
        mean, scale: one value, or one per channel.
        ink: "inverted" swaps black and white; "light on dark" does so only to pictures whose border is
            brighter than half: for drawings on paper shown to a network that learned light strokes on black.
        layout: (N, C, H, W), (N, H, W, C) or flat (N, C·H·W).
        peak: the value of white in arrays that are not uint8 (16 for scikit-learn's digits).

    >>> digits = Preprocessing((8, 8), "grey", peak=16)
    >>> digits([np.full((8, 8), 16.0)]).shape
    (1, 1, 8, 8)
    >>> Preprocessing.from_config(digits.config()) == digits
    True
    """

    size: tuple[int, int]
    channels: Channels = "rgb"
    crop: float = 1.0
    fit: Fit = "stretch"
    resize: Resize = "bilinear"
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1 / 255,)
    ink: Ink = "as given"
    layout: Layout = "nchw"
    peak: float = 1.0

    def __post_init__(self) -> None:
        depth = 3 if self.channels == "rgb" else 1
        for name, kind in CHOICES.items():
            if getattr(self, name) not in get_args(kind):
                raise InputError(f"{name} is one of {get_args(kind)}, not {getattr(self, name)!r}.")
        for name in ("size", "mean", "scale"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.size) != 2 or not all(isinstance(s, int) and 0 < s <= 4096 for s in self.size):
            raise InputError(f"size is (height, width), each 1 to 4096, not {self.size}.")
        if not {len(self.mean), len(self.scale)} <= {1, depth}:
            raise InputError(f"mean and scale are 1 or {depth} values for {self.channels} pictures.")
        if not (np.isfinite([*self.mean, *self.scale]).all() and all(self.scale)):
            raise InputError("mean and scale are finite, and no scale is 0.")
        if not (0 < self.crop <= 1 and 0 < self.peak < float("inf")):
            raise InputError("crop lies in (0, 1] and peak above 0.")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input in this layout."""
        depth, (height, width) = 3 if self.channels == "rgb" else 1, self.size
        if self.layout == "flat":
            return (depth * height * width,)
        return (depth, height, width) if self.layout == "nchw" else (height, width, depth)

    def __call__(self, pictures: Iterable[Any]) -> npt.NDArray[np.float32]:
        """Pictures (whatever `decode` takes) as one (N, ...) float32 array in this layout.

        Raises:
            InputError: something is not a picture, or nothing was given.
        """
        inputs = [self._one(decode(picture, peak=self.peak)) for picture in pictures]
        if not inputs:
            raise InputError("Nothing to work on: 0 pictures.")
        return np.stack(inputs)

    def config(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Raises InputError for unknown fields or values."""
        unknown = set(config) - {field.name for field in fields(cls)}
        if unknown or "size" not in config:
            raise InputError(f"Preprocessing needs a size and knows no {sorted(unknown)}.")
        try:
            return cls(**config)
        except TypeError as error:
            raise InputError(f"Preprocessing cannot be read: {error}") from error

    def _one(self, picture: Picture) -> npt.NDArray[np.float32]:
        invert = self.ink == "inverted" or (self.ink == "light on dark" and _border(picture) > 127.5)
        pixels = self._resized(_with_channels(picture, self.channels)).astype(np.float32)
        if invert:
            pixels = 255 - pixels
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        pixels = (pixels - np.asarray(self.mean, np.float32)) * np.asarray(self.scale, np.float32)
        ordered = pixels if self.layout == "nhwc" else pixels.transpose(2, 0, 1)
        return np.ascontiguousarray(ordered, np.float32).reshape(self.shape)

    def _resized(self, picture: Picture) -> Picture:
        height, width = picture.shape[:2]
        box = self._box(height, width)
        if (height, width) == self.size and box == (0, 0, width, height):
            return picture
        if picture.dtype == np.uint8:
            return self._resample(picture, box)
        if picture.ndim == 2:
            return self._resample(picture.astype(np.float32), box)
        planes = [self._resample(np.ascontiguousarray(p, np.float32), box) for p in picture.transpose(2, 0, 1)]
        return np.stack(planes, axis=2)

    def _resample(self, plane: Picture, box: tuple[float, float, float, float]) -> Picture:
        resized = Image.fromarray(plane).resize(self.size[::-1], FILTERS[self.resize], box)
        return np.asarray(resized)

    def _box(self, height: int, width: int) -> tuple[float, float, float, float]:
        tall, wide = height * self.crop, width * self.crop
        if self.fit == "cover":
            zoom = min(height / self.size[0], width / self.size[1]) * self.crop
            tall, wide = self.size[0] * zoom, self.size[1] * zoom
        left, top = (width - wide) / 2, (height - tall) / 2
        return (left, top, left + wide, top + tall)


def _with_channels(picture: Picture, channels: Channels) -> Picture:
    if channels == "rgb":
        return picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)
    if picture.ndim == 2:
        return picture
    if picture.dtype == np.uint8:
        return np.asarray(Image.fromarray(picture).convert("L"))
    return picture @ np.asarray([0.299, 0.587, 0.114], np.float32)


def _border(picture: Picture) -> float:
    """Mean brightness of the outermost pixels."""
    grey = _with_channels(picture, "grey")
    edges = [grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]]
    return float(np.concatenate(edges).mean(dtype=np.float64))


MOBILENET = Preprocessing((224, 224), crop=0.875, mean=(127.0,), scale=(0.00784314,))
"""MobileNetV2 as trained in TensorFlow: inputs in [-1, 1]."""

IMAGENET = Preprocessing(
    (224, 224), crop=0.875, fit="cover", mean=(123.675, 116.28, 103.53), scale=(1 / 58.395, 1 / 57.12, 1 / 57.375)
)
"""The usual ImageNet evaluation of PyTorch models: shorter side to 256, centre 224, mean and sd per channel."""

MNIST = Preprocessing((28, 28), "grey", resize="area")
"""28x28 grey digits in [0, 1], light on dark."""

DRAWINGS = Preprocessing((28, 28), "grey", resize="area", ink="inverted")
"""Dark strokes on white paper (Omniglot) for a network that learned MNIST."""

DIGITS = Preprocessing((8, 8), "grey", resize="area", peak=16)
"""scikit-learn's 8x8 digits, arrays of 0 to 16; pictures from elsewhere are brought to 8x8."""
