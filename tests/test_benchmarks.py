"""The benchmark runs, and reports what figures.json asks of it. Its speeds are no test's business."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from engram.experiments.figures import figures_of

BENCHMARK = Path(__file__).parent.parent / "benchmarks" / "heads.py"


def test_the_benchmark_of_heads_reports_every_ratio_in_the_layout_of_a_result():
    done = subprocess.run(
        [sys.executable, BENCHMARK, "--quick", "--repeats", "1", "--json"], capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout)
    assert result["experiment"] == "heads"
    measured = set(figures_of("heads")) - {"heads.share-of-photo"}  # which needs photographs and their backbone
    assert measured <= set(result["figures"])
    for key in measured:
        assert result["figures"][key]["mean"] > 0
