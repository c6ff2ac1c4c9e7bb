"""Methods that dream, on small digits: every value is accounted for."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from engram.lab.experiments.experiment import execute
from engram.lab.experiments.strategies import cln_mnist, split_mnist_dreams

PATCHES = {"data": "digits", "filters": 3, "first": 100, "held_out": 130}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))


def test_every_dreamer_is_measured(tmp_path: Path) -> None:
    settings = {"hidden": (24,), "latents": 4, "steps": 8, "dream_steps": 8, "mixtures": ((1, 8),)}
    result = execute("split-mnist-dreams", split_mnist_dreams, 1, tmp_path, settings=PATCHES | settings)
    assert {figure.value for figure in split_mnist_dreams.FIGURES.values()} <= set(result["values"])
    found = result["values"]["details"]["class.generative-replay-mppca"]
    assert found["samples"]["mean"] == 0
    assert list(tmp_path.glob("*.svg"))


def test_the_whole_cycle_is_measured_beside_itself_without_each_part(tmp_path: Path) -> None:
    settings = {"hidden": 16, "steps": 8, "components": 1, "factors": 8, "learning_rate": (2e-2,)}
    result = execute("cln-mnist", cln_mnist, 1, tmp_path, settings=PATCHES | settings)
    values = result["values"]
    assert {figure.value for figure in cln_mnist.FIGURES.values()} <= set(values)
    assert values["best"]["mean"] > 40
    assert values["gain-growth"]["mean"] == pytest.approx(values["best"]["mean"] - values["no-growth"]["mean"])
    assert values["growth-change"]["mean"] <= 1e-5
    assert list(tmp_path.glob("*.svg"))
