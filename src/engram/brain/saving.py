"""A brain as named arrays: everything in it, no pickle, its backbone included where it stands alone.

    brain                 JSON: options, shares set since, event number, edicts, each device's lineage and edicts obeyed
    own.*, total.*        what this device learned, and what is served where that is more
    slot.<device>.*       what another device contributed; in a brain's folder a file of its own, read when needed
    unknowns.*, bundle.*  the inbox and the backbone, where they are not kept elsewhere
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load

from engram.brain.contributions import Contributions
from engram.brain.edicts import Edict
from engram.brain.lineage import Lineage
from engram.brain.receipts import Receipts
from engram.brain.slots import Contents, Slot, Stored
from engram.brain.unknowns import Unknowns
from engram.features.backbones.bundle import Bundle
from engram.heads.fast import FastHead
from engram.heads.fast.fast_memory import as_alpha
from engram.heads.head import from_json_array, json_array
from engram.learner import DamagedError, EngramError, InputError, State
from engram.packing import pack
from engram.store.folder import Folder, entry_of, short_hash

if TYPE_CHECKING:
    from engram.brain.knowledge import Knowledge

    AnyBrain = TypeVar("AnyBrain", bound=Knowledge)

MISFITS = (KeyError, TypeError, ValueError, IndexError, AttributeError, SafetensorError, OverflowError,
           RecursionError)
"""What reading arrays that do not fit raises."""

_STATISTICS = ("mean", "covariance")  # of the bundle: kept once, not with every head


def state(brain: Knowledge) -> State:
    """Everything in a brain; see the module's text."""
    taught = brain._taught
    whole = taught_state(taught, brain._options, brain.seq) | _prefixed("unknowns.", brain.unknowns.state())
    whole["columns"] = json_array(brain.columns)
    for device, slot in taught.others.items():
        whole |= _prefixed(f"slot.{device}.", _contents_state(slot.contents))
    files = brain._bundle.files() if brain._bundle else {}
    return whole | {f"bundle.{name}": np.frombuffer(content, np.uint8) for name, content in files.items()}


def from_state(kind: type[AnyBrain], state: Mapping[str, npt.NDArray[Any]], **parts: Any) -> AnyBrain:
    """Raises DamagedError where entries are missing or do not fit."""
    try:
        files = {name: np.asarray(a, np.uint8).tobytes() for name, a in _under("bundle.", state).items()}
        bundle = bundle_from(files, **parts) if files else None
        about = from_json_array(state["brain"])
        made: Any = kind
        brain: AnyBrain = made(bundle, **about["options"])

        def read(entry: Mapping[str, Any]) -> Contents:
            part = {name: np.array(array) for name, array in _under(f"slot.{entry['device']}.", state).items()}
            return _contents_from(part, bundle)

        restore_taught(brain._taught, state, bundle, lambda entry: (read(entry), None))
        brain.unknowns = Unknowns.from_state(_under("unknowns.", state))
        brain.seq = int(about["seq"])
        names = from_json_array(state["columns"]) if "columns" in state else None
        brain._columns = None if names is None else tuple(map(str, names))
        return brain
    except MISFITS as error:
        raise DamagedError(f"Not a saved brain: {type(error).__name__}: {error}") from error


def taught_state(taught: Contributions, options: Mapping[str, Any], seq: int) -> State:
    """All that was taught, but the contents of other devices' slots; where these lie on disk it says where."""
    own = taught.own
    about = {
        "options": dict(options), "seq": seq, "apart": taught.apart, "own": _entry(own),
        "slots": [_entry(slot) for slot in taught.others.values()],
        "edicts": [edict.as_json() for edict in taught.edicts.values()],
        "alpha": taught.alpha, "alphas": list(map(list, taught.alphas.items())),
    }
    whole = {"brain": json_array(about), **_prefixed("own.", _contents_state(own.contents))}
    return whole | (_prefixed("total.", _head_state(taught.total)) if taught.apart else {})


def restore_taught(
    taught: Contributions,
    arrays: Mapping[str, npt.NDArray[Any]],
    bundle: Bundle | None,
    slot: Callable[[Mapping[str, Any]], tuple[Contents | Callable[[], Contents], Stored | None]],
) -> None:
    """Fill new contributions with what `taught_state` described; `slot` finds another device's contents by its entry.

    Raises one of `MISFITS` where the arrays do not fit.
    """
    about = from_json_array(arrays["brain"])
    taught.own = _slot(about["own"], _contents_from(_under("own.", arrays), bundle))
    taught.others = {entry["device"]: _slot(entry, *slot(entry)) for entry in about["slots"]}
    taught.total = _head_from(_under("total.", arrays), bundle) if about["apart"] else taught.own.head
    taught.edicts = {values["id"]: Edict.from_json(values) for values in about["edicts"]}
    alpha = about.get("alpha")  # neither is in what was written before it could be set
    taught.alpha = None if alpha is None else as_alpha(alpha)
    taught.alphas = {label: as_alpha(share) for label, share in about.get("alphas", ())}


def slot_from(
    entry: Mapping[str, Any], folder: Folder, bundle: Bundle | None
) -> tuple[Callable[[], Contents], Stored]:
    """For `restore_taught`: a slot that lies in a file of its own."""
    name, found = str(entry["file"]), {"sha256": str(entry["sha256"]), "bytes": int(entry["bytes"])}
    return partial(_read_slot, folder, name, found, bundle), Stored(folder.path, name, found)


def slot_at(entry: Mapping[str, Any], folder: Folder, bundle: Bundle | None) -> Slot:
    """The slot that an event describes."""
    return _slot(entry, *slot_from(entry, folder, bundle))


def slot_entry(slot: Slot) -> dict[str, Any]:
    """The slot as an event describes it: whose, how far, and in which file."""
    return _entry(slot)


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


def overhead_bytes(brain: Knowledge) -> int:
    """Bytes of a brain's state beside its heads'."""
    heads = ("own.", "total.")
    return sum(
        array.nbytes for name, array in state(brain).items()
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


def _entry(slot: Slot) -> dict[str, Any]:
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
    return FastHead.from_state({**arrays, **statistics})


def _prefixed(prefix: str, arrays: Mapping[str, npt.NDArray[Any]]) -> State:
    return {prefix + name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _under(prefix: str, arrays: Mapping[str, npt.NDArray[Any]]) -> State:
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
