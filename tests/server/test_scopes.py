"""What each token may do: by its scopes, whose examples they are, and the brains it is bound to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from served_things import LESSON, RIGHT, UP, Demo, picture

from engram.learner import InputError
from engram.server.app import ROUTERS, create_app
from engram.server.openapi import needs
from engram.server.scopes import SCOPES
from engram.server.settings import Settings
from engram.server.tokens import add_token, read_tokens, remove_token

TEACH, ASK = "/examples", "/predict"
Doors = tuple[Demo, dict[str, dict[str, str]]]


@pytest.fixture
def doors(serve: Callable[..., Any], tmp_path: Path) -> Doors:
    """A brain behind tokens, and for each scope the headers of one who has it."""
    file = tmp_path / "tokens.json"
    keys = {scope: add_token(file, f"{scope}er", scope) for scope in SCOPES}
    headers = {scope: {"Authorization": f"Bearer {key}"} for scope, key in keys.items()}
    return Demo(serve(token_file=file), "demo"), headers


def show(demo: Demo, who: dict[str, str], label: str, colour: tuple[int, int, int] = (200, 30, 30)) -> Any:
    """Teach a picture; the answer."""
    files = [("images", ("a.png", picture(colour), "image/png"))]
    return demo.post(TEACH, files=files, data={"label": label}, headers=who)


def test_without_a_token_nothing_is_told_but_that_the_server_lives(doors: Doors) -> None:
    demo, _ = doors
    for answer in (demo.get("/info"), demo.post(TEACH, json=LESSON), demo.client.get("/v1/brains"),
                   demo.client.get("/metrics"), demo.client.get("/v2/models/demo"),
                   demo.get("/info", headers={"Authorization": "Bearer engram_wrong"}),
                   demo.get("/info", headers={"Authorization": "Basic abc"}),
                   demo.client.get("/v1/brains/nosuch/info")):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert demo.client.get("/v2/health/ready").status_code == 200
    assert demo.client.get("/").status_code == 200


def test_every_route_but_the_open_ones_says_what_it_takes() -> None:
    document = create_app({}, Settings()).api.openapi()  # type: ignore[attr-defined]
    open_to_all = {
        path for path, operations in document["paths"].items()
        for operation in operations.values() if "x-scopes" not in operation
    }
    assert open_to_all == {"/v2", "/v2/health/live", "/v2/health/ready"}
    assert len(needs(ROUTERS)) > 30


def test_a_token_of_each_scope_is_let_in_where_the_document_says(doors: Doors) -> None:
    demo, who = doors
    assert demo.post(TEACH, json=LESSON, headers=who["correct"]).status_code == 201
    wrong = []
    for (method, path), need in needs(ROUTERS).items():
        if path.endswith("/events"):  # never ends
            continue
        address = path.format(b="demo", id=999, number=999, group=999, label="nosuch", v=1)
        for scope in SCOPES:
            answer = demo.client.request(method, address, headers=who[scope], params={"label": "x", "teacher": "x"})
            refused = "This requires" in answer.text and answer.status_code == 403
            if refused == bool(need.cell(scope)):
                wrong.append((method, path, scope, answer.status_code))
    assert wrong == []


def test_one_who_asks_sees_labels_and_no_example(doors: Doors) -> None:
    demo, who = doors
    (id,) = show(demo, who["teach"], "red").json()["ids"]
    found = demo.get("/classes", headers=who["ask"]).json()["classes"]
    assert found == [{"label": "red", "count": 1, "newest": []}]
    for path in (TEACH, f"{TEACH}/{id}/thumbnail", "/export", "/export?format=zip", "/history", "/unknowns"):
        assert demo.get(path, headers=who["ask"]).status_code == 403, path
    assert demo.post(ASK, json={"vectors": [RIGHT]}, headers=who["ask"]).status_code in (200, 422)
    for path in ("/info", "/map", "/health"):
        assert demo.get(path, headers=who["ask"]).status_code == 200, path


def test_to_remember_what_is_not_known_takes_the_scope_teach(doors: Doors) -> None:
    demo, who = doors
    demo.post(TEACH, json=LESSON, headers=who["teach"])
    asked = {"vectors": [[-0.5, -0.7]], "remember": True}
    assert demo.post(ASK, json=asked, headers=who["ask"]).status_code == 403
    assert demo.post(ASK, json=asked, headers=who["teach"]).status_code == 200


def test_a_teacher_sees_its_own_examples_and_one_who_exports_everyones(doors: Doors) -> None:
    demo, who = doors
    (mine,) = show(demo, who["teach"], "red").json()["ids"]
    (other,) = show(demo, who["correct"], "blue", (30, 30, 200)).json()["ids"]
    assert [one["id"] for one in demo.get(TEACH, headers=who["teach"]).json()["examples"]] == [mine]
    assert demo.get(TEACH, headers=who["teach"], params={"label": "blue"}).json()["examples"] == []
    newest = {one["label"]: one["newest"] for one in demo.get("/classes", headers=who["teach"]).json()["classes"]}
    assert newest == {"red": [mine], "blue": []}
    statuses = [demo.get(f"{TEACH}/{id}/thumbnail", headers=who["teach"]).status_code for id in (mine, other)]
    assert statuses == [200, 403]
    assert demo.get("/export", headers=who["teach"]).status_code == 403
    assert [one["id"] for one in demo.get(TEACH, headers=who["export"]).json()["examples"]] == [mine, other]
    assert demo.get(f"{TEACH}/{other}/thumbnail", headers=who["export"]).status_code == 200
    assert demo.get("/export?format=zip", headers=who["export"]).content[:2] == b"PK"
    assert demo.post(TEACH, json=LESSON, headers=who["export"]).status_code == 403


CORRECTIONS: dict[str, Callable[[Demo, dict[str, str], int], Any]] = {
    "forget a label": lambda demo, who, id: demo.delete("/classes", params={"label": "right"}, headers=who),
    "forget a label by its path": lambda demo, who, id: demo.delete("/classes/right", headers=who),
    "forget an example": lambda demo, who, id: demo.delete(f"{TEACH}/{id}", headers=who),
    "relabel": lambda demo, who, id: demo.post(f"{TEACH}/{id}:relabel", json={"label": "up"}, headers=who),
    "rename": lambda demo, who, id: demo.post(":rename", json={"old": "right", "new": "east"}, headers=who),
    "undo": lambda demo, who, id: demo.post(":undo", headers=who),
}


@pytest.mark.parametrize("what", CORRECTIONS)
def test_one_corrects_what_one_taught_and_nothing_of_others(doors: Doors, what: str) -> None:
    demo, who = doors
    correct = CORRECTIONS[what]
    (other,) = demo.post(TEACH, json={"vectors": [RIGHT], "label": "right"}, headers=who["admin"]).json()["ids"]
    before = demo.get("/info", headers=who["admin"]).json()
    refused = correct(demo, who["correct"], other)
    assert refused.status_code == 403, refused.text
    assert "admin" in refused.json()["detail"]
    assert demo.get("/info", headers=who["admin"]).json() == before
    assert demo.post(":undo", headers=who["admin"]).status_code == 200
    (mine,) = demo.post(TEACH, json={"vectors": [RIGHT], "label": "right"}, headers=who["correct"]).json()["ids"]
    assert correct(demo, who["teach"], mine).status_code == 403
    assert correct(demo, who["correct"], mine).status_code == 200


def test_what_others_taught_and_undid_is_not_forgotten_for_someone_else(doors: Doors) -> None:
    demo, who = doors
    (id,) = demo.post(TEACH, json={"vectors": [RIGHT], "label": "right"}, headers=who["admin"]).json()["ids"]
    assert demo.post(":undo", headers=who["admin"]).status_code == 200
    for what in ("forget a label", "forget an example"):
        assert CORRECTIONS[what](demo, who["correct"], id).status_code == 403
        (mine,) = demo.post(TEACH, json={"vectors": [UP], "label": "up"}, headers=who["correct"]).json()["ids"]
        assert demo.post(":undo", headers=who["correct"]).status_code == 200
    assert demo.delete(f"{TEACH}/{mine}", headers=who["correct"]).status_code == 200


def test_a_label_that_others_taught_too_is_not_forgotten_for_one_of_them(doors: Doors) -> None:
    demo, who = doors
    for scope in ("admin", "correct"):
        demo.post(TEACH, json={"vectors": [RIGHT], "label": "right"}, headers=who[scope])
    assert demo.delete("/classes", params={"label": "right"}, headers=who["correct"]).status_code == 403
    gone = demo.delete(TEACH, params={"teacher": "correcter"}, headers=who["correct"])
    assert gone.json()["changed"] == 1
    assert demo.delete(TEACH, params={"teacher": "adminer"}, headers=who["correct"]).status_code == 403


def test_the_history_names_who_did_what_for_every_kind_of_change(doors: Doors, tmp_path: Path) -> None:
    demo, who = doors
    demo.post(TEACH, json=LESSON, headers=who["correct"])
    asked = {"vectors": [[-0.9, -0.7]], "remember": True}
    demo.post(ASK, json=asked, headers=who["teach"])
    (group,) = demo.get("/unknowns", headers=who["teach"]).json()["groups"]
    demo.post(f"/unknowns/{group['group']}:name", json={"label": "down"}, headers=who["teach"])
    demo.post(TEACH, json={"vectors": [UP], "label": "north"}, headers=who["correct"])
    demo.post(":rename", json={"old": "north", "new": "top"}, headers=who["correct"])
    (id,) = demo.post(TEACH, json={"vectors": [UP], "label": "north"}, headers=who["correct"]).json()["ids"]
    demo.post(f"{TEACH}/{id}:relabel", json={"label": "top"}, headers=who["correct"])
    demo.post(":undo", headers=who["correct"])
    demo.post(":consolidate", headers=who["admin"])
    demo.client.put(f"{demo.path}/alpha", json={"alpha": 0.1}, headers=who["admin"])
    assert demo.client.post("/v1/brains", json={"name": "other"}, headers=who["admin"]).status_code == 201
    Demo(demo.client, "other").post(TEACH, json={"vectors": [[0.0, -0.9]], "label": "south"}, headers=who["admin"])
    assert demo.post(":meld", json={"brain": "other"}, headers=who["admin"]).status_code == 200
    demo.delete("/classes", params={"label": "up"}, headers=who["admin"])
    demo.delete(f"{TEACH}/{id}", headers=who["correct"])
    seq = demo.get("/info", headers=who["ask"]).json()["seq"]
    assert demo.post(":rollback", json={"to": seq}, headers=who["admin"]).status_code == 200
    entries = demo.get("/history", headers=who["teach"]).json()["entries"]
    assert {(one["kind"], one["teacher"]) for one in entries} == {
        ("taught", "correcter"), ("taught", "teacher"), ("renamed", "correcter"), ("relabelled", "correcter"),
        ("rolled back", "correcter"), ("consolidated", "adminer"), ("melded", "adminer"), ("forgot", "adminer"),
        ("forgot", "correcter"), ("rolled back", "adminer"), ("alpha set", "adminer"),
    }


def test_a_bound_token_deals_with_its_brains_alone(serve: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    bound = {"Authorization": f"Bearer {add_token(file, 'ada', 'admin', brains=['one', 'new'])}"}
    client = serve(brains=("one", "two"), token_file=file)
    one, two, none = (Demo(client, name) for name in ("one", "two", "nosuch"))
    assert one.post(TEACH, json=LESSON, headers=bound).status_code == 201
    assert [brain["name"] for brain in client.get("/v1/brains", headers=bound).json()["brains"]] == ["one"]
    refusals = [
        *(brain.get("/info", headers=bound) for brain in (two, none)), two.post(TEACH, json=LESSON, headers=bound),
        client.get("/v2/models/two", headers=bound), client.get("/metrics", headers=bound),
        client.post("/v1/brains", json={"name": "three"}, headers=bound),
        one.post(":meld", json={"brain": "two"}, headers=bound), two.get("/events", headers=bound),
    ]
    assert [answer.status_code for answer in refusals] == [403] * len(refusals)
    assert client.post("/v1/brains", json={"name": "new"}, headers=bound).status_code == 201


def test_the_teacher_is_whose_token_it_is_whatever_is_said(doors: Doors) -> None:
    demo, who = doors
    demo.post(TEACH, json=LESSON | {"teacher": "mallory"}, headers=who["teach"])
    assert {one["teacher"] for one in demo.get(TEACH, headers=who["export"]).json()["examples"]} == {"teacher"}


def test_who_asks_is_told_what_it_may_do(doors: Doors) -> None:
    demo, who = doors
    told = {scope: demo.client.get("/v1/brains", headers=who[scope]).json()["scopes"] for scope in SCOPES}
    assert told == {
        "ask": ["ask"], "teach": ["ask", "teach"], "correct": ["ask", "teach", "correct"],
        "export": ["ask", "export"], "admin": list(SCOPES),
    }


# The file of tokens


def test_a_token_that_was_taken_back_lets_nobody_in(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    demo, who = doors
    monkeypatch.setattr("engram.server.tokens._LOOK_AGAIN", 0.0)
    assert demo.get("/info", headers=who["ask"]).status_code == 200
    remove_token(demo.client.app.settings.token_file, "asker")  # type: ignore[attr-defined]
    assert demo.get("/info", headers=who["ask"]).status_code == 401


BREAKS: dict[str, Callable[[Path], object]] = {
    "others may change it": lambda file: file.chmod(0o666),
    "it is no JSON": lambda file: file.write_text("{"),
    "it is nested too deeply": lambda file: file.write_text("[" * 100_000),
    "it is no text": lambda file: file.write_bytes(b"\xff\xfe"),
    "an unknown scope": lambda file: file.write_text(file.read_text().replace('"ask"', '"everything"')),
    "it is gone": lambda file: file.unlink(),
    "it is a folder": lambda file: (file.unlink(), file.mkdir()),
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_file_of_tokens_that_breaks_lets_nobody_in_and_tells_the_operator_why(
    serve: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr("engram.server.tokens._LOOK_AGAIN", 0.0)
    file, log = tmp_path / "tokens.json", tmp_path / "log"
    secret = {"Authorization": f"Bearer {add_token(file, 'ada', 'ask')}"}
    good = file.read_bytes()
    with log.open("w") as stream:
        demo = Demo(serve(token_file=file, log=stream), "demo")
        assert demo.get("/info", headers=secret).status_code == 200
        BREAKS[how](file)
        for _ in range(3):
            for headers in (secret, {"Authorization": "Bearer wrong"}):
                answer = demo.get("/info", headers=headers)
                assert answer.status_code == 401
                assert str(file) not in answer.text
                assert file.name not in answer.text
        if file.is_dir():
            file.rmdir()
        file.write_bytes(good)
        file.chmod(0o600)
        assert demo.get("/info", headers=secret).status_code == 200
        demo.client.__exit__(None, None, None)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    told = [line for line in lines if line["event"] == "nobody is let in"]
    assert len(told) == 1
    assert (told[0]["level"], str(file) in told[0]["message"]) == ("error", True)
    assert any(line["event"] == "tokens read again" for line in lines)


def test_files_of_earlier_versions_let_their_tokens_do_no_more_than_then(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "tokens.json"
    entries = [
        {"name": scope, "scope": scope, "sha256": hashlib.sha256(scope.encode()).hexdigest()}
        for scope in ("read", "teach", "admin")
    ]
    file.write_text(json.dumps({"tokens": entries}))
    file.chmod(0o600)
    assert [token.scopes for token in read_tokens(file)] == [("ask",), ("correct",), ("admin",)]
    demo = Demo(serve(token_file=file), "demo")
    who = {scope: {"Authorization": f"Bearer {scope}"} for scope in ("read", "teach", "admin")}
    assert demo.post(TEACH, json=LESSON, headers=who["teach"]).status_code == 201
    assert demo.post(ASK, json={"vectors": [RIGHT]}, headers=who["read"]).status_code == 200
    assert demo.get("/export", headers=who["read"]).status_code == 403
    assert demo.post(":undo", headers=who["teach"]).status_code == 200
    add_token(file, "new", "export")
    assert [token.scopes for token in read_tokens(file)] == [("ask",), ("correct",), ("admin",), ("export",)]


def test_tokens_are_kept_as_hashes_by_their_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    secret = add_token(file, "ada", "teach", "export", brains=["plants"])
    assert secret not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [(token.scopes, token.brains) for token in read_tokens(file)] == [(("teach", "export"), ("plants",))]
    with pytest.raises(InputError, match="already"):
        add_token(file, "ada", "ask")
    for scopes in ((), ("everything",), ("read",)):
        with pytest.raises(InputError, match=r"scope.*ask"):
            add_token(file, "bob", *scopes)
    file.chmod(0o666)
    with pytest.raises(InputError, match="chmod 600"):
        read_tokens(file)
