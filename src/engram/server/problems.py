"""Every refusal as `application/problem+json` (RFC 9457): what is wrong, and what to do about it."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from engram.learner import (
    CapacityError,
    DamagedError,
    EngramError,
    InputError,
    LabelError,
    MeldError,
    NotTaughtError,
    TracesError,
)
from engram.server.advice import of_field, over_http

MEDIA_TYPE = "application/problem+json"

_FAULTS = 1000  # described, of which the first are sent

KINDS: Mapping[str, tuple[int, str]] = {
    "bad-request": (400, "The request cannot be read"),
    "unauthenticated": (401, "A token is needed"),
    "forbidden": (403, "This token may not do that"),
    "foreign-origin": (403, "Asked by another site's page"),
    "read-only": (403, "This server only follows"),
    "not-found": (404, "There is no such thing"),
    "not-taught": (404, "Never taught"),
    "method-not-allowed": (405, "Not done with this method"),
    "timeout": (408, "The rest of the request did not come"),
    "conflict": (409, "The brain's state does not allow it"),
    "out-of-date": (412, "The brain has changed meanwhile"),
    "too-large": (413, "Too large"),
    "too-long": (414, "The address is too long"),
    "unsupported-media-type": (415, "Not a kind of content that is read here"),
    "foreign-host": (421, "Addressed by a name that is not this server's"),
    "invalid": (422, "The request does not fit"),
    "key-reused": (422, "Another request had this Idempotency-Key"),
    "too-many-requests": (429, "Too many requests"),
    "head-too-large": (431, "The head of the request is too large"),
    "internal": (500, "A mistake of Engram's own"),
    "damaged": (500, "The brain's folder is damaged"),
    "disk": (500, "The disk refused"),
    "traces": (500, "Forgotten, but not gone from the disk yet"),
    "busy": (503, "Too much at this moment"),
    "not-ready": (503, "The brain is not open"),
    "disk-full": (507, "The disk is full"),
}

STATUSES = {400: "bad-request", 401: "unauthenticated", 403: "forbidden", 404: "not-found", 405: "method-not-allowed",
            413: "too-large", 415: "unsupported-media-type", 422: "invalid", 429: "too-many-requests"}

ERRORS: Sequence[tuple[type[EngramError], str]] = (
    (NotTaughtError, "not-taught"),
    (TracesError, "traces"),
    (InputError, "invalid"),
    (LabelError, "invalid"),
    (CapacityError, "conflict"),
    (MeldError, "conflict"),
    (DamagedError, "damaged"),
    (EngramError, "conflict"),
)


class Refusal(Exception):
    """A request that is not done.

    Args:
        kind: one of `KINDS`.
        detail: what is wrong, and what to do about it.
        headers: to send along.
        faults: (where, message) of single things that are wrong.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        faults: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.faults = kind, detail, faults
        self.headers = dict(headers or {})
        if kind == "unauthenticated":
            self.headers["WWW-Authenticate"] = 'Bearer realm="engram"'

    @property
    def status(self) -> int:
        return KINDS[self.kind][0]

    def body(self, path: str, request_id: str) -> bytes:
        """The JSON document."""
        status, title = KINDS[self.kind]
        document: dict[str, Any] = {
            "type": f"urn:engram:problem:{self.kind}", "title": title, "status": status, "detail": self.detail,
            "instance": path, "request_id": request_id,
        }
        if self.faults:
            document["errors"] = [{"where": where, "message": message} for where, message in self.faults]
        if path.startswith("/v2"):
            document["error"] = self.detail  # where clients of the Open Inference Protocol look for it
        return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")


def respond(request: Request, refusal: Refusal) -> Response:
    """The answer to a request that is refused."""
    request_id = request.scope.get("request_id", "")
    return Response(
        refusal.body(request.url.path, request_id), refusal.status, refusal.headers, media_type=MEDIA_TYPE
    )


def refusal_of(error: BaseException) -> Refusal:
    """What to answer where a request ended in an error."""
    if isinstance(error, Refusal):
        return error
    for kind, name in ERRORS:
        if isinstance(error, kind):
            return Refusal(name, over_http(str(error)))
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return Refusal("disk-full" if full else "disk", f"Nothing was changed: {error.strerror or error}.")
    return Refusal("internal", "It was logged under this request_id; nothing was acknowledged.")


def refusal_of_status(status: int, detail: str, headers: Mapping[str, str] | None) -> Refusal:
    """What to answer where the framework refuses with a status."""
    kind = STATUSES.get(status, "bad-request" if status < 500 else "internal")
    return Refusal(kind, detail if detail != HTTPStatus(status).phrase else f"{KINDS[kind][1]}.", headers=headers)


def invalid(errors: Sequence[Any]) -> Refusal:
    """What to answer where a request does not fit its model. What was sent is not echoed.

    Args:
        errors: pydantic's list of errors.
    """
    faults = [(_where(error["loc"]), _message(error)) for error in errors[:20]]
    if any(error["type"] in ("json_invalid", "json_type") for error in errors):
        return Refusal("bad-request", "The body is not JSON.", faults=faults)
    where, message = faults[0] if faults else ("", "it does not fit")
    return Refusal("invalid", f"{where}: {message}" if where else message, faults=faults)


def _message(error: Mapping[str, Any]) -> str:
    return of_field(str(error["loc"][-1])) if error["type"] == "extra_forbidden" else str(error["msg"])


def _where(parts: Sequence[Any]) -> str:
    """The place in the request; which of several types pydantic tried there is none of the asker's concern."""
    return ".".join(str(part) for part in parts if isinstance(part, int) or re.fullmatch(r"\w+", part))


def invalid_model(error: ValidationError) -> Refusal:
    """The same, of the exception that pydantic raises."""
    if error.error_count() > _FAULTS:  # to describe all of them may take seconds
        return Refusal("invalid", f"{error.title}: {error.error_count():,} mistakes, too many to list.")
    return invalid(error.errors(include_url=False, include_input=False, include_context=False))
