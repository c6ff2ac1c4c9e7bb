"""How files of each kind end: by that they are told from each other in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ENDINGS: Mapping[str, frozenset[str]] = {
    "picture": frozenset({
        ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm",
        ".tif", ".tiff", ".webp",
    }),
    "sound": frozenset({".aif", ".aiff", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".wave"}),
    "text": frozenset({".txt"}),
}
"""What one file is called -> its endings, in small letters."""


def kind_of(file: Path) -> str | None:
    """What a file is by its ending, in any case; None for another.

    >>> kind_of(Path("a.WAV")), kind_of(Path("a.pdf"))
    ('sound', None)
    """
    return next((one for one, endings in ENDINGS.items() if file.suffix.lower() in endings), None)


def other_kind(file: Path, wanted: str) -> str:
    """Why a file is left out where files of a kind are wanted.

    >>> other_kind(Path("a.wav"), "picture"), other_kind(Path("a.pdf"), "picture")
    ('a sound, no picture', 'no picture by its ending')
    """
    kind = kind_of(file)
    return f"no {wanted} by its ending" if kind is None else f"a {kind}, no {wanted}"
