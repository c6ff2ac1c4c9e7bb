"""What a brain can be handed: arrays, pictures, paths, a folder per class, files of vectors; and what it refuses."""

from __future__ import annotations

import copy
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engram.brain import Brain, MultimodalBrain
from engram.brain.bundles import as_bundle, default_bundle
from engram.extras import installed
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.vectors import VectorBackbone
from engram.inputs.examples import gather, read_table
from engram.learner import DamagedError, InputError, LabelError

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (40, 50, 220)}


def picture(kind: str, seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).normal(COLOURS[kind], 25, (20, 24, 3))
    return Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind in COLOURS:
        (tmp_path / "pictures" / kind).mkdir(parents=True)
        for i in range(4):
            picture(kind, i).save(tmp_path / "pictures" / kind / f"{i}.png")
    return tmp_path / "pictures"


def test_pictures_are_learned_alike_however_they_are_handed_over(folder: Path) -> None:
    by_folder, by_path, by_image, by_array, by_bytes = (Brain() for _ in range(5))
    by_folder.learn(folder)
    paths = sorted(folder.rglob("*.png"))
    labels = [path.parent.name for path in paths]
    by_path.learn(paths, labels)
    by_image.learn([Image.open(path) for path in paths], labels)
    by_array.learn(np.stack([np.asarray(Image.open(path)) for path in paths]), labels)
    for kind in COLOURS:
        by_bytes.learn([path.read_bytes() for path in paths if path.parent.name == kind], kind)
    assert len({brain.digest() for brain in (by_folder, by_path, by_image, by_array, by_bytes)}) == 1
    assert by_folder.predict(picture("green", 9)).best == ["green"]
    assert by_folder.predict(str(paths[0])).best == [labels[0]]
    assert by_folder.predict(folder).best == sorted(labels)


def test_a_folder_of_one_kind_gives_its_name_unless_labels_are_given(folder: Path) -> None:
    brain = Brain()
    brain.learn(folder / "red")
    brain.learn([folder / "blue", folder / "green"], ["azure"] * 4 + ["lime"] * 4)
    assert brain.counts() == {"red": 4, "azure": 4, "lime": 4}


def test_pictures_are_forgotten_by_file(folder: Path) -> None:
    brain, never = Brain(), Brain()
    brain.learn(folder)
    brain.forget(examples=[folder / "red" / "0.png"], labels=["red"])
    brain.forget(folder / "red" / "1.png")
    gone = (("red", "0.png"), ("red", "1.png"))
    paths = [path for path in sorted(folder.rglob("*.png")) if path.parts[-2:] not in gone]
    never.learn(paths, [path.parent.name for path in paths])
    assert brain.digest() == never.digest()


def test_known_examples_are_learned_again_only_if_wanted(folder: Path) -> None:
    brain = Brain()
    brain.learn(folder)
    before = brain.digest()
    brain.learn(folder, again=False)
    assert brain.digest() == before
    brain.learn(folder)
    assert brain.info()["examples"] == 24


def test_one_bad_picture_among_many_leaves_no_trace(folder: Path) -> None:
    brain = Brain()
    brain.learn(folder)
    before = brain.digest()
    (folder / "red" / "5.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"5\.png"):
        brain.learn(folder)
    with pytest.raises(InputError):
        brain.learn([folder / "missing.png"], "x")
    with pytest.raises(InputError):
        brain.learn([[1.0, 2.0]], "x")
    assert brain.digest() == before


def test_vectors_come_from_files_too(tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (6, 3)).round(3)
    np.save(tmp_path / "x.npy", x)
    lines = ["a,b,label,c", *(f"{a},{b},{kind},{c}" for (a, b, c), kind in zip(x, "uuvvuv", strict=True))]
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "bare.csv").write_text("\n".join(",".join(map(str, row)) for row in x))
    one, two, three = Brain(), Brain(), Brain()
    one.learn(x, list("uuvvuv"))
    two.learn(tmp_path / "x.csv")
    three.learn([tmp_path / "bare.csv"], list("uuvvuv"))
    assert one.digest() == two.digest() == three.digest()
    assert one.predict(tmp_path / "x.npy").best == one.predict(x).best
    assert read_table(tmp_path / "x.csv").sources[1] == f"{tmp_path / 'x.csv'}:2"


LONG = pytest.param("1," + "9" * 200_000, id="long")


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n3\n", "a,b\n1,x\n2,3\n", "a,label\n1\n", "1,nan\n", LONG])
def test_tables_that_are_no_rectangle_of_numbers_are_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises((InputError, LabelError), match=r"t\.csv|column 'b'"):
        Brain().learn(tmp_path / "t.csv", "x")


def test_a_table_that_claims_more_than_there_can_be_is_refused_by_name(tmp_path: Path) -> None:
    with (tmp_path / "t.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**15, 2)})
    with pytest.raises(InputError, match=r"t\.npy"):
        Brain().learn(tmp_path / "t.npy", "x")


def test_files_of_pickled_objects_are_not_opened(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "t.npy").write_bytes(buffer.getvalue())
    with pytest.raises(InputError):
        Brain().learn(tmp_path / "t.npy", "x")
    (tmp_path / "u.npy").write_bytes(b"\x93NUMPY\x01")
    with pytest.raises(InputError):
        Brain().learn(tmp_path / "u.npy", "x")


def test_a_brain_without_a_backbone_decides_by_the_first_inputs(folder: Path) -> None:
    assert default_bundle(folder).takes == default_bundle([picture("red", 0)]).takes == "pictures"
    assert default_bundle(np.zeros((2, 8, 8), np.uint8)).takes == "pictures"
    assert default_bundle([np.zeros((8, 8), np.uint8), np.zeros((9, 7, 3), np.uint8)]).takes == "pictures"
    assert default_bundle([[1.0, 2.0]]).takes == "vectors"
    with pytest.raises(InputError, match=r"one grey picture or 28 vectors: .*\[array\].*astype\(float\)"):
        Brain().learn(np.zeros((28, 28), np.uint8), "digit")
    for nothing in ("", [], None, 3.0, np.zeros((2, 3, 4)), object()):
        with pytest.raises(InputError):
            Brain().learn(nothing, "x")
    brain = Brain()
    assert brain.predict([[1.0, 2.0]]).labels == [None]
    assert brain.bundle is None  # asking decides nothing


def test_backbones_are_given_as_bundles_backbones_or_names(tmp_path: Path) -> None:
    assert as_bundle("descriptor").name == "descriptor"
    stands_in = "efficientnet-lite0" if installed("photos") else "photos"
    assert as_bundle(stands_in).fingerprint == default_bundle([picture("red", 0)]).fingerprint
    bundle = Bundle.of_vectors(3, largest=100)
    bundle.save(tmp_path / "mine")
    assert as_bundle(str(tmp_path / "mine")).fingerprint == as_bundle(bundle).fingerprint == bundle.fingerprint
    assert not as_bundle(VectorBackbone(3)).normalise
    for wrong in (3, np.zeros(3), "no such backbone"):
        with pytest.raises((InputError, DamagedError)):
            Brain(wrong)
    brain = Brain(bundle)
    brain.learn([[90.0, -50.0, 3.0]], "far")
    with pytest.raises(InputError, match=r"column 1: 9e\+12 is outside -2\.1\d*e\+08 to 2\.1\d*e\+08.*\.of_vectors"):
        brain.learn([[9e12, 0.0, 0.0]], "further")


def test_text_backbones_take_strings_as_texts() -> None:
    texts = gather(["a cat", "a dog"], "text")
    assert texts.items == ["a cat", "a dog"]
    assert gather("one text", "text").items == ["one text"]
    for bad in ([], None, 3, b"a cat", ["a cat", 3]):
        with pytest.raises(InputError):
            gather(bad, "text")


def test_a_picture_that_is_not_there_is_said_so_before_its_label_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No picture at .*nosuch: no such file"):
        Brain().learn(str(tmp_path / "nosuch"))


def test_a_brain_shows_how_much_it_knows_and_what_it_stands_on() -> None:
    brain = Brain()
    assert repr(brain) == "<Brain of 0 labels on nothing yet>"
    brain.learn([[1.0, 0.0], [0.0, 1.0]], ["right", "up"])
    assert repr(brain) == "<Brain of 2 labels on 'vectors'>"


def test_a_brain_is_copied_by_its_folder_not_as_an_object() -> None:
    brain = Brain()
    brain.learn([[1.0, 0.0]], "right")
    for made in (brain, MultimodalBrain()):
        for copied in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(InputError, match=r"brain\.save\(FOLDER\).*Brain\.open\(FOLDER\)"):
                copied(made)


def test_a_text_too_long_for_a_name_is_a_text_and_no_backbone() -> None:
    long = "donaudampfschiff" * 40
    brain = Brain("hashed-ngrams")
    brain.learn([long, "a short text"], ["long", "short"])
    assert brain.predict(long).best == ["long"]
    assert default_bundle(long).takes == "text"
    with pytest.raises(InputError, match="No backbone"):
        Brain(long)


def test_among_is_a_list_of_labels() -> None:
    brain = Brain()
    brain.learn([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], ["c", "a", "t"])
    brain.publish()
    for ask in (brain, brain.view):
        with pytest.raises(LabelError, match=r"among=\['cat'\]"):
            ask.predict([[1.0, 0.0]], among="cat")
    assert brain.predict([[1.0, 0.0]], among=("a", "t")).candidates == ("a", "t")
