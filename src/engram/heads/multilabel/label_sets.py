"""Several labels of one input, as one text: sorted, with semicolons between them. So it is kept like any label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from engram.learner import Label, LabelError

MARK = ";"


def are_sets(targets: Any) -> bool:
    """Whether targets give several labels for an input, or a list of them.

    >>> are_sets([["red", "round"], ["red"]]), are_sets(["red", "round"]), are_sets("red;round")
    (True, False, False)
    """
    return isinstance(targets, list | tuple) and any(isinstance(one, list | set | frozenset) for one in targets)


def one_set(given: Any) -> Label:
    """The labels of one input as one text, or its only label as it is.

    Args:
        given: a label, a text with semicolons between labels, or a collection of labels.

    Raises:
        LabelError: no label at all, or several that are no texts.

    >>> one_set(["round", "red"]), one_set("round;red"), one_set(7)
    ('red; round', 'red; round', 7)
    """
    several = isinstance(given, list | tuple | set | frozenset)
    found: list[Any] = list(given) if several else [given]
    if any(isinstance(one, str) for one in found):
        if not all(isinstance(one, str) for one in found):
            raise LabelError(f"The labels of an input are all texts or a whole number alone, not {given!r}.")
        found = sorted({part for one in found for part in _parts(one)})
    if not found:
        raise LabelError("An input has no label: give each at least one. What it is not, the others' labels say.")
    if len(set(found)) == 1:
        label: Label = found[0]
        return label
    if not isinstance(found[0], str):
        raise LabelError(f"Several labels of one input are texts: write {[str(one) for one in found[:3]]}, not "
                         f"{found[:3]!r}.")
    return f"{MARK} ".join(found)


def _parts(text: str) -> list[str]:
    """The labels in a text; one without a semicolon is one, as it is."""
    return [text] if MARK not in text else [part.strip() for part in text.split(MARK) if part.strip()]


def all_sets(targets: Any, count: int) -> list[Label]:
    """`one_set` for each of `count` inputs: one for all of them, or one for each.

    Raises:
        LabelError: not one for each, or see `one_set`.
    """
    if isinstance(targets, str | int | set | frozenset):
        return [one_set(targets)] * count
    given = list(targets)
    if len(given) != count:
        raise LabelError(f"{len(given)} lists of labels for {count} inputs: give one for each, such as [['red', "
                         "'round'], ['red']].")
    return [one_set(one) for one in given]


def members(label: Label) -> tuple[Label, ...]:
    """The single labels in one that is kept.

    >>> members("red; round"), members(7)
    (('red', 'round'), (7,))
    """
    return tuple(label.split(f"{MARK} ")) if isinstance(label, str) else (label,)


def singles(labels: Iterable[Label]) -> tuple[Label, ...]:
    """The different single labels, in the order of their first arrival."""
    return tuple(dict.fromkeys(one for label in labels for one in members(label)))


def holding(label: Label, labels: Sequence[Label]) -> list[Label]:
    """Those kept labels that a single one is part of."""
    return [one for one in labels if label in members(one)]
