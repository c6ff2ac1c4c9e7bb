"""Numbers as targets: when what is taught are numbers, and what a brain for numbers cannot be asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engram.brain.knowledge import Knowledge, Rows
from engram.features.backbones.bundle import Bundle
from engram.heads.fast import FastHead
from engram.heads.regression.regressor import Regressor
from engram.heads.regression.targets import Targets, as_numbers
from engram.inputs.examples import Examples
from engram.inputs.tables import LABEL
from engram.inputs.vectors import as_array
from engram.learner import FloatArray, InputError, LabelError, NotTaughtError

MANY, DIFFERENT = 20, 0.5
"""Rows from which on, and the share of different values above which, a named column of whole numbers is measured."""


def numbers_taught(
    known: Targets | None, begun: bool, examples: Examples, targets: Any = None, wanted: bool | None = None
) -> tuple[FloatArray | None, str | None]:
    """(N, K) numbers to be learned, and their name if a column gave them; None: labels are taught.

    A brain that was taught numbers, or labels, stays with them. In a new one, numbers are: what has fractions or is
    float; and a column of a table, asked for by its name, of whole numbers of which more than half differ, in 20 rows
    or more.

    Args:
        known: what a brain was made for, or was taught; None for labels, or for nothing yet.
        begun: whether it was taught anything.
        targets: what was given beside the inputs; the name of a column is None here.
        wanted: True for numbers, False for labels, None for what they are.

    Raises:
        InputError: no numbers, not one for each input, NaN or infinity; or the brain was taught the other kind.
    """
    wanted = True if known is not None and wanted is None else wanted
    if begun and known is None:
        if wanted:
            raise InputError("This brain was taught labels; numbers need a brain of their own: teach them to a new "
                             "one.")
        return None, None
    if begun and not wanted:
        raise InputError("This brain was taught numbers; labels need a brain of their own: teach them to a new one.")
    given = targets if examples.target is None else None
    column = examples.numbers if given is None else None
    if wanted is None:
        wanted = _measured(examples) if given is None else _float(given)
    if not wanted:
        return None, None
    if given is None and column is None:
        raise InputError("There are no numbers: pass one per input, or name the column of the table that holds them.")
    name = None if given is not None else examples.target
    if given is None and column is not None and not np.isfinite(column).all():
        bad = int(np.flatnonzero(~np.isfinite(column))[0])
        what = "the number is missing" if np.isnan(column[bad]) else "the number is infinite"
        raise InputError(f"{examples.row(bad)}, column {name or LABEL!r}: {what}. Fill it in, or leave the row out.")
    found = as_numbers(column if given is None else given, len(examples), known.count if known else None)
    return found, name


def _measured(examples: Examples) -> bool:
    """Whether the column that a table brought holds measurements."""
    numbers = examples.numbers
    if numbers is None:
        return False
    if examples.labels is None:
        return bool((numbers[np.isfinite(numbers)] % 1).any())
    count = len(numbers)
    return examples.target is not None and count >= MANY and len(np.unique(numbers)) > DIFFERENT * count


def _float(given: Any) -> bool:
    """Whether what was given for targets are floats."""
    first = given[0] if isinstance(given, list | tuple) and given else given
    if first is None or isinstance(first, str) or (first is given and isinstance(given, int | np.integer)):
        return False
    try:
        array = as_array(given)
    except InputError:
        return False
    if array.dtype.kind != "O":
        return array.dtype.kind == "f"
    kinds = set(map(type, array.ravel().tolist()))
    return float in kinds and kinds <= {float, int, type(None)}  # one that is missing is told as such


def for_numbers(knowledge: Knowledge, bundle: Bundle, numbers: FloatArray, name: str | None) -> Bundle:
    """The bundle for numbers like these (N, K), as the brain knows them, or from now on.

    Raises:
        InputError: the brain has a gate.
    """
    if knowledge.options["gate"] is not None:
        raise InputError("This brain has a gate, which skips what is well known by its label; numbers have none. Make "
                         "a new brain without gate.")
    if bundle.targets is not None:
        return bundle
    return bundle.with_targets(Targets.like(numbers, [name] if name and numbers.shape[1] == 1 else None))


def joined(bundle: Bundle, rows: Rows, numbers: FloatArray | None) -> Rows:
    """(N, D + 2K) what is added to the sums: the quantised features, and behind them the numbers.

    Raises:
        InputError: a number beyond the range, or the brain was taught the other kind meanwhile.
    """
    if (numbers is None) != (bundle.targets is None):
        raise InputError("Another caller has just taught this brain the other kind of targets, numbers or labels.")
    if numbers is None or bundle.targets is None:
        return rows
    return np.concatenate([rows, bundle.targets.rows(numbers)], axis=1)


def rows_taught(
    knowledge: Knowledge, bundle: Bundle, rows: Rows, features: Any, numbers: FloatArray | None,
    sources: Sequence[str | None],
) -> Rows:
    """(N, D + 2K) rows as they were taught, from their features; without numbers, where each had one only.

    Raises:
        NotTaughtError: an input was never taught.
        LabelError: it was taught with several numbers.
    """
    if numbers is None:
        assert isinstance(knowledge.total, Regressor)
        found = knowledge.total.numbers_of(features)
        for place, some in enumerate(found):
            where = sources[place] or f"input {place}"
            if not len(some):
                raise NotTaughtError(f"{where} was never taught. What was undone is forgotten with its number, or by "
                                     "its id.")
            if len(some) > 1:
                raise LabelError(f"{where} was taught with {len(some)} numbers: pass the one to forget.")
        numbers = np.concatenate(found)
    return joined(bundle, rows, numbers)


def check_labels_alone(bundle: Bundle | None, what: str) -> None:
    """Raises InputError where the brain answers numbers and something is asked that speaks of labels."""
    if bundle is not None and bundle.targets is not None:
        raise InputError(f"This brain answers numbers; {what}.")


def numbers_info(head: FastHead) -> dict[str, Any] | None:
    """What the numbers are called, how far off left-out examples are (root mean square), and the kind of function; None
    where labels are answered."""
    if not isinstance(head, Regressor) or head.targets is None:
        return None
    error = [value if np.isfinite(value) else None for value in head.left_out_error.tolist()]
    return {"names": list(head.targets.names), "error": error, "level": head.level, "function": head.kind}
