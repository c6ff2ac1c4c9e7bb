"""How wrong a transcript is: the edits that turn what was heard into what was said."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from engram.learner import InputError


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
