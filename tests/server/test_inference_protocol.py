"""Clients of the Open Inference Protocol, version 2, find a brain where they expect a model."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np
import pytest
from served_things import RIGHT, UP, Demo, picture

LENGTH = "Inference-Header-Content-Length"


def infer(demo: Demo, body: Any, **more: Any) -> Any:
    return demo.client.post(f"/v2/models/{demo.name}/infer", json=body, **more)


def outputs(answer: Any) -> dict[str, Any]:
    return {one["name"]: one["data"] for one in answer.json()["outputs"]}


def test_a_brain_describes_itself_as_a_model(taught: Demo) -> None:
    found = taught.client.get(f"/v2/models/{taught.name}").json()
    assert found["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 2]}]
    assert [one["name"] for one in found["outputs"]] == ["label", "known", "confidence", "focus", "familiarity"]
    assert taught.client.get(f"/v2/models/{taught.name}/ready").json() == {"name": taught.name, "ready": True}
    assert "binary_tensor_data" in taught.client.get("/v2").json()["extensions"]
    assert taught.client.get("/v2/health/live").json() == {"live": True}


@pytest.mark.parametrize("data", [[*RIGHT, *UP], [RIGHT, UP]])
@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_tensors_are_answered_flat_or_nested(taught: Demo, data: Any, datatype: str) -> None:
    answer = infer(taught, {"id": "7", "inputs": [
        {"name": "input", "shape": [2, 2], "datatype": datatype, "data": data}]})
    assert answer.json()["id"] == "7"
    assert outputs(answer)["label"] == ["right", "up"]
    assert outputs(answer)["known"] == [True, True]


def test_only_what_is_wanted_is_answered(taught: Demo) -> None:
    answer = infer(taught, {"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": RIGHT}],
                            "outputs": [{"name": "confidence"}]})
    assert list(outputs(answer)) == ["confidence"]


def test_nothing_i_know_is_an_empty_label(taught: Demo) -> None:
    answer = infer(taught, {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [-0.5, -0.7]}]})
    assert (outputs(answer)["label"], outputs(answer)["known"]) == ([""], [False])


def test_binary_tensors_go_in_and_out(taught: Demo) -> None:
    rows = np.array([RIGHT, UP], "<f4").tobytes()
    head = json.dumps({"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32",
                                   "parameters": {"binary_data_size": len(rows)}}],
                       "outputs": [{"name": "label", "parameters": {"binary_data": True}},
                                   {"name": "known"},
                                   {"name": "confidence", "parameters": {"binary_data": True}}]}).encode()
    answer = taught.client.post(
        f"/v2/models/{taught.name}/infer", content=head + rows,
        headers={LENGTH: str(len(head)), "Content-Type": "application/octet-stream"},
    )
    length = int(answer.headers[LENGTH])
    found = {one["name"]: one for one in json.loads(answer.content[:length])["outputs"]}
    assert found["known"]["data"] == [True, True]
    labels = struct.pack("<I", 5) + b"right" + struct.pack("<I", 2) + b"up"
    assert answer.content[length : length + len(labels)] == labels
    confidence = np.frombuffer(answer.content[length + len(labels) :], "<f4")
    assert confidence.shape == (2,)
    assert (confidence > 0.5).all()


def test_pictures_are_bytes(demo: Demo) -> None:
    for colour, label in (((220, 30, 30), "red"), ((30, 30, 220), "blue")):
        demo.post("/examples", files=[("images", ("a.png", picture(colour), "image/png"))], data={"label": label})
    file = picture((222, 32, 30), seed=1)
    encoded = {"name": "x", "shape": [1], "datatype": "BYTES", "parameters": {"content_type": "base64"},
               "data": [base64.b64encode(file).decode()]}
    assert infer(demo, {"inputs": [encoded]}).status_code == 200
    head = json.dumps({"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES",
                                   "parameters": {"binary_data_size": len(file) + 4}}]}).encode()
    answer = demo.client.post(f"/v2/models/{demo.name}/infer", content=head + struct.pack("<I", len(file)) + file,
                              headers={LENGTH: str(len(head))})
    assert outputs(answer)["confidence"] == outputs(infer(demo, {"inputs": [encoded]}))["confidence"]


@pytest.mark.parametrize(
    "tensor",
    [
        {"shape": [3], "datatype": "FP32", "data": RIGHT},
        {"shape": [1, 1, 2], "datatype": "FP32", "data": RIGHT},
        {"shape": [0], "datatype": "FP32", "data": []},
        {"shape": [2], "datatype": "FP32"},
        {"shape": [2], "datatype": "FP32", "data": ["a", "b"]},
        {"shape": [2], "datatype": "FP32", "data": [[1], [1, 2]]},
        {"shape": [2], "datatype": "FP32", "data": RIGHT, "parameters": {"binary_data_size": 8}},
        {"shape": [2], "datatype": "BF16", "data": [1, 2]},
        {"shape": [2], "datatype": "INT8", "data": [1, 128]},
        {"shape": [2], "datatype": "UINT8", "data": [1, -1]},
        {"shape": [2], "datatype": "INT32", "data": [1, 0.5]},
        {"shape": [2], "datatype": "BOOL", "data": [2, 0]},
        {"shape": [2], "datatype": "FP32", "data": [True, False]},
        {"shape": [1], "datatype": "BYTES", "data": ["text"]},
        {"shape": [1], "datatype": "BYTES", "data": [1]},
        {"shape": [4294967296, 4294967296], "datatype": "FP32", "data": RIGHT},
    ],
)
def test_tensors_that_do_not_fit_are_refused(taught: Demo, tensor: dict[str, Any]) -> None:
    answer = infer(taught, {"inputs": [{"name": "x", **tensor}]})
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"] == answer.json()["detail"]


@pytest.mark.parametrize("length", ["-1", "x", "99999", "1e2", ""])
def test_a_wrong_length_of_the_json_is_refused(taught: Demo, length: str) -> None:
    answer = taught.client.post(f"/v2/models/{taught.name}/infer", content=b"{}", headers={LENGTH: length})
    assert answer.status_code == 422


def test_the_version_that_the_metadata_names_is_that_of_now_alone(taught: Demo) -> None:
    model = f"/v2/models/{taught.name}"
    tensor = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": RIGHT}]}
    (version,) = taught.client.get(model).json()["versions"]
    assert taught.client.get(f"{model}/versions/{version}").json() == taught.client.get(model).json()
    assert taught.client.get(f"{model}/versions/{version}/ready").json()["ready"] is True
    answer = taught.client.post(f"{model}/versions/{version}/infer", json=tensor)
    assert answer.json()["model_version"] == version
    taught.raw("/examples", RIGHT, label="right")
    for other in (version, "0", "x", "99999"):
        answers = [taught.client.get(f"{model}/versions/{other}"), taught.client.get(f"{model}/versions/{other}/ready"),
                   taught.client.post(f"{model}/versions/{other}/infer", json=tensor)]
        assert [answer.status_code for answer in answers] == [404] * 3


def test_the_health_can_be_looked_at_by_head(taught: Demo) -> None:
    for path in ("/v2", "/v2/health/live", "/v2/health/ready", f"/v2/models/{taught.name}/ready",
                 f"{taught.path}/classes", "/"):
        answer, whole = taught.client.head(path), taught.client.get(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == str(len(whole.content))
    missing = taught.client.head("/v2/models/nosuch")
    assert (missing.status_code, missing.content) == (404, b"")
    refused = taught.client.head(f"{taught.path}:undo")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
