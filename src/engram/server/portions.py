"""Many inputs answered in portions, all from the same view of the brain: no portion takes much time or memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from engram.brain import Brain
from engram.brain.examples import gather
from engram.learner import Label, Predictions

_PRODUCTS = 2**20  # inputs of one portion times what each is compared with
_FEWEST, _MOST = 16, 1024


def predicted(brain: Brain, items: Any, among: Iterable[Label] | None) -> Iterator[Predictions]:
    """What `brain.predict(items, among)` answers, portion after portion.

    Args:
        items: (N, D) vectors, or a list of texts or of pictures' bytes.

    Raises:
        InputError, LabelError: as `Brain.predict`.
    """
    bundle, view = brain.bundle, brain.view
    size = len(items)
    if bundle is None or size <= _FEWEST:
        yield brain.predict(_numbers(items), among)
        return
    rows = min(_MOST, max(_FEWEST, _PRODUCTS // (bundle.width + len(view.labels))))
    for start in range(0, size, rows):
        part = gather(_numbers(items[start : start + rows]), bundle.takes)
        yield view.predict(bundle.features(part.items), among)


def _numbers(items: Any) -> Any:
    """Whole numbers and bytes as numbers that a brain takes: late, since they take eight times the memory."""
    if isinstance(items, np.ndarray) and items.dtype not in (np.float32, np.float64):
        return items.astype(np.float64)
    return items
