"""Vectors whose columns have names: from files, data frames and structured arrays; names say which column is which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engram.inputs.vectors import as_array, as_vectors
from engram.learner import ColumnsError, FloatArray, InputError, Label, LabelError

LABEL = "label"
"""The column, in any case, that says what each row is."""


@dataclass(frozen=True, eq=False)
class Table:
    """Vectors with the names of their columns.

    Attributes:
        rows: (N, D) float64.
        columns: D names.
        labels: one for each row, or None.

    >>> Table(np.array([[1.0, 2.0]]), ("temp", "load")).taught_as(("load", "temp"))
    Traceback (most recent call last):
    engram.learner.ColumnsError: The columns come as 'temp', 'load', but this brain was taught 'load', 'temp': ...
    """

    rows: FloatArray
    columns: tuple[str, ...]
    labels: list[Label] | None = None

    def __post_init__(self) -> None:
        if len(self.columns) != self.rows.shape[1]:
            raise InputError(f"{len(self.columns)} names for {self.rows.shape[1]} columns: give one for each.")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, some: slice) -> Table:
        return Table(self.rows[some], self.columns, self.labels and self.labels[some])

    def taught_as(self, columns: Sequence[str] | None) -> FloatArray:
        """The rows, if these are the columns in their order; None is content with any.

        Raises:
            ColumnsError: they are others, or in another order; says which.
        """
        if columns is None or tuple(columns) == self.columns:
            return self.rows
        wanted, mine = Counter(columns), Counter(self.columns)
        missing, strange = list(wanted - mine), list(mine - wanted)
        if missing or strange:
            parts = [f"{what}: {few(some)}" for what, some in (("missing", missing), ("unexpected", strange)) if some]
            raise ColumnsError(f"Other columns than this brain was taught ({few(columns)}); {'; '.join(parts)}.")
        raise ColumnsError(f"The columns come as {few(self.columns)}, but this brain was taught {few(columns)}: put "
                           "them into that order, such as frame[list(brain.columns)].")


def few(names: Sequence[str]) -> str:
    """The first names of a list, to be shown."""
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def named_table(given: Any) -> Table | None:
    """What is given, if its columns have names: a data frame (pandas, polars) or a structured array; else None.

    A column called "label" gives the labels.

    Raises:
        InputError: a column of something else than numbers, or two of one name.
    """
    if isinstance(given, Table):
        return given
    if isinstance(given, np.ndarray) and given.dtype.names:
        names: list[Any] = list(given.dtype.names)
    elif hasattr(given, "columns") and hasattr(given, "to_numpy"):
        names = list(given.columns)
        if not any(isinstance(name, str) for name in names):  # counted, not named
            return None
    else:
        return None
    texts = [str(name).strip() for name in names]
    twice = [name for name, count in Counter(texts).items() if count > 1]
    if twice:
        raise InputError(f"More than one column is called {twice[0]!r}: give each column another name.")
    places = [i for i, name in enumerate(texts) if name.lower() != LABEL]
    labels = next((check_labels(given[name].tolist() if hasattr(given[name], "tolist") else given[name].to_list())
                   for i, name in enumerate(names) if i not in places), None)
    if not places or not len(given):
        raise InputError("Nothing to work on: the table has no rows, or no columns of numbers.")
    return Table(np.stack([_numbers(given[names[i]], texts[i]) for i in places], axis=1),
                 tuple(texts[i] for i in places), labels)


def check_labels(labels: list[Any]) -> list[Label]:
    """Labels of a table, whole numbers as such.

    Raises:
        LabelError: they are measurements, numbers with fractions: each would become a class of its own.
    """
    numbers = [_number(label) for label in labels]
    if all(number is not None for number in numbers):
        broken = [label for label, number in zip(labels, numbers, strict=True) if number is not None and number % 1]
        if broken:
            raise LabelError(f"The column {LABEL!r} holds numbers with fractions, such as {broken[0]!s}. Labels are "
                             "classes, not measurements: give each class a name or a whole number.")
    return [int(label) if isinstance(label, float) and label.is_integer() else label for label in labels]


def _number(label: Any) -> float | None:
    try:
        number = float(label)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _numbers(column: Any, name: str) -> FloatArray:
    try:
        values: FloatArray = as_vectors(as_array(column))[0]
        return values
    except InputError as error:
        if _number(next(iter(column), None)) is None:
            raise InputError(f"Column {name!r} does not hold numbers: if it holds the labels, name it {LABEL!r}, else "
                             "leave it out.") from error
        raise InputError(f"Column {name!r}: {str(error).replace('Vector 0 contains', 'it contains')}") from error
