"""Pictures and sounds at the door: how large they are, told from their headers before anything is decoded."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from PIL import Image

from engram.inputs.images import formats
from engram.inputs.sounds import VALUES_LIMIT, count_values
from engram.learner import InputError
from engram.server.problems import Refusal


class PixelBudget:
    """How many pixels may be decoded at the same time: bounds the memory that pictures take.

    Args:
        pixels: of all requests together; one that has more by itself waits until it is alone.
    """

    def __init__(self, pixels: int) -> None:
        self._pixels, self._taken = pixels, 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def taking(self, pixels: int) -> AsyncIterator[None]:
        """Wait until there is room for so many."""
        share = min(pixels, self._pixels)
        async with self._changed:
            await self._changed.wait_for(lambda: self._taken + share <= self._pixels)
            self._taken += share
        try:
            yield
        finally:
            async with self._changed:
                self._taken -= share
                self._changed.notify_all()


def count_pixels(pictures: Sequence[bytes], each: int, together: int) -> int:
    """Pixels of all pictures. Raises InputError for what is no picture, Refusal where there are too many.

    Args:
        each, together: the most of one picture, and of all of them.
    """
    total = 0
    for place, picture in enumerate(pictures, 1):
        width, height = _size(picture, place)
        if width * height > each:
            raise Refusal("too-large", f"Picture {place} has {width} x {height} pixels, but at most {each:,} are"
                                       " allowed: scale it down.")
        total = _within(total + width * height, together, "pictures", "pixels")
    return total


def count_samples(sounds: Sequence[bytes], together: int) -> int:
    """Samples of all channels of all sounds. Raises InputError for what is no sound, Refusal where there are too many.

    Args:
        together: the most of all of them; of one, `VALUES_LIMIT`.
    """
    total = 0
    for place, sound in enumerate(sounds, 1):
        values = count_values(sound, f"Sound {place}")
        if values > VALUES_LIMIT:
            raise Refusal("too-large", f"Sound {place} has {values:,} samples, but at most {VALUES_LIMIT:,} are"
                                       " allowed: cut it into pieces.")
        total = _within(total + values, together, "sounds", "samples")
    return total


def _within(total: int, together: int, what: str, parts: str) -> int:
    """The total. Raises Refusal where it is more than one request may bring."""
    if total > together:
        raise Refusal("too-large", f"These {what} have more than {together:,} {parts} together: send fewer at once.")
    return total


def _size(picture: bytes, place: int) -> tuple[int, int]:
    if not picture:
        raise InputError(f"Picture {place} is empty: there is no picture in it.")
    try:
        with Image.open(io.BytesIO(picture), formats=formats()) as opened:
            return opened.size
    except Exception as error:  # decoders meet hostile bytes with exceptions of any kind
        raise InputError(f"Picture {place} cannot be read: expected one of {', '.join(formats())}.") from error
