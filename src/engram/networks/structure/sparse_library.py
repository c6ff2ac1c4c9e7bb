"""The compiled kernels: built with the user's C compiler when first needed, then kept in the cache."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from engram.files import making_folder, write_atomically

SOURCE = Path(__file__).with_name("sparse_kernels.c")
FLAGS = ("-std=gnu11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-w", "-fPIC", "-shared")
TUNING = (("-march=native",), ("-mcpu=native",), ())  # the first that the compiler understands
SECONDS = 120


class Library:
    """The functions of `sparse_kernels.c`. `run` lets other threads go on meanwhile; `run_short` does not, and
    starts sooner."""

    def __init__(self, path: Path) -> None:
        free, held = ctypes.CDLL(str(path)), ctypes.PyDLL(str(path))
        self.lanes = int(free.engram_lanes())
        self.run, self.run_short = free.engram_run, held.engram_run
        self.repeat, self.repeat_map = free.engram_repeat, free.engram_repeat_map
        for run in (self.run, self.run_short):
            run.argtypes, run.restype = [ctypes.c_void_p], None
        self.repeat.argtypes = [ctypes.c_void_p, ctypes.c_int32, *[ctypes.c_void_p] * 3, ctypes.c_int32]
        self.repeat_map.argtypes = [*[ctypes.c_void_p] * 3, ctypes.c_int32]
        self.repeat.restype = self.repeat_map.restype = None


@functools.cache
def library() -> Library | None:
    """The kernels, compiled now where the cache has none; None where there is no working C compiler."""
    compiler = find_compiler()
    if compiler is None:
        return None
    try:
        return Library(kept(compiler))
    except OSError:  # the cache cannot be written: use them without keeping them
        with tempfile.TemporaryDirectory() as folder:
            built = Path(folder) / "kernels.so"
            return Library(built) if build(compiler, built) else None
    except BuildError:
        return None


class BuildError(Exception):
    """The compiler is there, and does not compile the kernels."""


def find_compiler() -> str | None:
    """`$CC`, else the first of cc, gcc and clang on the path."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        found = shutil.which(name) if name else None
        if found:
            return found
    return None


def kept(compiler: str) -> Path:
    """The compiled kernels in the cache, built anew unless they are there and whole.

    The name stands for source, flags, processor and compiler. Beside them lies their SHA-256: a library that was
    cut short could take the process down when it is loaded, so it is held to that first.

    Raises:
        BuildError: the compiler cannot build them.
    """
    folder = cache_folder() / f"sparse-{key(compiler)}"
    path, digest = folder / "kernels.so", folder / "sha256"
    try:
        if digest.read_text() == _digest(path):
            return path
    except OSError:
        pass
    with making_folder(folder, replace=True) as part:
        if not build(compiler, part / "kernels.so"):
            raise BuildError(compiler)
        write_atomically(part / "sha256", _digest(part / "kernels.so").encode())
    return path


def build(compiler: str, path: Path) -> bool:
    """Compile for this processor; whether it worked."""
    for tuning in TUNING:
        command = [compiler, *FLAGS, *tuning, str(SOURCE), "-o", str(path)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
        except (OSError, subprocess.SubprocessError):
            return False
        if done.returncode == 0 and path.exists():
            return True
    return False


def key(compiler: str) -> str:
    """Sixteen hexadecimal digits for source, flags, processor and compiler."""
    try:
        told = subprocess.run([compiler, "--version"], capture_output=True, timeout=SECONDS, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        told = b""
    whole = b"\0".join((SOURCE.read_bytes(), repr((FLAGS, TUNING)).encode(), processor().encode(), told))
    return hashlib.sha256(whole).hexdigest()[:16]


def processor() -> str:
    """The processor's model and abilities, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("vendor_id", "cpu family", "model", "model name", "flags", "Features", "CPU part")
    named = (line.partition(":") for line in lines)
    return "\n".join(value.strip() for name, _, value in named if name.strip() in wanted)


def cache_folder() -> Path:
    """`kernels` in `$ENGRAM_CACHE`, else in `~/.cache/engram`."""
    return Path(os.environ.get("ENGRAM_CACHE") or "~/.cache/engram").expanduser() / "kernels"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
