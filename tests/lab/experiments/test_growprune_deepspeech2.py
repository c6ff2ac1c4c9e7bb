"""A recogniser learns, is pruned on the way, and a run that was interrupted ends as one that was not."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from engram.lab.data_sets.an4 import AN4, Utterances, an4
from engram.lab.evaluation.ctc_decoding import greedy, word_error_rate
from engram.lab.experiments.experiment import save_plot
from engram.lab.experiments.grow_and_prune import growprune_deepspeech2 as experiment
from engram.lab.experiments.grow_and_prune.deep_speech import DeepSpeech
from engram.lab.experiments.grow_and_prune.speech_training import (
    ALPHABET,
    Teacher,
    another_speaker,
    one_cycle,
    vocal_tract,
    with_gaps,
)
from engram.lab.experiments.result import build
from engram.locations import MissingDataError

WORDS = {"GO": 1.0, "NO": -1.0}


def toy(count: int = 24, seed: int = 0) -> Utterances:
    """Two words, told apart by what the frames in the middle are."""
    rng = np.random.default_rng(seed)
    said = [list(WORDS)[i % 2] for i in range(count)]
    frames = []
    for word in said:
        one = rng.normal(0, 0.3, (int(rng.integers(40, 60)), 13))
        one[15:30] += 3 * WORDS[word] * np.cos(np.arange(13))
        frames.append(one.astype(np.float32))
    return Utterances(tuple(frames), tuple(said), ("abcd",) * count)


def teacher(corpus: Utterances, batch: int = 8) -> Teacher:
    torch.manual_seed(0)
    network = DeepSpeech(39, 1 + len(ALPHABET), channels=12, width=12, hidden=(12,), layers=2, dropout=0.0)
    return Teacher(network, corpus, len(corpus), np.random.default_rng(0), batch=batch)


def test_it_learns_two_words_and_ends_with_the_parameters_it_may_have():
    corpus = toy()
    mine = teacher(corpus)
    places = np.arange(len(corpus))
    mine.train(places, 20, 0.02)
    mine.train(places, 6, 0.005, live=lambda share: 0.4 * mine.masks.total if share > 0.3 else mine.masks.total)
    assert abs(mine.masks.live / mine.masks.total - 0.4) < 0.05
    assert mine.epochs == pytest.approx(26)
    unheard = toy(20, seed=1)
    assert word_error_rate([greedy(one, ALPHABET) for one in mine.hear(unheard)], unheard.transcripts) < 0.25


def test_epochs_are_counted_in_passes_over_all_data():
    mine = teacher(toy(), batch=5)
    mine.train(np.arange(12), 2, 1e-3)
    assert mine.epochs == pytest.approx(1.0)
    assert sum(len(batch.lengths) for batch in mine.once(np.arange(12))) == 12
    assert mine.epochs == pytest.approx(1.5)


def test_what_is_heard_does_not_depend_on_who_is_heard_beside():
    corpus = toy(9)
    mine = teacher(corpus)
    together = mine.hear(corpus)
    for i in (0, 8):
        alone = mine.hear(Utterances(corpus.frames[i:i + 1], corpus.transcripts[i:i + 1], ("abcd",)))[0]
        assert np.allclose(alone, together[i], atol=1e-5)


def test_the_learning_rate_rises_and_falls():
    rates = [one_cycle(share) for share in np.linspace(0, 1, 101)]
    assert rates[0] == pytest.approx(0.04)
    assert max(rates) == rates[15] == pytest.approx(1)
    assert rates[100] == pytest.approx(0)
    assert rates[:16] == sorted(rates[:16])
    assert rates[15:] == sorted(rates[15:], reverse=True)


def test_another_speaker_says_the_same_and_gaps_are_silent():
    rng = np.random.default_rng(0)
    cepstra = np.cumsum(rng.normal(0, 1, (200, 13)), 0).astype(np.float32)
    other = another_speaker(cepstra, rng)
    assert 170 <= len(other) <= 230
    assert other.dtype == np.float32
    stretched = np.stack([np.interp(np.linspace(0, 199, len(other)), np.arange(200), column) for column in cepstra.T])
    assert np.corrcoef(other[:, 0], stretched[0])[0, 1] > 0.99
    assert np.allclose(cepstra @ vocal_tract(1.0), cepstra, atol=1e-4)
    gapped = with_gaps(np.ones((100, 39), np.float32), rng)
    assert 0 < (gapped == 0).all(1).sum() <= 20
    assert ((gapped == 0) | (gapped == 1)).all()


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    try:
        whole = an4()
    except MissingDataError as missing:
        pytest.skip(str(missing))
    few = AN4(Utterances(*(column[:200] for column in whole.train)), Utterances(*(column[:8] for column in whole.test)),
              whole.dictionary)
    monkeypatch.setattr(experiment, "an4", lambda: few)
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path))
    return experiment.Config(portions=(0.05, 0.1), channels=4, width=4, hidden=4, batch=4, dense_epochs=0.1, beam=1,
                             retrain_epochs=0.05, first_epochs=1, update_epochs=0.15, slack=-1000.0, held_back=2)


def test_an_interrupted_run_goes_on_and_ends_as_one_that_was_not(tiny, tmp_path, monkeypatch):
    def stop(share: float, message: str) -> None:
        if message == "ours-10":
            raise KeyboardInterrupt

    told = []
    with pytest.raises(KeyboardInterrupt):
        experiment.run(tiny, 0, stop)
    values = experiment.run(tiny, 0, lambda share, message: told.append((share, message)))
    assert [message for _, message in told if message.startswith("dense: loss")] == []
    assert any("ours-10: loss" in message for _, message in told)
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "another"))
    assert experiment.run(tiny, 0, lambda *_: None) == values
    assert values["parameters-over-tfs"] == pytest.approx(0.65, abs=0.05)
    result = build("growprune-deepspeech2", "", "", {"portions": tiny.portions}, [0], [values], experiment.FIGURES)
    assert set(result["figures"]) == set(experiment.FIGURES)
    save_plot(experiment, json.loads(json.dumps(result)), tmp_path / "plot.svg")
    assert "word error rate" in (tmp_path / "plot.svg").read_text()
