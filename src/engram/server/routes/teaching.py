"""Teaching over HTTP: acknowledged when it is on disk; repeated under one Idempotency-Key, it is learned once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from engram.brain import Brain
from engram.brain.changes.teach import Learned
from engram.inputs.encoding import few
from engram.learner import Label
from engram.server.bodies import Given, check_count, flag, label_like, read_inputs
from engram.server.conditions import etag, wanted_seq
from engram.server.context import Act, In, Served, Teacher
from engram.server.openapi import TEACH_BODY
from engram.server.problems import Refusal
from engram.server.requests import Teach
from engram.server.routes.asking import check_kind, made, with_room
from engram.server.schemas import Taught
from engram.server.served_brain import ServedBrain
from engram.store.event import Reply

router = APIRouter(tags=["teach"])

Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$",
           description="Names the request: sent again, it is not learned again."),
]


@router.post("/v1/brains/{b}/examples", status_code=201, response_model=Taught, openapi_extra=TEACH_BODY)
async def teach(
    request: Request, caller: Teacher, served: Served, context: In, key: Key = None, act: Act = None
) -> Response:
    """Teach one example or many, or with `not` counterexamples of a label; 201 when they are on disk."""
    make = await read_inputs(request, Teach, served.width)
    wanted = wanted_seq(request)
    given = await made(request, make, context)
    teacher = caller.name or _teacher(given)
    named = None if key is None else hashlib.sha256(f"{teacher or ''}\0{key}".encode()).hexdigest()
    answer, again = await with_room(
        context, given, lambda: context.workers.write(lambda: learned(served, given, teacher, named, wanted, act))
    )
    headers = {"ETag": etag(answer.seq)} | ({"Idempotency-Replayed": "true"} if again else {})
    return Response(answer.model_dump_json(), 201, headers, media_type="application/json")


def learned(
    served: ServedBrain, given: Given, teacher: str | None, key: str | None, wanted: frozenset[int] | None,
    act: str | None = None,
) -> tuple[Taught, bool]:
    """What the request is answered, and whether it was answered that before; to be called in a thread."""
    check_kind(served, given)
    numbers, again = given.about.get("numbers"), flag(given.about, "again", True)
    labels = None if numbers is not None else _labels(given, served.counts)
    against, sources = flag(given.about, "not", False), given.sources or None
    augment = flag(given.about, "augment", False)
    if against and numbers is not None:
        raise _unfit("not", "Counterexamples are of labels: leave 'numbers' away.")
    if against and augment:
        raise _unfit("augment", "Counterexamples are learned as they are: leave 'augment' away.")
    weights = given.about.get("weights")
    if against and weights is not None:
        raise _unfit("weights", "Counterexamples count once: leave 'weights' away.")
    if weights is not None:
        check_count(sum(weights))
    answer = None if key is None else Reply(key, _digest(given, labels, again, against, augment), None)
    called = None if numbers is None else _called(given)

    def change(brain: Brain) -> Learned:
        if called is not None and served.numbers and called not in (*served.numbers, *map(str, brain.labels)):
            raise _unfit("label", f"This brain answers {few(served.numbers)}: leave 'label' away, or teach {called!r} "
                                  "to a new brain.")
        if against:
            return brain.learn_not(given.named, labels, teacher=teacher, sources=sources, answer=answer)
        each = [labels] * len(given.items) if isinstance(labels, str | int) else labels  # never a column of a table
        return brain.learn_examples(
            given.named, each if numbers is None else numbers, again=again, augment=augment,
            numbers=None if numbers is None else True, called=called, weights=weights, teacher=teacher, sources=sources,
            answer=answer,
        )

    learned = served.change(change, wanted, act=act)
    if not learned.repeated:
        served.count(taught=len(learned.ids))
    seq = learned.ids[-1] if learned.ids else learned.seq
    return Taught(ids=list(learned.ids), seq=seq, skipped=learned.skipped), learned.repeated


def _labels(given: Given, known: Mapping[Label, int]) -> Any:
    """One label for all, or a list of one for each. Raises Refusal where neither was given."""
    label: Label | None = given.about.get("label")
    labels: list[Label | list[Label]] | None = given.about.get("labels")
    if (label is None) == (labels is None):
        raise _unfit("label", "Send one label for all inputs as 'label', or one per input as 'labels'.")
    if labels is None:
        return _checked(label_like("" if label is None else label, known))
    if len(labels) != len(given.items):
        raise _unfit("labels", f"{len(labels)} labels for {len(given.items)} inputs: give one for each.")
    return [[_checked(label_like(part, known)) for part in one] if isinstance(one, list)
            else _checked(label_like(one, known)) for one in labels]


def _called(given: Given) -> str | None:
    """What the number is called, where that was said. Raises Refusal where labels were sent too, or one for several."""
    if given.about.get("labels") is not None:
        raise _unfit("labels", "Send labels or numbers, not both.")
    if len(given.about["numbers"]) != len(given.items):
        raise _unfit("numbers", f"{len(given.about['numbers'])} numbers for {len(given.items)} inputs: give one for "
                     "each, or a list of several for each.")
    label = given.about.get("label")
    if label is not None and any(isinstance(one, list) and len(one) > 1 for one in given.about["numbers"]):
        raise _unfit("label", "'label' names a single number: leave it away where each input has several.")
    return None if label is None else str(_checked(label))


def _checked(label: Label) -> Label:
    if isinstance(label, str) and not 0 < len(label) <= 256:
        raise _unfit("label", "A label must have 1 to 256 characters.")
    return label


def _teacher(given: Given) -> str | None:
    name = given.about.get("teacher")
    if name is not None and not 0 < len(str(name)) <= 256:
        raise _unfit("teacher", "A teacher's name must have 1 to 256 characters.")
    return name


def _digest(given: Given, labels: Any, again: bool, against: bool, augment: bool) -> bytes:
    """Of what is asked for, however it was sent: forms differ in their boundaries."""
    columns = [given.about["columns"]] if given.about.get("columns") else []
    how = [name for name, asked in (("not", against), ("augment", augment)) if asked]
    how += [json.dumps([name, given.about[name]]) for name in ("numbers", "weights") if given.about.get(name)]
    said = [given.kind, labels, again, given.sources, len(given.items), *columns, *how]
    about = json.dumps(said)
    digest = hashlib.sha256(about.encode())
    for item in given.items:
        content = item if isinstance(item, bytes) else item.encode() if isinstance(item, str) else _bytes(item)
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.digest()


def _unfit(where: str, detail: str) -> Refusal:
    return Refusal("invalid", detail, faults=[(where, detail)])


def _bytes(row: Any) -> bytes:
    return np.ascontiguousarray(row, np.float64).tobytes()
