"""Split-MNIST on small digits: every value accounted for, settings chosen without the test images, resumable."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from engram.lab.experiments.experiment import execute
from engram.lab.experiments.steps import forget
from engram.lab.experiments.strategies import comparison, split_mnist
from engram.lab.experiments.strategies.comparison import SCENARIOS, choose
from engram.lab.experiments.strategies.split_mnist import CELLS, FIGURES, HEADS, STRATEGIES, Config, methods, run
from engram.lab.streams import DataSet, data_set

SMALL = {"data": "digits", "hidden": (24,), "epochs": 2, "joint_epochs": 2, "capacity": 30, "held_out": 130,
         "ewc_strength": (1.0, 100.0), "lwf_temperature": (2.0,), "lwf_weight": (0.0, 0.5), "er_epochs": 2,
         "er_replayed": (64,), "er_learning_rate": (1e-3, 1e-2)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))


def silent(share, message):
    """Nobody watches."""


def test_a_run_measures_every_method_in_every_scenario(tmp_path):
    result = execute("split-mnist", split_mnist, 1, tmp_path / "results", settings=SMALL)
    values = result["values"]
    cells = {f"{scenario}.{method}" for scenario in SCENARIOS for method in STRATEGIES}
    cells |= {f"class.{head}" for head in HEADS}
    assert cells == {key.removeprefix("split-mnist.") for key in FIGURES}
    for cell in cells:
        assert values[cell]["n"] == 1
        found = values["details"][cell]
        last = np.array(found["matrix"]["values"])[:, -1]
        assert np.allclose(last.mean(axis=1), values[cell]["values"])
    assert values["class.naive"]["mean"] < 35 < values["class.joint"]["mean"]
    assert values["details"]["class.er"]["samples"]["values"] == [30]
    assert list((tmp_path / "results").glob("*.svg"))


def test_settings_are_the_best_on_what_is_held_out_whatever_the_test_images_say():
    data = data_set("digits")
    spoilt = DataSet(data.name, data.train_inputs, data.train_labels, data.test_inputs[::-1], data.test_labels)
    config = Config(**SMALL)
    ewc = methods(config)["ewc"]
    settings, tried = choose(config, data, "task", ewc, "one")
    assert (settings, tried) == choose(config, spoilt, "task", ewc, "two")
    assert [trial["settings"]["strength"] for trial in tried] == [1.0, 100.0]
    assert settings == max(tried, key=lambda trial: trial["accuracy"])["settings"]


def test_an_interrupted_seed_goes_on_where_it_stopped(monkeypatch):
    config, calls, measure = Config(**SMALL), [], comparison.measure
    monkeypatch.setattr(split_mnist, "CELLS", [cell for cell in CELLS if cell[0] == "class"])

    def counted(*arguments):
        calls.append(arguments)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(comparison, "measure", counted)
    with pytest.raises(KeyboardInterrupt):
        run(config, 0, silent)
    resumed = run(config, 0, silent)
    tests, trials = len(STRATEGIES) + len(HEADS), 6
    assert len(calls) == tests + trials + 1, "what was measured before the interruption is not measured again"
    assert resumed["class.fast"] > 85
    run(config, 1, silent)
    assert len(calls) == 2 * tests + trials + 1, "another seed needs no trials"
    run(config, 0, silent)
    assert len(calls) == 2 * tests + trials + 1, "what was measured stays"
    forget("split-mnist", asdict(config))
    run(config, 0, silent)
    assert len(calls) == 3 * tests + 2 * trials + 1, "until it is forgotten"
