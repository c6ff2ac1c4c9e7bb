"""What is taught over HTTP is learned, acknowledged when it is on disk, and learned once however often it is sent."""

from __future__ import annotations

import base64
import struct
from threading import Thread
from typing import Any

import pytest
from served_things import LESSON, RIGHT, UP, Demo, picture

from engram.brain import Brain

TEACH, ASK = "/examples", "/predict"


def labels(answer: Any) -> list[Any]:
    return [one["label"] for one in answer.json()["answers"]]


def test_what_was_acknowledged_is_in_the_folder(demo: Demo) -> None:
    answer = demo.post(TEACH, json=LESSON)
    assert answer.status_code == 201
    taught = answer.json()
    assert len(taught["ids"]) == 4
    assert taught["ids"] == sorted(taught["ids"])
    assert answer.headers["etag"] == f'"{taught["seq"]}"'
    with Brain.open(demo.folder, readonly=True) as brain:
        assert brain.counts() == {"right": 2, "up": 2}
        assert brain.seq == taught["seq"]
        assert [one.id for one in brain.examples()] == taught["ids"]


def test_one_label_may_stand_for_all(demo: Demo) -> None:
    assert demo.post(TEACH, json={"vectors": [RIGHT, [0.7, 0.1]], "label": 7}).status_code == 201
    assert demo.get("/classes").json()["classes"][0]["label"] == 7


def test_what_a_label_is_not_is_taught_once_told_in_the_history_and_forgotten(taught: Demo) -> None:
    odd = [0.7, 0.6]
    wrong = labels(taught.post(ASK, json={"vectors": [odd]}))[0] or "right"
    before = taught.get("/info").json()
    lesson, key = {"vectors": [odd], "label": wrong, "not": True}, {"Idempotency-Key": "not-1"}
    answer, again = (taught.post(TEACH, json=lesson, headers=key) for _ in range(2))
    assert (answer.status_code, answer.json(), again.json()) == (201, answer.json(), answer.json())
    assert again.headers["idempotency-replayed"] == "true"
    asked = taught.post(ASK, json={"vectors": [odd]}).json()["answers"][0]
    assert (asked["label"], asked["ranked"][-1]) == (None, {"label": wrong, "score": None})
    entry = taught.get("/history").json()["entries"][0]
    assert (entry["kind"], entry["labels"]) == ("taught not", [{"label": wrong, "count": 1}])
    now = taught.get("/info").json()
    assert (now["examples"], now["counterexamples"]) == (before["examples"], [{"label": wrong, "count": 1}])
    assert taught.client.delete(f"{taught.path}/examples/{answer.json()['ids'][0]}").status_code == 200
    after = taught.get("/info").json()
    assert (after["digest"], after["counterexamples"]) == (before["digest"], [])


def test_what_a_label_is_not_comes_in_any_body_and_needs_a_label_that_is_known(taught: Demo) -> None:
    assert taught.raw(TEACH, RIGHT, label="up", **{"not": "true"}).status_code == 201
    refused = taught.post(TEACH, json={"vectors": [UP], "label": "left", "not": True})
    assert (refused.status_code, refused.json()["detail"][:24]) == (404, "'left' was never taught.")
    assert taught.post(TEACH, json={"vectors": [UP], "label": "up", "not": "perhaps"}).status_code == 422
    assert taught.raw(TEACH, UP, label="up", **{"not": "perhaps"}).status_code == 422
    assert taught.get("/info").json()["counterexamples"] == [{"label": "up", "count": 1}]


def test_raw_floats_teach_the_same_as_json(demo: Demo, taught: Demo) -> None:
    for row, label in zip(LESSON["vectors"], LESSON["labels"], strict=True):
        assert demo.raw(TEACH, row, label=label, width="2").status_code == 201
    asked = taught.post(ASK, json={"vectors": [RIGHT, UP]}).json()
    assert demo.raw(ASK, RIGHT, UP).json()["answers"] == asked["answers"]


def test_raw_floats_that_are_no_whole_vectors_are_refused(taught: Demo) -> None:
    for content in (b"", b"123", struct.pack("<3f", 1, 2, 3), struct.pack("<2f", float("nan"), 1)):
        answer = taught.post(ASK, content=content, headers={"Content-Type": "application/octet-stream"})
        assert answer.status_code == 422


def test_pictures_come_as_files_as_base64_and_as_they_are(demo: Demo) -> None:
    red, blue = picture((220, 30, 30)), picture((30, 30, 220), kind="JPEG")
    files = [("images", ("C:\\photos\\red.png", red, "image/png")), ("images", ("blue.jpg", blue, "image/jpeg"))]
    assert demo.post(TEACH, files=files, data={"label": ["red", "blue"]}).status_code == 201
    encoded = [base64.b64encode(picture(colour, seed=1)).decode() for colour in ((225, 30, 30), (30, 30, 225))]
    assert demo.post(TEACH, json={"images": encoded, "labels": ["red", "blue"]}).status_code == 201
    single = demo.post(TEACH, params={"label": "red"}, content=picture((215, 30, 30), seed=2),
                         headers={"Content-Type": "image/png"})
    assert single.status_code == 201
    asked = demo.post(ASK, files=[("images", ("x.png", picture((222, 32, 30), seed=3), "image/png"))])
    assert asked.json()["answers"][0]["ranked"][0]["label"] == "red"
    examples = demo.get(TEACH).json()["examples"]
    assert [one["source"] for one in examples] == ["red.png", "blue.jpg", None, None, None]
    small = demo.get(f"{TEACH}/{examples[0]['id']}/thumbnail")
    assert small.headers["content-type"] == "image/jpeg"
    assert demo.get(f"{TEACH}/{examples[0]['id']}/thumbnail",
                      headers={"If-None-Match": small.headers["etag"]}).status_code == 304


def test_pictures_are_taught_with_views_of_them_in_any_body(demo: Demo) -> None:
    one, other, third = (picture((200, 40, 40), kind="JPEG", seed=i) for i in (1, 2, 3))
    files = [("images", ("a.jpg", one, "image/jpeg"))]
    form = demo.post(TEACH, files=files, data={"label": "a", "augment": "true"})
    json = demo.post(TEACH, json={"images": [base64.b64encode(other).decode()], "label": "a", "augment": True})
    plain = demo.post(TEACH, params={"label": "a", "augment": "1"}, content=third,
                      headers={"Content-Type": "image/jpeg"})
    assert [answer.status_code for answer in (form, json, plain)] == [201] * 3
    like = Brain()
    like.learn([one, other, third], "a", augment=True)
    with Brain.open(demo.folder, readonly=True) as brain:
        assert brain.counts() == {"a": 3}
        assert brain.sums_digest() == like.sums_digest()


def test_vectors_have_no_views_and_counterexamples_are_learned_as_they_are(taught: Demo) -> None:
    seq = taught.get("/info").json()["seq"]
    refused = taught.post(TEACH, json={"vectors": [RIGHT], "label": "right", "augment": True})
    assert (refused.status_code, "Only pictures" in refused.text) == (422, True)
    refused = taught.post(TEACH, json={"vectors": [RIGHT], "label": "right", "augment": True, "not": True})
    assert (refused.status_code, "leave 'augment' away" in refused.text) == (422, True)
    assert taught.get("/info").json()["seq"] == seq


def test_the_same_key_and_body_are_learned_once(demo: Demo) -> None:
    first = demo.post(TEACH, json=LESSON, headers={"Idempotency-Key": "one"})
    again = demo.post(TEACH, json=LESSON, headers={"Idempotency-Key": "one"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert demo.info()["examples"] == 4


def test_the_same_key_with_another_body_is_refused(demo: Demo) -> None:
    demo.post(TEACH, json=LESSON, headers={"Idempotency-Key": "one"})
    other = demo.post(TEACH, json=LESSON | {"labels": ["a", "b", "c", "d"]}, headers={"Idempotency-Key": "one"})
    assert other.status_code == 422
    assert "key" in other.json()["detail"]
    assert demo.info()["examples"] == 4


def test_a_form_that_is_sent_again_with_another_boundary_is_the_same_request(demo: Demo) -> None:
    files = [("images", ("red.png", picture((220, 30, 30)), "image/png"))]
    answers = [demo.post(TEACH, files=files, data={"label": "red"}, headers={"Idempotency-Key": "k"}) for _ in "12"]
    assert answers[0].json() == answers[1].json()


def test_many_who_send_the_same_key_at_once_teach_once(demo: Demo) -> None:
    answers: list[Any] = []

    def send() -> None:
        answers.append(demo.post(TEACH, json=LESSON, headers={"Idempotency-Key": "k"}).json())

    threads = [Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answer == answers[0] for answer in answers)
    assert demo.info()["examples"] == 4


def test_what_is_held_already_can_be_skipped(taught: Demo) -> None:
    answer = taught.post(TEACH, json=LESSON | {"again": False}).json()
    assert (answer["ids"], answer["skipped"]) == ([], 4)


def test_a_change_can_be_tied_to_a_sequence_number(taught: Demo) -> None:
    seq = taught.info()["seq"]
    late = taught.post(TEACH, json=LESSON, headers={"If-Match": f'"{seq - 1}"'})
    assert (late.status_code, late.headers["etag"]) == (412, f'"{seq}"')
    assert taught.post(TEACH, json=LESSON, headers={"If-Match": f'"{seq}"'}).status_code == 201


def test_of_many_changes_tied_to_one_sequence_number_one_is_done(taught: Demo) -> None:
    seq = taught.info()["seq"]
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
def test_what_does_not_fit_is_refused_and_changes_nothing(taught: Demo, body: dict[str, Any]) -> None:
    before = taught.info()
    answer = taught.post(TEACH, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert taught.info() == before


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(taught: Demo, value: str) -> None:
    before = taught.info()
    content = f'{{"vectors": [[{value}, 0.5]], "label": "right"}}'
    for path in (TEACH, ASK):
        answer = taught.post(path, content=content.replace(', "label": "right"', "") if path == ASK else content,
                             headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500
    assert taught.info() == before


def test_labels_in_a_query_are_numbers_where_the_brain_counts_in_numbers(demo: Demo) -> None:
    demo.post(TEACH, json={"vectors": [RIGHT, UP], "labels": [1, 2]})
    assert demo.raw(TEACH, [0.85, 0.1], label="1").status_code == 201
    assert demo.delete("/classes/2").json()["changed"] == 1


def test_named_columns_are_not_taken_by_place(demo: Demo) -> None:
    assert demo.post(TEACH, json={**LESSON, "columns": ["temp", "load"]}).status_code == 201
    asked = {"vectors": [RIGHT], "columns": ["temp", "load"]}
    assert labels(demo.post(ASK, json=asked)) == ["right"]
    assert labels(demo.post(ASK, json={"vectors": [RIGHT]})) == ["right"]
    for path, body in ((ASK, asked), (ASK, {**asked, "remember": True}), (TEACH, {**asked, "label": "right"})):
        for columns, why in ((["load", "temp"], "put them into that order"), (["temp", "x"], "missing: 'load'"),
                             (["temp"], "1 names for 2 columns")):
            answer = demo.post(path, json={**body, "columns": columns})
            assert answer.status_code == 422, path
            assert why in answer.json()["detail"]
    with Brain.open(demo.folder, readonly=True) as brain:
        assert brain.columns == ("temp", "load")


def test_a_reading_out_of_range_is_one_answer_of_many(taught: Demo) -> None:
    answer = taught.post(ASK, json={"vectors": [RIGHT, [1e30, 0.0], UP]})
    assert labels(answer) == ["right", None, "up"]
    refused = taught.post(TEACH, json={"vectors": [RIGHT, [0.1, 1e30]], "label": "up"})
    assert refused.status_code == 422
    assert "Vector 2, column 2: 1e+30 is outside -1.332e+07 to 1.332e+07" in refused.json()["detail"]
