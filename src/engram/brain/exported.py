"""Examples as JSON lines, to be kept, read by other programs, and taught to another brain.

The first line says what follows: format, version, what the features mean (fingerprint, width, step), and the digest
of the brain. Then each event in force has a line, oldest first: number, time (ISO 8601), kind, teacher; an example, and
a counterexample (kind "taught not"), also its label as it is called now, source, picture, and features: base64 of
little-endian int16. Other events are there to be read only.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.brain.changes import HOUSEKEEPING, LESSONS, RARE, TAUGHT, TAUGHT_NOT
from engram.heads.quantisation import FARTHEST
from engram.heads.regression.targets import Targets
from engram.learner import InputError, Label
from engram.printable import from_file_name

FORMAT = "engram-events"
VERSION = 1

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LINE = 2**24  # bytes
_TEXT = 2**20  # characters
_PICTURE = 2**18  # bytes
_PICTURES = (b"\xff\xd8\xff", b"RIFF")


@dataclass(frozen=True, slots=True)
class Header:
    """What a file of events says of the brain they come from.

    Attributes:
        fingerprint, backbone, width, step: what its features mean.
        device: its id.
        digest: of all that it knew.
        seq: its last event.
        examples: how many follow.
        whole: whether these are all that it knew: not so where other devices' examples were melded into it, or old
            examples were let go.
        counterexamples: how many follow of these.
        columns: the names of its vectors' columns, if they have any.
        readings: how raw readings were scaled, from which their backbone can be made anew.
        numbers: what the numbers are that stand behind the features of each example, as `Targets.as_json` says it.
        multilabel: True where a label stands for several, with semicolons between them; else None.
    """

    fingerprint: str
    backbone: str
    width: int
    step: float
    device: str
    digest: str
    seq: int
    examples: int
    whole: bool
    counterexamples: int = 0
    columns: tuple[str, ...] | None = None
    readings: Mapping[str, Any] | None = None
    numbers: Mapping[str, Any] | None = None
    multilabel: bool | None = None

    def targets(self) -> Targets | None:
        """What the numbers are. Raises InputError where they are malformed."""
        if self.numbers is None:
            return None
        try:
            return Targets.from_json(self.numbers)
        except (KeyError, TypeError, ValueError):
            raise InputError("Line 1: numbers are malformed.") from None

    def as_line(self) -> str:
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        about = {name: value for name, value in said.items() if value is not None}
        if not self.counterexamples:  # as files were written before there were any
            del about["counterexamples"]
        return _packed({"format": FORMAT, "version": VERSION} | about)


@dataclass(frozen=True, slots=True)
class Exported:
    """One example of such a file.

    Attributes:
        time: when it was taught, microseconds since 1970 UTC.
        label, teacher, source: as in the file.
        row: (D,) int16, quantised features.
        picture: a small one, or None.
        against: whether it is a counterexample: not of that label.
    """

    time: int
    label: Label
    teacher: str | None
    source: str | None
    row: npt.NDArray[np.int16]
    picture: bytes | None
    against: bool = False


def iso(time: int) -> str:
    """Microseconds since 1970 as ISO 8601.

    >>> iso(1_700_000_000_000_001)
    '2023-11-14T22:13:20.000001+00:00'
    """
    return (_EPOCH + timedelta(microseconds=time)).isoformat()


def example_line(
    seq: int, time: int, label: Label, teacher: str | None, source: str | None, content: bytes, picture: bytes | None,
    kind: str = TAUGHT,
) -> str:
    """An example or counterexample as a line, without what is not known of it."""
    about: dict[str, Any] = {"seq": seq, "time": iso(time), "kind": kind, "label": label, "teacher": teacher,
                             "source": source}
    about["features"] = base64.b64encode(content).decode()
    about["picture"] = None if picture is None else base64.b64encode(picture).decode()
    return _packed({name: value for name, value in about.items() if value is not None})


def event_line(seq: int, time: int, kind: str, teacher: str | None, note: str) -> str:
    """Another event as a line."""
    about = {"seq": seq, "time": iso(time), "kind": kind, "teacher": teacher, "note": note or None}
    return _packed({name: value for name, value in about.items() if value is not None})


class Reader:
    """Reads a file of events line by line.

    Args:
        lines: of bytes or text, a file opened for reading say.

    Attributes:
        header: what the first line says.

    Raises:
        InputError: it is no such file.
    """

    def __init__(self, lines: Any) -> None:
        self._lines = _numbered(lines)
        self.line = 0
        self.header = _header(self._parsed(self._next()))

    def __iter__(self) -> Iterator[Exported]:
        """The examples and counterexamples.

        Raises:
            InputError: a line is not what it should be, or some are missing; the message says which.
        """
        found, header = Counter[str](), self.header
        while (line := self._next()) is not None:
            values = self._parsed(line)
            kind = values.get("kind")
            if kind in LESSONS:
                found[kind] += 1
                yield replace(self._example(values), against=kind == TAUGHT_NOT)
            elif kind not in RARE or kind in HOUSEKEEPING:
                raise self._wrong(f"there is no event of the kind {kind!r}")
        for kind, wanted, called in ((TAUGHT, header.examples, "examples"),
                                     (TAUGHT_NOT, header.counterexamples, "counterexamples")):
            if found[kind] != wanted:
                raise InputError(f"The file ends after {found[kind]} of {wanted} {called}: it was cut short.")

    def _next(self) -> bytes | None:
        self.line, line = next(self._lines, (self.line, None))
        return line

    def _parsed(self, line: bytes | None) -> Mapping[str, Any]:
        if line is None:
            raise InputError("The file is empty: engram export writes such files.")
        if len(line) > _LINE:
            raise self._wrong(f"longer than {_LINE} bytes")
        try:
            values = json.loads(line.decode("utf-8"), parse_constant=_no_number)
        except (ValueError, RecursionError):
            raise self._wrong("not JSON, or cut short") from None
        if not isinstance(values, dict):
            raise self._wrong("not a JSON object")
        return values

    def _example(self, values: Mapping[str, Any]) -> Exported:
        label: Any = values.get("label")
        if type(label) not in (str, int):
            raise self._wrong("an example needs a label: a text or a whole number")
        teacher, source = values.get("teacher"), values.get("source")
        if not all(text is None or (isinstance(text, str) and len(text) <= _TEXT) for text in (teacher, source)):
            raise self._wrong("teacher and source must be texts")
        picture = self._bytes(values, "picture") if "picture" in values else None
        if picture is not None and (len(picture) > _PICTURE or not picture.startswith(_PICTURES)):
            raise self._wrong("the picture must be a small JPEG or WebP")
        return Exported(self._time(values), label, teacher, source, self._row(values), picture)

    def _row(self, values: Mapping[str, Any]) -> npt.NDArray[np.int16]:
        content = self._bytes(values, "features")
        if len(content) != 2 * self.header.width:
            raise self._wrong(f"{len(content)} bytes of features where {2 * self.header.width} belong")
        row = np.frombuffer(content, "<i2").astype(np.int16)
        if row.min() < -FARTHEST:
            raise self._wrong(f"features beyond ±{FARTHEST}")
        return row

    def _bytes(self, values: Mapping[str, Any], name: str) -> bytes:
        packed = values.get(name)
        try:
            if not isinstance(packed, str):
                raise ValueError
            return base64.b64decode(packed, validate=True)
        except (ValueError, binascii.Error):
            raise self._wrong(f"{name} are not base64") from None

    def _time(self, values: Mapping[str, Any]) -> int:
        try:
            moment = datetime.fromisoformat(values["time"])
            return (moment - _EPOCH) // timedelta(microseconds=1)
        except (KeyError, ValueError, TypeError, OverflowError):
            raise self._wrong("the time must be ISO 8601 with its zone") from None

    def _wrong(self, what: str) -> InputError:
        return InputError(f"Line {self.line}: {what}. Nothing of it or after it was taken in.")


def _header(values: Mapping[str, Any]) -> Header:
    if values.get("format") != FORMAT:
        raise InputError("Line 1: this is not a file of events: engram export writes such files.")
    version = values.get("version")
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise InputError(f"Line 1: written by a later version of Engram ({version!r}): update Engram to read it.")
    kinds: dict[str, set[type]] = {"str": {str}, "int": {int}, "float": {int, float}, "bool": {bool}}
    always = [field for field in fields(Header) if field.default is MISSING]
    for field in always:
        if type(values.get(field.name)) not in kinds[str(field.type)]:  # exactly: True is no count
            raise InputError(f"Line 1: {field.name} is missing or malformed.")
    columns, readings = values.get("columns"), values.get("readings")
    against = values.get("counterexamples", 0)
    numbers = values.get("numbers")
    if numbers is not None and not isinstance(numbers, dict):
        raise InputError("Line 1: numbers are malformed.")
    multilabel = values.get("multilabel")
    if multilabel is not None and type(multilabel) is not bool:
        raise InputError("Line 1: multilabel is malformed.")
    made = Header(**{field.name: values[field.name] for field in always}, numbers=numbers, multilabel=multilabel)
    targets = made.targets()
    width = made.width - (2 * targets.count if targets else 0)
    if columns is not None and not (isinstance(columns, list) and len(columns) == width
                                    and all(isinstance(name, str) for name in columns)):
        raise InputError("Line 1: columns must be one name for each value of a vector.")
    if type(against) is not int:
        raise InputError("Line 1: counterexamples must be a count.")
    if readings is not None and not isinstance(readings, dict):
        raise InputError("Line 1: readings are malformed.")
    named = None if columns is None else tuple(map(from_file_name, columns))
    made = replace(made, columns=named, readings=readings, counterexamples=against)
    if width < 1 or made.examples < 0 or made.counterexamples < 0:
        raise InputError("Line 1: width and examples must be counts.")
    return made


def _numbered(lines: Any) -> Iterator[tuple[int, bytes]]:
    read = getattr(lines, "readline", None)
    found: Iterable[Any] = lines if read is None else iter(lambda: read(_LINE + 2), type(read(0))())
    for number, line in enumerate(found, 1):
        whole = line.encode("utf-8", "surrogatepass") if isinstance(line, str) else bytes(line)
        if whole.strip():
            yield number, whole.rstrip(b"\r\n")


def _packed(about: Mapping[str, Any]) -> str:
    return json.dumps(about, separators=(",", ":")) + "\n"


def _no_number(text: str) -> Any:
    raise ValueError(text)
