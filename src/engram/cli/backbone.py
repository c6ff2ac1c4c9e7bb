"""`engram backbone`: the bundles on this machine; see `engram.features.backbones.catalogue`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engram.cli.output import Json, emit, progress, say, table
from engram.features.pretraining.hub import WELL_KNOWN

if TYPE_CHECKING:
    from engram.features.backbones.bundle import Bundle
    from engram.features.backbones.preprocessing import Preprocessing

Name = Annotated[str | None, typer.Option("--name", metavar="NAME", help="Name of the new backbone.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a backbone of that name.")]
WEIGHTS = (".pth", ".pt", ".safetensors")
Source = Annotated[str, typer.Argument(metavar="NAME", help="Name or folder of a backbone.")]


def list_backbones(as_json: Json = False) -> None:
    """List the backbones on this machine."""
    from engram.brain.bundles import EXTRA, PHOTOS, SOUND_EXTRA, SOUNDS
    from engram.extras import command, installed
    from engram.features.backbones import catalogue

    lines = catalogue.listing()
    if as_json:
        emit(lines)
        return
    table(
        ("name", "origin", "kind", "14 / 1 taught", "fingerprint", "folder"),
        [(line["name"], line["origin"], line.get("kind", line.get("problem")), _worth(line),
          line.get("fingerprint", "")[:12], line["folder"] or "") for line in lines],
    )
    say("14 / 1 taught: percent of photographs of ten new kinds recognised, after 14 of each and after one of each; for"
        f" `{SOUNDS}` and `{SOUND_EXTRA}`, of ten spoken digits after 20 and one.")
    say(f"A new brain for pictures uses `{EXTRA if installed('photos') else PHOTOS}`, unless --backbone names another.")
    if not installed("photos"):
        say(f"`{EXTRA}` recognises more of them: {command('photos')}")


def _worth(line: dict[str, Any]) -> str:
    return " / ".join(f"{percent:.1f}" for percent in line.get("worth", {}).values())


def import_backbone(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="An .onnx network; weights of a known family (.pth, .pt,"
                             " .safetensors); or MobileNetV2's weights (.npz).")
    ],
    name: Name = None,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="HxW", help="Height x width of its input pictures, such as 224x224. Without it,"
                     " an .onnx network accepts vectors."),
    ] = None,
    grey: Annotated[bool, typer.Option("--grey", help="Its input is grey, not RGB.")] = False,
    mean: Annotated[
        str, typer.Option("--mean", metavar="M[,M,M]", help="Subtracted from the pixels (0 to 255).")
    ] = "0",
    scale: Annotated[
        str, typer.Option("--scale", metavar="S[,S,S]", help="Multiplied with the pixels after that.")
    ] = "0.00392156862745098",
    crop: Annotated[float, typer.Option("--crop", help="Share of each side to keep, centred.")] = 1.0,
    layout: Annotated[str, typer.Option("--layout", help="Order of the input axes: nchw, nhwc or flat.")] = "nchw",
    cut: Annotated[
        str | None, typer.Option("--cut", metavar="NODE", help="Name of the value inside the network to use as"
                                                               " features.")
    ] = None,
    pool: Annotated[
        str, typer.Option("--pool", help="Reduce feature maps to a vector: average, or first (of a sequence).")
    ] = "average",
    family: Annotated[
        str | None, typer.Option("--family", metavar="FAMILY", help="Family of the weights: resnet18, mobilenet_v2, …"
                                 " (default: recognised by the tensors' names).")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Create a backbone from a network's file.

    Weights are read as tensors only: no code in a file is ever run. Networks of a known family are cut below their
    classifier, with their usual input size unless --size is given.

    Then run `engram backbone make`: it measures the backbone's statistics on a folder of pictures, which makes learning
    from one or two examples accurate.
    """
    from engram.features.backbones import catalogue

    preprocessing = _preprocessing(size, grey, mean, scale, crop, layout)
    if file.suffix.lower() in WEIGHTS:
        bundle = _from_weights(file, name, preprocessing, family, cut, overwrite)
    elif family is not None:
        raise typer.BadParameter(f"--family applies to weights only ({', '.join(WEIGHTS)}), not to {file.name}.")
    else:
        bundle = catalogue.import_file(
            file, name, preprocessing=preprocessing, cut=cut,
            pool=pool,  # type: ignore[arg-type]  # checked by the backbone, which names the choices
            overwrite=overwrite,
        )
    show(bundle, as_json)


def pull_backbone(
    network: Annotated[
        str, typer.Argument(metavar="NAME", help=f"{', '.join(WELL_KNOWN)}.")
    ],
    name: Name = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Download a pre-trained network from the Hugging Face hub.

    The SHA-256 of the file is checked; an interrupted download resumes. Then run `engram backbone make` to measure its
    statistics on a folder of pictures.
    """
    from engram.features.backbones.bundle import Bundle
    from engram.features.pretraining.hub import pull

    target = free_target(name or network, overwrite)
    with progress(f"fetching {network}", quiet=as_json) as report:
        backbone = pull(network, called=target.name, progress=report)
    bundle = Bundle.bare(backbone)
    bundle.save(target, overwrite=overwrite)
    show(bundle, as_json)


def inspect_backbone(source: Source, as_json: Json = False) -> None:
    """Show a backbone's settings and verify its files."""
    from engram.features.backbones import catalogue

    found = catalogue.inspect(source)
    if as_json:
        emit(found)
        return
    for key, value in found.items():
        say(f"{key:12} {value}")


def make_backbone(
    source: Source,
    pictures: Annotated[
        Path, typer.Argument(metavar="PICTURES", help="A folder with one folder of pictures per class.")
    ],
    name: Name = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Measure a backbone's statistics on a folder of pictures."""
    from engram.features.backbones import catalogue

    with progress("looking at pictures", quiet=as_json) as report:
        bundle = catalogue.make(source, pictures, name, overwrite=overwrite, progress=report)
    show(bundle, as_json)


def check_training() -> None:
    """Say at once what is missing, rather than after the pictures are decoded."""
    from engram.extras import check

    check("This", "train", "export")


def _from_weights(
    file: Path, name: str | None, preprocessing: Preprocessing | None, family: str | None, cut: str | None,
    overwrite: bool,
) -> Bundle:
    if cut is not None:
        raise typer.BadParameter("--cut applies to .onnx networks only: weights are cut below the classifier.")
    check_training()
    from engram.features.backbones.bundle import Bundle
    from engram.features.pretraining.published_weights import import_weights

    target = free_target(name or file.stem, overwrite)
    bundle = Bundle.bare(import_weights(file, name=target.name, family=family, preprocessing=preprocessing))
    bundle.save(target, overwrite=overwrite)
    return bundle


def free_target(name: str, overwrite: bool) -> Path:
    """Where a backbone of that name goes. Raises InputError, before any work, where the name is taken."""
    from engram.features.backbones.bundle_folder import checked_name, user_folder
    from engram.learner import InputError

    target = user_folder() / checked_name(name)
    if target.exists() and not overwrite:
        raise InputError(f"The backbone {name!r} exists: pass another --name, or --overwrite to replace it.")
    return target


def _preprocessing(
    size: str | None, grey: bool, mean: str, scale: str, crop: float, layout: str
) -> Preprocessing | None:
    if size is None:
        return None
    from engram.features.backbones.preprocessing import Preprocessing

    height, _, width = size.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise typer.BadParameter("--size must be height x width, such as 224x224.")
    return Preprocessing(
        (int(height), int(width)), "grey" if grey else "rgb", crop=crop,
        mean=_numbers(mean, "--mean"), scale=_numbers(scale, "--scale"),
        layout=layout,  # type: ignore[arg-type]  # checked by Preprocessing, which names the choices
    )


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{option} must be one number, or three separated by commas.") from error


def show(bundle: Bundle, as_json: bool) -> None:
    document: dict[str, Any] = {
        "name": bundle.name, "width": bundle.width, "fingerprint": bundle.fingerprint,
        "covariance": bundle.covariance is not None,
    }
    if as_json:
        emit(document)
        return
    say(f"{bundle.name}: {bundle.width} features, fingerprint {bundle.fingerprint[:12]}")
    if bundle.covariance is None:
        say(f"It has no statistics yet. Measure them: engram backbone make {bundle.name} PICTURES --overwrite")
