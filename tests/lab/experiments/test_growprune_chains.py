"""Ten portions to a network that grows and is pruned, in small: chains are whole, resumable, and count their cost."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from engram.lab.experiments.experiment import save_plot, silent  # noqa: E402
from engram.lab.experiments.grow_and_prune import (  # noqa: E402
    growprune_chain,
    growprune_lenet5,
    growprune_lenet300,
    growprune_patent,
)
from engram.lab.experiments.grow_and_prune.growprune_chain import Chain, cost_of_equal, run_chain  # noqa: E402
from engram.lab.experiments.result import build, plain  # noqa: E402
from engram.lab.streams import channels_first, data_incremental, data_set  # noqa: E402
from engram.networks.strategies.update_recipe import PATENT, UpdateRecipe  # noqa: E402

NETWORK = {"name": "perceptron", "inputs": [1, 8, 8], "hidden": [20, 10]}
QUICK = UpdateRecipe(constant_budget=1200, new_epochs=0.5, all_epochs=0.5, prune_epochs=1)


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """Ten portions of small digits, a small network, recipes of a moment."""
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    digits = data_set("digits").map(channels_first)
    portions = [data_incremental(digits, 10, held_out=200, seed=seed) for seed in (0, 1)]
    monkeypatch.setattr(growprune_chain, "portions", lambda seed: portions[seed])
    monkeypatch.setattr(growprune_chain, "TRAINING", sum(len(portion.inputs) for portion in portions[0]))
    for experiment in (growprune_lenet300, growprune_lenet5):
        monkeypatch.setattr(experiment, "NETWORK", NETWORK)
    monkeypatch.setattr(growprune_lenet300, "UpdateRecipe", lambda: QUICK)
    monkeypatch.setattr(growprune_lenet5, "UpdateRecipe", lambda: replace(QUICK, new_epochs=0.2))
    monkeypatch.setattr(growprune_patent, "PATENT",
                        replace(PATENT, new_epochs=1, growths=1, all_epochs=1, prune_epochs=2))


def figures_of(experiment, values, tmp_path):
    result = json.loads(json.dumps(build("toy", "", "", {}, [0], [values], experiment.FIGURES)))
    assert set(result["figures"]) == set(experiment.FIGURES)
    save_plot(experiment, result, tmp_path / "plot.svg")
    return result


def test_lenet300_and_its_rivals(tmp_path):
    config = growprune_lenet300.Config(parameters=400)
    values = growprune_lenet300.run(config, 0, silent)
    figures_of(growprune_lenet300, values, tmp_path)
    steps = values["steps"]["grow-and-prune"]
    assert steps["data"] == [10 * (i + 1) for i in range(10)]
    assert max(steps["parameters"]) <= 400
    assert values["epochs"] == pytest.approx(steps["shown"][-1] / growprune_chain.TRAINING)
    assert values["chain-epochs"] == pytest.approx(sum(steps["all-data-epochs"]))
    shown = {name: steps["shown"][-1] for name, steps in values["steps"].items()}
    assert shown["tfs-3x"] == pytest.approx(3 * shown["tfs"], rel=0.1)  # whole batches


def test_lenet5_is_trained_longer_at_last_and_compressed(tmp_path):
    values = growprune_lenet5.run(growprune_lenet5.Config(parameters=400, compressed=250), 0, silent)
    figures_of(growprune_lenet5, values, tmp_path)
    shown = values["steps"]["grow-and-prune"]["shown"]
    assert shown[-1] > 3 * shown[-2]
    assert values["compressed-parameters"] <= 250 < values["parameters"] <= 400


def test_the_published_recipe_and_its_baselines(tmp_path):
    values = growprune_patent.run(growprune_patent.Config(), 0, silent)
    figures_of(growprune_patent, values, tmp_path)
    assert set(values["steps"]) == {"grow-and-prune", "tfs"}
    whole = 64 * 20 + 20 * 10 + 10 * 10 + 40
    for method in ("grow-and-prune", "tfs", "nft", "nest", "lenet5-grow-and-prune", "lenet5-tfs"):
        assert values[f"{method}.parameters"] < whole


def test_an_interrupted_chain_goes_on_and_comes_to_the_same():
    chain = Chain("grow-and-prune", NETWORK, 400, QUICK, 1, last=4)
    said: list[str] = []

    def stop(share: float, message: str) -> None:
        said.append(message)
        if "30%" in message:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_chain(chain, "steps/toy/one", stop)
    resumed: list[str] = []
    steps = run_chain(chain, "steps/toy/one", lambda share, message: resumed.append(message))
    assert not any("10%" in message or "20%" in message for message in resumed)
    assert run_chain(chain, "steps/toy/one", silent) == plain(steps)
    whole = run_chain(chain, "steps/toy/other", silent)
    for mine, other in zip(steps, whole, strict=True):
        assert {key: value for key, value in plain(mine).items() if "seconds" not in key} == {
            key: value for key, value in plain(other).items() if "seconds" not in key}


def test_equal_accuracy_costs_what_the_cheapest_that_reaches_it_costs():
    ours = {"validation-error": 2.0, "epochs": 10.0}
    scratch = [{"validation-error": 3.0, "epochs": 10.0}, {"validation-error": 2.0, "epochs": 30.0},
               {"validation-error": 1.0, "epochs": 50.0}]
    assert cost_of_equal(ours, scratch) == 3.0
    assert cost_of_equal({**ours, "validation-error": 0.5}, scratch) == 5.0
    assert cost_of_equal(ours, []) == 0.0
