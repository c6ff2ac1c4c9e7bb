"""What earlier versions wrote opens, and answers as it did then."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).parent / "fixtures"
sys.path.insert(0, str(FIXTURES))

from make import about, answers, questions  # noqa: E402

from engram import Brain  # noqa: E402
from engram.brain.repair import verify  # noqa: E402
from engram.features.backbones.bundle import Bundle  # noqa: E402
from engram.heads.fast import FastHead  # noqa: E402
from engram.lab.evaluation.evaluate import Checkpoint  # noqa: E402
from engram.server.tokens import read_tokens  # noqa: E402
from engram.store.durable import Durable  # noqa: E402


def assert_same(found: dict[str, Any], told: dict[str, Any]) -> None:
    """All but confidences, and what is refused as unknown: both are derived, by formulas that may get better."""
    now, then = json.loads(json.dumps(found)), dict(told)
    pairs = zip(now.pop("answers"), then.pop("answers"), strict=True)
    assert now == then
    assert [(one, two) for (one, _), (two, _) in pairs if one != two and None not in (one, two)] == []


VERSIONS = sorted(path.parent.name for path in FIXTURES.glob("*/answers.json"))


@pytest.fixture(params=VERSIONS)
def told(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """What each fixture answered when it was written; all of them lie unpacked in `tmp_path`."""
    folder = FIXTURES / request.param
    for packed in folder.glob("*.zip"):
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(tmp_path)
    found: dict[str, Any] = json.loads((folder / "answers.json").read_text())
    return found


@pytest.mark.parametrize("name", ["lived.brain", "killed.brain", "drawn.brain"])
def test_a_brain_opens_answers_as_it_did_and_learns_on(name: str, told: dict[str, Any], tmp_path: Path) -> None:
    with Brain.open(tmp_path / name) as brain:
        assert_same(about(brain), told[name])
    assert verify(tmp_path / name) == []
    if name != "drawn.brain":
        with Brain.open(tmp_path / name) as brain:
            brain.learn(questions()[0], "new")
            digest = brain.digest()
        assert Brain.open(tmp_path / name).digest() == digest


def test_exported_events_are_taught(told: dict[str, Any], tmp_path: Path) -> None:
    with Brain.create(tmp_path / "again") as brain:
        assert brain.import_events(tmp_path / "lived.jsonl").taught == told["lived.jsonl"]["examples"]


def test_a_bundle_opens_with_its_fingerprint(told: dict[str, Any], tmp_path: Path) -> None:
    assert Bundle.open(tmp_path / "vectors.bundle").fingerprint == told["vectors.bundle"]["fingerprint"]


def test_a_durable_learner_opens(told: dict[str, Any], tmp_path: Path) -> None:
    with Durable.open(tmp_path / "durable", FastHead) as durable:
        found = {"digest": durable.digest(), "answers": answers(durable, questions())}
    assert_same(found, told["durable"])


def test_an_evaluation_is_gone_on_with(told: dict[str, Any], tmp_path: Path) -> None:
    found = Checkpoint.read(tmp_path / "evaluation")
    assert found is not None
    assert found.report.matrix.tolist() == told["evaluation"]["matrix"]


def test_tokens_are_read(told: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "tokens.json").chmod(0o600)
    assert [token.name for token in read_tokens(tmp_path / "tokens.json")] == told["tokens.json"]["names"]
