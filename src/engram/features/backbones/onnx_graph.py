"""ONNX graphs cut and written, so that the core needs no `onnx` package. Field numbers: onnx/onnx.proto."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.features.backbones.protobuf import Field, put, read, texts, within
from engram.learner import DamagedError, InputError

Port = tuple[str, Sequence[int | str]]
"""A name and a shape, in which a str names a size that is left open."""

IR_VERSION, PRODUCER, GRAPH, OPERATOR_SET, FUNCTION = 1, 2, 7, 8, 25
NODE, GRAPH_NAME, INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT, SPARSE_INITIALIZER = 1, 2, 5, 11, 12, 15
NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_KIND, NODE_ATTRIBUTE, FUNCTION_NODE = 1, 2, 3, 4, 5, 7
FUNCTION_ATTRIBUTE, TRAINING = 11, 20
ATTRIBUTE_NAME, ATTRIBUTE_INT, ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_INTS = 1, 3, 5, 6, 8
ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS, ATTRIBUTE_TYPE, ATTRIBUTE_SPARSE, ATTRIBUTE_SPARSES = 10, 11, 20, 22, 23
TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME, TENSOR_RAW, TENSOR_EXTERNAL, TENSOR_LOCATION = 1, 2, 8, 9, 13, 14
TYPES = {"float32": 1, "int8": 3, "int64": 7, "float16": 10}
INT, INTS = 2, 7


def cut(model: bytes, *outputs: str, entry: Port | None = None) -> bytes:
    """The model that ends at the named values: everything that they do not need is left out.

    Args:
        outputs: one name or more.
        entry: what the model's input becomes, such as one of another size; None: it stays as it is.

    Raises:
        InputError: no node gives a value of that name.
        DamagedError: not an ONNX file.
    """
    fields = list(read(model))
    graph = [field for part in within(fields, GRAPH) for field in part]
    nodes = list(within(graph, NODE))
    if not nodes:
        raise DamagedError("Not an ONNX network: there are no nodes in it.")
    given = [name for node in nodes for name in texts(node, NODE_OUTPUT)]
    missing = [output for output in outputs if output not in given]
    if missing:
        raise InputError(f"No value named {missing[0]!r} in this network. The last ones are {given[-12:]}.")
    wanted, kept = set(outputs), [False] * len(nodes)
    for place in range(len(nodes) - 1, -1, -1):  # nodes stand in topological order
        if wanted.intersection(texts(nodes[place], NODE_OUTPUT)):
            kept[place] = True
            wanted.update(_needed(nodes[place]))
    replaced = GRAPH_INPUT if entry is not None else None
    parts = b"".join(field.raw for field in _remaining(graph, kept, wanted) if field.number != replaced)
    parts += b"" if entry is None else put(GRAPH_INPUT, _port(*entry))
    smaller = parts + b"".join(put(GRAPH_OUTPUT, put(1, output)) for output in outputs)
    return b"".join(field.raw for field in fields if field.number != GRAPH) + put(GRAPH, smaller)


def before_pooling(model: bytes) -> str:
    """The name of the maps whose average over all places is the model's first output.

    Raises:
        InputError: it does not end in such an average.
        DamagedError: not an ONNX file.
    """
    graph = [field for part in within(list(read(model)), GRAPH) for field in part]
    made_by = {name: node for node in within(graph, NODE) for name in texts(node, NODE_OUTPUT)}
    outputs = list(within(graph, GRAPH_OUTPUT))
    name = texts(outputs[0], 1)[0] if outputs else ""
    while name in made_by:
        kind, name = texts(made_by[name], NODE_KIND)[0], texts(made_by[name], NODE_INPUT)[0]
        if kind in ("ReduceMean", "GlobalAveragePool"):
            return name
        if kind not in ("Flatten", "Reshape", "Squeeze", "Identity"):
            break
    raise InputError("This network does not end in an average over places, so it cannot say where something is. "
                     "`photos` and `efficientnet-lite0` do.")


def check_self_contained(model: bytes) -> None:
    """Every weight is in the file itself; a path to another file is not followed, wherever it leads.

    Raises:
        InputError: weights lie elsewhere.
        DamagedError: not an ONNX file.
    """
    try:
        tensors = list(_all_tensors(list(read(model))))
    except RecursionError as error:
        raise DamagedError("Not an ONNX network: graphs in graphs without end.") from error
    for tensor in tensors:
        if any(f.number == TENSOR_EXTERNAL or (f.number == TENSOR_LOCATION and f.value) for f in tensor):
            raise InputError("The network's weights lie in another file: export it as a single file.")


def _all_tensors(model: list[Field]) -> Iterator[list[Field]]:
    for graph in within(model, GRAPH):
        yield from _tensors(graph)
    for training in within(model, TRAINING):
        for graph in (*within(training, 1), *within(training, 2)):
            yield from _tensors(graph)
    for function in within(model, FUNCTION):
        for attribute in within(function, FUNCTION_ATTRIBUTE):
            yield from _attribute_tensors(attribute)
        for node in within(function, FUNCTION_NODE):
            yield from _node_tensors(node)


def _tensors(graph: list[Field]) -> Iterator[list[Field]]:
    yield from within(graph, INITIALIZER)
    for sparse in within(graph, SPARSE_INITIALIZER):
        yield from _sparse_tensors(sparse)
    for node in within(graph, NODE):
        yield from _node_tensors(node)


def _node_tensors(node: list[Field]) -> Iterator[list[Field]]:
    for attribute in within(node, NODE_ATTRIBUTE):
        yield from _attribute_tensors(attribute)


def _attribute_tensors(attribute: list[Field]) -> Iterator[list[Field]]:
    yield from (*within(attribute, ATTRIBUTE_TENSOR), *within(attribute, ATTRIBUTE_TENSORS))
    for sparse in (*within(attribute, ATTRIBUTE_SPARSE), *within(attribute, ATTRIBUTE_SPARSES)):
        yield from _sparse_tensors(sparse)
    for graph in (*within(attribute, ATTRIBUTE_GRAPH), *within(attribute, ATTRIBUTE_GRAPHS)):
        yield from _tensors(graph)


def _sparse_tensors(sparse: list[Field]) -> Iterator[list[Field]]:
    """Its values and their places."""
    yield from (*within(sparse, 1), *within(sparse, 2))


def _remaining(graph: list[Field], kept: list[bool], wanted: set[str]) -> Iterator[Field]:
    keep_node = iter(kept)
    for field in graph:
        if field.number == NODE:
            if next(keep_node):
                yield field
        elif field.number == INITIALIZER:
            if wanted.intersection(texts(list(read(field.value)), TENSOR_NAME)):
                yield field
        elif field.number != GRAPH_OUTPUT:
            yield field


def _needed(node: list[Field]) -> set[str]:
    """A node's inputs, with those of the graphs inside it (loops, conditions)."""
    names = set(texts(node, NODE_INPUT))
    for attribute in within(node, NODE_ATTRIBUTE):
        for graph in (*within(attribute, ATTRIBUTE_GRAPH), *within(attribute, ATTRIBUTE_GRAPHS)):
            names |= {name for inner in within(graph, NODE) for name in _needed(inner)}
            names |= set(texts([f for out in within(graph, GRAPH_OUTPUT) for f in out], 1))
    return names


def node(kind: str, inputs: Sequence[str], output: str, **attributes: int | Sequence[int]) -> bytes:
    """One node, named like its output, with integer attributes."""
    parts = [put(NODE_INPUT, name) for name in inputs]
    parts += [put(NODE_OUTPUT, output), put(NODE_NAME, output), put(NODE_KIND, kind)]
    for name, value in attributes.items():
        content = put(ATTRIBUTE_NAME, name)
        if isinstance(value, int):
            content += put(ATTRIBUTE_INT, value) + put(ATTRIBUTE_TYPE, INT)
        else:
            content += b"".join(put(ATTRIBUTE_INTS, v) for v in value) + put(ATTRIBUTE_TYPE, INTS)
        parts.append(put(NODE_ATTRIBUTE, content))
    return b"".join(parts)


def tensor(name: str, array: npt.NDArray[Any]) -> bytes:
    """A constant of float32, float16, int8 or int64 values, of any shape."""
    dims = b"".join(put(TENSOR_DIMS, size) for size in array.shape)
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return dims + put(TENSOR_TYPE, TYPES[array.dtype.name]) + put(TENSOR_NAME, name) + put(TENSOR_RAW, little.tobytes())


def model(nodes: Sequence[bytes], constants: Sequence[bytes], entry: Port, exit: Port) -> bytes:
    """A whole ONNX file (IR 8, operator set 13) of float32 nodes with one input and one output."""
    graph = b"".join(put(NODE, n) for n in nodes) + put(GRAPH_NAME, "network")
    graph += b"".join(put(INITIALIZER, c) for c in constants)
    graph += put(GRAPH_INPUT, _port(*entry)) + put(GRAPH_OUTPUT, _port(*exit))
    return put(IR_VERSION, 8) + put(PRODUCER, "engram") + put(GRAPH, graph) + put(OPERATOR_SET, put(2, 13))


def _port(name: str, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(put(1, put(1, d) if isinstance(d, int) else put(2, d)) for d in shape)
    return put(1, name) + put(2, put(1, put(1, TYPES["float32"]) + put(2, dims)))
