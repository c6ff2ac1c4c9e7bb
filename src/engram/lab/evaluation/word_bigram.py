"""A bigram over the words of a closed vocabulary, as a language for decoding speech."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise

from engram.learner import InputError

EDGE = ""  # stands before the first word and after the last


class WordBigram:
    """Which words exist and which follow which, counted in transcripts; smoothed after Witten and Bell (1991).

    A text may only be made of words of the vocabulary. Each finished word earns `weight` times the logarithm of its
    probability after the one before, plus `bonus`, which makes up for long texts being less probable.

    Args:
        transcripts: texts with words separated by single blanks.
        vocabulary: words that exist besides those in the transcripts.

    Raises:
        InputError: no words at all.

    >>> language = WordBigram(["ENTER SIX", "ENTER TWO"], vocabulary=["SEVEN"])
    >>> language.probability("SIX", after="ENTER") > language.probability("SEVEN", after="ENTER") > 0
    True
    """

    def __init__(
        self, transcripts: Iterable[str], vocabulary: Iterable[str] = (), *, weight: float = 1.0, bonus: float = 0.0,
    ) -> None:
        self.weight, self.bonus = weight, bonus
        self._follows: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for text in transcripts:
            for before, word in pairwise([EDGE, *text.split(), EDGE]):
                self._follows[before][word] += 1
        self._counts: Counter[str] = sum(self._follows.values(), Counter())
        self.words = frozenset([*self._counts, *vocabulary]) - {EDGE}
        if not self.words:
            raise InputError("A bigram needs words: the transcripts and the vocabulary are empty.")
        self._starts = frozenset(word[:end] for word in self.words for end in range(len(word) + 1))

    def probability(self, word: str, after: str = EDGE) -> float:
        """Of a word, or of the end (""), after another or at the start (""); in (0, 1)."""
        # Every word that exists counts once more than it was met, so that none is impossible.
        alone = (self._counts[word] + 1) / (self._counts.total() + len(self.words) + 1)
        seen = self._follows.get(after)
        if not seen:
            return alone
        return (seen[word] + len(seen) * alone) / (seen.total() + len(seen))

    def reward(self, text: str, character: str | None) -> float:
        """See `Language`: what a text gains by going on with a character, or by ending."""
        done, _, word = text.rpartition(" ")
        if character is not None and character != " ":
            return 0.0 if word + character in self._starts else -math.inf
        if word not in self.words:
            return -math.inf
        before = done.rpartition(" ")[2]
        gain = self.weight * math.log(self.probability(word, before)) + self.bonus
        return gain if character else gain + self.weight * math.log(self.probability(EDGE, word))
