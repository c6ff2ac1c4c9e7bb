"""`engram teach-boxes` and `engram locate`: what is in boxes is taught, and found in other pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engram.cli.brain import Folder, Teacher, as_label, labels_of, making, open_brain
from engram.cli.output import Json, emit, progress, say, table

if TYPE_CHECKING:
    from engram.brain.locating import Found


def teach_boxes(
    brain: Folder,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="JSON or CSV files of boxes: picture, label, left, top,"
                                   " right and bottom, in pixels. Pictures are looked for beside the file.")
    ],
    backbone: Annotated[
        str | None, typer.Option("--backbone", metavar="NAME", help="For a new brain: the name or folder of its"
                                 " backbone (default: as for `engram teach`).")
    ] = None,
    teacher: Teacher = None,
    as_json: Json = False,
) -> None:
    """Teach what is in boxes of pictures.

    The brain is created if it does not exist. Each cut-out is an example like any other picture; those taught before
    are skipped. A JSON file holds a list of objects with `picture`, `label` and `box` (left, top, right, bottom); a CSV
    file has the columns picture, label, left, top, right, bottom.
    """
    from engram.brain.bundles import as_bundle, picture_bundle
    from engram.inputs.boxes import read_boxes

    marked = [one for file in files for one in read_boxes(file)]
    bundle = None
    if not (brain / "manifest.json").exists():
        bundle = picture_bundle() if backbone is None else as_bundle(backbone)
    taught = 0
    with making(brain, bundle) as mind, progress("teaching", quiet=as_json) as report:
        for done, (picture, boxes, labels) in enumerate(marked, 1):
            named = [as_label(mind, one) for one in labels]
            taught += len(mind.learn_boxes(picture, boxes, named, again=False, teacher=teacher).ids)
            report(done, len(marked))
        known, digest = labels_of(mind), mind.digest()
    if as_json:
        emit({"taught": taught, "pictures": len(marked), "labels": known, "digest": digest})
    else:
        say(f"Taught {taught} boxes in {len(marked)} pictures. {len(known)} labels: {', '.join(map(str, known))}")


def locate(
    brain: Folder,
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Pictures, or folders of pictures.")
    ],
    least: Annotated[
        float | None, typer.Option("--least", metavar="SCORE", min=0.0, max=2.0, help="How much more like the label a"
                                   " box must be than its surroundings (default 0.3). More finds less, and is right"
                                   " more often.")
    ] = None,
    overlay: Annotated[
        Path | None, typer.Option("--overlay", metavar="OUT", help="Write each picture with its boxes into this"
                                  " folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find what was taught in pictures, and where it is.

    Works for a brain of pictures on `photos` or `efficientnet-lite0`. It is taught as ever, best by cut-outs of things
    (`engram teach-boxes`). Boxes are left, top, right and bottom, in pixels.
    """
    from engram.brain.locating import LEAST
    from engram.files import make_folder, write_atomically
    from engram.inputs.examples import gather
    from engram.inputs.overlay import boxes_overlay

    with open_brain(brain, readonly=True) as mind, progress("looking", quiet=as_json) as report:
        if not mind.labels:
            raise typer.BadParameter(f"{brain} has not been taught yet. Teach it: engram teach-boxes {brain}"
                                     " BOXES.json")
        items = gather(list(pictures), "pictures")
        lines: list[dict[str, Any]] = []
        for done, (item, source) in enumerate(zip(items.items, items.sources, strict=True), 1):
            found = mind.locate(item, least=LEAST if least is None else least)
            line: dict[str, Any] = {"picture": source, "found": [described(one) for one in found]}
            if overlay is not None:
                make_folder(overlay)
                file = overlay / f"{Path(str(source)).stem}.png"
                write_atomically(file, boxes_overlay(item, [(one.box, str(one.label)) for one in found]))
                line["overlay"] = str(file)
            lines.append(line)
            report(done, len(items))
    if as_json:
        emit({"pictures": lines})
        return
    rows = [(line["picture"], one["label"], f"{one['score']:.2f}", f"{one['confidence']:.0%}",
             " ".join(f"{at:.0f}" for at in one["box"])) for line in lines for one in line["found"]]
    table(("picture", "label", "score", "confidence", "left top right bottom"), rows)
    say(f"{len(rows)} found in {len(lines)} picture{'s' * (len(lines) != 1)}.")


def described(one: Found) -> dict[str, Any]:
    """One found thing as JSON values; the mask as rows of 0 and 1 over its box."""
    return {"label": one.label, "box": list(one.box), "score": one.score, "known": one.known,
            "confidence": one.confidence, "mask": one.mask.astype(int).tolist()}
