"""A brain as arrays, and as a folder of its own: everything in it but pickle, its backbone included.

    manifest.json                    what belongs to the brain, the SHA-256 of every file, its labels
    snapshot-<seq>-<hash>.safetensors    what this device learned, what is served, receipts, unknowns
    slot-<id>-<hash>.safetensors         what another device (by a hash of its id) contributed; read when needed
    bundle-<fingerprint>/            the backbone and its statistics
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load
from safetensors.numpy import save as pack_arrays

from engram.backbones.bundle import Bundle
from engram.brain.edicts import Edict
from engram.brain.receipts import Receipts
from engram.brain.slots import Contents, Slot, Stored
from engram.brain.unknowns import Unknowns
from engram.heads.fast import FastHead
from engram.heads.head import from_json_array, json_array
from engram.learner import DamagedError, EngramError, InputError, State
from engram.store.folder import Entry, Folder, short_hash

if TYPE_CHECKING:
    from engram.brain.knowledge import Knowledge

    AnyBrain = TypeVar("AnyBrain", bound=Knowledge)

_MISFITS = (KeyError, TypeError, ValueError, IndexError, AttributeError, SafetensorError, OverflowError,
            RecursionError)
_STATISTICS = ("mean", "covariance")  # of the bundle: kept once, not with every head


def state(brain: Knowledge) -> State:
    """Everything: see the module's text; names are `own.`, `total.`, `slot.<device>.`, `bundle.` and what is in it."""
    whole = _snapshot(brain)
    for device, slot in brain._taught.others.items():
        whole |= _prefixed(f"slot.{device}.", _slot_state(slot))
    files = brain._bundle.files() if brain._bundle else {}
    return whole | {f"bundle.{name}": np.frombuffer(content, np.uint8) for name, content in files.items()}


def from_state(kind: type[AnyBrain], state: Mapping[str, npt.NDArray[Any]], **parts: Any) -> AnyBrain:
    """Raises DamagedError where entries are missing or do not fit."""
    try:
        files = {name: np.asarray(a, np.uint8).tobytes() for name, a in _under("bundle.", state).items()}
        bundle = _bundle_from(files, **parts) if files else None
        about = from_json_array(state["brain"])
        slots = {}
        for entry in about["slots"]:
            part = {name: np.array(array) for name, array in _under(f"slot.{entry['device']}.", state).items()}
            slots[entry["device"]] = _slot_from(entry, part, bundle)
        return _brain_from(kind, about, state, bundle, slots)
    except _MISFITS as error:
        raise DamagedError(f"Not a saved brain: {type(error).__name__}: {error}") from error


def save(brain: Knowledge, path: str | os.PathLike[str]) -> None:
    """Write the brain's folder: new files first, then the manifest that makes them the brain."""
    target = Path(path).resolve()
    if brain._folder is None or brain._folder.path != target:
        brain._folder = Folder(target)
    brain._folder.check_unchanged()
    files: dict[str, bytes] = {}
    kept: dict[str, Entry] = {}
    for slot in brain._taught.others.values():
        stored = slot.stored
        if stored is not None and stored.folder == target and brain._folder.has(stored.name, stored.entry):
            kept[stored.name] = stored.entry
        else:
            packed = pack_arrays(_slot_state(slot))
            files[f"{_slot_prefix(slot.device)}{short_hash(packed)}.safetensors"] = packed
    bundle = brain._bundle
    if bundle is not None:
        prefix = f"bundle-{bundle.fingerprint[:16]}"
        files |= {f"{prefix}/{name}": content for name, content in bundle.files().items()}
    packed = pack_arrays(_snapshot(brain))
    files[f"snapshot-{brain.seq:08d}-{short_hash(packed)}.safetensors"] = packed
    about = {
        "seq": brain.seq, "device": brain.device, "digest": brain.digest(), "labels": list(brain.labels),
        "backbone": bundle and bundle.name, "fingerprint": bundle and bundle.fingerprint,
    }
    brain._folder.write(about, files, kept)


def open_brain(kind: type[AnyBrain], path: str | os.PathLike[str], **parts: Any) -> AnyBrain:
    """Raises InputError where there is no folder, DamagedError where it holds no sound brain."""
    folder = Folder(Path(path).resolve())
    while True:
        manifest = folder.manifest()
        try:
            return _opened(kind, folder, manifest, **parts)
        except DamagedError:
            if not folder.changed():  # else another program saved meanwhile, and swept away what was being read
                raise


def _opened(kind: type[AnyBrain], folder: Folder, manifest: Mapping[str, Any], **parts: Any) -> AnyBrain:
    try:
        entries: dict[str, Any] = manifest["files"]
        contents = {name: folder.read(name, entry) for name, entry in entries.items()}
        files = {Path(name).name: content for name, content in contents.items() if name.startswith("bundle-")}
        bundle = _bundle_from(files, **parts) if files else None
        (name,) = (name for name in contents if name.startswith("snapshot-"))
        arrays = load(contents[name])
        about = from_json_array(arrays["brain"])
        slots = {}
        for entry in about["slots"]:
            (name,) = (name for name in contents if name.startswith(_slot_prefix(entry["device"])))
            read = partial(_read_slot, folder, name, entries[name], bundle)
            slots[entry["device"]] = Slot(
                entry["device"], bytes.fromhex(entry["history"]), entry["applied"], read,
                Stored(folder.path, name, entries[name]),
            )
        brain = _brain_from(kind, about, arrays, bundle, slots)
        if (brain.digest(), bundle and bundle.fingerprint) != (manifest["digest"], manifest["fingerprint"]):
            raise DamagedError(f"{folder.path} does not hold the brain that its manifest describes.")
    except _MISFITS as error:
        raise DamagedError(f"{folder.path} does not hold a complete brain: {error}") from error
    brain._folder = folder
    return brain


def overhead_bytes(brain: Knowledge) -> int:
    """Bytes of a brain's state beside its heads'."""
    heads = ("own.", "total.")
    return sum(
        array.nbytes for name, array in state(brain).items()
        if not name.startswith(heads) or name.startswith("own.receipts.")
    )


def _bundle_from(files: Mapping[str, bytes], **parts: Any) -> Bundle:
    try:
        return Bundle.from_files(files, **parts)
    except InputError as error:
        raise DamagedError(f"The brain's backbone cannot be opened: {error}") from error


def _snapshot(brain: Knowledge) -> State:
    taught = brain._taught
    own, apart = taught.own, taught.apart
    about = {
        "options": brain._options, "seq": brain.seq, "apart": apart, "own": _entry(own),
        "slots": [_entry(slot) for slot in taught.others.values()],
        "edicts": [asdict(edict) for edict in taught.edicts.values()],
    }
    whole = {"brain": json_array(about), **_prefixed("own.", _slot_state(own))}
    if apart:
        whole |= _prefixed("total.", _head_state(taught.total))
    return whole | _prefixed("unknowns.", brain.unknowns.state())


def _brain_from(
    kind: type[AnyBrain],
    about: Mapping[str, Any],
    arrays: Mapping[str, npt.NDArray[Any]],
    bundle: Bundle | None,
    slots: dict[str, Slot],
) -> AnyBrain:
    made: Any = kind
    brain: AnyBrain = made(bundle, **about["options"])
    own = _slot_from(about["own"], _under("own.", arrays), bundle)
    total = _head_from(_under("total.", arrays), bundle) if about["apart"] else own.head
    taught = brain._taught
    taught.own, taught.others, taught.total = own, slots, total
    taught.edicts = {values["id"]: Edict.from_json(values) for values in about["edicts"]}
    brain.unknowns = Unknowns.from_state(_under("unknowns.", arrays))
    brain.seq = int(about["seq"])
    return brain


def _slot_prefix(device: str) -> str:
    """How the names of a device's files begin: an id may hold anything, a file's name may not."""
    return f"slot-{short_hash(device.encode())}-"


def _entry(slot: Slot) -> dict[str, Any]:
    return {"device": slot.device, "history": slot.history.hex(), "applied": sorted(slot.applied)}


def _slot_state(slot: Slot) -> State:
    receipts = slot.receipts.state(slot.head.labels)
    return {**_head_state(slot.head), **_prefixed("receipts.", receipts)}


def _slot_from(entry: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], bundle: Bundle | None) -> Slot:
    history = bytes.fromhex(entry["history"])
    return Slot(str(entry["device"]), history, entry["applied"], _contents_from(arrays, bundle))


def _contents_from(arrays: Mapping[str, npt.NDArray[Any]], bundle: Bundle | None) -> Contents:
    head = _head_from({k: v for k, v in arrays.items() if not k.startswith("receipts.")}, bundle)
    receipts = Receipts.from_state(_under("receipts.", arrays), head.labels)
    if receipts.totals() != head.counts:
        raise ValueError("receipts and sums do not fit each other")
    return Contents(head, receipts)


def _read_slot(folder: Folder, name: str, entry: Mapping[str, Any], bundle: Bundle | None) -> Contents:
    try:
        return _contents_from(load(folder.read(name, entry)), bundle)
    except (*_MISFITS, EngramError) as error:
        raise DamagedError(f"The contribution of another device cannot be read: {error}") from error


def _head_state(head: FastHead) -> State:
    return {name: array for name, array in head.state().items() if name not in _STATISTICS}


def _head_from(arrays: Mapping[str, npt.NDArray[Any]], bundle: Bundle | None) -> FastHead:
    statistics: State = {}
    if bundle is not None:
        statistics["mean"] = bundle.mean
        if bundle.covariance is not None:
            statistics["covariance"] = bundle.covariance
    return FastHead.from_state({**arrays, **statistics})


def _prefixed(prefix: str, arrays: Mapping[str, npt.NDArray[Any]]) -> State:
    return {prefix + name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _under(prefix: str, arrays: Mapping[str, npt.NDArray[Any]]) -> State:
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
