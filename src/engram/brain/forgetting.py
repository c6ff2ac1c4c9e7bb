"""Which contribution loses what when single examples are forgotten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from engram.brain.slots import Slot
from engram.learner import Label, LabelError, NotTaughtError


def only_labels(slots: Sequence[Slot], receipts: Sequence[bytes]) -> list[Label]:
    """The label under which each example was taught, where it was taught under one only.

    Raises:
        NotTaughtError: it was never taught.
        LabelError: it was taught under several.
    """
    labels: list[Label] = []
    for place, receipt in enumerate(receipts):
        found = list(dict.fromkeys(label for slot in slots for label in slot.receipts.labels_of(receipt)))
        if not found:
            raise NotTaughtError(f"Example {place} to forget was never taught, or a gate skipped it.")
        if len(found) > 1:
            raise LabelError(f"Example {place} was taught as {found}: say which label is to lose it.")
        labels += found
    return labels


def plan_forgetting(slots: Sequence[Slot], receipts: Sequence[bytes], labels: Sequence[Label]) -> dict[str, list[int]]:
    """The places of the examples that each device's slot is to lose; the first slots that hold them lose them.

    Raises:
        NotTaughtError: an example is not held, or not as often.
    """
    plan: dict[str, list[int]] = {}
    taken: Counter[tuple[str, bytes, Label]] = Counter()
    for place, (receipt, label) in enumerate(zip(receipts, labels, strict=True)):
        for slot in slots:
            key = (slot.device, receipt, label)
            if slot.receipts.count(receipt, label) > taken[key]:
                taken[key] += 1
                plan.setdefault(slot.device, []).append(place)
                break
        else:
            raise NotTaughtError(
                f"Example {place} to forget was never taught as {label!r}, or not so often, or a gate skipped it."
            )
    return plan


def without(
    slot: Slot, rows: npt.NDArray[np.int16], receipts: Sequence[bytes], labels: Sequence[Label], places: Sequence[int]
) -> Slot:
    """A copy of a slot that has lost the examples at these places."""
    copy = slot.copy()
    names = [labels[i] for i in places]
    copy.head.forget_rows(rows[list(places)], names)
    copy.receipts.remove([receipts[i] for i in places], names)
    return copy
