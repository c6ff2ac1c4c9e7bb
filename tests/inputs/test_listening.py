"""What is said in a stream is found between pauses, however the stream comes; and a brain answers it live."""

from __future__ import annotations

import json
import subprocess
import sys
import wave

import numpy as np
import pytest

from engram.cli.app import run
from engram.inputs.listening import Listener
from engram.learner import InputError

RATE = 8000


def tone(hertz, seconds=0.5, gain=0.5):
    return gain * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


def stream(*parts, noise=1e-3):
    """Tones (or seconds of pause), in noise."""
    whole = np.concatenate([np.zeros(round(part * RATE)) if isinstance(part, float) else part for part in parts])
    return whole + noise * np.random.default_rng(0).normal(size=len(whole))


def times(segments):
    return [(round(one.begin, 2), round(one.end, 2)) for one in segments]


def test_parts_between_pauses_are_found_whatever_the_gain_of_the_noise():
    said = stream(1.0, tone(400), 0.6, tone(900, 0.3), 0.6)
    assert times(Listener(RATE).feed(said)) == [(1.0, 1.5), (2.1, 2.4)]
    assert times(Listener(RATE).feed(said / 40)) == [(1.0, 1.5), (2.1, 2.4)]
    (first, _) = Listener(RATE).feed(said)
    assert len(first.sound.samples) == round(0.7 * RATE), "with a margin on either side"
    assert first.sound.rate == RATE


@pytest.mark.parametrize("size", [1, 77, 80, 5000])
def test_how_samples_are_divided_makes_no_difference(size):
    said = stream(0.3, tone(400, 0.2), 0.4, tone(700, 0.2), 0.3)[: 9000 if size == 1 else None]
    listener, found = Listener(RATE), []
    for begin in range(0, len(said), size):
        found += listener.feed(said[begin : begin + size])
    whole = Listener(RATE).feed(said)
    assert times(found) == times(whole)
    assert all(np.array_equal(a.sound.samples, b.sound.samples) for a, b in zip(found, whole, strict=True))


def test_what_is_too_short_is_left_out_what_is_too_long_is_cut_and_what_has_not_ended_is_given_at_the_end():
    listener = Listener(RATE, longest=1.0)
    found = listener.feed(stream(0.5, tone(400, 0.05), 0.5, tone(400, 2.5), 0.5, tone(400, 0.3)))
    assert [round(end - begin, 1) for begin, end in times(found)][:2] == [1.0, 1.0]
    assert listener.speaking
    (last,) = listener.finish()
    assert times([last]) == [(4.05, 4.35)]
    assert not listener.speaking
    assert listener.finish() == []


def test_a_stream_that_cannot_be_heard_is_refused_and_nothing_was_heard():
    for rate in (0, 8000.0, True, 10**7):
        with pytest.raises(InputError):
            Listener(rate)
    listener = Listener(RATE)
    for bad in (np.array([np.nan]), np.zeros((2, 3)), np.zeros(3, int)):
        with pytest.raises(InputError):
            listener.feed(bad)
    assert times(listener.feed(stream(1.0, tone(400), 0.5))) == [(1.0, 1.5)]


def test_a_brain_answers_a_recording_and_a_microphone(tmp_path, capsys):
    from engram import Brain

    rng = np.random.default_rng(0)
    with Brain.create(tmp_path / "tones.brain", "log-mel") as brain:
        for label, hertz in (("low", 300), ("high", 1200)):
            said = [part for _ in range(6) for part in (0.5, tone(hertz * rng.uniform(0.97, 1.03), 0.3), 0.5)]
            brain.learn([segment.sound for segment in Listener(RATE).feed(stream(*said))], label)
    said = stream(0.5, tone(305, 0.3), 0.5, tone(1190, 0.3), 0.5)
    samples = (20_000 * said).astype("<i2").tobytes()
    with wave.open(str(tmp_path / "said.wav"), "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(samples)
    assert run(["listen", str(tmp_path / "tones.brain"), str(tmp_path / "said.wav"), "--json"]) == 0
    heard = json.loads(capsys.readouterr().out)["heard"]
    assert [(one["label"], round(one["begin"], 1)) for one in heard] == [("low", 0.5), ("high", 1.3)]
    command = [sys.executable, "-m", "engram", "listen", str(tmp_path / "tones.brain"), "-", "--rate", "8000"]
    done = subprocess.run(command, input=samples, capture_output=True, check=True)
    assert [line.split()[2] for line in done.stdout.decode().splitlines()] == ["low", "high"]
    with Brain.create(tmp_path / "vectors.brain") as brain:
        brain.learn([[1.0, 2.0]], "a")
    assert run(["listen", str(tmp_path / "vectors.brain"), str(tmp_path / "said.wav")]) == 1
    assert "does not hear sounds" in capsys.readouterr().err
