"""From what a person hands over to single examples with labels: arrays, pictures, files, a folder per class."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engram.inputs.images import PassedOver, each, missing, survey
from engram.inputs.tables import LABEL, Table, check_labels, named_table
from engram.inputs.text import as_texts
from engram.inputs.text_files import shortened, text_inputs
from engram.inputs.vectors import as_labels, as_vectors
from engram.learner import ColumnsError, InputError, Label, LabelError
from engram.printable import from_file_name

TABLES = frozenset({".csv", ".npy"})
"""Endings of files that hold raw vectors, one per row."""

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?"})
"""What stands in a table for a missing value, in small letters."""


@dataclass(frozen=True)
class Examples:
    """Single inputs that a backbone takes, where each came from, and their labels if any were found.

    Attributes:
        items: an (N, D) array of vectors, or N pictures or texts.
        sources: the path of each, or None.
        labels: one for each, or None.
        columns: the names of the vectors' columns, or None.
        folders: the name of the folder that each was found in, or None where one came without.
        passed_over: files in folders that are none of the items.
    """

    items: Any
    sources: list[str | None]
    labels: list[Label] | None
    columns: tuple[str, ...] | None = None
    folders: list[Label] | None = None
    passed_over: tuple[PassedOver, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def without(self, places: Collection[int]) -> Examples:
        """The others. Only for items in a list."""
        kept = [place for place in range(len(self)) if place not in places]

        def of(values: list[Any] | None) -> Any:
            return None if values is None else [values[place] for place in kept]

        return replace(self, items=of(self.items), sources=of(self.sources), labels=of(self.labels),
                       folders=of(self.folders))

    def labelled(self, targets: Any, like: Label | None) -> list[Label]:
        """The labels given, else those found, else the names of the folders.

        Raises:
            LabelError: there are none, or not one for each, or of another type than `like`.
        """
        found = self.folders if self.labels is None else self.labels
        if targets is None and found is None:
            raise LabelError("There are no labels: pass one per input, or one for all, or put the inputs into a folder "
                             "named by their label.")
        return as_labels(found if targets is None else targets, len(self), like)


def gather(inputs: Any, takes: str | None, columns: Sequence[str] | None = None) -> Examples:
    """The single examples in whatever was given.

    Args:
        takes: what the backbone works on: "pictures", "vectors" or "text"; None hands on what there is, one by one.
        columns: what named columns have to be called, in their order; None is content with any.

    Raises:
        InputError: nothing there, not what the backbone takes, or other columns.
    """
    if takes is None:
        given = list(inputs) if isinstance(inputs, Iterable) else [inputs]
        return Examples(given, _sources(given), None)
    if takes == "text":
        lines = text_inputs(inputs)
        if lines is None:
            texts = as_texts(inputs)
            return Examples(texts, [shortened(text) for text in texts], None)
        return Examples([line.text for line in lines], [line.source for line in lines],
                        _of_all([line.label for line in lines]))
    return _pictures(inputs) if takes == "pictures" else vectors_of(inputs, columns)


def _pictures(inputs: Any) -> Examples:
    items: list[Any] = []
    found: list[Label | None] = []
    folders: list[Label | None] = []
    passed_over: list[PassedOver] = []
    for one in each(inputs):
        if isinstance(one, str | os.PathLike) and Path(one).is_dir():
            paths, labels, others = survey(one)
            items += paths
            passed_over += others
            found += labels if labels is not None else [None] * len(paths)
            folders += labels if labels is not None else [from_file_name(Path(one).resolve().name)] * len(paths)
        elif isinstance(one, str | os.PathLike) and not Path(one).exists():
            raise InputError(f"No picture at {one}: {missing(one)}.")
        else:
            items.append(one)
            found.append(None)
            folders.append(None)
    if not items:
        raise InputError("Nothing to work on: 0 pictures.")
    return Examples(items, _sources(items), _of_all(found), folders=_of_all(folders), passed_over=tuple(passed_over))


def _of_all(labels: Sequence[Label | None]) -> list[Label] | None:
    """The labels, where every input has one."""
    known = [label for label in labels if label is not None]
    return known if len(known) == len(labels) else None


def vectors_of(inputs: Any, columns: Sequence[str] | None = None) -> Examples:
    """Raw vectors, in an array, a table with named columns or files; `columns` as for `gather`."""
    files = [inputs] if is_file(inputs) else inputs
    if isinstance(files, list | tuple) and len(files) and all(is_file(one) for one in files):
        return _of_files(files, columns)
    table = named_table(inputs)
    if table is not None:
        return Examples(as_vectors(table.taught_as(columns)), [None] * len(table), table.labels, table.columns)
    vectors = as_vectors(inputs)
    return Examples(vectors, [None] * len(vectors), None)


def _of_files(files: Sequence[Any], columns: Sequence[str] | None) -> Examples:
    """All rows of all files; where columns are named, as these or else as in the first file that names them."""
    tables = [read_table(file) for file in files]
    widths = [table.items.shape[1] for table in tables]
    if len(set(widths)) > 1:
        raise InputError(f"The files have different numbers of columns: {widths} values per vector.")
    named = next((table.columns for table in tables if table.columns), None)
    order = named if columns is None else tuple(columns)
    rows = []
    for file, table in zip(files, tables, strict=True):
        try:
            rows.append(Table(table.items, table.columns).taught_as(order) if table.columns else table.items)
        except ColumnsError as error:
            raise ColumnsError(f"{file}: {error}") from error
    labels = [label for table in tables for label in table.labels or ()]
    sources = [source for table in tables for source in table.sources]
    items = np.concatenate(rows)
    return Examples(items, sources, labels if len(labels) == len(items) else None, order)


def read_table(file: str | os.PathLike[str]) -> Examples:
    """The vectors in a .npy file, or in a .csv file; a first line names the columns, a column `label` gives labels.

    A .npy file may hold a structured array: its fields are columns.

    Raises:
        InputError: no such file, another ending, or not a rectangle of numbers.
    """
    path = Path(file)
    if path.is_dir() or path.suffix.lower() not in TABLES:
        raise InputError(f"{path} is not a table: this brain accepts vectors, as .npy and .csv files.")
    try:
        if path.suffix.lower() == ".npy":
            loaded = np.load(path, allow_pickle=False)
            named = named_table(loaded)
            found = vectors_of(loaded if named is None else named)
            vectors, labels, columns = found.items, found.labels, found.columns
        else:
            vectors, labels, columns = _read_csv(path)
    except (InputError, LabelError) as error:
        raise type(error)(f"{path}: {error}") from error
    except (OSError, ValueError, EOFError, MemoryError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"Cannot read vectors from {path}: {reason}.") from error
    return Examples(vectors, [f"{path}:{row}" for row in range(1, len(vectors) + 1)], labels, columns)


def _read_csv(path: Path) -> tuple[Any, list[Label] | None, tuple[str, ...] | None]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = [line for line in csv.reader(file) if line]
    if lines:
        _check_separator(lines[0])
    names = [name.strip() for name in lines[0]] if lines and not _numeric(lines[0]) else []
    rows = lines[1:] if names else lines
    places = [i for i, name in enumerate(names) if name.lower() == LABEL]
    if not places:
        return _named_numbers(rows, names), None, tuple(names) or None
    if any(len(row) <= places[0] for row in rows):
        raise InputError("a row is too short to hold its label.")
    labels = check_labels([row[places[0]] for row in rows])
    without = [row[: places[0]] + row[places[0] + 1 :] for row in (names, *rows)]
    return _named_numbers(without[1:], without[0]), labels, tuple(without[0])


def _check_separator(line: list[str]) -> None:
    """Raises InputError where a file's first line is not separated by commas."""
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if any(separator in cell for cell in line):
            raise InputError(f"the values are separated by {name}: save the file with commas between the values and "
                             "points in decimals.")


def _named_numbers(rows: list[list[str]], names: list[str]) -> Any:
    """(N, D) vectors of N rows of cells.

    Raises:
        InputError: a row of another length, or a cell that is not a number; names its row and column.
    """
    if rows and names and len(names) != len(rows[0]):
        raise InputError(f"the first line has {len(names)} names, but row 1 has {len(rows[0])} values.")
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise InputError(f"row {number} has {len(row)} values, but row 1 has {len(rows[0])}.")
        for place, cell in enumerate(row):
            if not _numeric([cell]):
                where = f"column {names[place]!r}" if names else f"column {place + 1}"
                column = [one[place] for one in rows if place < len(one)]
                raise InputError(f"row {number}, {where}: {_hint(cell, column)}")
    return as_vectors(rows)


def _hint(cell: str, column: list[str]) -> str:
    """What a cell is that is no number, and what to do about it."""
    if cell.strip().lower() in MISSING:
        return "the value is missing: fill in missing values, or remove these rows."
    if not any(_numeric([one]) for one in column):
        return (f"{cell!r} is text, like the whole column: if the column holds the labels, name it {LABEL!r} in the"
                " first line, else remove it.")
    return f"{cell!r} is not a number."


def _numeric(cells: Sequence[str]) -> bool:
    try:
        return bool([float(cell) for cell in cells])
    except ValueError:
        return False


def is_file(value: Any) -> bool:
    """Whether it is a path."""
    return isinstance(value, str | os.PathLike)


def is_table(value: Any) -> bool:
    """Whether the path of a file ends as one that holds vectors."""
    return Path(value).suffix.lower() in TABLES


def _sources(items: Sequence[Any]) -> list[str | None]:
    return [str(item) if is_file(item) else None for item in items]
