"""The families of methods on split digits, on scikit-learn's digits with short training."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from engram.lab.experiments.experiment import execute
from engram.lab.experiments.strategies import (
    comparison,
    permuted_mnist,
    plasticity,
    split_mnist_isolation,
    split_mnist_weights,
)

SMALL = {"data": "digits", "hidden": (24, 24), "epochs": 2, "held_out": 130}
FAMILIES = {
    "split-mnist-isolation": (split_mnist_isolation, {
        "xdg_gated": (0.2, 0.5), "xdg_learning_rate": (1e-2,), "packnet_pruned": 0.5, "hat_largest": 50.0,
        "supsup_learning_rate": (0.01,)}),
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


def test_orders_of_pixels_are_learned_by_every_method(tmp_path):
    settings = {"data": "digits", "orders": 3, "imm_orders": 2, "trial_orders": 2, "held_out": 130, "hidden": (16,),
                "vcl_hidden": (16,), "vcl_epochs": 1, "si_strength": (1.0,), "ewc_strength": (10.0, 100.0),
                "imm_strength": (1e-3,), "vcl_learning_rate": (3e-3,), "coreset": 10, "winners": (0.3,)}
    values = execute("permuted-mnist", permuted_mnist, 1, tmp_path / "results", settings=settings)["values"]
    assert all(0 <= values[name]["mean"] <= 100 for name in permuted_mnist.TITLES)
    assert list((tmp_path / "results").glob("*.svg"))


def test_the_last_tasks_are_set_against_the_first(tmp_path):
    settings = {"data": "digits", "images": 20, "tasks": 10, "hidden": (10,), "epochs": 1, "trial_tasks": 2,
                "cbp_rate": (0.01, 0.1), "l2_strength": (1e-3,), "redo_threshold": (0.1,), "shrink": (0.4,)}
    values = execute("plasticity", plasticity, 1, tmp_path / "results", settings=settings)["values"]
    for name in plasticity.TITLES:
        curve = values[f"{name}-curve"]["mean"]
        assert len(curve) == 10
        assert values[name]["mean"] == pytest.approx(curve[-1] - curve[0], abs=1e-4)
    assert list((tmp_path / "results").glob("*.svg"))
