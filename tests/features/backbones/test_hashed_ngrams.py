"""Hashed n-grams: what they must mean, whatever the hash."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.hashed_ngrams import HashedNgrams, _Line, _tokens
from engram.heads.fast import FastHead
from engram.learner import DamagedError, InputError

sentences = st.text(st.sampled_from("ab cdé漢👍?'A\n"), min_size=1, max_size=30).filter(str.strip)


def pieces_one_by_one(text: str, shortest: int, longest: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for word in _tokens(text):
        padded = f" {word} "
        for size in range(shortest, longest + 1):
            found.update(p for i in range(len(padded) - size + 1) if (p := padded[i : i + size]).strip())
    return found


def distinct(grams, text_number: int) -> list[int]:
    """How often each distinct hash is in a text, sorted."""
    _, counts = np.unique(grams.hashes[grams.texts == text_number], return_counts=True)
    return sorted(counts.tolist())


@settings(max_examples=60, deadline=None)
@given(st.lists(sentences, min_size=1, max_size=4))
def test_words_and_pieces_are_those_of_a_slow_obvious_loop(texts):
    line = _Line(texts)
    words, pieces = line.words(), line.pieces(2, 4)
    for i, text in enumerate(texts):
        assert distinct(words, i) == sorted(Counter(_tokens(text)).values())
        # the blank between two words ends the one and begins the other
        assert distinct(pieces, i) == sorted(pieces_one_by_one(text, 2, 4).values())


@settings(max_examples=40, deadline=None)
@given(st.lists(sentences, min_size=1, max_size=5))
def test_a_text_has_the_same_features_alone_and_among_others(texts):
    backbone = HashedNgrams(256)
    together = backbone.features(texts)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_array_equal(backbone.features(text)[0], row)


STRONGEST = [53, 34, 16, 29, 31]
VALUES = [-0.234735, 0.272383, 0.297186, 0.45109, 0.477227]


def test_the_same_text_has_the_same_features_on_every_machine():
    features = HashedNgrams(64).features("what's the weather like in Zürich?")[0]
    again = subprocess.run(
        [sys.executable, "-c", "from engram.features.backbones.hashed_ngrams import HashedNgrams as H;"
         "print(H(64).features(\"what's the weather like in Zürich?\")[0].tobytes().hex())"],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "7"},
    )
    assert np.frombuffer(bytes.fromhex(again.stdout.strip()), np.float32).tolist() == features.tolist()
    assert np.abs(features).argsort()[-5:].tolist() == STRONGEST
    np.testing.assert_allclose(features[STRONGEST], VALUES, atol=1e-6)


def test_inner_products_are_those_of_the_full_vectors_up_to_collisions():
    one, two = "set an alarm for seven", "set an alarm for ten"
    backbone = HashedNgrams(2**18, words=0, pairs=0, pieces=1)
    full = [{p: 1 + math.log(n) for p, n in pieces_one_by_one(t, 2, 5).items()} for t in (one, two)]
    lengths = [math.sqrt(sum(w * w for w in f.values())) for f in full]
    expected = sum(w * full[1].get(p, 0.0) for p, w in full[0].items()) / (lengths[0] * lengths[1])
    a, b = backbone.features([one, two])
    assert float(a @ b) == pytest.approx(expected, abs=1e-3)


def test_hashing_is_right_on_average_and_its_error_falls_with_the_width():
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcdefghij"), 12)) for _ in range(120)]
    exact = HashedNgrams(2**17).features(texts)
    exact = (exact @ exact.T)[np.triu_indices(120, 1)]
    errors = {}
    for width in (128, 512, 2048):
        small = HashedNgrams(width).features(texts)
        errors[width] = (small @ small.T)[np.triu_indices(120, 1)] - exact
        assert abs(errors[width].mean()) < 0.01
    assert errors[2048].std() < 0.6 * errors[512].std() < 0.36 * errors[128].std()
    assert errors[512].std() == pytest.approx(1 / math.sqrt(512), rel=0.3)


def test_case_quotes_and_accents_written_either_way_make_no_difference():
    a, b = HashedNgrams().features(["What’s on at the CAFÉ?", "whats on, at the cafe\u0301"])
    np.testing.assert_array_equal(a, b)


def test_order_matters_through_pairs_alone():
    turned = ["dog bites man", "man bites dog"]
    with_pairs, without = HashedNgrams(), HashedNgrams(pairs=0)
    a, b = without.features(turned)
    np.testing.assert_allclose(a, b, atol=1e-7)
    a, b = with_pairs.features(turned)
    assert float(a @ b) < 0.95


@pytest.mark.parametrize("text", ["?", "'", "👍", "漢字", "\ud800", "a", "x" * 5000])
def test_any_text_that_is_not_empty_has_features(text):
    assert np.isfinite(HashedNgrams(64).features(text)).all()


@pytest.mark.parametrize("bad", ["", "  \n", [], ["fine", ""], b"bytes", 3, [None]])
def test_what_is_not_text_is_refused(bad):
    with pytest.raises(InputError):
        HashedNgrams(64).features(bad)


@pytest.mark.parametrize("settings_", [
    {"width": 1000}, {"width": True}, {"width": 1}, {"words": -1}, {"words": 0, "pieces": 0}, {"window": 0},
    {"shortest": 4, "longest": 3}, {"pairs": float("nan")},
])
def test_settings_that_cannot_be_are_refused(settings_):
    with pytest.raises(InputError):
        HashedNgrams(**settings_)


def test_a_bundle_holds_it_and_every_setting_counts(tmp_path):
    backbone = HashedNgrams(256, pieces=1.5, window=2)
    Bundle.bare(backbone).save(tmp_path / "b")
    opened = Bundle.open(tmp_path / "b")
    np.testing.assert_array_equal(opened.features("play jazz"), backbone.features("play jazz"))
    others = [HashedNgrams(256), HashedNgrams(256, pieces=1.5), HashedNgrams(512, pieces=1.5, window=2)]
    assert len({opened.backbone.fingerprint, *(other.fingerprint for other in others)}) == 4
    with pytest.raises(DamagedError, match="version"):
        HashedNgrams.restore("x", {**backbone.config(), "version": 2}, None)
    with pytest.raises(DamagedError):
        HashedNgrams.restore("x", {**backbone.config(), "more": 1}, None)


def test_intents_are_learned_from_three_sentences_each():
    backbone, head = HashedNgrams(), FastHead()
    taught = {
        "weather": ["will it rain tomorrow", "what is the weather like today", "how cold is it outside"],
        "alarm": ["wake me up at seven", "set an alarm for six", "please set my alarm for noon"],
        "music": ["play some jazz", "put on my favourite song", "play music by Queen"],
    }
    for label, texts in taught.items():
        head.learn(backbone.features(texts), label)
    asked = ["could you set the alarm to eight", "is it raining outside today", "play a song by Mozart"]
    assert head.predict(backbone.features(asked)).best == ["alarm", "weather", "music"]
