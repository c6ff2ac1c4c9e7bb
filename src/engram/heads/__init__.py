"""Fast learners over feature vectors. `make("fast")` gives the recommended one, `HEADS` lists them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engram.extension import Extension, Extensions

if TYPE_CHECKING:
    from engram.heads.head import Head

HEADS = Extensions("head", {
    "fast": Extension(
        path="engram.heads.fast:FastHead", takes=("vectors",),
        summary="exact sums and single examples: good from one example on, exact in forgetting; the recommended one",
    ),
    "good_parts": Extension(
        path="engram.heads.parts:GoodParts", takes=("vectors",),
        summary="a Gaussian for each label and place of a map: taught good parts alone, it finds what is not one",
        source="Defard et al. 2021",
    ),
    "nearest_class_mean": Extension(
        path="engram.heads.nearest_class_mean:NearestClassMean", takes=("vectors",), short=("ncm",),
        summary="the nearest class mean answers", source="Mensink et al. 2013",
    ),
    "streaming_lda": Extension(
        path="engram.heads.streaming_lda:StreamingLDA", takes=("vectors",), short=("slda",),
        summary="class means and one shrunken covariance", source="Hayes, Kanan 2020",
    ),
    "ridge": Extension(
        path="engram.heads.ridge:Ridge", takes=("vectors",),
        summary="ridge regression onto one-hot labels, in closed form", source="Hoerl, Kennard 1970",
    ),
    "ranpac": Extension(
        path="engram.heads.ranpac:RanPAC", takes=("vectors",),
        summary="ridge regression on random features", source="McDonnell et al. 2023",
    ),
    "nearest_neighbors": Extension(
        path="engram.heads.nearest_neighbors:NearestNeighbors", takes=("vectors",), short=("knn",),
        summary="the k nearest of all examples vote", source="Cover, Hart 1967",
    ),
    "hopfield": Extension(
        path="engram.heads.hopfield:Hopfield", takes=("vectors",),
        summary="all examples vote, the nearest most, as in a modern Hopfield network", source="Ramsauer et al. 2021",
    ),
    "k_winners_take_all": Extension(
        path="engram.heads.k_winners_take_all:KWinnersTakeAll", takes=("vectors",), short=("kwta",),
        summary="counts over a sparse random code: the k most active of many cells", source="Shen et al. 2023",
    ),
    "fuzzy_artmap": Extension(
        path="engram.heads.fuzzy_artmap:FuzzyARTMAP", takes=("vectors",),
        summary="boxes around examples, one more where none fits", source="Carpenter et al. 1992",
    ),
    "online_prototypes": Extension(
        path="engram.heads.online_prototypes:OnlinePrototypes", takes=("vectors",),
        summary="adds a prototype where the present ones are wrong", source="Alpaydın 1994",
    ),
})
"""Every head by its name. To add one: a file in this folder, and a row here."""


def head_class(name: str) -> type[Head]:
    """The class of a head.

    Raises:
        InputError: there is no head of this name; says which there are.
    """
    found: type[Head] = HEADS.load(name)
    return found


def make(name: str, **options: Any) -> Head:
    """A fresh head.

    Args:
        name: a key of `HEADS`, or a short name of its row.
        options: its constructor's arguments.

    >>> make("nearest_neighbors", k=1).config()["k"]
    1
    """
    return head_class(name)(**options)
