"""Every head keeps the laws."""

import pytest

from engram.checks import learner_checks
from engram.heads.nearest_class_mean import NearestClassMean
from engram.heads.ranpac import RanPAC
from engram.heads.ridge import Ridge
from engram.heads.streaming_lda import StreamingLDA

MAKERS = {
    "nearest_class_mean": NearestClassMean,
    "streaming_lda": StreamingLDA,
    "ridge": Ridge,
    "ranpac": lambda: RanPAC(units=40),
}


@pytest.mark.parametrize("check", learner_checks(), ids=str)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_heads_keep(make, check):
    check(make)
