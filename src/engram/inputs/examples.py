"""From what a person hands over to single examples with labels: arrays, pictures, files, a folder per class."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.extras import check
from engram.inputs import sounds
from engram.inputs.encoding import MISSING, source_of
from engram.inputs.folders import PassedOver, survey
from engram.inputs.media import MEDIA, Medium
from engram.inputs.tables import LABEL, Table, named_table
from engram.inputs.text import as_texts
from engram.inputs.text_files import passed_over, shortened, text_inputs
from engram.inputs.vectors import as_labels, as_vectors
from engram.learner import ColumnsError, FloatArray, InputError, Label, LabelError
from engram.printable import from_file_name

ARROW = frozenset({".parquet", ".feather", ".arrow"})
"""Endings of files that need pyarrow."""

TABLES = frozenset({".csv", ".npy", *ARROW})
"""Endings of files that hold raw vectors, one per row."""

_LIKE = 0.75
"""How much like the name of a column, from 0 to 1, a label is taken for that name, mistyped."""


@dataclass(frozen=True)
class Examples:
    """Single inputs that a backbone takes, where each came from, and their labels if any were found.

    Attributes:
        items: an (N, D) array of vectors, or N pictures, sounds or texts.
        sources: the path of each, or None.
        labels: one for each, or None.
        columns: the names of the vectors' columns, or None.
        folders: the name of the folder that each was found in, or None where one came without.
        passed_over: files in folders that are none of the items.
        strange: what stands in a table that cannot be learned, since the brain's columns do not have it; None: nothing.
        target: the column that was asked for the labels, where there is one.
        lacking: (N,) bool, rows of a table that lack a value where none was missing before: nothing is known of them;
            None: no row does.
        numbers: (N,) that column, or the one called "label", where it holds numbers; NaN where one is missing.
    """

    items: Any
    sources: list[str | None]
    labels: list[Label] | None
    columns: tuple[str, ...] | None = None
    folders: list[Label] | None = None
    passed_over: tuple[PassedOver, ...] = ()
    strange: str | None = None
    target: str | None = None
    numbers: FloatArray | None = None
    lacking: npt.NDArray[np.bool_] | None = None

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
        if self.target is not None:
            targets = None
        for name in self.columns or ():
            if isinstance(targets, str) and name.endswith(f"={targets}"):
                column = name.removesuffix(f"={targets}")
                raise LabelError(f"All rows would be labelled {targets!r}, but that is what some rows say in column "
                                 f"{column!r}. If the column holds the labels, name it: brain.learn(table, "
                                 f"{column!r}).")
        if isinstance(targets, str) and (meant := self._mistyped(targets)) is not None:
            raise LabelError(f"All rows would be labelled {targets!r}, but the table has a column {meant!r}. If it "
                             f"holds the labels, name it: brain.learn(table, {meant!r}), or --label {meant} in the "
                             "terminal. Otherwise give the table a column `label` that says in each row what it is.")
        if targets is None and found is None:
            raise LabelError(self._no_labels() if self.numbers is None else self._measured(self.numbers))
        return as_labels(found if targets is None else targets, len(self), like)

    def _mistyped(self, name: str) -> str | None:
        """The column whose name is so much like this one that it is likely meant."""
        names = list(dict.fromkeys(source_of(column) for column in self.columns or ()))
        own = [LABEL] if self.columns and self.labels is not None else []
        small = {one.lower(): one for one in [*names, *own]}
        return next((small[one] for one in get_close_matches(name.lower(), small, 1, _LIKE)), None)

    def _measured(self, numbers: FloatArray) -> str:
        """Why numbers of a column are no labels."""
        name = self.target or LABEL
        missing = np.flatnonzero(np.isnan(numbers))
        if len(missing):
            return f"{self.row(int(missing[0]))} has no label in column {name!r}: fill it in, or leave the row out."
        broken = numbers[numbers % 1 != 0][0]
        return (f"The column {name!r} holds numbers with fractions, such as {broken:.15g}, but a label is a text or a "
                f"whole number. If they are classes, write them as text, such as 'size {broken:.15g}'; if they are "
                "measurements, teach the numbers to a new brain.")

    def row(self, place: int) -> str:
        """What a row is called in an error: counted from 1, and with its file."""
        file, _, number = (self.sources[place] or "").rpartition(":")
        return f"{file}: row {number}" if file else f"Row {place + 1}"

    def _no_labels(self) -> str:
        texts = list(dict.fromkeys(name.partition("=")[0] for name in self.columns or () if "=" in name))
        if self.columns and texts:
            return (f"There are no labels: no column is called {LABEL!r}. Column {texts[-1]!r} holds text; if it holds "
                    f"the labels: brain.learn(table, {texts[-1]!r}), or engram teach BRAIN FILE --label {texts[-1]}.")
        if self.columns:
            return (f"There are no labels: no column is called {LABEL!r}. Name the one that holds them, "
                    f"brain.learn(table, {self.columns[-1]!r}), or pass one label per row, or one for all.")
        return ("There are no labels: pass one per input, or one for all, or put the inputs into a folder named by "
                "their label.")


def gather(
    inputs: Any, takes: str | None, columns: Sequence[str] | None = None, target: str | None = None
) -> Examples:
    """The single examples in whatever was given.

    Args:
        takes: what the backbone works on: "pictures", "sound", "vectors" or "text"; None hands on what there is, one
            by one.
        columns: what named columns have to be called, in their order; None is content with any.
        target: the column of a table that holds the labels, if it has one of that name.

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
                        _of_all([line.label for line in lines]), passed_over=passed_over(inputs))
    return _files(inputs, MEDIA[takes]) if takes in MEDIA else vectors_of(inputs, columns, target)


def _files(inputs: Any, medium: Medium) -> Examples:
    items: list[Any] = []
    found: list[Label | None] = []
    folders: list[Label | None] = []
    passed_over: list[PassedOver] = []
    for one in medium.each(inputs):
        if isinstance(one, str | os.PathLike) and Path(one).is_dir():
            paths, labels, others = survey(one, medium.suffixes, medium.one)
            items += paths
            passed_over += others
            found += labels if labels is not None else [None] * len(paths)
            folders += labels if labels is not None else [from_file_name(Path(one).resolve().name)] * len(paths)
        elif isinstance(one, str | os.PathLike) and not Path(one).exists():
            raise InputError(f"No {medium.one} at {one}: {medium.missing(one)}.")
        else:
            items.append(one)
            found.append(None)
            folders.append(None)
    if not items:
        raise InputError(f"Nothing to work on: 0 {medium.one}s.")
    return Examples(items, _sources(items), _of_all(found), folders=_of_all(folders), passed_over=tuple(passed_over))


def _of_all(labels: Sequence[Label | None]) -> list[Label] | None:
    """The labels, where every input has one."""
    known = [label for label in labels if label is not None]
    return known if len(known) == len(labels) else None


def vectors_of(inputs: Any, columns: Sequence[str] | None = None, target: str | None = None) -> Examples:
    """Raw vectors, in an array, a table with named columns or files; `columns` and `target` as for `gather`."""
    if isinstance(inputs, np.ndarray) and inputs.dtype.names is None:
        vectors = as_vectors(inputs)
        return Examples(vectors, [None] * len(vectors), None)
    _check_no_file(inputs)
    files = [inputs] if is_file(inputs) else inputs
    if isinstance(files, list | tuple) and len(files) and all(is_file(one) for one in files):
        return _of_files(files, columns, target)
    table = named_table(inputs, columns, target)
    if table is not None:
        return _of_table(table, columns)
    vectors = as_vectors(inputs)
    return Examples(vectors, [None] * len(vectors), None)


def _check_no_file(inputs: Any) -> None:
    """Raises InputError for the bytes of a file, and for samples with their rate."""
    first = inputs
    while isinstance(first, list | tuple) and len(first) and sounds.as_pair(first) is None:
        first = first[0]
    given = "the bytes of a file" if isinstance(first, bytes | bytearray) else "samples with their rate"
    if isinstance(first, bytes | bytearray) or sounds.as_pair(first) is not None:
        raise InputError(f"This brain accepts vectors, not {given}: teach pictures and sounds to a new brain. An "
                         "array without a rate is taken for vectors.")


def _of_table(table: Table, columns: Sequence[str] | None) -> Examples:
    return Examples(as_vectors(table.taught_as(columns)), [None] * len(table), table.labels, table.columns,
                    strange=table.strange, target=table.target, numbers=table.numbers, lacking=table.lacking)


def _of_files(files: Sequence[Any], columns: Sequence[str] | None, target: str | None) -> Examples:
    """All rows of all files; where columns are named, as these or else as in the first file that names them."""
    named = None if columns is None else tuple(columns)
    tables: list[Examples] = []
    for file in files:
        try:
            tables.append(read_table(file, named, target))
        except ColumnsError as error:
            raise ColumnsError(str(error)) from error
        named = named or tables[-1].columns
    widths = [table.items.shape[1] for table in tables]
    if len(set(widths)) > 1:
        raise InputError(f"The files have different numbers of columns: {widths} values per vector.")
    labels = [label for table in tables for label in table.labels or ()]
    sources = [source for table in tables for source in table.sources]
    items = np.concatenate([table.items for table in tables])
    strange = next((table.strange for table in tables if table.strange), None)
    of_column = target if all(table.target for table in tables) else None
    columns_of_numbers = [table.numbers for table in tables if table.numbers is not None]
    numbers = np.concatenate(columns_of_numbers) if len(columns_of_numbers) == len(tables) else None
    lacking = np.concatenate([np.zeros(len(table), bool) if table.lacking is None else table.lacking
                              for table in tables])
    return Examples(items, sources, labels if len(labels) == len(items) else None, named,
                    strange=strange, target=of_column, numbers=numbers,
                    lacking=lacking if lacking.any() else None)


def read_table(
    file: str | os.PathLike[str], columns: Sequence[str] | None = None, target: str | None = None
) -> Examples:
    """The vectors in a .npy, .csv or .parquet file; a first line names the columns of a .csv file.

    A .npy file may hold a structured array: its fields are columns.

    Args:
        columns: the names of the columns that a brain was taught; None: these are the first.
        target: the column that gives the labels, if there is one of that name; else it is `label`.

    Raises:
        InputError: no such file, another ending, or not a rectangle of numbers.
    """
    path = Path(file)
    if not path.exists():
        hint = MEDIA["pictures"].missing(file).removeprefix("no such file")
        raise InputError(f"{path} does not exist: check the path{hint}.")
    if path.is_dir() or path.suffix.lower() not in TABLES:
        raise InputError(f"{path} is not a table: this brain accepts vectors, as .npy, .csv and .parquet files.")
    try:
        if path.suffix.lower() == ".npy":
            found = vectors_of(np.load(path, allow_pickle=False), columns, target)
        elif path.suffix.lower() in ARROW:
            found = vectors_of(_read_arrow(path), columns, target)
        else:
            found = _read_csv(path, columns, target)
    except (InputError, LabelError) as error:
        words = str(error)
        words = words[0].lower() + words[1:] if words.startswith("Row ") else words
        raise type(error)(f"{path}: {words}") from error
    except (OSError, ValueError, EOFError, MemoryError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"Cannot read vectors from {path}: {reason}.") from error
    strange = None if found.strange is None else f"{path}: {found.strange}"
    return replace(found, sources=[f"{path}:{row}" for row in range(1, len(found) + 1)], strange=strange)


def _read_arrow(path: Path) -> Any:
    check(f"Reading a {path.suffix} file", "tables")
    from pyarrow import feather, parquet

    return parquet.read_table(path) if path.suffix.lower() == ".parquet" else feather.read_table(path)


def _read_csv(path: Path, columns: Sequence[str] | None, target: str | None) -> Examples:
    with path.open(newline="", encoding="utf-8-sig") as file:
        first = file.readline()
        file.seek(0)
        separator = next((mark for mark in (";", "\t") if mark in first), ",")
        lines = [line for line in csv.reader(file, delimiter=separator) if line]
    if not lines:
        raise InputError("Nothing to work on: the file is empty.")
    comma = separator != ","
    names = [] if _numeric(lines[0], comma) else [name.strip() for name in lines[0]]
    rows = lines[1:] if names else lines
    if rows and names and len(names) != len(rows[0]):
        raise InputError(f"the first line has {len(names)} names, but row 1 has {len(rows[0])} values.")
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise InputError(f"row {number} has {len(row)} values, but row 1 has {len(rows[0])}.")
    if not names:
        return _without_names(rows, comma)
    if not rows:
        raise InputError("Nothing to work on: the table has no rows.")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"More than one column is called {twice[0]!r}: give each column another name.")
    table = named_table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)), columns, target, comma=comma)
    assert table is not None
    return _of_table(table, columns)


def _without_names(rows: list[list[str]], comma: bool) -> Examples:
    """Raises InputError where a cell is not a number; names its row and column."""
    for number, row in enumerate(rows, 1):
        for place, cell in enumerate(row, 1):
            if not _numeric([cell], comma):
                hint = ("the value is missing: fill in missing values, or remove these rows, or name the columns in "
                        "the first line.") if cell.strip().lower() in MISSING else (
                    f"{cell!r} is not a number: if the column holds categories, dates or the labels, name the columns "
                    "in the first line.")
                raise InputError(f"row {number}, column {place}: {hint}")
    vectors = as_vectors([[cell.replace(",", ".") if comma else cell for cell in row] for row in rows])
    return Examples(vectors, [None] * len(vectors), None)


def _numeric(cells: Sequence[str], comma: bool) -> bool:
    try:
        return bool([float(cell.replace(",", ".") if comma else cell) for cell in cells])
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
