"""The terminal: one thin file for each group of commands over the Python interface."""

from __future__ import annotations


def main() -> None:
    """The `engram` command."""
    import sys

    from engram.cli.app import run

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # help texts too are printed on terminals that cannot show all of them
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))
