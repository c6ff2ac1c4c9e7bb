"""New data first, recoverable pruning, connectivity, a hundred updates, ResNet-18: in small, they do what they say."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from engram.lab.experiments.experiment import execute, save_plot, silent  # noqa: E402
from engram.lab.experiments.grow_and_prune import (  # noqa: E402
    growprune_connectivity,
    growprune_long,
    growprune_new_data_first,
    growprune_recoverable,
    growprune_resnet18,
)
from engram.lab.experiments.grow_and_prune.growprune_connectivity import Film  # noqa: E402
from engram.lab.experiments.result import build  # noqa: E402
from engram.lab.streams import channels_first, data_incremental, data_set, from_arrays  # noqa: E402
from engram.networks.structure.masks import Masks  # noqa: E402


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def small_portions(monkeypatch):
    """Ten portions of small digits in place of MNIST."""
    def portions(seed: int):
        return data_incremental(data_set("digits").map(channels_first), 10, held_out=200, seed=seed)

    monkeypatch.setattr(growprune_new_data_first, "portions", portions)
    monkeypatch.setattr(growprune_recoverable, "portions", portions)


def result_of(experiment, values, tmp_path):
    """As the result file has it, drawn."""
    result = json.loads(json.dumps(build("toy", "", "", {}, [0], [values], experiment.FIGURES)))
    missing = set(experiment.FIGURES) - set(result["figures"])
    assert all(key.endswith(("7500", "4000")) for key in missing)  # of sizes that a small run does not have
    save_plot(experiment, result, tmp_path / "plot.svg")
    return result


def test_new_data_first_and_merged_are_shown_equally_much(small_portions, tmp_path):
    config = growprune_new_data_first.Config(hidden=(16, 8), parameters=400, old_epochs=3, old_prune_epochs=3,
                                             merged_epochs=1, epochs=5, rate=5e-3, augmentation="none")
    values = growprune_new_data_first.run(config, 0, silent)
    for way in growprune_new_data_first.WAYS:
        assert 0 < values[f"{way}.epochs"] <= 5.2
    assert values["gain"] == pytest.approx(values["merged.epochs"] / values["new data first.epochs"])
    assert values["start"] == pytest.approx(100 - values["before"]["validation-error"])
    result_of(growprune_new_data_first, values, tmp_path)


def test_what_an_accuracy_costs_is_read_off_the_smoothed_curve():
    config = growprune_new_data_first.Config(epochs=4, look_every=1, smooth=1, share=0.5)
    merged = {"epochs": [0, 1, 2, 3, 4], "accuracy": [90.0, 90.0, 91.0, 93.0, 94.0], "error": 6.0}
    first = {"epochs": [0, 1, 2, 3, 4], "accuracy": [90.0, 92.0, 93.0, 93.0, 93.0], "error": 7.0}
    cheap = merged | {"epochs": [0, 0.5, 1, 2, 3]}
    values = growprune_new_data_first.compared(
        config, {"merged": merged, "merged, one growth": cheap, "new data first": first})
    assert values["gain-over-one-growth"] == 1.5
    assert values["wanted"] == 92.0
    assert (values["merged.epochs"], values["new data first.epochs"], values["gain"]) == (2.5, 1.0, 2.5)
    never = growprune_new_data_first.compared(
        config, {"merged": merged, "merged, one growth": cheap, "new data first": merged | {"accuracy": [90.0] * 5}})
    assert (never["new data first.epochs"], never["new data first.reached"]) == (4.0, 0.0)


def test_recoverable_pruning_cuts_no_neuron_off_and_an_interrupted_seed_goes_on(small_portions, tmp_path, monkeypatch):
    config = growprune_recoverable.Config(hidden=(20, 10), grown_epochs=8, recoverable=500, sizes=(250, 120),
                                          rate=1e-2, prune_epochs=(8, 8, 8), prune_rate=1e-2, again_epochs=1,
                                          averaging=0.9)

    def stop(share: float, message: str) -> None:
        if message.startswith("250: "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        growprune_recoverable.run(config, 0, stop)
    told = []
    values = growprune_recoverable.run(config, 0, lambda share, message: told.append(message))
    assert not any(message.startswith("grown: ") and "alive" in message for message in told)
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "another"))
    assert growprune_recoverable.run(config, 0, silent) == values
    assert values["recoverable"]["parameters"] <= 500
    assert (values["recoverable.isolated"], values["recoverable"]["again"]["dead"]) == (0, 0)
    assert values["non-recoverable-120"]["parameters"] <= 120
    assert 0 < values["dead-after-growth-120"] <= values["dead-120"]
    result_of(growprune_recoverable, values, tmp_path)


def test_connections_wake_where_the_new_digits_are_and_the_film_shows_it(tmp_path):
    config = growprune_connectivity.Config(data="digits", hidden=(20, 10), parameters=(150, 250, 400),
                                           examples=(400, 400, 400), alpha=80, augmentation="none")
    values = growprune_connectivity.run(config, 0, silent)
    assert values["woken"] > 0.6
    assert abs(values["woken-at-random"]) < 0.3
    film = json.loads(values["film"])
    resting = [frame for frame in film["frames"] if frame["rests"]]
    assert [len(frame["labels"]) for frame in resting] == [2, 5, 10]
    assert all(frame["live"] <= most for frame, most in zip(resting, config.parameters, strict=True))
    other = growprune_connectivity.run(config, 1, silent)
    assert "film" not in other
    result_of(growprune_connectivity, values, tmp_path)
    both = json.loads(json.dumps(build("toy", "", "", {}, [0, 1], [values, other], growprune_connectivity.FIGURES)))
    save_plot(growprune_connectivity, both, tmp_path / "both.svg")


def test_a_line_of_the_film_is_there_while_its_connection_is_alive():
    layers = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))
    masks = Masks(layers)
    film = Film((100, 100))
    alive = [torch.ones(3, 4), torch.tensor([[1.0, 0, 0, 0]] * 3), torch.tensor([[1.0, 1, 0, 0]] * 3)]
    for mask in alive:
        masks["0.weight"] = mask
        film.watch(masks, dict, rests=True)
    packed = json.loads(film.packed())
    lines = {(source, to): seen for layer, source, to, seen in packed["lines"] if layer == 0}
    assert lines == {(source, to): sum(int(mask[to, source]) << i for i, mask in enumerate(alive))
                     for source in range(4) for to in range(3)}
    assert [frame[0] for frame in packed["neurons"]] == [[3, 3, 3, 3], [3, 0, 0, 0], [3, 3, 0, 0]]


def test_recoverable_pruning_keeps_all_neurons_alive_for_good(tmp_path):
    settings = {"data": "digits", "hidden": (20, 10), "cycles": 6, "portion": 40, "kept": 100, "parameters": 120,
                "examples": 640, "look_every": 2, "augmentation": "none"}
    result = execute("growprune-long", growprune_long, 1, tmp_path, settings=settings)
    values = result["values"]
    assert values["recoverable"]["alive"]["mean"] == [100.0] * 7
    assert values["alive-non-recoverable"]["mean"] < 100
    assert values["recoverable"]["cycle"]["mean"] == [0, 2, 4, 6]
    assert max(values["recoverable"]["parameters"]["mean"]) <= 120


def test_a_residual_network_grows_and_is_pruned_on_pictures(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    names = np.array(["cat", "dog", "owl"] * 20)
    pictures = rng.integers(0, 120, (60, 16, 16, 3)).astype(np.uint8)
    pictures[names == "dog", :8] += 120
    pictures[names == "cat", 8:] += 120
    toys = from_arrays(pictures, names, test=0.2)
    monkeypatch.setattr(growprune_resnet18, "data_set", lambda name: toys)
    config = growprune_resnet18.Config(classes=2, side=8, multiplier=0.1, portions=2, budget=48,
                                       all_epochs=1, prune_epochs=2, batch=8)
    assert growprune_resnet18.make(config, "grow and prune", 0).augmentation == "photo"
    values = growprune_resnet18.run(config, 0, silent)
    for found in values["methods"].values():
        assert len(found["error"]) == 2
        assert found["error-top-5"] == [0, 0]
        assert all(0 <= error <= 100 for error in found["error"])
    result_of(growprune_resnet18, values, tmp_path)


def test_pictures_are_made_smaller_by_means_over_squares():
    images = np.arange(2 * 4 * 4).reshape(2, 4, 4).astype(np.uint8)
    small = growprune_resnet18.smaller(images, 2)
    assert small.shape == (2, 2, 2, 3)
    assert small[0, 0, 0].tolist() == [2, 2, 2]  # 0, 1, 4, 5
    assert small[1, 1, 1].tolist() == [28, 28, 28]  # 26, 27, 30, 31
