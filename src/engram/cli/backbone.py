"""`engram backbone`: the bundles on this machine; see `engram.backbones.catalogue`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engram.cli.output import Json, emit, progress, say, table

if TYPE_CHECKING:
    from engram.backbones.bundle import Bundle
    from engram.backbones.preprocessing import Preprocessing

Name = Annotated[str | None, typer.Option("--name", metavar="NAME", help="What to call it.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace one of that name.")]
Source = Annotated[str, typer.Argument(metavar="NAME", help="The name or the folder of a backbone.")]


def list_backbones(as_json: Json = False) -> None:
    """List the backbones on this machine."""
    from engram.backbones import catalogue

    lines = catalogue.listing()
    if as_json:
        emit(lines)
        return
    table(
        ("name", "origin", "kind", "fingerprint", "folder"),
        [(line["name"], line["origin"], line.get("kind", line.get("problem")),
          line.get("fingerprint", "")[:12], line["folder"]) for line in lines],
    )
    say("Without --backbone, pictures are described by hand-made measures, which are built in.")


def import_backbone(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="An .onnx network, or MobileNetV2's weights as .npz.")
    ],
    name: Name = None,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="HxW", help="Height x width of the pictures it takes, such as 224x224;"
                     " without it, an .onnx network takes vectors."),
    ] = None,
    grey: Annotated[bool, typer.Option("--grey", help="It takes grey pictures, not RGB.")] = False,
    mean: Annotated[
        str, typer.Option("--mean", metavar="M[,M,M]", help="Subtracted from pixels of 0 to 255.")
    ] = "0",
    scale: Annotated[
        str, typer.Option("--scale", metavar="S[,S,S]", help="Multiplies the pixels after that.")
    ] = "0.00392156862745098",
    crop: Annotated[float, typer.Option("--crop", help="Share of each side that is kept, centred.")] = 1.0,
    layout: Annotated[str, typer.Option("--layout", help="nchw, nhwc or flat.")] = "nchw",
    cut: Annotated[
        str | None, typer.Option("--cut", metavar="NODE", help="The inner value taken as features.")
    ] = None,
    pool: Annotated[
        str, typer.Option("--pool", help="How maps become vectors: average, or first (of a sequence).")
    ] = "average",
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Make a backbone out of a network's file.

    `engram backbone make` then measures its statistics on a folder of pictures: that is what makes
    learning from one example good.
    """
    from engram.backbones import catalogue

    bundle = catalogue.import_file(
        file, name, preprocessing=_preprocessing(size, grey, mean, scale, crop, layout), cut=cut,
        pool=pool,  # type: ignore[arg-type]  # checked by the backbone, which names the choices
        overwrite=overwrite,
    )
    _show(bundle, as_json)


def inspect_backbone(source: Source, as_json: Json = False) -> None:
    """Show all there is to know about a backbone; every file of it is verified."""
    from engram.backbones import catalogue

    found = catalogue.inspect(source)
    if as_json:
        emit(found)
        return
    for key, value in found.items():
        say(f"{key:12} {value}")


def make_backbone(
    source: Source,
    pictures: Annotated[
        Path, typer.Argument(metavar="PICTURES", help="A folder of pictures, with a folder for each class.")
    ],
    name: Name = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Measure a backbone's statistics on a folder of pictures."""
    from engram.backbones import catalogue

    with progress("looking at pictures", quiet=as_json) as report:
        bundle = catalogue.make(source, pictures, name, overwrite=overwrite, progress=report)
    _show(bundle, as_json)


def _preprocessing(
    size: str | None, grey: bool, mean: str, scale: str, crop: float, layout: str
) -> Preprocessing | None:
    if size is None:
        return None
    from engram.backbones.preprocessing import Preprocessing

    height, _, width = size.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise typer.BadParameter("--size is height x width, such as 224x224.")
    return Preprocessing(
        (int(height), int(width)), "grey" if grey else "rgb", crop=crop,
        mean=_numbers(mean, "--mean"), scale=_numbers(scale, "--scale"),
        layout=layout,  # type: ignore[arg-type]  # checked by Preprocessing, which names the choices
    )


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{option} is one number, or three with commas between.") from error


def _show(bundle: Bundle, as_json: bool) -> None:
    document: dict[str, Any] = {
        "name": bundle.name, "width": bundle.width, "fingerprint": bundle.fingerprint,
        "covariance": bundle.covariance is not None,
    }
    if as_json:
        emit(document)
        return
    say(f"{bundle.name}: {bundle.width} features, fingerprint {bundle.fingerprint[:12]}")
    if bundle.covariance is None:
        say(f"No statistics yet. Measure them: engram backbone make {bundle.name} PICTURES --overwrite")
