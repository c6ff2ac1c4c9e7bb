"""`engram meld` and `engram prove`: several brains as one, and the proof of it; see `engram.brain`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from engram.cli.output import Json, emit, say


def meld(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder of the melded brain; if it is there, it learns"
                                        " what the others know.")],
    parts: Annotated[
        list[Path], typer.Argument(metavar="IN...", help="The brains to take over; they stay as they are.")
    ],
    strict: Annotated[bool, typer.Option("--strict", help="Refuse where labels conflict.")] = False,
    as_json: Json = False,
) -> None:
    """Make one brain of several: the same, to the bit, as having taught it everything.

    Labels that mean different things to two brains, and labels that mean the same, are reported.
    """
    from engram.brain import Brain

    brains = [Brain.open(part) for part in parts]
    exists = (out / "manifest.json").exists()
    made = Brain.open(out) if exists else Brain(brains[0].bundle, **brains[0].options)
    report = made.meld(*brains, strict=strict)
    made.save(out)
    if as_json:
        emit({
            "added": report.added, "updated": report.updated, "notes": report.notes, "digest": made.digest(),
            "labels": list(made.labels), "conflicts": [
                {"kind": c.kind, "labels": c.labels, "distance": c.distance, "between": c.between}
                for c in report.conflicts
            ],
        })
        return
    if not report.changed:
        say(f"{out} knew all of that already.")
    say(f"{out}: {len(made.labels)} labels of {len(made.slots())} devices, digest {made.digest()}")
    for note in report.notes:
        say(f"Note: {note}.")
    for conflict in report.conflicts:
        say(f"Conflict: {conflict}. Decide with engram rename or engram forget.")


def prove(
    brain: Annotated[Path, typer.Argument(metavar="BRAIN", help="The brain's folder.")],
    things: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH...]", help="After --meld the brains that went into it; after"
                                          " --forgotten the examples that are gone.")
    ] = None,
    meld: Annotated[bool, typer.Option("--meld", help="Prove that it is exactly the union of brains.")] = False,
    forgotten: Annotated[bool, typer.Option("--forgotten", help="Prove that examples or a label are gone.")] = False,
    label: Annotated[
        str | None, typer.Option("--label", metavar="LABEL", help="The label that is gone, or that the examples had.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Where the certificate goes; else BRAIN-certificate.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="FILE.npy", help="Keep the forgotten examples as numbers, outside"
                                  " the certificate: with them it can be shown that they were there before.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a certificate that a meld or a forget is exact, and verify it without Engram.

    Anybody can verify it again: python FOLDER/verify_certificate.py FOLDER
    """
    from engram.brain import Brain
    from engram.brain.certificate import prove_forgotten, prove_meld
    from engram.cli.brain import _as_label

    if meld == forgotten or (meld and not things) or (forgotten and not things and label is None):
        raise typer.BadParameter("Say --meld and the brains that went into it, or --forgotten and examples or --label.")
    mind = Brain.open(brain)
    folder = out or brain.with_name(brain.name + "-certificate")
    if meld:
        prove_meld(mind, {str(part): Brain.open(part) for part in things or ()}, folder)
    else:
        named = None if label is None else _as_label(mind, label)
        what: dict[str, Any] = {"examples": things, "labels": named} if things else {"label": named}
        prove_forgotten(mind, folder, **what, keep=keep)
    code, lines = _verified(folder, keep)
    if as_json:
        emit({"certificate": str(folder), "verified": code == 0, "checks": lines, "digest": mind.digest()})
    else:
        for line in lines:
            say(line)
        again = shlex.join(["python", str(folder / "verify_certificate.py"), str(folder)])
        say(f"Certificate in {folder}. Verify it anywhere: {again}")
    raise typer.Exit(code)


def _verified(folder: Path, keep: Path | None) -> tuple[int, list[str]]:
    """Run the certificate's own script, in a process of its own."""
    import subprocess
    import sys

    command = [sys.executable, str(folder / "verify_certificate.py"), str(folder), *([str(keep)] if keep else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, [*done.stdout.splitlines(), *done.stderr.splitlines()]
