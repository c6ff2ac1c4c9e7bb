"""Photograph the page for the documentation: `python docs/photograph.py` writes `docs/page-*.webp`.

What is seen is drawn by the tests of the page; nothing of anybody's data is in it.
"""

from __future__ import annotations

import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "tests" / "page"))

from conftest import CHROMIUM, FLAGS  # noqa: E402
from driving import Brain, Server, Visitor, until  # noqa: E402
from film import shoot  # noqa: E402
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


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        film = shoot(Path(folder) / "thing.y4m", "mug")
        server = Server(Path(folder) / "home")
        flags = [*FLAGS, f"--use-file-for-fake-video-capture={film}"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            photograph(browser, server, film)
        finally:
            browser.close()
            server.stop()


if __name__ == "__main__":
    main()
