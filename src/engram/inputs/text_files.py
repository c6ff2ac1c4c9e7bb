"""Sentences in files: a line each, or a table with a column of text and a column of labels."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from engram.inputs.endings import ENDINGS, other_kind
from engram.inputs.folders import PassedOver, count, visible
from engram.inputs.media import MEDIA
from engram.inputs.text import as_texts
from engram.learner import InputError, Label
from engram.printable import from_file_name

LINES, TABLES = ENDINGS["text"], frozenset({".csv", ".tsv"})
"""Endings of files that hold one text a line, and of files that hold a table."""

LABELS = frozenset({"label", "intent", "category", "class"})
"""Columns, in any case, that say what each text is."""

TEXTS = frozenset({"text", "sentence", "utterance", "query", "message"})
"""Columns, in any case, that hold the texts."""

STDIN = "-"
_SHOWN = 80  # characters
_FIELD_LIMIT = 2_000_000  # characters of one cell; the csv module has 131,072, fewer than a text may have


class Line(NamedTuple):
    """A text, where it stands, and what it is if the table or the folder says so."""

    text: str
    source: str
    label: Label | None


def lines_of(path: str | os.PathLike[str]) -> list[Line]:
    """The texts of a file or a folder; of standard input where the path is "-".

    A `.txt` file holds a text in each line that is not blank. A `.csv` or `.tsv` file has a column of texts (`text`,
    `sentence`, `utterance`, `query` or `message`, or the only one beside the labels) and, if it likes, a column of
    labels (`label`, `intent`, `category` or `class`). In a folder, the name of each inner folder is the label of what
    is in it; where `.txt` files lie in the folder itself, each file's name is.

    Raises:
        InputError: nothing there, another ending, not UTF-8, no column of texts, or no text at all.
    """
    if str(path) == STDIN:
        found = list(_of_lines(sys.stdin.read().splitlines(), "standard input", None))
    else:
        place = Path(path)
        if not place.exists():
            raise InputError(f"{place} does not exist: check the path. A single sentence is given to Brain.learn or "
                             "Brain.predict as a str, and to a command by `echo SENTENCE | engram predict BRAIN -`.")
        found = list(_of_folder(place) if place.is_dir() else _of_file(place, None))
    if not found:
        raise InputError(f"Nothing to work on: no text in {path}.")
    as_texts([line.text for line in found])
    return found


def holds_text(path: str | os.PathLike[str]) -> bool:
    """Whether a file or a folder looks like texts: a `.txt` file, a table with a column of texts, a folder of them.

    A folder with pictures or sounds in it is one of these, whatever notes lie beside them.
    """
    place = Path(path)
    if str(path) == STDIN:
        return True
    if place.is_dir():
        if any(count(place, medium.suffixes) for medium in MEDIA.values()):
            return False
        return any(entry.suffix.lower() in LINES for entry in _entries(place)) or any(
            entry.suffix.lower() in LINES for inner in _entries(place) if inner.is_dir() for entry in _entries(inner)
        )
    if place.suffix.lower() in LINES:
        return True
    if place.suffix.lower() not in TABLES or not place.is_file():
        return False
    try:
        names, _ = _columns(_rows(place)[:1], place)
    except InputError:
        return False
    return any(name.strip().lower() in TEXTS for name in names)


def _of_folder(folder: Path) -> Iterator[Line]:
    for file, label in _files_in(folder):
        yield from _of_file(file, label)


def _files_in(folder: Path) -> Iterator[tuple[Path, Label | None]]:
    """The files of texts in a folder, and the label of each that has one."""
    entries = _entries(folder)
    for file in entries:
        if file.is_file() and file.suffix.lower() in LINES | TABLES:
            yield file, from_file_name(file.stem) if file.suffix.lower() in LINES else None
    for inner in (entry for entry in entries if entry.is_dir()):
        label = from_file_name(inner.name)
        for file in sorted(inner.rglob("*.txt")):
            if not any(part.startswith(".") for part in file.relative_to(inner).parts):
                yield file, label


def passed_over(inputs: Any) -> tuple[PassedOver, ...]:
    """The files in folders, one path or a list of them, that are no texts."""
    found = []
    for path in [inputs] if isinstance(inputs, os.PathLike) else inputs:
        folder = Path(path)
        if folder.is_dir():
            read = {file for file, _ in _files_in(folder)}
            others = sorted(file for file in visible(folder) if file not in read)
            found += [PassedOver(file, other_kind(file, "text")) for file in others]
    return tuple(found)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX")))
    except OSError as error:
        raise InputError(f"Cannot read {folder}: {error.strerror or error}.") from error


def _of_file(file: Path, label: Label | None) -> Iterator[Line]:
    ending = file.suffix.lower()
    if ending in LINES:
        yield from _of_lines(_content(file).splitlines(), str(file), label)
    elif ending in TABLES:
        yield from _of_table(file, label)
    else:
        endings = "/".join(sorted(LINES | TABLES))
        raise InputError(f"{file} is no file of texts: this brain accepts text, as {endings} files.")


def _of_lines(lines: Sequence[str], source: str, label: Label | None) -> Iterator[Line]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield Line(line.strip(), f"{source}:{number} {shortened(line)}", label)


def _of_table(file: Path, label: Label | None) -> Iterator[Line]:
    rows = _rows(file)
    names, places = _columns(rows, file)
    text, mark = places
    for number, row in enumerate(rows[1:] if names else rows, 1):
        if len(row) <= max(place for place in places if place is not None):
            raise InputError(f"{file}: row {number} has {len(row)} cells, fewer than the first line.")
        if row[text].strip():
            named = label if mark is None else row[mark].strip() or None
            yield Line(row[text].strip(), f"{file}:{number} {shortened(row[text])}", named)


def _columns(rows: list[list[str]], file: Path) -> tuple[list[str], tuple[int, int | None]]:
    """The names in the first line, and where texts and labels are; one column alone needs no name.

    Raises:
        InputError: the columns cannot be told apart.
    """
    if not rows:
        return [], (0, None)
    names = [cell.strip().lower() for cell in rows[0]]
    marks = [place for place, name in enumerate(names) if name in LABELS]
    texts = [place for place, name in enumerate(names) if name in TEXTS]
    if not texts and len(names) - len(marks[:1]) == 1 and marks:
        texts = [place for place in range(len(names)) if place != marks[0]]
    if len(names) == 1 and not texts:
        return [], (0, None)
    if len(texts) != 1 or len(marks) > 1:
        raise InputError(f"{file}: name the columns in the first line, the one with the texts 'text' and the one with "
                         f"the labels 'label'; they are {', '.join(map(repr, rows[0][:8]))}.")
    return names, (texts[0], marks[0] if marks else None)


def _rows(file: Path) -> list[list[str]]:
    content = _content(file)
    separator = "\t" if file.suffix.lower() == ".tsv" else _separator(content)
    limit = csv.field_size_limit(_FIELD_LIMIT)
    try:
        return [row for row in csv.reader(content.splitlines(keepends=True), delimiter=separator) if row]
    except csv.Error as error:
        raise InputError(f"{file} is not a table: {error}.") from error
    finally:
        csv.field_size_limit(limit)


def _separator(content: str) -> str:
    """What stands between the cells of the first line: a comma, unless only a semicolon or a tab does."""
    first = content.partition("\n")[0]
    return next((one for one in (",", ";", "\t") if one in first), ",")


def _content(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"Cannot read {file}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text: save it as UTF-8.") from error


def shortened(text: str) -> str:
    """The begin of a text on one line, so that people see what an example or an unknown is.

    >>> shortened("play some jazz")
    'play some jazz'
    """
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def check_no_names(texts: Sequence[str]) -> None:
    """Raises InputError for a text that is only the name of a file: taught, it would be an example of nothing."""
    for text in texts:
        if Path(text.strip()).suffix.lower() in LINES | TABLES and len(text.split()) == 1:
            raise InputError(f"{text!r} is the name of a file, and a str is a text. In Python, Path({text!r}) stands"
                             " for what is in the file.")


def text_inputs(inputs: Any) -> list[Line] | None:
    """The texts in paths, one or a list; None where what is given are no paths: a str is a text itself."""
    given = [inputs] if isinstance(inputs, os.PathLike) else inputs
    if not isinstance(given, list | tuple) or not given or not all(isinstance(one, os.PathLike) for one in given):
        return None
    return [line for path in given for line in lines_of(path)]
