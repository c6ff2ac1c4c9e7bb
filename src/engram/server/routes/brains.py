"""Which brains there are; a new one; one whose folder was replaced."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from engram import __version__
from engram.features.backbones.catalogue import listing
from engram.server import schemas
from engram.server.bodies import read_model
from engram.server.context import Admin, Asker, In, Served, check_brain, reply
from engram.server.openapi import json_body
from engram.server.requests import Create
from engram.server.schemas import Backbone, Backbones, Brains
from engram.server.scopes import SCOPES

router = APIRouter(tags=["brains"])


@router.get("/v1/brains", response_model=Brains)
async def list_brains(caller: Asker, context: In) -> Response:
    """The brains that are served, and what whoever asks may do."""
    brains = [schemas.Brain(**brain.summary()) for brain in context.shelf if caller.may_use(brain.name)]
    scopes = [scope for scope in SCOPES if caller.may(scope)]
    return reply(Brains(brains=brains, scopes=scopes, teacher=caller.name, version=__version__))


@router.get("/v1/backbones", response_model=Backbones)
async def list_backbones(caller: Asker, context: In) -> Response:
    """The backbones that a new brain can stand on."""
    found = await context.workers.look(listing)
    takes = {line["name"]: line["takes"] for line in found if "problem" not in line}
    return reply(Backbones(backbones=[Backbone(name=name, takes=what) for name, what in takes.items()]))


@router.post("/v1/brains", status_code=201, response_model=schemas.Brain, openapi_extra=json_body(Create))
async def create_brain(request: Request, caller: Admin, context: In) -> Response:
    """Make a new brain, beside the others."""
    asked = await read_model(request, Create)
    check_brain(caller, asked.name)
    options = asked.model_dump(exclude={"name"}, exclude_none=True)
    if "backbone" in options:
        options["bundle"] = options.pop("backbone")
    made = await context.workers.write(lambda: context.shelf.create(asked.name, options))
    return reply(schemas.Brain(**made.summary()), made.seq, 201)


@router.post("/v1/brains/{b}:swap", response_model=schemas.Brain)
async def swap(caller: Admin, served: Served, context: In) -> Response:
    """Open the brain's folder anew: it was replaced on disk. Whoever asks meanwhile is answered by the old one."""
    await context.workers.write(served.swap)
    context.log.write("swapped", brain=served.name, seq=served.seq)
    return reply(schemas.Brain(**served.summary()), served.seq)
