"""What happens in the demonstration, as data: the story yields these, the terminal, JSON and HTML only show them.

Shares are in [0, 1]; accuracies are the share of held-out images whose best label is right, known or not, unless said
otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]
"""(8, 8), 0 background to 16 ink."""

PICTURES = ("image", "images")
"""The fields that hold images; they are shown, and are no figures."""


@dataclass(frozen=True, eq=False)
class Opened:
    """The brain is ready. `order` is that in which the digits come, `rate` the softmax layer's learning rate, the best
    of `rates` in shuffled order, and `shuffled` its accuracy there."""

    seed: int
    backbone: str
    fingerprint: str
    width: int
    teach: int
    test: int
    withheld: int
    unknown: int
    order: tuple[int, ...]
    rate: float
    rates: int
    shuffled: float


@dataclass(frozen=True, eq=False)
class Taught:
    """One image was taught to both learners; `step` counts from 1."""

    step: int
    label: int
    image: Image


@dataclass(frozen=True, eq=False)
class Measured:
    """Accuracy on all held-out images after `step` images; `possible` is the share whose digit has been taught."""

    step: int
    label: int
    fast: float
    softmax: float
    possible: float


@dataclass(frozen=True, eq=False)
class NeverSeen:
    """Images of the digit withheld from the backbone, before it is taught: how many are "Nothing I know"."""

    label: int
    shown: int
    refused: int
    images: tuple[Image, ...]


@dataclass(frozen=True, eq=False)
class Shots:
    """After so many images of the never-seen digit: how much of it is recognised, and accuracy on all digits."""

    label: int
    shots: int
    fast: float
    softmax: float
    fast_all: float
    softmax_all: float


@dataclass(frozen=True, eq=False)
class Refused:
    """A digit not yet taught was shown: `refused` of `shown` are "Nothing I know"; `answer` is what was said to the
    first; what was refused fell into groups of these sizes."""

    label: int
    shown: int
    refused: int
    groups: tuple[int, ...]
    answer: str
    images: tuple[Image, ...]


@dataclass(frozen=True, eq=False)
class Named:
    """The largest group got a name: `learned` images. `recognised` is the share of held-out images of that digit that
    are now called by it, "Nothing I know" counting as wrong; `answer` is what is said to `image`, one of them.
    `known_refused` is the share of the held-out images of all digits that are still refused, `alpha` the share allowed.
    """

    label: int
    learned: int
    recognised: float
    answer: str
    known_refused: float
    alpha: float
    image: Image


@dataclass(frozen=True, eq=False)
class Streamed:
    """All is taught. `fast_shuffled` is the accuracy of a fast head taught the same images shuffled and at once;
    `milliseconds` is the median for one image, network included. Confusion counts are (true, best label), 0 to 9."""

    examples: int
    fast: float
    fast_shuffled: float
    softmax: float
    milliseconds: float
    digest: str
    confusion_fast: tuple[tuple[int, ...], ...]
    confusion_softmax: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class Rival:
    """The softmax layer on features of another scale, each with its own best rate: shuffled, and in this stream."""

    features: str
    rate: float
    shuffled: float
    streamed: float


@dataclass(frozen=True, eq=False)
class Consolidated:
    """Redundant vectors were merged with their counts."""

    before: int
    after: int
    accuracy_before: float
    accuracy_after: float
    same_digest: bool


@dataclass(frozen=True, eq=False)
class Part:
    """One of the brains that are melded."""

    labels: tuple[int, ...]
    examples: int
    accuracy: float
    digest: str


@dataclass(frozen=True, eq=False)
class Melded:
    """Two brains became one. `together` is the digest of a brain that saw all images shuffled and at once, `streamed`
    that of the one taught one by one."""

    parts: tuple[Part, Part]
    examples: int
    accuracy: float
    digest: str
    together: str
    streamed: str


@dataclass(frozen=True, eq=False)
class Forgotten:
    """The melded brain forgot a digit. `never` is the digest of a brain that was never taught it; accuracies are on the
    other digits; `refused` of `asked` held-out images of the digit are "Nothing I know" now."""

    label: int
    examples: int
    before: str
    digest: str
    never: str
    accuracy_before: float
    accuracy_after: float
    asked: int
    refused: int


@dataclass(frozen=True, eq=False)
class Verified:
    """A certificate was written, and checked by its own script in another process, which does not know Engram."""

    claim: str
    folder: str
    command: str
    checks: tuple[tuple[bool, str], ...]
    code: int


@dataclass(frozen=True, eq=False)
class Finished:
    """The end; `seconds` since the story began, what was shown in between included."""

    seconds: float


Event = (
    Opened | Taught | Measured | NeverSeen | Shots | Refused | Named | Streamed | Rival | Consolidated | Melded
    | Forgotten | Verified | Finished
)
SEVERAL = (Measured, Shots, Rival, Verified)
"""Events that happen more than once and are figures."""


def document(events: Iterable[Event]) -> dict[str, Any]:
    """The story as one JSON document: an entry for each kind of event, a list where there are several.

    Pictures, and single images taught, are left out.
    """
    whole: dict[str, Any] = {"format": "engram-demo", "version": 1}
    for event in events:
        name = re.sub(r"(?<!^)([A-Z])", r"_\1", type(event).__name__).lower()
        if isinstance(event, SEVERAL):
            whole.setdefault(name, []).append(_values(event))
        elif not isinstance(event, Taught):
            whole[name] = _values(event)
    return whole


def _values(value: Any) -> Any:
    if is_dataclass(value):
        return {f.name: _values(getattr(value, f.name)) for f in fields(value) if f.name not in PICTURES}
    return [_values(item) for item in value] if isinstance(value, tuple) else value
