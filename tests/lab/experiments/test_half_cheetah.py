"""Half-cheetah on short made-up trajectories: every figure is measured, learning rates are chosen on training data."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from engram.lab.data_sets.half_cheetah import HalfCheetah
from engram.lab.experiments.cores import half_cheetah
from engram.lab.experiments.experiment import execute

SMALL = {"units": 4, "best_units": 5, "best_hidden": 6, "epochs": 1, "trial_epochs": 1, "held_out": 1,
         "learning_rate": (1e-3, 1e-2), "memoryless": (8,), "memoryless_epochs": 1, "features": 10, "steps": 1}


def trajectories(count, seed):
    rng = np.random.default_rng(seed)
    time = np.arange(45)[:, None]
    return tuple(np.sin(time * rng.uniform(0.1, 0.5, 17) + rng.uniform(0, 6, 17)) * 3 for _ in range(count))


def test_a_run_measures_every_figure_and_never_chooses_on_what_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    data = HalfCheetah(trajectories(3, 0), (), trajectories(1, 1))
    monkeypatch.setattr(half_cheetah, "half_cheetah", lambda: data)
    execute("half-cheetah", half_cheetah, 1, tmp_path / "results", settings=SMALL)
    values = json.loads(next((tmp_path / "results").rglob("seed-0.json")).read_text())["values"]
    assert {figure.value for figure in half_cheetah.FIGURES.values()} <= values.keys()
    for name, rate in values["chosen"].items():
        tried = values["trials"]["cfc" if name == "best" else name]
        assert rate == min(tried, key=lambda trial: trial["error"])["learning_rate"]
    apart = np.diff(data.test[0], axis=0)
    assert values["repeat"] == pytest.approx(np.mean([np.square(apart[k : k + 32]).mean() for k in (0, 10)]), rel=1e-5)
