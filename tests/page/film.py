"""What the fake camera shows: a mug, a sunflower or a tent, drawn here, drifting a little as hands do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT, RATE, SECONDS = 320, 240, 10, 2
THINGS = {"mug": (200, 60, 40), "sunflower": (245, 195, 30), "tent": (40, 90, 190), "ball": (40, 160, 70),
          "box": (110, 70, 160)}
PLACE = (0.40, 0.62)  # where in the picture each thing shows its colour, as shares of width and height


def picture(thing: str, moment: float) -> Image.Image:
    """The thing at a moment in seconds, with a camera's noise."""
    rng = np.random.default_rng(int(1000 * moment))
    scene = Image.new("RGB", (640, 480), (222, 214, 200))
    pen = ImageDraw.Draw(scene)
    pen.rectangle((0, 360, 640, 480), fill=(150, 120, 90))
    x, y = 320 + 10 * np.sin(moment), 250 + 8 * np.cos(1.3 * moment)
    DRAWN[thing](pen, float(x), float(y))
    noisy = np.asarray(scene.resize((WIDTH, HEIGHT)), np.int16) + rng.normal(0, 4, (HEIGHT, WIDTH, 1))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def _mug(pen: ImageDraw.ImageDraw, x: float, y: float) -> None:
    pen.rounded_rectangle((x - 90, y - 120, x + 90, y + 120), 24, fill=THINGS["mug"])
    pen.ellipse((x + 70, y - 60, x + 160, y + 60), outline=THINGS["mug"], width=24)
    pen.rectangle((x - 90, y - 40, x + 90, y - 10), fill=(240, 230, 220))


def _sunflower(pen: ImageDraw.ImageDraw, x: float, y: float) -> None:
    for turn in np.linspace(0, 2 * np.pi, 13):
        left, top = x + 95 * np.cos(turn) - 38, y - 20 + 95 * np.sin(turn) - 38
        pen.ellipse((left, top, left + 76, top + 76), fill=THINGS["sunflower"])
    pen.ellipse((x - 65, y - 85, x + 65, y + 45), fill=(90, 55, 25))
    pen.rectangle((x - 8, y + 80, x + 8, 480), fill=(60, 130, 60))


def _tent(pen: ImageDraw.ImageDraw, x: float, y: float) -> None:
    pen.polygon([(x - 150, y + 90), (x + 150, y + 90), (x, y - 160)], fill=THINGS["tent"])
    pen.polygon([(x - 50, y + 90), (x + 50, y + 90), (x, y)], fill=(235, 240, 250))


def _ball(pen: ImageDraw.ImageDraw, x: float, y: float) -> None:
    pen.ellipse((x - 110, y - 110, x + 110, y + 110), fill=THINGS["ball"])
    pen.ellipse((x - 70, y - 80, x - 30, y - 40), fill=(235, 240, 235))


def _box(pen: ImageDraw.ImageDraw, x: float, y: float) -> None:
    pen.rectangle((x - 140, y - 70, x + 140, y + 110), fill=THINGS["box"])
    pen.line((x - 140, y - 10, x + 140, y - 10), fill=(30, 20, 50), width=10)


DRAWN = {"mug": _mug, "sunflower": _sunflower, "tent": _tent, "ball": _ball, "box": _box}


def shoot(file: Path, thing: str) -> Path:
    """Write a film of one drawn thing; see `write`."""
    return write(file, [picture(thing, i / RATE) for i in range(RATE * SECONDS)])


def write(file: Path, frames: list[Image.Image]) -> Path:
    """Write frames of one size as YUV4MPEG2, which Chromium takes for a camera.

    Chromium reads frame after frame from the file and begins anew at its end. Writing another film of the same size
    and length into the same file changes what is before the camera.
    """
    width, height = frames[0].size
    film = f"YUV4MPEG2 W{width} H{height} F{RATE}:1 Ip A1:1 C420jpeg\n".encode()
    film += b"".join(b"FRAME\n" + _planes(frame) for frame in frames)
    with file.open("r+b" if file.exists() else "xb") as out:
        out.write(film)
    return file


def _planes(image: Image.Image) -> bytes:
    """Y at full size, Cb and Cr at half, in video's range: 16 to 235 and 16 to 240 (ITU-R BT.601)."""
    luma, blue, red = (np.asarray(plane, np.float64) for plane in image.convert("YCbCr").split())
    planes = (16 + luma * 219 / 255, 128 + (blue - 128)[::2, ::2] * 224 / 255, 128 + (red - 128)[::2, ::2] * 224 / 255)
    return b"".join(plane.round().astype(np.uint8).tobytes() for plane in planes)
