"""What is this? Answered from the brain's published view, so that no teaching ever stands in the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response

from engram.brain import Brain
from engram.learner import InputError, Predictions
from engram.server.answers import answers_json
from engram.server.bodies import Given, count, flag, read_inputs
from engram.server.conditions import etag
from engram.server.context import Asker, Context, In, Served
from engram.server.direct_route import DirectRoute
from engram.server.openapi import ASK_BODY
from engram.server.pictures import count_pixels
from engram.server.problems import Refusal
from engram.server.requests import Ask
from engram.server.schemas import Answers
from engram.server.scopes import Caller
from engram.server.served_brain import ServedBrain

router = APIRouter(tags=["ask"], route_class=DirectRoute)
Result = TypeVar("Result")

_LIGHT_BYTES, _LIGHT_PRODUCTS = 2**16, 4_000_000
"""Up to here an answer takes less time than handing it to another thread would."""

KINDS = {"vectors": "vectors", "texts": "text", "pictures": "pictures"}


@router.post("/v1/brains/{b}/predict", response_model=Answers, openapi_extra=ASK_BODY)
async def predict(request: Request, caller: Asker, served: Served, context: In) -> Response:
    """What is this? The best label of each input, or null: "Nothing I know"."""
    make = await read_inputs(request, Ask, served.width)
    given = await _made(request, make, context)
    body = await answered(request, caller, served, context, given)
    return Response(body, headers={"ETag": etag(served.seq)}, media_type="application/json")


async def answered(request: Request, caller: Caller, served: ServedBrain, context: Context, given: Given) -> bytes:
    """The JSON answer."""
    top, remember = count(given.about, "top", 10, 1000), flag(given.about, "remember", False)
    if remember and not caller.may("teach"):
        raise Refusal("forbidden", "To keep what is not known takes the scope 'teach'.")
    among = given.about.get("among")
    if isinstance(among, str):
        among = among.split(",")
    if among is not None:
        among = [served.label(name) for name in among]

    def ask() -> bytes:
        return answers_json(ask_brain(served, given, among, remember=remember), top, served.seq)

    if remember:
        return await with_pictures(context, given, lambda: context.workers.write(ask))
    if is_light(served, given):
        return ask()
    return await with_pictures(context, given, lambda: context.workers.answer(ask))


def ask_brain(served: ServedBrain, given: Given, among: list[Any] | None, *, remember: bool = False) -> Predictions:
    """Ask, and count what was asked."""
    check_kind(served, given)
    if remember:
        answers = served.change(lambda brain: _remembering(brain, given, among))
    else:
        answers = served.brain.predict(given.items, among)
    served.count(asked=len(answers), refused=int(np.count_nonzero(~answers.known)))
    return answers


def _remembering(brain: Brain, given: Given, among: list[Any] | None) -> Predictions:
    """Ask; what is not known is in the inbox, on disk, when this returns."""
    answers = brain.predict(given.items, among, remember=True, sources=given.sources or None)
    if not answers.known.all():
        brain.keep_unknowns()
    return answers


def check_kind(served: ServedBrain, given: Given) -> None:
    """Raises InputError for inputs of another kind than the brain takes."""
    wanted = served.takes
    if wanted is not None and KINDS[given.kind] != wanted:
        raise InputError(f"{served.name} takes {wanted}, not {given.kind}.")
    if wanted is None and given.kind == "texts":
        raise InputError(f"{served.name} stands on no backbone yet, and texts need one: make the brain with one.")


def is_light(served: ServedBrain, given: Given) -> bool:
    """Whether to answer at once, in the event loop."""
    return given.kind == "vectors" and given.items.size * max(served.classes, given.items.shape[1]) <= _LIGHT_PRODUCTS


async def with_pictures(context: Context, given: Given, do: Callable[[], Awaitable[Result]]) -> Result:
    """Do something when there is room for the pixels it decodes."""
    if given.kind != "pictures":
        return await do()
    settings = context.settings
    pixels = await context.workers.answer(
        lambda: count_pixels(given.items, settings.pixel_limit, settings.pixels_at_once)
    )
    async with context.pixels.taking(pixels):
        return await do()


async def _made(request: Request, make: Callable[[], Given], context: Context) -> Given:
    """The inputs, parsed beside the event loop where they are many."""
    if int(request.headers.get("content-length", _LIGHT_BYTES)) < _LIGHT_BYTES:
        return make()
    return await context.workers.answer(make)
