"""How many flows through the page are driven end to end, in real Chromium against a real server with durable brains;
and with how many requests the page undoes a drop of 140 pictures.

    python benchmarks/page.py [--json] [--out results/page.json]

A flow is one test of these files of `tests/page/`: what a person does, from opening the page to what the brain then
holds. It counts when it passed; one that failed, or that was skipped because there is no Chromium, does not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from engram.lab.experiments import figures_of
from engram.lab.experiments.result import build, write_json

TESTS = Path(__file__).parent.parent / "tests" / "page"
FLOWS = [TESTS / f"test_page_{what}.py" for what in ("teaching", "correcting", "lasting", "watching")]


def drive() -> dict[str, Any]:
    """Run every flow once; how many passed, and how each went."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", "-o", "junit_family=xunit1"]
        plain = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
        command = [sys.executable, "-m", "pytest", *FLOWS, *options, f"--junitxml={report}"]
        subprocess.run(command, env=plain, stdout=sys.stderr, check=False)
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
        counts = (one for case in cases for one in case.iter("property"))
        counted = {str(one.get("name")): float(str(one.get("value"))) for one in counts}
        went = {str(case.get("name")): _outcome(case) for case in cases}
    passed = list(went.values()).count("passed")
    return {"flows-driven": passed, "flows-not-driven": len(went) - passed, "flows": went, **counted}


def _outcome(case: ElementTree.Element) -> str:
    wrong = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
    return wrong[0] if wrong else "passed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--out", type=Path, help="write the result to this file")
    options = parser.parse_args()
    command = "python benchmarks/page.py --out results/page.json"
    config = {"browser": "Chromium, headless"}
    result = build("page", "The page: flows driven end to end", command, config, [0], [drive()], figures_of("page"))
    if options.out:
        write_json(options.out, result)
    if options.json:
        print(json.dumps(result))
    else:
        for name, figure in result["figures"].items():
            print(f"{name}: {figure['mean']:g} {figure['unit']}")


if __name__ == "__main__":
    main()
