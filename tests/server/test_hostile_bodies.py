"""Bodies that are large, or hard to read: refused before they cost much, while others are answered."""

from __future__ import annotations

import json
import random
import time
from threading import Thread

import httpx
import numpy as np
import pytest
from served_things import LESSON, RIGHT, UP, Demo
from starlette.testclient import TestClient

from engram.server import bodies as counting
from engram.server.bodies import FIELDS, VALUES, json_size

JSON = {"Content-Type": "application/json"}
MANY = VALUES // 3


def listed(before: str, item: str, count: int, after: str) -> bytes:
    return (before + ",".join([item] * count) + after).encode()


HARD = {
    "values": ("/predict", listed('{"vectors":[[', "0", VALUES + 1, "]]}"), 413),
    "empty lists": ("/predict", listed('{"vectors":[', "[]", MANY, "]}"), 422),
    "fields": ("/predict", b'{"vectors":[[1]],' + b",".join(b'"k%d":1' % i for i in range(MANY)) + b"}", 413),
    "labels that are none": ("/predict", listed('{"vectors":[[1]],"among":[', "[]", MANY, "]}"), 422),
    "labels of lessons that are none": ("/examples", listed('{"vectors":[[1]],"labels":[', "1.5", MANY, "]}"), 422),
    "texts that are none": ("/predict", listed('{"texts":[', "1", MANY, "]}"), 422),
    "depth": ("/predict", b'{"vectors":' + b"[" * 200_000 + b"]" * 200_000 + b"}", 400),
    "a long name": (":rename", listed('{"new":"a","old":[', "1", 100_000, "]}"), 413),
    "much JSON": ("/predict", b'{"texts":["' + b"a" * 9_000_000 + b'"]}', 413),
}


@pytest.mark.parametrize("kind", list(HARD))
def test_what_is_hard_to_read_is_refused(kind: str, taught: Demo) -> None:
    path, body, status = HARD[kind]
    answer = taught.post(path, content=body, headers=JSON)
    assert answer.status_code == status
    assert len(answer.content) < 4000


def test_texts_among_numbers_take_no_memory(taught: Demo) -> None:
    data = ["a" * 1_000_000, *["b"] * 1000, 1.5]
    tensor = {"name": "input", "shape": [len(data)], "datatype": "FP32", "data": data}
    answer = taught.client.post(f"/v2/models/{taught.name}/infer", json={"inputs": [tensor]})
    assert answer.status_code == 422


def test_others_are_answered_while_it_is_refused(program) -> None:  # type: ignore[no-untyped-def]
    server = program()
    http = server.wait_until_ready()
    http.post("/v1/brains/brain/examples", json=LESSON)

    def send(path: str, body: bytes) -> None:
        with httpx.Client(base_url=server.address, timeout=60) as client:
            client.post(f"/v1/brains/brain{path}", content=body, headers=JSON)

    threads = [Thread(target=send, args=HARD[kind][:2]) for kind in ("fields", "labels that are none") for _ in "12"]
    for thread in threads:
        thread.start()
    longest = 0.0
    while any(thread.is_alive() for thread in threads):
        began = time.perf_counter()
        assert http.post("/v1/brains/brain/predict", json={"vectors": [RIGHT]}).status_code == 200
        longest = max(longest, time.perf_counter() - began)
    assert longest < 1.5  # seconds; collecting the mistakes took 9


def test_values_and_fields_are_counted_as_a_parser_finds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(document: object) -> tuple[int, int]:
        if isinstance(document, dict):
            inner = [count(value) for value in document.values()]
            return 1 + max(len(inner) - 1, 0) + sum(v for v, _ in inner), len(inner) + sum(f for _, f in inner)
        if isinstance(document, list):
            inner = [count(value) for value in document]
            return 1 + max(len(inner) - 1, 0) + sum(v for v, _ in inner), sum(f for _, f in inner)
        return 0, 0

    some = random.Random(0)
    parts = ["\\", '"', '\\"', "a,b:{[", 'x"\\\\', 1, None, {}, [[], [2]], {"\\": [3]}]
    for portion in (3, 7, 64, 2**20):
        monkeypatch.setattr(counting, "_PORTION", portion)
        for _ in range(100):
            document = {some.choice('ab":,\\') * n: some.choices(parts, k=n) for n in range(some.randrange(8))}
            assert json_size(json.dumps(document).encode()) == count(document)
    assert json_size(json.dumps({str(i): i for i in range(FIELDS)}).encode())[1] == FIELDS


def test_many_inputs_are_answered_in_portions_as_each_alone(taught: Demo) -> None:
    rows = np.random.default_rng(0).uniform(0, 1, (3000, 2))
    answer = taught.post("/predict", json={"vectors": rows.tolist(), "top": 2})
    assert int(answer.headers["content-length"]) == len(answer.content)
    answers = answer.json()["answers"]
    assert len(answers) == 3000
    for place in (0, 1023, 1024, 2999):
        alone = taught.post("/predict", json={"vectors": [rows[place].tolist()], "top": 2}).json()["answers"][0]
        assert answers[place]["label"] == alone["label"]
        assert answers[place]["ranked"][0]["score"] == pytest.approx(alone["ranked"][0]["score"])
    outputs = taught.client.post(f"/v2/models/{taught.name}/infer", json={"inputs": [
        {"name": "input", "shape": [3000, 2], "datatype": "FP64", "data": rows.ravel().tolist()}]}).json()["outputs"]
    assert outputs[0]["data"] == [one["label"] or "" for one in answers]


def test_more_vectors_than_one_request_may_have_are_refused(taught: Demo) -> None:
    assert taught.raw("/predict", *[UP] * 70_000).status_code == 413


def test_bodies_share_a_room(serve) -> None:  # type: ignore[no-untyped-def]
    client: TestClient = serve(bodies_at_once=1000)
    for _ in range(20):  # what was answered gives its room back
        assert client.post("/v1/brains/demo/examples", json=LESSON).status_code == 201
    refused = client.post("/v1/brains/demo/examples", json={"vectors": [[0.5] * 2] * 200, "label": "a"})
    assert (refused.status_code, "Retry-After" in refused.headers) == (429, True)
