"""The terminal: one thin file for each group of commands over the Python interface."""

from __future__ import annotations


def main() -> None:
    """The `engram` command."""
    import sys

    from engram.cli.app import run

    sys.exit(run(sys.argv[1:]))
