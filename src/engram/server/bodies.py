"""What comes in to be learned or asked about, however it is sent: JSON, a form with files, one picture, raw float32.

Raw vectors (application/octet-stream) are little-endian float32, one after the other; as many values make one vector
as the brain's vectors have, or as `?width=` says.

How much is in a JSON document is counted before it is parsed: a parser makes an object of every value, holds the
interpreter meanwhile, and a document of 30 MB may have 15 million of them. Counting takes a thousandth of that, in
numpy, which lets others go on.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect, Request

from engram.inputs.tables import Table
from engram.inputs.vectors import known_label
from engram.learner import InputError, Label
from engram.server.forms import read_form
from engram.server.problems import Refusal, invalid_model
from engram.server.requests import Ask, Inputs, Teach
from engram.server.wire import shown

VALUES = 2**19
"""Values that a document may have."""
FIELDS = 1024
"""Names of fields that a document may have."""

_PORTION = 2**20
_QUOTE, _COMMA, _COLON, _BACKSLASH, _LIST, _OBJECT = b'",:\\[{'

Bytes = npt.NDArray[np.uint8]
Model = TypeVar("Model", bound=BaseModel)
LIGHT = 2**16
"""Bytes of a body that takes less time to parse than to hand to another thread."""

FILES_AT_ONCE = 256
VECTORS_AT_ONCE = 65_536
JSON = ("application/json",)
_FIELD_BYTES = 4096
FILES = {"images": "pictures", "sounds": "sound"}
"""Fields that hold files, and what kind of inputs they are."""

MEDIA_TYPES = {"image/": "pictures", "audio/": "sound"}
"""How the media type of a single file begins, and what kind of input it is."""

_HELD = ("vectors", "texts", *FILES, "sources")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f]")
Vectors = Any
"""(N, D) float32 or float64."""


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


@dataclass
class Given:
    """Inputs of one kind, and what was said about them.

    Attributes:
        kind: "vectors", "texts", "pictures" or "sound".
        items: an (N, D) array, N texts, or the bytes of N files.
        sources: where each came from.
        about: the other fields, by name.
    """

    kind: str
    items: Any
    sources: list[str | None]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def named(self) -> Any:
        """The inputs, with the names of their columns if these were said. Raises InputError where they do not fit."""
        columns = self.about.get("columns")
        return Table(self.items, tuple(columns)) if columns and self.kind == "vectors" else self.items


async def read_model(request: Request, model: type[Model]) -> Model:
    """A JSON body.

    Raises:
        Refusal: of another type, not JSON, or it does not fit the model.
    """
    if media_type(request) not in JSON:
        raise _unsupported(request, JSON)
    return parsed(model, await request.body())


async def whole_body(request: Request) -> bytes | bytearray:
    """The body. A long one is put together as it comes: what came is not kept a second time. Raises
    ClientDisconnect where the client left.
    """
    message = await request.receive()
    if message["type"] == "http.request" and not message.get("more_body", False):  # as nearly all are: whole at once
        body: bytes = message.get("body", b"")
        return body
    whole = bytearray()
    while message["type"] == "http.request":
        whole += message.get("body", b"")
        if not message.get("more_body", False):
            return whole
        message = await request.receive()
    raise ClientDisconnect


def parsed(model: type[Model], body: bytes | bytearray) -> Model:
    """A JSON document as a model. Raises Refusal where it does not fit, or has too many values or fields."""
    check_json_size(body)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise invalid_model(error) from None


async def read_inputs(request: Request, model: type[Teach] | type[Ask], width: int | None) -> Callable[[], Given]:
    """The inputs in a body of any type that is taken; the rest of the work, for another thread where it is much.

    Args:
        model: what a JSON body is.
        width: how many values one vector has, if that is known.

    Raises:
        Refusal: of a type that is not taken, or not readable.
    """
    kind = media_type(request)
    about: dict[str, Any] = {}
    if request.scope["query_string"]:
        about = dict(request.query_params)
        check_query(about)
        several = request.query_params.getlist("among")
        if len(several) > 1:
            about["among"] = several
    if kind in JSON:
        body = await whole_body(request)
        return lambda: of_model(parsed(model, body), about)
    if kind == "application/octet-stream":
        body = await whole_body(request)
        return lambda: Given("vectors", raw_vectors(body, width, about), [], about)
    single = next((what for begins, what in MEDIA_TYPES.items() if kind.startswith(begins)), None)
    if single is not None:
        body = bytes(await whole_body(request))
        return lambda: Given(single, [body], [_source(about.get("source"))], about)
    if kind == "multipart/form-data":
        form = await read_form(
            request, max_files=FILES_AT_ONCE, max_fields=2 * FILES_AT_ONCE, max_part_size=_FIELD_BYTES
        )
        try:
            given = await _of_form(form, about)
        finally:
            await form.close()
        return lambda: given
    raise _unsupported(request, (*JSON, "multipart/form-data", "image/*", "audio/*", "application/octet-stream"))


def media_type(request: Request) -> str:
    """Of the body, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def raw_vectors(body: bytes | bytearray, width: int | None, about: Mapping[str, Any]) -> Vectors:
    """(N, D) float32. Raises InputError where the bytes do not make up whole vectors."""
    width = width or count(about, "width", max(1, len(body) // 4), 65_536)
    if not body or len(body) % (4 * width):
        raise InputError(f"{len(body)} bytes are not whole vectors of {width} float32 values.")
    check_count(len(body) // (4 * width))
    return np.frombuffer(body, "<f4").reshape(-1, width)


def check_count(vectors: int) -> None:
    """Raises Refusal for more vectors than one request may have."""
    if vectors > VECTORS_AT_ONCE:
        raise Refusal("too-large", f"{vectors:,} vectors: a request may have at most {VECTORS_AT_ONCE:,}.")


def check_query(about: Mapping[str, Any]) -> None:
    """Raises Refusal where something that may be said in the query is none of what it may be."""
    for name, most in (("width", 65_536), ("top", 1000)):
        count(about, name, 1, most)
    for name in ("again", "remember", "not", "augment", "draw"):
        flag(about, name, False)
    for name, most in (("label", 256), ("teacher", 256), ("source", 1024)):
        if len(about.get(name, "")) > most:
            raise _unfit(name, f"{name} may have at most {most} characters.")


def of_model(asked: Inputs, query: Mapping[str, Any]) -> Given:
    """What a JSON body holds, and the query beside it.

    Raises:
        Refusal, InputError: not one kind of inputs.
    """
    fields = type(asked).model_fields
    said = {fields[name].alias or name: getattr(asked, name) for name in asked.model_fields_set if name not in _HELD}
    about = {name: value for name, value in {**query, **said}.items() if value is not None}
    kinds = [name for name in ("vectors", "texts", *FILES) if getattr(asked, name) is not None]
    if len(kinds) != 1:
        raise _unfit("body", "Send exactly one of vectors, texts, images and sounds.")
    if asked.vectors is not None:
        if len(set(map(len, asked.vectors))) > 1:
            raise InputError("The vectors have different lengths: all need the same number of values.")
        items: Any = np.array(asked.vectors, np.float64)
    else:
        files = asked.images or asked.sounds or ()
        items = asked.texts or [decoded(place, one) for place, one in enumerate(files, 1)]
    kind = FILES.get(kinds[0], kinds[0])
    sources = list(getattr(asked, "sources", None) or [None] * len(items))
    if asked.texts is not None and not getattr(asked, "sources", None):  # a text has no picture: it is shown itself
        return Given(kind, items, [_UNSEEN.sub(" ", text)[:200] for text in items], about)
    if len(sources) != len(items):
        raise _unfit("sources", f"{len(sources)} sources for {len(items)} inputs: give one for each.")
    return Given(kind, items, [_source(source) for source in sources], about)


async def _of_form(form: FormData, about: Mapping[str, Any]) -> Given:
    files, sources, fields, kinds = [], [], dict(about), set()
    labels: list[str] = []
    numbers: list[float] = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name not in FILES:
                raise _unfit("images", f"Files are sent as 'images' or 'sounds', not {name[:40]!r}.")
            kinds.add(name)
            files.append(await value.read())
            sources.append(_source(value.filename))
        elif name == "label":
            labels.append(value)
        elif name == "number":
            numbers.append(_number(value))
        elif name == "among" and "among" in fields:
            fields["among"] = [*([before] if isinstance(before := fields["among"], str) else before), value]
        else:
            fields[name] = value
    if not files:
        raise _unfit("images", "There is no file in the form: send one or more as 'images', or as 'sounds'.")
    if len(kinds) > 1:
        raise _unfit("sounds", "Send images or sounds, not both at once.")
    if numbers:
        fields["numbers"] = numbers * len(files) if len(numbers) == 1 else numbers
    if labels:
        fields |= {"label": labels[0]} if len(labels) == 1 else {"labels": labels}
    return Given(FILES[kinds.pop()], files, sources, fields)


def _number(text: str) -> float:
    """A number that came as text. Raises Refusal where it is none."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise _unfit("number", "number must be a finite number.")
    return value


def flag(about: Mapping[str, Any], name: str, otherwise: bool) -> bool:
    """A yes or no that may come as text. Raises Refusal where it is neither."""
    value = about.get(name, otherwise)
    if isinstance(value, bool):
        return value
    known = {"true": True, "1": True, "false": False, "0": False}
    if str(value).lower() not in known:
        raise Refusal("invalid", f"{name} must be true or false.", faults=[(name, "true or false")])
    return known[str(value).lower()]


def count(about: Mapping[str, Any], name: str, otherwise: int, most: int) -> int:
    """A number from 1 to `most` that may come as text. Raises Refusal where it is not."""
    value = str(about.get(name, otherwise))
    if not (value.isascii() and value.isdigit() and len(value) < 20 and 1 <= int(value) <= most):
        raise Refusal("invalid", f"{name} must be a number from 1 to {most}.", faults=[(name, f"a number from 1 to"
                                 f" {most}")])
    return int(value)


def label_like(label: Label, known: Mapping[Label, int]) -> Label:
    """The label that is meant: a number where the brain's labels are numbers; the one that is shown so, if any.

    Args:
        label: as it came, in whichever Unicode normal form.
        known: the brain's labels.
    """
    label = known_label(label, known)
    if isinstance(label, int) or label in known:
        return label
    if isinstance(next(iter(known), None), int) and re.fullmatch(r"-?[0-9]{1,18}", label, re.ASCII):
        return int(label)
    return next((one for one in known if shown(one) == label), label) if "\\" in label else label


def decoded(place: int, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(f"File {place} is not base64.") from None


def _source(name: str | None) -> str | None:
    """A file's name without a path or control characters."""
    if not name:
        return None
    return _UNSEEN.sub("", re.split(r"[/\\]", name)[-1])[:255] or None


def _unfit(where: str, detail: str) -> Refusal:
    return Refusal("invalid", detail, faults=[(where, detail)])


def _unsupported(request: Request, taken: tuple[str, ...]) -> Refusal:
    given = media_type(request)[:80] or "no Content-Type"
    return Refusal("unsupported-media-type", f"{given} is not read here: send {', '.join(taken)}.",
                   headers={"Accept": ", ".join(taken)})
