"""Several labels for one input over HTTP."""

from __future__ import annotations

from served_things import Demo

TABLE = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]


def test_lists_of_labels_are_taught_and_those_that_hold_are_answered(demo: Demo) -> None:
    labels = [["red", "round"], ["red", "square"], ["blue", "round"], ["blue", "square"]]
    vectors = [[one + 0.05 * turn, two - 0.04 * turn] for turn in range(-3, 4) for one, two in TABLE]
    taught = demo.post("/examples", json={"vectors": vectors, "labels": labels * 7})
    assert taught.status_code == 201, taught.text
    answers = demo.post("/predict", json={"vectors": [[0.02, 0.97], [9.0, 9.0]]}).json()["answers"]
    assert set(answers[0]["labels"]) == {"red", "square"}
    assert (answers[1]["labels"], answers[1]["label"]) == ([], None)
    classes = demo.get("/classes").json()["classes"]
    assert {one["label"]: one["count"] for one in classes} == dict.fromkeys(["red", "round", "square", "blue"], 14)
    assert all(len(one["newest"]) == 3 for one in classes)
    assert demo.delete("/classes/red").json()["changed"] == 14
    assert {one["label"] for one in demo.get("/classes").json()["classes"]} == {"blue", "round", "square"}


def test_one_label_and_several_do_not_mix(taught: Demo) -> None:
    refused = taught.post("/examples", json={"vectors": [[0.5, 0.5]], "labels": [["right", "up"]]})
    assert refused.status_code == 422
    assert "several need a brain of their own" in refused.json()["detail"]
