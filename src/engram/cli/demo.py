"""`engram demo`: the whole of it in half a minute, on real digits; see `engram.demo.digits_story`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engram.cli.output import Json, emit, say

if TYPE_CHECKING:
    from engram.demo.digits_events import Event

def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for the report and the certificates.")
    ] = Path("engram-demo"),
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the order of the images.")] = 0,
    as_json: Json = False,
) -> None:
    """Show teaching, melding and forgetting on handwritten digits.

    Takes about half a minute and downloads nothing; every number is computed while it runs. Writes report.html, and two
    certificates that prove the meld and the forgetting.
    """
    from engram.extras import check

    check("The demo", "demo")
    from engram.demo.digits_events import document
    from engram.demo.report import write_report
    from engram.files import make_folder

    make_folder(out)
    events = list(_told(out, seed, quiet=as_json))
    report = write_report(events, out)
    whole = {**document(events), "report": str(report)}
    if as_json:
        emit(whole)
    else:
        say(f"Done in {whole['finished']['seconds']:.1f} seconds. Report with pictures, numbers and proofs: {report}")


def _told(out: Path, seed: int, quiet: bool) -> Iterator[Event]:
    """The events, each shown when it happens."""
    from engram.demo.digits_story import story

    if quiet:
        yield from story(out, seed)
        return
    from rich.console import Console

    from engram.demo.screen import Screen

    # A pipe has no width of its own: lines are not folded there.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 10_000)
    with Screen(console) as screen:
        for event in story(out, seed):
            screen.show(event)
            yield event
