"""The OpenAPI document: what bodies look like that routes read by themselves, and every refusal that can occur."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from engram.server import requests
from engram.server.bodies import FILES
from engram.server.context import Needs
from engram.server.inference_schemas import Infer
from engram.server.problems import KINDS, MEDIA_TYPE
from engram.server.schemas import Problem
from engram.server.scopes import SCOPES, Need

REF = "#/components/schemas/{model}"
BODIES: tuple[type[BaseModel], ...] = (
    requests.Teach, requests.Ask, requests.Create, requests.NameGroup, requests.Relabel, requests.Rename,
    requests.Rollback, requests.Meld, requests.SetAlpha, requests.CreateThings, requests.TeachThings,
    requests.AskThings, Infer, Problem,
)
_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
_FLOATS = {"schema": {"type": "string", "contentMediaType": "application/octet-stream",
                      "description": "Little-endian float32 values of one or more vectors."}}
_FILES = {f"{kind}/*": {"schema": {**_FILE, "description": f"One {one}'s file."}}
          for kind, one in (("image", "picture"), ("audio", "sound"))}

_DOT = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC")
"""A picture of one pixel, PNG in base64."""

_ALWAYS = (400, 421, 429, 500)
_KNOWN = (401, 403)
_WITH_BODY = (408, 413, 415, 422)
_OF_A_BRAIN = (404, 414, 422, 503)
_CHANGING = (409, 412, 507)
_OPEN = ("/v2", "/v2/health/live", "/v2/health/ready")


def json_body(model: type[BaseModel], **others: Any) -> dict[str, Any]:
    """What a route says that reads this model, or content of other types."""
    content = {"application/json": {"schema": {"$ref": REF.format(model=model.__name__)}}, **others}
    return {"requestBody": {"required": True, "content": content}}


def _form(**fields: Any) -> dict[str, Any]:
    files = {"type": "array", "items": _FILE, "minItems": 1, "maxItems": 256}
    one_kind = [{"required": [name]} for name in FILES]
    return {"schema": {"type": "object", "properties": {**dict.fromkeys(FILES, files), **fields}, "oneOf": one_kind}}


def _query(name: str, kind: str, about: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": about, "schema": {"type": kind, **more}}


_TEXT = {"type": "string", "minLength": 1, "maxLength": 256}
_FLAG = {"type": "string", "enum": ["true", "false", "1", "0"]}
_WIDTH = _query("width", "integer", "Values of one vector, if the brain cannot know yet.", minimum=1, maximum=65536)

TEACH_BODY = {
    **json_body(requests.Teach, **{
        "multipart/form-data": _form(
            label={"type": "array", "items": _TEXT, "description": "Once for all files, or once for each."},
            number={"type": "array", "items": {"type": "number"}, "description":
                    "In place of a label: what is to be answered, once for all files, or once for each."},
            teacher=_TEXT, again=_FLAG, augment=_FLAG, **{"not": _FLAG},
        ),
        **_FILES, "application/octet-stream": _FLOATS,
    }),
    "parameters": [
        _query("label", "string", "Of a file or raw vectors, which have no other place for it.", maxLength=256),
        _query("teacher", "string", "Who teaches, where there are no tokens.", maxLength=256),
        _query("source", "string", "Where a picture or a sound came from.", maxLength=1024),
        _query("again", "string", "Learn also what is held already; true where left out.", enum=_FLAG["enum"]),
        _query("augment", "string", "Learn a picture with views of it; false where left out.", enum=_FLAG["enum"]),
        _query("not", "string", "They are not of that label; false where left out.", enum=_FLAG["enum"]), _WIDTH,
    ],
}
ASK_BODY = {
    **json_body(requests.Ask, **{
        "multipart/form-data": _form(top=_TEXT, remember=_FLAG, among=_TEXT),
        **_FILES, "application/octet-stream": _FLOATS,
    }),
    "parameters": [
        _query("top", "integer", "How many ranked labels to answer with.", minimum=1, maximum=1000),
        _query("remember", "string", "Keep what is not known in the inbox.", enum=_FLAG["enum"]),
        _query("among", "string", "The labels in question, with commas between them; or once for each, whole."), _WIDTH,
    ],
}
PICTURE_BODY = json_body(requests.Ask, **{"multipart/form-data": _form(), "image/*": _FILES["image/*"]})
PICTURE_BODY["requestBody"]["content"]["application/json"]["example"] = {"images": [_DOT]}
LOCATE_BODY = {
    **PICTURE_BODY,
    "parameters": [_query("draw", "string", "Answer with the picture and its boxes, as PNG.", enum=_FLAG["enum"])],
}
MELD_BODY = json_body(requests.Meld, **{
    "application/zip": {"schema": {**_FILE, "description": "A brain, as `export?format=zip` gives it."}},
    "multipart/form-data": {
        "schema": {"type": "object", "properties": {"brain": _FILE, "strict": _FLAG}, "required": ["brain"]}
    },
})
INFER_BODY = json_body(Infer, **{
    "application/octet-stream": {"schema": {
        **_FILE, "description": "JSON of `Inference-Header-Content-Length` bytes, then the tensors' bytes."}},
})


def install(api: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Have the application give the complete document of the routes in these routers."""

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = _complete(
                get_openapi(title=api.title, version=api.version, description=api.description, routes=api.routes,
                            tags=api.openapi_tags),
                needs(routers),
            )
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign]


def needs(routers: Sequence[APIRouter]) -> dict[tuple[str, str], Need]:
    """What each route takes, by its method and path; those that take nothing are left out."""
    return {
        (method, route.path_format): dependency.call.need
        for router in routers for route in router.routes if isinstance(route, APIRoute)
        for dependency in route.dependant.dependencies if isinstance(dependency.call, Needs)
        for method in route.methods or ()
    }


def _complete(document: dict[str, Any], needs: Mapping[tuple[str, str], Need]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    found = components.setdefault("schemas", {})
    _, definitions = models_json_schema([(model, "validation") for model in BODIES], ref_template=REF)
    for name, schema in definitions["$defs"].items():
        found.setdefault(name, schema)
    for name in ("HTTPValidationError", "ValidationError"):
        found.pop(name, None)
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete_operation(path, method, operation)
            need = needs.get((method.upper(), path))
            if need is not None:
                operation["x-scopes"] = {scope: cell for scope in SCOPES if (cell := need.cell(scope))}
    return document


def _complete_operation(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = {code: answer for code, answer in operation["responses"].items() if code[0] in "23"}
    refusals = set(_ALWAYS)
    if path not in _OPEN:
        refusals |= set(_KNOWN)
        operation["security"] = [{}, {"token": []}]
    if "{" in path:
        refusals |= set(_OF_A_BRAIN)
    if "requestBody" in operation:
        refusals |= set(_WITH_BODY)
    if method != "get":
        refusals |= set(_CHANGING) | set(_KNOWN)
    if operation.get("parameters"):
        refusals.add(422)
    for status in sorted(refusals):
        responses[str(status)] = _refusal(status)
    operation["responses"] = responses


def _refusal(status: int) -> dict[str, Any]:
    titles = [title for code, title in KINDS.values() if code == status]
    answer: dict[str, Any] = {
        "description": "; ".join(dict.fromkeys(titles)),
        "content": {MEDIA_TYPE: {"schema": {"$ref": REF.format(model="Problem")}}},
    }
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return answer
