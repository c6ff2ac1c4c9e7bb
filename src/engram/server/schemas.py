"""What the server answers: a model for every answer, with an example; OpenAPI is made of them.

Numbers that are not finite are null. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from engram import __version__
from engram.server.scopes import Scope
from engram.server.wire import ShownLabel, ShownText, about


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
         "classes": 3, "unknowns": 2, "takes": "pictures", "sees_places": False,
         "locates": True}
    )

    name: str
    state: Literal["opening", "ready", "failed"]
    problem: str | None = Field(description="Why it failed to open.")
    follower: bool = Field(description="Read only: it follows what another process teaches.")
    seq: int
    examples: int
    classes: int
    unknowns: int
    takes: Literal["pictures", "sound", "vectors", "text", "sequences"] | None = Field(
        description="null until the first inputs decide."
    )
    sees_places: bool = Field(description="Whether `heat` shows where a picture is not like those that were taught.")
    locates: bool = Field(description="Whether `locate` says where in a picture something is.")
    numbers: list[str] | None = Field(None, description="What the numbers are called that it answers; null for labels.")


class Brains(BaseModel):
    model_config = about({"brains": [], "scopes": ["ask", "teach"], "teacher": "ada", "version": __version__})

    brains: list[Brain]
    scopes: list[Scope] = Field(description="What whoever asks may do, with all that it includes.")
    teacher: str | None = Field(description="The name of the token used.")
    version: str


class LabelByModality(BaseModel):
    label: ShownLabel
    examples: dict[str, int] = Field(description="How many of each modality.")


class Multimodal(BaseModel):
    model_config = about({"name": "animals", "labels": [{"label": "cat", "examples": {"text": 3}}],
                          "brains": {"text": "animals-text"}})

    name: str
    labels: list[LabelByModality]
    brains: dict[str, str] = Field(description="The brain of each modality that was taught, by its name.")


class Multimodals(BaseModel):
    model_config = about({"brains": []})

    brains: list[Multimodal]


class TaughtThings(BaseModel):
    model_config = about({"ids": {"text": [3]}, "skipped": {"text": 0}})

    ids: dict[str, list[int]] = Field(description="The examples' ids in the brain of each modality.")
    skipped: dict[str, int] = Field(description="How many were held already.")


class ChangedThings(BaseModel):
    model_config = about({"changed": ["pictures", "text"]})

    changed: list[str] = Field(description="The modalities that were changed.")


class Backbone(BaseModel):
    name: str
    takes: Literal["pictures", "sound", "vectors", "text", "sequences"]


class Backbones(BaseModel):
    model_config = about({"backbones": [{"name": "descriptor", "takes": "pictures"}]})

    backbones: list[Backbone] = Field(description="What a new brain can stand on.")


class Thing(BaseModel):
    """One thing that was found in a picture."""

    label: str | int
    box: tuple[float, float, float, float] = Field(description="Left, top, right and bottom, in pixels.")
    score: float = Field(description="How much more like the label it is than what is around the box.")
    known: bool = Field(description="Whether the cut-out alone is known.")
    confidence: float


class Located(BaseModel):
    model_config = about(
        {"found": [{"label": "sign", "box": [40.0, 12.0, 96.0, 70.0], "score": 0.52, "known": True,
                    "confidence": 0.98}], "seq": 42}
    )

    found: list[Thing] = Field(description="The surest first.")
    seq: int


class Taught(BaseModel):
    """Answered only when it is on disk."""

    model_config = about({"ids": [41, 42], "seq": 42, "skipped": 0})

    ids: list[int] = Field(description="One for each example learned; an example's id is its sequence number.")
    seq: int = Field(description="The brain's sequence number once they were learned.")
    skipped: int = Field(description="How many were held already (with again=false) or known well (with a gate).")


class Ranked(BaseModel):
    label: ShownLabel
    score: float | None


class Answer(BaseModel):
    label: ShownLabel | None = Field(description='The best label, or null: "Nothing I know".')
    known: bool
    confidence: float | None
    focus: float | None = Field(description="How much more it resembles the nearest class than the others on average.")
    familiarity: float | None = Field(description="How far above the threshold: known where it is 0 or more.")
    ranked: list[Ranked] = Field(
        description="Best first, whether known or not; a label that a counterexample rules out has no score."
    )
    values: list[float] | None = Field(None, description="Of a brain that answers numbers, whether known or not.")
    intervals: list[tuple[float | None, float | None]] | None = Field(
        None, description="Between which each number lies, with the chance `confidence`; null where that has no end."
    )
    labels: list[ShownLabel] | None = Field(
        None, description="Of a brain that tells several labels of an input: those that hold, none where it is unknown."
    )


class Answers(BaseModel):
    model_config = about(
        {"answers": [{"label": "right", "known": True, "confidence": 0.97, "focus": 1.2, "familiarity": 0.34,
                      "ranked": [{"label": "right", "score": 0.99}, {"label": "up", "score": 0.1}]}], "seq": 42}
    )

    answers: list[Answer]
    seq: int = Field(description="The brain's sequence number at which this was answered.")


class Class(BaseModel):
    label: ShownLabel
    count: int
    newest: list[int] = Field(description="Ids of the three newest examples, newest first.")


class Classes(BaseModel):
    model_config = about({"classes": [{"label": "iris", "count": 10, "newest": [42, 40, 39]}], "seq": 42})

    classes: list[Class] = Field(description="In the order of their first arrival.")
    seq: int


class Example(BaseModel):
    id: int
    label: ShownLabel
    time: datetime
    teacher: ShownText | None
    source: ShownText | None
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
    source: ShownText | None
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
    labels: list[ShownLabel]
    message: ShownText


class Melded(BaseModel):
    model_config = about({"seq": 45, "changed": 1, "notes": [], "conflicts": []})

    seq: int
    changed: int = Field(description="How many devices' contributions were new.")
    notes: list[ShownText]
    conflicts: list[Conflict]


class LabelCount(BaseModel):
    label: ShownLabel | None = Field(description="null for examples that were forgotten since.")
    count: int


class Entry(BaseModel):
    seq: int
    time: datetime
    kind: str = Field(
        description="taught, taught not, forgot label, forgot examples, renamed, relabelled, alpha set, melded, …"
    )
    teacher: ShownText | None
    labels: list[LabelCount]
    note: ShownText
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


class LabelAlpha(BaseModel):
    label: ShownLabel
    alpha: float = Field(description="Its own share that may be refused.")


class Errors(BaseModel):
    """Both errors of "Nothing I know" that are to be expected at one setting."""

    alpha: float = Field(description="The setting.")
    refused: float = Field(description="Share of known things that are refused.")
    accepted: float | None = Field(
        description="Share of strangers like the other classes that are taken for something; null with too few labels."
    )
    accepted_between: list[float] | None = Field(
        description="Between which two shares `accepted` lies in nine of ten cases: few labels tell it only roughly."
    )


class Alpha(BaseModel):
    """How much of what is known may be refused, and what is to be expected of it."""

    model_config = about(
        {"alpha": 0.02, "alphas": [{"label": "iris", "alpha": 0.1}], "now": {"alpha": 0.02, "refused": 0.02,
         "accepted": 0.3, "accepted_between": [0.13, 0.55]},
         "curve": [{"alpha": 0.01, "refused": 0.01, "accepted": 0.4, "accepted_between": [0.19, 0.65]},
                   {"alpha": 0.05, "refused": 0.05, "accepted": 0.2, "accepted_between": [0.07, 0.45]}],
         "accepted_needs": None, "seq": 42}
    )

    alpha: float
    alphas: list[LabelAlpha] = Field(description="The labels that have one of their own.")
    now: Errors | None = Field(description="At the present setting; null where nothing is known.")
    curve: list[Errors] = Field(description="At ten settings; empty where nothing is known.")
    accepted_needs: int | None = Field(description="Labels that `accepted` needs; null where there are as many.")
    seq: int


class Numbers(BaseModel):
    """Of a brain that answers numbers."""

    names: list[ShownText]
    error: list[float | None] = Field(description="Root mean square error of left-out examples, for each number.")
    level: float = Field(description="The chance with which a number lies in its interval.")
    function: str | None = Field(description='"linear" or "curved", whichever does best on left-out examples.')


class Info(BaseModel):
    """What there is to know of a brain, now or at an earlier sequence number."""

    model_config = about(
        {"name": "flowers", "seq": 42, "examples": 30, "classes": [{"label": "iris", "count": 10}],
         "counterexamples": [],
         "digest": "9f86d081…", "backbone": "descriptor", "takes": "pictures", "width": 256,
         "columns": None, "fingerprint": "2c26b46b…", "device": "5e884898", "unknowns": 2, "memory_bytes": 1048576,
         "gate": None, "alpha": 0.02, "alphas": [], "refused": 0.02, "accepted": 0.3,
         "accepted_between": [0.13, 0.55], "accepted_needs": None,
         "errors": "2% of what I know will be refused; of strangers like your other classes, 30% would still be taken"
         " for something (judged by 10 labels: between 13% and 55%).", "memory_budget": 268435456, "unknown_rate": 0.1}
    )

    name: str
    seq: int
    examples: int
    counterexamples: list[LabelCount] = Field(description="How many each label has that has any.")
    classes: list[LabelCount]
    digest: str
    backbone: str | None
    takes: Literal["pictures", "sound", "vectors", "text", "sequences"] | None
    width: int | None
    columns: list[str] | None = Field(description="Names of the vectors' columns, in their order.")
    numbers: Numbers | None = Field(None, description="null where it answers labels.")
    fingerprint: str | None
    device: str
    unknowns: int
    memory_bytes: int
    gate: float | None
    alpha: float
    alphas: list[LabelAlpha]
    refused: float | None = Field(description="Of known things, expected to be refused; null where nothing is known.")
    accepted: float | None = Field(
        description="Of strangers, expected to be taken for something; null with too few labels."
    )
    accepted_between: list[float] | None = Field(description="Between which two shares it lies, in nine of ten cases.")
    accepted_needs: int | None = Field(description="Labels that `accepted` needs; null where there are as many.")
    errors: ShownText | None = Field(description="Both in words.")
    memory_budget: int
    unknown_rate: float | None = Field(description="Share of what was asked since the start that was not known.")


class Point(BaseModel):
    x: float = Field(description="In standard deviations within classes, from the middle of the classes.")
    y: float
    kind: Literal["class", "prototype", "unknown"] = Field(description="A class's mean, a prototype, or an unknown.")
    weight: int = Field(description="How many examples it stands for.")
    label: ShownLabel | None = Field(description="null for an unknown.")
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
    label: ShownLabel
    held_back: int = Field(
        description="Examples answered as if they had never been taught; of near-duplicates one, all of them left out."
    )
    accuracy: float | None
    confidence: float | None = Field(description="Mean confidence in them.")
    over_time: list[HealthPoint]


class HealthPoint(BaseModel):
    seq: int
    time: datetime
    accuracy: float


ClassHealth.model_rebuild()


class Health(BaseModel):
    """How well each class is known, on held-back examples; near-duplicates count once."""

    model_config = about(
        {"labels": ["iris", "rose"], "confusion": [[9, 1, 0], [0, 10, 0]],
         "classes": [{"label": "iris", "held_back": 10, "accuracy": 0.9, "confidence": 0.93,
                      "over_time": [{"seq": 20, "time": "2026-11-21T12:00:00Z", "accuracy": 1.0}]}],
         "accuracy": 0.95, "seq": 42}
    )

    labels: list[ShownLabel]
    confusion: list[list[int]] = Field(
        description="Row: what it is. Column: what it was taken for; one column more than labels, for 'Nothing I know'."
    )
    classes: list[ClassHealth]
    accuracy: float | None
    seq: int


class Suspect(BaseModel):
    """An example whose label may be wrong."""

    label: ShownLabel
    other: ShownLabel = Field(description="What it would most likely be called, had it never been taught.")
    probability: float = Field(description="Of its label, had it never been taught.")
    margin: float = Field(description="How much likelier the other label is, in nats; below 0 its own label is.")
    example: Example | None = Field(description="null for what was not taught here one by one.")


class Duplicates(BaseModel):
    """Examples that are the same, or nearly so."""

    labels: list[ShownLabel]
    examples: list[Example | None] = Field(description="null for what was not taught here, or by someone else.")
    conflict: bool = Field(description="Whether they have several labels: then all but one are wrong.")


class ClassNeed(BaseModel):
    label: ShownLabel
    examples: int
    distinct: int = Field(description="Groups of near-duplicates among them.")
    error: float = Field(description="The share to be expected to get another label, few examples considered.")
    accuracy: float | None = Field(description="The share that gets this label when left out.")
    taken_for: ShownLabel | None = Field(description="The label that most of the others get.")
    share: float = Field(description="Of its examples that get that one.")


class Audit(BaseModel):
    """Which of the examples do harm, by asking each as if it had never been taught."""

    model_config = about(
        {"examined": 30, "disputed": 1,
         "suspects": [{"label": "rose", "other": "iris", "probability": 0.02, "margin": 3.9,
                       "example": {"id": 42, "label": "rose", "time": "2026-11-21T12:00:00Z", "teacher": "ada",
                                   "source": "iris-3.png", "thumbnail": True}}],
         "duplicates": [], "needs": [{"label": "rose", "examples": 10, "distinct": 9, "error": 0.18, "accuracy": 0.9,
                                      "taken_for": "iris", "share": 0.1}], "seq": 42}
    )

    examined: int = Field(description="Examples that were asked.")
    disputed: int = Field(description="Those that would get another label.")
    suspects: list[Suspect] = Field(description="Those whose label is most likely wrong first.")
    duplicates: list[Duplicates] = Field(description="First those of several labels, then the largest groups.")
    needs: list[ClassNeed] = Field(description="Every label, the one that most needs examples first.")
    seq: int
