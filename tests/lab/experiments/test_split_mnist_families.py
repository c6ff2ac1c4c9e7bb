"""The families of methods on split digits, on scikit-learn's digits with short training."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from engram.lab.experiments.experiment import execute
from engram.lab.experiments.strategies import comparison, split_mnist_isolation, split_mnist_weights

SMALL = {"data": "digits", "hidden": (24, 24), "epochs": 2, "held_out": 130}
FAMILIES = {
    "split-mnist-isolation": (split_mnist_isolation, {
        "xdg_gated": (0.2, 0.5), "packnet_pruned": 0.5, "hat_largest": 50.0, "supsup_learning_rate": (0.01,)}),
    "split-mnist-weights": (split_mnist_weights, {
        "si_strength": (1.0,), "mas_strength": (0.1,), "imm_strength": (1e-3,), "gpm_threshold": (0.95,),
        "lwf_temperature": (2.0,), "ebm_learning_rate": (1e-3,)}),
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_run_measures_every_cell(name, tmp_path):
    module, settings = FAMILIES[name]
    values = execute(name, module, 1, tmp_path / "results", settings=SMALL | settings)["values"]
    cells = {cell for cell in values if cell.partition(".")[0] in comparison.SCENARIOS}
    assert {f"split-mnist.{cell}" for cell in cells} == set(module.FIGURES)
    assert all(0 <= values[key.removeprefix("split-mnist.")]["mean"] <= 100 for key in module.FIGURES)
    assert list((tmp_path / "results").glob("*.svg"))
