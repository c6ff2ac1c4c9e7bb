"""CLINC150: what people ask an assistant, 150 intents and queries out of scope (Larson et al. 2019, CC BY 3.0)."""

from __future__ import annotations

import json
from typing import NamedTuple

from engram.learner import DamagedError
from engram.streams.location import locate

FILE = "data_full.json"
HOW = f"put {FILE} from https://github.com/clinc/oos-eval/tree/master/data into a folder named 'clinc150'"
SIZES = {"train": 15_000, "val": 3_000, "test": 4_500, "oos_train": 100, "oos_val": 100, "oos_test": 1_000}


class Queries(NamedTuple):
    """Texts and the intent of each."""

    texts: tuple[str, ...]
    intents: tuple[str, ...]


class Clinc150(NamedTuple):
    """Queries in the published order.

    Attributes:
        train, val, test: 100, 20 and 30 queries of each of 150 intents.
        outside_train, outside_val, outside_test: 100, 100 and 1,000 queries that belong to none.
    """

    train: Queries
    val: Queries
    test: Queries
    outside_train: tuple[str, ...]
    outside_val: tuple[str, ...]
    outside_test: tuple[str, ...]


def clinc150() -> Clinc150:
    """The whole data set.

    Raises:
        MissingDataError: not on this computer; says how to get it.
        DamagedError: the file is truncated or another one.
    """
    path = locate("clinc150", FILE, how=HOW) / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        parts = {part: [(str(text), str(intent)) for text, intent in content[part]] for part in SIZES}
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{path} is not CLINC150's {FILE}: download it again.") from error
    if any(len(parts[part]) != size for part, size in SIZES.items()):
        raise DamagedError(f"{path} is incomplete: download it again.")
    train, val, test = (_queries(parts[part]) for part in ("train", "val", "test"))
    outside = (_queries(parts[f"oos_{part}"]).texts for part in ("train", "val", "test"))
    return Clinc150(train, val, test, *outside)


def _queries(pairs: list[tuple[str, str]]) -> Queries:
    return Queries(tuple(text for text, _ in pairs), tuple(intent for _, intent in pairs))
