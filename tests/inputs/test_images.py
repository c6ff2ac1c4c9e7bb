"""Pictures are decoded the same from any source, and hostile ones are refused by name."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engram.inputs.images import decode, each, scan
from engram.learner import InputError

RAMP = np.arange(6 * 4, dtype=np.uint8).reshape(6, 4) * 10
COLOURS = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("pixels", [RAMP, COLOURS], ids=["grey", "colour"])
def test_path_bytes_pillow_and_array_give_the_same_pixels(tmp_path: Path, pixels: np.ndarray) -> None:
    content = encoded(Image.fromarray(pixels))
    (tmp_path / "a.png").write_bytes(content)
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), content, Image.fromarray(pixels), pixels):
        assert np.array_equal(decode(source), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    # How the camera stores an upright picture under each tag (EXIF 2.3, "Orientation").
    stored = {
        1: COLOURS, 2: COLOURS[:, ::-1], 3: COLOURS[::-1, ::-1], 4: COLOURS[::-1], 5: COLOURS.transpose(1, 0, 2),
        6: np.rot90(COLOURS), 7: np.rot90(COLOURS.transpose(1, 0, 2), 2), 8: np.rot90(COLOURS, -1),
    }[orientation]
    content = encoded(Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    assert np.array_equal(decode(content), COLOURS)


def test_transparency_shows_white_paper() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = [0, 255, 51]
    expected = [[[255] * 3, [0] * 3, [204] * 3]]
    assert decode(Image.fromarray(rgba)).tolist() == expected
    assert decode(rgba).tolist() == expected
    assert np.allclose(decode(rgba / 255.0), expected)
    grey = Image.fromarray(rgba[:, :, 2:].copy(), "LA")
    assert decode(encoded(grey)).tolist() == [[255, 0, 204]]


def test_palettes_and_their_transparent_colour_are_resolved() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    assert decode(encoded(image)).tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert decode(encoded(image, transparency=1)).tolist() == [[[10, 20, 30], [255, 255, 255]]]


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bit_pictures_keep_their_brightness_and_their_finer_steps(form: str) -> None:
    deep = np.array([[0, 32768, 32769, 65535]], np.uint16)
    seen = decode(encoded(Image.fromarray(deep), form))
    assert np.allclose(seen, deep / 257.0)
    assert seen[0, 1] != seen[0, 2]


def test_black_and_white_cmyk_and_animations_are_read() -> None:
    assert decode(encoded(Image.new("1", (2, 2), 1))).tolist() == [[255, 255], [255, 255]]
    assert decode(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG")).shape == (8, 8, 3)
    frames = [Image.new("L", (2, 2), shade) for shade in (200, 0)]
    gif = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(gif).min() == 200


def test_arrays_of_other_types_are_brought_to_255() -> None:
    assert decode(np.eye(2, dtype=bool)).tolist() == [[255, 0], [0, 255]]
    assert decode(np.array([[0, 255]])).tolist() == [[0, 255]]
    assert np.allclose(decode(np.array([[0.0, 0.5, 1.0]])), [[0, 127.5, 255]])
    assert np.allclose(decode(np.array([[0.0, 8.0, 16.0]]), peak=16), [[0, 127.5, 255]])
    assert decode(np.zeros((3, 5, 1), np.uint8)).shape == (3, 5)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(5), np.zeros((2, 2, 2)), np.zeros((0, 4)), np.full((2, 2), 1.5), np.full((2, 2), -0.1),
        np.full((2, 2), np.nan), np.full((2, 2), np.inf), np.array([[256]]), np.array([[-1]]),
        np.array([["a"]]), np.zeros((2, 2), complex), np.zeros((2, 2, 3, 4)),
    ],
    ids=str,
)
def test_arrays_that_are_no_picture_are_refused(array: np.ndarray) -> None:
    with pytest.raises(InputError):
        decode(array)


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises a picture of any size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 99))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9_000, 12_000, 60_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused_from_its_header(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_claiming(side, side))
    with pytest.raises(InputError, match=r"bomb\.png.*pixels"):
        decode(path)


def test_the_pixel_limit_holds_for_every_source() -> None:
    for source in (encoded(Image.fromarray(RAMP)), Image.fromarray(RAMP), RAMP):
        assert decode(source, pixel_limit=24).shape == (6, 4)
        with pytest.raises(InputError, match="pixels"):
            decode(source, pixel_limit=23)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, form: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), form)
    path = tmp_path / "cut.bin"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"cut\.bin"):
        decode(path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # what Pillow thinks of the altered files
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_altered_bytes_give_a_picture_or_an_input_error_and_nothing_else(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"]))
    content = bytearray(encoded(Image.fromarray(COLOURS), form))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        picture = decode(bytes(content), pixel_limit=100_000)
    except InputError:
        return
    assert picture.ndim in (2, 3)
    assert 0 < picture.shape[0] * picture.shape[1] <= 100_000
    assert 0 <= picture.min() <= picture.max() <= 255


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_picture_are_refused(content: bytes) -> None:
    with pytest.raises(InputError, match="as a picture"):
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n" + content)


def test_what_is_not_a_file_is_refused_without_being_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        decode(tmp_path / "missing.png")
    with pytest.raises(InputError, match="a folder"):
        decode(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match="no such file"):
        decode(tmp_path / "pipe.png")  # opening it would wait for ever
    with pytest.raises(InputError):
        list(each(3.5))


@pytest.mark.parametrize(
    ("inputs", "count"),
    [
        (RAMP, 1), (COLOURS, 1), (np.zeros((7, 6, 8)), 7), (np.zeros((7, 6, 4, 3)), 7), (RAMP.tolist(), 1),
        (np.zeros((2, 6, 5)).tolist(), 2), ([RAMP, COLOURS], 2), ((RAMP for _ in "abc"), 3), (["a.png"], 1),
        ("a.png", 1), (b"...", 1), ([], 0),
    ],
)
def test_one_picture_or_many_are_told_apart(inputs: object, count: int) -> None:
    assert len(list(each(inputs))) == count


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(Image.fromarray(RAMP)))
    return path


def test_a_folder_per_class_gives_labels_in_sorted_order(tmp_path: Path) -> None:
    for name in ("dog/b.png", "dog/a.JPG", "cat/deep/er/x.webp", "cat/z.png"):
        picture(tmp_path / name)
    for clutter in (".git/a.png", "dog/.DS_Store", "dog/.hidden.png", "dog/notes.txt", "readme.md"):
        picture(tmp_path / clutter)
    paths, labels = scan(tmp_path)
    names = [str(path.relative_to(tmp_path)) for path in paths]
    assert names == ["cat/z.png", "cat/deep/er/x.webp", "dog/a.JPG", "dog/b.png"]
    assert labels == ["cat", "cat", "dog", "dog"]


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    expected = [picture(tmp_path / name) for name in ("a.png", "b.png", "c.png")]
    assert scan(tmp_path) == (expected, None)


def test_links_that_lead_back_are_not_followed_and_others_are(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", picture(tmp_path / "elsewhere/e.png")
    picture(root / "cat/a.png")
    (root / "cat/loop").symlink_to(root / "cat")
    (root / "cat/up").symlink_to(root)
    (root / "self").symlink_to(root)
    (root / "above").symlink_to(tmp_path)
    (root / "dog").symlink_to(elsewhere.parent)
    paths, labels = scan(root)
    assert [p.name for p in paths] == ["a.png", "e.png"]
    assert labels == ["cat", "dog"]


def test_folders_without_pictures_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No folder"):
        scan(tmp_path / "missing")
    with pytest.raises(InputError, match="No pictures"):
        scan(tmp_path)
    picture(tmp_path / "cat/a.png")
    (tmp_path / "dog").mkdir()
    with pytest.raises(InputError, match=r"dog.*remove the folder"):
        scan(tmp_path)
    picture(tmp_path / "stray.png")
    with pytest.raises(InputError, match=r"stray\.png.*beside"):
        scan(tmp_path)


def test_floats_up_to_255_are_refused_with_the_remedy() -> None:
    with pytest.raises(InputError, match="expected 0 to 1: divide them by 255, or pass uint8"):
        decode(np.full((4, 4), 200.0))
