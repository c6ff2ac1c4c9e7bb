"""What a person may rely on: nothing is lost, nobody else teaches, and the page is readable everywhere."""

from __future__ import annotations

import http.server
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from driving import Brain, Server, Visitor, jpeg, until

from engram.server.tokens import add_token


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that a test may kill."""
    server = Server(tmp_path / "own")
    yield server
    server.stop()


def test_reloading_keeps_everything(visitor: Visitor, taught: Brain) -> None:
    page = visitor.visit(taught)
    page.locator(".card", has_text="mug").wait_for()
    page.get_by_role("link", name="History").click()
    page.locator("#entries li").first.wait_for()
    page.reload()
    page.locator("#entries li").first.wait_for()
    assert page.get_by_role("link", name="History").get_attribute("aria-current") == "page"
    page.get_by_role("link", name="Teach").click()
    until(lambda: page.locator(".card .count").all_inner_texts() == ["6", "6"])


def test_what_is_taught_while_the_server_is_away_arrives_once_when_it_is_back(
    open_page: Callable[..., Visitor], own_server: Server, tmp_path: Path
) -> None:
    brain = Brain(own_server, "brain")
    brain.teach("mug", "sunflower")
    page = open_page(own_server).visit(brain)
    page.locator(".card", has_text="mug").wait_for()
    file = tmp_path / "tent.jpg"
    file.write_bytes(jpeg("tent"))
    page.set_input_files("#choose-files", [file])
    page.locator("#answer[data-kind='unknown'], #answer[data-kind='known']").wait_for()
    own_server.stop(signal.SIGKILL)
    page.get_by_text("The server does not answer.").wait_for()
    page.fill("#new-name", "tent")
    page.get_by_role("button", name="Hold to teach", exact=True).click()
    page.get_by_text("1 example waiting").wait_for()
    own_server.start()
    until(lambda: brain.counts == {"mug": 6, "sunflower": 6, "tent": 1})
    until(lambda: page.locator("#away").is_hidden() and page.locator("#sending").is_hidden())
    page.locator(".card", has_text="tent").wait_for()


def test_an_answer_lost_on_the_way_is_asked_for_again_under_the_same_key(visitor: Visitor, taught: Brain) -> None:
    page = visitor.visit(taught)
    keys: list[str] = []
    network = page.context.new_cdp_session(page)

    def lose_the_first(answered: dict[str, Any]) -> None:
        keys.append(answered["request"]["headers"]["Idempotency-Key"])
        request = {"requestId": answered["requestId"]}
        if len(keys) == 1:
            network.send("Fetch.failRequest", {**request, "errorReason": "ConnectionReset"})
        else:
            network.send("Fetch.continueRequest", request)

    network.on("Fetch.requestPaused", lose_the_first)
    network.send("Fetch.enable", {"patterns": [{"urlPattern": "*/examples", "requestStage": "Response"}]})
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Pictures").click()
    chooser.value.set_files([{"name": "a.jpg", "mimeType": "image/jpeg", "buffer": jpeg("mug", 1.1)}])
    page.locator("#bars").get_by_role("button", name="mug").click()
    until(lambda: page.locator("#sending").is_hidden() and len(keys) == 2)
    assert keys[0] == keys[1]
    assert taught.counts == {"mug": 7, "sunflower": 6}


def test_a_foreign_page_cannot_teach(chromium: Any, taught: Brain, server: Server, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html><title>elsewhere</title>")
    handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    elsewhere = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *given: handler(*given, directory=str(tmp_path))
    )
    threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
    page = chromium.new_page()
    try:
        page.goto(f"http://127.0.0.1:{elsewhere.server_port}/")
        before = taught.get("info")["digest"]
        tried = page.evaluate(
            """async (url) => {
              const form = new FormData();
              form.append("label", "planted");
              form.append("images", new Blob(["x"]), "x.png");
              const json = JSON.stringify({ vectors: [[1, 2]], label: "planted" });
              const tries = [{ mode: "no-cors", body: json }, { mode: "no-cors", body: form },
                { mode: "cors", body: json, headers: { "Content-Type": "application/json" } }];
              const sent = (one) => fetch(url, { method: "POST", ...one }).then(({ type }) => type, () => "blocked");
              return Promise.all(tries.map(sent)); }""",
            f"{server.address}v1/brains/{taught.name}/examples")
        assert set(tried) <= {"blocked", "opaque"}
        assert taught.get("info")["digest"] == before
        assert "planted" not in taught.counts
    finally:
        page.close()
        elsewhere.shutdown()
        elsewhere.server_close()


def test_a_token_is_asked_for_and_one_that_only_asks_cannot_teach(
    open_page: Callable[..., Visitor], tmp_path: Path
) -> None:
    file = tmp_path / "tokens"
    admin, reader = add_token(file, "ada", "admin"), add_token(file, "rob", "ask")
    server = Server(tmp_path / "home", "--token-file", str(file))
    try:
        for given, teaches in ((admin, True), (reader, False)):
            visitor = open_page(server)
            page = visitor.page
            page.goto(server.address)
            page.get_by_label("Token", exact=True).fill(given)
            page.keyboard.press("Enter")
            page.locator("#brain-name", has_text="brain").wait_for()
            until(lambda page=page, teaches=teaches: page.locator("#new-class").is_visible() == teaches)
            for place in ("#to-unknowns", "#to-history", "#undo-button"):
                assert page.locator(place).is_visible() == teaches, place
            page.reload()
            page.locator("#brain-name", has_text="brain").wait_for()
            assert page.get_by_role("dialog").count() == 0
    finally:
        server.stop()


def test_a_brain_is_made_and_chosen(visitor: Visitor, taught: Brain) -> None:
    page = visitor.visit(taught)
    page.locator("#brain-button").click()
    page.get_by_role("menuitem", name="New brain…").click()
    name = f"{taught.name}-second"
    page.get_by_label("Name", exact=True).fill(name)
    page.keyboard.press("Enter")
    page.locator("#brain-name", has_text=name).wait_for()
    page.get_by_text("It learns while you watch.").wait_for()
    page.locator("#brain-button").click()
    page.get_by_role("menuitem", name=taught.name).first.click()
    page.locator(".card", has_text="mug").wait_for()


def test_a_refusal_of_the_server_is_shown_in_its_words(visitor: Visitor, taught: Brain) -> None:
    page = visitor.visit(taught)
    page.get_by_role("button", name="More about mug").click()
    page.get_by_role("menuitem", name="Rename…").click()
    page.get_by_label("New name").fill("sunflower")
    page.keyboard.press("Enter")
    page.locator(".toast.problem", has_text="sunflower").wait_for()
    assert taught.counts == {"mug": 6, "sunflower": 6}


def test_light_and_dark_follow_the_system_and_the_switch(open_page: Callable[..., Visitor], taught: Brain) -> None:
    page = open_page(color_scheme="dark").visit(taught)
    paper = lambda: page.evaluate("getComputedStyle(document.documentElement).backgroundColor")  # noqa: E731
    dark = paper()
    page.get_by_role("button", name="Switch to light").click()
    light = paper()
    assert brightness(dark) < 60 < 200 < brightness(light)
    page.reload()
    assert paper() == light
    page.get_by_role("button", name="Switch to dark").click()
    assert paper() == dark


def test_a_phone_shows_and_teaches_everything(open_page: Callable[..., Visitor], taught: Brain) -> None:
    visitor = open_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page = visitor.visit(taught)
    visitor.page.tap("#camera-on")
    visitor.show("mug")
    for view in ("teach", "unknowns", "map", "health", "history"):
        page.locator(f"#to-{view}").tap()
        page.locator("#refusing" if view == "health" else f"#{view}").wait_for()  # what comes last is there
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        boxes = [button.bounding_box() for button in page.locator("button:not(.text):visible").all()]
        assert min(min(box["width"], box["height"]) for box in boxes) >= 24  # WCAG 2.5.8
    page.locator("#to-teach").tap()
    page.tap("#camera-on")
    visitor.show("mug")
    hold = page.get_by_role("button", name="Hold to teach mug")
    assert hold.bounding_box()["height"] >= 44
    hold.tap()
    until(lambda: taught.counts["mug"] == 7)


def test_the_keyboard_reaches_everything_and_its_shortcuts_are_listed(visitor: Visitor, taught: Brain) -> None:
    page = visitor.visit(taught)
    page.locator(".card", has_text="sunflower").wait_for()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    dialog.get_by_text("Undo").wait_for()
    page.keyboard.press("Escape")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        named = "one => one.ariaLabel || one.textContent.trim()"
        reached.add(page.locator(":focus").evaluate(named) if page.locator(":focus").count() else "")
    assert {"Skip to the content", "History", "Undo", "Hold to teach sunflower", "More about mug"} <= reached


def brightness(colour: str) -> float:
    red, green, blue = (float(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
