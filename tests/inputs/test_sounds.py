"""Sounds are decoded the same from any source, and those that cannot be used are refused with the reason."""

from __future__ import annotations

import io
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.inputs import folders, sounds
from engram.inputs.audio import Sound
from engram.inputs.examples import gather
from engram.inputs.media import MEDIA
from engram.inputs.sounds import VALUES_LIMIT, begins_as_sound, count_values, decode, each, thumbnail
from engram.learner import InputError

RATE = 16_000
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE // 4) / RATE)).astype(np.float32)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI", name, len(content)) + content + b"\0" * (len(content) % 2)


def wav(
    samples: Any = TONE, *, tag: int = 3, bits: int = 32, rate: int = RATE, extended: bool = False, before: bytes = b"",
    size: int | None = None,
) -> bytes:
    """A WAV file written by hand: floats (tag 3) or 16 bit integers (tag 1)."""
    values = np.asarray(samples)
    data = (np.rint(values * 32767).astype("<i2") if tag == 1 else values.astype(f"<f{bits // 8}")).tobytes()
    width = bits // 8
    form = struct.pack("<HHIIHH", 0xFFFE if extended else tag, 1, rate, rate * width, width, bits)
    if extended:
        form += struct.pack("<HHIH", 22, bits, 4, tag) + bytes.fromhex("000000001000800000aa00389b71")
    body = before + chunk(b"fmt ", form)
    body += struct.pack("<4sI", b"data", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


def encoded(kind: str, subtype: str | None = None, samples: Any = TONE, rate: int = RATE) -> bytes:
    soundfile = pytest.importorskip("soundfile", reason="The extra [sound] is not installed.")
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=kind, subtype=subtype)
    return out.getvalue()


@pytest.mark.parametrize("how", [
    {}, {"bits": 64}, {"tag": 1, "bits": 16}, {"extended": True}, {"tag": 1, "bits": 16, "extended": True},
    {"before": chunk(b"LIST", b"odd")}, {"size": 0xFFFFFFFF},
])
def test_plain_wav_files_of_every_kind_hold_the_same_sound(how: dict[str, Any]) -> None:
    sound = decode(wav(**how))
    assert sound.rate == RATE
    assert np.abs(sound.samples - TONE).max() < 1e-4
    assert count_values(wav(**how), "it") == len(TONE)


@pytest.mark.parametrize(("kind", "subtype"), [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", None), ("AIFF", "PCM_24"),
                                               ("WAV", "ULAW"), ("OGG", "OPUS")])
def test_compressed_files_are_read_by_the_extra(kind: str, subtype: str | None) -> None:
    content = encoded(kind, subtype, rate=48_000 if subtype == "OPUS" else RATE)
    sound = decode(content)
    spectrum = np.abs(np.fft.rfft(sound.samples))
    assert abs(spectrum.argmax() * sound.rate / len(sound.samples) - 440 * sound.rate / RATE) < 20
    assert begins_as_sound(content[:16])
    assert abs(count_values(content, "it") - len(TONE)) < 0.3 * len(TONE)


def test_a_path_an_open_file_bytes_and_samples_with_a_rate_are_the_same_sound(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(wav())
    with file.open("rb") as opened:
        given = [decode(one) for one in (file, str(file), opened, wav(), Sound(TONE, RATE), (TONE, RATE), (RATE, TONE),
                                         (RATE, (TONE * 32767).astype(np.int16)), (np.stack([TONE, TONE], 1), RATE))]
    assert all(sound.rate == RATE and np.abs(sound.samples - TONE).max() < 1e-4 for sound in given)
    assert len(list(each([(TONE, RATE), wav()]))) == 2


@pytest.mark.parametrize(("given", "why"), [
    (b"", "is empty"), (b"no sound at all", "not a sound"), (wav()[:-100], "cut off"), (wav()[:30], "cut off"),
    (wav(np.zeros(0)), "empty or cut off"), (wav(TONE[:100]), "lasts 6 ms"), (wav(0 * TONE), "is silent"),
    (wav(0 * TONE + 0.5), "is silent"), (wav(np.where(TONE > 0.4, np.nan, TONE)), "not finite"),
    (wav(rate=100), "100 samples a second"), (wav(rate=2**29), "samples a second"),
    ((np.full(RATE, np.inf), RATE), "finite"), ((TONE.reshape(1, -1), RATE), "not a sound"),
    ((TONE > 0, RATE), "floats or"),
    ((np.zeros((10, 10, 10)), RATE), "not a sound"), (("a", "b"), "tuple is not a sound"), (3.5, "float is not"),
])
def test_what_cannot_be_used_is_refused_with_the_reason(given: Any, why: str) -> None:
    with np.errstate(invalid="ignore"), pytest.raises(InputError, match=why):
        decode(given)


def test_samples_without_a_rate_are_refused_with_the_remedy() -> None:
    for given in (TONE, TONE.tolist()):
        with pytest.raises(InputError, match=r"give \(samples, rate\), such as"):
            list(each(given))


def test_a_sound_is_too_long_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"at most 0 s of such a sound are read: cut it into pieces"):
        decode(wav(), values_limit=1000)
    with pytest.raises(InputError, match="cut it into pieces"):
        decode(encoded("FLAC"), values_limit=1000)
    flac = bytearray(encoded("FLAC"))
    flac[21:26] = (VALUES_LIMIT * 100 | 0xF0_0000_0000).to_bytes(5, "big")  # as many samples, says the header
    with pytest.raises(InputError, match=r"cut it into pieces|Cannot read"):
        decode(bytes(flac))


def test_damaged_files_end_in_no_other_error() -> None:
    whole = [encoded(kind) for kind in ("FLAC", "OGG", "MP3", "WAV")]
    rng = np.random.default_rng(0)
    for place in range(120):
        content = bytearray(whole[place % 4])
        for at in rng.integers(0, len(content), 6):
            content[at] = rng.integers(256)
        with suppress(InputError):
            assert np.isfinite(decode(bytes(content[: rng.integers(1, len(content) + 1)])).samples).all()


def test_without_the_extra_a_compressed_file_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(InputError, match=r"needs soundfile \(the extra sound\): pip install"):
        decode(b"fLaC" + bytes(60))
    assert decode(wav()).rate == RATE


def test_a_small_picture_shows_low_notes_below_and_high_ones_above() -> None:
    image = pytest.importorskip("PIL.Image")
    for hertz, above in ((150, False), (5000, True)):
        drawn = thumbnail((np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE), RATE))
        assert drawn is not None
        rows = np.asarray(image.open(io.BytesIO(drawn))).mean(axis=1)
        assert (rows.argmax() < 24) == above
    assert thumbnail(b"no sound") is None


def test_a_folder_of_sounds_names_the_labels_and_what_was_passed_over(tmp_path: Path) -> None:
    for name in ("hum/a.WAV", "hum/deeper/b.flac", "bang/c.mp3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(wav())
    (tmp_path / "hum" / "notes.txt").write_text("loud")
    found = gather(tmp_path, "sound")
    assert found.labels == ["bang", "hum", "hum"]
    assert found.passed_over == (folders.PassedOver(tmp_path / "hum" / "notes.txt", "a text, no sound"),)
    assert sorted(MEDIA["sound"].unreadable([wav(), b"x", str(tmp_path / "no.wav")])) == [1, 2]
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="No sounds in"):
        sounds.survey(tmp_path / "none")
