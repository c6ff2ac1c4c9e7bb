"""Where things lie on this computer: data sets in the folder `ENGRAM_DATA`, what was made once in `ENGRAM_CACHE`; each
without a setting in the user's cache."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engram.files import making_folder
from engram.learner import EngramError


class MissingDataError(EngramError, FileNotFoundError):
    """A data set is not on this computer; the message says how to get it."""


def roots() -> tuple[Path, ...]:
    """The folders that are searched, in order: `$ENGRAM_DATA`, then `~/.cache/engram`."""
    named = os.environ.get("ENGRAM_DATA")
    cache = Path.home() / ".cache" / "engram"
    return (Path(named).expanduser(), cache) if named else (cache,)


def locate(folder: str, *files: str, how: str) -> Path:
    """The first folder of that name which holds all the files (paths relative to it).

    Args:
        folder: the data set's folder, such as "mnist".
        files: what must be in it.
        how: one clause that says where the data set comes from and in which form it is wanted.

    Raises:
        MissingDataError: no searched folder has them.
    """
    for root in roots():
        place = root / folder
        if place.is_dir() and all((place / file).exists() for file in files):
            return place
    searched = " and ".join(str(root / folder) for root in roots())
    wanted = f" with {', '.join(files)}" if files else ""
    raise MissingDataError(
        f"No {folder} data{wanted} in {searched}. To get it: {how}; "
        f"then set ENGRAM_DATA to the folder that contains '{folder}'."
    )


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
