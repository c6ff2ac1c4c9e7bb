"""The 1,797 handwritten 8×8 digits that scikit-learn ships (E. Alpaydin, C. Kaynak 1998, UCI
"Optical Recognition of Handwritten Digits", its test part), and a fixed split of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.extras import check
from engram.lab.data_sets.data_set import DataSet

Indices = npt.NDArray[np.intp]

WITHHELD = 3
SPLIT_SEED = 0
PRETRAINING = 897
TEACH = 400


class Digits(NamedTuple):
    """Real digits and who may see which.

    Attributes:
        images: (1797, 8, 8) float32, 0 background to 16 ink.
        labels: (1797,) int64, 0 to 9.
        pretraining: places the packaged backbone was trained on; none is a 3.
        teach: places to teach a head from; all ten digits, never seen by the backbone.
        test: places to ask about; all ten digits, never seen by either.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    pretraining: Indices
    teach: Indices
    test: Indices


def digits() -> Digits:
    """The data set and its split; needs scikit-learn, downloads nothing.

    The first 897 places of a fixed permutation, without the 3s, are for pre-training, the next 400 for
    teaching, the last 500 for testing.

    Raises:
        InputError: scikit-learn is not installed; says how to install it.
    """
    check("The data set digits", "demo")
    from sklearn.datasets import load_digits

    data = load_digits()
    labels = data.target.astype(np.int64)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    first = order[:PRETRAINING]
    return Digits(
        data.images.astype(np.float32), labels,
        first[labels[first] != WITHHELD],
        order[PRETRAINING : PRETRAINING + TEACH],
        order[PRETRAINING + TEACH :],
    )


def load() -> DataSet:
    """scikit-learn's digits: 1,297 + 500 of (8, 8) uint8, 0 to 240; the test part is that of `digits`.

    Raises:
        InputError: scikit-learn is not installed; says how to install it.
    """
    data = digits()
    images = (data.images * 15).astype(np.uint8)
    taught = np.setdiff1d(np.arange(len(images)), data.test)
    return DataSet("digits", images[taught], data.labels[taught], images[data.test], data.labels[data.test])
