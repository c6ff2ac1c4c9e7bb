"""Several labels for one input: when they are taught, and what the labels of a brain are then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engram.brain.knowledge import Knowledge
from engram.features.backbones.bundle import Bundle
from engram.heads.multilabel.label_sets import all_sets, are_sets, holding, members, one_set, singles
from engram.inputs.examples import Examples
from engram.inputs.vectors import as_labels
from engram.learner import InputError, Label, LabelError, NotTaughtError


def for_several(knowledge: Knowledge, bundle: Bundle, targets: Any, wanted: bool | None) -> Bundle:
    """The bundle for inputs with several labels each, or with one, as the brain knows them, or from now on.

    Args:
        targets: what is taught; lists of labels are several for each input.
        wanted: True for several, False for one, None for what the targets are.

    Raises:
        InputError: the brain was taught the other kind, or has a gate.
    """
    if bundle.targets is not None:  # lists are of numbers then
        if wanted:
            raise InputError("Numbers and several labels cannot be taught together.")
        return bundle
    given = are_sets(targets)
    if knowledge.begun and knowledge.bundle is not None:
        if not bundle.multilabel and (given or wanted):
            raise InputError("This brain was taught one label for each input; several need a brain of their own: teach "
                             "them to a new one.")
        return bundle
    several = given or bundle.multilabel if wanted is None else wanted
    if several and bundle.grid is not None:
        raise InputError("A brain of good parts knows each by one label.")
    if several and knowledge.options["gate"] is not None:
        raise InputError("This brain has a gate, which skips what is well known by its one label. Make a new brain"
                         " without gate.")
    return bundle.with_sets(several)


def labels_given(bundle: Bundle, examples: Examples, targets: Any) -> list[Label]:
    """A label for each example as it is kept: where there may be several, these as one.

    Raises:
        LabelError: there are none, or not one, or one list, for each.
    """
    if not bundle.multilabel:
        if are_sets(targets):
            raise LabelError("This brain has one label for each input, not lists of them.")
        return examples.labelled(targets, None)
    if targets is not None and examples.target is None and not isinstance(targets, str | int):
        return as_labels(all_sets(targets, len(examples)), len(examples))
    return [one_set(label) for label in examples.labelled(targets, None)]


def label_given(bundle: Bundle | None, label: Any) -> Any:
    """A label as it is kept: where there may be several, these as one."""
    return one_set(label) if bundle is not None and bundle.multilabel else label


def single(bundle: Bundle | None, labels: tuple[Label, ...]) -> tuple[Label, ...]:
    """The labels that can be answered."""
    return singles(labels) if bundle is not None and bundle.multilabel else labels


def counted(bundle: Bundle | None, counts: Mapping[Label, int]) -> dict[Label, int]:
    """How many examples have each label that can be answered."""
    if bundle is None or not bundle.multilabel:
        return dict(counts)
    found: dict[Label, int] = {}
    for label, count in counts.items():
        for one in singles([label]):
            found[one] = found.get(one, 0) + count
    return found


def kept_with(knowledge: Knowledge, label: Label) -> list[Label]:
    """The kept labels that a label is, or is part of. Raises NotTaughtError where it was never taught."""
    bundle = knowledge.bundle
    if bundle is None or not bundle.multilabel:
        return [label]
    found = holding(label, knowledge.total.named)
    if not found:
        raise NotTaughtError(f"{label!r} was never taught. Known: {list(singles(knowledge.total.labels))[:20]}.")
    return found


def called_otherwise(kept: Label, old: Label, new: Label) -> Label:
    """A kept label with one of its labels called otherwise."""
    return one_set([new if one == old else one for one in members(kept)])


def check_one_label(bundle: Bundle | None, what: str) -> None:
    """Raises InputError where an input may have several labels and something is asked that speaks of one."""
    if bundle is not None and bundle.multilabel:
        raise InputError(f"This brain tells several labels of an input; {what}.")
