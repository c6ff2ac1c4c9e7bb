"""ONNX files read and written as protocol buffers, so that the core needs no `onnx` package.

Field numbers: the ONNX specification, onnx/onnx.proto. Wire format: the Protocol Buffers encoding guide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.learner import DamagedError, InputError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
ONNX_TYPES = {"float32": 1, "int64": 7}

GRAPH = 7
NODE, GRAPH_NAME, INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT = 1, 2, 5, 11, 12
NODE_INPUT, NODE_OUTPUT, NODE_ATTRIBUTE = 1, 2, 5
ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS = 6, 11
TENSOR_NAME = 8


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message: its number, its value (int, or bytes), and the bytes it stood in."""

    number: int
    value: Any
    raw: bytes


def read(message: bytes) -> Iterator[Field]:
    """The fields of a message, in order.

    Raises:
        DamagedError: the bytes end too soon or are no message.
    """
    at = 0
    while at < len(message):
        start = at
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        value: int | bytes
        if kind == VARINT:
            value, at = _varint(message, at)
        elif kind in (BYTES, FIXED32, FIXED64):
            length = {FIXED32: 4, FIXED64: 8}.get(kind)
            if length is None:
                length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        else:
            raise DamagedError(f"Not an ONNX file: unknown wire type {kind}.")
        if at > len(message) or not number:
            raise DamagedError("Not an ONNX file, or one that was cut short.")
        yield Field(number, value, message[start:at])


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise DamagedError("Not an ONNX file, or one that was cut short.")
        byte = message[at]
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


def put(number: int, value: int | str | bytes) -> bytes:
    """One field as bytes: a varint for an int, else length-delimited."""
    if isinstance(value, int):
        return _number(number << 3 | VARINT) + _number(value)
    content = value.encode() if isinstance(value, str) else value
    return _number(number << 3 | BYTES) + _number(len(content)) + content


def cut(model: bytes, output: str) -> bytes:
    """The model that ends at the named value: everything that value does not need is left out.

    Raises:
        InputError: no node gives a value of that name.
        DamagedError: not an ONNX file.
    """
    fields = list(read(model))
    graph = list(read(b"".join(f.value for f in fields if f.number == GRAPH)))
    nodes = [(f, list(read(f.value))) for f in graph if f.number == NODE]
    if not nodes:
        raise DamagedError("Not an ONNX network: there are no nodes in it.")
    given = [o for _, node in nodes for o in _names(node, NODE_OUTPUT)]
    if output not in given:
        raise InputError(f"No value named {output!r} in this network. The last ones are {given[-12:]}.")
    wanted, kept = {output}, set()
    for place in range(len(nodes) - 1, -1, -1):  # nodes stand in topological order
        node = nodes[place][1]
        if wanted.intersection(_names(node, NODE_OUTPUT)):
            kept.add(nodes[place][0].raw)
            wanted.update(_needed(node))
    parts = [f.raw for f in graph if _stays(f, kept, wanted)]
    smaller = b"".join([*parts, put(GRAPH_OUTPUT, put(1, output))])
    return b"".join(f.raw for f in fields if f.number != GRAPH) + put(GRAPH, smaller)


def _stays(field: Field, kept: set[bytes], wanted: set[str]) -> bool:
    if field.number == NODE:
        return field.raw in kept
    if field.number == INITIALIZER:
        return bool(wanted.intersection(_names(list(read(field.value)), TENSOR_NAME)))
    return field.number != GRAPH_OUTPUT


def _names(fields: list[Field], number: int) -> list[str]:
    try:
        return [f.value.decode() for f in fields if f.number == number]
    except (UnicodeDecodeError, AttributeError) as error:
        raise DamagedError("Not an ONNX file: a name cannot be read.") from error


def _needed(node: list[Field]) -> set[str]:
    """A node's inputs, with those of the graphs inside it (loops, conditions)."""
    names = set(_names(node, NODE_INPUT))
    for attribute in (f for f in node if f.number == NODE_ATTRIBUTE):
        for inner in read(attribute.value):
            if inner.number in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS) and isinstance(inner.value, bytes):
                for f in read(inner.value):
                    if f.number == NODE:
                        names |= _needed(list(read(f.value)))
    return names


def node(kind: str, inputs: Sequence[str], output: str, **attributes: int | Sequence[int]) -> bytes:
    """One node of a graph, with integer attributes."""
    parts = [put(NODE_INPUT, name) for name in inputs] + [put(NODE_OUTPUT, output), put(3, output), put(4, kind)]
    for name, value in attributes.items():
        content = put(1, name)
        if isinstance(value, int):
            content += put(3, value) + put(20, 2)
        else:
            content += b"".join(put(8, v) for v in value) + put(20, 7)
        parts.append(put(NODE_ATTRIBUTE, content))
    return b"".join(parts)


def tensor(name: str, array: npt.NDArray[Any]) -> bytes:
    """A constant of float32 or int64 values."""
    dims = b"".join(put(1, size) for size in array.shape)
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return dims + put(2, ONNX_TYPES[array.dtype.name]) + put(TENSOR_NAME, name) + put(9, little.tobytes())


Port = tuple[str, Sequence[int | str]]
"""A name and a shape, in which a str names a size that is left open."""


def model(nodes: Sequence[bytes], constants: Sequence[bytes], entry: Port, exit: Port) -> bytes:
    """A whole ONNX file (IR 8, operator set 13) of float32 nodes with one input and one output."""
    graph = b"".join(put(NODE, n) for n in nodes) + put(GRAPH_NAME, "network")
    graph += b"".join(put(INITIALIZER, c) for c in constants)
    graph += put(GRAPH_INPUT, _port(*entry)) + put(GRAPH_OUTPUT, _port(*exit))
    return put(1, 8) + put(2, "engram") + put(GRAPH, graph) + put(8, put(2, 13))


def _port(name: str, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(put(1, put(1, d) if isinstance(d, int) else put(2, d)) for d in shape)
    return put(1, name) + put(2, put(1, put(1, ONNX_TYPES["float32"]) + put(2, dims)))
