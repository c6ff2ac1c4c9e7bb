"""Every label that can be taught can be named in every route; what is no UTF-8 is no label."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unicodedata import normalize
from urllib.parse import quote

import pytest
from served_things import LESSON, RIGHT, UP, Demo, picture

from engram.brain import Brain
from engram.server import wire

ODD = ["..", ".", "../..", "a\nb", "a\n", "a/b", "/", "a//b", " a ", "%2e%2e", "?", "a?b#c&d=e", "+", "a,b", "[1]",
       "caf\u00e9", "e\u0301", "\u202e", "\x00", "\x1b[31m", "null", "7", "\\udce9", "😀", "x" * 256]


def teach(demo: Demo, label: str) -> int:
    answer = demo.post("/examples", json={"vectors": [RIGHT], "label": label})
    assert answer.status_code == 201, answer.text
    (id,) = answer.json()["ids"]
    return int(id)


@pytest.mark.parametrize("label", ODD)
def test_a_label_that_was_taught_can_be_named_in_every_route(demo: Demo, label: str) -> None:
    demo.post("/examples", json={"vectors": [UP], "label": "up"})
    id, kept = teach(demo, label), normalize("NFC", label)
    assert kept in [one["label"] for one in demo.get("/classes").json()["classes"]]
    found = demo.get("/examples", params={"label": label}).json()["examples"]
    assert [one["id"] for one in found] == [id]
    asked = {"vectors": [RIGHT], "among": [label]}
    assert demo.post("/predict", json=asked).json()["answers"][0]["ranked"][0]["label"] == kept
    answer = demo.raw("/predict", RIGHT, among=[label, label])
    assert [one["label"] for one in answer.json()["answers"][0]["ranked"]] == [kept]
    assert demo.post(f"/examples/{id}:relabel", json={"label": "other"}).status_code == 200
    assert demo.post(f"/examples/{id}:relabel", json={"label": label}).status_code == 200
    assert demo.post(":rename", json={"old": label, "new": "east"}).status_code == 200
    assert demo.post(":rename", json={"old": "east", "new": label}).status_code == 200
    assert demo.delete("/classes", params={"label": label}).json()["changed"] == 1
    assert [one["label"] for one in demo.get("/classes").json()["classes"]] == ["up"]


@pytest.mark.parametrize("label", ["", " ", "\n"])
def test_a_label_without_a_visible_character_is_refused(demo: Demo, label: str) -> None:
    assert demo.post("/examples", json={"vectors": [RIGHT], "label": label}).status_code == 422
    teach(demo, "right")
    assert demo.post(":rename", json={"old": "right", "new": label}).status_code == 422


# Clients take `..` for a part of the path; this test client decodes a percent sign twice.
@pytest.mark.parametrize("label", [one for one in ODD if one not in ("..", ".", "../..", "/", "a//b", "%2e%2e")])
def test_a_label_can_be_forgotten_by_its_path_too(demo: Demo, label: str) -> None:
    teach(demo, label)
    assert demo.delete(f"/classes/{quote(label, safe='')}").json()["changed"] == 1


def test_labels_by_form_and_by_query_are_one_label(demo: Demo) -> None:
    files = [("images", ("a.png", picture((200, 30, 30)), "image/png"))]
    demo.post("/examples", files=files, data={"label": "café"})
    demo.post("/examples", params={"label": "café"}, content=picture((30, 30, 200)),
              headers={"Content-Type": "image/png"})
    assert [(one["label"], one["count"]) for one in demo.get("/classes").json()["classes"]] == [("café", 2)]


@pytest.mark.parametrize("bad", ["caf%E9", "caf%E8", "%FF", "%ED%B3%A9", "%C3", "%80"])
@pytest.mark.parametrize("where", ["query", "path", "brain"])
def test_an_address_that_is_not_utf_8_is_refused(taught: Demo, bad: str, where: str) -> None:
    before = taught.info()
    if where == "brain":
        answers = [taught.client.get(f"/v1/brains/{bad}/info")]
    elif where == "path":
        answers = [taught.delete(f"/classes/{bad}")]
    else:
        kind = {"Content-Type": "application/octet-stream"}
        answers = [taught.post(f"/examples?label={bad}", content=b"\0\0\x80\x3f" * 2, headers=kind),
                   taught.get(f"/examples?label={bad}"), taught.delete(f"/classes?label={bad}"),
                   taught.delete(f"/examples?teacher={bad}"), taught.post(f"/predict?among={bad}", json=LESSON)]
    for answer in answers:
        assert answer.status_code == 400, answer.text
        assert "UTF-8" in answer.json()["detail"]
    assert taught.info() == before


@pytest.mark.parametrize("field", ["label", "teacher", "among"])
def test_a_form_that_is_not_utf_8_is_refused(demo: Demo, field: str) -> None:
    part = b'--edge\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    file = part % (b"images", b'; filename="a.png"', picture((200, 30, 30)))
    for odd in (b"caf\xe9", b"caf\xe8"):
        fields = b"" if field == "label" else part % (b"label", b"", b"red")
        body = file + fields + part % (field.encode(), b"", odd) + b"--edge--\r\n"
        kind = {"Content-Type": "multipart/form-data; boundary=edge"}
        answer = demo.post("/predict" if field == "among" else "/examples", content=body, headers=kind)
        assert answer.status_code == 400, answer.text
        assert "UTF-8" in answer.json()["detail"]
    assert demo.info()["examples"] == 0


@pytest.mark.parametrize("body", [
    b'{"vectors": [[0.9, 0.1]], "label": "caf\xe9"}', b'{"vectors": [[0.9, 0.1]], "label": "caf\\udce9"}',
    b'{"vectors": [[0.9, 0.1]], "label": "a", "teacher": "\\ud800"}',
    b'{"vectors": [[0.9, 0.1]], "label": "a", "sources": ["\\ud800"]}',
])
def test_json_with_half_a_character_is_refused(demo: Demo, body: bytes) -> None:
    answer = demo.post("/examples", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert demo.info()["examples"] == 0


def test_a_label_that_is_no_text_is_shown_with_escapes_and_named_so(
    serve: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier versions took the bytes of a folder's name that are no UTF-8 for a label."""
    monkeypatch.setattr("engram.inputs.vectors._SURROGATE", re.compile("(?!)"))
    odd = "caf\udce9"
    shown = str(wire.shown(odd))
    with Brain.create(tmp_path / "demo") as brain:
        brain.learn([RIGHT, UP, [0.8, 0.2]], [odd, "up", odd], teacher="ad\udce9")
        brain.predict([[-0.5, -0.7]], remember=True, sources=["x\udce9"])
        brain.rename("up", "\udcff")
        brain.rename("\udcff", "up")
        brain.forget(label="up")
        brain.learn(UP, "up")
    demo = Demo(serve(), "demo")
    for path in ("/info", "/classes", "/examples", "/unknowns", "/history", "/map", "/health", "/export"):
        assert demo.get(path).status_code == 200, path
        demo.get(path).content.decode("utf-8")
    assert demo.client.get("/metrics").status_code == 200
    assert shown in {one["label"] for one in demo.get("/classes").json()["classes"]}
    answer = demo.post("/predict", json={"vectors": [RIGHT], "among": [shown]}).json()["answers"][0]
    assert answer["ranked"][0]["label"] == shown
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": RIGHT}
    found = demo.client.post("/v2/models/demo/infer", json={"inputs": [tensor], "outputs": [{"name": "label"}]})
    assert found.json()["outputs"][0]["data"] == [shown]
    assert len(demo.get("/examples", params={"label": shown}).json()["examples"]) == 2
    assert demo.post("/examples", json={"vectors": [RIGHT], "label": shown}).status_code == 201
    assert demo.info()["examples"] == 4
    assert {one["label"]: one["count"] for one in demo.get("/classes").json()["classes"]} == {shown: 3, "up": 1}
    assert demo.post(":rename", json={"old": shown, "new": "b"}).status_code == 200
    assert demo.post(":undo").status_code == 200
    assert demo.delete("/classes", params={"label": shown}).json()["changed"] == 3


def test_labels_that_can_no_longer_be_taught_or_named_are_still_shown(
    serve: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Brain.create(tmp_path / "demo") as brain, monkeypatch.context() as earlier:
        earlier.setattr("engram.inputs.vectors.check_text", lambda label: None)  # versions that took an empty label
        brain.learn([RIGHT, UP], ["x" * 1000, ""])
    demo = Demo(serve(), "demo")
    for path in ("/info", "/classes", "/examples", "/history", "/map", "/health"):
        assert demo.get(path).status_code == 200, path
    assert json.loads(demo.post("/predict", json={"vectors": [RIGHT]}).content)["answers"][0]["label"] == "x" * 1000


def test_two_labels_in_one_request_to_forget_are_refused_and_both_stay(demo: Demo) -> None:
    teach(demo, "a")
    teach(demo, "b")
    answer = demo.delete("/classes?label=a&label=b")
    assert answer.status_code == 422, answer.text
    assert {one["label"] for one in demo.get("/classes").json()["classes"]} == {"a", "b"}


def test_no_answer_is_taken_for_a_label_and_one_label_has_one_spelling_however_it_is_typed(
    serve: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed, kept = "cafe\u0301", "caf\u00e9"
    with Brain.create(tmp_path / "demo") as brain, monkeypatch.context() as earlier:
        earlier.setattr("engram.inputs.vectors.check_text", lambda label: None)  # earlier versions took any
        earlier.setattr("engram.inputs.vectors.normal_form", lambda label: label)
        brain.learn([RIGHT, UP, [0.7, 0.7]], ["", "Nothing I know", "o\u0308l"])
    demo = Demo(serve(), "demo")
    for label in ("", " ", "\u200b", "\u3164", "Nothing I know", " nothing  i KNOW.", "Nothing\u00a0I\u200b know"):
        answer = demo.post("/examples", json={"vectors": [RIGHT], "label": label})
        assert answer.status_code in (409, 422), label
        assert demo.post(":rename", json={"old": "o\u0308l", "new": label}).status_code in (409, 422)
    assert demo.post("/examples", json={"vectors": [RIGHT], "label": typed}).status_code == 201
    assert demo.post("/examples", json={"vectors": [RIGHT], "label": kept}).status_code == 201
    counts = {one["label"]: one["count"] for one in demo.get("/classes").json()["classes"]}
    assert counts == {"": 1, "Nothing I know": 1, "o\u0308l": 1, kept: 2}
    assert demo.post("/examples", json={"vectors": [RIGHT], "label": "\u00f6l"}).status_code == 201
    assert demo.delete("/classes", params={"label": ""}).json()["changed"] == 1
    assert demo.post(":rename", json={"old": "Nothing I know", "new": "nil"}).json()["changed"] == 1
    assert demo.post(":rename", json={"old": "\u00f6l", "new": "oil"}).json()["changed"] == 2
    assert demo.delete("/classes", params={"label": typed}).json()["changed"] == 2
    assert {one["label"] for one in demo.get("/classes").json()["classes"]} == {"nil", "oil"}
