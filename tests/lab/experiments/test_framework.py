"""An experiment runs seed by seed, resumably, and its figures reach figures.json untouched."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from engram.lab.experiments import ExperimentError, check_figures, collect_figures, load_experiment
from engram.lab.experiments.experiment import configure, execute
from engram.lab.experiments.result import Figure, build, plain


@dataclass(frozen=True)
class Config:
    shift: float = 1.0
    digits: tuple[int, ...] = (7, 8)
    deep: bool = False
    sizes: tuple[int, int] = (3, 4)
    bonus: float = 0.0


def toy(calls, fail_at=None):
    def run(config, seed, progress):
        calls.append(seed)
        progress(0.5, "half")
        if seed == fail_at:
            raise KeyboardInterrupt
        values = {"score": seed + config.shift, "curve": np.array([0.0, seed]), "note": "text",
                  "by": {"near": 10.0 * seed}}
        return values if seed else {**values, "rare": 4.0}

    def plot(result):
        from matplotlib.figure import Figure as Canvas

        canvas = Canvas(figsize=(2, 2))
        canvas.subplots().plot(result["values"]["curve"]["mean"])
        return canvas

    keys = {"toy.score": Figure("score", "%", at_least=1.5, published=98.2, source="a paper"),
            "toy.rare": Figure("rare", "ratio", at_most=3.0), "toy.absent": Figure("absent", "%")}
    return SimpleNamespace(__doc__="A toy.\n\nMore.", Config=Config, run=run, plot=plot, PUBLISHED={"a": 1},
                           FIGURES=keys)


def test_a_result_holds_every_value_per_seed_with_mean_and_sample_sd(tmp_path):
    result = execute("toy", toy([]), 3, tmp_path)
    assert result == json.loads((tmp_path / "toy.json").read_text())
    assert result["values"]["score"] == {"values": [1.0, 2.0, 3.0], "mean": 2.0, "sd": 1.0, "n": 3}
    assert result["values"]["curve"]["mean"] == [0.0, 1.0]
    assert result["values"]["by"]["near"]["mean"] == 10.0
    assert result["values"]["rare"]["n"] == 1
    assert result["summary"] == "A toy."
    assert result["command"] == "engram experiment run toy --seeds 3"
    assert result["config"] == {"shift": 1.0, "digits": [7, 8], "deep": False, "sizes": [3, 4],
                                "bonus": 0.0}
    assert result["environment"]["packages"]["numpy"] == np.__version__
    assert (tmp_path / "toy.svg").read_text().startswith("<?xml")


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path):
    calls: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        execute("toy", toy(calls, fail_at=2), 4, tmp_path)
    result = execute("toy", toy(calls), 4, tmp_path)
    assert calls == [0, 1, 2, 2, 3]
    assert result["values"]["score"]["values"] == [1.0, 2.0, 3.0, 4.0]


def test_a_damaged_seed_file_is_measured_again(tmp_path):
    calls: list[int] = []
    execute("toy", toy(calls), 2, tmp_path)
    (tmp_path / "toy" / "seed-1.json").write_text('{"config_sha256": "')
    execute("toy", toy(calls), 2, tmp_path)
    assert calls == [0, 1, 1]


def test_a_changed_default_is_measured_again(tmp_path):
    calls: list[int] = []
    experiment = toy(calls)
    execute("toy", experiment, 1, tmp_path)

    @dataclass(frozen=True)
    class Changed(Config):
        shift: float = 5.0

    experiment.Config = Changed
    assert execute("toy", experiment, 1, tmp_path)["values"]["score"]["mean"] == 5.0
    assert calls == [0, 0]


def test_a_run_with_other_settings_stands_apart_and_publishes_no_figure(tmp_path):
    execute("toy", toy([]), 1, tmp_path)
    other = execute("toy", toy([]), 1, tmp_path, settings={"shift": "2.5"})
    assert other["values"]["score"]["mean"] == 2.5
    assert other["command"] == "engram experiment run toy --seeds 1 --set shift=2.5"
    assert (tmp_path / "toy-shift=2.5.json").exists()
    assert collect_figures(tmp_path)["toy.score"]["mean"] == 1.0


def test_a_result_is_not_replaced_by_one_of_fewer_seeds(tmp_path):
    calls: list[int] = []
    execute("toy", toy(calls), 3, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.glob("toy.*")}
    with pytest.raises(ExperimentError, match=r"toy.json has 3 seeds .*--out DIR.*--seeds 3.*--fresh"):
        execute("toy", toy(calls), 1, tmp_path)
    execute("toy", toy(calls), 1, tmp_path, settings={"shift": "2.5"})
    assert {path: path.read_bytes() for path in tmp_path.glob("toy.*")} == before
    assert calls == [0, 1, 2, 0]
    execute("toy", toy(calls), 3, tmp_path)
    assert execute("toy", toy(calls), 1, tmp_path, fresh=True)["seeds"] == [0]


def test_progress_runs_over_all_seeds_to_one(tmp_path):
    seen: list[float] = []
    execute("toy", toy([]), 2, tmp_path, lambda share, message: seen.append(share))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert 0.75 in seen


def test_collected_figures_are_complete_and_those_below_their_floor_are_found(tmp_path):
    experiment = toy([])
    execute("toy", experiment, 3, tmp_path)
    found = collect_figures(tmp_path)
    assert found == json.loads((tmp_path / "figures.json").read_text())
    assert found["toy.score"] == {"mean": 2.0, "sd": 1.0, "n": 3, "unit": "%", "published": 98.2,
                                  "source": "a paper", "command": "engram experiment run toy --seeds 3"}
    problems = {finding.key: str(finding) for finding in check_figures(tmp_path, experiment.FIGURES)}
    assert problems == {"toy.rare": "toy.rare: 4, at most 3",
                        "toy.absent": "toy.absent: not measured, report"}


@pytest.mark.parametrize("name", ["toy.json", "figures.json"])
def test_a_damaged_result_is_named_with_what_to_do(tmp_path, name):
    execute("toy", toy([]), 1, tmp_path)
    collect_figures(tmp_path)
    (tmp_path / name).write_text((tmp_path / name).read_text()[:-20])
    with pytest.raises(ExperimentError, match=rf"{name} .*engram experiment (run|figures)"):
        collect_figures(tmp_path) if name == "toy.json" else check_figures(tmp_path, toy([]).FIGURES)


def test_every_published_figure_is_missing_from_an_empty_folder(tmp_path):
    missing = {finding.key for finding in check_figures(tmp_path)}
    assert {"ldnn-mnist.batch-5", "ldnn-unknown.auroc-near", "heads.over-river-knn"} <= missing


def test_settings_are_read_as_their_own_type():
    config = configure(toy([]), {"digits": "1,2,3", "deep": "true"})
    assert config == Config(digits=(1, 2, 3), deep=True)
    assert configure(toy([]), {"bonus": "-1", "sizes": "5,6"}) == Config(bonus=-1.0, sizes=(5, 6))


@pytest.mark.parametrize("settings", [{"depth": 1}, {"shift": "much"}, {"deep": "perhaps"}, {"shift": "-1"},
                                      {"digits": "7,-8"}, {"sizes": "3"}, {"sizes": "3,4,5"}, {"sizes": "0.5,4"}])
def test_a_setting_that_cannot_be_is_refused(settings):
    with pytest.raises(ExperimentError, match="etting"):
        configure(toy([]), settings)


@pytest.mark.parametrize(("name", "settings"), [
    ("growprune-connectivity", {"parameters": "5"}), ("growprune-connectivity", {"parameters": "-1"}),
    ("growprune-connectivity", {"parameters": "1500,2000"}), ("growprune-connectivity", {"examples": "0"}),
    ("growprune-connectivity", {"hidden": "5"}), ("ldnn-meld", {"devices": "-2"}), ("split-mnist", {"capacity": "-1"}),
    ("split-mnist", {"held_out": "0.1"}),
])
def test_a_published_experiment_refuses_what_it_could_not_run(name, settings):
    with pytest.raises(ExperimentError, match=f"Setting {next(iter(settings))} "):
        configure(load_experiment(name), settings)


def test_an_unknown_experiment_is_refused_with_those_that_exist():
    with pytest.raises(ExperimentError, match="ldnn-mnist"):
        load_experiment("ldnn-moon")


def test_a_value_that_is_no_number_list_or_text_is_refused():
    with pytest.raises(TypeError, match="object"):
        plain({"a": object()})


def test_nan_becomes_null_and_counts_as_not_measured():
    result = build("toy", "", "", {}, [0], [{"a": float("nan")}], {"toy.a": Figure("a", "%")})
    assert result["figures"] == {}
    json.dumps(result, allow_nan=False)
