"""One label seen, heard and read: things that come as pictures, sounds and texts, several of them together.

The brain of each modality is served beside the others, as NAME-pictures, NAME-sound and NAME-text: whatever is not
here is asked of these.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from engram.brain.multimodal import MultimodalBrain
from engram.inputs.modalities import things_in
from engram.learner import Label
from engram.server import requests, schemas
from engram.server.bodies import Given, decoded, read_model
from engram.server.context import Act, Admin, Asker, BrainName, Context, In, Teacher, caller_of, check_brain, reply
from engram.server.multimodal import ServedThings
from engram.server.openapi import json_body
from engram.server.problems import Refusal
from engram.server.routes.asking import answers_json, with_room
from engram.server.wire import shown

router = APIRouter(tags=["multimodal"])
LabelPath = Annotated[str, Path(min_length=1, max_length=256, description="A label, percent-encoded.")]
Result = TypeVar("Result")
Inputs = Mapping[str, list[Any]]


async def _things(request: Request, b: BrainName) -> ServedThings:
    context: Context = request.app.state.context
    check_brain(caller_of(request), b)
    return context.shelf.things(b)


Things = Annotated[ServedThings, Depends(_things)]


@router.get("/v1/multimodal", response_model=schemas.Multimodals)
async def list_multimodal(caller: Asker, context: In) -> Response:
    """The brains of several modalities, and the brain of each modality."""
    found = [_told(things) for things in context.shelf.multimodal if caller.may_use(things.name)]
    return reply(schemas.Multimodals(brains=found))


@router.post("/v1/multimodal", status_code=201, response_model=schemas.Multimodal,
             openapi_extra=json_body(requests.CreateThings))
async def create_multimodal(request: Request, caller: Admin, context: In) -> Response:
    """Make a brain of several modalities. Those are made that are taught."""
    asked = await read_model(request, requests.CreateThings)
    check_brain(caller, asked.name)
    made = await context.workers.write(lambda: context.shelf.create_things(asked.name))
    return reply(_told(made), status=201)


@router.post("/v1/multimodal/{b}/examples", status_code=201, response_model=schemas.TaughtThings,
             openapi_extra=json_body(requests.TeachThings))
async def teach(request: Request, caller: Teacher, things: Things, context: In, act: Act = None) -> Response:
    """Teach things, each by every modality in which it comes; 201 when they are on disk."""
    asked = await read_model(request, requests.TeachThings)
    inputs, teacher = _inputs(asked), caller.name or asked.teacher
    if (asked.label is None) == (asked.labels is None):
        raise Refusal("invalid", "Send one label for all things as 'label', or one for each as 'labels'.")

    def change(mind: MultimodalBrain) -> schemas.TaughtThings:
        labels: Any = [things.label(one) for one in asked.labels] if asked.labels is not None else None
        learned = mind.learn_things(things_in(inputs), labels or things.label(_one(asked.label)), again=asked.again,
                                    teacher=teacher)
        return schemas.TaughtThings(ids={name: list(one.ids) for name, one in learned.items()},
                                    skipped={name: one.skipped for name, one in learned.items()})

    answer = await _with_room(
        context, inputs, lambda: context.workers.write(lambda: things.change(change, inputs, by=teacher, act=act)))
    return reply(answer, status=201)


@router.post("/v1/multimodal/{b}/predict", response_model=schemas.Answers, openapi_extra=json_body(requests.AskThings))
async def predict(request: Request, caller: Asker, things: Things, context: In) -> Response:
    """What is this? What the modalities in which a thing comes say of it, combined."""
    asked = await read_model(request, requests.AskThings)
    inputs = _inputs(asked)

    def ask() -> list[bytes]:
        among = None if asked.among is None else [things.label(one) for one in asked.among]
        return answers_json([things.mind().predict(inputs, among)], asked.top, 0)

    parts = await _with_room(context, inputs, lambda: context.workers.answer(ask))
    return Response(b"".join(parts), media_type="application/json")


@router.post("/v1/multimodal/{b}:undo", response_model=schemas.ChangedThings)
async def undo(caller: Admin, things: Things, context: In) -> Response:
    """Take back the last change, in every modality that it changed. Never across a forget."""
    changed = await context.workers.write(
        lambda: things.change(lambda mind: mind.undo(), by=caller.name, act=None))
    return reply(schemas.ChangedThings(changed=list(changed)))


@router.delete("/v1/multimodal/{b}/classes/{label:label}", response_model=schemas.ChangedThings)
async def forget(caller: Admin, things: Things, context: In, label: LabelPath) -> Response:
    """Forget a label in every modality, for good."""
    def change(mind: MultimodalBrain) -> list[str]:
        named = things.label(label)
        held = list(mind.counts().get(named, {}))
        mind.forget(label=named)
        return held

    changed = await context.workers.write(lambda: things.change(change, by=caller.name, act=None))
    return reply(schemas.ChangedThings(changed=changed))


@router.post("/v1/multimodal/{b}:rename", response_model=schemas.ChangedThings,
             openapi_extra=json_body(requests.Rename))
async def rename(request: Request, caller: Admin, things: Things, context: In) -> Response:
    """Call a label by another name in every modality."""
    asked = await read_model(request, requests.Rename)

    def change(mind: MultimodalBrain) -> list[str]:
        old = things.label(asked.old)
        held = list(mind.counts().get(old, {}))
        mind.rename(old, things.label(asked.new))
        return held

    changed = await context.workers.write(lambda: things.change(change, by=caller.name, act=None))
    return reply(schemas.ChangedThings(changed=changed))


def _inputs(asked: requests.Things) -> dict[str, list[Any]]:
    """modality -> an input for each thing. Raises Refusal where there is none, or not as many of each."""
    files = {"pictures": asked.images, "sound": asked.sounds}
    found: dict[str, list[Any]] = {
        modality: [None if one is None else decoded(place, one) for place, one in enumerate(given, 1)]
        for modality, given in files.items() if given is not None
    }
    if asked.texts is not None:
        found["text"] = list(asked.texts)
    if not found:
        raise Refusal("invalid", "Send images, sounds or texts, or several of them: an input for each thing.")
    things_in(found)
    return found


async def _with_room(context: Context, inputs: Inputs, do: Callable[[], Awaitable[Result]]) -> Result:
    """Do something when there is room for all that it decodes."""
    for modality, given in inputs.items():
        items = [one for one in given if one is not None]
        do = partial(with_room, context, Given(modality, items, []), do)
    return await do()


def _told(things: ServedThings) -> schemas.Multimodal:
    summary = things.summary()
    labels = [schemas.LabelByModality(label=shown(one["label"]), examples=one["examples"])
              for one in summary["labels"]]
    return schemas.Multimodal(name=things.name, labels=labels, brains=summary["brains"])


def _one(label: Label | None) -> Label:
    assert label is not None
    return label
