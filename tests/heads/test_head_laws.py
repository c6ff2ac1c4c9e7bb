"""Every head keeps the laws."""

import copy
import pickle

import numpy as np
import pytest

from engram.checks import LawBroken, learner_checks
from engram.heads.fast import FastHead
from engram.heads.fuzzy_artmap import FuzzyARTMAP
from engram.heads.hopfield import Hopfield
from engram.heads.k_winners_take_all import KWinnersTakeAll
from engram.heads.nearest_class_mean import NearestClassMean
from engram.heads.nearest_neighbors import NearestNeighbors
from engram.heads.online_prototypes import OnlinePrototypes
from engram.heads.parts import GoodParts
from engram.heads.ranpac import RanPAC
from engram.heads.ridge import Ridge
from engram.heads.streaming_lda import StreamingLDA

MAKERS = {
    "fast": FastHead,
    "fast raw": lambda: FastHead(normalise=False),
    "good_parts": lambda: GoodParts(normalise=False),
    "nearest_class_mean": NearestClassMean,
    "streaming_lda": StreamingLDA,
    "streaming_lda oas": lambda: StreamingLDA("oas", normalise=False),
    "ridge": Ridge,
    "ridge fixed": lambda: Ridge(penalty=0.1, normalise=False),
    "ranpac": lambda: RanPAC(units=40),
    "nearest_neighbors": lambda: NearestNeighbors(capacity=30),
    "nearest_neighbors all": lambda: NearestNeighbors(capacity=None, weights="distance"),
    "hopfield": lambda: Hopfield(capacity=30),
    "hopfield all": lambda: Hopfield(capacity=None, normalise=False),
    "k_winners_take_all": lambda: KWinnersTakeAll(units=300),
    "fuzzy_artmap": lambda: FuzzyARTMAP(capacity=10),
    "fuzzy_artmap raw": lambda: FuzzyARTMAP(vigilance=0.8, normalise=False, capacity=20),
    "online_prototypes": lambda: OnlinePrototypes(capacity=10),
}


@pytest.mark.parametrize("check", learner_checks(), ids=str)
@pytest.mark.parametrize("name", MAKERS)
def test_heads_keep(name, check):
    if check.law == 7 and name.endswith(" all"):
        with pytest.raises(LawBroken, match="bytes after"):
            check(MAKERS[name])
    else:
        check(MAKERS[name])


@pytest.mark.parametrize("kind", MAKERS)
def test_a_head_is_copied_and_pickled_as_its_state(kind: str) -> None:
    head = MAKERS[kind]()
    rows = np.random.default_rng(0).normal(size=(12, 3)) / 4
    head.learn(rows, ["a", "b", "c"] * 4)
    for made in (copy.deepcopy(head), copy.copy(head), pickle.loads(pickle.dumps(head))):
        assert made.digest() == head.digest()
        assert made.predict(rows).labels == head.predict(rows).labels
        made.learn(rows[:1], "d")
        assert "d" not in head.labels
