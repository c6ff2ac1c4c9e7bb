"""The server's benchmark runs, and reports what figures.json asks of it. Its speeds are no test's business."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "server.py"
MEASURED = {
    "server.fsyncs-per-teach-32", "server.teaches-per-s-32", "server.p99-slow-fsync-ms", "server.p99-under-teaching",
    "server.overhead-binary-ms", "server.overhead-json-ms", "server.keepalive-p50-ms", "server.predict-over-health",
    "server.requests-per-s-1", "server.requests-per-s-16", "server.longest-wait-hostile-ms",
    "server.hostile-memory-ratio",
}


def test_the_benchmark_of_the_server_reports_its_figures_in_the_layout_of_a_result() -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARK, "--quick", "--repeats", "1", "--json"], capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout)
    assert result["experiment"] == "server"
    assert set(result["figures"]) == MEASURED
    assert 0 < result["figures"]["server.fsyncs-per-teach-32"]["mean"] < 2
