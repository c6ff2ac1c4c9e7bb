"""A bundle on disk: a folder of verified files, written all at once.

    bundle.json              format version, name, kind, configuration, fingerprint, SHA-256 of every file
    network.*                the network, if the kind has one
    statistics.safetensors   m0 and, if measured, S0
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from engram.backbones import KINDS
from engram.learner import DamagedError, FloatArray, InputError

FORMAT = 1
RECORD = "bundle.json"
FILES = frozenset({"network.onnx", "network.safetensors", "statistics.safetensors"})
RECORD_LIMIT = 16_000_000


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
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            for name, content in files.items():
                _write_synced(fresh / name, content)
            fresh.chmod(0o755)
            _sync(fresh)
            _move(fresh, folder)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
    except OSError as error:
        raise InputError(f"Cannot write {folder}: {error.strerror or error}.") from error


def _move(fresh: Path, folder: Path) -> None:
    """Put `fresh` in the place of `folder`; what stood there before goes once the new one is in place."""
    old = None
    if folder.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
        folder.rename(old / folder.name)
    try:
        fresh.rename(folder)
    except OSError:
        if old is not None:
            (old / folder.name).rename(folder)
        raise
    finally:
        _sync(folder.parent)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    with contextlib.suppress(OSError, AttributeError):  # not every system syncs folders
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


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
    """Name, backbone class, configuration, step, normalisation and fingerprint out of a record."""
    try:
        module, _, kind = KINDS[record["kind"]].partition(":")
        step, normalise = float(record["step"]), record["normalise"]
        if not isinstance(normalise, bool) or not isinstance(record["config"], dict):
            raise TypeError("values of another type")
        found = getattr(import_module(module), kind)
        return str(record["name"]), found, record["config"], step, normalise, str(record["fingerprint"])
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"A bundle of a kind that this version does not know: {error}") from error


def statistics_to(mean: FloatArray, covariance: FloatArray | None) -> bytes:
    """m0 and S0 as a safetensors file."""
    return save({"mean": mean} if covariance is None else {"mean": mean, "covariance": covariance})


def statistics_from(files: dict[str, bytes]) -> tuple[FloatArray, FloatArray | None]:
    """m0 and S0 out of the files.

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
    return mean, covariance


def _canonical(record: dict[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
