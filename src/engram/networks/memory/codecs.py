"""How a kept input is stored: as it is, in half precision, or as the codes of a product quantiser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from engram.learner import InputError, State
from engram.networks.memory.product_quantiser import ProductQuantiser

Array = npt.NDArray[Any]

ITERATIONS = 10
"""Of k-means: later ones make what is lost smaller by a percent or two, and a memory may be fitted often."""


class Raw:
    """Inputs (N, …) are kept as they are: their codes, (N, …), are themselves. The other codecs differ from this one.

    `make` makes one from its name and settings.
    """

    name: ClassVar[str] = "raw"

    @property
    def settings(self) -> dict[str, int]:
        """The arguments it was made with."""
        return {}

    @property
    def nbytes(self) -> int:
        """What it takes beside the codes, in bytes."""
        return 0

    def fit(self, inputs: Array, rng: np.random.Generator) -> None:
        """Called with inputs that are to be kept, the first of which count; raises InputError if they cannot be."""

    def encode(self, inputs: Array) -> Array:
        """The codes of inputs, row by row; raises InputError if they have none."""
        return inputs

    def decode(self, codes: Array) -> Array:
        """The inputs that codes stand for, as nearly as they tell."""
        return codes

    def state(self) -> State:
        """What `fit` found, as arrays."""
        return {}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Take back what `state` gave; raises KeyError, ValueError or InputError where it does not fit."""


class Half(Raw):
    """Floats are kept in half precision: two bytes, about three decimal digits.

    >>> Half().decode(Half().encode(np.array([[0.1]], np.float32)))
    array([[0.09997559]], dtype=float32)
    """

    name: ClassVar[str] = "half"

    def encode(self, inputs: Array) -> Array:
        """As float16; raises InputError for whole numbers, and for values beyond 65,504."""
        if inputs.dtype.kind != "f" or (inputs.size and np.abs(inputs).max() > np.finfo(np.float16).max):
            raise InputError("Half precision holds floats up to 65,504: scale the inputs, or keep them raw.")
        return inputs.astype(np.float16)

    def decode(self, codes: Array) -> Array:
        """As float32."""
        return codes.astype(np.float32)


class Product(Raw):
    """Inputs are kept as codes of a product quantiser, which is fitted to the first that come: `pieces` bytes each.

    Args:
        pieces, centroids: as of `ProductQuantiser.fit`.

    >>> rng = np.random.default_rng(0)
    >>> pictures, codec = rng.random((300, 28, 28), np.float32), Product(pieces=49)
    >>> codec.fit(pictures, rng)
    >>> codec.encode(pictures).nbytes, codec.decode(codec.encode(pictures)).shape
    (14700, (300, 28, 28))
    """

    name: ClassVar[str] = "product"

    def __init__(self, pieces: int = 32, centroids: int = 256) -> None:
        if pieces < 1 or not 1 <= centroids <= 256:
            raise InputError(f"pieces must be 1 or more, centroids 1 to 256, not {pieces} and {centroids}.")
        self.pieces, self.centroids = pieces, centroids
        self.quantiser: ProductQuantiser | None = None
        self._shape: tuple[int, ...] = ()

    @property
    def settings(self) -> dict[str, int]:
        """Pieces and centroids."""
        return {"pieces": self.pieces, "centroids": self.centroids}

    @property
    def nbytes(self) -> int:
        """What the centroids take."""
        return 0 if self.quantiser is None else self.quantiser.nbytes

    def fit(self, inputs: Array, rng: np.random.Generator) -> None:
        """Find the centroids in the first (N, …) floats; raises InputError for others, or fewer numbers than pieces."""
        if self.quantiser is not None or not len(inputs):
            return
        if inputs.dtype.kind != "f":
            raise InputError("A product quantiser takes floats: keep whole numbers raw.")
        rows = inputs.reshape(len(inputs), -1)
        self.quantiser = ProductQuantiser.fit(rows, rng, pieces=self.pieces, centroids=self.centroids,
                                              iterations=ITERATIONS)
        self._shape = inputs.shape[1:]

    def encode(self, inputs: Array) -> Array:
        """(N, pieces) uint8."""
        return self._fitted().encode(inputs.reshape(len(inputs), -1))

    def decode(self, codes: Array) -> Array:
        """(N, …) float32."""
        return self._fitted().decode(codes).reshape(len(codes), *self._shape)

    def _fitted(self) -> ProductQuantiser:
        if self.quantiser is None:
            raise InputError("The quantiser was fitted to nothing yet.")
        return self.quantiser

    def state(self) -> State:
        """The centroids and the shape of an input; nothing before they were found."""
        if self.quantiser is None:
            return {}
        return {"codebooks": self.quantiser.codebooks.copy(), "shape": np.array(self._shape, np.int64)}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Take back what `state` gave; raises KeyError, ValueError or InputError where it does not fit."""
        if not state:
            return
        books, shape = state["codebooks"], tuple(state["shape"].tolist())
        if len(books) != self.pieces or not np.isfinite(books).all() or min(shape, default=1) < 1:
            raise ValueError(f"centroids {books.shape} for {self.pieces} pieces of inputs {shape}")
        self.quantiser, self._shape = ProductQuantiser(books, int(np.prod(shape))), shape


CODECS: dict[str, type[Raw]] = {"raw": Raw, "half": Half, "product": Product}


def make(name: str = "raw", **settings: int) -> Raw:
    """The codec of that name.

    Raises:
        InputError: there is none, or it has no such settings.

    >>> make("product", pieces=8).settings
    {'pieces': 8, 'centroids': 256}
    """
    if name not in CODECS:
        raise InputError(f"Unknown codec {name!r}. Choose from: {', '.join(CODECS)}.")
    try:
        return CODECS[name](**settings)
    except TypeError as error:
        raise InputError(f"The codec {name!r} has no such settings: {error}") from error
