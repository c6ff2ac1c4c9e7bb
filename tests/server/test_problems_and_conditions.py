"""Every refusal is a problem document; and a GET that would tell nothing new tells nothing."""

from __future__ import annotations

from typing import Any

import pytest
from served_things import LESSON, RIGHT, Demo

from engram.learner import DamagedError
from engram.server import schemas


@pytest.mark.parametrize(
    ("method", "path", "more", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("GET", "/v1/brains/nosuch/info", {}, 404),
        ("GET", "/v1/brains/..%2f..%2fetc/info", {}, 404),
        ("GET", "/v1/brains/%2e%2e/info", {}, 422),
        ("GET", "/v1/brains/a.b/info", {}, 422),
        ("GET", "/v1/brains/{name}:nothing", {}, 404),
        ("PUT", "/v1/brains/{name}/examples", {}, 405),
        ("DELETE", "/v1/brains/{name}/info", {}, 405),
        ("GET", "/v1/brains/{name}/examples/999/thumbnail", {}, 404),
        ("GET", "/v1/brains/{name}/examples?limit=0", {}, 422),
        ("GET", "/v1/brains/{name}/info?at=99999", {}, 404),
        ("DELETE", "/v1/brains/{name}/classes/nosuch", {}, 404),
        ("DELETE", "/v1/brains/{name}/examples/999", {}, 404),
        ("POST", "/v1/brains/{name}/examples/999:relabel", {"json": {"label": "up"}}, 404),
        ("POST", "/v1/brains/{name}/unknowns/9:name", {"json": {"label": "up"}}, 404),
        ("POST", "/v1/brains/{name}/predict", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ("POST", "/v1/brains/{name}/predict", {"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415),
        ("POST", "/v1/brains/{name}/predict", {"json": []}, 422),
        ("POST", "/v1/brains/{name}/predict", {"json": {"vectors": [[1, 2, 3]]}}, 422),
        ("POST", "/v1/brains/{name}/predict", {"json": {"vectors": [RIGHT], "among": ["nosuch"]}}, 422),
        ("POST", "/v1/brains/{name}/predict", {"json": {"vectors": [RIGHT], "top": 0}}, 422),
        ("POST", "/v1/brains/{name}/predict?remember=perhaps", {"json": {"vectors": [RIGHT]}}, 422),
        ("POST", "/v1/brains/{name}:rename", {"json": {"old": "right", "new": "up"}}, 422),
        ("POST", "/v1/brains/{name}:rename", {"json": {"old": "right"}}, 422),
        ("POST", "/v1/brains/{name}:rollback", {"json": {"to": 9999}}, 409),
        ("POST", "/v1/brains/{name}:meld", {"json": {"brain": "nosuch"}}, 404),
        ("POST", "/v1/brains", {"json": {"name": "../x"}}, 422),
        ("POST", "/v1/brains", {"json": {"name": "x", "backbone": "nosuch"}}, 422),
        ("POST", "/v1/brains", {"json": {"name": "{name}"}}, 422),
    ],
)
def test_a_refusal_is_a_problem_document(
    taught: Demo, method: str, path: str, more: dict[str, Any], status: int
) -> None:
    before = taught.info()
    answer = taught.client.request(method, path.replace("{name}", taught.name), **more)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = schemas.Problem.model_validate(answer.json())
    assert (problem.status, problem.request_id) == (status, answer.headers["x-request-id"])
    assert taught.info() == before


def test_what_is_done_with_other_methods_is_said(taught: Demo) -> None:
    assert taught.client.put(f"{taught.path}/examples").headers["allow"] == "DELETE, GET, HEAD, POST"


def test_a_name_that_is_taken_is_a_conflict(taught: Demo) -> None:
    assert taught.client.post("/v1/brains", json={"name": taught.name}).status_code == 409


def test_a_mistake_of_the_servers_own_is_told_apart_and_tells_nothing(
    taught: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a secret of the inside")

    monkeypatch.setattr("engram.brain.Brain.predict", broken)
    answer = taught.post("/predict", json={"vectors": [RIGHT]})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("error", "status"), [(OSError(28, "No space left on device"), 507), (OSError(5, "I/O error"), 500),
                          (DamagedError("the log is cut"), 500)],
)
def test_a_disk_that_refuses_is_said_so(
    taught: Demo, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("engram.brain.folder_ledger.FolderLedger.record", refuse)
    assert taught.post("/examples", json=LESSON).status_code == status
    monkeypatch.undo()
    assert taught.post("/examples", json=LESSON).status_code == 201


@pytest.mark.parametrize("what", ["/info", "/classes", "/examples", "/history", "/unknowns", "/map", "/health"])
def test_what_has_not_changed_is_not_sent_again(taught: Demo, what: str) -> None:
    first = taught.get(what)
    assert first.status_code == 200
    seen = {"If-None-Match": first.headers["etag"]}
    again = taught.get(what, headers=seen)
    assert (again.status_code, again.content) == (304, b"")
    taught.post("/examples", json=LESSON)
    assert taught.get(what, headers=seen).status_code == 200


def test_the_inbox_has_a_tag_of_its_own(taught: Demo) -> None:
    tag = taught.get("/unknowns").headers["etag"]
    taught.post("/predict", json={"vectors": [[-0.5, -0.7]], "remember": True})
    answer = taught.get("/unknowns", headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert len(answer.json()["groups"]) == 1


def test_what_is_refused_is_mended_over_http_by_what_the_answer_advises(demo: Demo) -> None:
    def refused(**body: Any) -> str:
        answer = demo.post("/examples", json=body)
        assert answer.status_code == 422, answer.text
        return str(answer.json()["detail"])

    teach = {"vectors": [[0.1, 0.2]], "label": "a", "columns": ["load", "temp"]}
    assert demo.post("/examples", json=teach).status_code == 201
    assert refused(text="play jazz", label="a") == "text: there is no such field: send it as 'texts', a list."
    assert '-texts", "backbone": "english-ngrams"}' in refused(texts=["play jazz"], label="a")
    assert refused(vectors=[[0.1, 0.2]]).startswith("Send one label for all inputs as 'label'")
    assert "into that order: in 'columns'" in refused(**teach | {"columns": ["temp", "load"]})
    assert "'not': true" in refused(vectors=[[0.1, 0.2]], label="Nothing I know")
    assert "create another brain" in refused(vectors=[[0.1, 1e30]], label="a")
    for said in (refused(rows=[[1, 2]], label="a"), refused(vectors=[[0.1, 0.2]], label="")):
        assert "Brain(" not in said
        assert "constrained" not in said
