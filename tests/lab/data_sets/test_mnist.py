import gzip

import numpy as np
import pytest

from engram.lab.data_sets.mnist import mnist, read_idx
from engram.learner import DamagedError
from engram.locations import MissingDataError


@pytest.fixture(scope="module")
def data():
    try:
        return mnist()
    except MissingDataError as missing:
        pytest.skip(str(missing))


def idx(shape, values):
    return bytes([0, 0, 8, len(shape)]) + np.array(shape, ">i4").tobytes() + bytes(values)


def test_the_published_counts_of_each_digit_are_there(data):
    assert np.bincount(data.train_labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(data.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_ink_is_bright_on_a_dark_border(data):
    assert data.train_images.shape == (60_000, 28, 28)
    assert data.train_images.max() == 255
    assert data.train_images[:, 0].mean() < 1


def test_an_idx_file_is_read_in_its_order(tmp_path):
    path = tmp_path / "small.gz"
    path.write_bytes(gzip.compress(idx((2, 2, 3), range(12))))
    assert read_idx(path, (2, 2, 3)).tolist() == np.arange(12).reshape(2, 2, 3).tolist()


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(idx((2, 2, 3), range(11))),
        gzip.compress(idx((2, 2, 3), range(13))),
        gzip.compress(idx((2, 3, 2), range(12))),
        gzip.compress(idx((2, 2, 3), range(12)))[:-9],
        b"not a gzip file",
        gzip.compress(b""),
    ],
    ids=["too short", "too long", "another shape", "truncated", "not gzip", "empty"],
)
def test_a_file_that_is_not_the_published_one_is_refused(tmp_path, content):
    path = tmp_path / "small.gz"
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"small\.gz"):
        read_idx(path, (2, 2, 3))
