"""Setting alpha: the share of known things that may be refused, of all labels or of one."""

from __future__ import annotations

from typing import Any

from engram.brain.both_errors import percent
from engram.brain.changes import ALPHA, Prepared
from engram.brain.knowledge import Knowledge
from engram.brain.pseudonyms import is_pseudonym, shown
from engram.learner import Label
from engram.store.event import Event


def prepare(knowledge: Knowledge, share: float, label: Label | None) -> list[Prepared]:
    """Nothing where it is so already. Raises NotTaughtError where the label was never taught."""
    if label is not None:
        knowledge.check_known(label)
    if share == (knowledge.total.alpha if label is None else knowledge.alphas.get(label)):
        return []
    return [Prepared.event(ALPHA, {"alpha": share} if label is None else {"alpha": share, "label": label})]


def apply(knowledge: Knowledge, event: Event, referred: Any) -> None:
    body: Any = event.body
    share, label = float(body["alpha"]), body.get("label")
    if label is None:
        knowledge.alpha = share
    elif not is_pseudonym(label):  # a label that was forgotten needs none
        knowledge.alphas = {**knowledge.alphas, label: share}
    knowledge.tell_alphas(knowledge.alphas)


def describe(event: Event) -> str:
    body: Any = event.body
    of = shown(body["label"]) if "label" in body else "what is known"
    return f"{percent(body['alpha'])} of {of} may be refused"
