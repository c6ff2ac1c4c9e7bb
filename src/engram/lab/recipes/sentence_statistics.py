"""The statistics of `english-ngrams`: `python -m engram.lab.recipes.sentence_statistics WHEELS [FOLDER]`.

WHEELS is a folder with wheels of open voice assistants from the Python package index, as `pip download --no-deps` puts
them there: `home-assistant-intents` and the skills `ovos-skill-*`. They hold templates of what people ask, such as
"(play|put on) some music [please]", in a file for each intent. m0 and S0 are measured on sentences of these templates,
an intent being a class.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engram.features.backbones.backbone import Backbone
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.bundle_folder import packaged_folder
from engram.features.backbones.compact_statistics import statistics_file
from engram.features.backbones.hashed_ngrams import HashedNgrams
from engram.files import make_folder, write_atomically
from engram.inputs.text import as_texts
from engram.learner import InputError

PER_INTENT, PER_TEMPLATE = 150, 4
"""How many sentences are drawn of an intent, and of one template at most."""

_DEPTH = 40  # alternatives and rules within each other
_CHOICE = re.compile(r"\(([^()\[\]]*)\)|\[([^()\[\]]*)\]")
_RULE = re.compile(r"<([A-Za-z0-9_]+)>")
_BLANKS = re.compile(r"<[^>]*>|\{[^}]*\}|[()\[\]]")


def sentences(wheels: Path) -> dict[str, list[str]]:
    """Up to `PER_INTENT` sentences of each intent in the wheels, at least two; the same for the same wheels.

    Raises:
        InputError: there are no such wheels.
    """
    found: dict[str, list[str]] = {}
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for intent, template in _templates(archive):
                found.setdefault(f"{wheel.name.partition('-')[0]} {intent}", []).append(template)
    rng = random.Random(0)  # a draw that anybody can repeat
    drawn = {intent: _drawn(templates, rng) for intent, templates in sorted(found.items())}
    drawn = {intent: texts for intent, texts in drawn.items() if len(texts) > 1}
    if not drawn:
        raise InputError(f"{wheels} holds no wheel with templates of sentences: run pip download --no-deps "
                         "home-assistant-intents ovos-skill-weather … there first.")
    return drawn


def _templates(archive: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    """(intent, template) of a wheel."""
    for name in sorted(archive.namelist()):
        if name.endswith(".intent") and "/en-us/" in name.lower():
            for line in archive.read(name).decode("utf-8", "replace").splitlines():
                if line.strip() and not line.startswith("#"):
                    yield Path(name).stem, line.strip()
        elif name == "home_assistant_intents/data/en.json":
            yield from _of_home_assistant(json.loads(archive.read(name)))


def _of_home_assistant(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    rules = data.get("expansion_rules", {})
    for intent, content in sorted(data["intents"].items()):
        for template in (text for part in content["data"] for text in part["sentences"]):
            for _ in range(_DEPTH):
                if not _RULE.search(template):
                    break
                template = _RULE.sub(lambda found: f"({rules.get(found[1], '')})", template)
            yield intent, template


def _drawn(templates: list[str], rng: random.Random) -> list[str]:
    """Different sentences of these templates, in any order."""
    texts = sorted({text for template in templates for text in _spoken(template, rng)})
    rng.shuffle(texts)
    return texts[:PER_INTENT]


def _spoken(template: str, rng: random.Random) -> set[str]:
    """Some sentences of a template: one of the (alternatives), [with or without] what may be left out; slots go."""
    found = set()
    for _ in range(3 * PER_TEMPLATE):
        text = template
        for _ in range(_DEPTH):
            choice = _CHOICE.search(text)
            if choice is None:
                break
            options = choice[1].split("|") if choice[1] is not None else [*choice[2].split("|"), ""]
            text = text[: choice.start()] + rng.choice(options) + text[choice.end() :]
        text = " ".join(_BLANKS.sub(" ", text).split())
        if text:
            found.add(text)
        if len(found) == PER_TEMPLATE:
            break
    return found


def measured(backbone: Backbone, drawn: dict[str, list[str]]) -> Bundle:
    """The bundle of a backbone with m0 and S0 from sentences of each intent."""
    texts = as_texts([text for some in drawn.values() for text in some])
    return Bundle.measure(backbone, texts, [intent for intent, some in drawn.items() for _ in some])


def card(wheels: Path, drawn: dict[str, list[str]]) -> dict[str, object]:
    """Where the statistics come from, as JSON values."""
    files = {wheel.name: wheel.read_bytes() for wheel in sorted(wheels.glob("*.whl"))}
    return {
        "statistics": f"m0 and S0 of {sum(map(len, drawn.values()))} sentences of {len(drawn)} intents, out of the "
                      "templates of open voice assistants (Apache-2.0, MIT and BSD-3-Clause)",
        "wheels": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "command": "python -m engram.lab.recipes.sentence_statistics WHEELS",
    }


def main() -> None:
    """Write statistics and card into the package, or into the folder that is given."""
    wheels, folder = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else packaged_folder() / "english-ngrams"
    drawn = sentences(wheels)
    bundle = measured(HashedNgrams(), drawn)
    assert bundle.covariance is not None
    assert bundle.freedom is not None
    make_folder(folder)
    files = {
        "statistics.safetensors": statistics_file(bundle.mean, bundle.covariance, bundle.freedom),
        "card.json": (json.dumps(card(wheels, drawn), indent=1, ensure_ascii=False) + "\n").encode(),
    }
    for name, content in files.items():
        write_atomically(folder / name, content, public=True)
    print(f"{folder}: {bundle.width} features of {sum(map(len, drawn.values()))} sentences")


if __name__ == "__main__":
    main()
