"""The Open Inference Protocol, version 2, with its binary tensor extension: a brain is asked like any model.

Inputs: numbers of any datatype of shape [N, D] for brains that take vectors; BYTES of shape [N] or [N, 1] for texts,
and for pictures and sounds (the file, as base64 where it is in the JSON). Outputs: label (BYTES, "" for "Nothing I
know"), known (BOOL), confidence, focus and familiarity (FP32), and of a brain that answers K numbers values [N, K] and
intervals [N, K, 2] (FP64). A model's version is the brain's sequence number: there is one, that of now.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Iterable
from itertools import chain
from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from engram import __version__
from engram.learner import InputError, Predictions
from engram.server.bodies import Given, check_count, media_type, parsed, whole_body
from engram.server.context import Asker, In, Served, reply
from engram.server.direct_route import DirectRoute
from engram.server.inference_schemas import (
    Infer,
    Inferred,
    InputTensor,
    Live,
    ModelMetadata,
    ModelReady,
    Ready,
    ServerMetadata,
    TensorMetadata,
)
from engram.server.openapi import INFER_BODY
from engram.server.problems import Refusal
from engram.server.routes.asking import ask_brain, is_light, made, with_room
from engram.server.wire import shown

OUTPUTS = {"label": "BYTES", "known": "BOOL", "confidence": "FP32", "focus": "FP32", "familiarity": "FP32"}
OF_NUMBERS = {"values": "FP64", "intervals": "FP64"}
_DATATYPES = OUTPUTS | OF_NUMBERS
_PACKED = {"BOOL": "?", "FP32": "<f4", "FP64": "<f8"}
TEXTS_AT_ONCE = 4096
_NUMBERS = {"BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
            "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
router = APIRouter(prefix="/v2", tags=["open inference protocol"])
LENGTH = "Inference-Header-Content-Length"


def tensors_metadata(
    takes: str | None, width: int | None, numbers: int = 0
) -> tuple[list[TensorMetadata], list[TensorMetadata]]:
    """What goes in and what comes out; -1 where any size is taken.

    Args:
        numbers: how many numbers a brain answers; 0 for labels.
    """
    if takes in (None, "vectors"):
        inputs = TensorMetadata(name="input", datatype="FP32", shape=[-1, width or -1])
    else:
        inputs = TensorMetadata(name="input", datatype="BYTES", shape=[-1])
    outputs = [TensorMetadata(name=name, datatype=_DATATYPES[name], shape=[-1, *_shape(name, numbers)])
               for name in _given(numbers)]
    return [inputs], outputs


def _given(numbers: int) -> list[str]:
    """The outputs of a brain that answers so many numbers, or labels."""
    return [*OUTPUTS, *(OF_NUMBERS if numbers else ())]


def _shape(output: str, numbers: int) -> list[int]:
    """Of what an output says of one input."""
    return {"values": [numbers], "intervals": [numbers, 2]}.get(output, [])


def inputs_of(tensor: InputTensor, binary: bytes | memoryview, takes: str | None = None) -> Given:
    """The inputs in a tensor.

    Args:
        binary: what follows the JSON.
        takes: what the brain takes; files are pictures where it does not say.

    Raises:
        InputError: its data do not fit its shape or datatype.
    """
    size = (tensor.parameters or {}).get("binary_data_size")
    if size is not None and (not isinstance(size, int) or size != len(binary)):
        raise InputError(f"binary_data_size is {size}, but {len(binary)} bytes follow the JSON.")
    if (size is None) == (tensor.data is None) or (size is None and binary):
        raise InputError("A tensor has either data, or binary_data_size and so many bytes after the JSON.")
    if tensor.datatype == "BYTES":
        return _bytes(tensor, binary if size is not None else None, "sound" if takes == "sound" else "pictures")
    try:
        kind = np.dtype(_NUMBERS[tensor.datatype])
        values = _flat(tensor.data, kind) if tensor.data is not None else np.frombuffer(binary, kind)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"The data are not {tensor.datatype} values.") from error
    if values.size != math.prod(tensor.shape) or not values.size:
        raise InputError(f"{values.size} values do not make a tensor of shape {tensor.shape}.")
    if len(tensor.shape) > 2:
        raise InputError(f"Expected a tensor of shape [N, D] or [D], not {tensor.shape}.")
    check_count(1 if len(tensor.shape) == 1 else tensor.shape[0])
    rows = values.reshape(tensor.shape if len(tensor.shape) == 2 else (1, -1))
    return Given("vectors", rows, [None] * len(rows))


def outputs_of(
    predictions: Iterable[Predictions], name: str, version: str, asked: Infer, numbers: int
) -> tuple[bytes, bytes]:
    """The JSON of an answer, and the bytes that follow it, which may be none.

    Args:
        predictions: in portions.
        numbers: how many numbers the brain answers; 0 for labels.

    Raises:
        InputError: numbers are asked of a brain that answers labels.
    """
    chosen = [output.name for output in asked.outputs] if asked.outputs else _given(numbers)
    if strange := [output for output in chosen if output not in _given(numbers)]:
        raise InputError(f"This brain answers labels: it has no output {strange[0]!r}.")
    default = (asked.parameters or {}).get("binary_data_output") is True
    wishes: dict[str, Any] = {
        output.name: (output.parameters or {}).get("binary_data", default) for output in asked.outputs or ()
    }
    found: dict[str, list[Any]] = {output: [] for output in chosen}
    count = 0
    for portion in predictions:
        count += len(portion)
        for output in found:
            found[output] += _values(portion, output)
    outputs, tail = [], b""
    for output, values in found.items():
        kind = _DATATYPES[output]
        tensor: dict[str, Any] = {"name": output, "datatype": kind, "shape": [count, *_shape(output, numbers)]}
        if wishes.get(output, default) is True:
            packed = _packed(values, kind)
            tensor["parameters"] = {"binary_data_size": len(packed)}
            tail += packed
        else:
            tensor["data"] = [None if isinstance(v, float) and not math.isfinite(v) else v for v in values]
        outputs.append(tensor)
    document: dict[str, Any] = {"model_name": name, "model_version": version, "outputs": outputs}
    if asked.id is not None:
        document["id"] = asked.id
    return orjson.dumps(document), tail


def _values(predictions: Predictions, output: str) -> list[Any]:
    if output == "label":
        return ["" if label is None else str(shown(label)) for label in predictions.labels]
    values: list[Any] = getattr(predictions, output).ravel().tolist()
    return values


def _packed(values: list[Any], datatype: str) -> bytes:
    if datatype == "BYTES":
        texts = [value.encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.array(values, _PACKED[datatype]).tobytes()


def _bytes(tensor: InputTensor, binary: bytes | memoryview | None, files: str) -> Given:
    """Texts where they are text; else the bytes of files, of this kind."""
    if math.prod(tensor.shape) != tensor.shape[0] or not tensor.shape[0]:
        raise InputError(f"Expected a BYTES tensor of shape [N] or [N, 1], not {tensor.shape}.")
    items: list[Any] = _elements(binary) if binary is not None else _unnested(tensor.data or [])
    if len(items) != tensor.shape[0]:
        raise InputError(f"{len(items)} elements do not make a tensor of shape {tensor.shape}.")
    if len(items) > TEXTS_AT_ONCE:
        raise InputError(f"{len(items)} elements: one request may have {TEXTS_AT_ONCE:,}.")
    if tensor.parameters is not None and tensor.parameters.get("content_type") == "base64":
        return Given(files, [_from_base64(item) for item in items], [None] * len(items))
    if binary is not None:
        try:
            texts = [item.decode("utf-8") for item in items]
        except UnicodeDecodeError:
            return Given(files, items, [None] * len(items))
        return Given("texts", texts, [None] * len(items))
    if not all(isinstance(item, str) for item in items):
        raise InputError("Elements of a BYTES tensor are strings: text, or base64 of a file.")
    return Given("texts", items, [None] * len(items))


def _elements(binary: bytes | memoryview) -> list[bytes]:
    """Each after its length, as 4 bytes, little-endian."""
    items: list[bytes] = []
    place = 0
    while place < len(binary) and len(items) <= TEXTS_AT_ONCE:
        if place + 4 > len(binary):
            raise InputError("A BYTES tensor ends within an element.")
        (length,) = struct.unpack_from("<I", binary, place)
        item = bytes(binary[place + 4 : place + 4 + length])
        if len(item) != length:
            raise InputError("A BYTES tensor ends within an element.")
        items.append(item)
        place += 4 + length
    return items


def _from_base64(item: Any) -> bytes:
    try:
        return base64.b64decode(item, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise InputError("An element is not base64.") from None


def _unnested(data: list[Any]) -> list[Any]:
    """The elements of an [N, 1] tensor, nested or flat, in a flat list."""
    while data and all(isinstance(item, list) and len(item) == 1 for item in data):
        data = [item[0] for item in data]
    return list(data)


def _flat(data: list[Any], kind: np.dtype[Any]) -> Any:
    """Numbers, flat or nested, as a flat array. Raises ValueError where they are not of this kind, or too large."""
    while data and isinstance(data[0], list):
        if not all(isinstance(row, list) and len(row) == len(data[0]) for row in data):
            raise ValueError("lists of different length")
        data = list(chain.from_iterable(data))
    kinds = set(map(type, data))  # looked at first: numpy makes all texts as long as the longest
    if not kinds <= {int, float, bool} or (bool in kinds) > (kind.kind == "b"):
        raise ValueError("not numbers of this kind")
    flat = np.array(data, np.float64)
    if kind.kind == "b" and not np.isin(flat, (0, 1)).all():
        raise ValueError("neither true nor false")
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        if not ((flat == np.floor(flat)) & (flat >= limits.min) & (flat <= limits.max)).all():
            raise ValueError("not whole, or too large")
    return flat


@router.get("", response_model=ServerMetadata)
async def server_metadata() -> Response:
    """What this server is."""
    return reply(ServerMetadata(name="engram", version=__version__, extensions=["binary_tensor_data"]))


@router.get("/health/live", response_model=Live)
async def live() -> Response:
    """Whether the server runs."""
    return reply(Live(live=True))


@router.get("/health/ready", response_model=Ready, responses={503: {}})
async def ready(context: In) -> Response:
    """Whether every brain is open, its log replayed; 503 until then."""
    if not context.shelf.ready:
        raise Refusal("not-ready", "The server is still opening brains.", headers={"Retry-After": "1"})
    return reply(Ready(ready=True))


async def _version(served: Served, v: Annotated[str, Path(description="A version that the metadata names.")]) -> None:
    """Raises Refusal for another version than that of now."""
    assert served.brain  # refuses while it is not open
    if v != str(served.seq):
        raise Refusal("not-found", f"{served.name} is at version {served.seq} and keeps no other: ask for that"
                                   f" version, or for none.")


THIS_VERSION = [Depends(_version)]


@router.get("/models/{b}", response_model=ModelMetadata)
@router.get("/models/{b}/versions/{v}", response_model=ModelMetadata, dependencies=THIS_VERSION)
async def model_metadata(caller: Asker, served: Served) -> Response:
    """A brain's inputs and outputs."""
    bundle = served.brain.bundle
    width = bundle.backbone.width if bundle and served.width else None
    inputs, outputs = tensors_metadata(served.takes, width, len(served.numbers or ()))
    return reply(ModelMetadata(
        name=served.name, versions=[str(served.seq)], platform="engram", inputs=inputs, outputs=outputs
    ))


@router.get("/models/{b}/ready", response_model=ModelReady)
@router.get("/models/{b}/versions/{v}/ready", response_model=ModelReady, dependencies=THIS_VERSION)
async def model_ready(caller: Asker, served: Served) -> Response:
    """Whether a brain is open; 503 until then."""
    assert served.brain  # refuses while it is not open
    return reply(ModelReady(name=served.name, ready=True))


async def infer(request: Request, caller: Asker, served: Served, context: In) -> Response:
    """What is this? In tensors."""
    body = memoryview(await whole_body(request))
    length = _header_length(request, len(body))
    if length > context.settings.json_limit:
        most = context.settings.json_limit
        raise Refusal("too-large", f"The JSON may have {most:,} bytes: send the data as bytes after it.")

    def make() -> tuple[Infer, Given]:
        asked = parsed(Infer, bytes(body[:length]))
        return asked, inputs_of(asked.inputs[0], body[length:], served.takes)

    asked, given = await made(request, make, context)

    def answer() -> tuple[bytes, bytes]:
        predictions = ask_brain(served, given, None)
        return outputs_of(predictions, served.name, str(served.seq), asked, len(served.numbers or ()))

    if is_light(served, given):
        text, binary = answer()
    else:
        text, binary = await with_room(context, given, lambda: context.workers.answer(answer))
    if not binary:
        return Response(text, media_type="application/json")
    return Response(text + binary, headers={LENGTH: str(len(text))}, media_type="application/octet-stream")


router.add_api_route("/models/{b}/infer", infer, methods=["POST"], response_model=Inferred, openapi_extra=INFER_BODY,
                     route_class_override=DirectRoute)
router.add_api_route("/models/{b}/versions/{v}/infer", infer, methods=["POST"], response_model=Inferred,
                     openapi_extra=INFER_BODY, dependencies=THIS_VERSION)


def _header_length(request: Request, size: int) -> int:
    """How many bytes of the body are JSON."""
    given = request.headers.get(LENGTH)
    if given is None:
        if media_type(request) not in ("application/json", ""):  # the protocol's own client names no type for JSON
            raise Refusal("unsupported-media-type", f"Send application/json, or bytes after JSON with {LENGTH}.",
                          headers={"Accept": "application/json, application/octet-stream"})
        return size
    if not (given.isascii() and given.isdigit() and len(given) < 12 and int(given) <= size):
        raise Refusal("invalid", f"{LENGTH} is the length of the JSON at the beginning.")
    return int(given)
