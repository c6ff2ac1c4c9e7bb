"""A bundle on disk: a folder of verified files, written all at once, and found by its name.

    bundle.json              format version, name, kind, configuration, fingerprint, SHA-256 of every file
    network.*                the network, if the kind has one
    statistics.safetensors   m0 and, if measured, S0
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from engram.features.backbones import BACKBONES
from engram.files import making_folder, write_atomically
from engram.inputs.sketch import Sketches
from engram.learner import DamagedError, FloatArray, InputError
from engram.packing import pack
from engram.store.folder import MANIFEST

FORMAT = 1
RECORD = "bundle.json"
FILES = frozenset({"network.onnx", "network.safetensors", "statistics.safetensors"})
RECORD_LIMIT = 16_000_000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class BundleFolder:
    """A bundle that can be opened by its name."""

    name: str
    folder: Path
    origin: Literal["yours", "packaged"]


def packaged_folder() -> Path:
    """Where the bundles lie that come with Engram."""
    return Path(__file__).parent / "data"


def user_folder() -> Path:
    """Where the user's bundles lie: $ENGRAM_HOME/backbones, else ~/.local/share/engram/backbones."""
    home = os.environ.get("ENGRAM_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share" / "engram") / "backbones"


def entries() -> list[BundleFolder]:
    """Every bundle there is, sorted by name; the user's hide packaged ones of the same name."""
    found = {entry.name: entry for entry in (*_in(packaged_folder(), "packaged"), *_in(user_folder(), "yours"))}
    return [found[name] for name in sorted(found)]


def _in(shelf: Path, origin: Literal["yours", "packaged"]) -> Iterator[BundleFolder]:
    if shelf.is_dir():
        for folder in shelf.iterdir():
            if NAME.fullmatch(folder.name) and (folder / RECORD).is_file():
                yield BundleFolder(folder.name, folder, origin)


def folder_of(name: str | os.PathLike[str]) -> Path:
    """The folder of a bundle, by name or by path.

    Raises:
        InputError: there is none; says which there are.
    """
    if isinstance(name, str) and NAME.fullmatch(name):
        for shelf in (user_folder(), packaged_folder()):
            if (shelf / name / RECORD).is_file():
                return shelf / name
    if _holds(Path(name), RECORD):
        return Path(name)
    ready = {name for name, row in BACKBONES.items() if row.ready or row.first}
    known = ", ".join(sorted({entry.name for entry in entries()} | ready))
    if _holds(Path(name), MANIFEST):
        raise InputError(f"{name} is a brain, not a backbone: open it with Brain.open({str(name)!r}).")
    meant = f" To make a brain in a folder: Brain.create({str(name)!r}); to open one that is there: Brain.open."
    raise InputError(f"No backbone {str(name)!r}. There are: {known}. `engram backbone import` adds one."
                     f"{meant if Path(name).suffix == '.brain' or len(Path(name).parts) > 1 else ''}")


def _holds(folder: Path, file: str) -> bool:
    """Whether a file is in a folder; not where the folder's name is too long for one, or has a null character."""
    try:
        return (folder / file).is_file()
    except (OSError, ValueError):
        return False


def checked_name(name: str) -> str:
    """A name that can be a folder's on any system.

    Raises:
        InputError: it cannot.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot be a name: use up to 64 letters, digits, dots, dashes, underscores.")
    return name


def packed(record: dict[str, Any], files: dict[str, bytes]) -> dict[str, bytes]:
    """The files of a bundle with bundle.json, which holds the record and a checksum of each."""
    whole = {**record, "format": FORMAT, "files": {n: _sha256(c) for n, c in sorted(files.items())}}
    whole["sha256"] = _sha256(_canonical(whole))
    return {**files, RECORD: (json.dumps(whole, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()}


def write_folder(folder: Path, files: dict[str, bytes], *, overwrite: bool) -> None:
    """Write the files beside `folder`, sync them, then give the whole its name.

    Raises:
        InputError: `folder` is there already and is not to be replaced, or cannot be written.
    """
    if folder.exists() and not (folder / RECORD).is_file():
        raise InputError(f"{folder} exists already and is no bundle: choose another name.")
    if folder.exists() and not overwrite:
        raise InputError(f"{folder} exists already: choose another name, or overwrite it (--overwrite).")
    try:
        with making_folder(folder, replace=True) as fresh:
            for name, content in files.items():
                write_atomically(fresh / name, content)
    except OSError as error:
        raise InputError(f"Cannot write {folder}: {error.strerror or error}.") from error


def read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The record and the files' contents, after every checksum was found right.

    Raises:
        InputError: no such folder, or no bundle in it.
        DamagedError: truncated, altered, foreign, or of a later version.
    """
    record = read_record(folder)
    contents: dict[str, bytes] = {}
    for name in record["files"]:
        try:
            if not (folder / name).is_file():  # also keeps pipes and devices from being read
                raise FileNotFoundError(name)
            contents[name] = (folder / name).read_bytes()
        except OSError as error:
            raise DamagedError(f"{folder} lacks {name}: copy the bundle again.") from error
    _check_files(record, contents)
    return record, contents


def unpacked(files: Mapping[str, bytes]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """As `read_folder`, of a folder's files that are at hand already.

    Raises:
        DamagedError: truncated, altered, foreign, or of a later version.
    """
    record = _checked_record(files.get(RECORD, b""))
    contents = {name: files[name] for name in record["files"] if name in files}
    _check_files(record, contents)
    return record, contents


def read_record(folder: Path) -> dict[str, Any]:
    """The verified content of bundle.json alone: enough to list and inspect. Raises as `read_folder`."""
    path = folder / RECORD
    if not path.is_file():
        raise InputError(f"No bundle at {folder}: there is no {RECORD} in it.")
    try:
        with path.open("rb") as file:
            return _checked_record(file.read(RECORD_LIMIT))
    except OSError as error:
        raise DamagedError(f"Cannot read {path}: {error.strerror or error}.") from error
    except DamagedError as error:
        raise DamagedError(f"{folder}: {error}") from error


def _checked_record(content: bytes) -> dict[str, Any]:
    try:
        record = json.loads(content)
        if not isinstance(record, dict) or "sha256" not in record:
            raise TypeError("it is something else")
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedError(f"{RECORD} is not the record of a bundle: {error}") from error
    if type(record.get("format")) is int and record["format"] > FORMAT:
        raise DamagedError("The bundle was written by a later version of Engram: update Engram to open it.")
    if record.pop("sha256") != _sha256(_canonical(record)):
        raise DamagedError(f"{RECORD} was altered: copy the bundle again.")
    files = record.get("files")
    if record.get("format") != FORMAT or not isinstance(files, dict) or not set(files) <= FILES:
        raise DamagedError(f"{RECORD} is not the record of a bundle.")
    return record


def _check_files(record: dict[str, Any], contents: dict[str, bytes]) -> None:
    for name, expected in record["files"].items():
        if name not in contents or _sha256(contents[name]) != expected:
            raise DamagedError(f"{name} of a bundle is missing, altered or cut short: copy the bundle again.")


def parts_from(record: dict[str, Any]) -> tuple[str, Any, dict[str, Any], float, bool, str]:
    """Name, backbone class, configuration, step, normalisation and fingerprint out of a record.

    Raises:
        DamagedError: entries are missing, or of another type.
    """
    try:
        kind = BACKBONES[record["kind"]]
        step, normalise = float(record["step"]), record["normalise"]
        if not isinstance(normalise, bool) or not isinstance(record["config"], dict):
            raise TypeError("values of another type")
        backbone = kind.load()
        if not hasattr(backbone, "restore"):
            raise TypeError(f"{record['kind']!r} is no kind that a bundle holds")
        return str(record["name"]), backbone, record["config"], step, normalise, str(record["fingerprint"])
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"A bundle of a kind that this version does not know: {error}") from error


def statistics_to(mean: FloatArray, covariance: FloatArray | None, measured: Sketches | None = None) -> bytes:
    """m0 (D,), S0 (D, D) and the (N, 8) sketches of what it was measured on, as a safetensors file."""
    arrays = {"mean": mean, "covariance": covariance, "measured": measured}
    return pack({name: array for name, array in arrays.items() if array is not None})


def statistics_from(files: dict[str, bytes]) -> tuple[FloatArray, FloatArray | None, Sketches | None]:
    """m0, S0 and the sketches of what it was measured on, out of the files.

    Raises:
        DamagedError: not there, or not float64.
    """
    try:
        arrays = load(files["statistics.safetensors"])
        mean, covariance = arrays["mean"], arrays.get("covariance")
    except (KeyError, ValueError, SafetensorError) as error:
        raise DamagedError(f"The bundle's statistics cannot be read: {error}") from error
    if any(a is not None and a.dtype != np.float64 for a in (mean, covariance)):
        raise DamagedError("The bundle's statistics are not float64.")
    return mean, covariance, arrays.get("measured")


def _canonical(record: dict[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
