"""The benchmarks run, and report what figures.json asks of them. Their speeds are no test's business."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from engram.lab.experiments import figures_of

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def test_the_benchmark_of_heads_reports_every_ratio_in_the_layout_of_a_result():
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "heads.py", "--quick", "--repeats", "1", "--json"],
        capture_output=True, text=True, check=True,
    )
    result = json.loads(done.stdout)
    assert result["experiment"] == "heads"
    # the first needs photographs and their backbone, the others widths that are left out
    missing = {key for key in figures_of("heads") if key == "heads.share-of-photo" or key.endswith(("-512", "-1280"))}
    measured = set(figures_of("heads")) - missing
    assert measured <= set(result["figures"])
    for key in measured:
        assert result["figures"][key]["mean"] > 0


def test_the_benchmark_of_sparse_execution_reports_every_ratio_and_how_far_the_answers_are_away():
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "sparse.py", "--quick", "--repeats", "1", "--json"],
        capture_output=True, text=True, check=True,
    )
    result = json.loads(done.stdout)
    assert set(result["figures"]) == set(figures_of("sparse"))
    assert all(figure["mean"] > 0 for figure in result["figures"].values())
    away = [value["mean"] for name, value in result["values"].items() if name.startswith("away/")]
    assert len(away) == 6
    assert max(away) < 1e-5


def test_the_benchmark_of_cores_reports_what_a_frame_costs_and_how_far_numpy_is_from_pytorch():
    done = subprocess.run([sys.executable, BENCHMARKS / "cores.py", "--quick", "--repeats", "1", "--json"],
                          capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert set(result["figures"]) == {
        key for subject in ("cores", "e-prop", "predictive-coding") for key in figures_of(subject)}
    assert result["figures"]["cores.step-over-floor"]["mean"] > 1
    assert result["figures"]["e-prop.gradient-error"]["mean"] < 1e-10
    assert 0 < result["figures"]["cores.export-difference"]["mean"] < 1e-9


def test_the_benchmark_of_laws_asks_a_head_in_every_way():
    done = subprocess.run([sys.executable, BENCHMARKS / "laws.py", "--quick", "--json"],
                          capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert set(result["figures"]) == set(figures_of("laws"))
    ways = {name for name in result["values"] if name.startswith("changed/") and not name[8].isdigit()}
    assert ways == {f"changed/{way}" for way in ("reopened", "reopened later", "from threads", "copied", "viewed",
                                                 "one by one", "settled", "taught at once", "melded", "unlearned",
                                                 "label forgotten")}
    assert result["figures"]["laws.answers-compared"]["mean"] > 10_000


def test_the_benchmark_of_forgetting_finds_nothing_of_what_it_found_before():
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "forgetting.py", "--stories", "3", "--json"],
        capture_output=True, text=True, check=True,
    )
    result = json.loads(done.stdout)
    assert set(result["figures"]) == set(figures_of("forgetting"))
    assert result["figures"]["forgetting.bytes-found"]["mean"] == 0
    assert result["values"]["least-share-found-before"]["mean"] > 0.5


def test_the_benchmark_of_strategies_interrupts_them_and_finds_nothing_left(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(BENCHMARKS)
    strategies = import_module("strategies")
    for kind in (*strategies.OWN, strategies.ExperienceReplay):
        changed, tried = strategies.left_behind(kind, {}, 40)
        assert (changed, tried > 4) == (0, True)
    monkeypatch.setattr("engram.networks.strategies.rollback._put_back", lambda *_: None)
    assert strategies.left_behind(strategies.Dreaming, {}, 40)[0] > 0


def test_the_benchmark_of_memory_finds_our_quantiser_beside_that_of_faiss():
    pytest.importorskip("faiss")
    done = subprocess.run([sys.executable, BENCHMARKS / "memory.py", "--quick", "--repeats", "1", "--json"],
                          capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert set(result["figures"]) == set(figures_of("memory"))
    assert result["figures"]["memory.pq-over-faiss"]["mean"] < 1.1
