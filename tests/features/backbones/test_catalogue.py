"""Bundles by name: listed, imported, inspected, measured on pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_network import small_network

from engram.extras import installed
from engram.features.backbones import BACKBONES, bundle_folder, catalogue
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.onnx import OnnxBackbone
from engram.features.backbones.preprocessing import DIGITS
from engram.features.cores import CORES
from engram.learner import DamagedError, InputError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENGRAM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def network_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.onnx"
    path.write_bytes(small_network())
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for label, low in (("dark", 0), ("light", 128)):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for i in range(5):
            pixels = rng.integers(low, low + 128, (9, 9), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / label / f"{i}.png")
    return tmp_path / "pictures"


def test_an_imported_network_opens_by_its_name(network_file: Path, home: Path) -> None:
    imported = catalogue.import_file(network_file, preprocessing=DIGITS, cut="pooled")
    opened = Bundle.named("small")
    assert (opened.fingerprint, opened.name, opened.width) == (imported.fingerprint, "small", 4)
    assert bundle_folder.folder_of("small") == home / "backbones/small"
    assert bundle_folder.folder_of(home / "backbones/small") == home / "backbones/small"


def test_making_measures_what_the_folder_shows(network_file: Path, pictures: Path) -> None:
    catalogue.import_file(network_file, preprocessing=DIGITS)
    seen: list[tuple[int, int | None]] = []
    made = catalogue.make("small", pictures, "shades", progress=lambda done, total: seen.append((done, total)))
    paths = sorted(pictures.glob("*/*.png"))
    direct = Bundle.measure(OnnxBackbone(small_network(), DIGITS), paths, [p.parent.name for p in paths])
    assert made.fingerprint == direct.fingerprint == Bundle.named("shades").fingerprint
    assert Bundle.named("shades").name == "shades"
    assert Bundle.named("small").covariance is None
    assert seen[-1] == (10, 10)


def test_a_name_is_replaced_only_when_asked(network_file: Path, pictures: Path) -> None:
    catalogue.import_file(network_file, preprocessing=DIGITS)
    with pytest.raises(InputError, match="exists"):
        catalogue.import_file(network_file, preprocessing=DIGITS)
    with pytest.raises(InputError, match="--overwrite"):
        catalogue.make("small", pictures)
    catalogue.import_file(network_file, preprocessing=DIGITS, cut="pooled", overwrite=True)
    assert Bundle.named("small").width == 4
    catalogue.make("small", pictures, overwrite=True)
    assert Bundle.named("small").covariance is not None


def test_inspecting_verifies_and_tells_all_as_json(network_file: Path, pictures: Path, home: Path) -> None:
    catalogue.import_file(network_file, preprocessing=DIGITS, cut="pooled")
    before = catalogue.inspect("small")
    made = catalogue.make("small", pictures, overwrite=True)
    after = json.loads(json.dumps(catalogue.inspect("small")))
    assert (before["measured"], before["covariance"]) == (False, False)
    assert (after["measured"], after["covariance"], after["width"]) == (True, True, 4)
    assert (after["fingerprint"], after["kind"]) == (made.fingerprint, "onnx")
    assert after["config"]["cut"] == "pooled"
    (home / "backbones/small/network.onnx").write_bytes(b"")
    with pytest.raises(DamagedError):
        catalogue.inspect("small")


def test_the_listing_shows_the_users_and_the_packaged_and_names_what_is_damaged(
    network_file: Path, home: Path
) -> None:
    for name in ("b", "a", "broken"):
        catalogue.import_file(network_file, name, preprocessing=DIGITS)
    (home / "backbones/broken/bundle.json").write_text("{}")
    (home / "backbones/.b.half").mkdir()
    lines = {line["name"]: line for line in catalogue.listing()}
    assert list(lines) == sorted(lines)
    assert {"a", "b", "broken"} <= set(lines)
    assert "not the record" in lines["broken"]["problem"]
    assert lines["a"]["origin"] == "yours"
    packaged = {p.parent.name for p in bundle_folder.packaged_folder().glob("*/bundle.json")}
    assert {name for name, line in lines.items() if line["origin"] == "packaged"} == packaged


def test_packaged_bundles_open_and_are_hidden_by_the_users_own(network_file: Path) -> None:
    for entry in bundle_folder.entries():
        assert Bundle.named(entry.name).fingerprint == catalogue.inspect(entry.name)["fingerprint"]
        mine = catalogue.import_file(network_file, entry.name, preprocessing=DIGITS)
        assert Bundle.named(entry.name).fingerprint == mine.fingerprint


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "../up", "a b", "x" * 65, "-o", "ä"])
def test_names_that_are_no_folders_are_refused(network_file: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be a name"):
        catalogue.import_file(network_file, name, preprocessing=DIGITS)


def test_what_cannot_be_found_imported_or_measured_is_said(network_file: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No backbone 'nothing'.*import"):
        Bundle.named("nothing")
    other = tmp_path / "network.pt"
    other.write_bytes(b"")
    with pytest.raises(InputError, match=r"neither \.onnx nor \.npz"):
        catalogue.import_file(other)
    with pytest.raises(InputError, match="their own preprocessing"):
        catalogue.import_file(tmp_path / "w.npz", preprocessing=DIGITS)
    catalogue.import_file(network_file, preprocessing=DIGITS)
    with pytest.raises(InputError, match="no folder per class"):
        catalogue.make("small", pictures / "dark", "x")
    assert not (bundle_folder.user_folder() / "x").exists()


@pytest.mark.parametrize("kind", BACKBONES)
def test_every_kind_in_the_table_is_there_and_calls_itself_so(kind: str) -> None:
    if not all(installed(extra) for extra in BACKBONES[kind].needs):
        pytest.skip(f"needs the extra {BACKBONES[kind].needs}")
    found = BACKBONES.load(kind)
    if kind in CORES:  # a backbone of sequences on this core
        assert (found.kind, BACKBONES[kind].settings) == ("sequence", {"core": kind})
        return
    assert found.kind == kind if isinstance(found, type) else found().name == kind


@pytest.mark.parametrize("name", [name for name, row in BACKBONES.items() if row.ready])
def test_a_backbone_that_needs_no_file_is_listed_and_says_what_it_takes(name: str) -> None:
    if not all(installed(extra) for extra in BACKBONES[name].needs):
        pytest.skip(f"needs the extra {BACKBONES[name].needs}")
    bundle = catalogue.bundle_of(name)
    assert (bundle.takes,) == BACKBONES[name].takes
    line = next(line for line in catalogue.listing() if line["name"] == name)
    told = {"name": name, "origin": "built in", "folder": None, "kind": name, "takes": bundle.takes}
    assert {key: line[key] for key in told} == told


def test_a_saved_bundle_says_what_it_takes(network_file: Path) -> None:
    catalogue.import_file(network_file, "seen", preprocessing=DIGITS)
    Bundle.of_vectors(3).save(bundle_folder.user_folder() / "read")
    takes = {line["name"]: line["takes"] for line in catalogue.listing()}
    assert (takes["seen"], takes["read"], takes["photos"]) == ("pictures", "vectors", "pictures")
