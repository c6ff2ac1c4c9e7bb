"""A picture with a map of what is not like good ones, over HTTP."""

import io

import numpy as np
import pytest
from PIL import Image
from served_things import Demo, picture
from starlette.testclient import TestClient

pytest.importorskip("fastapi")


def test_a_picture_comes_back_with_its_heat_map_and_other_brains_say_why_not(web: TestClient) -> None:
    for name, backbone in (("parts", "good-parts"), ("whole", "descriptor")):
        web.post("/v1/brains", json={"name": name, "backbone": backbone})
        good = [("images", (f"{i}.png", picture((90, 160, 90), seed=i))) for i in range(5)]
        assert Demo(web, name).post("/examples", files=good, data={"label": "plate"}).status_code == 201
    summaries = {one["name"]: one["sees_places"] for one in web.get("/v1/brains").json()["brains"]}
    assert summaries["parts"]
    assert not summaries["whole"]
    marred = np.asarray(Image.open(io.BytesIO(picture((90, 160, 90), seed=9)))).copy()
    marred[10:20, 10:20] = 0
    file = io.BytesIO()
    Image.fromarray(marred).save(file, "PNG")
    asked = {"content": file.getvalue(), "headers": {"Content-Type": "image/png"}}
    answer = Demo(web, "parts").post("/heat", **asked)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    hot = np.asarray(Image.open(io.BytesIO(answer.content))).astype(int)
    assert hot[12:18, 12:18, 0].mean() > marred[12:18, 12:18, 0].mean() + 50
    parts = Demo(web, "parts")
    assert parts.client.get("/v1/brains/parts/alpha").json()["accepted_needs"] is None
    assert parts.post("/predict", params={"remember": "true"}, **asked).json()["answers"][0]["label"] is None
    named = parts.post(f"/unknowns/{parts.get('/unknowns').json()['groups'][0]['group']}:name", json={"label": "bad"})
    assert (named.status_code, "as good ones" in named.json()["detail"]) == (422, True)
    refused = Demo(web, "whole").post("/heat", **asked)
    assert refused.status_code == 422
    assert "good-parts" in refused.json()["detail"]
    two = [("images", ("1.png", file.getvalue()))] * 2
    assert "one picture" in Demo(web, "parts").post("/heat", files=two).json()["detail"]


def test_what_was_taught_is_located_in_a_picture_as_boxes_or_drawn(web: TestClient) -> None:
    web.post("/v1/brains", json={"name": "where", "backbone": "photos"})
    where, asked = Demo(web, "where"), {"headers": {"Content-Type": "image/png"}}
    for seed, colour in enumerate(((220, 30, 30), (30, 30, 220))):
        where.post("/examples", content=picture(colour, seed=seed), params={"label": f"thing-{seed}"}, **asked)
    scene = Image.open(io.BytesIO(picture((120, 130, 120), (320, 240)))).copy()
    scene.paste(Image.open(io.BytesIO(picture((220, 30, 30), (96, 96), seed=7))), (40, 60))
    file = io.BytesIO()
    scene.save(file, "PNG")
    answer = where.post("/locate", content=file.getvalue(), **asked).json()
    assert all(set(one) == {"label", "box", "score", "known", "confidence"} for one in answer["found"])
    assert answer["seq"] == where.info()["seq"]
    drawn = where.post("/locate", params={"draw": "true"}, content=file.getvalue(), **asked)
    assert drawn.headers["content-type"] == "image/png"
    assert where.post("/locate", params={"draw": "perhaps"}, content=file.getvalue(), **asked).status_code == 422
