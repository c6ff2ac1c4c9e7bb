"""Schemathesis (https://schemathesis.io) over the whole OpenAPI document of a real server: no answer may be a 5xx, and
every answer must be what the document says: its status, content type, headers and body.

    python tests/server/fuzzed_server.py [--out results/fuzz.json] [--examples 6] [--seed 0]

Once on a server without tokens, once on one with tokens (asked with one and, as Schemathesis' own check, without).
Most requests go to a brain that is taught anew every now and then, so that there is something to find, to change and to
forget.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema
from served_things import LESSON, Program

from engram.brain import Brain
from engram.server.tokens import add_token

TAUGHT = "0"  # what Schemathesis makes up by itself, where it makes up the simplest name
TAUGHT_EVERY = 10  # requests
_UNKNOWN = {"vectors": [[-0.9, -0.8], [-0.9, 0.9]], "remember": True}


@dataclass
class Verdict:
    """What became of all requests.

    Attributes:
        failures: (operation, what was wrong) of each case that failed.
    """

    cases: int = 0
    operations: set[str] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0


def fuzz(
    server: Program, examples: int, seed: int, phases: Sequence[str], token: str | None = None, document: Any = None
) -> Verdict:
    """Ask a server for all that its document describes, and much that it does not.

    Args:
        examples: of each operation, in each phase that makes them up.
        phases: of "examples", "coverage", "fuzzing", "stateful".
        token: what lets in.
        document: the OpenAPI document, if it is not to be the server's own.
    """
    http = server.wait_until_ready()
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    _teach(http, headers)
    config = SchemathesisConfig.from_dict(_settings(server.address, headers, examples, seed, phases))
    document = document or http.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document, config=config)
    asked, lock = 0, threading.Lock()

    def before_call(context: Any, case: Any, kwargs: Any) -> None:
        nonlocal asked
        with lock:
            asked += 1
            due = asked % TAUGHT_EVERY == 0
        if due:
            _teach(http, headers)

    schemathesis.hook(before_call)
    verdict, began = Verdict(), time.perf_counter()
    try:
        _follow(from_schema(schema).execute(), verdict)
    finally:
        schemathesis.hooks.unregister(before_call)
    verdict.seconds = time.perf_counter() - began
    return verdict


def _follow(stream: Any, verdict: Verdict) -> None:
    for event in stream:
        if isinstance(event, events.ScenarioFinished):
            _note(event, verdict)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            problem = getattr(event, "value", None) or getattr(event, "exception", event)
            verdict.failures.append((getattr(event, "label", "") or "", f"not tested: {problem}"))


def _settings(address: str, headers: dict[str, str], examples: int, seed: int, phases: Sequence[str]) -> dict[str, Any]:
    """Of Schemathesis: see its reference of schemathesis.toml."""
    generation = {"max-examples": examples, "no-shrink": True, "database": "none", "mode": "all"}
    return {
        "base-url": address,
        "seed": seed,
        "workers": 1,
        "continue-on-failure": True,
        "request-timeout": 30,
        "headers": headers,
        "max-stream-events": 1,
        "generation": generation,
        "suppress-health-check": ["all"],
        "phases": {name: {"enabled": name in phases} for name in ("examples", "coverage", "fuzzing", "stateful")},
        "checks": {  # what is well-formed may be refused all the same: 404, 409 and 422 say why
            "positive_data_acceptance": {"enabled": False},
            "negative_data_rejection": {
                "expected-statuses": [400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 421, 422]
            },
        },
        "dictionaries": {
            "brains": {"values": [TAUGHT]},
            "labels": {"values": ["right", "up"]},
            "numbers": {"values": [str(number) for number in range(1, 13)]},
        },
        "parameters": {
            "path.b": {"dictionary": "brains", "probability": 0.85},
            "path.label": {"dictionary": "labels", "probability": 0.5},
        },
    }


def _teach(http: httpx.Client, headers: dict[str, str]) -> None:
    """Something to find: examples of two labels, unknowns in the inbox."""
    for path, body in (("examples", LESSON), ("predict", _UNKNOWN)):
        http.post(f"/v1/brains/{TAUGHT}/{path}", json=body, headers=headers)


def _note(event: events.ScenarioFinished, verdict: Verdict) -> None:
    recorder = event.recorder
    verdict.cases += len(recorder.interactions)
    for case in recorder.cases.values():
        verdict.operations.add(case.value.operation.label)
    for interaction in recorder.interactions.values():
        verdict.statuses[interaction.response.status_code if interaction.response else 0] += 1
    for number, checks in recorder.checks.items():
        for check in checks:
            if check.status == Status.FAILURE and check.failure_info is not None:
                case = recorder.cases[number].value
                asked = recorder.interactions[number].request
                failure = check.failure_info.failure
                verdict.failures.append((
                    case.operation.label,
                    f"{check.name}: {failure.title}: {failure.message[:600]}\n"
                    f"    {asked.method} {asked.uri[:300]} {str(asked.body)[:300]}",
                ))  # fmt: skip


def both(home: Path, examples: int, seed: int, phases: Sequence[str]) -> list[Verdict]:
    """Without tokens, and with."""
    verdicts = []
    file = home / "tokens.json"
    token = add_token(file, "fuzz", "admin")
    for number, arguments in enumerate(([], ["--token-file", str(file)])):
        folder = home / str(number)
        folder.mkdir()
        Brain.create(folder / TAUGHT).close()
        server = Program(TAUGHT, *arguments, "--rate", "0", "--no-access-log", folder=folder)
        try:
            verdicts.append(
                fuzz(
                    server,
                    examples if not number else max(2, examples // 4),
                    seed,
                    phases if not number else phases[:2],
                    token if number else None,
                )
            )
        finally:
            server.stop()
    return verdicts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the result to this file")
    parser.add_argument("--examples", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--phases", nargs="+", default=["examples", "coverage", "fuzzing", "stateful"])
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as home:
        verdicts = both(Path(home), options.examples, options.seed, options.phases)
    statuses: Counter[int] = sum((one.statuses for one in verdicts), Counter())
    failures = Counter(failure for one in verdicts for failure in one.failures)
    values = {
        "fuzz-cases": sum(one.cases for one in verdicts),
        "fuzz-failures": failures.total(),
        "operations": len(set().union(*(one.operations for one in verdicts))),
        "seconds": sum(one.seconds for one in verdicts),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
    }
    for (operation, why), count in failures.most_common(40):
        print(f"{count} x {operation}: {why}", file=sys.stderr)
    print(json.dumps(values, indent=1))
    if options.out:
        from engram.lab.experiments import figures_of
        from engram.lab.experiments.result import build, write_json

        command = "python tests/server/fuzzed_server.py --out results/fuzz.json"
        config = {"examples": options.examples, "phases": options.phases, "schemathesis": schemathesis.__version__}
        write_json(
            options.out,
            build(
                "fuzz",
                "Schemathesis over the OpenAPI document",
                command,
                config,
                [options.seed],
                [values],
                figures_of("server"),
            ),
        )
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
