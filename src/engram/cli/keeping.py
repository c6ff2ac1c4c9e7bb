"""`engram copy`, `export`, `import`, `verify` and `repair`: brains as files, and whether all is well on the disk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from engram.cli.brain import Folder, labels_of, making, open_brain, total
from engram.cli.output import Json, done, emit, progress, say


def copy(
    brain: Folder,
    to: Annotated[Path, typer.Argument(metavar="COPY", help="The new folder; it must not exist.")],
    fork: Annotated[
        bool, typer.Option("--fork", help="Give the copy its own device id, so that both may learn and be melded"
                                          " later.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Copy a brain, even while another program teaches it."""
    with open_brain(brain, readonly=True) as mind:
        mind.save(to)
    with open_brain(to) as made:
        if fork:
            made.fork()
        found = {"examples": total(made), "device": made.device, "seq": made.seq, "digest": made.digest()}
    done(f"Copied {found['examples']} example(s), digest {found['digest']}", found, as_json)


def export(
    brain: Folder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, or - for standard output.")],
    as_json: Json = False,
) -> None:
    """Export the taught examples of a brain as JSON lines.

    The file serves as a readable backup, or to teach another brain (`engram import`). Examples that were melded in from
    other devices are not exported: use `engram meld` for them.
    """
    piped = str(file) == "-"
    if piped and as_json:
        raise typer.BadParameter("--json needs a FILE: standard output carries the events.")
    with open_brain(brain, readonly=True) as mind, progress("exporting", quiet=as_json) as report:
        head = mind.export(sys.stdout if piped else file, report)
        beyond = sum(mind.counts().values()) - head.examples
    found: dict[str, Any] = {"examples": head.examples, "beyond": beyond, "whole": head.whole, "digest": head.digest,
                             "seq": head.seq}
    if as_json:
        emit(found)
        return
    lines = [] if piped else [f"Wrote {head.examples} example(s) to {file}."]
    if not head.whole:
        lines.append(f"{beyond} more are kept as sums only (melded in, or beyond the memory budget) and are not"
                     " exported: use engram meld for them.")
    for line in lines:
        say(line, aside=piped)


def import_(
    brain: Folder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file from `engram export`, or - for standard input.")],
    backbone: Annotated[
        str | None, typer.Option("--backbone", metavar="NAME", help="For a new brain: the name or folder of the"
                                 " backbone of the exported brain, if it is not found by its name.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Teach a brain the examples that `engram export` wrote.

    The brain is created if it does not exist. Examples keep their time, teacher and source. Examples that the brain has
    already are skipped, so an interrupted import can be repeated. Examples that were forgotten here stay forgotten.
    """
    with making(brain, None) as mind, progress("importing", quiet=as_json) as report:
        source: Any = sys.stdin.buffer if str(file) == "-" else file
        result = mind.import_events(source, report, bundle=backbone)
        digest, labels = mind.digest(), labels_of(mind)
    same = digest == result.header.digest
    if as_json:
        emit({"taught": result.taught, "known": result.known, "forgotten": result.forgotten, "labels": labels,
              "digest": digest, "same": same})
        return
    say(f"Taught {result.taught} example(s)." + (" The brain equals the exported one, bit for bit." if same else ""))
    if result.known:
        say(f"{result.known} skipped: taught before.")
    if result.forgotten:
        say(f"{result.forgotten} skipped: forgotten in this brain.")


def verify(brain: Folder, as_json: Json = False) -> None:
    """Check every file of a brain and replay its log.

    Compares checksums and digests; exit code 1 if one is wrong. Nothing is changed.
    """
    from engram.brain.repair import verify as check

    with progress("reading", quiet=as_json) as report:
        problems = check(brain, report)
    if as_json:
        emit({"sound": not problems, "problems": problems})
    else:
        for problem in problems:
            say(problem)
        say(f"To rebuild what the log can tell: engram repair {brain}" if problems else "No problems found.")
    raise typer.Exit(1 if problems else 0)


def repair(brain: Folder, as_json: Json = False) -> None:
    """Rebuild the manifest and snapshot of a brain from its log.

    If the end of the log is lost, the loss is accepted and reported: restoring a backup may be better.
    """
    from engram.brain.repair import repair as mend

    mended = mend(brain)
    if as_json:
        emit({"done": mended})
        return
    for sentence in mended or ["Nothing needed repair."]:
        say(sentence)
