"""Sequences of readings, decoded and checked at the door: CSV and npy files, arrays, and arrays with their times."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engram.inputs.vectors import as_array, as_vectors
from engram.learner import FloatArray, InputError

SUFFIXES = frozenset({".csv", ".npy"})
"""Files with these endings (in any case) are sequences when a folder is scanned."""

TIME = "time"
"""The column, in any case, that says when each frame was read, in seconds."""

BYTES_LIMIT = 256_000_000
"""Larger files are refused before they are read."""


class Sequence(NamedTuple):
    """(L, C) frames, and (L,) seconds since the frame before each: for the first one what is usual between two."""

    frames: FloatArray
    dt: FloatArray


def decode(source: Any) -> Sequence:
    """One sequence.

    Args:
        source: a path to a .csv or .npy file, frames (L, C) or readings (L,), or (frames, times) with times (L,) in
            seconds, rising. A first line of a CSV file names its columns; one called `time` holds the times, as does
            such a field of a structured .npy file. Without times, frames are one unit of time apart.

    Raises:
        InputError: no such file, not a rectangle of numbers, a value that is missing or not finite, no frames, or times
            that do not rise.

    >>> decode(([[1.0], [2.0], [4.0]], [0.0, 0.5, 1.5])).dt.tolist()
    [0.75, 0.5, 1.0]
    """
    if isinstance(source, Sequence):
        return source
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            return _from_file(path)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    if isinstance(source, tuple) and len(source) == 2:
        return _timed(*source)
    return _timed(source, None)


def each(inputs: Any) -> Iterator[Any]:
    """The single sequences in whatever was given: one, or a list of them. An array (N, L, C) is N of them.

    >>> len(list(each(np.zeros((4, 9, 2))))), len(list(each(np.zeros((9, 2))))), len(list(each(["a.csv", "b.csv"])))
    (4, 1, 2)
    """
    if isinstance(inputs, str | os.PathLike | Sequence) or (isinstance(inputs, tuple) and len(inputs) == 2):
        yield inputs
    elif isinstance(inputs, np.ndarray):
        yield from inputs if inputs.ndim == 3 else [inputs]
    elif isinstance(inputs, Iterable):
        yield from inputs
    else:
        raise InputError(f"{type(inputs).__name__} is not a sequence: give a path, (L, C) frames, or (frames, times).")


def thumbnail(source: Any) -> bytes | None:
    """There is no small picture of a sequence."""
    return None


def _from_file(path: Path) -> Sequence:
    if path.suffix.lower() not in SUFFIXES:
        raise InputError("not a sequence: expected a .csv or .npy file.")
    if not path.is_file():
        raise InputError("no such file.")
    try:
        if path.stat().st_size > BYTES_LIMIT:
            raise InputError(f"larger than {BYTES_LIMIT // 10**6} MB: cut it into pieces.")
        content = path.read_bytes()
        if path.suffix.lower() == ".npy":
            return _from_array(np.load(io.BytesIO(content), allow_pickle=False))
        return _from_text(content.decode("utf-8-sig"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}.") from error
    except (ValueError, EOFError, csv.Error) as error:
        raise InputError(str(error) if isinstance(error, InputError) else f"cannot be read: {error}.") from error


def _from_array(array: Any) -> Sequence:
    names = array.dtype.names
    if not names:
        return _timed(array, None)
    return _of_columns([*names], np.stack([np.asarray(array[name], np.float64) for name in names], axis=1))


def _from_text(text: str) -> Sequence:
    separator = next((mark for mark in (";", "\t") if mark in text.partition("\n")[0]), ",")
    lines = [line for line in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if line]
    if not lines:
        raise InputError("no frames: the file is empty.")
    named = not all(_number(cell, separator) is not None for cell in lines[0])
    rows, names = (lines[1:], [name.strip() for name in lines[0]]) if named else (lines, [""] * len(lines[0]))
    values = np.empty((len(rows), len(names)))
    for i, row in enumerate(rows):
        if len(row) != len(names):
            raise InputError(f"row {i + 1} has {len(row)} values, but {len(names)} were expected.")
        for k, cell in enumerate(row):
            found = _number(cell, separator)
            if found is None:
                raise InputError(f"row {i + 1}, column {k + 1}: {cell!r} is not a number: fill it in, or leave the row "
                                 "out.")
            values[i, k] = found
    return _of_columns(names, values)


def _number(cell: str, separator: str) -> float | None:
    try:
        return float(cell.replace(",", ".") if separator != "," else cell)
    except ValueError:
        return None


def _of_columns(names: list[str], values: FloatArray) -> Sequence:
    times = [place for place, name in enumerate(names) if name.lower() == TIME]
    others = [place for place in range(len(names)) if place not in times]
    return _timed(values[:, others], values[:, times[0]] if times else None)


def _timed(frames: Any, times: Any) -> Sequence:
    array = as_array(frames)
    rows = as_vectors(array[:, None] if array.ndim == 1 else array)
    if times is None:
        return Sequence(rows, np.ones(len(rows)))
    moments = np.asarray(as_array(times), np.float64)
    if moments.shape != (len(rows),) or not np.isfinite(moments).all():
        raise InputError(f"There is one finite time for each of the {len(rows)} frames, not an array of shape "
                         f"{moments.shape}.")
    steps = np.diff(moments)
    if (steps <= 0).any():
        raise InputError(f"Times rise from frame to frame, but frame {int(np.argmax(steps <= 0)) + 2} is no later than "
                         "the one before: sort the frames, and leave repeated ones out.")
    return Sequence(rows, np.concatenate([[np.median(steps) if len(steps) else 1.0], steps]))
