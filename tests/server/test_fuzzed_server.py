"""Whatever Schemathesis makes up, no answer is a 5xx or other than the OpenAPI document says, or it is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("schemathesis", reason="Schemathesis is not installed")

from fuzzed_server import TAUGHT, fuzz
from served_things import Program

from engram.brain import Brain


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("fuzzed")
    Brain.create(folder / TAUGHT).close()
    program = Program(TAUGHT, "--rate", "0", "--no-access-log", folder=folder)
    yield program
    program.stop()


def test_every_answer_is_what_the_document_says(server: Program) -> None:
    verdict = fuzz(server, 4, 1, ["examples", "fuzzing"])
    assert verdict.failures == []
    assert verdict.cases >= 100
    assert len(verdict.operations) >= 30
    assert {200, 404, 422} <= set(verdict.statuses)


def test_an_answer_that_the_document_does_not_describe_is_found(server: Program, tmp_path: Path) -> None:
    document = server.wait_until_ready().get("/openapi.json").json()
    paths = {path: document["paths"][path] for path in ("/v1/brains", "/v1/brains/{b}/classes")}
    document["components"]["schemas"]["Brains"]["properties"]["version"] = {"type": "integer"}
    del paths["/v1/brains/{b}/classes"]["get"]["responses"]["200"]
    verdict = fuzz(server, 4, 1, ["examples", "coverage"], document=document | {"paths": paths})
    found = {(operation, why.partition(":")[0]) for operation, why in verdict.failures}
    assert ("GET /v1/brains", "response_schema_conformance") in found
    assert ("GET /v1/brains/{b}/classes", "status_code_conformance") in found
