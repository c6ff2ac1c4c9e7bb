"""Word error rate, CTC decoding and the bigram language agree with slow and obvious references."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.lab.evaluation.ctc_decoding import (
    WordBigram,
    character_error_rate,
    edit_distance,
    greedy,
    prefix_beam_search,
    word_error_rate,
)
from engram.learner import InputError

ALPHABET = "AB "
texts = st.text("AB ", max_size=7)


def slow_distance(a: str, b: str) -> int:
    if not a or not b:
        return len(a) + len(b)
    if a[0] == b[0]:
        return slow_distance(a[1:], b[1:])
    return 1 + min(slow_distance(a[1:], b), slow_distance(a, b[1:]), slow_distance(a[1:], b[1:]))


def every_text(frames: np.ndarray) -> dict[str, float]:
    """The probability of every text, from every path there is."""
    found: dict[str, float] = defaultdict(float)
    for path in itertools.product(range(frames.shape[1]), repeat=len(frames)):
        merged = [symbol for symbol, _ in itertools.groupby(path) if symbol]
        found["".join(ALPHABET[symbol - 1] for symbol in merged)] += math.exp(sum(frames[range(len(path)), path]))
    return found


def random_frames(seed: int, steps: int = 5) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(steps, 1 + len(ALPHABET))) * 2
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


@given(texts, texts)
@settings(max_examples=100, deadline=None)
def test_the_edit_distance_is_the_recursive_one(a: str, b: str):
    assert edit_distance(a, b) == slow_distance(a, b) == edit_distance(b, a)


def test_error_rates_weigh_utterances_by_their_length():
    said = ["ONE TWO THREE FOUR", "GO"]
    assert word_error_rate(["ONE TWO FOUR", "NO"], said) == 2 / 5
    assert word_error_rate(["", ""], said) == 1
    assert word_error_rate(["GO GO", "GO GO GO"], said) == pytest.approx(6 / 5)
    assert character_error_rate(["ONE TWO THREE FOUR", "NO"], said) == 1 / 20


def test_transcripts_that_cannot_be_compared_are_refused():
    with pytest.raises(InputError, match="2 transcripts"):
        word_error_rate(["A", "B"], ["A"])
    with pytest.raises(InputError, match="0 words"):
        word_error_rate([""], [""])


@pytest.mark.parametrize("seed", range(12))
def test_a_wide_beam_finds_every_text_with_the_probability_of_all_its_paths(seed: int):
    frames = random_frames(seed)
    truth = every_text(frames)
    found = dict(prefix_beam_search(frames, ALPHABET, width=10_000, least=0))
    assert found.keys() == {text for text, chance in truth.items() if chance > 0}
    for text, score in found.items():
        assert math.exp(score) == pytest.approx(truth[text], rel=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_the_greedy_text_is_that_of_the_best_path(seed: int):
    frames = random_frames(seed, steps=6)
    best = max(itertools.product(range(4), repeat=6), key=lambda path: sum(frames[range(6), path]))
    merged = [symbol for symbol, _ in itertools.groupby(best) if symbol]
    assert greedy(frames, ALPHABET) == "".join(ALPHABET[symbol - 1] for symbol in merged)


def test_a_narrow_beam_returns_as_many_texts_as_it_is_wide():
    assert len(prefix_beam_search(random_frames(0, 8), ALPHABET, width=3)) == 3


def test_a_text_with_a_doubled_character_needs_a_blank_between():
    frames = np.log(np.array([[0.02, 0.94, 0.02, 0.02]] * 3))
    assert prefix_beam_search(frames, ALPHABET)[0][0] == "A"
    assert prefix_beam_search(np.insert(frames, 1, np.log([0.94, 0.02, 0.02, 0.02]), 0), ALPHABET)[0][0] == "AA"


@pytest.mark.parametrize("seed", range(6))
def test_with_a_language_the_beam_finds_the_best_text_the_language_allows(seed: int):
    frames = random_frames(seed)
    language = WordBigram(["AB A", "A AB", "B"], weight=0.7, bonus=0.3)
    scores = {}
    for text, chance in every_text(frames).items():
        rewards = [language.reward(text[:i], c) for i, c in enumerate(text)] + [language.reward(text, None)]
        scores[text] = math.log(chance) + sum(rewards)
    best, score = prefix_beam_search(frames, ALPHABET, width=10_000, language=language, least=0)[0]
    assert best == max(scores, key=scores.get)
    assert score == pytest.approx(scores[best])
    assert set(best.split()) <= language.words


def test_the_bigram_is_a_distribution_over_words_and_the_end():
    language = WordBigram(["ENTER SIX", "ENTER TWO", "GO"], vocabulary=["SEVEN"])
    assert language.words == {"ENTER", "SIX", "TWO", "GO", "SEVEN"}
    for before in ["", "ENTER", "SEVEN"]:
        assert sum(language.probability(word, before) for word in [*language.words, ""]) == pytest.approx(1)


def test_frames_and_beams_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"\(T, 4\)"):
        greedy(np.zeros((3, 5)), ALPHABET)
    with pytest.raises(InputError, match="at least 1"):
        prefix_beam_search(random_frames(0), ALPHABET, width=0)
    with pytest.raises(InputError, match="needs words"):
        WordBigram([])
