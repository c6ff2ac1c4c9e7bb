"""Make the screenshots of the documentation, `docs/page-*.webp`.

    python docs/photograph.py            the pages that show drawn things
    python docs/photograph.py FOLDER     the page that shows photographs, from FOLDER: the folder `skimage/data` of
                                         the package scikit-image

The photographs are in the public domain (CC0): chelsea.png by Stéfan van der Walt, coffee.png by Rachel Michetti. The
drawn things come from the tests of the page.
"""

from __future__ import annotations

import sys
import tempfile
from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "tests" / "page"))

from conftest import CHROMIUM, FLAGS  # noqa: E402
from driving import Brain, Server, Visitor, until  # noqa: E402
from film import RATE, SECONDS, shoot, write  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

DESK = {"viewport": {"width": 1180, "height": 720}}
PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 1.5, "is_mobile": True, "has_touch": True}


def photograph(browser: Any, server: Server, film: Path) -> None:
    """A known thing before the camera; an unknown one, in the dark; a phone."""
    server.ask("POST", "brains", {"name": "things", "backbone": "descriptor"})
    things = Brain(server, "things")
    things.teach("mug", count=12)
    things.teach("sunflower", count=9)
    for name, how, thing in (
        ("teach", DESK, "sunflower"),
        ("unknown", {**DESK, "color_scheme": "dark"}, "tent"),
        ("phone", PHONE, "mug"),
    ):
        page = browser.new_page(**how)
        visitor = Visitor(page, server, film)
        visitor.visit(things)
        visitor.camera_on()
        visitor.show(thing)
        expected = "Nothing I know" if thing == "tent" else thing
        until(lambda page=page, expected=expected: page.locator("#verdict-label").inner_text() == expected)
        page.wait_for_timeout(1500)
        Image.open(BytesIO(page.screenshot())).save(DOCS / f"page-{name}.webp", quality=88, method=6)
        page.close()


def view(photograph: Path, turn: float) -> Image.Image:
    """A part of a photograph, 640×480 pixels, as a hand that moves a camera sees it.

    Args:
        turn: 0 to 1, which part.
    """
    with Image.open(photograph) as whole:
        width, height = whole.size
        share = 0.72 + 0.2 * np.cos(7 * turn)
        wide = int(share * min(width, height * 4 / 3))
        tall = wide * 3 // 4
        left = int((width - wide) * (0.5 + 0.4 * np.sin(11 * turn)))
        top = int((height - tall) * (0.5 + 0.4 * np.cos(5 * turn)))
        part = whole.convert("RGB").crop((left, top, left + wide, top + tall))
        return part.resize((640, 480), Image.Resampling.BICUBIC)


def photographs(playwright: Any, server: Server, folder: Path, source: Path) -> None:
    """A cat and a cup of coffee are taught from ten views each; the camera shows a view of the cat not among them."""
    known = {"cat": source / "chelsea.png", "coffee": source / "coffee.png"}
    server.ask("POST", "brains", {"name": "kitchen"})
    for label, path in known.items():
        pictures = []
        for i in range(10):
            file = BytesIO()
            view(path, i / 10).save(file, "JPEG", quality=95)
            pictures.append(b64encode(file.getvalue()).decode())
        server.ask("POST", "brains/kitchen/examples", {"images": pictures, "labels": [label] * 10})
    still = ImageOps.mirror(view(known["cat"], 0.27))
    film = write(folder / "cat.y4m", [still] * (RATE * SECONDS))
    flags = [*FLAGS, f"--use-file-for-fake-video-capture={film}"]
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
    page = browser.new_page(viewport={"width": 1180, "height": 745})
    visitor = Visitor(page, server, film)
    visitor.visit(Brain(server, "kitchen"))
    visitor.camera_on()
    until(lambda: page.locator("#verdict-label").inner_text() == "cat")
    page.wait_for_timeout(1500)
    Image.open(BytesIO(page.screenshot())).save(DOCS / "page-photographs.webp", quality=88, method=6)
    browser.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(Path(folder) / "home")
        if sys.argv[1:]:
            try:
                photographs(playwright, server, Path(folder), Path(sys.argv[1]))
            finally:
                server.stop()
            return
        film = shoot(Path(folder) / "thing.y4m", "mug")
        flags = [*FLAGS, f"--use-file-for-fake-video-capture={film}"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            photograph(browser, server, film)
        finally:
            browser.close()
            server.stop()


if __name__ == "__main__":
    main()
