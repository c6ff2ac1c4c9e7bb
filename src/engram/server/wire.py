"""What requests and answers are made of: labels, whole numbers, names, vectors; and how their models show an example.

Labels keep their type: 7 and "7" are two labels.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field, JsonValue, StrictInt, StrictStr

from engram.learner import Label
from engram.printable import from_file_name

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""Names of brains: no dot, no slash, nothing that a path could be made of."""

LARGEST = 2**63 - 1


def _whole(value: object) -> object:
    """JSON knows one kind of number: 7.0 is the integer 7."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _moment(value: object) -> object:
    """A date and a time, as RFC 3339 writes them; a number alone is neither."""
    if not isinstance(value, str):
        return value
    if re.match(r"\d{4}-\d\d-\d\d[Tt ]\d\d:", value, re.ASCII):
        with suppress(ValueError):
            return datetime.fromisoformat(value.upper())
    raise ValueError("expected a time such as 2026-11-21T12:00:00Z")


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
Whole = Annotated[StrictInt, BeforeValidator(_whole)]
Text = Annotated[StrictStr, Field(min_length=1, max_length=256)]
HeldLabel = Annotated[StrictStr, Field(max_length=256)] | Annotated[Whole, Field(ge=-LARGEST, le=LARGEST)]
"""A label that is held: earlier versions took an empty one."""
WireLabel = Text | Annotated[Whole, Field(ge=-LARGEST, le=LARGEST)]
Name = Annotated[str, Field(pattern=NAME_PATTERN, examples=["flowers"])]
Seq = Annotated[Whole, Field(ge=0, le=LARGEST)]
Share = Annotated[float, Field(strict=True, gt=0, lt=1)]
Sentence = Annotated[StrictStr, Field(min_length=1, max_length=100_000)]
Vector = Annotated[list[float], Field(min_length=1, max_length=65_536, fail_fast=True)]


def shown(label: Label) -> Label:
    r"""A label, or other text, as it is answered: JSON takes only what is text. See `from_file_name`.

    >>> shown("caf\udce9"), shown("café"), shown(7)
    ('caf\\xe9', 'café', 7)
    """
    return from_file_name(label) if isinstance(label, str) else label


ShownLabel = Annotated[str | int, BeforeValidator(shown)]
ShownText = Annotated[str, BeforeValidator(shown)]


def about(example: JsonValue) -> ConfigDict:
    """A model's settings: its example."""
    return ConfigDict(json_schema_extra={"examples": [example]})


def asked(example: JsonValue) -> ConfigDict:
    """Of requests: a misspelt field is an error, not ignored."""
    return ConfigDict(json_schema_extra={"examples": [example]}, extra="forbid", strict=True)
