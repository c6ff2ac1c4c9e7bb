"""The statistics of `log-mel` and `speech`: `python -m engram.lab.recipes.sound_statistics NAME [FOLDER]`.

m0 and S0 are measured on sounds that programs make: words, spoken by the speech synthesiser espeak-ng in many voices,
and noises such as hums, clicks, chirps, bells and sirens. A word, or a noise with its own frequencies and rhythm, is a
class; its examples differ in voice, speed, room, background and sampling rate. No word is a digit. The program
`espeak-ng` must be installed (on Debian: apt-get install espeak-ng).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engram.features.backbones import log_mel, speech_embedding
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.bundle_folder import packaged_folder
from engram.features.backbones.compact_statistics import statistics_file
from engram.features.backbones.log_mel import MelSegments
from engram.files import make_folder, write_atomically
from engram.inputs.audio import Sound, quick_length, read_wav, resampled
from engram.learner import InputError

WORDS = tuple(re.findall(
    r"\w+",
    "apple bridge candle dragon engine forest garden hammer island jacket kettle ladder market needle orange pencil "
    "quarter river silver table umbrella valley window yellow zebra anchor basket copper desert eagle feather glass "
    "honey iron jungle kitchen lemon mirror night ocean paper queen rocket sugar tiger uncle violin water box yard "
    "start stop left right up down go back open close lamp door light music play pause next red green blue black white "
    "coffee bread milk tea cat dog bird house tree happy bed follow forward visual cold warm louder quiet morning "
    "evening bedroom alarm timer camera radio volume channel repeat cancel yes no on off",
))
NOISES = 80
"""Classes of noises, as many of each kind."""

TAKES = 12
"""Examples of each class."""

FREEDOM = {log_mel.NAME: 400, speech_embedding.NAME: 2035}
"""What the statistics count for, as if measured on so many recordings less classes. Of takes 0 to 4 of spoken digits,
one of each taught, `speech` tells 72.5% apart without statistics, and 75.8, 76.6, 77.8, 78.6, 79.5, 80.2 and 80.5% with
them, where they count for 50, 100, 200, 400, 800, 1,600 and 3,200: so they count for what they were measured on. Mel
bands of programs vary less than those of people: there they count for less."""

VOICES = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-gb-x-gbclan")
VARIANTS = ("", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7", "+f1", "+f2", "+f3", "+f4", "+f5", "+croak", "+klatt",
            "+klatt2", "+klatt3", "+steph", "+Andy", "+Lee", "+Denis", "+Alicia")

Samples = npt.NDArray[np.float64]
Generator = np.random.Generator


def spoken(word: str, rng: Generator) -> Sound:
    """A word in one of the voices, at one of many speeds and pitches.

    Raises:
        InputError: espeak-ng is not installed, or fails.
    """
    voice = str(rng.choice(VOICES)) + str(rng.choice(VARIANTS))
    command = ["espeak-ng", "-v", voice, "-s", str(rng.integers(110, 230)), "-p", str(rng.integers(15, 85)), "--stdout"]
    made = subprocess.run([*command, word], capture_output=True, check=False).stdout
    # it does not know the length beforehand, and writes another into the header
    return read_wav(made[:40] + (len(made) - 44).to_bytes(4, "little") + made[44:])


def noise(place: int, rng: Generator) -> Sound:
    """An example of a class of noises; the class alone decides its frequencies and rhythm, within a few percent."""
    of_class = np.random.default_rng(place)
    rate = int(rng.choice([16_000, 22_050, 32_000]))
    time = np.arange(int(rate * rng.uniform(0.5, 3))) / rate
    pitch = float(np.exp(of_class.uniform(np.log(80), np.log(3000))) * rng.uniform(0.95, 1.05))
    rhythm = float(np.exp(of_class.uniform(np.log(1.5), np.log(15))) * rng.uniform(0.85, 1.15))
    made = _KINDS[place % len(_KINDS)](time, pitch, rhythm, of_class, rng)
    return Sound((made / np.abs(made).max()).astype(np.float32), rate)


def _coloured(length: int, slope: float, rng: Generator) -> Samples:
    """Noise whose power falls with the frequency to the power `slope`."""
    size = quick_length(length)
    spectrum = np.fft.rfft(rng.normal(size=size)) * np.maximum(np.arange(size // 2 + 1), 1) ** (-slope / 2)
    made = np.fft.irfft(spectrum)[:length]
    return np.asarray(made / made.std())


def _band(time: Samples, low: float, high: float, rng: Generator) -> Samples:
    """Noise about the middle of two frequencies."""
    size = quick_length(len(time))
    places = np.fft.rfftfreq(size, time[1])
    shape = np.exp(-2 * (np.log((places + 1) / np.sqrt(low * high)) / np.log(high / low)) ** 2)
    made = np.fft.irfft(np.fft.rfft(rng.normal(size=size)) * shape)[: len(time)]
    return np.asarray(made / made.std())


def _rush(time: Samples, pitch: float, rhythm: float, own: Generator, rng: Generator) -> Samples:
    return _coloured(len(time), own.uniform(0, 2), rng)


def _hum(time: Samples, pitch: float, rhythm: float, own: Generator, rng: Generator) -> Samples:
    tones = (np.sin(2 * np.pi * pitch * n * time + rng.uniform(0, 6)) * own.uniform(0.1, 1) / n for n in range(1, 8))
    return np.asarray(sum(tones) + 0.05 * rng.normal(size=len(time)))


def _clicks(time: Samples, pitch: float, rhythm: float, own: Generator, rng: Generator) -> Samples:
    since = (time + rng.uniform(0, 1 / rhythm)) % (1 / rhythm)
    return np.asarray(np.exp(-since * own.uniform(40, 200)) * _band(time, pitch, 2 * pitch, rng))


def _chirps(time: Samples, pitch: float, rhythm: float, own: Generator, rng: Generator) -> Samples:
    phase = (time * rhythm) % 1
    tone = np.sin(2 * np.pi * np.cumsum(pitch * own.uniform(0.3, 3) ** phase) * time[1])
    return np.asarray(tone * (phase < 0.7) + 0.02 * rng.normal(size=len(time)))


def _hiss(time: Samples, pitch: float, rhythm: float, own: Generator, rng: Generator) -> Samples:
    return _band(time, pitch, pitch * own.uniform(1.3, 4), rng)


def _waves(time: Samples, pitch: float, rhythm: float, own: Generator, rng: Generator) -> Samples:
    swell = (1 + np.sin(2 * np.pi * rhythm * time + rng.uniform(0, 6))) ** 2
    return np.asarray(_coloured(len(time), own.uniform(0, 2), rng) * swell)


def _bell(time: Samples, pitch: float, rhythm: float, own: Generator, rng: Generator) -> Samples:
    after = np.maximum(0, time - rng.uniform(0, 0.2))
    tones = (np.sin(2 * np.pi * pitch * own.uniform(1, 5) * after) * np.exp(-after * own.uniform(2, 12))
             for _ in range(6))
    return np.asarray(sum(tones) + 0.01 * rng.normal(size=len(time)))


def _siren(time: Samples, pitch: float, rhythm: float, own: Generator, rng: Generator) -> Samples:
    swing = 1 + 0.4 * np.sin(np.pi / 2 * rhythm * time + rng.uniform(0, 6))
    return np.asarray(np.sin(2 * np.pi * np.cumsum(pitch * swing) * time[1]) + 0.05 * rng.normal(size=len(time)))


def _bang(time: Samples, pitch: float, rhythm: float, own: Generator, rng: Generator) -> Samples:
    after = time - rng.uniform(0, 0.3)
    fading = np.where(after > 0, np.exp(-np.maximum(after, 0) * own.uniform(3, 30)), 0)
    return np.asarray(fading * _coloured(len(time), own.uniform(0, 2), rng) + 0.01 * rng.normal(size=len(time)))


def _motor(time: Samples, pitch: float, rhythm: float, own: Generator, rng: Generator) -> Samples:
    turn = np.sin(2 * np.pi * own.uniform(20, 90) * rng.uniform(0.9, 1.1) * time)
    blows = np.convolve(np.sign(turn) * np.abs(turn) ** 8, _band(time[:64], pitch / 2, pitch, rng), "same")
    return np.asarray(blows + 0.1 * _coloured(len(time), 1.0, rng))


_KINDS = (_rush, _hum, _clicks, _chirps, _hiss, _waves, _bell, _siren, _bang, _motor)


def recorded(sound: Sound, rng: Generator) -> Sound:
    """As a microphone may have it: in some room, before some noise, between some silence, at some sampling rate."""
    rate = sound.rate
    before, after = (np.zeros(int(rng.uniform(0, 0.3) * rate)) for _ in range(2))
    samples = np.concatenate([before, sound.samples, after])
    samples = np.convolve(samples, [1, rng.uniform(-0.6, 0.6)])[: len(samples)]
    if rng.random() < 0.4:
        delay = int(rng.uniform(0.005, 0.05) * rate)
        samples[delay:] += rng.uniform(0.1, 0.5) * samples[:-delay]
    level = samples.std() * 10 ** (-rng.uniform(10, 50) / 20)
    samples += level * _coloured(len(samples), float(rng.integers(0, 2)), rng)
    wanted = int(rng.choice([8_000, 8_000, 16_000, rate]))
    if wanted < rate:
        samples, rate = resampled(Sound(samples.astype(np.float32), rate), wanted)
    return Sound((samples / np.abs(samples).max()).astype(np.float32), rate)


def examples(takes: int = TAKES) -> tuple[list[Sound], list[str]]:
    """The sounds, and the class of each; the same for the same version of espeak-ng.

    Raises:
        InputError: espeak-ng is not installed, or fails.
    """
    if shutil.which("espeak-ng") is None:
        raise InputError("espeak-ng is not installed. On Debian: apt-get install espeak-ng.")
    sounds, names = [], []
    for place, name in enumerate((*WORDS, *(f"noise {n}" for n in range(NOISES)))):
        for take in range(takes):
            rng = np.random.default_rng((place, take))
            made = spoken(name, rng) if place < len(WORDS) else noise(place - len(WORDS), rng)
            sounds.append(recorded(made, rng))
            names.append(name)
    return sounds, names


def measured(name: str, sounds: list[Sound], names: list[str]) -> Bundle:
    """The backbone of this name with statistics of these sounds."""
    if name == log_mel.NAME:
        return Bundle.measure(MelSegments(), sounds, names, step=log_mel.STEP, normalise=False)
    return Bundle.measure(speech_embedding.speech_embedding(), sounds, names)


def main() -> None:
    """Write statistics and card into the package, or into the folder that is given."""
    name = sys.argv[1]
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else packaged_folder() / name
    sounds, names = examples()
    bundle = measured(name, sounds, names)
    assert bundle.covariance is not None
    before = folder / "card.json"
    known = json.loads(before.read_bytes()) if before.exists() else {}
    version = subprocess.run(["espeak-ng", "--version"], capture_output=True, text=True, check=True).stdout
    card = known | {
        "statistics": f"m0 and S0 of {len(sounds)} sounds made by programs: {len(WORDS)} words and {NOISES} noises, "
                      f"{TAKES} takes of each. They count as if measured on {FREEDOM[name]} recordings.",
        "speech": version.partition("Data at")[0].strip(),
        "command": f"python -m engram.lab.recipes.sound_statistics {name}",
    }
    make_folder(folder)
    files = {
        "statistics.safetensors": statistics_file(bundle.mean, bundle.covariance, FREEDOM[name]),
        "card.json": (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode(),
    }
    for file, content in files.items():
        write_atomically(folder / file, content, public=True)
    print(f"{folder}: {bundle.width} features of {len(sounds)} sounds")


if __name__ == "__main__":
    main()
