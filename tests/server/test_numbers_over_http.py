"""Numbers over HTTP: taught in place of labels, answered with intervals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from served_things import picture
from starlette.testclient import TestClient

X = np.random.default_rng(0).normal(size=(40, 2))
Y = (X @ [2.0, -1.0] + 50).round(3)


def test_numbers_are_taught_once_answered_with_intervals_and_forgotten(serve: Callable[..., TestClient]) -> None:
    client = serve()
    lesson = {"vectors": X.tolist(), "numbers": Y.tolist(), "label": "price"}
    first = client.post("/v1/brains/demo/examples", json=lesson, headers={"Idempotency-Key": "a"})
    again = client.post("/v1/brains/demo/examples", json=lesson, headers={"Idempotency-Key": "a"})
    assert (first.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
    other = client.post("/v1/brains/demo/examples", json=lesson | {"numbers": (Y + 1).tolist()},
                        headers={"Idempotency-Key": "a"})
    assert other.status_code != 201
    near, far = client.post("/v1/brains/demo/predict", json={"vectors": [[0.1, 0.2], [90.0, 90.0]]}).json()["answers"]
    (low, high), = near["intervals"]
    assert (near["label"], near["known"], far["known"]) == ("price", True, False)
    assert low < near["values"][0] < high
    assert abs(near["values"][0] - 50.0) < 0.5
    about = client.get("/v1/brains/demo/info").json()
    assert about["numbers"]["names"] == ["price"]
    assert client.get("/v1/brains").json()["brains"][0]["numbers"] == ["price"]
    client.delete(f"/v1/brains/demo/examples/{first.json()['ids'][0]}")
    assert client.get("/v1/brains/demo/info").json()["examples"] == 39


def test_a_form_of_files_brings_a_number_for_all_or_one_for_each(serve: Callable[..., TestClient]) -> None:
    client = serve()
    client.post("/v1/brains", json={"name": "ages", "backbone": "descriptor"})
    files = [("images", (f"{i}.png", picture((40 * i, 90, 90)), "image/png")) for i in range(3)]
    assert client.post("/v1/brains/ages/examples", files=files, data={"number": ["1.5", "2", "3"]}).status_code == 201
    assert client.post("/v1/brains/ages/examples", files=files[:1], data={"number": "7"}).status_code == 201
    assert client.get("/v1/brains/ages/info").json()["examples"] == 4
    refused = client.post("/v1/brains/ages/examples", files=files[:1], data={"number": "seven"})
    assert (refused.status_code, "finite number" in refused.json()["detail"]) == (422, True)


def test_what_does_not_fit_is_refused(serve: Callable[..., TestClient]) -> None:
    client = serve()
    for body in (
        {"vectors": [[1.0]], "numbers": [1.5], "labels": ["a"]},
        {"vectors": [[1.0]], "numbers": [1.5, 2.5]},
        {"vectors": [[1.0]], "numbers": ["x"]},
        {"vectors": [[1.0]], "numbers": [1.5], "not": True},
        {"vectors": [[1.0]], "numbers": [[1.5, 2.5]], "label": "price"},
    ):
        assert client.post("/v1/brains/demo/examples", json=body).status_code in (400, 422)
    client.post("/v1/brains/demo/examples", json={"vectors": [[1.0], [2.0]], "numbers": [[1.5, 2.5], [2.5, 3.5]]})
    refused = client.post("/v1/brains/demo/examples", json={"vectors": [[1.0]], "label": "a"})
    assert "answers numbers" in refused.json()["detail"]
    one, = client.post("/v1/brains/demo/predict", json={"vectors": [[1.0]]}).json()["answers"]
    assert len(one["values"]) == 2
    assert one["intervals"][0] == [None, None]


def test_weights_count_over_http_and_their_sum_is_bounded(serve: Callable[..., TestClient]) -> None:
    client = serve()
    taught = client.post("/v1/brains/demo/examples", json={"vectors": [[1.0], [2.0]], "label": "a", "weights": [1, 3]})
    assert len(taught.json()["ids"]) == 4
    for weights in ([1], [0, 1], [1.5, 1]):
        body = {"vectors": [[1.0], [2.0]], "label": "a", "weights": weights}
        assert client.post("/v1/brains/demo/examples", json=body).status_code in (400, 422)
    many = {"vectors": [[1.0]] * 70, "label": "a", "weights": [1000] * 70}
    assert client.post("/v1/brains/demo/examples", json=many).status_code == 413


def test_an_open_inference_client_gets_the_numbers_and_their_intervals(serve: Callable[..., TestClient]) -> None:
    client = serve()
    client.post("/v1/brains/demo/examples", json={"vectors": X.tolist(), "numbers": np.stack([Y, -Y], 1).tolist()})
    about = {one["name"]: one for one in client.get("/v2/models/demo").json()["outputs"]}
    assert (about["values"]["shape"], about["intervals"]["shape"]) == ([-1, 2], [-1, 2, 2])
    asked = {"inputs": [{"name": "x", "shape": [3, 2], "datatype": "FP64", "data": X[:3].tolist()}]}
    found = {one["name"]: one for one in client.post("/v2/models/demo/infer", json=asked).json()["outputs"]}
    answers = client.post("/v1/brains/demo/predict", json={"vectors": X[:3].tolist()}).json()["answers"]
    assert found["values"] == {"name": "values", "datatype": "FP64", "shape": [3, 2],
                               "data": [value for one in answers for value in one["values"]]}
    assert found["intervals"]["shape"] == [3, 2, 2]
    assert found["intervals"]["data"] == [end for one in answers for pair in one["intervals"] for end in pair]


def test_numbers_of_another_name_are_refused(serve: Callable[..., TestClient]) -> None:
    client = serve()
    lesson = {"vectors": [[1.0], [2.0]], "numbers": [1.5, 2.5]}
    client.post("/v1/brains/demo/examples", json=lesson | {"label": "price"})
    refused = client.post("/v1/brains/demo/examples", json=lesson | {"label": "rent"})
    assert (refused.status_code, "'price'" in refused.text) == (422, True)
    assert client.get("/v1/brains/demo/info").json()["examples"] == 2
