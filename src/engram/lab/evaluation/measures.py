"""What predictions are worth: accuracy, recall, confusion, and telling the unknown from the known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.inputs.boxes import Box, overlap
from engram.learner import FloatArray, InputError, Label


def accuracy(predicted: Sequence[Label | None], truth: Sequence[Label]) -> float:
    """Share of inputs whose predicted label is the true one, in [0, 1]; None never is.

    Raises:
        InputError: nothing to compare, or two lengths.

    >>> accuracy(["a", "b", None], ["a", "b", "b"])
    0.6666666666666666
    """
    _same_length(predicted, truth)
    return sum(p == t for p, t in zip(predicted, truth, strict=True)) / len(truth)


def recall(predicted: Sequence[Label | None], truth: Sequence[Label], label: Label) -> float:
    """Share of the inputs of one label that were recognised as it; NaN where there are none."""
    _same_length(predicted, truth)
    mine = [p == label for p, t in zip(predicted, truth, strict=True) if t == label]
    return sum(mine) / len(mine) if mine else float("nan")


def precision(predicted: Sequence[Label | None], truth: Sequence[Label], label: Label) -> float:
    """Share of the inputs recognised as a label that are of that label; NaN where there are none."""
    _same_length(predicted, truth)
    mine = [t == label for p, t in zip(predicted, truth, strict=True) if p == label]
    return sum(mine) / len(mine) if mine else float("nan")


def confusion_matrix(
    predicted: Sequence[Label | None], truth: Sequence[Label], labels: Sequence[Label]
) -> npt.NDArray[np.int64]:
    """Counts of (true, predicted): (C, C) int64, rows the truth, in the order of `labels`.

    With refusals ("Nothing I know", None) among the predictions it has one more column, for them.

    Raises:
        InputError: a label that is not in `labels`, or two lengths.

    >>> confusion_matrix(["a", None, "b"], ["a", "b", "b"], ["a", "b"]).tolist()
    [[1, 0, 0], [0, 1, 1]]
    """
    _same_length(predicted, truth)
    book: dict[Label | None, int] = {label: i for i, label in enumerate(labels)}
    columns = len(labels) + any(p is None for p in predicted)
    book[None] = len(labels)
    missing = (set(truth) | set(predicted)) - set(book)
    if missing:
        raise InputError(f"Not among the labels of the matrix: {sorted(map(str, missing))}.")
    matrix = np.zeros((len(labels), columns), np.int64)
    np.add.at(matrix, ([book[t] for t in truth], [book[p] for p in predicted]), 1)
    return matrix


def auroc(known: Any, unknown: Any) -> float:
    """Area under the ROC curve: the chance that a known input scores above an unknown one, ties half.

    The Mann-Whitney statistic by mid-ranks, O(n log n): no threshold is involved.

    Args:
        known: (N,) scores of known inputs, larger meaning "more known".
        unknown: (M,) scores of unknown inputs.

    Returns:
        In [0, 1]; 0.5 is chance.

    Raises:
        InputError: an empty side, or scores that are NaN.

    >>> auroc([3, 2, 2], [1, 2])
    0.8333333333333334
    """
    high, low = _scores(known, "known"), _scores(unknown, "unknown")
    _, place, times = np.unique(np.concatenate([high, low]), return_inverse=True, return_counts=True)
    midranks = (np.cumsum(times) - (times - 1) / 2)[place]
    wins = midranks[: len(high)].sum() - len(high) * (len(high) + 1) / 2
    return float(wins / (len(high) * len(low)))


def share_refused(known: Any) -> float:
    """Share of inputs that a learner called unknown, from `Predictions.known`.

    Args:
        known: (N,) booleans.

    Raises:
        InputError: there are none.
    """
    flags = np.asarray(known, dtype=bool)
    if not flags.size:
        raise InputError("Nothing to compare: 0 predictions.")
    return float(1.0 - flags.mean())


def share_accepted(known: Any) -> float:
    """Share of inputs that a learner called known, from `Predictions.known`."""
    return 1.0 - share_refused(known)


def threshold_refusing(scores: Any, share: float) -> float:
    """The score below which `share` of these known inputs lie (linear quantile), share in [0, 1]."""
    return float(np.quantile(_scores(scores, "known"), share))


def _scores(values: Any, side: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64).ravel()
    if not array.size or np.isnan(array).any():
        raise InputError(f"The scores of the {side} inputs are empty or contain NaN.")
    return array


def _same_length(predicted: Sequence[Any], truth: Sequence[Any]) -> None:
    if len(predicted) != len(truth) or not len(truth):
        raise InputError(f"Cannot compare {len(predicted)} predictions with {len(truth)} labels.")


def average_precision(
    found: Sequence[Sequence[tuple[Box, float]]], there: Sequence[Sequence[Box]], least: float = 0.5
) -> float:
    """The area under precision over recall of one label, in [0, 1].

    Everingham, Van Gool, Williams, Winn and Zisserman 2010, "The PASCAL visual object classes (VOC) challenge".

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
