"""Tensors out of PyTorch's files, without PyTorch and without running what else may be in them."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.features.backbones import torch_tensors
from engram.features.backbones.torch_tensors import MAGIC, PROTOCOL, read_tensors
from engram.learner import DamagedError, InputError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
LAYOUTS = pytest.mark.parametrize("archive", [True, False], ids=["archive", "stream"])


def saved(path: Path, content: Any, archive: bool) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=archive)
    return path


def varied() -> dict[str, Any]:
    """Tensors of every kind and layout."""
    base = torch.arange(24, dtype=torch.float32)
    kinds = (torch.float64, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
    return {
        **{str(kind): (torch.arange(6) % 2).reshape(2, 3).to(kind) for kind in kinds},
        "turned": base.reshape(4, 6).T, "part": base[5:11], "repeated": base[:3].expand(2, 3),
        "single": torch.tensor(7), "empty": torch.zeros(0, 3), "learned": torch.nn.Parameter(base[:4]),
    }


@LAYOUTS
def test_tensors_of_every_kind_and_layout_come_back_as_pytorch_reads_them(tmp_path: Path, archive: bool) -> None:
    path = saved(tmp_path / "w.pth", varied(), archive)
    expected, found = torch.load(path, weights_only=True), read_tensors(path)
    assert list(found) == list(expected)
    for name, array in found.items():
        assert array.dtype == expected[name].detach().numpy().dtype
        assert np.array_equal(array, expected[name].detach().numpy())
        assert array.flags.c_contiguous


@LAYOUTS
def test_a_networks_state_and_half_precision_of_another_kind_are_read(tmp_path: Path, archive: bool) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).to(torch.bfloat16)
    found = read_tensors(saved(tmp_path / "w.pth", network.state_dict(), archive))
    for name, tensor in network.state_dict().items():
        assert np.array_equal(found[name], tensor.float().numpy())


class Hostile:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


@LAYOUTS
@pytest.mark.parametrize("hidden", [
    lambda bad: {"a": torch.zeros(2), "b": bad}, lambda bad: {"a": [torch.zeros(2), {"b": bad}]}, lambda bad: bad,
    lambda bad: (bad, {"a": torch.zeros(2)}), lambda bad: {bad: torch.zeros(2)},
], ids=["beside", "deep", "alone", "before", "as a name"])
def test_nothing_in_a_file_is_ever_run(tmp_path: Path, archive: bool, hidden: Any) -> None:
    mark = tmp_path / "was-run"
    path = saved(tmp_path / "w.pth", hidden(Hostile(mark)), archive)
    with pytest.raises(DamagedError, match="could run code"):
        read_tensors(path)
    assert not mark.exists()


@LAYOUTS
@pytest.mark.parametrize("content", [
    {"epoch": 3, "state": {"a": torch.zeros(1)}}, [torch.zeros(1)], {}, "text", torch.zeros(2), {1: torch.zeros(1)},
], ids=str)
def test_what_is_no_dictionary_of_tensors_is_refused(tmp_path: Path, archive: bool, content: Any) -> None:
    with pytest.raises(DamagedError):
        read_tensors(saved(tmp_path / "w.pth", content, archive))


def stream(description: bytes, keys: list[Any], numbers: bytes = b"") -> bytes:
    """A file of the older layout around a description of one's own."""
    parts = [pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, {"little_endian": True})]
    return b"".join([*parts, description, pickle.dumps(keys, 2), numbers])


def tensor(offset: int, shape: tuple[int, ...], strides: tuple[int, ...], count: int = 4) -> bytes:
    """The description of {"a": tensor} with such numbers in it, by instructions of the pickle machine."""
    def integers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"

    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0kX\x03\0\0\0cpuJ"
    storage += struct.pack("<i", count) + b"NtQ"
    body = b"(" + storage + b"J" + struct.pack("<i", offset) + integers(shape) + integers(strides) + b"\x89Nt"
    return b"\x80\x02}X\x01\0\0\0actorch._utils\n_rebuild_tensor_v2\n" + body + b"Rs."


def numbers(count: int) -> bytes:
    return struct.pack("<q", count) + np.arange(count, dtype="<f4").tobytes()


def test_the_description_of_the_tests_own_making_is_read(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(stream(tensor(1, (2,), (2,)), ["k"], numbers(4)))
    assert read_tensors(tmp_path / "w.pth")["a"].tolist() == [1.0, 3.0]


@pytest.mark.parametrize("content", [
    stream(tensor(0, (5,), (1,)), ["k"], numbers(4)),
    stream(tensor(3, (2,), (1,)), ["k"], numbers(4)),
    stream(tensor(-1, (2,), (1,)), ["k"], numbers(4)),
    stream(tensor(0, (2,), (-1,)), ["k"], numbers(4)),
    stream(tensor(0, (2, 2), (1,)), ["k"], numbers(4)),
    stream(tensor(0, (1,) * 9, (1,) * 9), ["k"], numbers(4)),
    stream(tensor(0, (30_000, 30_000), (0, 0)), ["k"], numbers(4)),
    stream(tensor(0, (2**31 - 1,), (0,)), ["k"], numbers(4)),
    stream(tensor(0, (4,), (1,), 2**31 - 1), ["k"], numbers(4)),
    stream(tensor(0, (4,), (1,)), ["k"], numbers(3)),
    stream(tensor(0, (4,), (1,)), ["k", "k"], numbers(4)),
    stream(tensor(0, (4,), (1,)), ["other"], numbers(4)),
    stream(tensor(0, (4,), (1,)), [7], numbers(4)),
    stream(b"\x80\x02" + b"}" + b"((tq\0" + b"h\0h\0\x86q\0" * 60 + b"K\x01u.", ["k"]),
    stream(b"\x80\x02]q\0h\0a.", ["k"]),
    stream(b"\x80\x02r\xff\xff\xff\xff.", ["k"]), stream(b"\x80\x02h\x05.", ["k"]), stream(b"\x80\x02R.", ["k"]),
    stream(b"\x80\x02\x82\x01.", ["k"]), stream(b"\x80\x02(i__builtin__\neval\n.", ["k"]),
    stream(b"\x80\x02cbuiltins\neval\n.", ["k"]), stream(b"\x80\x02}}\x81.", ["k"]),
    stream(b"\x80\x04\x8c\x02os\x8c\x06system\x93.", ["k"]),
    stream(b"\x80\x02X\xff\xff\xff\x7fabc", ["k"]),
    pickle.dumps({"a": 1}), b"", b"PK\x03\x04", b"\x80\x02", pickle.dumps(MAGIC, 2),
], ids=lambda content: str(len(content)))  # fmt: skip
def test_hostile_files_are_refused_at_once(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(DamagedError):
        read_tensors(tmp_path / "w.pth")


@LAYOUTS
def test_a_file_that_was_cut_or_altered_is_refused_or_read_as_it_stands(tmp_path: Path, archive: bool) -> None:
    whole = saved(tmp_path / "w.pth", {"a": torch.arange(6.0), "b": torch.ones(2, 2)}, archive).read_bytes()
    rng = np.random.default_rng(0)
    cut = tmp_path / "cut.pth"
    for length in rng.integers(0, len(whole), 60):
        cut.write_bytes(whole[:length])
        with pytest.raises(DamagedError):
            read_tensors(cut)
    for _ in range(400):
        altered = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            altered[place] = rng.integers(256)
        cut.write_bytes(altered)
        try:
            found = read_tensors(cut)
        except DamagedError:
            continue
        assert all(isinstance(array, np.ndarray) for array in found.values())


def test_an_archive_that_unpacks_to_more_than_it_says_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = saved(tmp_path / "w.pth", {"a": torch.arange(6.0)}, True).read_bytes()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    def written(name: str, content: bytes) -> Path:
        with zipfile.ZipFile(tmp_path / "new.pth", "w", zipfile.ZIP_DEFLATED) as archive:
            for entry, old in entries.items():
                archive.writestr(entry, content if entry == name else old)
        return tmp_path / "new.pth"
    numbers, description = (next(e for e in entries if e.endswith(end)) for end in ("/data/0", "/data.pkl"))
    assert read_tensors(written("", b""))["a"].tolist() == list(range(6))
    monkeypatch.setattr(torch_tensors, "DESCRIPTION_LIMIT", 100_000)
    for name, content in ((numbers, bytes(100)), (numbers, b""), (description, entries[description] + bytes(200_000))):
        with pytest.raises(DamagedError):
            read_tensors(written(name, content))


def test_a_file_larger_than_allowed_is_refused_and_a_missing_one_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "w.pth", {"a": torch.zeros(100)}, True)
    monkeypatch.setattr(torch_tensors, "SIZE_LIMIT", 300)
    with pytest.raises(DamagedError, match="more than 300 bytes"):
        read_tensors(path)
    with pytest.raises(InputError, match="No file"):
        read_tensors(tmp_path / "none.pth")
