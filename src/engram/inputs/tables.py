"""Vectors whose columns have names: from files, data frames and structured arrays; names say which column is which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.inputs.encoding import encoded, few, gone, listed, number, ungrouped
from engram.learner import ColumnsError, FloatArray, InputError, Label, LabelError

LABEL = "label"
"""The column, in any case, that says what each row is."""


@dataclass(frozen=True, eq=False)
class Table:
    """Vectors with the names of their columns.

    Attributes:
        rows: (N, D) float64.
        columns: D names.
        labels: one for each row, or None: also where they are numbers with fractions, or some are missing.
        lacking: (N,) bool, rows that lack a value where none was missing before; None: no row does.
        numbers: (N,) the column of the labels, where it holds numbers; NaN where one is missing.
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
    numbers: FloatArray | None = None
    lacking: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if len(self.columns) != self.rows.shape[1]:
            raise InputError(f"{len(self.columns)} names for {self.rows.shape[1]} columns: give one for each.")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, some: slice) -> Table:
        numbers = None if self.numbers is None else self.numbers[some]
        lacking = None if self.lacking is None else self.lacking[some]
        return Table(self.rows[some], self.columns, self.labels and self.labels[some], self.strange, self.target,
                     numbers, lacking)

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
    labels, numbers = None, None
    if chosen is not None and chosen not in (taught or ()):
        column = listed(given[names[texts.index(chosen)]])
        numbers = numbers_in(column, comma)
        if numbers is None or not (numbers % 1).any():  # NaN counts as a fraction
            labels = check_labels(column, chosen)
    found = encoded(cells, taught, comma=comma)
    return Table(found.rows, found.names, labels, found.strange, chosen if chosen == target else None, numbers,
                 found.lacking)


def check_labels(labels: list[Any], name: str = LABEL) -> list[Label]:
    """Labels of the column of this name, whole numbers as such, truth values as text.

    Raises:
        LabelError: one is missing in a column that was asked for by its name.
    """
    empty = next((row for row, label in enumerate(labels, 1) if gone(label)), None)
    if empty is not None and name != LABEL:
        raise LabelError(f"Row {empty} has no label in column {name!r}: fill it in, or leave the row out.")
    labels = [str(label) if isinstance(label, bool | np.bool_) else label for label in labels]
    return [int(label) if isinstance(label, float) and label.is_integer() else label for label in labels]



def numbers_in(column: list[Any], comma: bool = False) -> FloatArray | None:
    """(N,) the numbers of a column, NaN where one is missing; None where something in it is no number.

    >>> numbers_in(["1", "", 2.5]), numbers_in(["1", "x"]), numbers_in(["1,234.5", "20"])
    (array([1. , nan, 2.5]), None, array([1234.5,   20. ]))
    """
    found = [np.nan if gone(cell) else None if isinstance(cell, bool | np.bool_) else number(cell, comma)
             for cell in ungrouped(column, comma)]
    if any(one is None for one in found):
        return None
    return np.array(found, np.float64)
