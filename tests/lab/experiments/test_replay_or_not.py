"""Replay or not, on small digits: gains are differences within a seed, and over-fitting is told of what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from engram.lab.experiments.result import build
from engram.lab.experiments.strategies.replay_or_not import FIGURES, Config, cells, over_fit, plot, run
from engram.lab.streams import class_incremental, from_arrays
from engram.learner import Predictions
from engram.networks.strategies.experience_replay import ExperienceReplay


def test_a_run_measures_every_setting_beside_naive_training_and_training_on_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path))
    config = Config(data="digits", images=1100, hidden=(16,), batch=128, epochs=1)
    values = run(config, 0, lambda share, message: None)
    assert {figure.value for figure in FIGURES.values()} <= values.keys()
    assert values["gain/naive"] == 0
    assert values["gain/kept-1000"] == values["accuracy/kept-1000"] - values["accuracy/naive"]
    assert values["time/joint"] > 1
    result = build("replay-or-not", "", "", vars(config), [0], [values], FIGURES)
    assert plot(result) is not None
    assert len(cells(config)) == 5 + 4 + 4 + 2


def test_over_fitting_is_being_righter_about_the_kept_than_about_others_of_their_labels() -> None:
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 4
    stream = class_incremental(from_arrays(inputs, labels, name="toy"), per=2, seed=0)
    learner: Any = ExperienceReplay({"name": "perceptron", "inputs": [3], "hidden": [4]}, capacity=10)
    assert over_fit(learner, stream) is None
    for experience in stream:
        learner.learn(experience.train.inputs, experience.train.labels)
    kept = {row.tobytes() for row in learner.memory.kept()[0]}
    first = stream[0].train
    truth = {row.tobytes(): int(label) for row, label in zip(first.inputs, first.labels, strict=True)}
    wrong = next(row for row in truth if row not in kept)

    def predict(asked: Any) -> Predictions:
        best = tuple(-1 if row.tobytes() == wrong else truth[row.tobytes()] for row in asked)
        return Predictions(best, np.eye(len(best)), np.ones(len(best), bool))

    learner.predict = predict
    others = sum(row not in kept for row in truth)
    assert over_fit(learner, stream) == pytest.approx(100 / others)
