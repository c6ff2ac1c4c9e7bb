"""What holds for the page as it is, whatever a person does on it."""

from __future__ import annotations

from pathlib import Path

from driving import Brain, Server, Visitor, until

import engram.server

PAGE = Path(engram.server.__file__).parent / "page"


def test_everything_has_a_name_for_a_screen_reader(visitor: Visitor, taught: Brain) -> None:
    taught.ask_about("tent", 2)
    for view in ("teach", "unknowns", "map", "health", "history"):
        page = visitor.visit(taught, view)
        page.locator(f"#{view}").wait_for()
        until(lambda page=page: page.locator("#brain-size").inner_text() != "")
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, a, input, textarea, [role=button]")]
              .filter((one) => one.checkVisibility())
              .filter((one) => !(one.ariaLabel || one.textContent.trim() || one.labels?.length))
              .map((one) => one.outerHTML)""")
        assert nameless == []
    assert page.locator("main, header, nav").count() == 3


def test_the_page_is_light_and_asks_nobody_else(visitor: Visitor, server: Server, brain: Brain) -> None:
    assert sum(file.stat().st_size for file in PAGE.rglob("*") if file.is_file()) < 190_000
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    visitor.visit(brain)
    visitor.page.wait_for_load_state("load")
    assert all(url.startswith((server.address, "blob:")) for url in asked)
