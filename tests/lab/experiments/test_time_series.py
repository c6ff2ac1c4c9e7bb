"""Time series: generated as their equations say, read out as scikit-learn does, every value of a run accounted for."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("scipy")

from engram.features.cores.next_generation_reservoir import NextGenerationReservoir
from engram.lab.experiments.cores import lorenz, mackey_glass, narma10, series
from engram.lab.experiments.experiment import execute


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(("name", "module", "settings"), [
    ("narma10", narma10, {"train": 300, "test": 100, "units": 20, "radius": (0.9,), "reach": (0.05, 0.1),
                          "offset": (0.2,), "delays": (10,), "gain": (1.0,), "ridge": (1e-6, 1e-4)}),
    ("mackey-glass", mackey_glass, {"train": 300, "asked": 900, "starts": 5, "washout": 100, "units": 30,
                                    "rival_units": 20, "radius": (0.9,), "reach": (1.0,), "leak": (0.6,),
                                    "delays": (4,), "stride": (6,), "gain": (1.0,), "ridge": (1e-8, 1e-6)}),
    ("lorenz", lorenz, {"train": 200, "asked": 400, "starts": 4, "ahead": 60, "washout": 50, "units": 20,
                        "radius": (0.3,), "reach": (0.3,), "leak": (1.0,), "delays": (2,), "gain": (0.3,),
                        "ridge": (1e-10, 1e-8)}),
])
def test_a_run_measures_every_figure_with_settings_chosen_elsewhere(tmp_path, name, module, settings):
    execute(name, module, 1, tmp_path / "results", settings=settings)
    values = json.loads(next((tmp_path / "results").rglob("seed-0.json")).read_text())["values"]
    assert {figure.value for figure in module.FIGURES.values()} <= values.keys()
    for method, chosen in values["chosen"].items():
        tried = values["trials"][method]
        assert chosen == min(tried, key=lambda trial: trial["error"])["settings"]
    assert list((tmp_path / "results").glob("*.svg"))


def test_the_series_follow_their_equations():
    from scipy.integrate import solve_ivp

    u, y = narma10.narma(60, np.random.default_rng(0))
    y = np.concatenate([[0.0], y])
    for t in range(20, 59):
        wanted = 0.3 * y[t] + 0.05 * y[t] * sum(y[t - i] for i in range(10)) + 1.5 * u[t - 9] * u[t] + 0.1
        assert y[t + 1] == pytest.approx(wanted)
    path = lorenz.lorenz(5, 0)
    solved = solve_ivp(lambda _, x: [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]],
                       (0, 0.1), path[0], rtol=1e-10, atol=1e-10)
    assert np.allclose(path[4], solved.y[:, -1], atol=1e-4)
    x = 1 + np.arctanh(mackey_glass.mackey_glass(3000, 0)[:, 0])
    slope = (x[2:] - x[:-2]) / 2
    wanted = 0.2 * x[:-18] / (1 + x[:-18] ** 10) - 0.1 * x[17:-1]
    assert np.corrcoef(slope[16:], wanted)[0, 1] > 0.99


def test_a_readout_is_ridge_regression_on_standardised_features():
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    x, y, new = rng.normal(3, 2, (50, 4)), rng.normal(size=(50, 2)), rng.normal(size=(5, 4))
    scaler = StandardScaler().fit(x)
    wanted = Ridge(0.3 * 50).fit(scaler.transform(x), y).predict(scaler.transform(new))
    assert np.allclose(series.Readout(x, y, 0.3)(new), wanted)


def test_a_free_run_hears_what_it_predicted():
    core = NextGenerationReservoir.fresh(1, delays=2, degree=1)
    known = np.array([[1.0], [1.0]])
    state, _ = core.advance(core.start(1), known[None], np.ones((1, 2)))
    path = series.free_run(core, state, known[-1:], 5, lambda outputs, frame: outputs.sum(axis=1, keepdims=True))
    assert path.ravel().tolist() == [2.0, 3.0, 5.0, 8.0, 13.0]
    assert series.delayed(np.array([[1.0], [2.0], [3.0]]), 2, 2).tolist() == [[1, 1], [1, 2], [1, 3]]
