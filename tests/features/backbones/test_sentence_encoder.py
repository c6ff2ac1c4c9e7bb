"""A pretrained sentence encoder plugs in as an ONNX file with its vocabulary."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.sentence_encoder import SentenceEncoder, WordPieces, split_words
from engram.heads.fast import FastHead
from engram.learner import DamagedError, InputError

onnx = pytest.importorskip("onnx")

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "##ing", "##s", "some", "jazz", "rain", "will", "it", "?",
              "a", "b", "##a", "##b", "ab", "##ab", "##ba"]
TABLE = np.random.default_rng(0).normal(size=(len(VOCABULARY), 6)).astype(np.float32)


def encoder_file(pooled=False, inputs=("input_ids", "attention_mask", "token_type_ids")) -> bytes:
    """A table of embeddings, each times the attention mask: the smallest network of the wanted shape."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["found"]),
        helper.make_node("Cast", [inputs[1] if len(inputs) > 1 else "input_ids"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide"]),
        helper.make_node("Mul", ["found", "wide"], ["tokens"]),
        helper.make_node("ReduceMean", ["tokens"], ["sentence"], axes=[1], keepdims=0),
    ]
    name, shape = ("sentence", [1, 6]) if pooled else ("tokens", [1, "t", 6])
    graph = helper.make_graph(
        nodes, "encoder",
        [helper.make_tensor_value_info(i, TensorProto.INT64, [1, "t"]) for i in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(TABLE, "table"), numpy_helper.from_array(np.array([2]), "last")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return model.SerializeToString()


@pytest.fixture
def encoder(tmp_path):
    (tmp_path / "tiny.onnx").write_bytes(encoder_file())
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    return SentenceEncoder.load(tmp_path / "tiny.onnx", tmp_path / "vocab.txt")


def test_a_sentence_is_the_average_of_its_pieces_or_the_first(encoder):
    numbers = [VOCABULARY.index(p) for p in ("[CLS]", "play", "##ing", "some", "jazz", "[SEP]")]
    np.testing.assert_allclose(encoder.features("Playing some JAZZ")[0], TABLE[numbers].mean(axis=0), rtol=1e-6)
    first = SentenceEncoder(encoder_file(), encoder.pieces, pool="first")
    np.testing.assert_allclose(first.features("jazz")[0], TABLE[2], rtol=1e-6)
    whole = SentenceEncoder(encoder_file(pooled=True), encoder.pieces)
    np.testing.assert_allclose(whole.features("playing some jazz"), encoder.features("playing some jazz"), rtol=1e-5)
    assert (encoder.width, encoder.name) == (6, "tiny")


def test_company_makes_no_difference(encoder):
    texts = ["play", "will it rain?", "jazz jazz jazz some"]
    together = encoder.features(texts)
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_array_equal(encoder.features(text)[0], row)


def test_a_head_learns_on_it_and_a_bundle_holds_it(encoder, tmp_path):
    Bundle.bare(encoder).save(tmp_path / "bundle")
    opened = Bundle.open(tmp_path / "bundle")
    head = FastHead()
    head.learn(opened.features(["play some jazz", "plays jazz", "will it rain", "rain?"]), ["m", "m", "w", "w"])
    assert head.predict(encoder.features(["playing jazz", "it will rain?"])).best == ["m", "w"]
    assert opened.backbone.fingerprint == encoder.fingerprint
    other = SentenceEncoder(encoder_file(), WordPieces(VOCABULARY, longest=5))
    assert other.fingerprint != encoder.fingerprint


@settings(max_examples=100, deadline=None)
@given(st.text("abz", min_size=1, max_size=8))
def test_words_are_split_longest_piece_first(word):
    pieces = WordPieces(VOCABULARY)
    expected, rest, mark = [], word, ""
    while rest:
        fitting = [n for n in range(1, len(rest) + 1) if mark + rest[:n] in VOCABULARY]
        if not fitting:
            expected = ["[UNK]"]
            break
        expected.append(mark + rest[: fitting[-1]])
        rest, mark = rest[fitting[-1] :], "##"
    assert [VOCABULARY[i] for i in pieces(word)] == ["[CLS]", *expected, "[SEP]"]


def test_marks_ideographs_accents_and_control_characters():
    assert split_words("Señor O’Neil—it's\u00a05€\x00!") == ["senor", "o", "’", "neil", "—", "it", "'", "s", "5€", "!"]
    assert split_words("Ünï 漢字kana", lower=False) == ["Ünï", "漢", "字", "kana"]
    assert WordPieces(VOCABULARY)("a" * 101) == [2, 1, 3]
    assert WordPieces(VOCABULARY, longest=4)("play some jazz") == [2, 4, 7, 3]


@pytest.mark.parametrize("vocabulary", [["a"], [*VOCABULARY, "a"], VOCABULARY[2:]])
def test_a_vocabulary_that_cannot_be_is_refused(vocabulary):
    with pytest.raises(InputError, match="vocabulary"):
        WordPieces(vocabulary)


def test_what_is_no_encoder_is_refused(encoder, tmp_path):
    with pytest.raises(DamagedError):
        SentenceEncoder(b"nothing", encoder.pieces)
    with pytest.raises(InputError, match="takes"):
        SentenceEncoder(encoder_file(inputs=("input_ids", "positions")), encoder.pieces)
    with pytest.raises(InputError, match="failed"):
        SentenceEncoder(encoder_file(), WordPieces([*VOCABULARY[1:4], *(f"w{i}" for i in range(40)), "a"]))
    with pytest.raises(InputError, match="Cannot read"):
        SentenceEncoder.load(tmp_path / "tiny.onnx", tmp_path / "missing.txt")
    with pytest.raises(InputError):
        encoder.features("")
    with pytest.raises(InputError):
        WordPieces(VOCABULARY, longest=2)
