"""Sounds over HTTP: as a file, in a form, in JSON and in tensors; and what is no sound, or too much of it."""

from __future__ import annotations

import base64
import io
import struct
import wave

import numpy as np
import pytest
from conftest import Serve
from served_things import RATE, Demo, picture, wav

TEACH, ASK = "/examples", "/predict"


@pytest.fixture
def hearing(demo: Demo) -> Demo:
    """A brain that knows low and high tones, each taught in another way."""
    form = [("sounds", (f"{seed}.wav", wav(200, seed), "audio/wav")) for seed in range(4)]
    assert demo.post(TEACH, files=form, data={"label": "low"}).status_code == 201
    encoded = [base64.b64encode(wav(2500, seed)).decode() for seed in range(3)]
    assert demo.post(TEACH, json={"sounds": encoded, "label": "high"}).status_code == 201
    single = demo.post(TEACH, params={"label": "high", "source": "h.wav"}, content=wav(2500, 3),
                       headers={"Content-Type": "audio/wav"})
    assert single.status_code == 201
    return demo


def test_sounds_are_taught_and_asked_about_in_every_way(hearing: Demo) -> None:
    assert hearing.info()["takes"] == "sound"
    form = [("sounds", (f"{hertz}.wav", wav(hertz, 2, 0.32), "audio/wav")) for hertz in (200, 2500)]
    answers = hearing.post(ASK, files=form).json()["answers"]
    assert [answer["label"] for answer in answers] == ["low", "high"]
    single = hearing.post(ASK, content=wav(200, 2, 0.31), headers={"Content-Type": "audio/x-wav"})
    assert single.json()["answers"][0]["label"] == "low"
    content = wav(2500, 2, 0.31)
    head = ('{"inputs": [{"name": "input", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": '
            f"{len(content) + 4}}}}}]}}").encode()
    asked = hearing.client.post(f"/v2/models/{hearing.name}/infer", content=head + struct.pack("<I", len(content))
                                + content, headers={"Inference-Header-Content-Length": str(len(head))})
    assert asked.json()["outputs"][0]["data"] == ["high"]


def test_what_is_not_known_is_kept_with_a_small_picture_of_it(hearing: Demo) -> None:
    noise = io.BytesIO()
    with wave.open(noise, "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(np.random.default_rng(0).integers(-9000, 9000, RATE, "<i2").tobytes())
    form = [("sounds", ("rush.wav", noise.getvalue(), "audio/wav"))]
    assert hearing.post(ASK, files=form, data={"remember": "true"}).json()["answers"][0]["label"] is None
    (group,) = hearing.get("/unknowns").json()["groups"]
    assert group["members"][0]["source"] == "rush.wav"
    assert group["members"][0]["thumbnail"]
    small = hearing.get(f"/unknowns/{group['members'][0]['number']}/thumbnail")
    assert small.headers["content-type"] == "image/jpeg"
    assert hearing.post(f"/unknowns/{group['group']}:name", json={"label": "rush"}).status_code == 200


@pytest.mark.parametrize("content", [b"", b"no sound", wav(200)[:-99], picture((9, 9, 9)), b"fLaC" + bytes(50)])
def test_what_is_no_sound_is_refused_and_changes_nothing(hearing: Demo, content: bytes) -> None:
    before = hearing.info()
    refused = hearing.post(TEACH, params={"label": "low"}, content=content, headers={"Content-Type": "audio/wav"})
    assert refused.status_code == 422
    assert hearing.info() == before


def test_pictures_for_a_brain_of_sounds_and_both_at_once_are_refused(hearing: Demo) -> None:
    image = ("images", ("a.png", picture((9, 9, 9)), "image/png"))
    assert "accepts sound" in hearing.post(ASK, files=[image]).json()["detail"]
    both = hearing.post(ASK, files=[image, ("sounds", ("a.wav", wav(200), "audio/wav"))])
    assert "not both at once" in both.json()["detail"]


def test_sounds_of_too_many_samples_are_refused_before_they_are_decoded(serve: Serve) -> None:
    client = serve(pixels_at_once=10_000)
    form = [("sounds", (f"{seed}.wav", wav(200, seed), "audio/wav")) for seed in range(3)]
    refused = client.post("/v1/brains/demo/predict", files=form)
    assert refused.status_code == 413
    assert "more than 10,000 samples together" in refused.json()["detail"]


def test_empty_files_are_told_as_empty_and_counted_from_one(demo: Demo) -> None:
    for field, kind in (("sounds", "Sound"), ("images", "Picture")):
        answer = demo.post(TEACH, json={field: [""], "label": "low"})
        assert (answer.status_code, f"{kind} 1 is empty" in answer.json()["detail"]) == (422, True)
