"""Columns of a table as numbers: categories, dates and missing values become columns whose names say what they are.

The names of these columns hold all that is needed to make them again, so a brain that knows its columns knows how
later tables are to be read: `colour=red`, `start (days since 2026-03-01)`, `temp missing (as 20.5)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.inputs.vectors import as_array
from engram.learner import ColumnsError, FloatArray, InputError

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "nat", "-", "?"})
"""What stands in a table for a missing value, in small letters."""

MOST_CATEGORIES = 64
"""Different texts in a column, beyond which it is taken for names or free text."""

_FILLED = re.compile(r"(.+) missing \(as (\S+)\)", re.DOTALL)
_DATED = re.compile(r"(.+) \(days since (\d{4}-\d\d-\d\d)((?:, (?:day|month) first)?)\)", re.DOTALL)
_WRITTEN = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?:[ T](\d{1,2}:\d\d(?::\d\d)?))?")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_SURELY_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+\.\d+|[+-]?\d{1,3}(?:,\d{3}){2,}")
_TRUTH = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
_DAY = 86400.0


class Encoded(NamedTuple):
    """(N, D) rows, their D names, and what stands in them that the brain was never taught; None: nothing.

    (N,) bool, which rows lack a value where none was missing before, and have a 0 there; None: no row does.
    """

    rows: FloatArray
    names: tuple[str, ...]
    strange: str | None
    lacking: npt.NDArray[np.bool_] | None = None


class _Cells:
    """The cells of one column: numbers, moments, or texts.

    Attributes:
        order: of day and month, where dates are written so that it has to be known: ", day first" or ", month first".
    """

    def __init__(self, name: str, given: Any, comma: bool, order: str = "") -> None:
        self.name, self.order = name, order
        self.numbers: FloatArray | None = None
        self.texts: list[str | None] = []
        self.moments: list[datetime | None] | None = None
        self.first: int | None = None  # a text among numbers
        array = given if isinstance(given, np.ndarray) else getattr(given, "to_numpy", lambda: None)()
        if isinstance(array, np.ndarray) and array.dtype.kind in "biuf" and not np.ma.isMaskedArray(array):
            self._take_numbers(array.astype(np.float64))
            return
        if isinstance(array, np.ndarray) and array.dtype.kind == "M":
            given = array.astype("datetime64[us]")
        cells = listed(given)
        if cells and all(isinstance(cell, complex) for cell in cells):
            raise InputError(f"Column {name!r}: complex numbers are not supported.")
        self._take([None if gone(cell) else cell for cell in cells], comma)

    def _take_numbers(self, values: FloatArray) -> None:
        if np.isinf(values).any():
            raise InputError(f"Column {self.name!r}: row {int(np.isinf(values).argmax()) + 1} is infinite: correct it, "
                             "or leave the row out.")
        self.numbers = values

    def _take(self, cells: list[Any], comma: bool) -> None:
        there = [cell for cell in cells if cell is not None]
        numbers = [None if cell is None else number(cell, comma) for cell in ungrouped(cells, comma)]
        if all((number is None) == (cell is None) for number, cell in zip(numbers, cells, strict=True)):
            self._take_numbers(np.array([np.nan if number is None else number for number in numbers]))
            return
        self.order = self.order or _order(self.name, there)
        moments = [None if cell is None else _moment(cell, self.order) for cell in cells]
        if there and all((one is None) == (cell is None) for one, cell in zip(moments, cells, strict=True)):
            self.moments = moments
            return
        some = [place for place, number in enumerate(numbers) if number is not None]
        self.first = next((i for i, cell in enumerate(cells) if cell is not None and numbers[i] is None), None) if (
            some) else None
        self.texts = [None if cell is None else str(cell).strip() for cell in cells]

    def as_numbers(self, filled: float | None) -> FloatArray:
        """(N,) what is missing filled in, or left NaN where that is nowhere said. Raises InputError for no numbers."""
        if self.numbers is None:
            raise InputError(f"Column {self.name!r} does not hold numbers: row {(self.first or 0) + 1} is "
                             f"{self._cell(self.first or 0)}, but numbers were taught in it.")
        empty = np.isnan(self.numbers)
        return np.where(empty, np.nan if filled is None else filled, self.numbers)

    def _cell(self, row: int) -> str:
        return repr(self.texts[row]) if self.texts else "a date"

    def missing(self) -> FloatArray:
        """(N,) 1 where the value is missing."""
        if self.numbers is not None:
            return np.isnan(self.numbers).astype(np.float64)
        return np.array([cell is None for cell in self.moments or self.texts], np.float64)

    def as_days(self, origin: str) -> FloatArray:
        """(N,) days since a date, 0 where the value is missing."""
        if self.moments is None:
            raise InputError(f"Column {self.name!r} does not hold dates, but dates were taught in it.")
        begin = datetime.fromisoformat(origin)
        return np.array([0.0 if one is None else (one - begin).total_seconds() / _DAY for one in self.moments])

    def says(self, text: str) -> FloatArray:
        """(N,) 1 where the cell says this."""
        return np.array([cell == text for cell in self.categories()], np.float64)

    def categories(self) -> list[str | None]:
        """What each cell says, as text."""
        if self.numbers is not None:
            return [None if np.isnan(value) else f"{value:g}" for value in self.numbers]
        return [None if one is None else one.isoformat() for one in self.moments] if self.moments else self.texts


def encoded(columns: Mapping[str, Any], taught: Sequence[str] | None, *, comma: bool = False) -> Encoded:
    """A table as numbers.

    Args:
        columns: name -> its N cells, as an array, a column of a data frame, or a list.
        taught: the names of the columns that were made of the first table; None: this is the first.
        comma: whether texts such as "1,5" are numbers.

    Raises:
        InputError: a column cannot be told as numbers; names it, and a row where one is at fault.
        ColumnsError: the table has other columns than were taught, or another order.

    >>> found = encoded({"temp": [20.5, 21.0], "colour": ["red", "blue"]}, None)
    >>> found.names, found.rows.tolist()
    (('temp', 'colour=blue', 'colour=red'), [[20.5, 0.0, 1.0], [21.0, 1.0, 0.0]])
    >>> encoded({"temp": [19.0], "colour": ["blue"]}, found.names).rows.tolist()
    [[19.0, 1.0, 0.0]]
    """
    orders = {at[1]: at[3] for at in map(_DATED.fullmatch, taught or ()) if at}
    cells = {name: _Cells(name, given, comma, orders.get(name, "")) for name, given in columns.items()}
    names = tuple(taught) if taught is not None else tuple(name for one in cells.values() for name in _planned(one))
    made = [_maker(name, cells, names) for name in names]
    _check_columns([None if found is None else found[0] for found in made], names, cells)
    rows = [make() for found in made if found is not None for _, make in (found,)]
    strange = None if taught is None else _strange(names, cells)
    whole = np.stack(rows, axis=1)
    gaps = np.isnan(whole)
    if not gaps.any():
        return Encoded(whole, names, strange)
    row, column = map(int, np.argwhere(gaps)[0])
    missing = (f"Row {row + 1}, column {names[column]!r}: the value is missing, and nothing was missing in this column "
               "when the columns were first taught. Fill in missing values, or remove these rows.")
    return Encoded(np.where(gaps, 0.0, whole), names, missing, np.asarray(gaps.any(axis=1)))


def _planned(cells: _Cells) -> list[str]:
    """The names of the columns that a first table's column becomes."""
    name, empty = cells.name, bool(cells.missing().any())
    if cells.first is not None:
        raise InputError(f"Row {cells.first + 1}, column {name!r}: {cells.texts[cells.first]!r} is not a number.")
    if cells.numbers is not None:
        if not empty:
            return [name]
        there = cells.numbers[~np.isnan(cells.numbers)]
        middle = float(np.median(there)) if len(there) else 0.0
        return [name, f"{name} missing (as {middle:.6g})"]
    if cells.moments is not None:
        origin = min(one for one in cells.moments if one is not None).date().isoformat()
        return [f"{name} (days since {origin}{cells.order})", *([f"{name} missing (as {origin})"] if empty else [])]
    there_are = sorted({text for text in cells.texts if text is not None})
    if len(there_are) > MOST_CATEGORIES:
        raise InputError(f"Column {name!r} holds {len(there_are)} different texts, such as {there_are[0]!r}; up to "
                         f"{MOST_CATEGORIES} are told apart as categories. Leave the column out; if it holds the "
                         f"labels, say so: brain.learn(table, {name!r}).")
    return [f"{name}={text}" for text in there_are]


def _maker(
    name: str, cells: Mapping[str, _Cells], names: Sequence[str]
) -> tuple[str, Callable[[], FloatArray]] | None:
    """From which column of the table a taught column is made, and how; None: it is not there."""
    if name in cells:
        found = [at for at in map(_FILLED.fullmatch, names) if at and at[1] == name]
        return name, partial(cells[name].as_numbers, float(found[0][2]) if found else None)
    for pattern in (_FILLED, _DATED):
        at = pattern.fullmatch(name)
        if at and at[1] in cells:
            source = cells[at[1]]
            return at[1], source.missing if pattern is _FILLED else partial(source.as_days, at[2])
    for place in (sign.start() for sign in re.finditer("=", name)):
        if name[:place] in cells:
            return name[:place], partial(cells[name[:place]].says, name[place + 1 :])
    return None


def source_of(name: str) -> str:
    """The column of the table that a taught column was made of, as its name has it."""
    found = _FILLED.fullmatch(name) or _DATED.fullmatch(name)
    return found[1] if found else name.partition("=")[0] or name


def _check_columns(sources: Sequence[str | None], names: Sequence[str], cells: Mapping[str, _Cells]) -> None:
    """Raises ColumnsError where the table has other columns than were taught, or in another order."""
    wanted = list(dict.fromkeys(source_of(name) if source is None else source
                                for source, name in zip(sources, names, strict=True)))
    missing = [name for name in wanted if name not in cells]
    unexpected = [name for name in cells if name not in wanted]
    if missing or unexpected:
        parts = [f"{what}: {few(some)}" for what, some in (("missing", missing), ("unexpected", unexpected)) if some]
        advice = "" if missing else (f" Leave out the column {unexpected[0]!r}; if it holds the labels, name it, with "
                                     f"--label {unexpected[0]} in the terminal.")
        raise ColumnsError(f"Other columns than this brain was taught ({few(wanted)}); {'; '.join(parts)}.{advice}")
    if wanted != list(cells):
        order = "list(brain.columns)" if wanted == list(names) else str(wanted)
        raise ColumnsError(f"The columns come as {few(list(cells))}, but this brain was taught {few(wanted)}: put "
                           f"them into that order, such as frame[{order}].")


def _strange(names: Sequence[str], cells: Mapping[str, _Cells]) -> str | None:
    """The first category that was not taught."""
    for one in cells.values():
        if one.name in names or not any(name.startswith(f"{one.name}=") for name in names):
            continue
        known = {name[len(one.name) + 1 :] for name in names if name.startswith(f"{one.name}=")}
        for row, text in enumerate(one.categories(), 1):
            if text is not None and text not in known:
                return (f"Row {row}, column {one.name!r}: {text!r} is a category that this brain does not know. It was "
                        f"taught {few(sorted(known))} first, which set its columns: correct the cell, leave the row "
                        "out, or teach a new brain a first table with all categories.")
    return None


def few(names: Sequence[str]) -> str:
    """The first names of a list, to be shown."""
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def listed(given: Any) -> list[Any]:
    """The cells of a column."""
    for method in ("to_pylist", "tolist", "to_list"):
        if hasattr(given, method):
            cells: list[Any] = getattr(given, method)()
            return cells
    found: list[Any] = as_array(given).tolist()
    return found


def gone(cell: Any) -> bool:
    """Whether a cell is empty."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(cell, str):
        return cell.strip().lower() in MISSING
    return isinstance(cell, float) and cell != cell


def number(cell: Any, comma: bool) -> float | None:
    """A finite number, or infinity; None where it is none."""
    if isinstance(cell, str):
        text = cell.strip()
        if text.lower() in _TRUTH:
            return _TRUTH[text.lower()]
        if comma and "," in text:
            text = text.replace(".", "").replace(",", ".")
        cell = text
    elif hasattr(cell, "isoformat"):
        return None
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def ungrouped(cells: Sequence[Any], comma: bool) -> Sequence[Any]:
    """Cells without the commas between thousands, where some, such as "1,234.50", show that commas are these."""
    if comma or not any(isinstance(cell, str) and _SURELY_GROUPED.fullmatch(cell.strip()) for cell in cells):
        return cells
    return [cell.replace(",", "") if isinstance(cell, str) and _GROUPED.fullmatch(cell.strip()) else cell
            for cell in cells]


def _order(name: str, cells: Sequence[Any]) -> str:
    """Which of day and month comes first in a column of dates such as 24/12/2026; "" where none are written so.

    Raises:
        InputError: all of them could be read either way.
    """
    written = [at for at in (_WRITTEN.fullmatch(cell.strip()) for cell in cells if isinstance(cell, str)) if at]
    slashed = [at for at in written if at[2] != "."]  # with dots, the day comes first everywhere
    if not slashed or len(written) < len(cells):
        return ""
    day_first, month_first = (any(int(at[place]) > 12 for at in slashed) for place in (1, 3))
    if day_first or month_first:
        return ", day first" if day_first else ", month first"
    if all(at[1] == at[3] for at in slashed):
        return ", day first"
    raise InputError(f"Column {name!r}: {slashed[0][0]!r} may have the day or the month first, and no other date in it "
                     "tells: write dates as 2026-12-24.")


def _moment(cell: Any, order: str = "") -> datetime | None:
    """A moment without its zone, in UTC; None where it is none."""
    if isinstance(cell, str):
        try:
            cell = datetime.fromisoformat(_iso(cell.strip(), order))
        except ValueError:
            return None
    if hasattr(cell, "to_pydatetime"):
        cell = cell.to_pydatetime(warn=False)
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).replace(tzinfo=None) if cell.tzinfo else cell
    return datetime(cell.year, cell.month, cell.day) if isinstance(cell, date) else None


def _iso(text: str, order: str) -> str:
    """A date such as 24.12.2026 or 12/24/2026 09:30 as ISO 8601 has it; any other text as it is."""
    at = _WRITTEN.fullmatch(text)
    if at is None:
        return text
    day, month = (at[3], at[1]) if order == ", month first" and at[2] != "." else (at[1], at[3])
    return f"{at[4]}-{month:0>2}-{day:0>2}" + (f"T{at[5]:0>5}" if at[5] else "")
