"""Fast learners over feature vectors. `make("fast")` gives the recommended one, `HEADS` lists them all."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engram.heads.head import Head

HEADS = {
    "fast": "engram.heads.fast:FastHead",
    "nearest_class_mean": "engram.heads.nearest_class_mean:NearestClassMean",
    "streaming_lda": "engram.heads.streaming_lda:StreamingLDA",
    "ridge": "engram.heads.ridge:Ridge",
    "ranpac": "engram.heads.ranpac:RanPAC",
    "nearest_neighbors": "engram.heads.nearest_neighbors:NearestNeighbors",
    "hopfield": "engram.heads.hopfield:Hopfield",
    "k_winners_take_all": "engram.heads.k_winners_take_all:KWinnersTakeAll",
    "fuzzy_artmap": "engram.heads.fuzzy_artmap:FuzzyARTMAP",
    "online_prototypes": "engram.heads.online_prototypes:OnlinePrototypes",
}
"""Where each head lives, by its name."""


def head_class(name: str) -> type[Head]:
    """The class of a head.

    Raises:
        LookupError: there is no head of this name.
    """
    if name not in HEADS:
        raise LookupError(f"There is no head {name!r}. Heads: {', '.join(HEADS)}.")
    module, _, attribute = HEADS[name].partition(":")
    found: type[Head] = getattr(import_module(module), attribute)
    return found


def make(name: str, **options: Any) -> Head:
    """A fresh head.

    Args:
        name: a key of `HEADS`.
        options: its constructor's arguments.

    >>> make("nearest_neighbors", k=1).config()["k"]
    1
    """
    return head_class(name)(**options)
