"""Pictures, decoded and checked at the door: files, bytes, Pillow images and arrays; and small ones to look at."""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from engram.inputs import folders
from engram.inputs.endings import ENDINGS
from engram.inputs.text import is_sentence
from engram.inputs.vectors import as_array
from engram.learner import InputError

Picture = npt.NDArray[Any]

PIXEL_LIMIT = 64_000_000
"""Pictures of more pixels than this are refused from their header, before anything is decoded."""

THUMBNAIL_SIDE = 96
"""Pixels of the longer side of a small picture, at most."""

FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""What is always decoded. Formats that Pillow hands to other programs (EPS) are left out on purpose."""

OPTIONAL = {"AVIF": "PIL.AvifImagePlugin", "HEIF": "pillow_heif"}
"""What is decoded where these modules are there; pillow-heif comes with the extra [photos]."""

SUFFIXES = ENDINGS["picture"]
"""Files with these endings (in any case) are pictures when a folder is scanned."""


@lru_cache(maxsize=1)
def formats() -> tuple[str, ...]:
    """What is decoded on this computer, by Pillow's names."""
    found = [name for name, module in OPTIONAL.items() if find_spec(module) is not None]
    if "HEIF" in found:
        import_module(OPTIONAL["HEIF"]).register_heif_opener()
    return (*FORMATS, *found)


def decode(source: Any, *, peak: float = 1.0, pixel_limit: int = PIXEL_LIMIT) -> Picture:
    """One picture as (H, W) grey or (H, W, 3) RGB with values 0 to 255: uint8, or float32 if finer.

    Upright by its EXIF orientation; transparency is laid on white; of an animation, the first frame.

    Args:
        source: a path, the bytes of a file, a file open for reading, a Pillow image, or an array (H, W), (H, W, 1),
            (H, W, 3) or (H, W, 4): uint8, bool, integers 0 to 255, or floats from 0 to `peak`.
        peak: the value that stands for white in arrays that are not uint8: 1 for floats in [0, 1], 16 for
            scikit-learn's 8x8 digits.
        pixel_limit: the largest height x width that is decoded.

    Raises:
        InputError: not a picture, truncated, too many pixels, or an array of another shape or range.

    >>> decode(np.eye(2)).tolist()
    [[255.0, 0.0], [0.0, 255.0]]
    """
    if isinstance(source, Image.Image):
        return _from_pillow(source, "the picture", pixel_limit)
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_file(io.BytesIO(source), "the picture given as bytes", pixel_limit)
    if is_open_file(source):
        return _from_file(io.BytesIO(content_of(source)), "the picture in the open file", pixel_limit)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if not path.is_file():  # also keeps pipes and devices from being opened
            raise InputError(f"No picture at {path}: {'a folder' if path.is_dir() else missing(source)}.")
        return _from_file(path, str(path), pixel_limit)
    return _from_array(source, peak, pixel_limit)


def each(inputs: Any) -> Iterator[Any]:
    """The single pictures in whatever was given: one picture, an array of many, or any iterable. Open files are read.

    An array of three dimensions is one picture if its last is 1, 3 or 4, else many grey ones; an array of
    two is one grey picture.

    Raises:
        InputError: an array of another shape, or nothing that holds pictures.

    >>> len(list(each(np.zeros((5, 8, 8)))))
    5
    >>> len(list(each(["a.png", "b.png"])))
    2
    """
    if isinstance(inputs, str | os.PathLike | bytes | bytearray | memoryview | Image.Image):
        yield inputs
    elif is_open_file(inputs):
        yield content_of(inputs)
    elif isinstance(inputs, np.ndarray) or hasattr(inputs, "__array__"):
        array = as_array(inputs)
        if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4)):
            yield array
        elif array.ndim in (3, 4):
            yield from array
        else:
            raise InputError(
                f"An array of shape {array.shape} is not pictures: expected (H, W), (H, W, 3), (N, H, W) or "
                "(N, H, W, 3); reshape rows of pixels first."
            )
    elif isinstance(inputs, Iterable):
        yield from _each_item(inputs)
    else:
        raise InputError(f"{type(inputs).__name__} is not a picture: give a path, bytes, image or array.")


def _each_item(inputs: Iterable[Any]) -> Iterator[Any]:
    items = iter(inputs)
    for first in items:
        if isinstance(first, list | tuple | int | float):
            try:
                yield from each(np.asarray([first, *items], np.float64))
            except ValueError as error:
                raise InputError(f"Nested lists are not a rectangle of pixels: {error}") from error
            return
        yield content_of(first) if is_open_file(first) else first


def scan(folder: str | os.PathLike[str]) -> tuple[list[Path], list[str] | None]:
    """The paths and labels that `survey` finds. Raises as it does."""
    found = survey(folder)
    return found.paths, found.labels


def survey(folder: str | os.PathLike[str]) -> folders.Files:
    """The pictures in a folder. See `engram.inputs.folders.survey`; raises as it does."""
    return folders.survey(folder, SUFFIXES, "picture")


def is_open_file(value: Any) -> bool:
    """Whether it can be read from, as what `open` returns can."""
    return hasattr(value, "read") and not isinstance(value, np.ndarray | Image.Image)


def content_of(file: Any) -> bytes:
    """The rest of an open file. Raises InputError where it was opened as text, or cannot be read."""
    try:
        content = file.read()
    except (OSError, ValueError) as error:
        raise InputError(f"The open file cannot be read: {error}") from error
    if not isinstance(content, bytes | bytearray):
        raise InputError('The file was opened as text: open it with mode "rb".')
    return bytes(content)


def _from_file(file: Path | io.BytesIO, name: str, pixel_limit: int) -> Picture:
    try:
        opened = Image.open(file, formats=formats())
    except Exception as error:  # decoders meet hostile bytes with exceptions of any kind
        if isinstance(file, Path) and file.suffix.lower() in (".heic", ".heif") and "HEIF" not in formats():
            raise InputError(f"{name} needs the package pillow-heif, which the extra [photos] brings.") from error
        if isinstance(file, Path) and _holds_text(file):
            raise InputError(f"{name} is a text file, but this brain accepts pictures. {_FOR_TEXT} A table of numbers"
                             " needs the ending .csv, and a brain of its own.") from error
        raise InputError(f"Cannot read {name} as a picture: {_reason(error)}") from error
    with opened:
        return _from_pillow(opened, name, pixel_limit)


_FOR_TEXT = ("To teach texts, make a brain for text: Brain('english-ngrams').learn([TEXT], LABEL), or engram teach"
             " NEW.brain FILE.")


def missing(path: str | os.PathLike[str]) -> str:
    """What to say of a path at which there is nothing; a text may have been meant.

    >>> missing("cat.png")
    'no such file'
    """
    return f"no such file. {_FOR_TEXT.rstrip('.')}" if is_sentence(path, SUFFIXES) else "no such file"


def _holds_text(file: Path) -> bool:
    """Whether a file begins as text in UTF-8 does."""
    with suppress(OSError, UnicodeDecodeError), file.open("rb") as opened:
        begins = codecs.getincrementaldecoder("utf-8")().decode(opened.read(4096))
        return bool(begins) and all(sign.isprintable() or sign.isspace() for sign in begins)
    return False


def _from_pillow(image: Image.Image, name: str, pixel_limit: int) -> Picture:
    width, height = image.size
    if not 0 < width * height <= pixel_limit:
        raise InputError(
            f"{name} has {width} x {height} pixels; between 1 and {pixel_limit:,} are read: scale it down first."
        )
    try:
        image.load()
        return _pixels(ImageOps.exif_transpose(image), name)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"Cannot decode {name}: {_reason(error)} Replace or re-save the file."
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"not one of {', '.join(formats())}."
    return f"{str(error).rstrip('.') or type(error).__name__}."


def _pixels(image: Image.Image, name: str) -> Picture:
    if image.mode.startswith("I") or image.mode == "F":
        white = 1.0 if image.mode == "F" else 65535.0
        return _scaled(np.asarray(image), white, name)
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        image = Image.alpha_composite(paper, layer)
    return np.asarray(image.convert("L" if grey else "RGB"))


def _from_array(source: Any, peak: float, pixel_limit: int) -> Picture:
    array = as_array(source)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise InputError(f"An array of shape {array.shape} is not a picture: expected (H, W), (H, W, 3) or (H, W, 4).")
    if not 0 < array.shape[0] * array.shape[1] <= pixel_limit:
        raise InputError(f"A picture of shape {array.shape} does not have 1 to {pixel_limit:,} pixels.")
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype.kind in "iu" and array.dtype != np.uint8 and peak == 1.0:
        if array.min() < 0 or array.max() > 255:
            raise InputError("Integer pixels must lie between 0 and 255: divide 16-bit values by 65535.0 first.")
        array = array.astype(np.uint8)
    elif array.dtype != np.uint8:
        if array.dtype.kind not in "iuf":
            raise InputError(f"Pixels must be numbers, not {array.dtype}.")
        array = _scaled(array, peak, "the array")
    return _on_white(array) if array.ndim == 3 and array.shape[2] == 4 else array


def _scaled(array: Picture, white: float, name: str) -> Picture:
    """Values from 0 to `white` as float32 from 0 to 255."""
    low, high = float(array.min()), float(array.max())
    if not (low >= -1e-6 * white and high <= white * (1 + 1e-6)):  # also true of NaN
        fix = "divide them by 255" if white == 1 < high <= 255 and low >= 0 else "rescale them"
        raise InputError(
            f"Values of {name} lie between {low:g} and {high:g}, expected 0 to {white:g}: {fix}, or pass uint8."
        )
    scaled: Picture = (np.clip(array, 0, white) * (255.0 / white)).astype(np.float32)
    return scaled


def _on_white(array: Picture) -> Picture:
    if array.dtype == np.uint8:
        return _pixels(Image.fromarray(array, "RGBA"), "the array")
    alpha = array[:, :, 3:] / np.float32(255)
    blended: Picture = array[:, :, :3] * alpha + 255 * (1 - alpha)
    return blended


def thumbnail(source: Any, side: int = THUMBNAIL_SIDE) -> bytes | None:
    """A JPEG of at most `side` pixels a side, without any of the file's metadata; None where there is no picture.

    >>> Image.open(io.BytesIO(thumbnail(np.zeros((300, 200))))).size
    (64, 96)
    """
    try:
        picture = Image.fromarray(np.asarray(decode(_reduced(source, side))).astype(np.uint8))
    except InputError:
        return None
    picture.thumbnail((side, side))
    packed = io.BytesIO()
    picture.save(packed, "JPEG", quality=80)
    return packed.getvalue()


def _reduced(source: Any, side: int) -> Any:
    """JPEG files are decoded at about the size that is needed: much faster."""
    if not isinstance(source, str | os.PathLike | bytes | bytearray):
        return source
    try:
        opened = Image.open(io.BytesIO(source) if isinstance(source, bytes | bytearray) else source, formats=FORMATS)
        opened.draft(None, (side, side))
        return opened
    except Exception as error:  # decoders meet hostile bytes with exceptions of any kind
        raise InputError(f"No picture: {error}") from error
