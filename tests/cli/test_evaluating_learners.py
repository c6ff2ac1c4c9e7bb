"""`engram evaluate`: learners by name on a data set that arrives piece by piece."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from terminal import Terminal

from engram.cli import app, continual
from engram.lab import by_name
from engram.lab.evaluation import Report
from engram.lab.streams import ARRIVALS, DATA_SETS, class_incremental, flattened, from_arrays, task_incremental
from engram.learner import Learner, Saves

pytest.importorskip("sklearn")


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """Ten pictures of each of four shades, a folder for each."""
    rng = np.random.default_rng(0)
    for label, shade in zip("abcd", (20, 90, 160, 230), strict=True):
        (tmp_path / "shades" / label).mkdir(parents=True)
        for number in range(10):
            pixels = (rng.integers(0, 9, (12, 12)) + shade * np.tri(12)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "shades" / label / f"{number}.png")
    return tmp_path / "shades"


def test_learners_stand_side_by_side_in_a_table(terminal: Terminal) -> None:
    shown = terminal.says("evaluate", "digits", "fast", "nearest_neighbors:k=1", "--seeds", 2)
    assert "digits, class-incremental" in shown
    assert "nearest_neighbors-k=1" in shown
    assert "accuracy (%)" in shown


def test_one_learner_shows_its_matrix(terminal: Terminal) -> None:
    shown = terminal.says("evaluate", "digits", "nearest_class_mean", "--set", "per=5")
    assert "on 5, 6, 7, 8, 9" in shown


def test_what_was_not_asked_about_is_said(terminal: Terminal) -> None:
    chosen = ("evaluate", "digits", "nearest_class_mean", "--set", "groups=[[0],[1]]")
    assert " test examples were not asked about, their classes are never taught: 2 (" in terminal.says(*chosen)
    found = terminal.answers(*chosen)["learners"]["nearest_class_mean"]
    assert found["figures"]["left-out"]["mean"] > 200
    assert found["reports"][0]["left_out"][0][0] == 2


def test_a_folder_of_pictures_is_data(terminal: Terminal, shapes: Path) -> None:
    found = terminal.answers("evaluate", shapes, "nearest_class_mean:normalise=false,step=0.01", "--side", 8,
                             "--set", "per=1")
    assert found["stream"]["settings"]["groups"] == [["a"], ["b"], ["c"], ["d"]]
    report = found["learners"]["nearest_class_mean-normalise=False-step=0.01"]["reports"][0]
    assert report["figures"]["accuracy"] > 0.9


def test_a_head_that_will_be_slow_on_long_inputs_says_what_to_do(
    shapes: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engram.cli.continual.LONG", 100)
    for more, hint in (([], True), (["--side", "5"], False), (["--json"], False)):
        assert app.run(["evaluate", str(shapes), "fast", "--side", "8", *more]) == 0
        said = capsys.readouterr().err
        assert ("each input has 192 values, which is slow with fast" in said and "--backbone photos" in said) == hint
    assert app.run(["evaluate", str(shapes), "nearest_class_mean", "--side", "8"]) == 0
    assert capsys.readouterr().err == ""


def test_what_was_measured_is_left_and_not_measured_again(terminal: Terminal, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    line = ("evaluate", "digits", "nearest_class_mean", "streaming_lda", "--out", tmp_path / "out")
    first = terminal.answers(*line)
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == first
    assert "streaming_lda" in (tmp_path / "out" / "comparison.svg").read_text()
    assert Report.read(tmp_path / "out" / "streaming_lda" / "seed-0" / "report.json").complete
    assert terminal.answers(*line) == first
    assert terminal.answers(*line, "--fresh") != first  # other seconds
    assert "another stream" in terminal.refuses(*line, "--arrival", "domain")


def test_ctrl_c_is_told_with_how_to_go_on(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    line = [sys.executable, "-m", "engram", "evaluate", "digits", "naive:epochs=100", "--out", str(tmp_path / "out")]
    under_way = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {
        "OMP_NUM_THREADS": "1"}, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("out/naive*/seed-0/*")) and time.monotonic() < deadline:
        assert under_way.poll() is None
        time.sleep(0.02)
    under_way.send_signal(signal.SIGINT)
    shown, said = under_way.communicate(timeout=60)
    assert (under_way.returncode, shown) == (130, "")
    assert said == "engram: interrupted; the same command resumes it\n"


def test_settings_are_chosen_on_what_is_held_out(terminal: Terminal) -> None:
    asked = terminal.answers("evaluate", "digits", "nearest_class_mean", "--validation")
    assert asked["stream"]["name"] == "digits, class-incremental, validation"
    report = asked["learners"]["nearest_class_mean"]["reports"][0]
    assert sum(map(sum, report["totals"])) == 130
    assert sum(cost["examples"] for cost in report["costs"]) == 1297 - 130


def test_a_backbone_gives_the_features(terminal: Terminal) -> None:
    raw, seen = (terminal.answers("evaluate", "digits", "fast", *more)["learners"]["fast"]["figures"]["accuracy"]
                 for more in ((), ("--backbone", "digits")))
    assert seen["mean"] > raw["mean"] + 0.01


def test_what_is_turned_is_the_picture_not_its_features(terminal: Terminal) -> None:
    line = ("evaluate", "digits", "fast", "--backbone", "digits", "--arrival", "rotated", "--set", "angles=[0,90]")
    report = terminal.answers(*line)["learners"]["fast"]["reports"][0]
    assert report["matrix"][0][0] > 0.95
    assert report["matrix"][0][1] < 0.6


@pytest.mark.parametrize("arrival", ARRIVALS)
def test_every_arrival_can_be_asked_for(terminal: Terminal, arrival: str) -> None:
    found = terminal.answers("evaluate", "digits", "nearest_class_mean", "--arrival", arrival)
    assert found["stream"]["settings"]["arrival"] == arrival


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["digits", "nosuch"], "Choose from: fast"),
        (["nosuch", "fast"], "Data sets: mnist"),
        (["digits", "fast:colour=red"], "fast takes no colour"),
        (["digits", "fast:gate"], "KEY=VALUE"),
        (["digits", "fast", "--arrival", "sideways"], "--arrival is one of class"),
        (["digits", "fast", "--set", "portions=3"], "class takes no portions. It takes per"),
    ],
)
def test_wrong_usage_names_what_there_is(terminal: Terminal, more: list[str], says: str) -> None:
    assert says in terminal.refuses("evaluate", *more, code=2)


def test_a_setting_that_a_recipe_does_not_have_is_a_refusal(terminal: Terminal) -> None:
    pytest.importorskip("torch")
    said = terminal.refuses("evaluate", "digits", "grow-and-prune:recipe.alfa=5")
    assert "no field 'alfa'. The nearest is 'alpha'" in said


def test_a_value_that_cannot_be_is_a_refusal(terminal: Terminal) -> None:
    assert "whole number of at least 1" in terminal.refuses("evaluate", "digits", "fast", "--set", "per=0")
    assert "one size" in terminal.refuses("evaluate", "digits", "fast", "--side", 9)


def test_the_help_names_every_data_set_arrival_and_learner(terminal: Terminal) -> None:
    shown = " ".join(terminal.says("evaluate", "--help").split()).replace("- ", "-")
    for name in (*DATA_SETS, *ARRIVALS, *by_name.learner_table()):
        assert name in shown


@pytest.mark.parametrize("name", by_name.learner_table())
def test_every_learner_in_the_table_can_be_made_saved_and_taught(name: str) -> None:
    if by_name.learner_table()[name].needs:
        pytest.importorskip("torch")
    pictures = np.random.default_rng(0).integers(0, 256, (8, 4, 4), np.uint8)
    stream = task_incremental(from_arrays(pictures, [0, 1, 2, 3] * 2, test=0.5).map(flattened))
    taken = by_name.parameters_of(by_name.learner_table().load(name))
    brief = {"recipe": {"constant_budget": 0}} if "recipe" in taken else {}
    learner = by_name.make_learner(name, brief, stream, seed=1)
    assert isinstance(learner, Learner)
    assert isinstance(learner, Saves)
    learner.learn(stream[0].inputs, stream[0].labels)
    assert set(learner.predict(stream[0].test.inputs, among=(0, 1)).best) <= {0, 1}


def test_a_network_is_made_for_the_inputs_and_lets_the_task_compete_where_it_is_told() -> None:
    pytest.importorskip("torch")
    data = from_arrays(np.random.default_rng(0).random((8, 5)), [0, 1, 2, 3] * 2, test=0.5)
    told = by_name.make_learner("naive", {"epochs": 2}, task_incremental(data), seed=3)
    untold = by_name.make_learner("naive", {}, class_incremental(data), seed=3)
    assert (told.active, untold.active, told.epochs, told.seed) == ("experience", "all", 2, 3)  # type: ignore[attr-defined]
    assert list(told.shape) == [5]  # type: ignore[attr-defined]


def test_what_the_papers_call_it_will_do() -> None:
    given = ("er", "ewc", "lwf", "tfs", "nft", "grow-and-prune", "naive")
    assert [continual.parse_learner(name)[0] for name in given] == [
        "experience_replay", "elastic_weight_consolidation", "learning_without_forgetting", "train_from_scratch",
        "network_fine_tuning", "grow_and_prune", "naive"]


def test_a_network_that_grows_and_prunes_stands_beside_the_others(terminal: Terminal) -> None:
    pytest.importorskip("torch")
    brief = "parameters=6000,batch=32,recipe.constant_budget=16000,recipe.all_epochs=3,recipe.prune_epochs=4"
    found = terminal.answers("evaluate", "digits", "naive", f"grow-and-prune:{brief}", "fast")
    figures = {name: entry["figures"] for name, entry in found["learners"].items()}
    naive, grown, fast = figures.values()
    assert grown["accuracy"]["mean"] > naive["accuracy"]["mean"] + 0.5
    assert 0 < grown["multiply-adds"]["mean"] <= 6000
    assert fast["accuracy"]["mean"] > 0.9


@pytest.mark.parametrize("name", [name for name, row in by_name.learner_table().items() if row.needs])
def test_without_pytorch_a_network_says_what_to_install(
    terminal: Terminal, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [module for module in sys.modules if module.startswith("engram.networks.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "(the extra train)" in terminal.refuses("evaluate", "digits", name)


def test_settings_are_read_as_json_where_they_can_be() -> None:
    found = continual.parse_settings(["a=1", "b=true", "c=text", "d=[1,2]"])
    assert found == {"a": 1, "b": True, "c": "text", "d": [1, 2]}
    assert continual.parse_settings(["a.b=1", "a.c=x"]) == {"a": {"b": 1, "c": "x"}}
    for wrong in (["=1"], ["a=1", "a.b=2"]):
        with pytest.raises(typer.BadParameter):
            continual.parse_settings(wrong)


def test_every_strategy_trains_the_same_network_for_the_same_budget_unless_told_otherwise() -> None:
    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    stream = class_incremental(from_arrays(rng.random((40, 6)), [0, 1, 2, 3] * 10, test=0.2))
    networks, shown = set(), []
    for name in ("naive", "er", "grow-and-prune"):
        chosen = {"batch": 16} if name == "er" else {}
        learner = by_name.make_learner(by_name.learner_table().name_of(name), chosen, stream, seed=1)
        networks.add(json.dumps(learner.network.spec))  # type: ignore[attr-defined]
        learner.learn(stream[0].inputs, stream[0].labels)
        shown.append(learner.examples_shown)  # type: ignore[attr-defined]
    assert len(networks) == 1
    assert shown[:2] == [300 * 16, 300 * 16]  # sixteen examples are all that an experience brings
    assert shown[2] == pytest.approx(300 * 15, rel=0.1)  # one is held out
    freely = by_name.make_learner("naive", {"epochs": 2, "network": {"name": "perceptron", "hidden": [3]}}, stream, 0)
    assert (freely.steps, freely.epochs, freely.network.spec["hidden"]) == (None, 2, [3])  # type: ignore[attr-defined]


def test_a_budget_is_one_pass_at_least_and_is_divided_where_examples_arrive_one_by_one() -> None:
    many = class_incremental(from_arrays(np.zeros((40_000, 1)), [0, 1] * 20_000, test=0.2))
    assert by_name.steps_of(many) == 1000
    assert by_name.steps_of(many.in_batches(1)) == 1


OWN = '''
import torch
from engram.networks.strategies.strategy import Strategy

class Timid(Strategy):
    """Every gradient is halved."""

    def __init__(self, network, *, share=0.5, **settings):
        super().__init__(network, **settings)
        self.share = share

    def project(self, inputs, targets):
        for parameter in self.model.parameters():
            parameter.grad *= self.share

def narrow(shape):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(shape[0], 7))
'''


def test_a_strategy_and_a_network_of_ones_own_are_named_by_their_module(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    (tmp_path / "timid_methods.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    found = terminal.answers("evaluate", "digits", "timid_methods:Timid:share=0.1,steps=5,network=timid_methods:narrow",
                             "--set", "per=5", "--out", tmp_path / "out")
    (name, entry), = found["learners"].items()
    assert name == "timid_methods:Timid-share=0.1-steps=5-network=timid_methods:narrow"
    config = entry["reports"][0]["learner"]["config"]
    assert (config["share"], config["network"]["module"], config["steps_taken"]) == (0.1, "Sequential", 10)
    (folder,) = [path.name for path in (tmp_path / "out").iterdir() if path.is_dir()]
    assert not set(folder) & set('<>:"/\\|?*{}\'')
    assert "no 'Bold'" in terminal.refuses("evaluate", "digits", "timid_methods:Bold")
    assert "cannot be imported" in terminal.refuses("evaluate", "digits", "no_such_module:Bold")


def test_the_table_tells_steps_and_examples_and_who_keeps_everything(terminal: Terminal, shapes: Path) -> None:
    pytest.importorskip("torch")
    shown = " ".join(terminal.says("evaluate", shapes, "er:steps=3", "naive", "--side", 4, "--seeds", 2).split())
    assert "examples-shown" in shown
    assert "steps" in shown
    assert "FWT" not in shown  # 0 by definition where every class is new
    assert "experience_replay-steps=3: every example taught is kept, so this is joint training" in shown


def test_seeds_draw_the_test_part_of_a_folder_and_the_order_of_the_classes(terminal: Terminal, shapes: Path) -> None:
    found = terminal.answers("evaluate", shapes, "nearest_class_mean", "--side", 4, "--seeds", 3, "--set", "per=1")
    reports = found["learners"]["nearest_class_mean"]["reports"]
    assert reports[0]["experiences"] == ["a", "b", "c", "d"]
    assert len({tuple(report["experiences"]) for report in reports}) > 1
    assert len({report["stream"]["fingerprint"] for report in reports}) == 3
