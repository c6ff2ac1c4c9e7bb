"""Sentences as the word pieces of a vocabulary: what most pretrained sentence encoders read.

Words and marks are told apart and brought to small letters without accents; each is then split, longest piece first,
into pieces that the vocabulary has (Wu et al. 2016; the splitting rules are those published with BERT, Devlin et al.
2019). A piece that does not begin a word is written with "##" before it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from engram.learner import InputError

FIRST, LAST, UNKNOWN = "[CLS]", "[SEP]", "[UNK]"
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
