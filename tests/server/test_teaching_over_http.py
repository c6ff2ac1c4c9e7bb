"""What is taught over HTTP is learned, acknowledged when it is on disk, and learned once however often it is sent."""

from __future__ import annotations

import base64
import struct
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from served_things import LESSON, RIGHT, UP, picture
from starlette.testclient import TestClient

from engram.brain import Brain

TEACH, ASK = "/v1/brains/demo/examples", "/v1/brains/demo/predict"


def labels(answer: Any) -> list[Any]:
    return [one["label"] for one in answer.json()["answers"]]


def test_what_was_acknowledged_is_in_the_folder(client: TestClient, tmp_path: Path) -> None:
    answer = client.post(TEACH, json=LESSON)
    assert answer.status_code == 201
    taught = answer.json()
    assert len(taught["ids"]) == 4
    assert taught["ids"] == sorted(taught["ids"])
    assert answer.headers["etag"] == f'"{taught["seq"]}"'
    with Brain.open(tmp_path / "demo", readonly=True) as brain:
        assert brain.counts() == {"right": 2, "up": 2}
        assert brain.seq == taught["seq"]
        assert [one.id for one in brain.examples()] == taught["ids"]


def test_one_label_may_stand_for_all(client: TestClient) -> None:
    assert client.post(TEACH, json={"vectors": [RIGHT, [0.7, 0.1]], "label": 7}).status_code == 201
    assert client.get("/v1/brains/demo/classes").json()["classes"][0]["label"] == 7


def test_raw_floats_teach_the_same_as_json(client: TestClient, serve: Any) -> None:
    rows = np.array(LESSON["vectors"], "<f4")
    for row, label in zip(rows, LESSON["labels"], strict=True):
        query = {"label": label, "width": "2"}
        headers = {"Content-Type": "application/octet-stream"}
        assert client.post(TEACH, params=query, content=row.tobytes(), headers=headers).status_code == 201
    digest = client.get("/v1/brains/demo/info").json()["digest"]
    other = serve(brains=("demo2",))
    other.post("/v1/brains/demo2/examples", json=LESSON)
    assert other.get("/v1/brains/demo2/info").json()["digest"] == digest


def test_raw_floats_that_are_no_whole_vectors_are_refused(taught: TestClient) -> None:
    for content in (b"", b"123", struct.pack("<3f", 1, 2, 3)):
        answer = taught.post(ASK, content=content, headers={"Content-Type": "application/octet-stream"})
        assert answer.status_code == 422
    nan = struct.pack("<2f", float("nan"), 1)
    assert taught.post(ASK, content=nan, headers={"Content-Type": "application/octet-stream"}).status_code == 422


def test_pictures_come_as_files_as_base64_and_as_they_are(client: TestClient) -> None:
    red, blue = picture((220, 30, 30)), picture((30, 30, 220), kind="JPEG")
    files = [("images", ("C:\\photos\\red.png", red, "image/png")), ("images", ("blue.jpg", blue, "image/jpeg"))]
    assert client.post(TEACH, files=files, data={"label": ["red", "blue"]}).status_code == 201
    encoded = [base64.b64encode(picture(colour, seed=1)).decode() for colour in ((225, 30, 30), (30, 30, 225))]
    assert client.post(TEACH, json={"images": encoded, "labels": ["red", "blue"]}).status_code == 201
    single = client.post(TEACH, params={"label": "red"}, content=picture((215, 30, 30), seed=2),
                         headers={"Content-Type": "image/png"})
    assert single.status_code == 201
    asked = client.post(ASK, files=[("images", ("x.png", picture((222, 32, 30), seed=3), "image/png"))])
    assert asked.json()["answers"][0]["ranked"][0]["label"] == "red"
    examples = client.get(TEACH).json()["examples"]
    assert [one["source"] for one in examples] == ["red.png", "blue.jpg", None, None, None]
    small = client.get(f"{TEACH}/{examples[0]['id']}/thumbnail")
    assert small.headers["content-type"] == "image/jpeg"
    assert client.get(f"{TEACH}/{examples[0]['id']}/thumbnail",
                      headers={"If-None-Match": small.headers["etag"]}).status_code == 304


def test_the_same_key_and_body_are_learned_once(client: TestClient) -> None:
    first = client.post(TEACH, json=LESSON, headers={"Idempotency-Key": "one"})
    again = client.post(TEACH, json=LESSON, headers={"Idempotency-Key": "one"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert client.get("/v1/brains/demo/info").json()["examples"] == 4


def test_the_same_key_with_another_body_is_refused(client: TestClient) -> None:
    client.post(TEACH, json=LESSON, headers={"Idempotency-Key": "one"})
    other = client.post(TEACH, json=LESSON | {"labels": ["a", "b", "c", "d"]}, headers={"Idempotency-Key": "one"})
    assert other.status_code == 422
    assert "key" in other.json()["detail"]
    assert client.get("/v1/brains/demo/info").json()["examples"] == 4


def test_a_form_that_is_sent_again_with_another_boundary_is_the_same_request(client: TestClient) -> None:
    files = [("images", ("red.png", picture((220, 30, 30)), "image/png"))]
    answers = [client.post(TEACH, files=files, data={"label": "red"}, headers={"Idempotency-Key": "k"}) for _ in "12"]
    assert answers[0].json() == answers[1].json()


def test_many_who_send_the_same_key_at_once_teach_once(client: TestClient) -> None:
    answers: list[Any] = []

    def send() -> None:
        answers.append(client.post(TEACH, json=LESSON, headers={"Idempotency-Key": "k"}).json())

    threads = [Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answer == answers[0] for answer in answers)
    assert client.get("/v1/brains/demo/info").json()["examples"] == 4


def test_what_is_held_already_can_be_skipped(taught: TestClient) -> None:
    answer = taught.post(TEACH, json=LESSON | {"again": False}).json()
    assert (answer["ids"], answer["skipped"]) == ([], 4)


def test_a_change_can_be_tied_to_a_sequence_number(taught: TestClient) -> None:
    seq = taught.get("/v1/brains/demo/info").json()["seq"]
    late = taught.post(TEACH, json=LESSON, headers={"If-Match": f'"{seq - 1}"'})
    assert (late.status_code, late.headers["etag"]) == (412, f'"{seq}"')
    assert taught.post(TEACH, json=LESSON, headers={"If-Match": f'"{seq}"'}).status_code == 201


def test_of_many_changes_tied_to_one_sequence_number_one_is_done(taught: TestClient) -> None:
    seq = taught.get("/v1/brains/demo/info").json()["seq"]
    statuses: list[int] = []

    def send(i: int) -> None:
        body = {"vectors": [[0.5, i / 10]], "label": "right"}
        statuses.append(taught.post(TEACH, json=body, headers={"If-Match": f'"{seq}"'}).status_code)

    threads = [Thread(target=send, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [412] * 7


@pytest.mark.parametrize(
    "body",
    [
        {"vectors": [RIGHT]},
        {"vectors": [RIGHT], "label": "a", "labels": ["a"]},
        {"vectors": [RIGHT], "labels": ["a", "b"]},
        {"vectors": [RIGHT, [1]], "label": "a"},
        {"vectors": [[]], "label": "a"},
        {"vectors": [], "label": "a"},
        {"vectors": [["x"]], "label": "a"},
        {"vectors": [RIGHT], "label": True},
        {"vectors": [RIGHT], "label": ""},
        {"vectors": [RIGHT], "label": 7},
        {"vectors": [RIGHT], "label": "a", "lable": "b"},
        {"vectors": [RIGHT, UP], "texts": ["x"], "label": "a"},
        {"texts": ["hello"], "label": "a"},
        {"images": ["!!"], "label": "a"},
        {"vectors": [[1, 2, 3]], "label": "a"},
        {"label": "a"},
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(taught: TestClient, body: dict[str, Any]) -> None:
    before = taught.get("/v1/brains/demo/info").json()
    answer = taught.post(TEACH, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert taught.get("/v1/brains/demo/info").json() == before


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "1e39"])
def test_numbers_that_are_none_are_refused(taught: TestClient, value: str) -> None:
    before = taught.get("/v1/brains/demo/info").json()
    content = f'{{"vectors": [[{value}, 0.5]], "label": "right"}}'
    for path in (TEACH, ASK):
        answer = taught.post(path, content=content.replace(', "label": "right"', "") if path == ASK else content,
                             headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500
    assert taught.get("/v1/brains/demo/info").json() | {"unknown_rate": 0} == before | {"unknown_rate": 0}


def test_labels_in_a_query_are_numbers_where_the_brain_counts_in_numbers(client: TestClient) -> None:
    client.post(TEACH, json={"vectors": [RIGHT, UP], "labels": [1, 2]})
    headers = {"Content-Type": "application/octet-stream"}
    answer = client.post(TEACH, params={"label": "1"}, content=struct.pack("<2f", 0.85, 0.1), headers=headers)
    assert answer.status_code == 201
    assert client.delete("/v1/brains/demo/classes/2").json()["changed"] == 1
