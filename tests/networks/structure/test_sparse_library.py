"""The kernels are compiled once, kept, held to their SHA-256, and done without where nothing compiles them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engram.networks.structure import sparse_library
from engram.networks.structure.sparse_layers import Linear
from engram.networks.structure.sparse_network import SparseNetwork

needs_compiler = pytest.mark.skipif(sparse_library.find_compiler() is None, reason="there is no C compiler here")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty cache, and nothing loaded."""
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    sparse_library.library.cache_clear()
    yield tmp_path / "cache" / "kernels"
    sparse_library.library.cache_clear()


def answers() -> tuple[str, np.ndarray]:
    weight = np.zeros((3, 40), np.float32)
    weight[1, 7] = 2
    network = SparseNetwork([Linear(weight)])
    return network.explain(), network(np.ones((1, 40)))


def compilations(cache: Path) -> list[Path]:
    return list(cache.glob("sparse-*/kernels.so"))


@needs_compiler
def test_what_was_compiled_is_found_again(cache: Path) -> None:
    assert sparse_library.library() is not None
    made = compilations(cache)[0].stat()
    sparse_library.library.cache_clear()
    assert sparse_library.library() is not None
    assert compilations(cache)[0].stat() == made
    assert [path.name for path in cache.iterdir()] == [compilations(cache)[0].parent.name]  # nothing lies about


@needs_compiler
@pytest.mark.parametrize("left", [0, 100, 9000])
def test_a_library_that_was_cut_short_is_compiled_anew(cache: Path, left: int) -> None:
    sparse_library.kept(sparse_library.find_compiler() or "")  # not loaded: what is mapped must not shrink
    path = compilations(cache)[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:left])
    explained, out = answers()
    assert "numpy" not in explained
    assert out.tolist() == [[0, 2, 0]]
    assert len(path.read_bytes()) == len(whole)


@needs_compiler
def test_a_folder_without_its_digest_is_compiled_anew(cache: Path) -> None:
    folder = sparse_library.kept(sparse_library.find_compiler() or "").parent
    (folder / "sha256").unlink()
    assert sparse_library.library() is not None
    assert (folder / "sha256").exists()


def test_without_a_compiler_numpy_runs(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    explained, out = answers()
    assert "numpy" in explained
    assert out.tolist() == [[0, 2, 0]]


def test_with_a_compiler_that_fails_numpy_runs(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken-cc"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    explained, out = answers()
    assert "numpy" in explained
    assert out.tolist() == [[0, 2, 0]]
    assert compilations(cache) == []


@needs_compiler
def test_where_the_cache_cannot_be_written_the_kernels_are_used_all_the_same(cache: Path) -> None:
    cache.parent.write_text("a file where the folder should be")
    assert sparse_library.library() is not None


@needs_compiler
def test_the_source_compiles_without_a_warning(tmp_path: Path) -> None:
    command = [sparse_library.find_compiler(), *sparse_library.FLAGS, "-Wall", "-Wextra", "-Wno-psabi", "-Werror",
               str(sparse_library.SOURCE), "-o", str(tmp_path / "kernels.so")]
    command.remove("-w")
    for tuning in ([], ["-march=native"]):
        subprocess.run([*command, *tuning], check=True)


@needs_compiler
def test_kernels_for_a_plain_processor_give_the_same_answers(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_library, "TUNING", ((),))
    kernels = sparse_library.library()
    assert kernels is not None
    rng = np.random.default_rng(0)
    layer = Linear(np.where(rng.random((30, 90)) < 0.2, rng.normal(size=(30, 90)), 0).astype(np.float32), slope=0.01)
    network = SparseNetwork([layer])
    for count in (1, 20, 100):
        x = rng.normal(size=(count, 90)).astype(np.float32)
        np.testing.assert_allclose(network(x), layer.run(x), rtol=1e-5, atol=1e-5)


@needs_compiler
def test_processes_that_start_together_all_get_a_whole_library(cache: Path) -> None:
    code = "from engram.networks.structure.sparse_library import library; assert library().lanes in (0, 16)"
    started = [subprocess.Popen([sys.executable, "-c", code], env=os.environ.copy()) for _ in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]
    assert len(compilations(cache)) == 1
