"""A brain as named arrays: everything in it, no pickle, its backbone included where it stands alone.

    brain                 JSON: options, shares set since, event number, tombstones, lineage of each device
    own.*, total.*        what this device learned, and what is served where that is more
    slot.<device>.*       what another device contributed; in a brain's folder a file of its own, read when needed
    unknowns.*, bundle.*  the inbox and the backbone, where they are not kept elsewhere
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load

from engram.brain.inbox import Inbox
from engram.brain.knowledge import Knowledge
from engram.brain.receipts import Receipts
from engram.brain.slots import Contents, Lineage, Slot, Stored
from engram.brain.tombstones import Tombstone
from engram.features.backbones.bundle import Bundle
from engram.heads.fast import FastHead
from engram.heads.fast.novelty import as_alpha
from engram.heads.head import from_json_array, json_array
from engram.heads.multilabel.multi_label_head import MultiLabelHead
from engram.heads.parts import GoodParts
from engram.heads.regression.regressor import Regressor
from engram.learner import DamagedError, EngramError, InputError, State
from engram.packing import pack
from engram.store.folder import Folder, entry_of, short_hash

MISFITS = (KeyError, TypeError, ValueError, IndexError, AttributeError, SafetensorError, OverflowError,
           RecursionError)
"""What reading arrays that do not fit raises."""

_STATISTICS = ("mean", "covariance")  # of the bundle: kept once, not with every head


def state(knowledge: Knowledge, inbox: Inbox, seq: int) -> State:
    """Everything in a brain; see the module's text."""
    whole = knowledge_state(knowledge, seq) | _prefixed("unknowns.", inbox.state())
    whole["columns"] = json_array(knowledge.columns)
    for device, slot in knowledge.others.items():
        whole |= _prefixed(f"slot.{device}.", _contents_state(slot.contents))
    files = knowledge.bundle.files() if knowledge.bundle else {}
    return whole | {f"bundle.{name}": np.frombuffer(content, np.uint8) for name, content in files.items()}


def from_state(state: Mapping[str, npt.NDArray[Any]], **parts: Any) -> tuple[Knowledge, Inbox, int]:
    """What `state` was made of. Raises DamagedError where entries are missing or do not fit."""
    try:
        files = {name: np.asarray(a, np.uint8).tobytes() for name, a in _under("bundle.", state).items()}
        bundle = bundle_from(files, **parts) if files else None
        about = from_json_array(state["brain"])

        def read(entry: Mapping[str, Any]) -> Contents:
            part = {name: np.array(array) for name, array in _under(f"slot.{entry['device']}.", state).items()}
            return _contents_from(part, bundle)

        knowledge = Knowledge("any", about["options"], bundle)
        restore(knowledge, state, lambda entry: (read(entry), None))
        names = from_json_array(state["columns"]) if "columns" in state else None
        knowledge.columns = None if names is None else tuple(map(str, names))
        return knowledge, Inbox.from_state(_under("unknowns.", state)), int(about["seq"])
    except MISFITS as error:
        raise DamagedError(f"Not a saved brain: {type(error).__name__}: {error}") from error


def knowledge_state(knowledge: Knowledge, seq: int) -> State:
    """All that was taught, but the contents of other devices' slots; where these lie on disk it says where."""
    own = knowledge.own
    about = {
        "options": knowledge.options, "seq": seq, "apart": knowledge.apart, "own": slot_entry(own),
        "slots": [slot_entry(slot) for slot in knowledge.others.values()],
        "edicts": [tombstone.as_json() for tombstone in knowledge.tombstones.values()],
        "alpha": knowledge.alpha, "alphas": list(map(list, knowledge.alphas.items())),
    }
    whole = {"brain": json_array(about), **_prefixed("own.", _contents_state(own.contents))}
    return whole | (_prefixed("total.", _head_state(knowledge.total)) if knowledge.apart else {})


def restore(
    knowledge: Knowledge,
    arrays: Mapping[str, npt.NDArray[Any]],
    slot: Callable[[Mapping[str, Any]], tuple[Contents | Callable[[], Contents], Stored | None]],
) -> None:
    """Fill new knowledge with what `knowledge_state` described; `slot` finds another device's contents by its entry.

    Raises one of `MISFITS` where the arrays do not fit.
    """
    about, bundle = from_json_array(arrays["brain"]), knowledge.bundle
    knowledge.own = _slot(about["own"], _contents_from(_under("own.", arrays), bundle))
    knowledge.others = {entry["device"]: _slot(entry, *slot(entry)) for entry in about["slots"]}
    knowledge.total = _head_from(_under("total.", arrays), bundle) if about["apart"] else knowledge.own.head
    knowledge.tombstones = {values["id"]: Tombstone.from_json(values) for values in about["edicts"]}
    alpha = about.get("alpha")  # neither is in what was written before it could be set
    knowledge.alpha = None if alpha is None else as_alpha(alpha)
    knowledge.alphas = {label: as_alpha(share) for label, share in about.get("alphas", ())}


def slot_from(
    entry: Mapping[str, Any], folder: Folder, bundle: Bundle | None
) -> tuple[Callable[[], Contents], Stored]:
    """For `restore`: a slot that lies in a file of its own."""
    name, found = str(entry["file"]), {"sha256": str(entry["sha256"]), "bytes": int(entry["bytes"])}
    return partial(_read_slot, folder, name, found, bundle), Stored(folder.path, name, found)


def slot_at(entry: Mapping[str, Any], folder: Folder, bundle: Bundle | None) -> Slot:
    """The slot that an event describes."""
    return _slot(entry, *slot_from(entry, folder, bundle))


def slot_files(slots: Iterable[Slot], folder: Folder) -> dict[str, bytes]:
    """Files to be written for slots that lie in none yet; each slot is told its place."""
    files: dict[str, bytes] = {}
    for slot in slots:
        stored = slot.stored
        if stored is None or stored.folder != folder.path or not folder.has(stored.name, stored.entry):
            packed = pack(_contents_state(slot.contents))
            name = f"slot-{short_hash(slot.device.encode())}-{short_hash(packed)}.safetensors"
            slot.stored = Stored(folder.path, name, entry_of(packed))
            files[name] = packed
    return files


def overhead_bytes(knowledge: Knowledge, inbox: Inbox, seq: int) -> int:
    """Bytes of a brain's state beside its heads'."""
    heads = ("own.", "total.")
    return sum(
        array.nbytes for name, array in state(knowledge, inbox, seq).items()
        if not name.startswith(heads) or name.startswith("own.receipts.")
    )


def bundle_from(files: Mapping[str, bytes], **parts: Any) -> Bundle:
    """Raises DamagedError where they are no bundle."""
    try:
        return Bundle.from_files(files, **parts)
    except InputError as error:
        raise DamagedError(f"The brain's backbone cannot be opened: {error}") from error


def _slot(
    entry: Mapping[str, Any], contents: Contents | Callable[[], Contents], stored: Stored | None = None
) -> Slot:
    return Slot(str(entry["device"]), Lineage.from_json(entry["lineage"]), entry["applied"], contents, stored)


def slot_entry(slot: Slot) -> dict[str, Any]:
    """The slot as an event describes it: whose, how far, and in which file."""
    about = {"device": slot.device, "lineage": slot.lineage.as_json(), "applied": sorted(slot.applied)}
    return about if slot.stored is None else {**about, "file": slot.stored.name, **slot.stored.entry}


def _contents_state(contents: Contents) -> State:
    head = contents.head
    return {**_head_state(head), **_prefixed("receipts.", contents.receipts.state(head.labels))}


def _contents_from(arrays: Mapping[str, npt.NDArray[Any]], bundle: Bundle | None) -> Contents:
    head = _head_from({k: v for k, v in arrays.items() if not k.startswith("receipts.")}, bundle)
    receipts = Receipts.from_state(_under("receipts.", arrays), head.labels)
    if receipts.totals() != head.counts:
        raise ValueError("receipts and sums do not fit each other")
    return Contents(head, receipts)


def _read_slot(folder: Folder, name: str, entry: Mapping[str, Any], bundle: Bundle | None) -> Contents:
    try:
        return _contents_from(load(folder.read(name, entry)), bundle)
    except (*MISFITS, EngramError) as error:
        raise DamagedError(f"The contribution of another device cannot be read: {error}") from error


def _head_state(head: FastHead) -> State:
    return {name: array for name, array in head.state().items() if name not in _STATISTICS}


def _head_from(arrays: Mapping[str, npt.NDArray[Any]], bundle: Bundle | None) -> FastHead:
    statistics: State = {}
    if bundle is not None:
        statistics["mean"] = bundle.mean
        if bundle.covariance is not None:
            statistics["covariance"] = bundle.covariance
    whole = {**arrays, **statistics}
    if bundle is not None and bundle.grid is not None:
        return GoodParts.from_state(whole)
    if bundle is not None and bundle.multilabel:
        return MultiLabelHead.from_state(whole)
    if bundle is not None and bundle.targets is not None:
        return Regressor.from_state(whole)
    return FastHead.from_state(whole)


def _prefixed(prefix: str, arrays: Mapping[str, npt.NDArray[Any]]) -> State:
    return {prefix + name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _under(prefix: str, arrays: Mapping[str, npt.NDArray[Any]]) -> State:
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
