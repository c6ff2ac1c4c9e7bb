"""An evaluation under way in one file: the learner's state and what was measured so far, both or neither.

`checkpoint.safetensors`: the arrays of the learner's state; in its header the report so far as JSON, and a SHA-256 of
both, since the format itself only notices a wrong length. It is written under another name, synced and renamed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from engram.files import make_folder, sync_folder, write_atomically
from engram.lab.evaluation.report import Report
from engram.learner import DamagedError, State
from engram.packing import pack

FILE = "checkpoint.safetensors"
AGAIN = "Evaluate again with resume=False (--fresh), which starts from the beginning."


class Checkpoint(NamedTuple):
    """The learner's state after the last experience that the report tells of, and what it was at the start."""

    report: Report
    state: State
    begun: str


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint in the folder, which is made where there is none.

    Raises:
        OSError: the disk refused; the earlier checkpoint is still there.
    """
    make_folder(folder)
    arrays = {name: np.asarray(array, order="C") for name, array in checkpoint.state.items()}
    about = json.dumps({"report": checkpoint.report.to_json(), "begun": checkpoint.begun})
    header = {"about": about, "sha256": digest(arrays, about)}
    write_atomically(folder / FILE, pack(arrays, header))
    sync_folder(folder)


def read(folder: Path) -> Checkpoint | None:
    """The checkpoint in the folder, or None where there is none.

    Raises:
        DamagedError: the file is truncated, altered or foreign.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header = file.metadata() or {}
        if digest(arrays, header["about"]) != header["sha256"]:
            raise ValueError("its SHA-256 does not fit")
        about = json.loads(header["about"])
        return Checkpoint(Report.from_json(about["report"]), arrays, about["begun"])
    except (SafetensorError, DamagedError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{path} is damaged or foreign ({error}). {AGAIN}") from error


def digest(arrays: Mapping[str, Any], about: str = "") -> str:
    """SHA-256 of arrays by name, and of a text."""
    total = hashlib.sha256(about.encode())
    for name, array in sorted(arrays.items()):
        total.update(f"{name}{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()
