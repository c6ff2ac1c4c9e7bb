"""Spoken digits under the fast head, on tones in the place of recordings: every figure is measured."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from engram.inputs.audio import Sound
from engram.lab.data_sets.spoken_digits import Recording
from engram.lab.experiments.cores import spoken_digits
from engram.lab.experiments.experiment import execute


def test_a_run_measures_every_figure(tmp_path, monkeypatch):
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    rng, time = np.random.default_rng(0), np.arange(800) / 8000

    def tone(digit):
        pitch = 200 * 1.3**digit * rng.uniform(0.97, 1.03)
        return Sound((np.sin(2 * np.pi * pitch * time) + 0.01 * rng.normal(size=800)).astype(np.float32), 8000)

    found = [Recording(digit, name, take, tone(digit)) for digit in range(10) for name in ("ada", "bob")
             for take in (0, 5, 6, 10, 11)]
    monkeypatch.setattr(spoken_digits, "recordings", lambda: found)
    settings = {"width": 10, "leak": (0.3,), "longest": (30.0,), "shots": 2}
    execute("spoken-digits", spoken_digits, 1, tmp_path / "results", settings=settings)
    values = json.loads(next((tmp_path / "results").rglob("seed-0.json")).read_text())["values"]
    assert {figure.value for figure in spoken_digits.FIGURES.values()} <= values.keys()
    assert values["chosen"] == max(values["trials"], key=lambda one: one["score"])["settings"]
    assert values["same"] > 70
    assert values["unknown-auroc"] > 70
