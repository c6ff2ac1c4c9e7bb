"""Small pictures of what was taught, for people to look at."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from PIL import Image

from engram.inputs.images import FORMATS, decode
from engram.learner import InputError

SIDE = 96


def thumbnail(source: Any, side: int = SIDE) -> bytes | None:
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
