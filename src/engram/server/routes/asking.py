"""What is this? Answered from the brain's published view, so that no teaching ever stands in the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response

from engram.brain import Brain
from engram.inputs.tables import Table
from engram.learner import InputError, Predictions
from engram.server.answers import PartsResponse, answers_json, check_answers, predicted
from engram.server.bodies import LIGHT, Given, count, flag, read_inputs
from engram.server.conditions import etag
from engram.server.context import Asker, Context, In, Served
from engram.server.direct_route import DirectRoute
from engram.server.http_protocol import UNDER_WAY
from engram.server.openapi import ASK_BODY
from engram.server.pictures import count_pixels
from engram.server.problems import Refusal
from engram.server.requests import Ask
from engram.server.schemas import Answers
from engram.server.scopes import Caller
from engram.server.served_brain import ServedBrain

router = APIRouter(tags=["ask"], route_class=DirectRoute)
Result = TypeVar("Result")

_LIGHT_PRODUCTS = 4_000_000
"""Up to here an answer takes less time than handing it to another thread would."""

KINDS = {"vectors": "vectors", "texts": "text", "pictures": "pictures"}


@router.post("/v1/brains/{b}/predict", response_model=Answers, openapi_extra=ASK_BODY)
async def predict(request: Request, caller: Asker, served: Served, context: In) -> Response:
    """What is this? The best label of each input, or null: "Nothing I know"."""
    make = await read_inputs(request, Ask, served.width)
    given = await made(request, make, context)
    parts = await answered(request, caller, served, context, given)
    headers = {"ETag": etag(served.seq)}
    if len(parts) > 1:
        return PartsResponse(parts, headers, "application/json")
    return Response(parts[0], headers=headers, media_type="application/json")


async def answered(
    request: Request, caller: Caller, served: ServedBrain, context: Context, given: Given
) -> list[bytes]:
    """The JSON answer, in parts."""
    top, remember = count(given.about, "top", 10, 1000), flag(given.about, "remember", False)
    check_answers(len(given.items), top, served.classes)
    if remember and not caller.may("teach"):
        raise Refusal("forbidden", "remember=true requires the scope 'teach'.")
    among = given.about.get("among")
    if isinstance(among, str):
        among = among.split(",")
    if among is not None:
        among = [served.label(name) for name in among]

    def ask() -> list[bytes]:
        return answers_json(ask_brain(served, given, among, remember=remember), top, served.seq)

    if remember:
        return await with_pictures(context, given, lambda: context.workers.write(ask))
    if among is None and others_ask(request) and is_single(served, given):
        check_kind(served, given)
        predictions, seq = await context.gathering.ask(served, given.items)
        return answers_json([predictions], top, seq)
    if is_light(served, given):
        return ask()
    return await with_pictures(context, given, lambda: context.workers.answer(ask))


def ask_brain(
    served: ServedBrain, given: Given, among: list[Any] | None, *, remember: bool = False
) -> Iterator[Predictions]:
    """Ask, in portions, and count what was asked."""
    check_kind(served, given)
    portions: Iterable[Predictions]
    if remember:
        portions = [served.change(lambda brain: _remembering(brain, given, among))]
    else:
        portions = predicted(served.brain, given.items, among)
    for answers in portions:
        served.count(asked=len(answers), refused=int(np.count_nonzero(~answers.known)))
        yield answers


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
        raise InputError(f"{served.name} accepts {wanted}, not {given.kind}.")
    if wanted is None and given.kind == "texts":
        raise InputError(f"{served.name} has no backbone yet, and texts need one: create the brain with a backbone"
                         f" for text.")
    named = given.named
    if isinstance(named, Table):
        named.taught_as(served.brain.columns)


def is_light(served: ServedBrain, given: Given) -> bool:
    """Whether to answer at once, in the event loop."""
    return given.kind == "vectors" and given.items.size * max(served.classes, given.items.shape[1]) <= _LIGHT_PRODUCTS


def others_ask(request: Request) -> bool:
    """Whether other requests are being answered at this moment: else there is nobody to wait for."""
    return len(request.scope.get("state", {}).get(UNDER_WAY, ())) > 1


def is_single(served: ServedBrain, given: Given) -> bool:
    """Whether it is one vector, which may be asked about together with others'."""
    return given.kind == "vectors" and given.items.shape == (1, served.width) and served.together > 1


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


async def made(request: Request, make: Callable[[], Result], context: Context) -> Result:
    """The inputs, parsed beside the event loop where they are many."""
    if int(request.headers.get("content-length", LIGHT)) < LIGHT:
        return make()
    return await context.workers.parse(make)
