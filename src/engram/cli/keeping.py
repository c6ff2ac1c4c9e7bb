"""`engram copy`, `export`, `import`, `verify` and `repair`: brains as files, and whether all is well on the disk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from engram.cli.brain import Folder, done, labels_of, open_brain, total
from engram.cli.output import Json, emit, progress, say


def copy(
    brain: Folder,
    to: Annotated[Path, typer.Argument(metavar="COPY", help="A folder that is not there yet.")],
    fork: Annotated[
        bool, typer.Option("--fork", help="The copy goes on as a device of its own: both may learn, and be melded.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Copy a brain as it is now, also while another program teaches it."""
    with open_brain(brain, readonly=True) as mind:
        mind.save(to)
    with open_brain(to) as made:
        if fork:
            made.fork()
        found = {"examples": total(made), "device": made.device, "seq": made.seq, "digest": made.digest()}
    done(f"Copied {found['examples']} example(s), digest {found['digest']}", found, as_json)


def export(
    brain: Folder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to, or - for standard output.")],
    as_json: Json = False,
) -> None:
    """Write all that a brain was taught, one by one, as JSON lines: to keep, to read, to teach to another brain.

    What other devices taught and was melded in is not among it: meld carries that.
    """
    piped = str(file) == "-"
    if piped and as_json:
        raise typer.BadParameter("The events go to standard output, so --json cannot: give a FILE.")
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
        lines.append(f"{beyond} more are known by their sums alone (melded in, or let go): engram meld carries these.")
    for line in lines:
        say(line, aside=piped)


def import_(
    brain: Folder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `engram export` wrote, or - for standard input.")],
    backbone: Annotated[
        str | None, typer.Option("--backbone", metavar="NAME", help="For a new brain: the backbone that the events were"
                                 " made on, where it is not found by its name.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Teach a brain what another one exported; it is made if there is none.

    Examples keep their time, teacher and source. What is known already is skipped, so an interrupted import can be
    repeated; what was forgotten here stays forgotten.
    """
    from engram.cli.teach import making

    with making(brain, None) as mind, progress("importing", quiet=as_json) as report:
        source: Any = sys.stdin.buffer if str(file) == "-" else file
        result = mind.import_events(source, report, bundle=backbone)
        digest, labels = mind.digest(), labels_of(mind)
    same = digest == result.header.digest
    if as_json:
        emit({"taught": result.taught, "known": result.known, "forgotten": result.forgotten, "labels": labels,
              "digest": digest, "same": same})
        return
    say(f"Taught {result.taught} example(s)." + (" The brain is the one exported, to the bit." if same else ""))
    if result.known:
        say(f"{result.known} skipped: known already.")
    if result.forgotten:
        say(f"{result.forgotten} skipped: forgotten here since, and what is forgotten stays so.")


def verify(brain: Folder, as_json: Json = False) -> None:
    """Read every byte of a brain, replay its log, compare checksums and digests. Exit code 1 where one is wrong."""
    from engram.brain.repair import verify as check

    with progress("reading", quiet=as_json) as report:
        problems = check(brain, report)
    if as_json:
        emit({"sound": not problems, "problems": problems})
    else:
        for problem in problems:
            say(problem)
        say(f"What can be made anew from the log: engram repair {brain}" if problems else "All is well.")
    raise typer.Exit(1 if problems else 0)


def repair(brain: Folder, as_json: Json = False) -> None:
    """Make anew what the log can tell: the manifest and the snapshot.

    Where the end of the log itself is gone, its loss is accepted, and told: restoring a copy may be better.
    """
    from engram.brain.repair import repair as mend

    mended = mend(brain)
    if as_json:
        emit({"done": mended})
        return
    for sentence in mended or ["There was nothing to repair."]:
        say(sentence)
