"""From what a person hands over to single examples with labels: arrays, pictures, files, a folder per class; and from
their features to the integers that are learned.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from engram.brain.knowledge import Rows
from engram.features.backbones.backbone import Backbone, Takes
from engram.features.backbones.bundle import Bundle, step_for
from engram.features.backbones.vectors import VectorBackbone
from engram.heads.quantisation import LIMIT, BeyondRange, Quantisation, TooSmall
from engram.inputs.images import each, scan
from engram.inputs.tables import LABEL, Table, check_labels, named_table
from engram.inputs.text import as_texts
from engram.inputs.vectors import as_labels, as_vectors
from engram.learner import ColumnsError, InputError, Label, LabelError
from engram.printable import from_file_name

PHOTOS = "photos"
"""The packaged backbone that pictures are shown to where no other is named."""

TABLES = frozenset({".csv", ".npy"})
"""Endings of files that hold raw vectors, one per row."""

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?"})
"""What stands in a table for a missing value, in small letters."""

_ANOTHER_RANGE = (
    "The range follows the first examples that a brain is taught; Brain(Bundle.of_vectors(D, largest=...)) sets it."
)


@dataclass(frozen=True)
class Examples:
    """Single inputs that a backbone takes, where each came from, and their labels if any were found.

    Attributes:
        items: an (N, D) array of vectors, or N pictures or texts.
        sources: the path of each, or None.
        labels: one for each, or None.
        columns: the names of the vectors' columns, or None.
        folders: the name of the folder that each was found in, or None where one came without.
    """

    items: Any
    sources: list[str | None]
    labels: list[Label] | None
    columns: tuple[str, ...] | None = None
    folders: list[Label] | None = None

    def __len__(self) -> int:
        return len(self.items)

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


def gather(inputs: Any, takes: Takes | None, columns: Sequence[str] | None = None) -> Examples:
    """The single examples in whatever was given.

    Args:
        takes: what the backbone works on; None hands on what there is, one input after the other.
        columns: what named columns have to be called, in their order; None is content with any.

    Raises:
        InputError: nothing there, not what the backbone takes, or other columns.
    """
    if takes is None:
        given = list(inputs) if isinstance(inputs, Iterable) else [inputs]
        return Examples(given, _sources(given), None)
    if takes == "text":
        texts = as_texts(inputs)
        return Examples(texts, [None] * len(texts), None)
    return _pictures(inputs) if takes == "pictures" else _vectors(inputs, columns)


def as_bundle(given: Any) -> Bundle:
    """A bundle as it is, a backbone without statistics, or a bundle by its name or folder.

    Raises:
        InputError, DamagedError: none of these, or it cannot be opened.
    """
    if isinstance(given, Bundle):
        return given
    if isinstance(given, str | os.PathLike):
        from engram.features.backbones.catalogue import bundle_of

        return bundle_of(given)
    if isinstance(given, Backbone):
        return _bare(given)
    raise InputError(f"Expected a bundle, a backbone, or the name of one, not {type(given).__name__}.")


def _bare(backbone: Backbone) -> Bundle:
    if isinstance(backbone, VectorBackbone):  # readings: their lengths mean something
        return Bundle.bare(backbone, step=step_for(8.0), normalise=False)
    return Bundle.bare(backbone)


def default_bundle(inputs: Any) -> Bundle:
    """What a brain stands on that was given no backbone: for pictures the photo backbone that comes with the program,
    for vectors their numbers, columns of another scale than about 1 scaled by what these first ones show.

    Raises:
        InputError: neither pictures nor vectors.
    """
    first = inputs
    while isinstance(first, list | tuple) and len(first):
        first = first[0]
    pixels = isinstance(first, np.ndarray) and first.dtype == np.uint8 and first.ndim >= 2
    if pixels and first is inputs and first.ndim == 2:
        raise InputError(f"A {first.shape} array of bytes is ambiguous, one grey picture or {len(first)} vectors:"
                         f" for a "
                         "picture pass [array], or make the brain with Brain('photos'); for vectors pass "
                         "array.astype(float).")
    if _is_file(first) and not _is_table(first):
        pixels = _is_file(inputs) or (isinstance(inputs, list | tuple) and _is_file(inputs[0]))
    if pixels or isinstance(first, Image.Image | bytes | bytearray):
        return _photos()
    return Bundle.for_vectors(_vectors(inputs).items)


def rows_of(bundle: Bundle, features: npt.NDArray[Any]) -> Rows:
    """(N, D) int16: what is added when these features are learned.

    Raises:
        InputError: not finite, zero, or too far from the bundle's mean.
    """
    return quantisation_of(bundle).small(as_vectors(features, bundle.width))


def quantisation_of(bundle: Bundle) -> Quantisation:
    """How features of a bundle become integers."""
    return Quantisation(bundle.step, bundle.normalise, bundle.mean)


def rows_to_learn(bundle: Bundle, features: npt.NDArray[Any], examples: Examples) -> Rows:
    """`rows_of` for what is to be learned: refused by row and column, in the units that were given.

    Raises:
        InputError: a row that is out of range, or of which nothing would be kept.
    """
    quantise, vectors = quantisation_of(bundle), as_vectors(features, bundle.width)
    try:
        rows = quantise.small(vectors)
        quantise.check_kept(vectors, rows)
    except BeyondRange as error:
        if not isinstance(bundle.backbone, VectorBackbone):
            raise
        raise InputError(_out_of_range(error, bundle, bundle.backbone, examples)) from error
    except TooSmall as error:
        value = np.abs(np.asarray(examples.items[error.row], np.float64)).max()
        raise InputError(f"{_where(error.row, examples)}: the largest reading, {value:.4g}, is too small for the range "
                         f"of this brain, which would keep nothing but zeros of it. {_ANOTHER_RANGE}") from error
    return rows


def _out_of_range(error: BeyondRange, bundle: Bundle, backbone: VectorBackbone, examples: Examples) -> str:
    reach = np.full((1, bundle.width), LIMIT * bundle.step)
    low, high = (float(backbone.readings(bundle.mean + sign * reach)[0, error.column]) for sign in (-1, 1))
    value = float(np.asarray(examples.items[error.row], np.float64)[error.column])
    name = f" ({examples.columns[error.column]})" if examples.columns else ""
    return (f"{_where(error.row, examples)}, column {error.column}{name}: {value:.6g} is outside {low:.4g} to "
            f"{high:.4g}, the range of this brain. Correct the reading or leave the row out. {_ANOTHER_RANGE}")


def _where(row: int, examples: Examples) -> str:
    source = examples.sources[row]
    return f"Vector {row}" + (f" ({source})" if source else "")


@lru_cache(maxsize=1)
def _photos() -> Bundle:
    """The packaged one, whatever the user calls by its name."""
    from engram.features.backbones.bundle_folder import packaged_folder

    return Bundle.open(packaged_folder() / PHOTOS)


def _pictures(inputs: Any) -> Examples:
    items: list[Any] = []
    found: list[Label | None] = []
    folders: list[Label | None] = []
    for one in each(inputs):
        if isinstance(one, str | os.PathLike) and Path(one).is_dir():
            paths, labels = scan(one)
            items += paths
            found += labels if labels is not None else [None] * len(paths)
            folders += labels if labels is not None else [from_file_name(Path(one).resolve().name)] * len(paths)
        elif isinstance(one, str | os.PathLike) and not Path(one).exists():
            raise InputError(f"No picture at {one}: no such file.")
        else:
            items.append(one)
            found.append(None)
            folders.append(None)
    if not items:
        raise InputError("Nothing to work on: 0 pictures.")
    return Examples(items, _sources(items), _of_all(found), folders=_of_all(folders))


def _of_all(labels: Sequence[Label | None]) -> list[Label] | None:
    """The labels, where every input has one."""
    known = [label for label in labels if label is not None]
    return known if len(known) == len(labels) else None


def _vectors(inputs: Any, columns: Sequence[str] | None = None) -> Examples:
    files = [inputs] if _is_file(inputs) else inputs
    if isinstance(files, list | tuple) and len(files) and all(_is_file(one) for one in files):
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
            found = _vectors(loaded if named is None else named)
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


def _is_file(value: Any) -> bool:
    return isinstance(value, str | os.PathLike)


def _is_table(value: Any) -> bool:
    return Path(value).suffix.lower() in TABLES


def _sources(items: Sequence[Any]) -> list[str | None]:
    return [str(item) if _is_file(item) else None for item in items]
