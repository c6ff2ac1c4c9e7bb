"""What the fake microphone hears: a low tone or a high one again and again, or a rush of noise."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np

RATE, SECONDS = 48_000, 2.0
TONES = {"low": 220.0, "high": 2600.0}


def sound(name: str, seed: int = 0, seconds: float = SECONDS) -> bytes:
    """A WAV file: two tones a second that swell and fade, or noise for any other name."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(RATE * seconds)) / RATE
    made = rng.normal(0, 0.2, len(time))
    if name in TONES:
        pitch = TONES[name] * rng.uniform(0.97, 1.03)
        made = 0.8 * np.sin(2 * np.pi * pitch * time) * np.sin(2 * np.pi * time) ** 2 + 0.003 * made
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((32767 * made.clip(-1, 1)).astype("<i2").tobytes())
    return out.getvalue()


def record(file: Path, name: str) -> Path:
    """Put a sound before the microphone: Chromium reads the file whenever it is turned on."""
    file.write_bytes(sound(name))
    return file
