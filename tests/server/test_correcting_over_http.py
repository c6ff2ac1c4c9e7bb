"""What was taught can be looked at, put right, taken back and taken away."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from typing import Any

import pytest
from served_things import LESSON, RIGHT, Demo
from starlette.testclient import TestClient

from engram.brain import Brain
from engram.features.backbones.hashed_ngrams import HashedNgrams
from engram.server import schemas


def counts(demo: Demo) -> dict[Any, int]:
    return {one["label"]: one["count"] for one in demo.get("/classes").json()["classes"]}


def test_the_brains_are_listed_with_what_they_hold(taught: Demo) -> None:
    brains = {one["name"]: one for one in taught.client.get("/v1/brains").json()["brains"]}
    mine = brains[taught.name]
    assert (mine["state"], mine["examples"], mine["classes"], mine["takes"]) == ("ready", 4, 2, "vectors")


def test_classes_show_their_newest_examples(taught: Demo) -> None:
    ids = taught.post("/examples", json={"vectors": [RIGHT, [0.7, 0.1]], "label": "right"}).json()["ids"]
    right = taught.get("/classes").json()["classes"][0]
    assert (right["label"], right["count"], right["newest"][:2]) == ("right", 4, ids[::-1])


def test_examples_come_page_by_page(taught: Demo) -> None:
    first = taught.get("/examples", params={"limit": 3}).json()
    rest = taught.get("/examples", params={"limit": 3, "after": first["next"]}).json()
    assert [one["label"] for one in first["examples"] + rest["examples"]] == LESSON["labels"]
    assert rest["next"] is None
    only = taught.get("/examples", params={"label": "up"}).json()["examples"]
    assert [one["label"] for one in only] == ["up", "up"]


def test_an_example_that_is_forgotten_is_gone_from_everything(taught: Demo) -> None:
    gone = taught.get("/examples").json()["examples"][0]["id"]
    assert taught.delete(f"/examples/{gone}").json()["changed"] == 1
    assert counts(taught) == {"right": 1, "up": 2}
    assert gone not in [one["id"] for one in taught.get("/examples").json()["examples"]]
    assert taught.delete(f"/examples/{gone}").status_code == 404


def test_a_label_with_a_slash_can_be_forgotten(taught: Demo) -> None:
    taught.post("/examples", json={"vectors": [RIGHT], "label": "a/b c"})
    assert taught.delete("/classes/a%2Fb%20c").json()["changed"] == 1
    assert "a/b c" not in counts(taught)


def test_a_label_is_renamed_and_an_example_corrected(taught: Demo) -> None:
    assert taught.post(":rename", json={"old": "up", "new": "north"}).json()["changed"] == 2
    first = taught.get("/examples").json()["examples"][0]["id"]
    assert taught.post(f"/examples/{first}:relabel", json={"label": "north"}).status_code == 200
    assert counts(taught) == {"right": 1, "north": 3}


def test_a_change_is_undone_and_done_again(taught: Demo) -> None:
    before = taught.info()["digest"]
    seq = taught.post("/examples", json={"vectors": [[0.1, 0.1]], "label": "new"}).json()["seq"]
    after = taught.info()["digest"]
    assert taught.post(":undo").json()["changed"] == 1
    assert taught.info()["digest"] == before
    assert taught.get("/info", params={"at": seq}).json()["digest"] == after
    assert taught.post(":rollback", json={"to": seq}).json()["changed"] == 1
    assert taught.info()["digest"] == after
    undone = [one["undone"] for one in taught.get("/history").json()["entries"] if one["kind"] == "taught"]
    assert undone == [False, False]


def test_what_is_forgotten_does_not_come_back_by_a_rollback(taught: Demo) -> None:
    seq = taught.info()["seq"]
    taught.delete("/classes/up")
    answer = taught.post(":rollback", json={"to": seq})
    assert (answer.status_code, counts(taught)) == (409, {"right": 2})


def test_what_was_undone_is_forgotten_by_label_id_and_teacher(taught: Demo) -> None:
    lesson = {"vectors": [RIGHT], "label": "Jane Q. Doe", "teacher": "Eve Example"}
    for path, more in (("/classes", {"params": {"label": "Jane Q. Doe"}}), ("/examples/{id}", {}),
                       ("/examples", {"params": {"teacher": "Eve Example"}})):
        (number,) = taught.post("/examples", json=lesson).json()["ids"]
        taught.post(":undo")
        answer = taught.delete(path.format(id=number), **more)
        assert (answer.status_code, answer.json()["changed"]) == (200, 0)
        assert taught.delete(path.format(id=number), **more).status_code == 404
    said = b"".join(file.read_bytes() for file in taught.folder.rglob("*") if file.is_file())
    assert b"Jane" not in said + taught.get("/history").content
    assert b"Eve" not in said + taught.get("/history").content


def test_there_is_nothing_to_undo_in_a_new_brain(demo: Demo) -> None:
    assert demo.post(":undo").status_code == 409


def test_history_tells_who_taught_what_page_by_page(taught: Demo) -> None:
    taught.post("/examples", json=LESSON | {"teacher": "ada"})
    taught.post(":rename", json={"old": "up", "new": "north"})
    first = taught.get("/history", params={"limit": 2}).json()
    assert [one["kind"] for one in first["entries"]] == ["renamed", "taught"]
    assert first["entries"][1]["teacher"] == "ada"
    rest = taught.get("/history", params={"before": first["next"]}).json()["entries"]
    assert rest[0]["labels"] == [{"label": "right", "count": 2}, {"label": "up", "count": 2}]


def test_unknowns_wait_in_the_inbox_until_they_are_named(taught: Demo) -> None:
    strange = [[-0.5, -0.7], [-0.52, -0.69]]
    asked = taught.post("/predict", json={"vectors": strange, "remember": True}).json()
    assert [one["label"] for one in asked["answers"]] == [None, None]
    groups = taught.get("/unknowns").json()["groups"]
    assert sorted(member["number"] for group in groups for member in group["members"]) == [1, 2]
    for group in groups:
        assert taught.post(f"/unknowns/{group['group']}:name", json={"label": "down"}).status_code == 200
    assert counts(taught)["down"] == 2
    assert taught.get("/unknowns").json()["groups"] == []


def test_unknowns_can_be_let_go_unnamed(taught: Demo) -> None:
    taught.post("/predict", json={"vectors": [[-0.5, -0.7]], "remember": True})
    (group,) = taught.get("/unknowns").json()["groups"]
    assert taught.delete(f"/unknowns/{group['group']}").json()["changed"] == 1
    assert taught.get("/unknowns").json()["groups"] == []
    assert taught.delete(f"/unknowns/{group['group']}").status_code == 404
    with Brain.open(taught.folder, readonly=True) as brain:
        assert len(brain.unknowns) == 0


def test_texts_are_shown_by_themselves(serve: Any, tmp_path: Any) -> None:
    Brain.create(tmp_path / "texts", HashedNgrams()).close()
    texts = Demo(serve(brains=("texts",)), "texts")
    lesson = {"texts": ["play some jazz", "what is the time"], "labels": ["music", "time"]}
    assert texts.post("/examples", json=lesson).status_code == 201
    assert [one["source"] for one in texts.get("/examples").json()["examples"]] == lesson["texts"]
    asked = texts.post("/predict", json={"texts": ["play jazz"]}).json()["answers"][0]
    assert asked["ranked"][0]["label"] == "music"


def test_the_backbones_for_a_new_brain_are_listed(web: TestClient) -> None:
    found = {one["name"]: one["takes"] for one in web.get("/v1/backbones").json()["backbones"]}
    assert found["descriptor"] == found["digits"] == "pictures"


def test_a_folder_zipped_by_hand_melds_too(taught: Demo) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(taught.folder.rglob("*")):
            if path.is_file():
                archive.write(path, f"flowers/{path.relative_to(taught.folder)}")
    demo = Demo(taught.client, f"{taught.name}c")
    demo.client.post("/v1/brains", json={"name": demo.name})
    answer = demo.post(":meld", content=file.getvalue(), headers={"Content-Type": "application/zip"})
    assert (answer.status_code, counts(demo)) == (200, {"right": 2, "up": 2}), answer.text


def test_the_map_shows_classes_prototypes_and_unknowns(taught: Demo) -> None:
    taught.post("/predict", json={"vectors": [[-0.5, -0.7]], "remember": True})
    points = taught.get("/map").json()["points"]
    assert {one["label"] for one in points if one["kind"] == "class"} == {"right", "up"}
    assert sum(one["weight"] for one in points if one["kind"] == "prototype") == 4
    assert [one["unknown"] for one in points if one["kind"] == "unknown"] == [1]


def test_health_tells_what_is_taken_for_what_now_and_before(taught: Demo) -> None:
    first = schemas.Health.model_validate(taught.get("/health").json())
    assert [sum(row) for row in first.confusion] == [2, 2]
    taught.post("/examples", json=LESSON)
    then = schemas.Health.model_validate(taught.get("/health").json())
    assert [point.seq for point in then.classes[0].over_time] == [first.seq, then.seq]
    assert then.labels == ["right", "up"]


def test_consolidating_leaves_what_is_known(taught: Demo) -> None:
    digest = taught.info()["digest"]
    report = taught.post(":consolidate").json()
    assert report["after"] <= report["before"]
    assert taught.info()["digest"] == digest


def test_a_brain_is_taken_away_and_melded_elsewhere(taught: Demo) -> None:
    other = Demo(taught.client, f"{taught.name}b")
    assert other.client.post("/v1/brains", json={"name": other.name}).status_code == 201
    other.post("/examples", json={"vectors": [[0.5, 0.6]], "label": "both"})
    parcel = taught.get("/export", params={"format": "zip"})
    assert parcel.headers["content-type"] == "application/zip"
    melded = other.post(":meld", content=parcel.content, headers={"Content-Type": "application/zip"})
    assert (melded.status_code, melded.json()["changed"]) == (200, 1)
    assert counts(other) == {"both": 1, "right": 2, "up": 2}
    again = other.post(":meld", files={"brain": ("flowers.zip", parcel.content, "application/zip")})
    assert (again.status_code, again.json()["changed"]) == (200, 0)
    assert other.post(":meld", json={"brain": taught.name}).json()["changed"] == 0


def test_an_export_can_be_opened_as_a_brain(taught: Demo, tmp_path: Any) -> None:
    parcel = taught.get("/export", params={"format": "zip"}).content
    zipfile.ZipFile(io.BytesIO(parcel)).extractall(tmp_path / "copy")
    with Brain.open(tmp_path / "copy") as brain:
        assert brain.digest() == taught.info()["digest"]


def test_events_are_exported_as_json_lines(taught: Demo) -> None:
    answer = taught.get("/export")
    assert answer.headers["content-type"] == "application/jsonl"
    assert "attachment" in answer.headers["content-disposition"]
    assert sum(json.loads(line).get("kind") == "taught" for line in answer.text.splitlines()) == 4


def zipped(*entries: tuple[str, bytes], mode: int = 0) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


@pytest.mark.parametrize(
    "parcel",
    [
        b"",
        b"PK no zip",
        zipped(),
        zipped(("../manifest.json", b"{}")),
        zipped(("/etc/passwd", b"x")),
        zipped(("manifest.json", b"{}"), ("..\\x", b"x")),
        zipped(("manifest.json", b"{}"), ("bundle-0123456789abcdef/../../x", b"x")),
        zipped(("manifest.json", b"{}")),
        zipped(("manifest.json", b"[1]"), ("log.sqlite", b"x")),
        zipped(("manifest.json", b"[" * 100_000)),
        zipped(("manifest.json", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777),
        zipped(("manifest.json", b"{}"), ("manifest.json", b"{}")),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_is_no_brain_is_refused(taught: Demo, parcel: bytes) -> None:
    before = taught.info()
    answer = taught.post(":meld", content=parcel, headers={"Content-Type": "application/zip"})
    assert answer.status_code in (409, 422), answer.text
    assert taught.info() == before


def test_a_zip_that_unpacks_to_more_than_is_taken_is_refused(serve: Any) -> None:
    demo = Demo(serve(brain_limit=10_000), "demo")
    bomb = zipped(("manifest.json", b"{}"), ("log.sqlite", bytes(1_000_000)))
    assert len(bomb) < 10_000
    answer = demo.post(":meld", content=bomb, headers={"Content-Type": "application/zip"})
    assert (answer.status_code, "too large" in answer.json()["detail"]) == (422, True)


def test_the_brain_goes_back_to_a_time_and_a_time_that_is_none_is_named(taught: Demo) -> None:
    entries = taught.get("/history").json()["entries"]
    before = counts(taught)
    taught.post("/examples", json={"vectors": [[0.3, 0.3]], "label": "later"})
    assert taught.post(":rollback", json={"to": entries[0]["time"]}).status_code == 200
    assert counts(taught) == before
    refused = taught.post(":rollback", json={"to": "yesterday"})
    assert refused.status_code == 422
    assert "2026-11-21T12:00:00Z" in refused.text
    assert "function" not in refused.text
    assert taught.post(":undo").status_code == 200
    assert "later" in counts(taught)


def test_how_much_may_be_refused_is_told_with_both_errors_and_changed(taught: Demo) -> None:
    found = taught.get("/alpha").json()
    assert (found["now"]["accepted"], found["accepted_needs"]) == (None, 5)
    assert "needs 5 labels, and there are 2" in taught.info()["errors"]
    more = {"vectors": [[-0.9, 0.1], [0.1, -0.9], [-0.7, -0.7]] * 2, "labels": ["left", "down", "back"] * 2}
    assert taught.post("/examples", json=more).status_code == 201
    found = taught.get("/alpha").json()
    assert (found["alpha"], found["now"]["refused"], len(found["curve"])) == (0.02, 0.02, 10)
    assert found["accepted_needs"] is None
    assert all(one["accepted_between"][0] <= one["accepted"] <= one["accepted_between"][1] for one in found["curve"])
    accepted = [rates["accepted"] for rates in found["curve"]]
    assert accepted == sorted(accepted, reverse=True)
    changed = taught.client.put(taught.path + "/alpha", json={"alpha": 0.2})
    assert (changed.json()["alpha"], changed.json()["now"]["refused"]) == (0.2, 0.2)
    assert changed.json() == taught.get("/alpha").json()
    taught.client.put(taught.path + "/alpha", json={"alpha": 0.3, "label": "up"})
    info = taught.info()
    assert (info["alpha"], info["alphas"]) == (0.2, [{"label": "up", "alpha": 0.3}])
    assert info["errors"].startswith("20% of what I know will be refused; of strangers like your other classes, ")
    assert taught.get("/history").json()["entries"][0]["note"] == "30% of up may be refused"
    taught.post(":undo")
    taught.post(":undo")
    assert taught.get("/alpha").json()["alpha"] == 0.02


@pytest.mark.parametrize("body", [{"alpha": 0}, {"alpha": 1}, {"alpha": "0.1"}, {"alpha": True}, {}, {"alpha": None}])
def test_what_is_no_share_is_refused(taught: Demo, body: dict[str, Any]) -> None:
    assert taught.client.put(taught.path + "/alpha", json=body).status_code == 422
    assert taught.get("/alpha").json()["alpha"] == 0.02


def test_a_share_for_a_label_that_nobody_taught_is_refused(taught: Demo) -> None:
    answer = taught.client.put(taught.path + "/alpha", json={"alpha": 0.1, "label": "down"})
    assert answer.status_code == 404
    late = taught.client.put(taught.path + "/alpha", json={"alpha": 0.1}, headers={"If-Match": '"1"'})
    assert late.status_code == 412


def test_a_brain_that_knows_nothing_tells_no_errors(taught: Demo) -> None:
    assert taught.client.post("/v1/brains", json={"name": "new", "alpha": 0.1}).status_code == 201
    found = Demo(taught.client, "new").get("/alpha").json()
    assert (found["alpha"], found["now"], found["curve"]) == (0.1, None, [])
