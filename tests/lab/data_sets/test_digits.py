import numpy as np
import pytest

pytest.importorskip("sklearn")

from engram.lab.data_sets.digits import WITHHELD, digits

FIRST_SUMS = [188284, 185258, 181639]


def test_the_three_parts_are_disjoint_and_miss_only_the_withheld_digit():
    data = digits()
    parts = np.concatenate([data.pretraining, data.teach, data.test])
    assert len(set(parts.tolist())) == len(parts)
    left_out = np.setdiff1d(np.arange(len(data.labels)), parts)
    assert set(data.labels[left_out].tolist()) == {WITHHELD}


def test_pretraining_never_sees_the_withheld_digit_and_the_others_are_everywhere():
    data = digits()
    assert WITHHELD not in data.labels[data.pretraining]
    for part in (data.teach, data.test):
        assert set(data.labels[part].tolist()) == set(range(10))


def test_the_split_is_the_one_that_the_packaged_backbone_was_trained_by():
    data = digits()
    assert [int(part[:200].sum()) for part in (data.pretraining, data.teach, data.test)] == FIRST_SUMS
