"""Where a data set lies on this computer: the folder `ENGRAM_DATA`, else the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

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
