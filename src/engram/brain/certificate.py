"""Proof: a folder that shows, without Engram, that a meld is exactly a union, that an example is exactly gone, or that
what is known is what the log tells, no more and no less.

It holds exact integers and their digests. A certificate says something about brains whose digests one knows from
elsewhere (`engram info`): nobody can make other sums with those digests. What is proven, and what is not, is in the
documentation's page on proof.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from engram.brain.brain import Brain
from engram.brain.receipts import receipts_of
from engram.brain.slots import Slot
from engram.brain.timeline import Names
from engram.files import make_folder, write_atomically, writing
from engram.heads.exact_sums import ExactSums
from engram.inputs.vectors import as_labels, known_label
from engram.learner import DamagedError, InputError, Label, MeldError
from engram.progress import Progress
from engram.store.event import TAUGHT, Taught

FORMAT = "engram-certificate"
VERSION = 1
EXAMPLES, LABELS = "examples.npy", "labels.npy"
SCRIPT = "verify_certificate.py"
"""The stand-alone verification; its text is kept as .txt here, so that nothing imports it."""


def prove_meld(brain: Brain, parts: Mapping[str, Brain], folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Certify that a brain is exactly the sum of its devices' contributions, and which of them the parts hold.

    Args:
        brain: the melded brain.
        parts: what went into it, by name.
        folder: where the certificate goes; it must not exist, or hold a certificate.

    Returns:
        The certificate, as JSON values.

    Raises:
        MeldError: a part knows something that the brain does not hold, or the parts are not all that it holds.
        InputError: the folder holds something else.
    """
    slots = {slot.device: slot for slot in brain.slots()}
    sums = [_sum_of(slots, "the melded brain is exactly the sum of all contributions", brain.sums_digest())]
    for device, slot in slots.items():
        sums.append(_sum_of([device], f"device {device} contributed what it says", slot.head.sums_digest()))
    for name, part in parts.items():
        for slot in part.slots():
            if slot.device not in slots or slots[slot.device].head.digest() != slot.head.digest():
                raise MeldError(
                    f"{name} has learned or forgotten something since it was melded (device {slot.device}): meld it "
                    "again, then prove."
                )
        devices = [slot.device for slot in part.slots()]
        sums.append(_sum_of(devices, f"{name} is exactly the sum of its devices' contributions", part.sums_digest()))
    taught = {device for device, slot in slots.items() if slot.head.sums.counts.any()}
    left = taught - {slot.device for part in parts.values() for slot in part.slots()}
    if left:
        raise MeldError(
            f"The brain also holds what {', '.join(sorted(left))} taught: name every "
            "brain that was melded into it, and the brain itself if it was taught too."
        )
    states = {device: (slot.head.labels, slot.head.sums) for device, slot in slots.items()}
    epochs = {device: slot.epoch for device, slot in slots.items()}
    about = {"claim": "meld", "epochs": epochs, "sums": sums, "forgotten": None}
    return _write(_make_room(folder, brain), brain, about, states)


def prove_forgotten(
    brain: Brain,
    folder: str | os.PathLike[str],
    *,
    examples: Any = None,
    labels: Any = None,
    label: Label | None = None,
    keep: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Certify that examples, or a label, are not in a brain. The certificate does not hold the forgotten content.

    Args:
        brain: the brain that forgot them.
        folder: where the certificate goes; it must not exist, or hold a certificate.
        examples: the examples that are gone, from whoever still has them.
        labels: under which they were taught: one, or one for each. Needed to show the state before.
        label: the label that is gone.
        keep: a .npy file, outside the folder, for the examples as integers: with it, the verification also puts them
            back and finds the state before, exactly.

    Returns:
        The certificate, as JSON values.

    Raises:
        LabelError: not one label for each example, or of another type.
        InputError: they are still held, or neither examples nor a label are given, or `keep` lies in the folder.
    """
    if examples is None and label is None:
        raise InputError("Pass what was forgotten: examples, or a label.")
    label = None if label is None else known_label(label, brain.labels)
    if label is not None and label in brain.labels:
        raise InputError(f"{label!r} is still known: forget it first.")
    rows = brain.quantised(examples) if examples is not None else np.zeros((0, 0))
    names = [None] * len(rows) if labels is None else as_labels(labels, len(rows), next(iter(brain.labels), None))
    gone = [receipt.hex() for receipt in receipts_of(rows)] if len(rows) else []
    receipts = _receipts(brain.slots())
    held = sum(receipt in part for receipt in gone for part in receipts.values())
    if held:
        raise InputError(f"{held} of the examples are still held: forget them first.")
    forgotten = {
        "examples": gone, "labels": names, "label": label, "before": _before(brain, gone),
        "receipts": [[name, *listed] for name, listed in receipts.items()],
    }
    total = brain.exact_sums()
    sums = [_sum_of(["now"], "the state is that of this brain", brain.sums_digest())]
    if keep is not None:
        if forgotten["before"] is None or None in names:
            raise InputError(
                "The state before the forget cannot be proved: pass exactly the examples of one forget with their"
                " labels, and "
                "make the proof before the brain is taught again."
            )
        _keep(Path(keep), Path(folder), rows)
    about = {"claim": "forgotten", "epochs": {}, "sums": sums, "forgotten": forgotten}
    return _write(_make_room(folder, brain), brain, about, {"now": (brain.labels, total)})


def prove_log(brain: Brain, folder: str | os.PathLike[str], progress: Progress | None = None) -> dict[str, Any]:
    """Certify that what a brain knows is exactly the sum of what its log holds.

    The certificate holds the examples that remain, as the integers that were added, and sums for what the log holds no
    examples of: what other devices taught, and what was let go to stay within the budget. Anybody can add them up.

    Args:
        brain: one that lasts in a folder.
        folder: where the certificate goes; it must not exist, or hold a certificate.
        progress: called with how many examples are written, and how many there are.

    Returns:
        The certificate, as JSON values.

    Raises:
        InputError: the brain lives in memory only, or was taught nothing, or the folder holds something else.
        DamagedError: the log does not give what the brain knows.
    """
    ledger, bundle = brain._ledger, brain.bundle
    ledger.check_keeps("history")
    if bundle is None:
        raise InputError("There is nothing to prove: the brain has not been taught yet.")
    if ledger.recover(brain.seq, snapshots=False).total.digest() != brain.digest():
        raise DamagedError(f"{ledger.path}: replaying the log gives another state than the opened one: run engram"
                           f" verify.")
    target = _make_room(folder, brain)
    log, sums = _log(brain, target, bundle.row_width, progress)
    rest = brain.exact_sums()
    rest.merge(sums, np.arange(len(sums.counts)), -1)
    if rest.counts.any() or rest.gram().any():
        states = {"rest": (brain.labels, rest)}
        sentence = "the examples of the log, and the sums of what was melded or let go, are exactly the state"
    else:
        states = {}
        sentence = "the examples of the log are exactly the state"
    about = {
        "claim": "log", "epochs": {}, "sums": [_sum_of(["log", *states], sentence, brain.sums_digest())],
        "forgotten": None, "log": log, "seq": brain.seq,
    }
    return _write(target, brain, about, states)


def _sum_of(states: Sequence[str] | Mapping[str, Any], sentence: str, digest: str) -> dict[str, Any]:
    """The claim that states add up to a digest."""
    return {"of": list(states), "sentence": sentence, "digest": digest}


def _receipts(slots: Sequence[Slot]) -> dict[Label, list[str]]:
    whole: dict[Label, list[str]] = {}
    for slot in slots:
        for label, listed in slot.receipts.listed().items():
            whole.setdefault(label, []).extend(listed)
    return {label: sorted(listed) for label, listed in whole.items()}


def _before(brain: Brain, gone: Sequence[str]) -> str | None:
    """The digest before exactly these were forgotten, if nothing has changed since."""
    if brain.counterexamples:  # those digests tell of them too, the sums do not
        return None
    now = brain.digest()
    for edict in brain.edicts:
        if edict.kind == "forget examples" and edict.after == now and sorted(gone) == sorted(edict.receipts):
            return edict.before
    return None


def _make_room(folder: str | os.PathLike[str], brain: Brain) -> Path:
    """The folder of a certificate, made where it is not there.

    Raises:
        InputError: it holds something else, or the brain's sums are of another kind than certificates hold.
    """
    brain.check_sees_wholes("A certificate")
    target = Path(folder)
    if target.exists() and not (target / "certificate.json").is_file() and any(target.iterdir()):
        raise InputError(f"{target} holds something else: choose a new folder for the certificate.")
    make_folder(target)
    return target


def _write(
    folder: Path, brain: Brain, about: dict[str, Any], states: Mapping[str, tuple[Sequence[Label], ExactSums]]
) -> dict[str, Any]:
    """Write a certificate that claims `about`, with the sums it speaks of."""
    bundle = brain.bundle
    whole = {
        "format": FORMAT, "version": VERSION, "fingerprint": bundle and bundle.fingerprint, "digest": brain.digest(),
        **about, "states": {name: _state(folder, i, *state) for i, (name, state) in enumerate(states.items())},
    }
    whole["sha256"] = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
    write_atomically(folder / "certificate.json", json.dumps(whole, indent=1).encode())
    write_atomically(folder / SCRIPT, Path(__file__).with_name("verify_certificate.txt").read_bytes())
    return whole


def _state(folder: Path, number: int, labels: Sequence[Label], sums: ExactSums) -> dict[str, Any]:
    return {
        "labels": list(labels),
        "counts": [int(count) for count in sums.counts],
        "files": dict([
            _save(folder, f"sums-{number}.npy", sums.sums), _save(folder, f"total-{number}.npy", sums.gram())
        ]),
    }


def _save(folder: Path, name: str, array: npt.NDArray[Any]) -> tuple[str, str]:
    """Name and SHA-256 of the file written."""
    buffer = io.BytesIO()
    np.save(buffer, array.astype("<i8"), allow_pickle=False)
    write_atomically(folder / name, buffer.getvalue())
    return name, hashlib.sha256(buffer.getvalue()).hexdigest()


def _keep(target: Path, folder: Path, rows: npt.NDArray[Any]) -> None:
    if target.suffix != ".npy" or folder.resolve() in target.resolve().parents:
        raise InputError("The forgotten examples go to a .npy file outside the certificate's folder.")
    with writing(target) as out:
        np.save(out, rows.astype("<i2"), allow_pickle=False)


def _log(brain: Brain, folder: Path, width: int, progress: Progress | None) -> tuple[dict[str, Any], ExactSums]:
    """Write the examples and the places of their labels; what was written, and what they add up to."""
    log, timeline = brain._ledger.log, brain._ledger.timeline()
    names, spans = Names(timeline, brain.seq), timeline.in_force(brain.seq)
    count = sum(seq in spans for seq, _ in log.find(upto=brain.seq))
    place_of: dict[Label, int] = {label: place for place, label in enumerate(brain.labels)}
    sums, done = ExactSums(width), 0
    with writing(folder / EXAMPLES) as examples, writing(folder / LABELS) as labels:
        _begin(examples, "<i2", count, width)
        _begin(labels, "<i4", count)
        for run in _runs(item for span in spans for item in log.runs(span.start - 1, span.stop - 1)):
            named = zip(run.seqs, run.labels, strict=True)
            places = np.array([place_of[names.now(seq, label)] for seq, label in named], "<i4")
            examples.write(run.rows.astype("<i2").tobytes())
            labels.write(places.tobytes())
            sums.add(run.rows, places)
            done += len(run.seqs)
            if progress is not None:
                progress(done, count)
    files = {name: _digest(folder / name) for name in (EXAMPLES, LABELS)}
    return {"files": files, "labels": list(place_of), "examples": count}, sums


def _runs(items: Iterator[Any]) -> Iterator[Taught]:
    return (item for item in items if isinstance(item, Taught) and item.kind == TAUGHT and len(item.rows))


def _begin(out: IO[bytes], kind: str, *shape: int) -> None:
    """The head of a .npy file, whose rows follow as they are read, so that a long log needs no memory."""
    np.lib.format.write_array_header_1_0(out, {"descr": kind, "fortran_order": False, "shape": shape})


def _digest(file: Path) -> str:
    """The SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
