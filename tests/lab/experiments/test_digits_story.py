"""What the demonstration claims is so, for a fixed seed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engram.brain.certificate import SCRIPT
from engram.demo import digits_events as told
from engram.demo.digits_story import SoftmaxLayer, best_rate, story
from engram.demo.report import write_report

pytest.importorskip("sklearn", reason="the demonstration's digits are scikit-learn's")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def events(folder: Path) -> list[told.Event]:
    return list(story(folder, seed=0))


def one(events: list[told.Event], kind: type[told.Event]) -> object:
    return next(event for event in events if isinstance(event, kind))


def test_the_fast_head_ends_far_above_the_softmax_layer_that_learns_the_same_when_shuffled(
    events: list[told.Event],
) -> None:
    opened, streamed = one(events, told.Opened), one(events, told.Streamed)
    assert isinstance(opened, told.Opened)
    assert isinstance(streamed, told.Streamed)
    assert streamed.examples == opened.teach
    assert streamed.fast > 0.97
    assert streamed.softmax < 0.5
    assert opened.shuffled > 0.95


def test_accuracy_climbs_and_never_falls_far(events: list[told.Event]) -> None:
    curve = [event.fast for event in events if isinstance(event, told.Measured)]
    assert np.maximum.accumulate(curve).max() == pytest.approx(curve[-1], abs=0.01)
    assert (np.maximum.accumulate(curve) - curve).max() < 0.02


def test_the_confusion_matrices_hold_every_held_out_image_and_agree_with_the_accuracies(
    events: list[told.Event],
) -> None:
    opened, streamed = one(events, told.Opened), one(events, told.Streamed)
    assert isinstance(opened, told.Opened)
    assert isinstance(streamed, told.Streamed)
    shown = [(streamed.confusion_fast, streamed.fast), (streamed.confusion_softmax, streamed.softmax)]
    for confusion, share in shown:
        counts = np.array(confusion)
        assert counts.sum() == opened.test
        assert np.trace(counts) / opened.test == pytest.approx(share)


def test_the_digit_the_network_never_saw_is_learned_from_its_first_images(events: list[told.Event]) -> None:
    shots = {event.shots: event for event in events if isinstance(event, told.Shots)}
    assert list(shots)[:5] == [1, 2, 5, 10, 20]
    assert shots[1].fast > 0.6
    assert shots[10].fast > 0.85
    assert shots[10].fast_all > 0.85


def test_an_unknown_is_refused_then_named_and_recognised_at_once(events: list[told.Event]) -> None:
    refused, named = one(events, told.Refused), one(events, told.Named)
    assert isinstance(refused, told.Refused)
    assert isinstance(named, told.Named)
    assert refused.refused > 0.9 * refused.shown
    assert refused.answer == "Nothing I know"
    assert named.learned == refused.groups[0]
    assert named.recognised > 0.9
    assert named.answer.startswith(f"{named.label} ")


def test_consolidation_leaves_few_vectors_and_the_same_sums(events: list[told.Event]) -> None:
    done = one(events, told.Consolidated)
    assert isinstance(done, told.Consolidated)
    assert done.after < 0.2 * done.before
    assert done.accuracy_after > done.accuracy_before - 0.01
    assert done.same_digest


def test_melded_and_forgotten_brains_have_the_same_digests_as_those_taught_so(events: list[told.Event]) -> None:
    melded, forgotten = one(events, told.Melded), one(events, told.Forgotten)
    assert isinstance(melded, told.Melded)
    assert isinstance(forgotten, told.Forgotten)
    assert melded.digest == melded.together == melded.streamed == forgotten.before
    assert len({melded.digest, melded.parts[0].digest, melded.parts[1].digest, forgotten.digest}) == 4
    assert forgotten.digest == forgotten.never


def test_both_certificates_hold_and_were_really_checked(events: list[told.Event], folder: Path) -> None:
    verified = [event for event in events if isinstance(event, told.Verified)]
    assert [(event.claim, event.code) for event in verified] == [("meld", 0), ("forgotten", 0)]
    assert any("put back" in sentence for _, sentence in verified[1].checks)
    sums = folder / "meld" / "sums-0.npy"
    content = sums.read_bytes()
    sums.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    again = subprocess.run([sys.executable, "-I", SCRIPT, "."], cwd=folder / "meld", capture_output=True, check=False)
    sums.write_bytes(content)
    assert again.returncode != 0


def test_every_kind_of_event_is_in_the_document_under_stable_names(events: list[told.Event]) -> None:
    whole = json.loads(json.dumps(told.document(events)))
    assert list(whole) == [
        "format", "version", "opened", "measured", "never_seen", "shots", "refused", "named", "streamed", "rival",
        "consolidated", "melded", "verified", "forgotten", "finished",
    ]
    assert set(whole["measured"][0]) == {"step", "label", "fast", "softmax", "possible"}
    assert set(whole["verified"][0]) == {"claim", "folder", "command", "checks", "code"}
    assert "image" not in whole["named"]


def test_the_report_asks_for_nothing_outside_itself(events: list[told.Event], tmp_path: Path) -> None:
    page = write_report(events, tmp_path).read_text(encoding="utf-8")
    assert len(page) < 300_000
    assert "http" not in page
    assert re.findall(r"<(script|link|iframe)", page) == []
    assert all(source.startswith(("data:", "#")) for source in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert all(source.startswith("#") for source in re.findall(r"url\(([^)]*)\)", page))


def test_the_report_shows_what_was_told_be_it_good_or_bad(events: list[told.Event], tmp_path: Path) -> None:
    streamed = one(events, told.Streamed)
    assert isinstance(streamed, told.Streamed)
    page = write_report(events, tmp_path).read_text(encoding="utf-8")
    assert f"{streamed.fast:.1%}" in page
    assert "✗" not in page
    bad = [
        told.Verified(event.claim, event.folder, event.command, ((False, "the sums agree"),), 1)
        if isinstance(event, told.Verified) else event for event in events
    ]
    page = write_report(bad, tmp_path).read_text(encoding="utf-8")
    assert "0 of 2" in page
    assert "✗" in page


def test_another_seed_brings_the_digits_in_another_order(events: list[told.Event], folder: Path) -> None:
    first, other = one(events, told.Opened), next(story(folder, seed=1))
    assert isinstance(first, told.Opened)
    assert isinstance(other, told.Opened)
    assert first.order != other.order


def test_the_softmax_layer_takes_the_gradient_step_of_the_cross_entropy() -> None:
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(12, 3)), [0, 1, 2] * 4
    layer = SoftmaxLayer(0.1)
    layer.learn(inputs, labels)
    before = layer.state()["weights"]
    layer.learn(inputs[0], 0)

    def loss(weights: np.ndarray) -> float:
        scores = weights @ np.append(inputs[0], 1.0)
        return float(np.log(np.exp(scores).sum()) - scores[0])

    slope = np.zeros_like(before)
    for place in np.ndindex(before.shape):
        moved = np.zeros_like(before)
        moved[place] = 1e-6
        slope[place] = (loss(before + moved) - loss(before - moved)) / 2e-6
    np.testing.assert_allclose(layer.state()["weights"], before - 0.1 * slope, atol=1e-8)


def test_the_rate_chosen_is_the_one_that_learns() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=150).tolist()
    inputs = rng.normal(size=(150, 4)) + 2 * np.eye(4)[labels]
    assert best_rate(inputs, labels, seed=0, rates=(1e-6, 0.1, 1e3)) == 0.1
