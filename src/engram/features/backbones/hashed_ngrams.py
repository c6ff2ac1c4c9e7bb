"""Text as hashed n-grams: words, pairs of nearby words, and pieces of words, with nothing to download or to train.

Every n-gram is hashed to one of D places and to a sign, and its weight is added there: inner products of the hashed
vectors are those of the full ones on average (Weinberger et al. 2009, "Feature hashing for large scale multitask
learning"). Pieces of words make forms of a word, and misspellings, alike (Bojanowski et al. 2017); pairs carry what
little of the order matters (skip-bigrams, Lin and Och 2004). Repeated n-grams count 1 + ln n.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from engram.features.backbones.backbone import Features, Takes, fingerprint_of, in_batches, restored
from engram.inputs.text import as_texts
from engram.learner import InputError
from engram.progress import Progress

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.intp]

VERSION = 1
"""Raised whenever the same text would give other features."""

_BATCH = 256
_WORDS = re.compile(r"\w+")
_MARKS = re.compile(r"[^\w\s]+")
_QUOTES = str.maketrans("", "", "'’`")
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_INVERSE = pow(_BASE, -1, 2**64)
_SPACE, _BREAK = ord(" "), ord("\n")


class Grams(NamedTuple):
    """Hashes, and the text that each is in."""

    hashes: Hashes
    texts: Places


class HashedNgrams:
    """Texts -> (N, D) float32 of unit length; the same on every machine.

    Args:
        width: D, a power of two. More places, fewer collisions, at most a few points of accuracy; a head's work grows
            with D².
        words, pairs, pieces: what each kind of n-gram contributes to the squared length; 0 leaves it out.
        window: pairs are of words at most this many places apart, the text's begin and end among them.
        shortest, longest: length of the pieces of words in characters, a blank at either end of the word included.
        name: what people call it.

    Case, quotation marks and apostrophes make no difference; marks count only in a text that has no words.

    >>> backbone = HashedNgrams()
    >>> a, b, c = backbone.features(["transfer money to Ann", "Money transfers for Ann?", "play some jazz"])
    >>> bool(a @ b > 2 * abs(a @ c))
    True
    """

    kind: ClassVar[str] = "hashed-ngrams"
    takes: Takes = "text"
    network_file: ClassVar[str | None] = None

    def __init__(
        self,
        width: int = 1024,
        *,
        words: float = 1.0,
        pairs: float = 1.0,
        pieces: float = 2.0,
        window: int = 3,
        shortest: int = 2,
        longest: int = 5,
        name: str = "hashed-ngrams",
    ) -> None:
        if isinstance(width, bool) or not isinstance(width, int) or width < 2 or width & (width - 1):
            raise InputError(f"width is a power of two, not {width!r}.")
        shares = (words, pairs, pieces)
        if not all(0 <= share < float("inf") for share in shares) or not words + pieces > 0:
            raise InputError(f"words, pairs and pieces are weights of at least 0, words or pieces above it: {shares}.")
        if not (window >= 1 and 1 <= shortest <= longest):
            raise InputError(f"window is at least 1, and 1 <= shortest <= longest: {window}, {shortest}, {longest}.")
        self.name, self.width = name, width
        self.words, self.pairs, self.pieces = map(float, shares)
        self.window, self.shortest, self.longest = int(window), int(shortest), int(longest)
        self.fingerprint = fingerprint_of(self.kind, self.config(), None)

    def features(self, inputs: Any, progress: Progress | None = None) -> Features:
        """One text or many as (N, D) float32 of unit length.

        Raises:
            InputError: not text, empty, or too long.
        """
        texts = as_texts(inputs)
        return in_batches(texts, self._features, size=_BATCH, total=len(texts), progress=progress)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, and the version of the hashing."""
        return {
            "version": VERSION, "width": self.width, "words": self.words, "pairs": self.pairs, "pieces": self.pieces,
            "window": self.window, "shortest": self.shortest, "longest": self.longest,
        }

    def network(self) -> None:
        """There is none."""

    @classmethod
    def restore(cls, name: str, config: dict[str, Any], network: bytes | None) -> Self:
        """The backbone that a bundle holds.

        Raises:
            DamagedError: the configuration cannot be used.
        """
        return restored(cls, name, config, VERSION)

    def _features(self, texts: list[str]) -> npt.NDArray[np.float64]:
        line = _Line(texts)
        words = line.words()
        vectors = self._hashed(words, 1, self.words, len(texts))
        vectors += self._hashed(_pairs(words, self.window, len(texts)), 2, self.pairs, len(texts))
        vectors += self._hashed(line.pieces(self.shortest, self.longest), 3, self.pieces, len(texts))
        lengths = np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))
        unit: npt.NDArray[np.float64] = vectors / np.where(lengths > 0, lengths, 1.0)
        return unit

    def _hashed(self, grams: Grams, kind: int, share: float, count: int) -> npt.NDArray[np.float64]:
        """(count, D) sums of signed weights; each text's weights have length √share before they are hashed."""
        hashes, texts = _mixed(grams.hashes + np.uint64(kind)), grams.texts
        order = np.lexsort((hashes, texts))
        hashes, texts = hashes[order], texts[order]
        first = np.flatnonzero(np.r_[len(hashes) > 0, (np.diff(texts) != 0) | (np.diff(hashes) != 0)])
        times = np.diff(np.r_[first, len(hashes)])
        hashes, texts, weights = hashes[first], texts[first], 1 + np.log(times)
        lengths = np.sqrt(np.bincount(texts, np.square(weights), count))
        weights *= np.sqrt(share) / lengths[texts]
        weights[hashes >> np.uint64(63) == 1] *= -1
        places = texts * self.width + (hashes & np.uint64(self.width - 1)).astype(np.intp)
        sums: npt.NDArray[np.float64] = np.bincount(places, weights, count * self.width).astype(np.float64)
        return sums.reshape(count, self.width)


class _Line:
    """Many texts as one line of code points: words between blanks, texts between line breaks.

    The hash of code points i to j is Σ c_k B^(k−i) modulo 2^64, from one running sum for all of them.
    """

    def __init__(self, texts: list[str]) -> None:
        line = "\n" + "\n".join(f" {' '.join(_tokens(text))} " for text in texts) + "\n"
        self._points = np.frombuffer(line.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
        powers = np.full(len(self._points), _BASE, np.uint64)
        inverses = np.full(len(self._points), _INVERSE, np.uint64)
        powers[0] = inverses[0] = 1
        self._inverses = np.multiply.accumulate(inverses)
        sums = np.add.accumulate((self._points + np.uint64(1)) * np.multiply.accumulate(powers))
        self._sums = np.r_[np.zeros(1, np.uint64), sums]
        self._breaks = np.add.accumulate(self._points == _BREAK)

    def words(self) -> Grams:
        blanks = np.flatnonzero(self._points == _SPACE)
        inside = self._breaks[blanks[:-1]] == self._breaks[blanks[1:]]
        return self._grams(blanks[:-1][inside] + 1, blanks[1:][inside])

    def pieces(self, shortest: int, longest: int) -> Grams:
        """Runs of characters in a word with a blank at its begin and end; blanks only at the ends of a run."""
        letters = self._points > _SPACE
        barred = np.r_[0, np.add.accumulate(~letters)]
        parts = []
        for size in range(shortest, min(longest, len(letters)) + 1):
            starts = np.arange(len(letters) - size + 1)
            ends = starts + size
            whole = (self._points[starts] != _BREAK) & (self._points[ends - 1] != _BREAK)
            whole &= barred[np.maximum(ends - 1, starts + 1)] == barred[starts + 1]
            whole &= letters[starts] | letters[np.minimum(starts + 1, ends - 1)]
            parts.append(self._grams(starts[whole], ends[whole]))
        return Grams(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def _grams(self, starts: Places, ends: Places) -> Grams:
        hashes = (self._sums[ends] - self._sums[starts]) * self._inverses[starts]
        return Grams(hashes, self._breaks[starts] - 1)


def _tokens(text: str) -> list[str]:
    """The words of a text, in small letters; what marks there are where there is no word."""
    plain = text.casefold().translate(_QUOTES)
    return _WORDS.findall(plain) or _MARKS.findall(plain) or _MARKS.findall(text)


def _pairs(words: Grams, window: int, count: int) -> Grams:
    """Pairs of words at most `window` places apart in one text; its begin and its end count as words."""
    everywhere = np.arange(count)
    texts = np.concatenate([everywhere, words.texts, everywhere])
    order = np.argsort(texts, kind="stable")
    texts = texts[order]
    begin, end = np.full(count, 1, np.uint64), np.full(count, 2, np.uint64)
    hashes = np.concatenate([begin, words.hashes, end])[order]
    first, second = _mixed(hashes), _mixed(hashes + np.uint64(_BASE))
    parts = []
    for apart in range(1, window + 1):
        same = texts[:-apart] == texts[apart:]
        parts.append(Grams((first[:-apart] * np.uint64(3) + second[apart:])[same], texts[apart:][same]))
    return Grams(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _mixed(hashes: Hashes) -> Hashes:
    """Every bit depends on every bit: the finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    mixed = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: Hashes = mixed ^ (mixed >> np.uint64(31))
    return result
