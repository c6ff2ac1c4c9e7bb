"""Sequences of any form are decoded or refused; a core is a backbone like any other, and a session hears as it does."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from engram import Brain
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.catalogue import bundle_of
from engram.features.cores.echo_state import EchoState
from engram.features.cores.pool import Fold
from engram.features.cores.sequence_backbone import SequenceBackbone
from engram.features.cores.session import Session
from engram.inputs.sequences import decode
from engram.learner import DamagedError, InputError


def walk(label, seed, length=40):
    """Two channels: slow or quick, around a point far from 0."""
    rng = np.random.default_rng(seed)
    time = np.arange(length) * (0.2 if label == "slow" else 0.9) + rng.uniform(0, 6)
    return np.stack([np.sin(time), np.cos(time)], 1) * 5 + 20 + 0.3 * rng.normal(size=(length, 2))


def written(folder, label, seed, ending):
    folder.mkdir(parents=True, exist_ok=True)
    frames = walk(label, seed, 30 + seed)
    if ending == "npy":
        np.save(folder / f"{seed}.npy", frames)
        return
    times = np.arange(len(frames)) / 50
    rows = "".join(f"{t:.3f},{a:.5f},{b:.5f}\n" for t, (a, b) in zip(times, frames, strict=True))
    (folder / f"{seed}.csv").write_text("Time,x,y\n" + rows)


def test_a_sequence_comes_as_text_as_an_array_or_with_its_times(tmp_path):
    (tmp_path / "a.csv").write_text("x;time;y\n1,5;0,0;2\n2,5;0,5;3\n4,5;0,75;5\n")
    found = decode(tmp_path / "a.csv")
    assert found.frames.tolist() == [[1.5, 2], [2.5, 3], [4.5, 5]]
    assert found.dt.tolist() == [0.375, 0.5, 0.25]
    np.save(tmp_path / "b.npy", np.array([(0.0, 7.0), (2.0, 8.0)], [("time", float), ("x", float)]))
    assert [part.tolist() for part in decode(tmp_path / "b.npy")] == [[[7.0], [8.0]], [2.0, 2.0]]
    np.save(tmp_path / "c.npy", np.arange(4.0))
    assert [part.tolist() for part in decode(tmp_path / "c.npy")] == [[[0.0], [1.0], [2.0], [3.0]], [1.0] * 4]
    (tmp_path / "d.csv").write_text("1,2\n3,4\n")
    assert decode(tmp_path / "d.csv").frames.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(("content", "said"), [
    ("", "empty"), ("x,y\n1,2\n3\n", "row 2 has 1 values"), ("x,y\n1,\n", "row 1, column 2"), ("x\nnan\n", "NaN"),
    ("time,x\n1,2\n1,3\n", "rise"), ("time,x\n", "0 values"),
])
def test_a_file_that_is_no_sequence_is_refused_by_name(tmp_path, content, said):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=said) as told:
        decode(path)
    assert "bad.csv" in str(told.value)


def test_what_is_no_sequence_at_all_is_refused(tmp_path):
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY")
    for bad in (tmp_path / "none.csv", tmp_path / "a.txt", tmp_path / "cut.npy", [[1, 2], [3]],
                (np.ones((3, 1)), [0, 1]), np.zeros((0, 2))):
        with pytest.raises(InputError):
            decode(bad)


@pytest.mark.parametrize("pool", ["last", "mean", "moments"])
def test_a_fold_of_parts_is_the_fold_of_the_whole(pool):
    rng = np.random.default_rng(0)
    outputs, dt = 1e6 + rng.normal(size=(2, 30, 3)), rng.uniform(0.1, 2, (2, 30))
    dt[0, 20:], dt[1, ::3] = 0, 0
    fold, state = Fold(pool, 3), Fold(pool, 3).start(2)
    for begin, end in pairwise((0, 1, 4, 18, 25, 30)):
        state = fold.add(state, outputs[:, begin:end], dt[:, begin:end])
    mean = np.stack([np.average(o, axis=0, weights=w) for o, w in zip(outputs, dt, strict=True)])
    spread = np.stack([np.average((o - m) ** 2, axis=0, weights=w)
                       for o, m, w in zip(outputs, mean, dt, strict=True)]) ** 0.5
    wanted = {"last": np.stack([outputs[0, 19], outputs[1, 29]]), "mean": mean,
              "moments": np.concatenate([mean, spread], 1)}[pool]
    assert np.allclose(fold.features(state), wanted, rtol=1e-12, atol=1e-7)
    with pytest.raises(InputError, match="Nothing was heard"):
        fold.features(fold.start(1))


def test_a_session_hears_what_the_backbone_hears_and_is_resumed_to_the_bit():
    known = [walk("slow", i) for i in range(3)]
    backbone = SequenceBackbone.hearing(known, "gru", width=12)
    frames = walk("quick", 9)
    whole, times = backbone.features(frames)[0], np.arange(40.0)
    assert np.allclose(Session(backbone).feed(frames), whole, atol=1e-6)
    assert np.allclose(backbone.features((frames, times))[0], whole), "the usual step counts as 1"
    session = Session(backbone)
    session.feed(frames[:11])
    resumed = Session(backbone, session.state())
    assert np.array_equal(resumed.feed(frames[11:]), session.feed(frames[11:]))
    assert np.allclose(session.feed(frames[0], [0.0]), whole, atol=1e-6), "padding"
    before = session.state()
    for bad in (np.full((2, 2), np.nan), np.ones((2, 3)), np.ones((0, 2))):
        with pytest.raises(InputError):
            session.feed(bad)
    with pytest.raises(InputError, match="negative"):
        session.feed(frames[:1], [-1.0])
    assert all(np.array_equal(before[name], array) for name, array in session.state().items())
    with pytest.raises(InputError, match="another backbone"):
        Session(SequenceBackbone.hearing(known, "lstm", width=12), before)


@pytest.mark.parametrize("core", ["echo-state", "next-generation-reservoir", "diagonal-recurrence", "ncp", "alif"])
def test_a_bundle_of_a_core_is_saved_and_opened(tmp_path, core):
    known = [walk("slow", i) for i in range(3)]
    bundle = Bundle.bare(SequenceBackbone.hearing(known, core))
    bundle.save(tmp_path / "one")
    opened = Bundle.open(tmp_path / "one")
    assert opened.fingerprint == bundle.fingerprint
    assert np.array_equal(opened.features(known), bundle.features(known))
    assert not np.allclose(opened.features(known[:1]), opened.features([known[0][:, ::-1]]))


def test_a_core_that_cannot_be_used_is_refused():
    backbone = SequenceBackbone(EchoState.fresh(2, 20))
    config, network = backbone.config(), backbone.network()
    for bad in ({**config, "version": 0}, {**config, "core": "none"}, {**config, "pool": "all"}, {}):
        with pytest.raises(DamagedError):
            SequenceBackbone.restore("x", bad, network)
    with pytest.raises(DamagedError):
        SequenceBackbone.restore("x", config, b"")
    for bad in ({"pool": "all"}, {"takes": "pictures"}, {"takes": "sound"}, {"unit": 0.0}, {"offset": [1.0]}):
        with pytest.raises(InputError):
            SequenceBackbone(EchoState.fresh(2, 20), **bad)
    with pytest.raises(InputError, match="different numbers"):
        SequenceBackbone.hearing([np.ones((4, 2)), np.ones((4, 3))])
    with pytest.raises(InputError, match="hears 2 channels"):
        backbone.features(np.ones((4, 3)))


@pytest.mark.parametrize("ending", ["csv", "npy"])
def test_sequences_are_taught_and_asked_in_the_terminal(tmp_path, capsys, ending):
    from engram.cli.app import run

    for label in ("slow", "quick"):
        for seed in range(8):
            written(tmp_path / "walks" / label, label, seed, ending)
        written(tmp_path / "new" / label, label, 20, ending)
    brain = str(tmp_path / "walks.brain")
    assert run(["teach", brain, str(tmp_path / "walks"), "--backbone", "esn", "--json"]) == 1
    assert "echo-state" in capsys.readouterr().err
    assert run(["teach", brain, str(tmp_path / "walks"), "--backbone", "echo-state", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["taught"] == 16
    one = next((tmp_path / "walks" / "slow").iterdir())
    assert run(["teach", brain, str(one), "--label", "slow", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 1
    assert run(["predict", brain, str(tmp_path / "new"), "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert (answers["right"], len(answers["answers"])) == (2, 2)
    with Brain.open(brain) as mind:
        mind.learn([(walk("quick", 30), np.arange(40) / 50)], ["quick"])
        assert mind.predict([(walk("quick", 31), np.arange(40) / 50)]).best == ["quick"]


def test_a_core_hears_sounds():
    time = np.arange(4000) / 8000
    tones = [(np.sin(2 * np.pi * hertz * time * (1 + 0.01 * i)), 8000) for hertz in (300, 900) for i in range(4)]
    brain = Brain(bundle_of("echo-state", tones))
    assert brain.bundle.takes == "sound"
    brain.learn(tones, ["low"] * 4 + ["high"] * 4)
    assert brain.predict([(np.sin(2 * np.pi * 310 * time), 8000)]).best == ["low"]
