"""What goes over the wire: a model for every request and every answer, with examples; OpenAPI is made of them.

Numbers that are not finite are null. Times are ISO 8601 in UTC. Labels keep their type: 7 and "7" are two labels.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, StrictInt, StrictStr

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""Names of brains: no dot, no slash, nothing that a path could be made of."""

LARGEST = 2**63 - 1



def _whole(value: object) -> object:
    """JSON knows one kind of number: 7.0 is the integer 7."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _moment(value: object) -> object:
    """A date and a time, as RFC 3339 writes them; a number alone is neither."""
    if isinstance(value, str) and not re.match(r"\d{4}-\d\d-\d\d[Tt ]\d\d:", value, re.ASCII):
        raise ValueError("expected a time such as 2026-11-21T12:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
Whole = Annotated[StrictInt, BeforeValidator(_whole)]
Text = Annotated[StrictStr, Field(min_length=1, max_length=256)]
WireLabel = Text | Annotated[Whole, Field(ge=-LARGEST, le=LARGEST)]
Name = Annotated[str, Field(pattern=NAME_PATTERN, examples=["flowers"])]
Seq = Annotated[Whole, Field(ge=0, le=LARGEST)]
Sentence = Annotated[StrictStr, Field(min_length=1, max_length=100_000)]
Vector = Annotated[list[float], Field(min_length=1, max_length=65_536)]


def about(example: JsonValue) -> ConfigDict:
    """A model's settings: its example."""
    return ConfigDict(json_schema_extra={"examples": [example]})


def asked(example: JsonValue) -> ConfigDict:
    """Of requests: a misspelt field is an error, not ignored."""
    return ConfigDict(json_schema_extra={"examples": [example]}, extra="forbid", strict=True)


# What is asked


class Inputs(BaseModel):
    """One kind of inputs: vectors, texts, or pictures as base64 of their files."""

    vectors: Annotated[list[Vector], Field(min_length=1, max_length=65_536)] | None = None
    texts: Annotated[list[Sentence], Field(min_length=1, max_length=4096)] | None = None
    images: Annotated[list[StrictStr], Field(min_length=1, max_length=256)] | None = None


class Teach(Inputs):
    model_config = asked({"vectors": [[0.9, 0.1], [0.1, 0.8]], "labels": ["right", "up"]})

    label: WireLabel | None = Field(None, description="One label for all inputs.")
    labels: list[WireLabel] | None = Field(None, description="A label for each input.", max_length=65_536)
    sources: list[Annotated[StrictStr, Field(max_length=1024)] | None] | None = Field(
        None, description="Where each input came from, such as a file's name.", max_length=65_536
    )
    teacher: Text | None = Field(None, description="Who teaches; with tokens it is the token's name, always.")
    again: bool = Field(True, description="Learn also what is held under that label already; it counts once more.")


class Ask(Inputs):
    model_config = asked({"vectors": [[0.95, 0.1]], "top": 3})

    among: list[WireLabel] | None = Field(None, description="The labels in question; all if left out.", min_length=1)
    top: Annotated[Whole, Field(ge=1, le=1000)] = Field(10, description="How many ranked labels to answer with.")
    remember: bool = Field(False, description="Keep what is not known in the inbox; needs the scope 'teach'.")


class Create(BaseModel):
    model_config = asked({"name": "flowers", "backbone": "descriptor"})

    name: Name
    backbone: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] | None = Field(
        None, description="Name of a backbone; without it the first inputs decide."
    )
    gate: Annotated[float, Field(ge=0, le=1e6)] | None = Field(None, description="Skip what is known so well.")
    memory_budget: Annotated[Whole, Field(ge=1, le=2**50)] | None = Field(None, description="In bytes.")


class NameGroup(BaseModel):
    model_config = asked({"label": "iris"})

    label: WireLabel


class Relabel(BaseModel):
    model_config = asked({"label": "iris"})

    label: WireLabel


class Rename(BaseModel):
    model_config = asked({"old": "flag", "new": "iris"})

    old: WireLabel
    new: WireLabel


class Rollback(BaseModel):
    model_config = asked({"to": 41})

    to: Seq | Moment = Field(description="A sequence number, or a time (ISO 8601): the brain as it was then.")


class Meld(BaseModel):
    model_config = asked({"brain": "greenhouse"})

    brain: Name = Field(description="Another brain on this server. To meld a file, send it as application/zip.")
    strict: bool = Field(False, description="Refuse where labels conflict, instead of melding by name.")


# What is answered


class Problem(BaseModel):
    """RFC 9457."""

    model_config = about(
        {"type": "urn:engram:problem:not-taught", "title": "Not taught", "status": 404,
         "detail": "There is no label 'rose'.", "instance": "/v1/brains/flowers/classes/rose", "request_id": "7f3a"}
    )

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[Fault] | None = None


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    where: str
    message: str


Problem.model_rebuild()


class Brain(BaseModel):
    model_config = about(
        {"name": "flowers", "state": "ready", "problem": None, "follower": False, "seq": 42, "examples": 30,
         "classes": 3, "unknowns": 2, "takes": "pictures"}
    )

    name: str
    state: Literal["opening", "ready", "failed"]
    problem: str | None = Field(description="Why it failed to open.")
    follower: bool = Field(description="Read only: it follows what another process teaches.")
    seq: int
    examples: int
    classes: int
    unknowns: int
    takes: Literal["pictures", "vectors", "text"] | None = Field(description="null until the first inputs decide.")


class Brains(BaseModel):
    model_config = about({"brains": [], "scope": "admin", "teacher": None, "version": "0.2.0"})

    brains: list[Brain]
    scope: Literal["read", "teach", "admin"] = Field(description="What whoever asks may do.")
    teacher: str | None = Field(description="The name of the token used.")
    version: str


class Backbone(BaseModel):
    name: str
    takes: Literal["pictures", "vectors", "text"]


class Backbones(BaseModel):
    model_config = about({"backbones": [{"name": "descriptor", "takes": "pictures"}]})

    backbones: list[Backbone] = Field(description="What a new brain can stand on.")


class Taught(BaseModel):
    """Answered only when it is on disk."""

    model_config = about({"ids": [41, 42], "seq": 42, "skipped": 0})

    ids: list[int] = Field(description="One for each example learned; an example's id is its sequence number.")
    seq: int = Field(description="The brain's sequence number once they were learned.")
    skipped: int = Field(description="How many were held already (with again=false) or known well (with a gate).")


class Ranked(BaseModel):
    label: WireLabel
    score: float | None


class Answer(BaseModel):
    label: WireLabel | None = Field(description='The best label, or null: "Nothing I know".')
    known: bool
    confidence: float | None
    focus: float | None
    familiarity: float | None
    ranked: list[Ranked] = Field(description="Best first, whether known or not.")


class Answers(BaseModel):
    model_config = about(
        {"answers": [{"label": "right", "known": True, "confidence": 0.97, "focus": 1.2, "familiarity": -3.4,
                      "ranked": [{"label": "right", "score": 0.99}, {"label": "up", "score": 0.1}]}], "seq": 42}
    )

    answers: list[Answer]
    seq: int = Field(description="The brain's sequence number at which this was answered.")


class Class(BaseModel):
    label: WireLabel
    count: int
    newest: list[int] = Field(description="Ids of the three newest examples, newest first.")


class Classes(BaseModel):
    model_config = about({"classes": [{"label": "iris", "count": 10, "newest": [42, 40, 39]}], "seq": 42})

    classes: list[Class] = Field(description="In the order of their first arrival.")
    seq: int


class Example(BaseModel):
    id: int
    label: WireLabel
    time: datetime
    teacher: str | None
    source: str | None
    thumbnail: bool = Field(description="Whether there is a thumbnail to fetch.")


class Examples(BaseModel):
    model_config = about(
        {"examples": [{"id": 42, "label": "iris", "time": "2026-11-21T12:00:00Z", "teacher": "ada",
                       "source": "iris-3.png", "thumbnail": True}], "next": None, "seq": 42}
    )

    examples: list[Example] = Field(description="Oldest first.")
    next: int | None = Field(description="Give it as `after` for the examples that follow; null if these were all.")
    seq: int


class Unknown(BaseModel):
    number: int
    source: str | None
    thumbnail: bool


class UnknownGroup(BaseModel):
    group: int = Field(description="Name it with POST …/unknowns/{group}:name.")
    likeness: float | None
    members: list[Unknown] = Field(description="Oldest first.")


class Unknowns(BaseModel):
    model_config = about(
        {"groups": [{"group": 3, "likeness": 0.91, "members": [{"number": 3, "source": None, "thumbnail": True}]}],
         "seq": 42}
    )

    groups: list[UnknownGroup] = Field(description="Largest first.")
    seq: int


class Changed(BaseModel):
    """A change that is on disk."""

    model_config = about({"seq": 43, "changed": 10})

    seq: int
    changed: int = Field(description="How many examples it concerned.")


class Consolidated(BaseModel):
    model_config = about({"seq": 44, "before": 1000, "after": 24, "kept": 0.024})

    seq: int
    before: int
    after: int
    kept: float


class Conflict(BaseModel):
    kind: str
    labels: list[WireLabel]
    message: str


class Melded(BaseModel):
    model_config = about({"seq": 45, "changed": 1, "notes": [], "conflicts": []})

    seq: int
    changed: int = Field(description="How many devices' contributions were new.")
    notes: list[str]
    conflicts: list[Conflict]


class LabelCount(BaseModel):
    label: WireLabel | None = Field(description="null for examples that were forgotten since.")
    count: int


class Entry(BaseModel):
    seq: int
    time: datetime
    kind: str = Field(description="taught, forgot label, forgot examples, renamed, relabelled, melded, …")
    teacher: str | None
    labels: list[LabelCount]
    note: str
    undone: bool


class History(BaseModel):
    model_config = about(
        {"entries": [{"seq": 42, "time": "2026-11-21T12:00:00Z", "kind": "taught", "teacher": "ada",
                      "labels": [{"label": "iris", "count": 10}], "note": "", "undone": False}],
         "next": 33, "seq": 42}
    )

    entries: list[Entry] = Field(description="Newest first; what was taught together is one entry.")
    next: int | None = Field(description="Give it as `before` for what came earlier; null at the beginning.")
    seq: int


class Device(BaseModel):
    model_config = ConfigDict(extra="allow")

    device: str
    epoch: int


class Info(BaseModel):
    """What there is to know of a brain, now or at an earlier sequence number."""

    model_config = about(
        {"name": "flowers", "seq": 42, "examples": 30, "classes": [{"label": "iris", "count": 10}],
         "digest": "9f86d081…", "backbone": "descriptor", "takes": "pictures", "width": 256,
         "fingerprint": "2c26b46b…", "device": "5e884898", "unknowns": 2, "memory_bytes": 1048576,
         "gate": None, "alpha": 0.02, "memory_budget": 268435456, "unknown_rate": 0.1}
    )

    name: str
    seq: int
    examples: int
    classes: list[LabelCount]
    digest: str
    backbone: str | None
    takes: Literal["pictures", "vectors", "text"] | None
    width: int | None
    fingerprint: str | None
    device: str
    unknowns: int
    memory_bytes: int
    gate: float | None
    alpha: float
    memory_budget: int
    unknown_rate: float | None = Field(description="Share of what was asked since the start that was not known.")


class Point(BaseModel):
    x: float = Field(description="In standard deviations within classes, from the middle of the classes.")
    y: float
    kind: Literal["class", "prototype", "unknown"] = Field(description="A class's mean, a prototype, or an unknown.")
    weight: int = Field(description="How many examples it stands for.")
    label: WireLabel | None = Field(description="null for an unknown.")
    unknown: int | None = Field(description="Its number in the inbox, for an unknown.")


class Map(BaseModel):
    """The memory in two dimensions."""

    model_config = about(
        {"points": [{"x": 0.1, "y": -0.4, "kind": "prototype", "weight": 12, "label": "iris",
                     "unknown": None}], "seq": 42}
    )

    points: list[Point]
    seq: int


class ClassHealth(BaseModel):
    label: WireLabel
    held_back: int = Field(description="Examples answered as if they had never been taught (leave-one-out).")
    accuracy: float | None
    confidence: float | None = Field(description="Mean confidence in them.")
    over_time: list[HealthPoint]


class HealthPoint(BaseModel):
    seq: int
    time: datetime
    accuracy: float


ClassHealth.model_rebuild()


class Health(BaseModel):
    """How well each class is known, on held-back examples."""

    model_config = about(
        {"labels": ["iris", "rose"], "confusion": [[9, 1, 0], [0, 10, 0]],
         "classes": [{"label": "iris", "held_back": 10, "accuracy": 0.9, "confidence": 0.93,
                      "over_time": [{"seq": 20, "time": "2026-11-21T12:00:00Z", "accuracy": 1.0}]}],
         "accuracy": 0.95, "seq": 42}
    )

    labels: list[WireLabel]
    confusion: list[list[int]] = Field(
        description="Row: what it is. Column: what it was taken for; one column more than labels, for 'Nothing I know'."
    )
    classes: list[ClassHealth]
    accuracy: float | None
    seq: int
