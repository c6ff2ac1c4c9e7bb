"""Vectors whose columns have names: from files, data frames and structured arrays; names say which column is which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engram.inputs.encoding import encoded, few, gone, listed
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
        strange: what stands in it that a brain was never taught, and so cannot be learned; None: nothing.
        target: the column that was named as that of the labels, where it is one.

    >>> Table(np.array([[1.0, 2.0]]), ("temp", "load")).taught_as(("load", "temp"))
    Traceback (most recent call last):
    engram.learner.ColumnsError: The columns come as 'temp', 'load', but this brain was taught 'load', 'temp': ...
    """

    rows: FloatArray
    columns: tuple[str, ...]
    labels: list[Label] | None = None
    strange: str | None = None
    target: str | None = None

    def __post_init__(self) -> None:
        if len(self.columns) != self.rows.shape[1]:
            raise InputError(f"{len(self.columns)} names for {self.rows.shape[1]} columns: give one for each.")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, some: slice) -> Table:
        return Table(self.rows[some], self.columns, self.labels and self.labels[some], self.strange, self.target)

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


def named_table(
    given: Any, taught: Sequence[str] | None = None, target: str | None = None, *, comma: bool = False
) -> Table | None:
    """What is given, if its columns have names: a data frame (pandas, polars), an Arrow table, a structured array, or a
    mapping of names to cells; else None.

    The column called `target`, or else "label", gives the labels.

    Args:
        taught: the names of the columns that a brain was taught; None: these are the first.
        comma: whether texts such as "1,5" are numbers.

    Raises:
        InputError: a column that cannot be told as numbers, or two of one name.
        ColumnsError: other columns than were taught.
    """
    if isinstance(given, Table):
        return given
    if isinstance(given, np.ndarray) and given.dtype.names:
        names: list[Any] = list(given.dtype.names)
    elif hasattr(given, "column_names") and hasattr(given, "column"):  # Arrow
        names = list(given.column_names)
        given = dict(zip(names, given.columns, strict=True))
    elif hasattr(given, "columns") and hasattr(given, "to_numpy"):
        names = list(given.columns)
        if not any(isinstance(name, str) for name in names):  # counted, not named
            return None
    elif isinstance(given, Mapping):
        names = list(given)
    else:
        return None
    texts = [str(name).strip() for name in names]
    twice = [name for name, count in Counter(texts).items() if count > 1]
    if twice:
        raise InputError(f"More than one column is called {twice[0]!r}: give each column another name.")
    chosen = target if target in texts else next((text for text in texts if text.lower() == LABEL), None)
    cells = {text: given[name] for text, name in zip(texts, names, strict=True) if text != chosen}
    if not cells or not len(next(iter(cells.values()))):
        raise InputError("Nothing to work on: the table has no rows, or no columns beside the labels.")
    labels = None
    if chosen is not None and chosen not in (taught or ()):
        labels = check_labels(listed(given[names[texts.index(chosen)]]), chosen)
    found = encoded(cells, taught, comma=comma)
    return Table(found.rows, found.names, labels, found.strange, chosen if chosen == target else None)


def check_labels(labels: list[Any], name: str = LABEL) -> list[Label]:
    """Labels of the column of this name, whole numbers as such, truth values as text.

    Raises:
        LabelError: they are measurements, numbers with fractions: each would become a class of its own.
    """
    empty = next((row for row, label in enumerate(labels, 1) if gone(label)), None)
    if empty is not None and name != LABEL:
        raise LabelError(f"Row {empty} has no label in column {name!r}: fill it in, or leave the row out.")
    labels = [str(label) if isinstance(label, bool | np.bool_) else label for label in labels]
    numbers = [_number(label) for label in labels]
    if all(number is not None for number in numbers):
        broken = [label for label, number in zip(labels, numbers, strict=True) if number is not None and number % 1]
        if broken:
            raise LabelError(f"The column {name!r} holds numbers with fractions, such as {broken[0]!s}. Labels are "
                             "classes, not measurements: give each class a name or a whole number.")
    return [int(label) if isinstance(label, float) and label.is_integer() else label for label in labels]


def _number(label: Any) -> float | None:
    try:
        number = float(label)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None
