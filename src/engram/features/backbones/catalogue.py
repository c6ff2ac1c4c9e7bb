"""The bundles on this machine: found by name, imported from files, inspected, measured."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engram.extras import installed
from engram.features.backbones import BACKBONES, Kind
from engram.features.backbones.backbone import Pool
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.bundle_folder import (
    checked_name,
    entries,
    folder_of,
    read_folder,
    read_record,
    statistics_from,
    user_folder,
)
from engram.features.backbones.onnx import OnnxBackbone
from engram.features.backbones.preprocessing import Preprocessing
from engram.inputs.examples import gather, is_file
from engram.inputs.folders import count
from engram.inputs.images import scan
from engram.inputs.media import MEDIA
from engram.inputs.sounds import as_pair
from engram.learner import DamagedError, EngramError, InputError
from engram.progress import Progress

WORTH = {
    "efficientnet-lite0": {"lite0.shots-14": 99.8, "lite0.shots-1": 91.9},
    "photos": {"photo-backbone.shots-14": 94.9, "photo-backbone.shots-1": 66.2},
    "speech": {"sound.speech-digits-20": 99.3, "sound.speech-digits-1": 79.8},
    "log-mel": {"sound.digits-20": 94.8, "sound.digits-1": 50.3},
    "descriptor": {"photo-backbone.descriptor-shots-14": 78.4, "photo-backbone.descriptor-shots-1": 33.4},
}
"""Percent of photographs of ten kinds told apart, 14 of each taught and one of each; for sounds of spoken digits, 20 of
each and one: by their keys in `results/`."""


FIRST = 500
"""Of the first inputs, so many are looked at where a backbone is made of them."""


def bundle_of(name: str | os.PathLike[str], first: Any = None) -> Bundle:
    """A backbone that needs no file, such as "descriptor"; else a bundle by its name or folder.

    Args:
        name: what `listing` calls it, or a folder.
        first: for a backbone that is made of the first inputs, such as "random-patches": these. A folder or more, or
            single inputs; up to `FIRST` of them are used, evenly spread.

    Raises:
        InputError: there is none, or the extra that brings it is not installed; says which there are, or how to
            install it.
        DamagedError: its files are truncated, altered or foreign.

    >>> bundle_of("descriptor").takes
    'pictures'
    """
    row = BACKBONES.get(name) if isinstance(name, str) else None
    if row is not None and row.first:
        return _of_first(str(name), row, first)
    if row is None or not row.ready:
        return Bundle.open(folder_of(name))
    made = BACKBONES.load(str(name))()
    return made if isinstance(made, Bundle) else Bundle.bare(made)


def _of_first(name: str, row: Kind, first: Any) -> Bundle:
    """A backbone made of the first inputs, with their mean; how they scatter within classes is not known yet."""
    if first is None:
        kind = row.takes[0]
        raise InputError(
            f"{name} is made of the first {kind}: `engram teach NEW.brain {kind.upper()} --backbone {name}`, or "
            f"Brain(bundle_of({name!r}, {kind})) with bundle_of from engram.features.backbones.catalogue."
        )
    parts = first if isinstance(first, list | tuple) else [first]
    kind = _kind_of(parts, row)
    several = {"takes": kind} if len(row.takes) > 1 else {}
    found = [item for part in parts for item in gather(part, kind).items]
    chosen = [found[place] for place in np.unique(np.linspace(0, len(found) - 1, FIRST).astype(int))]
    backbone = getattr(row.load(), row.first)(chosen, name=name, **row.settings, **several)
    return Bundle.measure(backbone, chosen, None)


def _kind_of(parts: Sequence[Any], row: Kind) -> str:
    """What the first inputs are, of what a backbone takes: the kind that most of the files are of."""
    if len(row.takes) == 1:
        return row.takes[0]
    paths = [Path(part) for part in parts if is_file(part)]
    if not paths:
        return "sound" if any(as_pair(part) is not None and "sound" in row.takes for part in parts) else row.takes[0]

    def files(kind: str) -> int:
        endings = MEDIA[kind].suffixes
        return sum(count(path, endings) if path.is_dir() else path.suffix.lower() in endings for path in paths)

    return max(row.takes, key=files)


def import_file(
    path: str | os.PathLike[str],
    name: str | None = None,
    *,
    preprocessing: Preprocessing | None = None,
    cut: str | None = None,
    pool: Pool = "average",
    overwrite: bool = False,
) -> Bundle:
    """Make a user's bundle out of a network: an .onnx file, or MobileNetV2's weights in an .npz file.

    Statistics are not in it yet: `make` measures them on a folder of pictures.

    Args:
        path: the file.
        name: what to call it; None for the file's own name without its ending.
        preprocessing: how pictures become inputs; None for a network over vectors. MobileNetV2 brings its own.
        cut, pool: see `OnnxBackbone`.
        overwrite: replace a bundle of that name.

    Raises:
        InputError: a name that is taken or cannot be one, another ending, or options that do not fit.
        DamagedError: the file is truncated or something else.
    """
    file = Path(path)
    name = checked_name(file.stem if name is None else name)
    if file.suffix.lower() == ".onnx":
        backbone = OnnxBackbone.load(file, preprocessing, cut=cut, pool=pool, name=name)
    elif file.suffix.lower() == ".npz":
        from engram.features.backbones.mobilenet_v2 import load

        if preprocessing is not None or cut is not None:
            raise InputError("MobileNetV2's weights bring their own preprocessing and cut: leave these away.")
        backbone = load(file, name=name)
    else:
        raise InputError(f"{file.name} is neither .onnx nor .npz: export the network to ONNX first.")
    bundle = Bundle.bare(backbone)
    bundle.save(user_folder() / name, overwrite=overwrite)
    return bundle


def make(
    source: str | os.PathLike[str],
    pictures: str | os.PathLike[str],
    name: str | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Bundle:
    """Measure a bundle's statistics on a folder of pictures, a folder per class, and keep the result.

    Args:
        source: the name or folder of a bundle.
        pictures: what it is measured on; best are pictures like those it was trained on, or will meet.
        name: what to call the result; None for `source`'s name, which needs `overwrite` if it is the user's.
        overwrite: replace a bundle of that name.
        progress: called with how many pictures are done, and how many there are.

    Raises:
        InputError: no such bundle, or pictures that are not in a folder per class.
    """
    bundle = Bundle.open(folder_of(source))
    target = user_folder() / checked_name(bundle.name if name is None else name)
    if target.exists() and not overwrite:
        raise InputError(
            f"There is a backbone {target.name!r} already: choose another name, or overwrite it (--overwrite)."
        )
    paths, labels = scan(pictures)
    if labels is None:
        raise InputError(f"{pictures} has no folder per class: the scatter within classes needs classes.")
    measured = Bundle.measure(
        bundle.backbone, paths, labels, normalise=bundle.normalise, progress=progress
    )
    measured.backbone.name = target.name
    measured.save(target, overwrite=overwrite)
    return measured


def inspect(source: str | os.PathLike[str]) -> dict[str, Any]:
    """What there is to know about a bundle, as JSON values; every file is verified.

    Raises:
        InputError, DamagedError: there is none, or it is damaged.
    """
    folder = folder_of(source)
    record, files = read_folder(folder)
    mean, covariance, _ = statistics_from(files)
    return {
        "name": record["name"],
        "kind": record["kind"],
        "width": len(mean),
        "fingerprint": record["fingerprint"],
        "normalise": record["normalise"],
        "step": record["step"],
        "measured": bool(mean.any()),
        "covariance": covariance is not None,
        "config": record["config"],
        "bytes": sum(len(content) for content in files.values()),
        "folder": str(folder),
    }


def listing() -> list[dict[str, Any]]:
    """One line per bundle or built-in backbone, as JSON values; a damaged bundle is listed with its `problem`.

    `worth` says how well photographs, or spoken digits, were told apart upon it where that was measured (see `WORTH`).
    """
    lines: list[dict[str, Any]] = [
        {"name": name, "origin": _origin(row), "folder": None, "kind": name, "takes": row.takes[0]}
        for name, row in BACKBONES.items() if row.ready or row.first
    ]
    for absent in (line for line in lines if line["origin"] != "built in"):
        absent["problem"] = absent["origin"]
    for entry in entries():
        line: dict[str, Any] = {"name": entry.name, "origin": entry.origin, "folder": str(entry.folder)}
        try:
            record = read_record(entry.folder)
            takes = record.get("takes", BACKBONES[record["kind"]].takes[0])  # earlier versions did not say
            line |= {"kind": record["kind"], "takes": takes, "fingerprint": record["fingerprint"]}
        except (EngramError, DamagedError, KeyError) as error:
            line["problem"] = str(error)
        lines.append(line)
    for told in lines:
        if told["name"] in WORTH and told["origin"] != "yours":
            told["worth"] = WORTH[told["name"]]
    return sorted(lines, key=lambda told: str(told["name"]))


def _origin(row: Kind) -> str:
    """Where a backbone that needs no file comes from."""
    if row.first:
        return f"made of the first {row.takes[0]}"
    lacking = [extra for extra in row.needs if not installed(extra)]
    return f"extra [{lacking[0]}], not installed" if lacking else "built in"
