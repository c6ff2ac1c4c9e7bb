"""What is seen, heard and read, told apart in whatever is given together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engram.inputs import sounds
from engram.inputs.endings import kind_of
from engram.inputs.folders import PassedOver, visible
from engram.inputs.images import SUFFIXES
from engram.inputs.media import MEDIA
from engram.inputs.text import as_texts
from engram.inputs.text_files import LINES, STDIN, TABLES, lines_of, shortened
from engram.learner import InputError, Label, LabelError
from engram.printable import from_file_name

MODALITIES = ("pictures", "sound", "text")
"""What a backbone takes, in the order in which things are told."""

_KINDS = {"picture": "pictures", "sound": "sound", "text": "text"}


@dataclass(frozen=True)
class Part:
    """What is of one modality: the single inputs, which things they are of (places from 0), and where they come from.
    """

    items: list[Any] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    sources: list[str | None] = field(default_factory=list)

    def of(self, values: Sequence[Any]) -> list[Any]:
        """The values, one for each thing, of these inputs."""
        return [values[place] for place in self.places]


@dataclass(frozen=True)
class Things:
    """N things, each met by one modality or more.

    Attributes:
        count: N.
        parts: modality -> what is of it; at least one.
        labels: the names of the folders that they lie in, where all lie in one.
        passed_over: files that are of no modality, and why.
    """

    count: int
    parts: Mapping[str, Part]
    labels: list[Label] | None = None
    passed_over: tuple[PassedOver, ...] = ()

    def at(self, places: Sequence[int]) -> Things:
        """The things at these places, in their order."""
        now = {before: place for place, before in enumerate(places)}
        parts = {}
        for name, part in self.parts.items():
            rows = [row for row, place in enumerate(part.places) if place in now]
            if rows:
                parts[name] = Part([part.items[row] for row in rows], [now[part.places[row]] for row in rows],
                                   [part.sources[row] for row in rows])
        labels = None if self.labels is None else [self.labels[place] for place in places]
        return Things(len(places), parts, labels)

    def unreadable(self) -> dict[int, PassedOver]:
        """The things of which a file cannot be read, by their places, and why."""
        found: dict[int, PassedOver] = {}
        for name, part in self.parts.items():
            bad = MEDIA[name].unreadable(part.items) if name in MEDIA else {}
            found |= {part.places[row]: PassedOver(Path(part.sources[row] or ""), why) for row, why in bad.items()}
        return found

    def source(self, place: int) -> str | None:
        """Where a thing comes from: the files that it was met in."""
        found = [part.sources[part.places.index(place)] for part in self.parts.values() if place in part.places]
        return " + ".join(one for one in found if one) or None


def things_in(inputs: Any, *, together: bool = False) -> Things:
    """The things in whatever is given, and which modality each input of theirs is of.

    Args:
        inputs: a dictionary, modality ("pictures", "sound", "text") -> an input for each thing, or None where a thing
            lacks it: the first picture and the first sound are of the first thing. Or single inputs, one or a list of
            them, each a thing of its own: pictures, sounds and texts as a brain for these takes them; a folder, in
            which the files of all modalities are found, or one with a folder for each label. A str is a text unless it
            ends like the file of a picture or sound.
        together: files that differ in their endings alone, such as cat-1.png and cat-1.wav, are of one thing.

    Raises:
        InputError: nothing there, another modality, or lists that do not fit each other.

    >>> found = things_in({"pictures": ["cat.png", "dog.png"], "text": ["it purrs", None]})
    >>> found.count, found.parts["text"].places
    (2, [0])
    """
    if isinstance(inputs, Mapping):
        return _of_mapping(inputs)
    found = _Found(together)
    single = not isinstance(inputs, list | tuple) or sounds.as_pair(inputs) is not None
    for one in [inputs] if single else inputs:
        found.take(one)
    return found.things()


def _of_mapping(inputs: Mapping[Any, Any]) -> Things:
    strange = [name for name in inputs if name not in MODALITIES]
    if strange or not inputs:
        raise InputError(f"Inputs of several modalities are given as {', '.join(map(repr, MODALITIES))}, not "
                         f"{strange[0]!r}." if strange else "Nothing to work on: no modality is given.")
    lists = {name: _as_list(given) for name, given in inputs.items()}
    counts = {name: len(given) for name, given in lists.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{count} of {name}" for name, count in counts.items())
        raise InputError(f"{told}: give one input of each modality for each thing, and None where it lacks one.")
    parts = {}
    for name in MODALITIES:
        there = [(place, one) for place, one in enumerate(lists.get(name, ())) if one is not None]
        if there:
            items = [one for _, one in there]
            parts[name] = Part(items, [place for place, _ in there], [_source(name, one) for one in items])
    count = next(iter(counts.values()))
    lacking = next((place for place in range(count) if not any(place in part.places for part in parts.values())), None)
    if lacking is not None or not count:
        what = "Nothing to work on" if lacking is None else f"Nothing of thing {lacking + 1}"
        raise InputError(f"{what}: give a picture, a sound or a text of it.")
    return Things(count, parts)


def _as_list(given: Any) -> list[Any]:
    single = not isinstance(given, list | tuple) or sounds.as_pair(given) is not None
    return [given] if single else list(given)


def _source(modality: str, item: Any) -> str | None:
    if isinstance(item, str):
        return shortened(item) if modality == "text" else item
    return os.fspath(item) if isinstance(item, os.PathLike) else None


class _Found:
    """Things as they are found, one input after the other."""

    def __init__(self, together: bool) -> None:
        self._together = together
        self._parts = {name: Part() for name in MODALITIES}
        self._known: dict[str, int] = {}
        self._labels: list[Label | None] = []
        self._passed_over: list[PassedOver] = []

    def take(self, one: Any) -> None:
        """One input, or all in a file or folder."""
        if isinstance(one, os.PathLike) and Path(one).is_dir():
            folder = Path(one)
            for file in sorted(visible(folder)):
                inner = file.relative_to(folder).parts[:-1]
                self._file(file, from_file_name(inner[0] if inner else folder.resolve().name))
        elif isinstance(one, os.PathLike) or (
            isinstance(one, str) and Path(one).suffix.lower() in SUFFIXES | sounds.SUFFIXES
        ):
            self._path(Path(one), one)
        elif isinstance(one, str):
            (text,) = as_texts(one)
            self._add("text", text, shortened(text), None, None)
        else:
            self._add("sound" if _is_sound(one) else "pictures", one, None, None, None)

    def _path(self, path: Path, given: Any) -> None:
        if str(given) != STDIN and not path.exists():
            raise InputError(f"{path} does not exist: check the path.")
        if str(given) != STDIN and path.suffix.lower() not in SUFFIXES | sounds.SUFFIXES | LINES | TABLES:
            raise InputError(f"{path} is neither a picture nor a sound nor a text by its ending.")
        self._file(path, None)

    def _file(self, file: Path, label: Label | None) -> None:
        kind = _KINDS.get(kind_of(file) or "")
        if kind is None and file.suffix.lower() not in TABLES and str(file) != STDIN:
            self._passed_over.append(PassedOver(file, "neither a picture nor a sound nor a text by its ending"))
        elif kind is not None and kind in MEDIA:
            self._add(kind, file, str(file), label, file)
        else:
            lines = lines_of(file)
            for line in lines:
                self._add("text", line.text, line.source, label if line.label is None else line.label,
                          file if len(lines) == 1 else None)

    def _add(self, modality: str, item: Any, source: str | None, label: Label | None, file: Path | None) -> None:
        name = os.fspath(file.with_suffix("")) if self._together and file is not None else None
        part = self._parts[modality]
        place = self._known.get(name, len(self._labels)) if name is not None else len(self._labels)
        if place in part.places:  # another file of this modality has that name: a thing of its own
            place = len(self._labels)
        if place == len(self._labels):
            self._labels.append(label)
            if name is not None:
                self._known[name] = place
        part.items.append(item)
        part.places.append(place)
        part.sources.append(source)

    def things(self) -> Things:
        """All that were found. Raises InputError where there is none."""
        parts = {name: part for name, part in self._parts.items() if part.items}
        if not parts:
            raise InputError("Nothing to work on: no picture, no sound and no text.")
        labels = [label for label in self._labels if label is not None]
        whole = labels if len(labels) == len(self._labels) else None
        return Things(len(self._labels), parts, whole, tuple(self._passed_over))


def _is_sound(one: Any) -> bool:
    if isinstance(one, bytes | bytearray):
        return sounds.begins_as_sound(bytes(one[:16]))
    return sounds.as_pair(one) is not None


def labelled(things: Things, targets: Any) -> Iterator[Label]:
    """A label for each thing: the one given for all, those given, or those of the folders.

    Raises:
        LabelError: there are none, or not one for each.
    """
    if targets is None and things.labels is None:
        raise LabelError("There are no labels: pass one for all or one for each thing, or put the files into a folder "
                         "named by their label.")
    given: Any = things.labels if targets is None else targets
    if isinstance(given, str | int):
        given = [given] * things.count
    if len(given) != things.count:
        raise LabelError(f"{len(given)} labels for {things.count} things: give one for each, or one for all.")
    yield from given
