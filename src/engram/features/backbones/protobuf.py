"""Protocol buffers on the wire, as far as ONNX files need them. Source: the Protocol Buffers encoding guide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engram.learner import DamagedError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Buffer = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message: its number, its value (an int, or bytes), and all the bytes it stood in."""

    number: int
    value: Any
    raw: memoryview


def read(message: Buffer | int) -> Iterator[Field]:
    """The fields of a message, in order, without copying them.

    Raises:
        DamagedError: the bytes end too soon or are no message.

    >>> [(field.number, bytes(field.value)) for field in read(put(1, "a") + put(2, b"bc"))]
    [(1, b'a'), (2, b'bc')]
    """
    if isinstance(message, int):
        raise DamagedError("Not an ONNX file: a number where a message belongs.")
    view, at = memoryview(message), 0
    while at < len(view):
        start = at
        key, at = _varint(view, at)
        number, kind = key >> 3, key & 7
        value: int | memoryview
        if kind == VARINT:
            value, at = _varint(view, at)
        elif kind in (BYTES, FIXED32, FIXED64):
            length = {FIXED32: 4, FIXED64: 8}.get(kind)
            if length is None:
                length, at = _varint(view, at)
            value, at = view[at : at + length], at + length
        else:
            raise DamagedError(f"Not an ONNX file: unknown wire type {kind}.")
        if at > len(view) or not number:
            raise DamagedError("Not an ONNX file, or one that was cut short.")
        yield Field(number, value, view[start:at])


def within(fields: list[Field], number: int) -> Iterator[list[Field]]:
    """The fields of each message that stands under this number."""
    for field in fields:
        if field.number == number:
            yield list(read(field.value))


def texts(fields: list[Field], number: int) -> list[str]:
    """The strings under this number.

    Raises:
        DamagedError: they are none.
    """
    try:
        return [bytes(field.value).decode() for field in fields if field.number == number and _is_bytes(field)]
    except UnicodeDecodeError as error:
        raise DamagedError("Not an ONNX file: a name cannot be read.") from error


def put(number: int, value: int | str | Buffer) -> bytes:
    """One field as bytes: a varint for an int, else length-delimited."""
    if isinstance(value, int):
        return _number(number << 3 | VARINT) + _number(value)
    content = value.encode() if isinstance(value, str) else value
    return _number(number << 3 | BYTES) + _number(len(content)) + content


def _is_bytes(field: Field) -> bool:
    if not isinstance(field.value, memoryview):
        raise DamagedError("Not an ONNX file: a number where a name belongs.")
    return True


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(view) or shift > 63:
            raise DamagedError("Not an ONNX file, or one that was cut short.")
        byte = view[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
