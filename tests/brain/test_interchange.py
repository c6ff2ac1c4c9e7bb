"""Export and import: the same digest in another brain, nothing twice, nothing that was forgotten, no bad line."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engram.brain import Brain, exchange
from engram.learner import InputError, LabelError

X = np.random.default_rng(0).uniform(-1, 1, (30, 3))
Lines = list[dict[str, Any]]


@pytest.fixture
def brains(tmp_path: Path) -> Iterator[tuple[Brain, Brain]]:
    """One that eve taught six cats and nobody four dogs, and an empty one."""
    with Brain.create(tmp_path / "one") as one, Brain.create(tmp_path / "two") as two:
        one.learn_examples(X[:6], "cat", teacher="eve", sources=[f"{i}.png" for i in range(6)])
        one.learn(X[6:10], "dog")
        yield one, two


def exported(brain: Brain) -> str:
    out = io.StringIO()
    brain.export(out)
    return out.getvalue()


def lines_of(text: str) -> Lines:
    return [json.loads(line) for line in text.splitlines()]


def as_file(lines: Lines) -> io.StringIO:
    return io.StringIO("".join(json.dumps(line) + "\n" for line in lines))


def test_a_header_says_what_the_features_mean_and_each_example_has_a_line(brains: tuple[Brain, Brain]) -> None:
    one, _ = brains
    head, *rest = lines_of(exported(one))
    bundle = one.bundle
    assert bundle is not None
    assert (head["fingerprint"], head["width"], head["step"]) == (bundle.fingerprint, 3, bundle.step)
    assert (head["digest"], head["device"], head["examples"], head["whole"]) == (one.digest(), one.device, 10, True)
    rows = np.stack([np.frombuffer(base64.b64decode(line["features"]), "<i2") for line in rest])
    np.testing.assert_array_equal(rows, one.quantised(X[:10]))
    first = one.examples()[0]
    assert rest[0] | {"features": ""} == {
        "seq": first.id, "time": first.time.isoformat(), "kind": "taught", "label": "cat", "teacher": "eve",
        "source": "0.png", "features": "",
    }


CHANGES = ("learn", "again", "rename", "relabel", "forget", "forget one", "undo", "consolidate", "fork")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.sampled_from(CHANGES), max_size=8), data=st.data())
def test_whatever_was_done_to_it_an_import_gives_the_same_digest(
    tmp_path_factory: pytest.TempPathFactory, changes: list[str], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("laws")
    with Brain.create(folder / "one") as one, Brain.create(folder / "two") as two:
        one.learn(X[:4], ["a", "b"] * 2)
        for number, change in enumerate(changes, 4):
            known = list(one.labels)
            label = data.draw(st.sampled_from(known)) if known else "a"
            ids = [example.id for example in one.examples()]
            if change in ("learn", "again"):
                one.learn(X[number if change == "learn" else 0], label)
            elif change == "rename" and known:
                one.rename(label, f"{label}'")
            elif change == "relabel" and ids:
                try:
                    one.relabel([data.draw(st.sampled_from(ids))], label)
                except InputError:
                    assert "fork" in changes
            elif change == "forget" and known:
                one.forget(label=label)
            elif change == "forget one" and ids:
                one.forget(ids=[data.draw(st.sampled_from(ids))])
            elif change == "undo":
                try:
                    one.undo()
                except InputError:
                    continue
            elif change == "consolidate":
                one.consolidate()
            elif change == "fork":
                one.fork()
        text = exported(one)
        said = two.import_events(io.StringIO(text))
        assert two.digest() == one.digest() == said.header.digest
        again = two.import_events(io.StringIO(text))
        assert (again.taught, again.known, two.digest()) == (0, said.taught, one.digest())


def test_an_example_keeps_its_time_teacher_source_and_picture(brains: tuple[Brain, Brain]) -> None:
    one, two = brains
    head, *rest = lines_of(exported(one))
    rest[0] |= {"time": "2020-02-02T02:02:02.000002+00:00", "picture": base64.b64encode(b"\xff\xd8\xff.").decode()}
    two.import_events(as_file([head, *rest]))
    first = two.examples()[0]
    assert first.time == datetime(2020, 2, 2, 2, 2, 2, 2, UTC)
    assert (first.teacher, first.source) == ("eve", "0.png")
    assert two.thumbnail(first.id) == b"\xff\xd8\xff."
    assert lines_of(exported(two))[1] | {"seq": 0} == rest[0] | {"seq": 0}
    assert two.history()[0].time > datetime.now(UTC) - timedelta(hours=1), "the history says when it came in"


def test_one_that_is_held_as_often_is_skipped_and_one_held_less_often_is_learned(brains: tuple[Brain, Brain]) -> None:
    one, two = brains
    one.learn(X[:2], "cat")
    two.learn(X[0], "cat")
    said = two.import_events(io.StringIO(exported(one)))
    assert (said.taught, said.known, said.forgotten) == (11, 1, 0)
    assert two.digest() == one.digest()


def test_what_was_forgotten_since_stays_so_and_what_was_taught_after_comes_in(brains: tuple[Brain, Brain]) -> None:
    one, two = brains
    text = exported(one)
    two.import_events(io.StringIO(text))
    two.forget(label="cat")
    two.forget(ids=[two.examples("dog")[0].id])
    one.learn(X[10], "cat")
    said = two.import_events(io.StringIO(exported(one)))
    assert (said.taught, said.known, said.forgotten) == (1, 3, 7)
    assert [example.label for example in two.examples("cat")] == ["cat"]


def test_what_was_renamed_or_corrected_since_comes_under_its_new_label(brains: tuple[Brain, Brain]) -> None:
    one, two = brains
    text = exported(one)
    two.import_events(io.StringIO(text))
    two.relabel([two.examples("cat")[0].id], "dog")
    two.rename("cat", "felis")
    digest = two.digest()
    said = two.import_events(io.StringIO(text))
    assert (said.taught, said.known) == (0, 10)
    assert two.digest() == digest
    two.forget(label="felis")
    assert two.import_events(io.StringIO(text)).forgotten == 5


def test_a_rename_that_was_undone_does_not_count(brains: tuple[Brain, Brain]) -> None:
    one, two = brains
    text = exported(one)
    two.import_events(io.StringIO(text))
    two.rename("cat", "felis")
    two.undo()
    assert two.import_events(io.StringIO(text)).known == 10
    assert two.labels == ("cat", "dog")


def test_a_brain_in_memory_imports_too(brains: tuple[Brain, Brain]) -> None:
    one, _ = brains
    memory = Brain()
    assert memory.import_events(io.StringIO(exported(one))).taught == 10
    assert memory.digest() == one.digest()
    memory.forget(label="cat")
    assert memory.import_events(io.StringIO(exported(one))).forgotten == 6


def test_melded_knowledge_is_said_to_be_missing(brains: tuple[Brain, Brain]) -> None:
    one, two = brains
    two.learn(X[20], "owl")
    one.meld(two)
    out = io.StringIO()
    head = one.export(out)
    assert (head.examples, head.whole) == (10, False)


def test_another_backbone_is_refused(brains: tuple[Brain, Brain], tmp_path: Path) -> None:
    one, two = brains
    two.learn(np.eye(5), "x")
    digest = two.digest()
    with pytest.raises(InputError, match="another backbone"):
        two.import_events(io.StringIO(exported(one)))
    assert two.digest() == digest


def test_a_bad_line_is_named_and_its_portion_changes_nothing(
    brains: tuple[Brain, Brain], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = brains
    monkeypatch.setattr(exchange, "_PORTION", 4)
    lines = lines_of(exported(one))
    lines[7]["features"] = "AAAA"
    with pytest.raises(InputError, match="Line 8: 3 bytes of features where 6 belong"):
        two.import_events(as_file(lines))
    assert two.counts() == {"cat": 4}


@pytest.mark.parametrize(("change", "message"), [
    ({"label": None}, "needs a label"), ({"label": 1.5}, "needs a label"), ({"label": True}, "needs a label"),
    ({"features": 7}, "not base64"), ({"features": "a"}, "not base64"), ({"features": "AIAAgACA"}, "beyond"),
    ({"time": "yesterday"}, "ISO 8601"), ({"time": "2020-01-01T00:00:00"}, "ISO 8601"), ({"time": None}, "ISO 8601"),
    ({"teacher": ["eve"]}, "texts"), ({"source": "x" * 2**21}, "texts"), ({"kind": "hacked"}, "no event of the kind"),
    ({"kind": "checkpoint"}, "no event of the kind"), ({"picture": "AAAA"}, "must be a small JPEG"),
])
def test_hostile_values_are_refused(brains: tuple[Brain, Brain], change: dict[str, Any], message: str) -> None:
    one, two = brains
    lines = lines_of(exported(one))
    lines[3] |= change
    with pytest.raises(InputError, match=f"Line 4: .*{message}"):
        two.import_events(as_file(lines))
    assert two.counts() == {}


@pytest.mark.parametrize("raw", [
    b"", b"no\n", b"[]\n", b"\xff\xfe\n", b"{}\n", b"[" * 100_000, b'{"format": "engram-events", "version": 2}\n',
    b'{"format": "engram-events", "version": 1}\n',
])
def test_what_is_no_export_is_refused(brains: tuple[Brain, Brain], raw: bytes) -> None:
    with pytest.raises(InputError):
        brains[1].import_events(io.BytesIO(raw))


def test_a_file_that_was_cut_short_anywhere_is_refused(brains: tuple[Brain, Brain]) -> None:
    one, two = brains
    lines = exported(one).encode().splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        before = b"".join(lines[: number - 1])
        for end in range(1, len(line) - 1, 37):
            with pytest.raises(InputError, match=f"Line {number}: not JSON, or cut short"):
                two.import_events(io.BytesIO(before + line[:end]))
        with pytest.raises(InputError, match=f"ends after {number - 2} of 10" if number > 1 else "is empty"):
            two.import_events(io.BytesIO(before))
    assert two.counts() == {}


def test_labels_of_another_type_are_refused(brains: tuple[Brain, Brain]) -> None:
    one, two = brains
    two.learn(X[:3], [1, 2, 3])
    with pytest.raises(LabelError):
        two.import_events(io.StringIO(exported(one)))
    assert two.labels == (1, 2, 3)


def test_a_file_is_there_whole_or_not_at_all(
    brains: tuple[Brain, Brain], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = brains
    with pytest.raises(InputError, match="nothing to export"):
        two.export(tmp_path / "x.jsonl")
    monkeypatch.setattr(exchange, "example_line", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        one.export(tmp_path / "x.jsonl")
    assert not list(tmp_path.glob("x.jsonl*"))
    monkeypatch.undo()
    assert one.export(tmp_path / "x.jsonl").examples == 10
    assert two.import_events(tmp_path / "x.jsonl").taught == 10
