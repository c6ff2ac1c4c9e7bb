"""Run command lines one after another in this process, and tell what each left in the home folder.

    python commands_in_an_empty_home.py HOME < lines.json
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from engram.cli.app import run


def left(home: Path) -> list[str]:
    """Every file under the home folder."""
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())


def main() -> None:
    """Prints {command line: [exit code, new files]} as the last line."""
    home, told, before = Path(sys.argv[1]), {}, set[str]()
    for line in json.load(sys.stdin):
        code = run(line)
        found = set(left(home))
        told[" ".join(line)] = [code, sorted(found - before)]
        before = found
    sys.stdout.flush()
    print(json.dumps(told))
    os._exit(0)  # what a library would leave at its end it would have begun by now


if __name__ == "__main__":
    main()
