"""What is asked of the server: a model for every JSON body, with an example; OpenAPI is made of them.

Long lists are checked up to the first mistake: a million mistakes would take seconds to collect.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StrictStr

from engram.server.wire import HeldLabel, Moment, Name, Sentence, Seq, Share, Text, Vector, Whole, WireLabel, asked


class Inputs(BaseModel):
    """One kind of inputs: vectors, texts, or pictures or sounds as base64 of their files."""

    vectors: Annotated[list[Vector], Field(min_length=1, max_length=65_536, fail_fast=True)] | None = None
    columns: Annotated[list[Text], Field(min_length=1, max_length=65_536, fail_fast=True)] | None = Field(
        None, description="Names of the vectors' columns, in their order: kept with the brain; others are refused."
    )
    texts: Annotated[list[Sentence], Field(min_length=1, max_length=4096, fail_fast=True)] | None = None
    images: Annotated[list[StrictStr], Field(min_length=1, max_length=256, fail_fast=True)] | None = None
    sounds: Annotated[list[StrictStr], Field(min_length=1, max_length=256, fail_fast=True)] | None = None


class Teach(Inputs):
    model_config = asked({"vectors": [[0.9, 0.1], [0.1, 0.8]], "labels": ["right", "up"]})

    label: WireLabel | None = Field(None, description="One label for all inputs.")
    labels: Annotated[
        list[WireLabel | Annotated[list[WireLabel], Field(min_length=1, max_length=256)]],
        Field(max_length=65_536, fail_fast=True),
    ] | None = Field(
        None, description="A label for each input; or a list of those that hold for it: the brain answers which do."
    )
    numbers: Annotated[list[float | list[float]], Field(max_length=65_536, fail_fast=True)] | None = Field(
        None, description="In place of labels: a number to answer for each input, or a list of several for each; then "
        "`label` is what the number is called."
    )
    weights: Annotated[
        list[Annotated[Whole, Field(ge=1, le=1000)]], Field(max_length=65_536, fail_fast=True)
    ] | None = Field(None, description="How often each input counts, as if it were taught so often; once if left out.")
    sources: Annotated[
        list[Annotated[StrictStr, Field(max_length=1024)] | None], Field(max_length=65_536, fail_fast=True)
    ] | None = Field(None, description="Where each input came from, such as a file's name.")
    teacher: Text | None = Field(None, description="Who teaches; with tokens it is the token's name, always.")
    again: bool = Field(True, description="Learn also what is held under that label already; it counts once more.")
    augment: bool = Field(False, description="Learn each picture with views of it, mirrored, turned: one example.")
    against: bool = Field(False, alias="not", description="They are not of that label, which the brain knows.")


class Ask(Inputs):
    model_config = asked({"vectors": [[0.95, 0.1]], "top": 3})

    among: Annotated[list[WireLabel], Field(min_length=1, fail_fast=True)] | None = Field(
        None, description="The labels in question; all if left out."
    )
    top: Annotated[Whole, Field(ge=1, le=1000)] = Field(10, description="How many ranked labels to answer with.")
    remember: bool = Field(False, description="Keep what is not known in the inbox; needs the scope 'teach'.")


class Create(BaseModel):
    model_config = asked({"name": "flowers", "backbone": "descriptor"})

    name: Name
    backbone: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] | None = Field(
        None, description="Name of a backbone; without it the first inputs decide."
    )
    gate: Annotated[float, Field(ge=0, le=1e6)] | None = Field(None, description="Skip what is known so well.")
    alpha: Share | None = Field(None, description="Share of known things that may be refused; 0.02 if left out.")
    memory_budget: Annotated[Whole, Field(ge=1, le=2**50)] | None = Field(None, description="In bytes.")


class Things(BaseModel):
    """N things: of each modality a list with an input for each, or null where a thing lacks it."""

    images: Annotated[list[StrictStr | None], Field(min_length=1, max_length=256, fail_fast=True)] | None = Field(
        None, description="Pictures as base64 of their files."
    )
    sounds: Annotated[list[StrictStr | None], Field(min_length=1, max_length=256, fail_fast=True)] | None = Field(
        None, description="Sounds as base64 of their files."
    )
    texts: Annotated[list[Sentence | None], Field(min_length=1, max_length=256, fail_fast=True)] | None = None


class TeachThings(Things):
    model_config = asked({"texts": ["it purrs", "it barks"], "labels": ["cat", "dog"]})

    label: WireLabel | None = Field(None, description="One label for all things.")
    labels: Annotated[list[WireLabel], Field(max_length=256, fail_fast=True)] | None = Field(
        None, description="A label for each thing."
    )
    teacher: Text | None = Field(None, description="Who teaches; with tokens it is the token's name, always.")
    again: bool = Field(True, description="Learn also what is held under that label already; it counts once more.")


class AskThings(Things):
    model_config = asked({"texts": ["it barks"], "top": 3})

    among: Annotated[list[WireLabel], Field(min_length=1, fail_fast=True)] | None = Field(
        None, description="The labels in question; all if left out."
    )
    top: Annotated[Whole, Field(ge=1, le=1000)] = Field(10, description="How many ranked labels to answer with.")


class CreateThings(BaseModel):
    model_config = asked({"name": "animals"})

    name: Name


class SetAlpha(BaseModel):
    model_config = asked({"alpha": 0.05})

    alpha: Share = Field(description="Share of known things that may be refused.")
    label: WireLabel | None = Field(
        None, description="Only for inputs that are most like this label; all that have none of their own if left out."
    )


class NameGroup(BaseModel):
    model_config = asked({"label": "iris"})

    label: WireLabel


class Relabel(BaseModel):
    model_config = asked({"label": "iris"})

    label: WireLabel


class Rename(BaseModel):
    model_config = asked({"old": "flag", "new": "iris"})

    old: HeldLabel
    new: WireLabel


class Rollback(BaseModel):
    model_config = asked({"to": 41})

    to: Seq | Moment = Field(description="A sequence number, or a time (ISO 8601): the brain as it was then.")


class Meld(BaseModel):
    model_config = asked({"brain": "greenhouse"})

    brain: Name = Field(description="Another brain on this server. To meld a file, send it as application/zip.")
    strict: bool = Field(False, description="Refuse where labels conflict, instead of melding by name.")
