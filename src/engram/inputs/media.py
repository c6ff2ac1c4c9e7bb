"""The kinds of inputs that come as files, each by itself: what their files are called, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engram.inputs import images, sequences, sounds
from engram.learner import InputError


@dataclass(frozen=True, kw_only=True)
class Medium:
    """A row of `MEDIA`.

    Attributes:
        one: what a single one is called.
        suffixes: endings of its files, in small letters.
        each: the single ones in whatever was given.
        decode: one of them, checked; raises InputError.
        thumbnail: a small JPEG of one, or None.
        missing: what to say of a path at which there is nothing.
    """

    one: str
    suffixes: frozenset[str]
    each: Callable[[Any], Iterator[Any]]
    decode: Callable[[Any], Any]
    thumbnail: Callable[[Any], bytes | None]
    missing: Callable[[Any], str]

    def unreadable(self, items: Iterable[Any]) -> dict[int, str]:
        """Which of these cannot be decoded, by place, and why."""
        found = {}
        for place, item in enumerate(items):
            try:
                self.decode(item)
            except InputError as error:
                found[place] = str(error)
        return found


MEDIA: Mapping[str | None, Medium] = {
    "pictures": Medium(
        one="picture", suffixes=images.SUFFIXES, each=images.each, decode=images.decode, thumbnail=images.thumbnail,
        missing=images.missing,
    ),
    "sound": Medium(
        one="sound", suffixes=sounds.SUFFIXES, each=sounds.each, decode=sounds.decode, thumbnail=sounds.thumbnail,
        missing=lambda path: "no such file",
    ),
    "sequences": Medium(
        one="sequence", suffixes=sequences.SUFFIXES, each=sequences.each, decode=sequences.decode,
        thumbnail=sequences.thumbnail, missing=lambda path: "no such file",
    ),
}
"""What a backbone takes -> how it comes. To add a kind of files: a module beside `images` and `sounds`, a row here."""
