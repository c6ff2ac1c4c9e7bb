"""What was trained once is kept: a folder per training, complete or absent."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engram.files import making_folder


def cache_folder() -> Path:
    """`$ENGRAM_CACHE`, else `~/.cache/engram`."""
    named = os.environ.get("ENGRAM_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "engram"


def key_of(settings: dict[str, Any]) -> str:
    """Sixteen hexadecimal digits that stand for these settings (JSON values).

    >>> key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of that name in the cache, made by `make(folder)` where it is not there yet.

    It is made beside its place and moved there when complete, so that an interrupted or failed making
    leaves nothing that looks finished. Of two processes that make the same, the first to finish wins.
    """
    place = cache_folder() / name
    if place.exists():
        return place
    with making_folder(place) as part:
        make(part)
    return place
