"""Sentences, checked at the door."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from engram.learner import InputError

LENGTH_LIMIT = 1_000_000
"""Longer texts, in characters, are refused: split them into the sentences that are meant."""


def as_texts(inputs: Any) -> list[str]:
    """One text or many as a list of str in Unicode's composed form (NFC).

    Raises:
        InputError: not text, none at all, an empty one, or one longer than `LENGTH_LIMIT`.

    >>> as_texts("play some jazz")
    ['play some jazz']
    """
    if isinstance(inputs, str):
        inputs = [inputs]
    if isinstance(inputs, bytes) or not isinstance(inputs, Iterable):
        raise InputError(f"Expected text, not {type(inputs).__name__}: decode it to str first.")
    texts = [_as_text(i, text) for i, text in enumerate(inputs, 1)]
    if not texts:
        raise InputError("Nothing to work on: 0 texts.")
    return texts


def is_sentence(given: Any, endings: Collection[str] = ()) -> bool:
    """Whether a str is words, or too long for a name, and not the name of a file that is there or was meant.

    Args:
        endings: of files that could be meant, in small letters.

    >>> is_sentence("play some jazz"), is_sentence("jazz"), is_sentence("my cat.png", {".png"})
    (True, False, False)
    >>> is_sentence("donaudampfschiff" * 40)
    True
    """
    if not isinstance(given, str) or Path(given).suffix.lower() in endings:
        return False
    try:
        return not Path(given).exists() and len(given.split()) > 1
    except (OSError, ValueError):  # too long for a name, or with a null character
        return True


def _as_text(place: int, text: Any) -> str:
    if not isinstance(text, str):
        raise InputError(f"Input {place} is not text but {type(text).__name__}.")
    if not text.strip():
        raise InputError(f"Text {place} is empty.")
    if len(text) > LENGTH_LIMIT:
        raise InputError(f"Text {place} has {len(text):,} characters; at most {LENGTH_LIMIT:,} are read.")
    return unicodedata.normalize("NFC", text)
