"""How much is in a JSON document, counted before it is parsed.

A parser makes an object of every value, holds the interpreter meanwhile, and a document of 30 MB may have 15 million of
them. Counting takes a thousandth of that, in numpy, which lets others go on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engram.server.problems import Refusal

VALUES = 2**19
"""Values that a document may have."""
FIELDS = 1024
"""Names of fields that a document may have."""

_PORTION = 2**20
_QUOTE, _COMMA, _COLON, _BACKSLASH, _LIST, _OBJECT = b'",:\\[{'

Bytes = npt.NDArray[np.uint8]


def check_json_size(body: bytes | bytearray | memoryview) -> None:
    """Raises Refusal for a document that has too many values or fields to be parsed."""
    if len(body) < FIELDS:
        return
    if isinstance(body, bytes) and len(body) < VALUES and body.count(b":") <= FIELDS:
        return
    values, fields = json_size(body)
    if values > VALUES:
        raise Refusal("too-large", f"JSON may have at most {VALUES:,} values here: send fewer at once, or send"
                                   f" vectors as they "
                      "are in memory (float32, application/octet-stream).")
    if fields > FIELDS:
        raise Refusal("too-large", f"JSON may have at most {FIELDS:,} fields here.")


def json_size(body: bytes | bytearray | memoryview) -> tuple[int, int]:
    """How many values and how many fields a document has: at least as many as a parser makes before it finds a mistake.

    >>> json_size(b'{"a": [1, 2, "x, [y"], "b": {"c\\\\"": 1}}')
    (6, 3)
    """
    whole = np.frombuffer(body, np.uint8)
    values = fields = run = 0
    inside = False
    for start in range(0, len(whole), _PORTION):
        part = whole[start : start + _PORTION]
        quotes = part == _QUOTE
        slashes = part == _BACKSLASH
        if run or slashes.any():
            before, run = _runs(slashes, run)
            quotes &= before % 2 == 0
        within = np.logical_xor.accumulate(quotes) ^ inside
        inside = bool(within[-1])
        outside = ~within
        values += int(np.count_nonzero(((part == _COMMA) | (part == _LIST) | (part == _OBJECT)) & outside))
        fields += int(np.count_nonzero((part == _COLON) & outside))
    return values, fields


def _runs(slashes: npt.NDArray[np.bool_], run: int) -> tuple[npt.NDArray[np.int32], int]:
    """(N,) how many backslashes are right before each place, and how many are at the end; `run` were before it all."""
    place = np.arange(len(slashes), dtype=np.int32)
    other = np.maximum.accumulate(np.where(slashes, np.int32(-1), place))  # the last place that is no backslash
    upto = place - other + np.where(other < 0, np.int32(run), np.int32(0))
    before = np.empty_like(upto)
    before[0], before[1:] = run, upto[:-1]
    return before, int(upto[-1])
