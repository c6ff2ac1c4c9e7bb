"""The Open Inference Protocol, version 2, with its binary tensor extension: a brain is asked like any model.

Inputs: numbers of any datatype of shape [N, D] for brains that take vectors; BYTES of shape [N] or [N, 1] for texts,
and for pictures (the file, as base64 where it is in the JSON). Outputs: label (BYTES, "" for "Nothing I know"), known
(BOOL), confidence, focus and familiarity (FP32). A model's version is the brain's sequence number: there is one, that
of now.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from engram import __version__
from engram.server.bodies import Given, media_type, parsed, whole_body
from engram.server.context import Asker, In, Served, reply
from engram.server.direct_route import DirectRoute
from engram.server.inference_schemas import Infer, Inferred, Live, ModelMetadata, ModelReady, Ready, ServerMetadata
from engram.server.openapi import INFER_BODY
from engram.server.problems import Refusal
from engram.server.routes.asking import ask_brain, is_light, made, with_pictures
from engram.server.tensors import OUTPUTS, inputs_of, outputs_of, tensors_metadata

router = APIRouter(prefix="/v2", tags=["open inference protocol"])

LENGTH = "Inference-Header-Content-Length"


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
    inputs, outputs = tensors_metadata(served.takes, bundle.backbone.width if bundle and served.width else None)
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
        return asked, inputs_of(asked.inputs[0], body[length:])

    asked, given = await made(request, make, context)

    def answer() -> tuple[bytes, bytes]:
        predictions = ask_brain(served, given, None)
        chosen = [output.name for output in asked.outputs] if asked.outputs else list(OUTPUTS)
        return outputs_of(predictions, served.name, str(served.seq), asked, chosen)

    if is_light(served, given):
        text, binary = answer()
    else:
        text, binary = await with_pictures(context, given, lambda: context.workers.answer(answer))
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
