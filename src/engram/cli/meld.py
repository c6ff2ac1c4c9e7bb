"""`engram meld` and `engram prove`: several brains as one, and the proof of it; see `engram.brain`."""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from engram.cli import multimodal
from engram.cli.output import Json, emit, progress, say


def meld(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder of the melded brain; an existing brain is"
                                        " extended.")],
    parts: Annotated[
        list[Path], typer.Argument(metavar="IN...", help="The brains to meld; they are not changed.")
    ],
    strict: Annotated[bool, typer.Option("--strict", help="Refuse to meld if labels conflict.")] = False,
    as_json: Json = False,
) -> None:
    """Merge brains into one that knows what all of them know.

    The result equals, bit for bit, one brain that was taught everything. Conflicts are reported: one label used for
    different things, or two labels for the same thing.
    """
    from engram.brain import Brain

    if all(multimodal.is_one(part) for part in parts):
        multimodal.meld(out, parts, as_json)
        return
    with ExitStack() as stack:
        brains = [stack.enter_context(Brain.open(part, readonly=True)) for part in parts]
        exists = (out / "manifest.json").exists()
        made = stack.enter_context(Brain.open(out) if exists else Brain(brains[0].bundle, **brains[0].options))
        report = made.meld(*brains, strict=strict)
        if not exists:  # what lasts in a folder is there already
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
        say(f"{out} already contained all of it.")
    say(f"{out}: {len(made.labels)} labels of {len(made.slots())} devices, digest {made.digest()}")
    for note in report.notes:
        say(f"Note: {note}.")
    for conflict in report.conflicts:
        say(f"Conflict: {conflict}. Resolve it with engram rename or engram forget.")


def prove(
    brain: Annotated[Path, typer.Argument(metavar="BRAIN", help="The brain's folder.")],
    things: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH...]", help="With --meld, the brains that were melded; with"
                                          " --forgotten, the forgotten examples.")
    ] = None,
    meld: Annotated[bool, typer.Option("--meld", help="Prove that the brain is the exact sum of these"
                                                      " brains.")] = False,
    forgotten: Annotated[bool, typer.Option("--forgotten", help="Prove that examples or a label are gone.")] = False,
    log: Annotated[
        bool, typer.Option("--log", help="Prove that the brain is the exact sum of the examples in its log; the"
                           " certificate contains these examples.")
    ] = False,
    label: Annotated[
        str | None, typer.Option("--label", metavar="LABEL", help="The forgotten label, or the label of the forgotten"
                                 " examples.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Folder of the certificate (default:"
                                  " BRAIN-certificate).")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="FILE.npy", help="Save the forgotten vectors outside the"
                                  " certificate, to prove later that the brain held them before.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write and verify a certificate of a meld, forget or log.

    Anyone can verify it again without Engram: python FOLDER/verify_certificate.py FOLDER
    """
    from engram.brain import Brain
    from engram.brain.certificate import prove_forgotten, prove_log, prove_meld
    from engram.cli.brain import as_label

    named_enough = (meld and things) or (forgotten and (things or label is not None)) or (log and not things)
    if meld + forgotten + log != 1 or not named_enough:
        raise typer.BadParameter(
            "Pass exactly one of --meld BRAIN..., --forgotten PATH... (or --forgotten --label LABEL), or --log."
        )
    folder = out or brain.with_name(brain.name + "-certificate")
    with ExitStack() as stack:
        mind = stack.enter_context(Brain.open(brain, readonly=True))
        if log:
            with progress("writing the examples", quiet=as_json) as report:
                prove_log(mind, folder, report)
        elif meld:
            parts = {str(part): stack.enter_context(Brain.open(part, readonly=True)) for part in things or ()}
            prove_meld(mind, parts, folder)
        else:
            named = None if label is None else as_label(mind, label)
            what: dict[str, Any] = {"examples": things, "labels": named} if things else {"label": named}
            prove_forgotten(mind, folder, **what, keep=keep)
        digest = mind.digest()
    code, lines = _verified(folder, keep)
    if as_json:
        emit({"certificate": str(folder), "verified": code == 0, "checks": lines, "digest": digest})
    else:
        for line in lines:
            say(line)
        again = shlex.join(["python", str(folder / "verify_certificate.py"), str(folder)])
        say(f"Certificate in {folder}. Verify it anywhere: {again}")
    raise typer.Exit(code)


def _verified(folder: Path, keep: Path | None) -> tuple[int, list[str]]:
    """Run the certificate's own script, in a process of its own."""
    import os
    import subprocess
    import sys

    command = [sys.executable, str(folder / "verify_certificate.py"), str(folder), *([str(keep)] if keep else [])]
    spoken = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=spoken, check=False)
    return done.returncode, [*done.stdout.splitlines(), *done.stderr.splitlines()]
