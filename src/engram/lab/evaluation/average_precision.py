"""Average precision of boxes, as the area under the whole curve of precision over recall.

Everingham, Van Gool, Williams, Winn and Zisserman 2010, "The PASCAL visual object classes (VOC) challenge".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engram.inputs.boxes import Box, overlap


def average_precision(
    found: Sequence[Sequence[tuple[Box, float]]], there: Sequence[Sequence[Box]], least: float = 0.5
) -> float:
    """The area under precision over recall of one label, in [0, 1].

    Args:
        found: for each picture the boxes that were told, with their scores.
        there: for each picture the boxes that are there; some in all.
        least: intersection over union from which a box is right. Each box that is there counts for one told box alone.

    >>> box, off = Box(0, 0, 4, 4), Box(9, 9, 12, 12)
    >>> average_precision([[(box, 0.9), (off, 0.5)]], [[box]]), average_precision([[(box, 0.5), (off, 0.9)]], [[box]])
    (1.0, 0.5)
    """
    told = sorted(((score, place, box) for place, some in enumerate(found) for box, score in some),
                  key=lambda one: -one[0])
    taken: set[tuple[int, int]] = set()
    right = np.zeros(len(told))
    for i, (_, place, box) in enumerate(told):
        shares = [overlap(box, other) for other in there[place]]
        best = int(np.argmax(shares)) if shares else -1
        if best >= 0 and shares[best] >= least and (place, best) not in taken:
            taken.add((place, best))
            right[i] = 1.0
    recall = right.cumsum() / sum(map(len, there))
    precision = right.cumsum() / np.arange(1, len(told) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * envelope).sum())
