"""Sounds, decoded and checked at the door: files, bytes, open files and samples; and small pictures of them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from engram.extras import refusal
from engram.inputs import folders
from engram.inputs.audio import Sound, is_wav, log_mel, parse_wav, read_wav
from engram.inputs.endings import ENDINGS
from engram.inputs.images import THUMBNAIL_SIDE, content_of, is_open_file
from engram.inputs.vectors import as_array
from engram.learner import InputError

SUFFIXES = ENDINGS["sound"]
"""Files with these endings (in any case) are sounds when a folder is scanned."""

BYTES_LIMIT = 256_000_000
"""Larger files are refused before they are read."""

VALUES_LIMIT = 30_000_000
"""Samples of all channels, beyond which a sound is refused before it is decoded: five minutes of stereo at 48 kHz."""

SHORTEST, LONGEST = 0.03, 600.0
"""Seconds that a sound lasts at least, and at most."""

RATES = (4_000, 400_000)
"""Fewest and most samples a second."""

SILENT = 1e-4
"""The largest swing of what is called silence, where 1 is the largest that a file of whole numbers can hold: −80 dB."""

_BANDS, _RANGE = 48, 60.0  # of the small pictures: rows, and decibels from the darkest to the brightest
_BEGINNINGS = (b"fLaC", b"OggS", b"ID3", b"FORM")


def decode(source: Any, *, values_limit: int = VALUES_LIMIT) -> Sound:
    """One sound, its channels averaged.

    Args:
        source: a path, the bytes of a file, a file open for reading, a `Sound`, or samples with their rate, as
            (samples, rate) or (rate, samples): samples (N,) or (N, channels), floats about ±1 or signed integers.
        values_limit: the most samples of all channels that are decoded.

    Raises:
        InputError: not a sound, cut off, damaged, too long, too short, silent, or samples that are not finite.

    >>> tone = np.sin(np.arange(8000) * 0.3)
    >>> decode((tone, 8000)).samples.shape, decode((8000, np.stack([tone, tone], 1))).rate
    ((8000,), 8000)
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_bytes(bytes(source), "the sound given as bytes", values_limit)
    if is_open_file(source):
        return _from_bytes(content_of(source), "the sound in the open file", values_limit)
    if isinstance(source, str | os.PathLike):
        return _from_bytes(_read(Path(source)), str(source), values_limit)
    pair = as_pair(source)
    if pair is None:
        raise InputError(f"{type(source).__name__} is not a sound: give a path, bytes, or (samples, rate).")
    return _from_samples(*pair, values_limit)


def as_pair(source: Any) -> tuple[Any, int] | None:
    """Samples and their rate, where they are given as a pair in either order; else None.

    >>> as_pair(([0.1, 0.2], 8000))[1], as_pair((8000, [0.1, 0.2]))[1], as_pair(["a.wav", "b.wav"])
    (8000, 8000, None)
    """
    if not isinstance(source, tuple) or len(source) != 2:
        return None
    for samples, rate in (source, source[::-1]):
        whole = isinstance(rate, int | np.integer) and not isinstance(rate, bool)
        if whole and (isinstance(samples, list | np.ndarray) or hasattr(samples, "__array__")):
            return samples, int(rate)
    return None


def each(inputs: Any) -> Iterator[Any]:
    """The single sounds in whatever was given: one sound, or any iterable of them. Open files are read.

    Raises:
        InputError: samples without a rate, or nothing that holds sounds.

    >>> len(list(each(["a.wav", "b.wav"]))), len(list(each((np.zeros(800), 8000))))
    (2, 1)
    """
    if isinstance(inputs, str | os.PathLike | bytes | bytearray | memoryview) or as_pair(inputs) is not None:
        yield inputs
    elif is_open_file(inputs):
        yield content_of(inputs)
    elif isinstance(inputs, np.ndarray) or hasattr(inputs, "__array__"):
        raise InputError("Samples need the rate they were recorded at: give (samples, rate), such as (samples, 16000).")
    elif isinstance(inputs, Iterable):
        for one in inputs:
            if isinstance(one, int | float | np.number):
                raise InputError("Samples need the rate they were recorded at: give (samples, rate), such as "
                                 "(samples, 16000).")
            yield content_of(one) if is_open_file(one) else one
    else:
        raise InputError(f"{type(inputs).__name__} is not a sound: give a path, bytes, or (samples, rate).")


def survey(folder: str | os.PathLike[str]) -> folders.Files:
    """The sounds in a folder. See `engram.inputs.folders.survey`; raises as it does."""
    return folders.survey(folder, SUFFIXES, "sound")


def begins_as_sound(content: bytes) -> bool:
    """Whether bytes begin as a file of sound does: WAV, FLAC, Ogg, AIFF or MP3.

    >>> begins_as_sound(b"fLaC...."), begins_as_sound(b"\\x89PNG")
    (True, False)
    """
    mpeg = len(content) > 1 and content[0] == 0xFF and content[1] & 0xE6 == 0xE2  # a frame of layer III
    return is_wav(content) or content.startswith(_BEGINNINGS) or mpeg


def count_values(content: bytes, name: str) -> int:
    """Samples of all channels in a file, told from its header. Raises InputError for what is no sound, or empty."""
    _check_content(content, name)
    if is_wav(content):
        wav = parse_wav(content)
        if wav.plain:
            return len(wav.data) // wav.width
    with _opened(content, name) as file:
        return int(file.frames * file.channels)


def thumbnail(source: Any, side: int = THUMBNAIL_SIDE) -> bytes | None:
    """A JPEG of what sounds when, low notes below, at most `side` pixels wide; None where there is no sound.

    >>> Image.open(io.BytesIO(thumbnail((np.sin(np.arange(8000) * 0.3), 8000)))).size
    (96, 48)
    """
    try:
        sound = decode(source)
    except InputError:
        return None
    frames = log_mel(sound._replace(samples=sound.samples / np.abs(sound.samples).max()), _BANDS)
    decibels = 10 / np.log(10) * (frames - frames.max())
    picture = Image.fromarray(np.uint8(255 * np.clip(1 + decibels.T[::-1] / _RANGE, 0, 1)))
    packed = io.BytesIO()
    picture.resize((side, side // 2), Image.Resampling.BOX).save(packed, "JPEG", quality=80)
    return packed.getvalue()


def _read(path: Path) -> bytes:
    if not path.is_file():  # also keeps pipes and devices from being opened
        raise InputError(f"No sound at {path}: {'a folder' if path.is_dir() else 'no such file'}.")
    try:
        if path.stat().st_size > BYTES_LIMIT:
            raise InputError(f"{path} is larger than {BYTES_LIMIT // 10**6} MB: cut it into pieces.")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from error


def _from_bytes(content: bytes, name: str, values_limit: int) -> Sound:
    _check_content(content, name)
    if is_wav(content):
        try:
            wav = parse_wav(content)
        except InputError as error:
            raise InputError(f"Cannot read {name}: {error}") from error
        if wav.plain:
            _check_length(len(wav.data) // wav.width, wav.channels, wav.rate, name, values_limit)
            return _checked(read_wav(content), name)
    elif not begins_as_sound(content):
        raise InputError(f"{name} is not a sound: expected WAV, FLAC, Ogg, MP3 or AIFF.")
    with _opened(content, name) as file:
        values = file.frames * file.channels
        _check_length(values, file.channels, file.samplerate, name, values_limit)
        try:
            samples = file.read(values_limit // file.channels + 1, dtype="float32", always_2d=True)
        except Exception as error:  # decoders meet hostile bytes with exceptions of any kind
            raise InputError(f"Cannot decode {name}: {error} Replace or re-save the file.") from error
        _check_length(samples.size, file.channels, file.samplerate, name, values_limit)
        return _checked(Sound(samples.mean(axis=1, dtype=np.float64).astype(np.float32), file.samplerate), name)


def _check_content(content: bytes, name: str) -> None:
    if not content:
        raise InputError(f"{name} is empty: there is no sound in it.")


def _opened(content: bytes, name: str) -> Any:
    try:
        import soundfile
    except ModuleNotFoundError as error:
        raise refusal(error, f"{name} is no plain WAV file: reading it") or error from error
    try:
        return soundfile.SoundFile(io.BytesIO(content))
    except Exception as error:  # decoders meet hostile bytes with exceptions of any kind
        reason = str(getattr(error, "error_string", error)).rstrip(".")
        raise InputError(f"Cannot read {name} as a sound: {reason}.") from error


def _from_samples(samples: Any, rate: int, values_limit: int) -> Sound:
    array = as_array(samples)
    if array.ndim not in (1, 2) or not array.size or (array.ndim == 2 and array.shape[1] > array.shape[0]):
        raise InputError(f"Samples of shape {array.shape} are not a sound: expected (N,) or (N, channels).")
    if array.dtype.kind not in "if":
        raise InputError(f"Samples are floats or signed integers, not {array.dtype}.")
    _check_length(array.size, array.shape[1] if array.ndim == 2 else 1, rate, "the sound", values_limit)
    whole = array.dtype.kind == "i"
    values = array.astype(np.float64) / (2.0 ** (8 * array.dtype.itemsize - 1) if whole else 1.0)
    if not np.isfinite(values).all():
        raise InputError("The samples are not all finite: leave NaN and infinity out.")
    mono = values if values.ndim == 1 else values.mean(axis=1)
    return _checked(Sound(mono.astype(np.float32), rate), "the sound given as samples")


def _check_length(values: int, channels: int, rate: int, name: str, values_limit: int) -> None:
    if not RATES[0] <= rate <= RATES[1]:
        raise InputError(f"{name} has {rate:,} samples a second; {RATES[0]:,} to {RATES[1]:,} are read.")
    most = min(LONGEST, values_limit / channels / rate)
    if values > most * channels * rate:
        raise InputError(f"{name} lasts {values / channels / rate:,.0f} s; at most {most:,.0f} s of such a sound are "
                         "read: cut it into pieces.")


def _checked(sound: Sound, name: str) -> Sound:
    samples, rate = sound
    if len(samples) < SHORTEST * rate:
        raise InputError(f"{name} lasts {1000 * len(samples) / rate:.0f} ms; at least {1000 * SHORTEST:.0f} ms are "
                         "needed.")
    if not np.isfinite(samples).all():
        raise InputError(f"{name} holds samples that are not finite: record it again.")
    if samples.max() - samples.min() < 2 * SILENT:
        raise InputError(f"{name} is silent: nothing in it is louder than -80 dB. Check the microphone, or leave it"
                         " out.")
    return sound
