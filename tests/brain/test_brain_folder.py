"""A brain's folder: whole or not at all, whatever fails while saving; and nothing damaged is ever opened."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engram.brain import Brain, meld
from engram.learner import DamagedError, EngramError, InputError
from engram.store import files as store_files
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
    assert {**opened.info(), "memory_bytes": 0} == {**brain.info(), "memory_bytes": 0}
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
    kinds = {path.suffix for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"}
    assert kinds == {".json", ".safetensors"}


def test_files_that_no_longer_belong_to_it_are_swept_away_and_others_left_alone(tmp_path: Path) -> None:
    brain = first()
    brain.save(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    second(brain).save(tmp_path)
    named = json.loads((tmp_path / "manifest.json").read_text())["files"]
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*named, "manifest.json", "notes.txt", ".lock"}


def test_a_brain_changed_by_another_program_is_not_overwritten(tmp_path: Path) -> None:
    first().save(tmp_path)
    one, other = Brain.open(tmp_path), Brain.open(tmp_path)
    second(one).save(tmp_path)
    other.learn(X[:1], "elk")
    with pytest.raises(EngramError, match="changed by another program"):
        other.save(tmp_path)
    assert "owl" in Brain.open(tmp_path).labels
    one.learn(X[:1], "elk")
    one.save(tmp_path)


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


@pytest.mark.parametrize("halves", [False, True])
def test_whatever_operation_fails_the_old_brain_or_the_new_one_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, halves: bool
) -> None:
    old = first()
    old.save(tmp_path / "old")
    digest, new_digest = old.digest(), second(Brain.open(tmp_path / "old")).digest()
    outcomes = []
    for at in range(200):
        folder = tmp_path / str(at)
        shutil.copytree(tmp_path / "old", folder)
        brain = second(Brain.open(folder))
        with monkeypatch.context() as patch:
            count = breaking(patch, at, halves)
            try:
                brain.save(folder)
            except Breakdown:
                done = False
            else:
                done = True
        found = Brain.open(folder)
        assert found.digest() == (new_digest if done else found.digest())
        assert found.digest() in (digest, new_digest)
        outcomes.append(found.digest() == new_digest)
        if done:
            break
        if found.digest() == digest:  # and saving again, on a disk that works, succeeds
            brain.save(folder)
            assert Brain.open(folder).digest() == new_digest
        shutil.rmtree(folder)
    assert done
    assert count() == at > 10
    assert outcomes == sorted(outcomes)
    assert not outcomes[0]


def test_a_first_save_that_fails_leaves_no_brain_that_could_be_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(3, 12, 2):
        brain = first()
        with monkeypatch.context() as patch:
            breaking(patch, at, halves=True)
            with pytest.raises(Breakdown):
                brain.save(tmp_path / str(at))
        with pytest.raises(DamagedError, match="never completely saved"):
            Brain.open(tmp_path / str(at))
        first().save(tmp_path / str(at))
        Brain.open(tmp_path / str(at))


KILLED = """
import os, sys
from engram.brain import Brain
import numpy as np
path = sys.argv[1]
brain = Brain.open(path)
print("ready", flush=True)
for i in range(10_000):
    brain.learn(np.random.default_rng(i).uniform(-1, 1, (3, 4)), "more")
    brain.save(path)
    print(brain.digest(), flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize("after", [1, 4])
def test_a_program_killed_while_saving_loses_nothing_it_acknowledged(tmp_path: Path, after: int) -> None:
    first().save(tmp_path)
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(after + 1)][-1]
        process.send_signal(signal.SIGKILL)
        acknowledged = ([acknowledged, *process.stdout.read().split()])[-1]
    found = Brain.open(tmp_path)
    held = found.info()["examples"] - first().info()["examples"]
    again = Brain.open(tmp_path)
    for i in range(held // 3):
        again.forget(np.random.default_rng(i).uniform(-1, 1, (3, 4)), "more")
    assert again.digest() == first().digest()  # exactly the first so many portions
    assert held // 3 >= after
    if found.digest() != acknowledged:  # it was killed after a save and before it said so
        found.forget(np.random.default_rng(held // 3 - 1).uniform(-1, 1, (3, 4)), "more")
        assert found.digest() == acknowledged


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


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_altered_or_missing_byte_is_noticed(saved: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(files(saved)))
    whole = path.read_bytes()
    how = data.draw(st.sampled_from(["flip", "cut", "longer", "empty", "gone", "swap"]))
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.sampled_from([file for file in files(saved) if file != path])).read_bytes()
    flipped = whole[:place] + bytes([whole[place] ^ (1 << data.draw(st.integers(0, 7)))]) + whole[place + 1 :]
    damaged = {"flip": flipped, "cut": whole[:place], "longer": whole + b"x", "empty": b"", "swap": other}
    try:
        path.write_bytes(damaged[how]) if how != "gone" else path.unlink()
        with pytest.raises(DamagedError):
            Brain.open(saved)
    finally:
        path.write_bytes(whole)
    Brain.open(saved)


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
        ({"digest": "0" * 64}, "manifest describes"),
        ({"fingerprint": "0" * 64}, "manifest describes"),
        ({"files": {}}, "complete"),
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


def test_a_folder_that_went_away_is_never_saved_without_what_lay_in_it(tmp_path: Path) -> None:
    first().save(tmp_path / "brain")
    read, unread = Brain.open(tmp_path / "brain"), Brain.open(tmp_path / "brain")
    read.forget(X[10], "dog")  # reads the other devices' contributions
    shutil.rmtree(tmp_path / "brain")
    with pytest.raises(DamagedError, match=r"missing|contribution"):
        unread.save(tmp_path / "brain")
    read.save(tmp_path / "brain")
    assert Brain.open(tmp_path / "brain").digest() == read.digest()


def test_another_programs_manifest_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "a web page"}')
    with pytest.raises(InputError, match="belongs to something else"):
        first().save(tmp_path)
    assert (tmp_path / "manifest.json").read_text() == '{"name": "a web page"}'


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices are those of POSIX")
@pytest.mark.parametrize("kind", ["manifest", "snapshot", "slot", "bundle"])
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
