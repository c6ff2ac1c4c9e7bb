"""Product quantisation: a vector is cut into pieces, and of each piece only the number of the nearest of a few
centroids is kept (H. Jégou, M. Douze, C. Schmid, "Product quantization for nearest neighbor search", TPAMI 2011).

The centroids are those of k-means (Lloyd 1982), which starts from k-means++ (Arthur, Vassilvitskii 2007).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from engram.learner import InputError

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8]

PER_CENTROID = 64
"""Vectors to each centroid that k-means looks at; of more, a random choice."""

LARGEST = 1e15
"""Of the numbers of a vector: the squares of larger ones could not be added up in single precision."""

AT_ONCE = 2**18  # distances that are computed together: so few stay in the cache


class ProductQuantiser:
    """Vectors (N, D) <-> codes (N, M) of one byte for each of M pieces.

    `ProductQuantiser.fit(vectors, …)` makes one. Where M does not divide D, the last pieces are filled up with zeros.

    Args:
        codebooks: (M, K, w) float32, the K centroids, 256 at most, of each piece of w numbers.
        width: D.
    """

    def __init__(self, codebooks: Floats, width: int) -> None:
        if codebooks.ndim != 3 or not 1 <= codebooks.shape[1] <= 256 or not 1 <= width <= codebooks[:, 0].size:
            raise InputError(f"Codebooks are (pieces, 1 to 256 centroids, numbers), not {codebooks.shape}, and hold "
                             f"vectors of {width} numbers.")
        self.codebooks, self.width = np.ascontiguousarray(codebooks, np.float32), int(width)

    @classmethod
    def fit(
        cls, vectors: Array, rng: np.random.Generator, *, pieces: int = 8, centroids: int = 256, iterations: int = 25
    ) -> ProductQuantiser:
        """The quantiser of these (N, D) vectors.

        Args:
            pieces: M, at most D; the bytes of a code.
            centroids: K, of each piece; N where there are fewer vectors.
            iterations: of k-means at most; it ends where nothing moves.

        Raises:
            InputError: a number that cannot be, or no vectors.

        >>> rng = np.random.default_rng(0)
        >>> vectors = rng.normal(size=(1000, 12)).astype(np.float32)
        >>> quantiser = ProductQuantiser.fit(vectors, rng, pieces=4)
        >>> codes = quantiser.encode(vectors)
        >>> codes.shape, codes.dtype.name, quantiser.decode(codes).shape
        ((1000, 4), 'uint8', (1000, 12))
        """
        if vectors.ndim != 2 or not vectors.size or not 1 <= pieces <= vectors.shape[1]:
            raise InputError(f"Vectors {vectors.shape} cannot be cut into {pieces} pieces.")
        if not 1 <= centroids <= 256 or iterations < 1:
            raise InputError(f"centroids must be 1 to 256, iterations 1 or more, not {centroids} and {iterations}.")
        if not np.abs(vectors).max() < LARGEST:
            raise InputError(f"Numbers of {LARGEST:g} and beyond have no codes: scale the inputs.")
        most = PER_CENTROID * centroids
        chosen = vectors[rng.choice(len(vectors), most, replace=False)] if len(vectors) > most else vectors
        cut = _cut(chosen, pieces)
        books = [k_means(cut[:, piece], min(centroids, len(cut)), rng, iterations) for piece in range(pieces)]
        return cls(np.stack(books), vectors.shape[1])

    @property
    def nbytes(self) -> int:
        """What the centroids take, in bytes."""
        return self.codebooks.nbytes

    def encode(self, vectors: Array) -> Codes:
        """The codes, (N, M), of (N, D) vectors.

        Raises:
            InputError: vectors of another width.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.width:
            raise InputError(f"Vectors of {self.width} numbers have codes, not {vectors.shape}.")
        cut = _cut(vectors, len(self.codebooks))
        codes = np.empty(cut.shape[:2], np.uint8)
        for piece, centroids in enumerate(self.codebooks):
            codes[:, piece] = nearest(cut[:, piece], centroids)
        return codes

    def decode(self, codes: Codes) -> Floats:
        """The vectors, (N, D), that (N, M) codes stand for."""
        pieces = np.arange(len(self.codebooks))
        vectors: Floats = self.codebooks[pieces, codes].reshape(len(codes), -1)[:, : self.width]
        return vectors


def k_means(vectors: Floats, count: int, rng: np.random.Generator, iterations: int = 25) -> Floats:
    """`count` centroids, (count, D), of (N, D) vectors: each is the mean of those that it is nearest to.

    A centroid that is nearest to none is put where the vector lies that is farthest from its own.

    >>> ends = np.repeat(np.array([[0.0], [1.0], [5.0]], np.float32), 4, axis=0)
    >>> sorted(k_means(ends, 3, np.random.default_rng(0))[:, 0].tolist())
    [0.0, 1.0, 5.0]
    """
    centroids = _spread(vectors, count, rng)
    before = None
    for _ in range(iterations):
        own = nearest(vectors, centroids)
        if before is not None and np.array_equal(own, before):
            break
        before = own
        sizes = np.bincount(own, minlength=count)
        order = np.argsort(own, kind="stable")
        held = np.flatnonzero(sizes)
        starts = (np.cumsum(sizes) - sizes)[held]
        centroids[held] = np.add.reduceat(vectors[order], starts, axis=0) / sizes[held, None]
        if len(held) < count:
            far = np.square(vectors - centroids[own]).sum(axis=1)
            centroids[sizes == 0] = vectors[np.argsort(-far, kind="stable")[: count - len(held)]]
    return centroids


def nearest(vectors: Floats, centroids: Floats) -> npt.NDArray[np.intp]:
    """(N,) which of (K, D) centroids is nearest to each of (N, D) vectors."""
    slopes, lengths = -2 * centroids.T, np.square(centroids).sum(axis=1)
    some = max(1, AT_ONCE // len(centroids))
    found = np.empty(len(vectors), np.intp)
    for start in range(0, len(vectors), some):
        away = vectors[start : start + some] @ slopes
        away += lengths
        found[start : start + some] = away.argmin(axis=1)
    return found


def _cut(vectors: Array, pieces: int) -> Floats:
    """(N, pieces, w) of (N, D), filled up with zeros."""
    width = -(-vectors.shape[1] // pieces)
    whole = np.zeros((len(vectors), pieces * width), np.float32)
    whole[:, : vectors.shape[1]] = vectors
    return whole.reshape(len(vectors), pieces, width)


def _spread(vectors: Floats, count: int, rng: np.random.Generator) -> Floats:
    """k-means++: each next start is drawn with a chance that grows with the squared distance from those before."""
    starts = np.empty((count, vectors.shape[1]), np.float32)
    starts[0] = vectors[rng.integers(len(vectors))]
    lengths = np.square(vectors).sum(axis=1)
    far = _away(vectors, lengths, starts[0])
    for place in range(1, count):
        reach = np.cumsum(far, dtype=np.float64)
        row = int(np.searchsorted(reach, rng.random() * reach[-1], side="right")) if reach[-1] > 0 else 0
        starts[place] = vectors[min(row, len(vectors) - 1)]
        np.minimum(far, _away(vectors, lengths, starts[place]), out=far)
    return starts


def _away(vectors: Floats, lengths: Floats, start: Floats) -> Floats:
    """(N,) squared distances from a start (D,); `lengths` are those of the vectors, squared."""
    away: Floats = np.maximum(lengths - 2 * (vectors @ start) + start @ start, 0)
    return away
