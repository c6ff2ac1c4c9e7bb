"""Durable: a learner of any kind keeps its laws, survives being killed, and is what it was where the disk fails."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.checks import Check, learner_checks
from engram.heads.fast import FastHead
from engram.heads.nearest_class_mean import NearestClassMean
from engram.heads.online_prototypes import OnlinePrototypes
from engram.learner import (
    Bounded,
    DamagedError,
    Digests,
    Forgets,
    InputError,
    LabelError,
    MeldError,
    Melds,
    NotTaughtError,
    Saves,
)
from engram.store.durable import Durable

X = np.random.default_rng(0).uniform(-1, 1, (60, 5))
LABELS = ["cat", "dog", "fox"] * 20


@pytest.fixture
def folders() -> Iterator[Path]:
    base = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    yield base
    shutil.rmtree(base)


@pytest.mark.parametrize("kind", [FastHead, OnlinePrototypes], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("check", learner_checks(), ids=str)
def test_a_durable_learner_keeps_the_laws(check: Check, kind: type[Any], folders: Path) -> None:
    made: list[Durable] = []

    def make() -> Durable:
        made.append(Durable.create(folders / str(len(made)), kind()))
        return made[-1]

    check(make)
    for learner in made:
        learner.close()


def test_it_speaks_what_its_learner_speaks(tmp_path: Path) -> None:
    head = Durable.create(tmp_path / "fast", FastHead())
    mean = Durable.create(tmp_path / "mean", NearestClassMean())
    assert [isinstance(head, p) for p in (Forgets, Melds, Digests, Bounded, Saves)] == [True] * 4 + [False]
    assert [isinstance(mean, p) for p in (Forgets, Melds)] == [isinstance(mean.learner, p) for p in (Forgets, Melds)]
    assert head.exact is True


def story(learner: Any) -> None:
    """A life with everything in it."""
    learner.learn(X[:20], LABELS[:20])
    learner.learn(X[20], "cat")
    learner.forget(X[:3], LABELS[:3])
    other = FastHead()
    other.learn(X[21:40], LABELS[21:40])
    learner.meld(other)
    learner.consolidate()
    learner.learn(X[40:].astype(np.float32), np.array(LABELS[40:]))


@pytest.mark.parametrize("snapshot_every", [1, 3, 10_000])
@pytest.mark.parametrize("closed", [True, False])
def test_what_was_learned_is_there_when_opened_again(tmp_path: Path, snapshot_every: int, closed: bool) -> None:
    twin = FastHead()
    story(twin)
    learner = Durable.create(tmp_path / "a", FastHead(), snapshot_every=snapshot_every)
    story(learner)
    if closed:
        learner.close()
    shutil.copytree(tmp_path / "a", tmp_path / "b")  # what a killed program leaves behind
    with Durable.open(tmp_path / "b", FastHead) as opened:
        assert opened.digest() == twin.digest()
        assert opened.verify() == []
        opened.learn(X[0], "elk")
        twin.learn(X[0], "elk")
        assert np.allclose(opened.predict(X).scores, twin.predict(X).scores, atol=1e-9)
    learner.close()


def test_two_snapshots_are_kept_and_a_damaged_one_is_no_harm(tmp_path: Path) -> None:
    with Durable.create(tmp_path, FastHead(), snapshot_every=2) as learner:
        for row in X[:11]:
            learner.learn(row, "cat")
        digest = learner.digest()
    for count in (1, 2):
        snapshots = sorted(tmp_path.glob("snapshot-*"))
        assert len(snapshots) == 2
        for snapshot in snapshots[-count:]:
            snapshot.write_bytes(snapshot.read_bytes()[:-1] + b"x")
        with Durable.open(tmp_path, FastHead) as opened:
            assert opened.digest() == digest
            opened.learn(X[0], "cat")
            opened.snapshot()
            digest = opened.digest()
            opened.learn(X[0], "cat")
            opened.forget(X[0], "cat")
    (tmp_path / "manifest.json").unlink()
    with Durable.open(tmp_path, FastHead) as opened:
        assert opened.digest() == digest


def test_a_damaged_manifest_takes_nothing_and_how_to_be_rid_of_it_is_said(tmp_path: Path) -> None:
    Durable.create(tmp_path, FastHead()).close()
    manifest = tmp_path / "manifest.json"
    manifest.write_text('{"form')
    with pytest.raises(InputError, match="or remove it"), Durable.open(tmp_path, FastHead) as learner:
        learner.learn(X[0], "cat")
    manifest.unlink()
    with Durable.open(tmp_path, FastHead) as learner:
        assert learner.learner.labels == ("cat",)


KILLED = """
import sys
import numpy as np
from engram.store.durable import Durable
from engram.heads.fast import FastHead
learner = Durable.open(sys.argv[1], FastHead, snapshot_every=3)
for i in range(100_000):
    learner.learn(np.random.default_rng(i).uniform(-1, 1, 5), "cat")
    print(i + 1, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_program_killed_while_teaching_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    Durable.create(tmp_path, FastHead()).close()
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(20)][-1]
        process.send_signal(signal.SIGKILL)
        acknowledged = ([acknowledged, *map(int, process.stdout.read().split())])[-1]
    with Durable.open(tmp_path, FastHead) as opened:
        count = opened.log.last - 1
        assert count - acknowledged in (0, 1)
        twin = FastHead()
        twin.learn([np.random.default_rng(i).uniform(-1, 1, 5) for i in range(count)], ["cat"] * count)
        assert opened.digest() == twin.digest()


def test_many_threads_share_the_syncs_of_the_disk(tmp_path: Path) -> None:
    with Durable.create(tmp_path, FastHead()) as learner:
        syncs: list[float] = []
        learner.log.on_sync = syncs.append

        start = threading.Barrier(32)

        def teach(label: str) -> None:
            start.wait()
            for row in X[:10]:
                learner.learn(row, label)

        threads = [threading.Thread(target=teach, args=(f"{i}",)) for i in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        twin = FastHead()
        twin.learn(np.concatenate([X[:10]] * 32), [f"{i}" for i in range(32) for _ in range(10)])
        assert learner.digest() == twin.digest()
        assert len(syncs) <= 320 / 8


def test_where_the_disk_fails_it_is_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Durable.create(tmp_path, FastHead()) as learner:
        learner.learn(X[:5], LABELS[:5])
        before = learner.digest()
        with monkeypatch.context() as patch:
            patch.setattr(learner.log, "commit", _full)
            with pytest.raises(OSError, match="full"):
                learner.learn(X[5:], LABELS[5:])
        assert learner.digest() == before
        learner.learn(X[5:], LABELS[5:])
        after = learner.digest()
    with Durable.open(tmp_path, FastHead) as opened:
        assert opened.digest() == after != before


def _full(*_: Any, **__: Any) -> None:
    raise OSError(28, "the disk is full")


def test_what_cannot_be_kept_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    with Durable.create(tmp_path, FastHead()) as learner:
        learner.learn(X[:5], LABELS[:5])
        before = learner.digest(), learner.log.last
        for inputs, targets, error in (
            ([["a"]], ["x"], InputError), (X[:1] + 1j, ["x"], InputError), (X[:1], [{1, 2}], LabelError),
            (X[:1], [b"x"], LabelError), (X[:1] * np.nan, ["x"], InputError), (X[:1], [1.5], LabelError),
        ):
            with pytest.raises(error):
                learner.learn(inputs, targets)
        with pytest.raises(MeldError):
            learner.meld(NearestClassMean())
        with pytest.raises(NotTaughtError):
            learner.forget(X[30], "cat")
        assert (learner.digest(), learner.log.last) == before


def test_a_folder_of_another_learner_or_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no log"):
        Durable.open(tmp_path / "nowhere", FastHead)
    with Durable.create(tmp_path / "one", FastHead()) as learner:
        learner.learn(X[:5], LABELS[:5])
    with pytest.raises(DamagedError):
        Durable.open(tmp_path / "one", OnlinePrototypes)
    with pytest.raises(InputError, match="exists already"):
        Durable.create(tmp_path / "one", FastHead())
    with pytest.raises(InputError, match="cannot be made durable"):
        Durable.create(tmp_path / "two", object())
