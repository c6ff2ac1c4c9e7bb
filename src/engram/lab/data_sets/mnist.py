"""MNIST: 60,000 + 10,000 handwritten digits, 28×28 (LeCun, Bottou, Bengio, Haffner 1998)."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.lab.data_sets.data_set import DataSet
from engram.learner import DamagedError
from engram.locations import locate

Bytes = npt.NDArray[np.uint8]

HOW = (
    "put the four original files (train-images-idx3-ubyte.gz and its three siblings, mirrored at "
    "https://ossci-datasets.s3.amazonaws.com/mnist/) into a folder named 'mnist'"
)
FILES = {
    "train-images-idx3-ubyte.gz": (60_000, 28, 28),
    "train-labels-idx1-ubyte.gz": (60_000,),
    "t10k-images-idx3-ubyte.gz": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte.gz": (10_000,),
}


class Mnist(NamedTuple):
    """Images are (N, 28, 28) uint8, 0 background to 255 ink; labels are (N,) uint8, 0 to 9."""

    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes


def mnist() -> Mnist:
    """The data set in its published order.

    Raises:
        MissingDataError: not on this computer; says how to get it.
        DamagedError: a file is truncated, altered or of another shape.
    """
    folder = locate("mnist", *FILES, how=HOW)
    return Mnist(*(read_idx(folder / name, shape) for name, shape in FILES.items()))


def load() -> DataSet:
    """MNIST: 60,000 + 10,000 of (28, 28) uint8, labels 0 to 9, in their published order. Raises as `mnist`."""
    return DataSet("mnist", *mnist())


def read_idx(path: Path, shape: tuple[int, ...]) -> Bytes:
    """The array of unsigned bytes in a gzipped IDX file, which must have the given shape.

    The format: two zero bytes, 0x08 for unsigned bytes, the number of dimensions, each dimension as a
    big-endian int32, then the values.

    Raises:
        DamagedError: not such a file.
    """
    try:
        with gzip.open(path) as file:
            content = file.read()
    except (OSError, EOFError) as error:
        raise DamagedError(f"{path} is not a readable gzip file: {error}") from error
    header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">i4").tobytes()
    values = content[len(header) :]
    if not content.startswith(header) or len(values) != np.prod(shape):
        raise DamagedError(f"{path} is not an IDX file of {shape} unsigned bytes: download it again.")
    return np.frombuffer(values, np.uint8).reshape(shape)
