"""Things seen, heard and read over HTTP: taught, asked about by several modalities at once, undone, forgotten."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable
from pathlib import Path

from served_things import picture, wav
from starlette.testclient import TestClient

from engram.brain import MultimodalBrain
from engram.server.app import create_app
from engram.server.request_log import RequestLog
from engram.server.settings import Settings
from engram.server.shelf import named


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_things_are_taught_and_asked_about_by_several_modalities(serve: Callable[..., TestClient]) -> None:
    client = serve()
    assert client.post("/v1/multimodal", json={"name": "things"}).status_code == 201
    assert client.post("/v1/multimodal", json={"name": "things"}).status_code == 409
    where = "/v1/multimodal/things"
    for label, hertz, text in (("siren", 2500, "a wailing alarm"), ("bell", 200, "a soft chime")):
        taught = client.post(f"{where}/examples", json={
            "sounds": [encoded(wav(hertz, seed)) for seed in range(3)], "texts": [text, text + " rings", None],
            "label": label})
        assert taught.status_code == 201, taught.text
        assert {name: len(ids) for name, ids in taught.json()["ids"].items()} == {"sound": 3, "text": 2}
    asked = {"sounds": [encoded(wav(200, 5)), None], "texts": ["the chime", "an alarm"]}
    assert [one["ranked"][0]["label"] for one in client.post(f"{where}/predict", json=asked).json()["answers"]] == [
        "bell", "siren"]
    (told,) = client.get("/v1/multimodal").json()["brains"]
    assert told["brains"] == {"sound": "things-sound", "text": "things-text"}
    assert told["labels"][1] == {"label": "bell", "examples": {"sound": 3, "text": 2}}
    assert {one["name"] for one in client.get("/v1/brains").json()["brains"]} >= {"things-sound", "things-text"}
    assert client.post(f"{where}:rename", json={"old": "bell", "new": "gong"}).json()["changed"] == ["sound", "text"]
    assert sorted(client.post(f"{where}:undo").json()["changed"]) == ["sound", "text"]
    assert client.delete(f"{where}/classes/bell").json()["changed"] == ["sound", "text"]
    assert [one["label"] for one in client.get("/v1/multimodal").json()["brains"][0]["labels"]] == ["siren"]


def test_one_that_lies_in_a_folder_is_served_with_each_of_its_brains(tmp_path: Path) -> None:
    with MultimodalBrain.create(tmp_path / "mine" / "things.brain", {"text": "hashed-ngrams"}) as mind:
        mind.learn({"text": ["a wailing alarm", "a soft chime"]}, ["siren", "bell"])
    app = create_app(named([str(tmp_path / "mine" / "things.brain")]), Settings(folder=tmp_path / "shelf"),
                     RequestLog(io.StringIO()))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        until = time.monotonic() + 20
        while client.get("/v2/health/ready").status_code != 200 and time.monotonic() < until:
            time.sleep(0.01)
        (told,) = client.get("/v1/multimodal").json()["brains"]
        assert (told["name"], told["brains"]) == ("things", {"text": "things-text"})
        answers = client.post("/v1/multimodal/things/predict", json={"texts": ["the chime"]}).json()["answers"]
        assert answers[0]["ranked"][0]["label"] == "bell"


def test_what_is_no_thing_is_refused(serve: Callable[..., TestClient]) -> None:
    client = serve()
    client.post("/v1/multimodal", json={"name": "things"})
    where = "/v1/multimodal/things"
    assert client.post(f"{where}/predict", json={}).status_code == 422
    assert client.post(f"{where}/predict", json={"texts": ["a"], "sounds": [None, None]}).status_code == 422
    assert client.post(f"{where}/examples", json={"texts": ["a"]}).status_code == 422
    broken = client.post(f"{where}/examples", json={"images": [encoded(b"no picture")], "label": "cat"})
    assert broken.status_code == 422
    assert client.post("/v1/multimodal/none/predict", json={"texts": ["a"]}).status_code == 404
    assert picture((9, 9, 9))  # a picture that is one would have been learned
