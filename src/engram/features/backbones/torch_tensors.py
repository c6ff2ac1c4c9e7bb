"""Tensors out of a file that PyTorch saved (.pt, .pth), as numpy arrays, without PyTorch and without unpickling.

Such a file describes its tensors by a pickle: a program for a small machine, which in general may call anything. Here
a machine of our own walks through it. It knows the few instructions that a dictionary of tensors needs and four names;
whatever else a file contains is refused, and nothing in it is ever called. Both layouts are read: the ZIP archive of
PyTorch 1.6 and later, and the stream of pickles of earlier versions. Instructions: CPython's `pickletools`.
"""

from __future__ import annotations

import io
import os
import pickletools
import zipfile
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from engram.learner import DamagedError, InputError

Tensors = dict[str, npt.NDArray[Any]]

SIZE_LIMIT = 1_000_000_000
"""Bytes of a file, and of all tensors in it together."""

DESCRIPTION_LIMIT = 1 << 24
"""Bytes of the pickle that describes the tensors."""

_ARCHIVE = b"PK\x03\x04"
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
STORAGES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
    "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1", "BoolStorage": "<?",
}
_DICTIONARY, _TENSOR, _PARAMETER = (
    "collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, type] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_VALUES = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE", "BINFLOAT"})
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


class _Foreign(Exception):
    """What the file holds is no dictionary of tensors."""


@dataclass(frozen=True, slots=True)
class _Name:
    """A class or function that the pickle names; only its name is known here."""

    name: str


@dataclass(frozen=True, slots=True)
class _Storage:
    """The numbers of one or more tensors: in which entry of the file, and of which kind."""

    key: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor as the pickle describes it."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_tensors(path: str | os.PathLike[str]) -> Tensors:
    """The tensors of a saved `state_dict()` by name, each a contiguous array of its own, in native byte order.

    Args:
        path: the file. Wrappers around the dictionary of tensors are not unpacked.

    Raises:
        InputError: no such file.
        DamagedError: truncated, of another kind, larger than `SIZE_LIMIT`, or it holds anything but tensors.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"No file at {file}.")
    try:
        if file.stat().st_size > SIZE_LIMIT:
            raise _Foreign(f"it has more than {SIZE_LIMIT:,} bytes")
        with file.open("rb") as stream:
            archive = stream.read(len(_ARCHIVE)) == _ARCHIVE
            stream.seek(0)
            return _of_archive(stream) if archive else _of_stream(stream)
    except _Foreign as error:
        raise DamagedError(f"{file.name} is no dictionary of tensors that PyTorch saved: {error}.") from error
    except (OSError, ValueError, IndexError, KeyError, TypeError, EOFError, OverflowError, RecursionError,
            zipfile.BadZipFile, NotImplementedError) as error:
        raise DamagedError(f"{file.name} cannot be read: it is damaged, cut short or something else.") from error


def _of_archive(stream: BinaryIO) -> Tensors:
    with zipfile.ZipFile(stream) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        description = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(description) != 1:
            raise _Foreign("the archive has no data.pkl")
        folder = description[0].removesuffix("data.pkl")
        if entries[description[0]].file_size > DESCRIPTION_LIMIT:
            raise _Foreign("its description is too long")
        if f"{folder}byteorder" in entries and archive.read(f"{folder}byteorder") != b"little":
            raise _Foreign("its numbers are big-endian")
        found = _tensors(_walked(io.BytesIO(archive.read(description[0]))))
        contents = {}
        for storage in _storages(found):
            entry = entries[f"{folder}data/{storage.key}"]
            if entry.file_size != _bytes(storage):
                raise _Foreign("a tensor's numbers are not all there")
            contents[storage.key] = _array(archive.read(entry), storage)
    return _filled(found, contents)


def _of_stream(stream: BinaryIO) -> Tensors:
    head = io.BytesIO(stream.read(DESCRIPTION_LIMIT))
    if _walked(head) != MAGIC or _walked(head) != PROTOCOL:
        raise _Foreign("it begins otherwise")
    system = _walked(head)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise _Foreign("its numbers are big-endian")
    found = _tensors(_walked(head))
    by_key = {storage.key: storage for storage in _storages(found)}
    order = _walked(head)
    if not isinstance(order, list) or not _texts(order) or sorted(order) != sorted(by_key):
        raise _Foreign("its list of contents is another")
    contents: Tensors = {}
    if stream.seek(0, io.SEEK_END) - head.tell() < sum(map(_bytes, by_key.values())):
        raise _Foreign("a tensor's numbers are not all there")
    stream.seek(head.tell())
    for key in order:
        storage = by_key[key]
        if int.from_bytes(stream.read(8), "little") != storage.count:
            raise _Foreign("a tensor's numbers are not all there")
        contents[storage.key] = _array(stream.read(_bytes(storage)), storage)
    return _filled(found, contents)


def _walked(description: io.BytesIO) -> Any:
    """The value that one pickle describes, made of plain containers, names and tensors."""
    machine = _Machine()
    for instruction, argument, _ in pickletools.genops(description):
        machine.step(instruction.name, argument)
    return machine.pop()


class _Machine:
    """The stack and the memory of the machine that a pickle is a program for."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memory: dict[int, Any] = {}

    def pop(self) -> Any:
        """The value on top of the stack, taken from it."""
        return self._stack.pop()

    def step(self, name: str, argument: Any) -> None:
        """Carry out one instruction. Raises _Foreign for one that a dictionary of tensors does not need."""
        stack = self._stack
        if name in ("PROTO", "FRAME", "STOP"):
            return
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "TUPLE":
            stack.append(tuple(self._since_mark()))
        elif name in _TUPLES:
            stack[-_TUPLES[name]:] = [tuple(self._last(_TUPLES[name]))]
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memory[argument] = stack[-1]
        elif name == "MEMOIZE":
            self._memory[len(self._memory)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memory[argument])
        elif name in ("APPEND", "APPENDS"):
            items = self._since_mark() if name == "APPENDS" else [stack.pop()]
            self._top(list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            pairs = self._since_mark() if name == "SETITEMS" else [self.pop() for _ in "kv"][::-1]
            if not _texts(pairs[::2]):
                raise _Foreign("its values have no names")
            self._top(dict).update(zip(pairs[::2], pairs[1::2], strict=True))
        elif name == "GLOBAL":
            stack.append(_named(argument))
        elif name == "STACK_GLOBAL":
            parts = self._last(2)
            if not _texts(parts):
                raise _Foreign("its values have no names")
            stack[-2:] = [_named(" ".join(parts))]
        elif name == "REDUCE":
            called, arguments = self._last(2)
            stack[-2:] = [_described(called, arguments)]
        elif name == "BUILD":  # attributes of the dictionary, such as its versions: not needed
            stack.pop()
            self._top(dict)
        elif name == "BINPERSID":
            stack.append(_storage(stack.pop()))
        else:
            raise _Foreign(f"it holds the instruction {name}")

    def _last(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise _Foreign("its description is incomplete")
        return self._stack[-count:]

    def _since_mark(self) -> list[Any]:
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is _MARK:
                items = self._stack[place + 1:]
                del self._stack[place:]
                return items
        raise _Foreign("its description is incomplete")

    def _top(self, kind: type) -> Any:
        if not isinstance(self._stack[-1], kind):
            raise _Foreign(f"it changes a {type(self._stack[-1]).__name__}")
        return self._stack[-1]


def _named(name: str) -> _Name:
    module, _, attribute = name.partition(" ")
    storage = module == "torch" and attribute in (*STORAGES, "BFloat16Storage")
    if storage or name in (_DICTIONARY, _TENSOR, _PARAMETER):
        return _Name(name)
    raise _Foreign(f"it names {module[:60]}.{attribute[:60]}, which could run code")


def _described(called: Any, arguments: Any) -> Any:
    """What the call of a known name stands for; nothing is called."""
    if called == _Name(_DICTIONARY) and arguments == ():
        return {}
    if called == _Name(_PARAMETER) and isinstance(arguments, tuple) and isinstance(arguments[0], _Tensor):
        return arguments[0]
    if called == _Name(_TENSOR) and isinstance(arguments, tuple) and len(arguments) >= 4:
        storage, offset, shape, strides = arguments[:4]
        fits = isinstance(storage, _Storage) and _sizes((offset,)) and _sizes(shape) and _sizes(strides)
        if fits and len(shape) == len(strides) <= 8:
            return _Tensor(storage, offset, shape, strides)
    raise _Foreign("it calls something else than a tensor")


def _storage(identity: Any) -> _Storage:
    """What ("storage", class, key, device, count, ...) names."""
    if isinstance(identity, tuple) and len(identity) >= 5 and identity[0] == "storage":
        _, kind, key, _, count = identity[:5]
        if isinstance(kind, _Name) and kind.name.startswith("torch ") and isinstance(key, str) and _sizes((count,)):
            return _Storage(key, kind.name.removeprefix("torch "), count)
    raise _Foreign("it refers to something else than numbers")


def _texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _sizes(values: Any) -> bool:
    return isinstance(values, tuple) and all(type(value) is int and 0 <= value <= SIZE_LIMIT for value in values)


def _tensors(content: Any) -> dict[str, _Tensor]:
    """The content of the file, found to be tensors alone, and no more of them than is allowed."""
    if not isinstance(content, dict) or not content:
        raise _Foreign("it holds something else")
    for name, value in content.items():
        if not isinstance(value, _Tensor):
            raise _Foreign(f"{name[:60]!r} is no tensor")
    total = sum(prod(tensor.shape) * _item(tensor.storage) for tensor in content.values())
    if total > SIZE_LIMIT:
        raise _Foreign(f"its tensors have more than {SIZE_LIMIT:,} bytes")
    return content


def _storages(tensors: dict[str, _Tensor]) -> list[_Storage]:
    found = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    if any(tensor.storage != found[tensor.storage.key] for tensor in tensors.values()):
        raise _Foreign("the same numbers are described in two ways")
    if sum(map(_bytes, found.values())) > SIZE_LIMIT:
        raise _Foreign(f"its tensors have more than {SIZE_LIMIT:,} bytes")
    return list(found.values())


def _item(storage: _Storage) -> int:
    return 2 if storage.kind == "BFloat16Storage" else np.dtype(STORAGES[storage.kind]).itemsize


def _bytes(storage: _Storage) -> int:
    return storage.count * _item(storage)


def _array(content: bytes, storage: _Storage) -> npt.NDArray[Any]:
    if len(content) != _bytes(storage):
        raise _Foreign("a tensor's numbers are not all there")
    if storage.kind == "BFloat16Storage":  # the upper half of a float32
        return (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(content, STORAGES[storage.kind])


def _filled(tensors: dict[str, _Tensor], contents: Tensors) -> Tensors:
    return {name: _view(tensor, contents[tensor.storage.key]) for name, tensor in tensors.items()}


def _view(tensor: _Tensor, numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy of those numbers that the tensor consists of."""
    native = numbers.dtype.newbyteorder("=")
    if not prod(tensor.shape):
        return np.empty(tensor.shape, native)
    reach = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    if tensor.offset + reach >= len(numbers):
        raise _Foreign("a tensor reaches beyond its numbers")
    steps = [stride * numbers.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(numbers[tensor.offset:], tensor.shape, steps, writeable=False)
    return np.array(view, native, order="C")
