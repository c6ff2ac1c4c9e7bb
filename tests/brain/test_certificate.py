"""Certificates: verified by their own script alone; whatever number is tampered with, it fails."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.brain import Brain, certificate, meld
from engram.brain.certificate import prove_forgotten, prove_meld
from engram.learner import InputError, LabelError, MeldError

DOCS = Path(__file__).parents[2] / "docs" / "verify_certificate.py"
X = np.random.default_rng(0).uniform(-1, 1, (12, 3))


def verified(folder: Path, *more: Path) -> bool:
    """Run the script as anybody would, in an isolated Python that cannot import what is around here."""
    command = [sys.executable, "-I", str(folder / "verify_certificate.py"), str(folder), *map(str, more)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ("FAIL" in done.stdout or "Error" in done.stderr) == (done.returncode != 0)
    return done.returncode == 0


def brains() -> tuple[Brain, Brain, Brain]:
    a, b = Brain(), Brain()
    a.learn(X[:6], ["cat", "dog"] * 3)
    b.learn(X[6:], ["dog", "fox"] * 3)
    return a, b, meld(a, b)


def melded(folder: Path) -> dict[str, Any]:
    a, b, both = brains()
    return prove_meld(both, {"A": a, "B": b}, folder)


def test_the_script_is_short_needs_numpy_alone_and_is_the_one_in_the_docs() -> None:
    text = DOCS.read_text()
    assert len(text.splitlines()) <= 70
    assert "engram" not in text
    imports = {line for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert {line.split("  #")[0] for line in imports} == {
        "import hashlib, json, sys", "from pathlib import Path", "import numpy as np"
    }
    assert Path(certificate.__file__).with_name("verify_certificate.txt").read_text() == text


def test_a_meld_is_proven_and_says_what_info_says(tmp_path: Path) -> None:
    a, b, both = brains()
    said = prove_meld(both, {"A": a, "B": b}, tmp_path / "c")
    assert verified(tmp_path / "c")
    digests = {claim["digest"] for claim in said["sums"]}
    assert digests == {brain.info()["digest"] for brain in (a, b, both)}
    assert said["fingerprint"] == both.info()["fingerprint"]


def test_int_labels_and_melds_of_melds_are_proven(tmp_path: Path) -> None:
    parts = [Brain() for _ in range(3)]
    for i, part in enumerate(parts):
        part.learn(X[3 * i : 3 * i + 3], [10, 9, i])
    inner = meld(parts[0], parts[1])
    prove_meld(meld(inner, parts[2]), {"inner": inner, "last": parts[2]}, tmp_path / "c")
    assert verified(tmp_path / "c")


def test_a_part_that_went_on_is_not_proven(tmp_path: Path) -> None:
    a, b, both = brains()
    a.learn(X[:1], "owl")
    with pytest.raises(MeldError, match="meld it again"):
        prove_meld(both, {"A": a, "B": b}, tmp_path / "c")


def forgotten(tmp_path: Path) -> tuple[Path, Path]:
    _, _, both = brains()
    both.forget(X[[0, 7]], ["cat", "fox"])
    folder, keep = tmp_path / "c", tmp_path / "kept.npy"
    prove_forgotten(both, folder, examples=X[[0, 7]], labels=["cat", "fox"], keep=keep)
    return folder, keep


def test_forgotten_examples_are_proven_and_with_them_the_state_before(tmp_path: Path) -> None:
    folder, keep = forgotten(tmp_path)
    assert verified(folder)
    assert verified(folder, keep)
    rows = np.load(keep)
    for wrong in (rows[::-1], rows[:1], rows + 1):
        np.save(tmp_path / "wrong.npy", wrong)
        assert not verified(folder, tmp_path / "wrong.npy")


def test_a_certificate_of_forgetting_does_not_hold_the_example(tmp_path: Path) -> None:
    folder, keep = forgotten(tmp_path)
    before = [path.read_bytes() for path in folder.iterdir()]
    for row in np.load(keep):
        for kind in ("<i2", "<i8", "<f8"):
            assert not any(row.astype(kind).tobytes() in content for content in before)
    _, _, both = brains()
    both.forget(X[0], "cat")
    with pytest.raises(InputError, match="outside"):
        prove_forgotten(both, tmp_path / "d", examples=X[:1], labels="cat", keep=tmp_path / "d" / "kept.npy")


def test_forgetting_is_proven_after_learning_on_but_not_the_state_before(tmp_path: Path) -> None:
    _, _, both = brains()
    both.forget(X[0], "cat")
    both.learn(X[0] / 2, "cat")
    prove_forgotten(both, tmp_path / "c", examples=X[:1], labels="cat")
    assert verified(tmp_path / "c")
    with pytest.raises(InputError, match="before"):
        prove_forgotten(both, tmp_path / "d", examples=X[:1], labels="cat", keep=tmp_path / "kept.npy")


def test_a_forgotten_label_is_proven(tmp_path: Path) -> None:
    _, _, both = brains()
    with pytest.raises(InputError, match="still known"):
        prove_forgotten(both, tmp_path / "c", label="dog")
    both.forget(label="dog")
    prove_forgotten(both, tmp_path / "c", label="dog")
    assert verified(tmp_path / "c")


def test_what_is_still_held_is_not_proven_gone(tmp_path: Path) -> None:
    _, _, both = brains()
    with pytest.raises(InputError, match="still held"):
        prove_forgotten(both, tmp_path / "c", examples=X[:1], labels="cat")
    with pytest.raises(InputError, match="what was forgotten"):
        prove_forgotten(both, tmp_path / "c")


def test_an_empty_brain_proves_that_all_is_forgotten(tmp_path: Path) -> None:
    brain = Brain()
    brain.learn(X[:1], "cat")
    brain.forget(X[0], "cat")
    prove_forgotten(brain, tmp_path / "c", examples=X[:1], labels="cat", keep=tmp_path / "kept.npy")
    assert verified(tmp_path / "c", tmp_path / "kept.npy")


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        melded(tmp_path)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every number, text and flag in a JSON value."""
    if isinstance(value, dict):
        return [place for key, part in value.items() for place in places(part, (*path, key))]
    if isinstance(value, list):
        return [place for i, part in enumerate(value) for place in places(part, (*path, i))]
    return [path]


def tampered(said: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    """The certificate with one value changed."""
    copy = json.loads(json.dumps(said))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    old = inner[path[-1]]
    inner[path[-1]] = old + 1 if isinstance(old, int) else "f" + str(old)[1:] if old != "f" else "e"
    return copy if copy != said else {**copy, "more": 1}


def sealed(said: dict[str, Any]) -> dict[str, Any]:
    """With a checksum that fits again."""
    rest = {key: value for key, value in said.items() if key != "sha256"}
    return {**rest, "sha256": hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()}


def test_tampering_with_any_value_in_the_certificate_is_found(tmp_path: Path) -> None:
    folder, _ = forgotten(tmp_path)
    said = json.loads((folder / "certificate.json").read_text())
    for path in places(said)[:: max(1, len(places(said)) // 10)]:
        (folder / "certificate.json").write_text(json.dumps(tampered(said, path)))
        assert not verified(folder), path


@pytest.mark.parametrize("path", [
    ("sums", 0, "digest"), ("sums", 1, "of", 0), ("states", 0, "counts", 0), ("states", 1, "labels", 0),
])
def test_a_new_checksum_does_not_make_a_false_sum_true(tmp_path: Path, path: tuple[Any, ...]) -> None:
    said = json.loads(json.dumps(melded(tmp_path)))
    if path[0] == "states":
        path = ("states", list(said["states"])[path[1]], *path[2:])
    (tmp_path / "certificate.json").write_text(json.dumps(sealed(tampered(said, path))))
    assert not verified(tmp_path)


@pytest.mark.parametrize("place", [0, -1])
def test_tampering_with_a_sum_is_found_whatever_checksums_are_made_to_fit(tmp_path: Path, place: int) -> None:
    said = melded(tmp_path / "c")
    for name, state in said["states"].items():
        for file in state["files"]:
            shutil.copytree(tmp_path / "c", tmp_path / "t")
            array = np.load(tmp_path / "t" / file)
            array.flat[place] += 1
            np.save(tmp_path / "t" / file, array)
            assert not verified(tmp_path / "t")
            forged = json.loads(json.dumps(said))
            content = (tmp_path / "t" / file).read_bytes()
            forged["states"][name]["files"][file] = hashlib.sha256(content).hexdigest()
            (tmp_path / "t" / "certificate.json").write_text(json.dumps(sealed(forged)))
            assert not verified(tmp_path / "t")
            shutil.rmtree(tmp_path / "t")


def test_claiming_a_held_example_gone_is_found(tmp_path: Path) -> None:
    folder, _ = forgotten(tmp_path)
    said = json.loads((folder / "certificate.json").read_text())
    held = said["forgotten"]["receipts"][0][1]
    said["forgotten"]["examples"] = [held]
    (folder / "certificate.json").write_text(json.dumps(sealed(said)))
    assert not verified(folder)
    said["forgotten"]["receipts"][0].remove(held)  # hiding its receipt leaves an example without one
    (folder / "certificate.json").write_text(json.dumps(sealed(said)))
    assert not verified(folder)


def test_labels_of_a_certificate_are_checked_like_those_that_are_taught(tmp_path: Path) -> None:
    numbers = Brain()
    numbers.learn(X[:6], [1, 2] * 3)
    numbers.forget(X[:2], np.array([1, 2]))
    for wrong in ([1], ["1", "2"], [1.5, 2]):
        with pytest.raises(LabelError):
            prove_forgotten(numbers, tmp_path / "c", examples=X[:2], labels=wrong)
    assert not (tmp_path / "c").exists()
    prove_forgotten(numbers, tmp_path / "c", examples=X[:2], labels=np.array([1, 2]), keep=tmp_path / "kept.npy")
    assert verified(tmp_path / "c", tmp_path / "kept.npy")
