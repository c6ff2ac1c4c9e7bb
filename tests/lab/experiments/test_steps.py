"""Steps of a seed: done once, by the code that began, and done anew where that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from engram.lab.experiments import steps
from engram.lab.experiments.experiment import execute


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))


@dataclass(frozen=True)
class Config:
    shift: float = 1.0


def stepwise(calls, stops=()):
    stops = list(stops)

    def run(config, seed, progress):
        place = steps.steps_of("stepwise", {"shift": config.shift}, seed=seed)
        for name in ("first", "second"):
            found = steps.measured(f"{place}/{name}", lambda name=name: calls.append((seed, name)) or {"score": 1.0})
            if stops:
                raise stops.pop()
        return found

    return SimpleNamespace(__doc__="A toy.", Config=Config, run=run, plot=drawn, PUBLISHED={}, FIGURES={})


def drawn(result):
    from matplotlib.figure import Figure

    return Figure()


def test_an_interrupted_seed_goes_on_and_fresh_begins_it_anew(tmp_path):
    calls: list[tuple[int, str]] = []
    with pytest.raises(KeyboardInterrupt):
        execute("stepwise", stepwise(calls, [KeyboardInterrupt()]), 1, tmp_path)
    execute("stepwise", stepwise(calls), 1, tmp_path)
    assert calls == [(0, "first"), (0, "second")]
    execute("stepwise", stepwise(calls), 1, tmp_path, fresh=True)
    assert calls == 2 * [(0, "first"), (0, "second")]


def test_what_other_code_or_other_settings_have_come_to_is_not_gone_on_with(monkeypatch):
    settings = {"rate": 0.1, "widths": (3, 4)}
    here = steps.steps_of("toy", settings, seed=0)
    assert here == steps.steps_of("toy", dict(reversed(settings.items())), seed=0)
    assert here != steps.steps_of("toy", settings, seed=1)
    assert here != steps.steps_of("toy", {**settings, "rate": 0.2}, seed=0)
    monkeypatch.setattr(steps, "code_digest", lambda: "other")
    assert here != steps.steps_of("toy", settings, seed=0)


def test_a_step_that_failed_is_not_taken_for_done():
    with pytest.raises(ZeroDivisionError):
        steps.measured(f"{steps.steps_of('toy', {})}/one", lambda: {"score": 1 / 0})
    assert steps.measured(f"{steps.steps_of('toy', {})}/one", lambda: {"score": 2}) == {"score": 2}
    steps.forget("toy", {})
    assert steps.measured(f"{steps.steps_of('toy', {})}/one", lambda: {"score": 3}) == {"score": 3}


def test_a_trained_network_comes_back_as_the_step_left_it():
    torch = pytest.importorskip("torch")
    network = torch.nn.Linear(2, 1)

    def train():
        torch.nn.init.constant_(network.weight, 5.0)
        return {"score": 1.5}

    assert steps.trained("steps/toy/trained", network, train) == {"score": 1.5}
    other = torch.nn.Linear(2, 1)
    assert steps.trained("steps/toy/trained", other, train) == {"score": 1.5}
    assert torch.equal(other.weight, torch.full((1, 2), 5.0))
    assert torch.equal(other.bias, network.bias)
