"""What whoever runs the server looks at."""

from __future__ import annotations

import hashlib
import json

from fastapi import APIRouter, Request
from starlette.responses import Response

from engram.server.conditions import unchanged
from engram.server.context import Asker, In
from engram.server.metrics import MEDIA_TYPE
from engram.server.problems import Refusal

router = APIRouter(tags=["operate"])


@router.get(
    "/metrics", response_class=Response,
    responses={200: {"description": "For Prometheus.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(caller: Asker, context: In) -> Response:
    """Latencies, examples, labels, the share of unknowns, memory, and the time of commits: of all brains together."""
    if caller.brains is not None:
        raise Refusal("forbidden", "These metrics cover all brains: they require a token that is not restricted to"
                                   " some.")
    text = await context.workers.operate(context.metrics.text)
    return Response(text, headers={"Content-Type": MEDIA_TYPE})


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request, context: In) -> Response:
    """All of this for machines."""
    document = await context.workers.look(lambda: json.dumps(request.app.openapi(), ensure_ascii=False).encode())
    headers = {"ETag": f'"{hashlib.sha256(document).hexdigest()[:16]}"', "Cache-Control": "no-cache"}
    if unchanged(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(document, headers=headers, media_type="application/json")
