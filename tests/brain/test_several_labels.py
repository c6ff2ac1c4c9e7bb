"""Several labels for one input, in a brain: taught, answered, forgotten, renamed, undone, melded; in the terminal and
over HTTP too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram import Brain, meld
from engram.cli import app
from engram.learner import InputError, LabelError, NotTaughtError

COLOURS, SHAPES = ("red", "blue"), ("round", "square")


def drawn(count: int, seed: int) -> tuple[np.ndarray, list[list[str]]]:
    rng = np.random.default_rng(seed)
    colour, shape = rng.integers(0, 2, (2, count))
    inputs = np.stack([colour, shape], axis=1) + 0.15 * rng.normal(size=(count, 2))
    return inputs, [[COLOURS[one], SHAPES[two]] for one, two in zip(colour, shape, strict=True)]


@pytest.fixture
def brain(tmp_path: Path) -> Iterator[Brain]:
    with Brain.create(tmp_path / "things.brain") as mind:
        mind.learn(*drawn(60, 0))
        yield mind


def test_the_labels_that_hold_are_answered(brain: Brain) -> None:
    asked, labels = drawn(20, 1)
    answers = brain.predict(asked)
    known = np.flatnonzero(answers.known)
    assert len(known) >= 17
    assert [set(answers.label_sets[place]) for place in known] == [set(labels[place]) for place in known]
    assert set(brain.labels) == {*COLOURS, *SHAPES}
    assert brain.counts()["red"] + brain.counts()["blue"] == 60
    assert brain.predict([40.0, -40.0])[0].labels == ()
    assert str(brain.predict([40.0, -40.0])[0]) == "Nothing I know"
    assert set(str(answers[known[0]]).partition(" (")[0].split(", ")) == set(labels[known[0]])


def test_a_new_label_may_hold_with_known_ones(brain: Brain) -> None:
    inputs, labels = drawn(30, 2)
    brain.learn(np.where(inputs > 0.5, inputs + 2, inputs - 2), [[*some, "loud"] for some in labels])
    assert "loud" in brain.predict(np.where(inputs > 0.5, inputs + 2, inputs - 2)).label_sets[0]


def test_what_was_undone_or_forgotten_is_as_if_it_had_never_been(brain: Brain) -> None:
    before = brain.digest()
    inputs, labels = drawn(10, 3)
    brain.learn(inputs, [[*some, "new"] for some in labels])
    brain.undo()
    assert brain.digest() == before
    brain.learn(inputs, [[*some, "new"] for some in labels])
    brain.forget(label="new")
    assert brain.digest() == before
    brain.learn(inputs, labels)
    brain.forget(inputs, [some[::-1] for some in labels])
    assert brain.digest() == before
    with pytest.raises(NotTaughtError):
        brain.forget(label="new")


def test_renamed_and_corrected(brain: Brain) -> None:
    count = brain.counts()["red"]
    brain.rename("red", "crimson")
    assert brain.counts()["crimson"] == count
    assert "red" not in brain.labels
    with pytest.raises(LabelError, match="exists already"):
        brain.rename("crimson", "blue")
    brain.undo()
    assert brain.counts()["red"] == count
    (first, *_) = brain.examples("red", limit=1)
    brain.relabel([first.id], ["blue", "square"])
    assert brain.counts()["red"] == count - 1


def test_opened_again_melded_or_imported_it_knows_the_same(brain: Brain, tmp_path: Path) -> None:
    inputs, labels = drawn(20, 4)
    asked = drawn(10, 5)[0]
    with Brain.open(tmp_path / "things.brain", readonly=True) as again:
        assert again.predict(asked).label_sets == brain.predict(asked).label_sets
    brain.export(tmp_path / "events.jsonl")
    other = Brain()
    other.import_events(tmp_path / "events.jsonl")
    assert other.digest() == brain.digest()
    more = Brain(brain.bundle)
    more.learn(inputs, labels)
    brain.learn(inputs, labels)
    assert meld(other, more).digest() == brain.digest()
    assert Brain.from_state(brain.state()).predict(asked).label_sets == brain.predict(asked).label_sets


def test_one_kind_of_labels_is_not_taught_as_the_other(brain: Brain) -> None:
    single = Brain()
    single.learn([[1.0, 0.0], [0.0, 1.0]], ["red", "blue"])
    with pytest.raises(InputError, match="several need a brain of their own"):
        single.learn([[1.0, 0.0]], [["red", "round"]])
    with pytest.raises(LabelError, match="at least one"):
        brain.learn([[1.0, 0.0]], [[]])
    with pytest.raises(InputError, match="several labels"):
        brain.audit()
    with pytest.raises(InputError, match="gate"):
        Brain(gate=0.5).learn([[1.0, 0.0]], [["red", "round"]])
    brain.learn([[1.0, 0.0]], "red")
    brain.learn([[1.0, 0.0]], "round; red")
    assert brain.holds([[1.0, 0.0]], [["red", "round"]]) == [1]


def test_the_terminal_teaches_a_column_of_labels_with_semicolons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, (inputs, labels) in {"old": drawn(60, 0), "new": drawn(20, 1)}.items():
        rows = [f"{one:.3f},{two:.3f},{';'.join(some)}" for (one, two), some in zip(inputs, labels, strict=True)]
        Path(f"{name}.csv").write_text("\n".join(["hue,edge,label", *rows]) + "\n")

    def engram(*arguments: str) -> Any:
        assert app.run([*arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    taught = engram("teach", "things.brain", "old.csv", "--multilabel")
    assert set(taught["labels"]) == {*COLOURS, *SHAPES}
    assert engram("teach", "things.brain", "old.csv")["skipped"] == 60
    answers = engram("predict", "things.brain", "new.csv")
    known = [line for line in answers["answers"] if line["known"]]
    assert answers["right"] == len(known) >= 17
    assert {len(line["labels"]) for line in known} == {2}
    assert app.run(["predict", "things.brain", "new.csv"]) == 0
    assert f"{len(known)} of 20 answers agree" in capsys.readouterr().out
    assert set(engram("forget", "things.brain", "red")["labels"]) == {"blue", *SHAPES}
