"""The documentation is true: its examples run, its numbers and command texts are current, it builds."""

from __future__ import annotations

import doctest
import json
import os
import posixpath
import re
import subprocess
import sys
import wave
from pathlib import Path
from types import ModuleType

import numpy as np
import public_names
import pytest
from PIL import Image
from sphinx.util.inventory import InventoryFile

from engram.lab.experiments import Figure
from engram.learner import FloatArray

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(page: Path, *languages: str) -> list[str]:
    return [code for language, code in BLOCK.findall(page.read_text(encoding="utf-8")) if language in languages]


def with_blocks(*languages: str) -> list[object]:
    return [pytest.param(page, id=page.name) for page in PAGES if blocks(page, *languages)]


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the examples run: two folders of pictures, `photos/KIND/` and `new-photos/`, drawn here; likewise
    `sounds/KIND/` and `new-sounds/`; and sentences."""
    for kind, colour in {"sunflower": (240, 200, 30), "fern": (30, 140, 50), "iris": (90, 60, 190)}.items():
        rng = np.random.default_rng(len(kind))
        for i in range(9):
            folder = tmp_path / ("photos" if i < 8 else "new-photos") / (kind if i < 8 else "")
            folder.mkdir(parents=True, exist_ok=True)
            pixels = rng.normal(128, 10, (96, 96, 3))
            top, left, size = (20, 20, 52) if i == 8 else rng.integers((10, 10, 45), (30, 30, 60))
            pixels[top : top + size, left : left + size] = rng.normal(colour, 10, (size, size, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{kind}-{i}.png")
    sentences = {"music": "play some jazz\nput on a song\nplay the new album\nturn the music up\n",
                 "alarm": "wake me at seven\nset an alarm for noon\nalarm in ten minutes\ncancel my alarm\n"}
    (tmp_path / "intents").mkdir()
    for label, lines in sentences.items():
        (tmp_path / "intents" / f"{label}.txt").write_text(lines)
    (tmp_path / "questions.txt").write_text("play an old song\nset an alarm for six\n")
    time, rng = np.arange(4000) / 8000, np.random.default_rng(0)
    for kind, hertz in {"bell": 1900, "drill": 300, "knock": 90}.items():
        for i in range(5):
            folder = tmp_path / ("sounds" if i < 4 else "new-sounds") / (kind if i < 4 else "")
            folder.mkdir(parents=True, exist_ok=True)
            tone = np.sin(2 * np.pi * hertz * rng.uniform(0.98, 1.02) * time)
            write_wav(folder / f"{kind}-{i}.wav", tone + rng.normal(0, 0.05, 4000))
    write_wav(tmp_path / "new-sounds" / "siren.wav", np.sin(2 * np.pi * (300 + 3000 * time) * time))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_wav(file: Path, samples: FloatArray) -> None:
    with wave.open(str(file), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes((20_000 * samples).astype("<i2").tobytes())


@pytest.fixture(scope="session")
def generate() -> ModuleType:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import generate
    finally:
        sys.path.remove(str(ROOT / "docs"))
    return generate


@pytest.mark.parametrize("page", with_blocks("python", "pycon", "console"))
def test_the_examples_of_a_page_run_from_top_to_bottom_in_one_folder(page: Path, terminal: Path) -> None:
    names: dict[str, object] = {"__name__": "example"}
    for number, (language, code) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")), 1):
        where = f"{page.name}, example {number}"
        if language == "console":
            run_as_typed(code, terminal)
        elif language in ("python", "pycon") and ">>>" in code:
            test = doctest.DocTestParser().get_doctest(code, names, where, str(page), 0)
            said: list[str] = []
            runner = doctest.DocTestRunner(optionflags=OPTIONS)
            assert runner.run(test, out=said.append, clear_globs=False).failed == 0, "".join(said)
            names.update(test.globs)
        elif language == "python":
            exec(compile(code, where, "exec"), names)


@pytest.fixture
def terminal(pictures: Path) -> Path:
    """A folder with `engram` in its `bin`, as the terminal's examples call it."""
    program = pictures / "bin" / "engram"
    program.parent.mkdir()
    program.write_text(f'#!{sys.executable}\nfrom engram.cli import main\nmain()\n')
    program.chmod(0o755)
    return pictures


def run_as_typed(code: str, folder: Path) -> None:
    """Run the lines after `$`; the others have to be among what is said."""
    done = subprocess.run(
        ["bash", "-euc", "\n".join(line[2:] for line in code.splitlines() if line.startswith("$ "))],
        capture_output=True, text=True, check=False, cwd=folder,
        env=os.environ | {"PATH": f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    expected = [line for line in code.splitlines() if line[:2] not in ("$ ", "")]
    missing = [line for line in expected if " ".join(line.split()) not in " ".join(done.stdout.split())]
    assert missing == [], done.stdout


def test_what_is_generated_is_current(generate: ModuleType) -> None:
    assert [path.name for path in generate.stale()] == [], "run: python docs/generate.py"


def test_a_number_that_changed_makes_its_page_stale(generate: ModuleType) -> None:
    figures = json.loads('{"a.b": {"mean": 98.9, "sd": 0.1, "n": 5, "unit": "%", "published": 98.22, "source": "X"}}')
    page = (
        "It reaches <!-- figure a.b -->97.00%<!-- /figure -->.\n"
        "<!-- figures\na.b | after 5\n-->\nold\n<!-- /figures -->"
    )
    new = generate.with_numbers(page, figures)
    assert "It reaches <!-- figure a.b -->98.90 ± 0.10%<!-- /figure -->." in new
    assert "| after 5 | 98.90 ± 0.10% | 98.22% (X) |" in new
    assert "old" not in new
    assert generate.with_numbers(new, figures) == new


def test_a_missed_floor_is_shown_as_missed_beside_its_number_and_listed(generate: ModuleType) -> None:
    floors = {"a.held": Figure("held", "%", at_least=98), "a.missed": Figure("missed", "points", at_most=10),
              "a.absent": Figure("absent", "flag", at_least=1), "a.reported": Figure("reported", "%")}
    figure = {"sd": 0.0, "n": 1, "published": None, "source": None}
    figures = {"a.held": figure | {"mean": 99.0, "unit": "%"}, "a.missed": figure | {"mean": 12.5, "unit": "points"}}
    page = "<!-- figures\na.held | one\na.missed | two\n-->\n<!-- /figures -->\n<!-- floors -->\n<!-- /floors -->"
    new = generate.with_floors(generate.with_numbers(page, figures, floors), figures, floors)
    assert "| one | 99% |  |" in new
    assert "| two | 12.50 points, **missed: at most 10 points** |  |" in new
    assert "Of 3 floors 1 hold, 1 are missed and 1 are not measured yet." in new
    assert "| `a.missed` | 12.50 points | at most 10 points |" in new
    assert "| `a.absent` | not measured yet | yes |" in new


def test_a_plot_is_shown_where_there_is_one(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "one.svg").touch()
    page = "<!-- plot one | First -->\n<!-- /plot -->\n<!-- plot two | Second -->\n<!-- /plot -->"
    assert re.findall(r"!\[.*", generate.with_plots(page, tmp_path / "docs")) == ["![First](../results/one.svg)"]


def test_a_comment_that_is_never_closed_is_refused(generate: ModuleType) -> None:
    with pytest.raises(ValueError, match="closing"):
        generate.with_numbers("<!-- figure a.b -->97%", {})


def test_every_command_is_in_the_reference(generate: ModuleType) -> None:
    written = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [name for name in generate.names(generate.app.COMMANDS) if f"## engram {name}\n" not in written] == []


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{page.name}: {target}"
        for page in [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md"]
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation, built without the pages of source code, which say nothing that is not in the code."""
    folder = tmp_path_factory.mktemp("html")
    options = ["-q", "-W", "--keep-going", "-t", "quick", "-b", "html"]
    command = [sys.executable, "-m", "sphinx", *options, "docs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_documentation_builds_without_a_warning(built: Path) -> None:
    assert (built / "index.html").stat().st_size > 1000


def test_every_public_name_is_on_a_page(built: Path) -> None:
    with (built / "objects.inv").open("rb") as inventory:
        kinds = InventoryFile.load(inventory, "", posixpath.join)
    shown = {name for kind, names in kinds.items() if kind.startswith("py:") for name in names}
    assert public_names.undocumented(shown) == []
    assert public_names.undocumented(shown - {"engram.brain.Brain.predict"}) != []
