"""`engram listen`: what is said in a recording, or while it comes in, one answer after each pause."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from engram.cli.brain import Folder, open_brain
from engram.cli.output import Json, emit, say

if TYPE_CHECKING:
    from engram.brain import Brain
    from engram.inputs.audio import Sound
    from engram.inputs.listening import Segment
    from engram.learner import Prediction

_STDIN = "-"


def listen(
    brain: Folder,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A file of sound, or `-` for samples on standard input: 16 bit,"
                            " little-endian, one channel.")
    ],
    rate: Annotated[
        int, typer.Option("--rate", metavar="HERTZ", help="Samples a second on standard input.")
    ] = 16_000,
    loud: Annotated[
        float, typer.Option("--loud", metavar="DB", min=1.0, help="How much louder than the noise something is, in"
                            " decibels.")
    ] = 12.0,
    as_json: Json = False,
) -> None:
    """Listen to a recording or a microphone, and say what is heard.

    What lies between two pauses is one question to the brain, which was taught sounds. Its answer comes as soon as the
    pause does; what is like nothing taught is "Nothing I know". To listen to a microphone:

    arecord -q -t raw -f S16_LE -r 16000 | engram listen words.brain -
    """
    from engram.inputs.listening import Listener
    from engram.inputs.sounds import decode
    from engram.learner import InputError

    with open_brain(brain, readonly=True) as mind:
        if mind.bundle is None or mind.bundle.takes != "sound":
            raise InputError(f"{brain} does not hear sounds: teach it sounds first (engram teach {brain} SOUNDS).")
        sound = None if source == _STDIN else decode(source)
        listener = Listener(rate if sound is None else sound.rate, loud=loud)
        lines = []
        for segment in _segments(listener, _live(sys.stdin.buffer) if sound is None else _pieces(sound)):
            answer = _asked(mind, segment)
            if answer is None:
                continue
            if not as_json:
                say(f"{segment.begin:8.2f} s  {answer}")
                sys.stdout.flush()
            lines.append(_line(segment, answer))
    if as_json:
        emit({"heard": lines})
    elif not lines:
        say("Nothing was heard.")


def _segments(listener: Any, pieces: Iterator[Any]) -> Iterator[Segment]:
    for samples in pieces:
        yield from listener.feed(samples)
    yield from listener.finish()


def _pieces(sound: Sound) -> Iterator[Any]:
    """A second at a time."""
    for begin in range(0, len(sound.samples), sound.rate):
        yield sound.samples[begin : begin + sound.rate]


def _live(stream: BinaryIO) -> Iterator[Any]:
    """What has come in, as soon as it has."""
    import numpy as np

    odd = b""
    while content := stream.read1(8192):  # type: ignore[attr-defined]
        content = odd + content
        even = len(content) // 2 * 2
        odd = content[even:]
        yield np.frombuffer(content[:even], "<i2").astype(np.float32) / 2**15


def _asked(mind: Brain, segment: Segment) -> Prediction | None:
    """None where there is too little sound to be asked about."""
    from engram.learner import InputError

    try:
        return mind.predict([segment.sound], remember=False)[0]
    except InputError:
        return None


def _line(segment: Segment, answer: Prediction) -> dict[str, Any]:
    return {"begin": round(segment.begin, 2), "end": round(segment.end, 2), "label": answer.label,
            "known": answer.known, "confidence": answer.confidence}
