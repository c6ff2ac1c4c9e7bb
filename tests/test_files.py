"""Files are written whole or not at all, for their owner alone, and what the target was is kept."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from engram import files
from engram.files import make_folder, making_folder, put_in_place, write_atomically, writing

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, modes and devices are those of POSIX")


@pytest.fixture(autouse=True)
def _usual_umask() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_and_a_new_folder_are_the_owners_alone(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    write_atomically(tmp_path / "a" / "b" / "c", b"private")
    assert [mode(tmp_path / part) for part in ("a", "a/b", "a/b/c")] == [0o700, 0o700, 0o600]


def test_a_file_that_is_made_to_be_given_away_gets_the_usual_mode(tmp_path: Path) -> None:
    write_atomically(tmp_path / "plot.svg", b"<svg/>", public=True)
    assert mode(tmp_path / "plot.svg") == 0o644


@pytest.mark.parametrize("public", [False, True])
@pytest.mark.parametrize("before", [0o600, 0o640, 0o644, 0o755])
def test_a_file_that_was_there_keeps_its_mode(tmp_path: Path, before: int, public: bool) -> None:
    target = tmp_path / "kept"
    target.write_bytes(b"old")
    target.chmod(before)
    write_atomically(target, b"new", public=public)
    assert (target.read_bytes(), mode(target)) == (b"new", before)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_file_that_was_there_keeps_its_owner(tmp_path: Path) -> None:
    target = tmp_path / "kept"
    target.write_bytes(b"old")
    os.chown(target, 1234, 2345)
    write_atomically(target, b"new")
    assert (target.stat().st_uid, target.stat().st_gid) == (1234, 2345)


def test_a_symbolic_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    for name in ("first", "second"):
        (tmp_path / name).symlink_to("disk/real" if name == "first" else "first")
    for content in (b"one", b"two"):  # a link to nothing yet, then to a file
        write_atomically(tmp_path / "second", content)
        assert (tmp_path / "disk" / "real").read_bytes() == content
    assert (tmp_path / "first").is_symlink()
    assert (tmp_path / "second").is_symlink()


def test_links_in_a_circle_are_refused_and_stay(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").is_symlink()


def test_a_named_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_atomically(pipe, b"x" * 200_000)
    reader.join(10)
    assert read == [b"x" * 200_000]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_pipe_that_nobody_reads_is_refused_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "READER_PATIENCE", 0.0)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="nobody reads"):
        write_atomically(tmp_path / "pipe", b"new")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_device_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "null").symlink_to("/dev/null")
    write_atomically(tmp_path / "null", b"gone")
    write_atomically("/dev/null", b"gone")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(OSError, match="No space left"):
        write_atomically("/dev/full", b"full")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path, b"new")


@pytest.mark.parametrize("opened", ["w", "a"])
def test_standard_output_is_written_to_where_it_goes(tmp_path: Path, opened: str) -> None:
    (tmp_path / "out").write_text("before,")
    code = "import engram.files as f; f.write_atomically('/dev/stdout', b'written'); print(',after')"
    with (tmp_path / "out").open(opened) as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out").read_text() == ("" if opened == "w" else "before,") + "written,after\n"


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"old")
    with suppress(RuntimeError), writing(tmp_path / "kept") as out:
        out.write(b"half")
        raise RuntimeError
    assert (tmp_path / "kept").read_bytes() == b"old"
    assert names(tmp_path) == ["kept"]


def test_the_error_names_the_target(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as told:
        write_atomically(tmp_path / "nowhere" / "file", b"new")
    assert told.value.filename == str(tmp_path / "nowhere" / "file")


def test_what_a_killed_program_left_half_written_is_removed(tmp_path: Path) -> None:
    stale, fresh = tmp_path / f".old{files.TEMPORARY}", tmp_path / f".new{files.TEMPORARY}"
    for file in (stale, fresh):
        file.write_bytes(b"half")
    os.utime(stale, (1, 1))
    write_atomically(tmp_path / "file", b"new")
    assert names(tmp_path) == [fresh.name, "file"]


def test_a_folder_that_is_being_filled_for_hours_stays(tmp_path: Path) -> None:
    with making_folder(tmp_path / "trained") as fresh:
        os.utime(fresh, (1, 1))
        write_atomically(tmp_path / "checkpoint", b"beside it")
        (fresh / "weights").write_bytes(b"at last")
    assert names(tmp_path) == ["checkpoint", "trained"]


def test_a_folder_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    with suppress(RuntimeError), making_folder(tmp_path / "made") as fresh:
        (fresh / "part").write_bytes(b"half")
        raise RuntimeError
    assert names(tmp_path) == []
    for content in (b"one", b"two"):
        with making_folder(tmp_path / "made") as fresh:
            (fresh / "part").write_bytes(content)
    assert (tmp_path / "made" / "part").read_bytes() == b"one"  # whoever was first stays
    assert mode(tmp_path / "made") == 0o700


def test_a_folder_that_is_replaced_keeps_its_mode_and_the_link_to_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o750)
    (tmp_path / "link").symlink_to("real")
    with making_folder(tmp_path / "link", replace=True) as fresh:
        (fresh / "part").write_bytes(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "part").read_bytes() == b"new"
    assert mode(tmp_path / "real") == 0o750
    assert names(tmp_path) == ["link", "real"]


def test_a_finished_file_is_put_where_a_link_points(tmp_path: Path) -> None:
    (tmp_path / "finished").write_bytes(b"new")
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    put_in_place(tmp_path / "finished", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert ((tmp_path / "real").read_bytes(), mode(tmp_path / "real")) == (b"new", 0o640)
