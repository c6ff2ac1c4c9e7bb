"""What was said, from the probabilities of a network trained with connectionist temporal classification; and how wrong
that is, by the edits that turn what was heard into what was said.

CTC (Graves et al. 2006) gives each frame a probability over an alphabet and a blank; a text's probability is that of
all paths which become the text when repetitions are merged and blanks removed. Symbol 0 is the blank, symbol k the
k-th character of the alphabet.

`WordBigram` is the language model: a bigram over the words of a closed vocabulary.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

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


NEVER = -math.inf
LogProbabilities = npt.NDArray[np.floating]


class Language(Protocol):
    """What is known of texts before anything is heard, told character by character."""

    def reward(self, text: str, character: str | None) -> float:
        """What the score gains when a text goes on with a character, or ends (None); -inf forbids it."""


def greedy(log_probabilities: LogProbabilities, alphabet: str) -> str:
    """The text of the single most probable path.

    Args:
        log_probabilities: (T, 1 + len(alphabet)).

    Raises:
        InputError: another shape.

    >>> greedy(np.log([[0.1, 0.9], [0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]), "A")
    'AA'
    """
    path = _checked(log_probabilities, alphabet).argmax(1)
    fresh = path[np.flatnonzero(np.diff(path, prepend=0))]
    return "".join(alphabet[symbol - 1] for symbol in fresh if symbol)


def prefix_beam_search(
    log_probabilities: LogProbabilities, alphabet: str, width: int = 16, language: Language | None = None,
    least: float = 1e-5,
) -> list[tuple[str, float]]:
    """The most probable texts, each summed over the paths that the beam has met (Hannun et al. 2014).

    Args:
        log_probabilities: (T, 1 + len(alphabet)).
        width: texts kept after each frame.
        language: adds its reward to the score of a text.
        least: a symbol less probable than this in a frame starts nothing there.

    Returns:
        At most `width` texts with their scores: the natural logarithm of the probability, plus rewards; best first.
        Texts that the language does not let end stand there only if all are such.

    Raises:
        InputError: another shape, or a width below 1.

    >>> frames = np.log([[0.6, 0.4], [0.6, 0.4]])
    >>> greedy(frames, "A"), prefix_beam_search(frames, "A")[0][0]
    ('', 'A')
    """
    frames = _checked(log_probabilities, alphabet)
    if width < 1:
        raise InputError(f"A beam keeps at least 1 text, not {width}.")
    symbols = {character: k + 1 for k, character in enumerate(alphabet)}
    earned = {"": 0.0}
    beam = {"": (0.0, NEVER)}
    for frame, likely in zip(frames.tolist(), frames > math.log(max(least, 1e-300)), strict=True):
        starts = [(alphabet[k - 1], frame[k]) for k in np.flatnonzero(likely).tolist() if k]
        grown = _grow(beam, frame, starts, symbols, earned, language)
        best = sorted(grown, key=lambda text: _either(*grown[text]) + earned[text], reverse=True)[:width]
        beam = {text: grown[text] for text in best}
    scores = {text: _either(*paths) + earned[text] for text, paths in beam.items()}
    if language is not None:
        ended = {text: score + language.reward(text, None) for text, score in scores.items()}
        scores = {text: score for text, score in ended.items() if score > NEVER} or scores
    return sorted(scores.items(), key=lambda item: item[1], reverse=True)


def _grow(
    beam: Mapping[str, tuple[float, float]], frame: list[float], starts: list[tuple[str, float]],
    symbols: Mapping[str, int], earned: dict[str, float], language: Language | None,
) -> dict[str, tuple[float, float]]:
    """One frame more: text -> log-probability of its paths that end in a blank, and of those that do not."""
    grown: dict[str, tuple[float, float]] = {}
    for text, (blank, other) in beam.items():
        both = _either(blank, other)
        silent, spoken = grown.get(text, (NEVER, NEVER))
        held = other + frame[symbols[text[-1]]] if text else NEVER
        grown[text] = (_either(silent, both + frame[0]), _either(spoken, held))
        for character, chance in starts:
            longer = text + character
            if longer not in earned:
                earned[longer] = earned[text] + (0.0 if language is None else language.reward(text, character))
            if earned[longer] == NEVER:
                continue
            # The same character again is a new one only after a blank.
            reach = chance + (blank if text[-1:] == character else both)
            if reach == NEVER:
                continue
            silent, spoken = grown.get(longer, (NEVER, NEVER))
            grown[longer] = (silent, _either(spoken, reach))
    return grown


def _either(a: float, b: float) -> float:
    """log(exp a + exp b)."""
    high, low = (a, b) if a > b else (b, a)
    return high if low == NEVER else high + math.log1p(math.exp(low - high))


def _checked(log_probabilities: LogProbabilities, alphabet: str) -> LogProbabilities:
    frames = np.asarray(log_probabilities)
    if frames.ndim != 2 or frames.shape[1] != 1 + len(alphabet):
        raise InputError(f"Log-probabilities have the shape (T, {1 + len(alphabet)}), not {frames.shape}.")
    return frames


def edit_distance(heard: Sequence[Hashable], said: Sequence[Hashable]) -> int:
    """The fewest insertions, deletions and substitutions between two sequences (Levenshtein 1966).

    >>> edit_distance("kitten", "sitting")
    3
    """
    book = {item: i for i, item in enumerate(dict.fromkeys([*heard, *said]))}
    target = np.array([book[item] for item in said], np.int64)
    ladder = np.arange(len(said) + 1)
    row = ladder
    for item in heard:
        # Insertions chain along the row: the best is a running minimum once the cost of getting there is taken off.
        above = np.empty_like(row)
        above[0] = row[0] + 1
        above[1:] = np.minimum(row[1:] + 1, row[:-1] + (target != book[item]))
        row = np.minimum.accumulate(above - ladder) + ladder
    return int(row[-1])


def word_error_rate(heard: Sequence[str], said: Sequence[str]) -> float:
    """Edited words over words that were said, all utterances together; above 1 if very much is invented.

    Args:
        heard, said: a transcript for each utterance, words separated by blanks.

    Raises:
        InputError: two lengths, or nothing was said.

    >>> word_error_rate(["ENTER SIX", "NO"], ["ENTER SIX TWO", "GO"])
    0.5
    """
    return _rate([text.split() for text in heard], [text.split() for text in said])


def character_error_rate(heard: Sequence[str], said: Sequence[str]) -> float:
    """Edited characters, blanks between words among them, over characters that were said.

    Raises:
        InputError: two lengths, or nothing was said.

    >>> character_error_rate(["SEVEN"], ["ELEVEN"])
    0.3333333333333333
    """
    return _rate(heard, said)


def _rate(heard: Sequence[Sequence[Hashable]], said: Sequence[Sequence[Hashable]]) -> float:
    total = sum(map(len, said))
    if len(heard) != len(said) or not total:
        raise InputError(f"{len(heard)} transcripts cannot be held against {len(said)} of {total} words in all.")
    return sum(edit_distance(h, s) for h, s in zip(heard, said, strict=True)) / total
