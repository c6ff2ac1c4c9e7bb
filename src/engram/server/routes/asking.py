"""What is this? Answered from the brain's published view, so that no teaching ever stands in the way.

Many inputs are predicted in portions, all from the same view of the brain, so that none takes much time or memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np
import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engram.brain import Brain
from engram.inputs.examples import gather
from engram.inputs.overlay import boxes_overlay, heat_overlay
from engram.inputs.tables import Table
from engram.learner import FloatArray, InputError, Label, Predictions
from engram.server.advice import for_texts
from engram.server.bodies import LIGHT, Given, count, flag, read_inputs
from engram.server.conditions import etag
from engram.server.context import Asker, Context, In, Served
from engram.server.direct_route import DirectRoute
from engram.server.http_protocol import UNDER_WAY
from engram.server.media import count_pixels, count_samples
from engram.server.openapi import ASK_BODY, LOCATE_BODY, PICTURE_BODY
from engram.server.problems import Refusal
from engram.server.requests import Ask
from engram.server.schemas import Answers, Located, Thing
from engram.server.scopes import Caller
from engram.server.served_brain import ServedBrain
from engram.server.wire import shown

_PRODUCTS = 2**20  # inputs of one portion times what each is compared with
_FEWEST, _MOST = 16, 1024
_LIGHT_PRODUCTS = 4_000_000
"""Up to here an answer takes less time than handing it to another thread would."""

RANKED_AT_ONCE = 2**20
"""Labels with scores that one request may be answered with."""

_FEW = 256  # scores that Python sorts sooner than numpy
_value = itemgetter(1)
router = APIRouter(tags=["ask"], route_class=DirectRoute)
_BOXES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {"schema": {"type": "string"}}}}
}
_HEAT: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture with its heat map.", "content": {"image/png": {"schema": {"type": "string"}}}}
}
Result = TypeVar("Result")
KINDS = {"vectors": "vectors", "texts": "text", "pictures": "pictures", "sound": "sound"}


def predicted(brain: Brain, items: Any, among: Iterable[Label] | None) -> Iterator[Predictions]:
    """What `brain.predict(items, among)` answers, portion after portion.

    Args:
        items: (N, D) vectors, or a list of texts or of files' bytes.

    Raises:
        InputError, LabelError: as `Brain.predict`.
    """
    bundle, view = brain.bundle, brain.view
    size = len(items)
    if bundle is None or size <= _FEWEST:
        yield brain.predict(_numbers(items), among)
        return
    rows = min(_MOST, max(_FEWEST, _PRODUCTS // (bundle.width + len(view.labels))))
    for start in range(0, size, rows):
        part = gather(_numbers(items[start : start + rows]), bundle.takes)
        yield view.predict(bundle.features(part.items), among)


def _numbers(items: Any) -> Any:
    """Whole numbers and bytes as numbers that a brain takes: late, since they take eight times the memory."""
    if isinstance(items, np.ndarray) and items.dtype not in (np.float32, np.float64):
        return items.astype(np.float64)
    return items


def check_answers(inputs: int, top: int, classes: int) -> None:
    """Raises Refusal where the answer would be larger than one request may be answered with."""
    if inputs * min(top, classes) > RANKED_AT_ONCE:
        raise Refusal("too-large", f"{inputs:,} inputs with {min(top, classes):,} ranked labels each: one request is "
                      f"answered with at most {RANKED_AT_ONCE:,}. Send fewer inputs at once, or a smaller top.")


def answers_json(portions: Iterable[Predictions], top: int, seq: int) -> list[bytes]:
    """`schemas.Answers` of these predictions, in parts to be sent one after another.

    They do not go through a model: this is what is asked most often. Each part is made by itself, so that no thread
    keeps the interpreter for long.
    """
    parts = [orjson.dumps(_answers(portion, top))[1:-1] for portion in portions]
    if len(parts) == 1:
        return [b'{"answers":[%b],"seq":%d}' % (parts[0], seq)]
    following = [b"," + part for part in parts[1:]]
    return [b'{"answers":[', *parts[:1], *following, b'],"seq":%d}' % seq]


class PartsResponse(Response):
    """Parts that are sent as they are: joined they would take their memory twice."""

    def __init__(self, parts: Sequence[bytes], headers: Mapping[str, str], media_type: str) -> None:
        super().__init__(None, 200, {**headers, "Content-Length": str(sum(map(len, parts)))}, media_type)
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _answers(predictions: Predictions, top: int) -> list[dict[str, Any]]:
    """What orjson makes answers of; it writes null for what is not finite."""
    answers = [
        {
            "label": shown(best) if known and best is not None else None, "known": known, "confidence": confidence,
            "focus": focus, "familiarity": familiarity, "ranked": ranked,
        }
        for best, known, confidence, focus, familiarity, ranked in zip(
            predictions.best, predictions.known.tolist(), predictions.confidence.tolist(), predictions.focus.tolist(),
            predictions.familiarity.tolist(), _ranked(predictions, top), strict=True,
        )
    ]
    if predictions.values is not None and predictions.intervals is not None:
        for answer, values, between in zip(
            answers, predictions.values.tolist(), predictions.intervals.tolist(), strict=True
        ):
            answer |= {"values": values, "intervals": between}
    if predictions.holding is not None:
        for answer, held in zip(answers, predictions.label_sets, strict=True):
            answer["labels"] = [shown(label) for label in held]
    return answers


def _ranked(predictions: Predictions, top: int) -> list[list[dict[str, Any]]]:
    """The `top` best candidates of each, best first."""
    names = predictions.candidates
    return [
        [{"label": shown(names[place]), "score": score} for place, score in row]
        for row in _largest(predictions.scores, top)
    ]


def _largest(scores: FloatArray, top: int) -> list[list[tuple[int, float]]]:
    """Place and value of the `top` largest of each row, largest first, of equal ones the first."""
    if scores.size <= _FEW:
        return [sorted(enumerate(row), key=_value, reverse=True)[:top] for row in scores.tolist()]
    if scores.shape[1] > 4 * top:
        chosen = np.argpartition(-scores, top - 1, axis=1)[:, :top]
        best = np.take_along_axis(scores, chosen, 1)
        order = np.take_along_axis(chosen, np.argsort(-best, axis=1, kind="stable"), 1)
    else:
        order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    values = scores[np.arange(len(scores))[:, None], order].tolist()
    return [list(zip(places, row, strict=True)) for places, row in zip(order.tolist(), values, strict=True)]


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


@router.post("/v1/brains/{b}/heat", response_class=Response, responses=_HEAT, openapi_extra=PICTURE_BODY)
async def heat(request: Request, caller: Asker, served: Served, context: In) -> Response:
    """Where is it not like good ones? One picture with a map over it, for a brain of good parts."""
    make = await read_inputs(request, Ask, served.width)
    given = await made(request, make, context)

    def draw() -> bytes:
        check_kind(served, given)
        if given.kind != "pictures" or len(given.items) != 1:
            raise InputError(f"A heat map is drawn over one picture, not over {len(given.items)} {given.kind}.")
        return heat_overlay(given.items[0], served.brain.heat(given.items)[0])

    drawn = await with_room(context, given, lambda: context.workers.answer(draw))
    return Response(drawn, headers={"ETag": etag(served.seq)}, media_type="image/png")


@router.post("/v1/brains/{b}/locate", response_model=Located, responses=_BOXES, openapi_extra=LOCATE_BODY)
async def locate(request: Request, caller: Asker, served: Served, context: In) -> Response:
    """Where is what was taught? Boxes in one picture; with draw=true the picture with its boxes."""
    make = await read_inputs(request, Ask, served.width)
    given = await made(request, make, context)
    draw = flag(given.about, "draw", False)

    def find() -> bytes:
        check_kind(served, given)
        if given.kind != "pictures" or len(given.items) != 1:
            raise InputError(f"Things are looked for in one picture, not in {len(given.items)} {given.kind}.")
        found = served.brain.locate(given.items[0])
        if draw:
            return boxes_overlay(given.items[0], [(one.box, str(shown(one.label))) for one in found])
        things = [Thing(label=shown(one.label), box=one.box, score=one.score, known=one.known,
                        confidence=one.confidence) for one in found]
        return Located(found=things, seq=served.seq).model_dump_json().encode()

    answer = await with_room(context, given, lambda: context.workers.answer(find))
    return Response(answer, headers={"ETag": etag(served.seq)}, media_type="image/png" if draw else "application/json")


async def answered(
    request: Request, caller: Caller, served: ServedBrain, context: Context, given: Given
) -> list[bytes]:
    """The JSON answer, in parts. Raises Refusal where too much is asked for, or what the token does not allow."""
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
        return await with_room(context, given, lambda: context.workers.write(ask))
    if among is None and others_ask(request) and is_single(served, given):
        check_kind(served, given)
        predictions, seq = await context.gathering.ask(served, given.items)
        return answers_json([predictions], top, seq)
    if is_light(served, given):
        return ask()
    return await with_room(context, given, lambda: context.workers.answer(ask))


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
        hint = f" {for_texts(served.name)}" if given.kind == "texts" else " Teach them to another brain."
        raise InputError(f"{served.name} accepts {wanted}, not {given.kind}.{hint}")
    if wanted is None and given.kind == "texts":
        raise InputError(f"{served.name} has no backbone yet, and texts need one. {for_texts(served.name)}")
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


async def with_room(context: Context, given: Given, do: Callable[[], Awaitable[Result]]) -> Result:
    """Do something when there is room for the pixels, or the samples of sound, that it decodes."""
    settings = context.settings
    if given.kind == "pictures":
        values = await context.workers.answer(
            lambda: count_pixels(given.items, settings.pixel_limit, settings.pixels_at_once)
        )
    elif given.kind == "sound":
        values = await context.workers.answer(lambda: count_samples(given.items, settings.pixels_at_once))
    else:
        return await do()
    async with context.pixels.taking(values):
        return await do()


async def made(request: Request, make: Callable[[], Result], context: Context) -> Result:
    """The inputs, parsed beside the event loop where they are many."""
    if int(request.headers.get("content-length", LIGHT)) < LIGHT:
        return make()
    return await context.workers.parse(make)
