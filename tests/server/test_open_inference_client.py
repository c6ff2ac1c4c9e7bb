"""The official client of the Open Inference Protocol finds in a brain all that it expects of a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from served_things import LESSON, RIGHT, UP, Program, picture

from engram.brain import Brain
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.hashed_ngrams import HashedNgrams

triton = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")

WHOLE = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]
COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220)}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of a server with three brains: on vectors, on texts, and on pictures."""
    home = tmp_path_factory.mktemp("client")
    with Brain.create(home / "vectors") as brain:
        brain.learn(LESSON["vectors"], LESSON["labels"])
        brain.learn([[1, 0], [0, 1]], ["right", "up"])
    with Brain.create(home / "texts", Bundle.bare(HashedNgrams())) as brain:
        brain.learn(["play some jazz", "will it rain"], ["music", "weather"])
    Brain.create(home / "pictures").close()
    program = Program("vectors", "texts", "pictures", "--no-access-log", "--body-limit", "1", folder=home)
    http = program.wait_until_ready()
    for label, colour in COLOURS.items():
        http.post(f"/v1/brains/pictures/examples?label={label}", content=picture(colour),
                  headers={"Content-Type": "image/png"})
    official = triton.InferenceServerClient(program.address.removeprefix("http://"))
    yield official
    official.close()
    program.stop()


def tensor(values: Any, datatype: str, *, binary: bool = True) -> Any:
    made = triton.InferInput("input", list(values.shape), datatype)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def texts(*words: str | bytes) -> Any:
    return np.array([word.encode() if isinstance(word, str) else word for word in words], np.object_)


def test_server_and_models_are_alive_ready_and_described(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["name"] == "engram"
    found = client.get_model_metadata("vectors")
    (version,) = found["versions"]
    assert client.get_model_metadata("vectors", version) == found
    assert client.is_model_ready("vectors")
    assert client.is_model_ready("vectors", version)
    assert not client.is_model_ready("vectors", "99")
    with pytest.raises(triton.InferenceServerException, match="no brain 'nosuch'"):
        client.get_model_metadata("nosuch")


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_vectors_are_answered(client: Any, binary: bool, compression: str | None) -> None:
    rows = np.array([RIGHT, UP, [-0.5, -0.7]], np.float32)
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("label", "known", "confidence")]
    answer = client.infer("vectors", [tensor(rows, "FP32", binary=binary)], outputs=wanted, request_id="7",
                          request_compression_algorithm=compression, response_compression_algorithm=compression)
    labels = [label.decode() if isinstance(label, bytes) else label for label in answer.as_numpy("label").tolist()]
    assert labels == ["right", "up", ""]
    assert answer.as_numpy("known").tolist() == [True, True, False]
    assert answer.as_numpy("confidence").dtype == np.float32
    assert answer.get_response()["id"] == "7"


@pytest.mark.parametrize("datatype", [*WHOLE, "FP16", "FP32", "FP64", "BOOL"])
@pytest.mark.parametrize("binary", [True, False])
def test_every_datatype_of_numbers_is_read(client: Any, datatype: str, binary: bool) -> None:
    if datatype == "FP16" and not binary:
        pytest.skip("the client sends FP16 in binary only")
    rows = np.array([[1, 0], [0, 1]]).astype(triton.triton_to_np_dtype(datatype))
    answer = client.infer("vectors", [tensor(rows, datatype, binary=binary)])
    assert answer.as_numpy("label").tolist() == [b"right", b"up"]


def test_a_version_of_the_metadata_can_be_asked(client: Any) -> None:
    (version,) = client.get_model_metadata("vectors")["versions"]
    rows = np.array([RIGHT], np.float32)
    answer = client.infer("vectors", [tensor(rows, "FP32")], model_version=version)
    assert answer.get_response()["model_version"] == version


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
@pytest.mark.parametrize("binary", [True, False])
def test_texts_are_read_one_a_row(client: Any, shape: tuple[int, ...], binary: bool) -> None:
    asked = texts("jazz please", "is rain coming").reshape(shape)
    answer = client.infer("texts", [tensor(asked, "BYTES", binary=binary)])
    assert answer.as_numpy("label").shape == (2,)
    best = answer.as_numpy("confidence")
    assert best.shape == (2,)


def test_the_files_of_pictures_are_read(client: Any) -> None:
    files = texts(*(picture(colour, seed=1) for colour in COLOURS.values())).reshape(2, 1)
    answer = client.infer("pictures", [tensor(files, "BYTES")])
    known, labels = answer.as_numpy("known"), answer.as_numpy("label")
    assert [label.decode() for label, sure in zip(labels, known, strict=True) if sure] == [
        name for name, sure in zip(COLOURS, known, strict=True) if sure
    ]


def test_a_refusal_reaches_whoever_asks(client: Any) -> None:
    with pytest.raises(triton.InferenceServerException, match="values"):
        client.infer("vectors", [tensor(np.ones((1, 3), np.float32), "FP32")])
    with pytest.raises(triton.InferenceServerException, match="accepts text"):
        client.infer("texts", [tensor(np.ones((1, 3), np.float32), "FP32")])


def test_a_body_that_grows_beyond_the_limit_is_refused(client: Any) -> None:
    rows = np.zeros((200_000, 2), np.float32)  # 1.6 MB that shrink to 2 kB
    with pytest.raises(triton.InferenceServerException, match="1,000,000 bytes"):
        client.infer("vectors", [tensor(rows, "FP32")], request_compression_algorithm="gzip")
