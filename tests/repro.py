"""Scripts that show a fault are run, each in a process of its own: `python tests/repro.py [FOLDER] [NAME...]`.

A script prints a last line that begins with HOLDS where the fault is gone, and with FAILS where it is there. FOLDER is
by default the folder `repro` beside the one that ENGRAM_DATA names. NAME picks scripts by the beginning of their names.
For each script one line is printed; the exit status is 1 where one does not hold, 2 where there is no folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parents[1] / "src"
PATIENCE = 300  # seconds for one script


class Outcome(NamedTuple):
    """What a script showed.

    Attributes:
        script: its file.
        holds: whether its last line begins with HOLDS.
        seconds: how long it took.
        said: its output, or why it did not end.
    """

    script: Path
    holds: bool
    seconds: float
    said: str

    def __str__(self) -> str:
        return f"{'HOLDS' if self.holds else 'FAILS'}  {self.script.name}  {self.seconds:.1f} s"


def folder() -> Path | None:
    """Where the scripts lie, or None where there are none."""
    data = os.environ.get("ENGRAM_DATA")
    found = Path(data).resolve().parent / "repro" if data else None
    return found if found is not None and found.is_dir() else None


def scripts(where: Path, names: Sequence[str] = ()) -> list[Path]:
    """The scripts in a folder, sorted; those whose names begin with one of `names`."""
    return [path for path in sorted(where.glob("*.py")) if not names or path.name.startswith(tuple(names))]


def outcome(script: Path) -> Outcome:
    """Run a script in an empty folder, with this Engram."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(
        [str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])])}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as empty:
        try:
            done = subprocess.run([sys.executable, script], cwd=empty, env=environment, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, errors="replace", timeout=PATIENCE)
            said, failed = done.stdout + done.stderr, done.returncode != 0
            lines = done.stdout.splitlines()
        except subprocess.TimeoutExpired as late:
            said, failed, lines = f"{late}\n", True, []
    holds = not failed and bool(lines) and lines[-1].startswith("HOLDS")
    return Outcome(script, holds, time.perf_counter() - started, said)


def outcomes(where: Path, names: Sequence[str] = ()) -> Iterator[Outcome]:
    """One after another, so that scripts that measure are not disturbed."""
    return map(outcome, scripts(where, names))


def main(arguments: Sequence[str]) -> int:
    """Print a line for each script, and what those that fail said."""
    given = bool(arguments) and Path(arguments[0]).is_dir()
    where, names = (Path(arguments[0]), arguments[1:]) if given else (folder(), arguments)
    if where is None or not scripts(where, names):
        print("No such scripts: give their folder, or set ENGRAM_DATA to the folder beside it.", file=sys.stderr)
        return 2
    failing = 0
    for found in outcomes(where.resolve(), names):
        print(found, flush=True)
        if not found.holds:
            failing += 1
            print("".join(f"    {line}\n" for line in found.said.splitlines()[-12:]), end="", flush=True)
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
