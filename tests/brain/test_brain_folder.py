"""A brain's folder: whole or not at all, whatever fails while saving; and nothing damaged is ever opened."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engram import files as store_files
from engram.brain import Brain, meld
from engram.learner import DamagedError, EngramError, InputError
from engram.store import folder as store_folder

X = np.random.default_rng(0).uniform(-1, 1, (30, 4))


def first() -> Brain:
    a, b = Brain(), Brain()
    a.learn(X[:10], ["cat", "dog"] * 5)
    b.learn(X[10:20], ["dog", "fox"] * 5)
    together = meld(a, b)
    together.forget(X[0], "cat")
    together.rename("fox", "vulpes")
    together.predict(10 * X[20:22] / 2, remember=True)
    return together


def second(brain: Brain) -> Brain:
    """The same brain, further on: it forgot a device's example, so every file of the folder changes."""
    brain.learn(X[20:], "owl")
    brain.forget(X[10], "dog")
    return brain


def test_what_was_saved_is_opened_and_goes_on_alike(tmp_path: Path) -> None:
    brain = first()
    brain.save(tmp_path / "brain")
    opened = Brain.open(tmp_path / "brain")
    elsewhere = {"memory_bytes": 0, "seq": 0}
    assert {**opened.info(), **elsewhere} == {**brain.info(), **elsewhere}
    assert np.allclose(opened.predict(X).scores, brain.predict(X).scores, atol=1e-9)
    assert [group.members for group in opened.unknown_groups()] == [g.members for g in brain.unknown_groups()]
    assert second(opened).digest() == second(brain).digest()


def test_other_devices_contributions_stay_on_disk_until_they_are_needed(tmp_path: Path) -> None:
    first().save(tmp_path)
    opened = Brain.open(tmp_path)
    opened.learn(X[:1], "elk")
    opened.save(tmp_path)
    assert not any(callable(slot._contents) for slot in opened.slots()[:1])
    assert all(callable(slot._contents) for slot in opened.slots()[1:])
    opened.save(tmp_path / "elsewhere")
    assert meld(Brain.open(tmp_path / "elsewhere")).digest() == opened.digest() == meld(opened).digest()


def test_an_untaught_brain_is_saved_too(tmp_path: Path) -> None:
    Brain().save(tmp_path / "brain")
    opened = Brain.open(tmp_path / "brain")
    assert opened.bundle is None
    assert opened.predict(X).labels == [None] * 30


def test_a_saved_brain_opens_elsewhere(tmp_path: Path) -> None:
    brain = first()
    brain.save(tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert Brain.open(tmp_path / "there").digest() == brain.digest()


def test_there_is_no_pickle_in_a_brain(tmp_path: Path) -> None:
    first().save(tmp_path)
    kinds = {path.suffix for path in tmp_path.rglob("*") if path.is_file()} - {".lock", ""}
    assert kinds == {".json", ".safetensors", ".sqlite", ".mark"}


def test_files_that_no_longer_belong_to_it_are_swept_away_and_others_left_alone(tmp_path: Path) -> None:
    brain = first()
    brain.save(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    second(brain).save(tmp_path)
    named = json.loads((tmp_path / "manifest.json").read_text())["files"]
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    log = {"log.sqlite", "log.mark", "writer.lock", ".lock"}
    assert left == {*named, *log, "manifest.json", "notes.txt"}


class Breakdown(OSError):
    """The disk gives up."""


CALLS = ("open", "write", "fsync", "replace")


def breaking(monkeypatch: pytest.MonkeyPatch, at: int, halves: bool) -> Callable[[], int]:
    """Make the `at`-th of all disk operations fail, and all after it; a failing write may write half."""
    count = 0

    def wrap(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*args: Any) -> Any:
            nonlocal count
            count += 1
            if count > at:
                if name == "write" and halves and count == at + 1:
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                raise Breakdown(f"{name} failed")
            return real(*args)

        return call

    class Disk:
        def __getattr__(self, name: str) -> Any:
            return wrap(name) if name in CALLS else getattr(os, name)

    monkeypatch.setattr(store_files, "os", Disk())
    return lambda: count


def test_a_first_save_that_fails_leaves_no_brain_that_could_be_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(0, 40, 3):
        brain, folder = first(), tmp_path / str(at)
        before = brain.digest(), brain.seq
        with monkeypatch.context() as patch:
            breaking(patch, at, halves=True)
            try:
                brain.save(folder)
            except Breakdown:
                assert not folder.exists()
        assert (brain.digest(), brain.seq) == before
        if not folder.exists():
            brain.save(folder)
        assert Brain.open(folder).digest() == brain.digest()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "brain"
    first().save(folder)
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def contributions(brain: Brain) -> list[str]:
    """What each device contributed; reads the files that opening leaves unread."""
    return sorted(slot.head.digest() for slot in brain.slots())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_altered_or_missing_byte_never_makes_another_brain(saved: Path, data: st.DataObject) -> None:
    path, intact = data.draw(st.sampled_from(files(saved))), first()
    whole = path.read_bytes()
    how = data.draw(st.sampled_from(["flip", "cut", "longer", "empty", "gone", "swap"]))
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.sampled_from([file for file in files(saved) if file != path])).read_bytes()
    flipped = whole[:place] + bytes([whole[place] ^ (1 << data.draw(st.integers(0, 7)))]) + whole[place + 1 :]
    damaged = {"flip": flipped, "cut": whole[:place], "longer": whole + b"x", "empty": b"", "swap": other}
    with tempfile.TemporaryDirectory() as place_for_it:
        folder = Path(shutil.copytree(saved, Path(place_for_it) / "brain"))
        file = folder / path.relative_to(saved)
        file.write_bytes(damaged[how]) if how != "gone" else file.unlink()
        try:
            with Brain.open(folder) as brain:
                assert brain.digest() == intact.digest()
                assert brain.predict(X).labels == intact.predict(X).labels
                assert contributions(brain) == contributions(intact)
        except DamagedError:
            assert path.name not in ("log.mark", "writer.lock", ".lock")


def rewrite(folder: Path, **changes: Any) -> None:
    """The manifest with other values, under a checksum that fits: what a foreign or later program might write."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["checksum"]
    (folder / "manifest.json").write_bytes(store_folder._packed({**manifest, **changes}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 3}, "later version"),
        ({"version": "1"}, "later version"),
        ({"format": "something"}, "does not describe a brain"),
        ({"fingerprint": "0" * 64}, "another backbone"),
        ({"files": {}}, "bundle"),
        ({"files": {"../../etc/passwd": {"sha256": "0", "bytes": 1}}}, "altered"),
        ({"files": {"bundle-0123456789abcdef/../../x": {"sha256": "0", "bytes": 1}}}, "altered"),
        ({"files": 3}, "cannot be read: restore the folder from a copy"),
    ],
)
def test_foreign_and_later_manifests_are_refused(copy: Path, changes: dict[str, Any], said: str) -> None:
    rewrite(copy, **changes)
    with pytest.raises(DamagedError, match=said):
        Brain.open(copy)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "[" * 5000, '{"format": "engram-brain"}', "\x00\xff"])
def test_other_files_called_manifest_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DamagedError):
        Brain.open(tmp_path)


def test_no_folder_and_an_empty_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No brain"):
        Brain.open(tmp_path / "nowhere")
    with pytest.raises(DamagedError, match="not a brain"):
        Brain.open(tmp_path)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_state_whose_arrays_do_not_fit_is_refused_whole(data: st.DataObject) -> None:
    state = first().state()
    name = data.draw(st.sampled_from(sorted(state)))
    how = data.draw(st.sampled_from(["gone", "shorter"]))
    if how == "gone":
        del state[name]
    else:
        state[name] = state[name][:-1] if len(state[name]) else np.ones((3, 3), np.float32)
    try:
        brain = Brain.from_state(state)
    except DamagedError:
        return
    assert name.endswith(".spread") or brain.digest() == first().digest()


@pytest.mark.parametrize("devices", [("line", "line-2"), ("my laptop", "Küche"), ("lab/7", "../up"), (".", "x" * 300)])
def test_a_device_may_be_called_anything(tmp_path: Path, devices: tuple[str, str]) -> None:
    parts = [Brain(device=device) for device in (*devices, "here")]
    for i, part in enumerate(parts):
        part.learn(X[i], "cat")
    together = meld(*parts)
    together.save(tmp_path / "brain")
    assert Brain.open(tmp_path / "brain").digest() == together.digest()
    assert [entry.name for entry in tmp_path.iterdir()] == ["brain"]


def test_an_id_is_a_text() -> None:
    for device in ("", 7):
        with pytest.raises(InputError, match="id of this brain"):
            Brain(device=device)  # type: ignore[arg-type]


def test_a_folder_that_went_away_is_told_and_the_brain_can_be_saved_elsewhere(tmp_path: Path) -> None:
    first().save(tmp_path / "brain")
    brain = Brain.open(tmp_path / "brain")
    shutil.rmtree(tmp_path / "brain")
    with pytest.raises((DamagedError, OSError, InputError)):
        brain.learn(X[:1], "elk")
    assert "elk" not in brain.labels


def test_another_programs_manifest_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "a web page"}')
    with pytest.raises(EngramError):
        first().save(tmp_path)
    assert (tmp_path / "manifest.json").read_text() == '{"name": "a web page"}'


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices are those of POSIX")
@pytest.mark.parametrize("kind", ["manifest", "log.sqlite", "bundle"])
def test_pipes_and_devices_in_a_folder_are_not_read(tmp_path: Path, kind: str) -> None:
    first().save(tmp_path)
    files = [path for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    file = next(path for path in files if kind in f"{path.parent.name} {path.name}")
    file.unlink()
    file.symlink_to("/dev/zero")
    with pytest.raises(DamagedError):
        Brain.open(tmp_path)


def test_a_brain_saved_while_it_is_opened_is_opened_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brain = first()
    brain.save(tmp_path)
    manifest = store_folder.Folder.manifest

    def saved_meanwhile(self: store_folder.Folder) -> dict[str, Any]:
        found = manifest(self)
        monkeypatch.undo()
        second(brain).save(tmp_path)
        return found

    monkeypatch.setattr(store_folder.Folder, "manifest", saved_meanwhile)
    assert Brain.open(tmp_path).digest() == brain.digest()
