"""What a person does on the page with what was taught: name, correct, undo, forget, go back, meld, export."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from driving import Brain, Server, Visitor, base64, jpeg, until, written

from engram.brain.both_errors import percent


def test_a_pile_of_unknowns_is_named_by_keyboard(visitor: Visitor, taught: Brain) -> None:
    taught.ask_about("tent", 4)
    page = visitor.visit(taught)
    until(lambda: page.locator("#unknown-badge").inner_text() == "4")
    page.keyboard.press("u")
    page.locator(".pile").first.wait_for()
    until(lambda: page.evaluate("document.activeElement.placeholder") == "What is this?")
    while taught.get("unknowns")["groups"]:
        before = taught.counts.get("tent", 0)
        page.keyboard.type("tent")
        page.keyboard.press("Enter")
        until(lambda before=before: taught.counts.get("tent", 0) > before)
        until(lambda: page.locator(".pile").count() == len(taught.get("unknowns")["groups"]))
    assert taught.counts["tent"] == 4
    page.get_by_text("No open questions.").wait_for()


def test_a_fault_is_not_taught_as_a_good_part(visitor: Visitor, server: Server, tmp_path: Path) -> None:
    server.ask("POST", "brains", {"name": "parts", "backbone": "good-parts"})
    parts = Brain(server, "parts")
    parts.teach("mug", count=4)
    page = visitor.visit(parts)
    page.set_input_files("#choose-files", written(tmp_path / "fault", "tent", 1))
    page.get_by_text("Refused by mistake? Write which good product it is.").wait_for()
    page.fill("#correct-name", "broken")
    page.keyboard.press("Enter")
    page.locator(".toast", has_text="broken is no product that was taught").wait_for()
    assert page.locator("#augment-line").is_hidden()
    assert parts.counts == {"mug": 4}


def test_control_z_takes_the_last_lesson_back(visitor: Visitor, taught: Brain) -> None:
    taught.teach("tent", count=2)
    page = visitor.visit(taught)
    page.locator(".card", has_text="tent").wait_for()
    page.keyboard.press("Control+z")
    until(lambda: taught.counts == {"mug": 6, "sunflower": 6})
    page.locator(".card", has_text="tent").wait_for(state="detached")
    page.get_by_role("button", name="Undo").first.click()
    until(lambda: taught.counts != {"mug": 6, "sunflower": 6})


def test_all_that_was_taught_while_the_button_was_held_is_undone_at_once(visitor: Visitor, taught: Brain) -> None:
    page = visitor.visit(taught)
    visitor.camera_on()
    visitor.show("tent")
    page.fill("#new-name", "tent")
    page.hover("#new-hold")
    page.mouse.down()
    until(lambda: taught.counts.get("tent", 0) >= 4)
    page.mouse.up()
    until(lambda: page.locator("#sending").is_hidden() and page.locator(".card.learning, .held").count() == 0)
    page.get_by_role("button", name="Undo").first.click()
    until(lambda: taught.counts == {"mug": 6, "sunflower": 6})


def test_a_drop_of_140_pictures_is_undone_by_one_request_and_what_others_taught_meanwhile_stays(
    visitor: Visitor, taught: Brain, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    for place in range(10):
        written(tmp_path / "things" / f"thing {place}", "tent", 14)
    page = visitor.visit(taught)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    visitor.drop([tmp_path / "things"], on="#stage")
    page.get_by_role("dialog", name="Teach 140 pictures in 10 classes?").get_by_role("button", name="Teach").click()
    until(lambda: sum(taught.counts.values()) >= 40)
    taught.teach("mug", count=1)
    until(lambda: sum(taught.counts.values()) == 153 and page.locator("#sending").is_hidden())
    del asked[:]
    page.get_by_role("button", name="Undo").first.click()
    until(lambda: taught.counts == {"mug": 7, "sunflower": 6})
    page.locator(".toast", has_text="Undone.").wait_for()
    assert [url.rpartition(":")[2] for url in asked] == ["undo"]
    record_property("undo-requests", len(asked))


def test_undo_in_the_midst_of_a_drop_lets_go_of_what_is_still_to_come(
    visitor: Visitor, taught: Brain, tmp_path: Path
) -> None:
    page = visitor.visit(taught)
    page.locator(".card", has_text="mug").wait_for()
    visitor.drop(written(tmp_path, "tent", 60), on='.card[data-label="mug"]')
    until(lambda: taught.counts["mug"] > 6)
    page.get_by_role("button", name="Undo").first.click()
    page.locator(".toast", has_text="Undone.").wait_for()
    page.wait_for_timeout(1000)
    assert taught.counts == {"mug": 6, "sunflower": 6}


def test_an_example_moves_to_where_it_belongs_or_is_forgotten(visitor: Visitor, taught: Brain) -> None:
    taught.teach("tent", count=2, label="mug")
    page = visitor.visit(taught)
    page.get_by_role("button", name="mug: see all 8 examples").click()
    dialog = page.get_by_role("dialog", name="mug")
    examples = dialog.locator(".examples button")
    until(lambda: examples.count() == 8)
    examples.nth(6).click()
    dialog.get_by_label("Move to").fill("tent")
    page.keyboard.press("Enter")
    until(lambda: taught.counts == {"mug": 7, "sunflower": 6, "tent": 1})
    until(lambda: examples.count() == 7)
    examples.nth(6).click()
    dialog.get_by_role("button", name="Forget", exact=True).click()
    page.get_by_role("dialog", name="Forget 1 example for good?").get_by_role("button", name="Keep").click()
    assert taught.counts["mug"] == 7
    dialog.get_by_role("button", name="Forget", exact=True).click()
    page.get_by_role("button", name="Forget for good").click()
    until(lambda: taught.counts == {"mug": 6, "sunflower": 6, "tent": 1})


def test_a_class_is_renamed_and_another_forgotten_for_good(visitor: Visitor, taught: Brain) -> None:
    page = visitor.visit(taught)
    page.get_by_role("button", name="More about mug").click()
    page.get_by_role("menuitem", name="Rename…").click()
    page.get_by_label("New name").fill("cup / tasse")
    page.keyboard.press("Enter")
    until(lambda: taught.counts == {"cup / tasse": 6, "sunflower": 6})
    page.get_by_role("button", name="More about cup / tasse").click()
    page.get_by_role("menuitem", name="Forget for good…").click()
    page.get_by_role("dialog").get_by_text("cannot be undone").wait_for()
    page.get_by_role("button", name="Forget for good").click()
    until(lambda: taught.counts == {"sunflower": 6})
    page.locator(".card", has_text="cup").wait_for(state="detached")


def test_the_slider_shows_the_brain_as_it_was_and_a_button_makes_it_so(visitor: Visitor, taught: Brain) -> None:
    was = taught.get("info")["seq"]
    taught.teach("tent", count=3)
    page = visitor.visit(taught, "history")
    slider = page.get_by_label("Moment in time")
    until(lambda: slider.get_attribute("max") == str(was + 3))
    page.locator("#counts li", has_text="tent").wait_for()
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    until(lambda: page.locator("#counts li", has_text="tent").locator(".change").inner_text() == "0 → 3")
    assert taught.counts["tent"] == 3
    page.get_by_role("button", name="Roll back to this moment").click()
    until(lambda: taught.counts == {"mug": 6, "sunflower": 6})
    until(lambda: page.locator("#entries li").first.locator(".what").inner_text().startswith("rolled back"))
    assert page.locator("#moment").inner_text() == "Now"


def test_the_brain_is_exported_and_its_file_melded_by_dropping_it(
    visitor: Visitor, server: Server, taught: Brain, tmp_path: Path
) -> None:
    page = visitor.visit(taught)
    page.get_by_role("button", name="Meld, export and more").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Export the brain (zip)").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.name == f"{taught.name}.zip"
    assert zipfile.is_zipfile(file)
    name = f"b-{uuid4().hex[:8]}"
    server.ask("POST", "brains", {"name": name, "backbone": "descriptor"})
    other = Brain(server, name)
    other.teach("tent")
    visitor.visit(other)
    page.locator(".card", has_text="tent").wait_for()
    visitor.drop([file], on="#stage")
    until(lambda: other.counts == {"mug": 6, "sunflower": 6, "tent": 6})
    page.locator(".card", has_text="sunflower").wait_for()


def test_what_was_taught_is_exported_as_json_lines(visitor: Visitor, taught: Brain, tmp_path: Path) -> None:
    page = visitor.visit(taught)
    page.get_by_role("button", name="Meld, export and more").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Export what was taught (JSON lines)").click()
    download.value.save_as(tmp_path / "taught.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "taught.jsonl").read_text().splitlines()]
    assert sum(line.get("label") == "mug" for line in lines) == 6


def test_the_map_shows_what_is_known_and_marks_the_unknown(visitor: Visitor, taught: Brain) -> None:
    taught.ask_about("tent", 2)
    page = visitor.visit(taught, "map")
    page.locator("#map-svg .name", has_text="mug").wait_for()
    assert page.locator("#map-svg .dot").count() >= 2
    assert page.locator("#map-svg .stranger").count() == 2
    page.get_by_text("The map in words").click()
    page.get_by_role("row", name="sunflower 6 mug").wait_for()
    page.locator("#map-svg .name", has_text="mug").press("Enter")
    page.get_by_role("dialog", name="mug").wait_for()


def test_health_shows_each_class_over_time_and_what_is_taken_for_what(visitor: Visitor, taught: Brain) -> None:
    taught.teach("tent", label="mug")  # frames of one thing are near-duplicates, which count once
    page = visitor.visit(taught, "health")
    page.locator("#lines li", has_text="sunflower").wait_for()
    assert page.locator("#matrix tbody tr").count() == 2
    health = taught.get("health")
    rows = [row.locator("td").all_inner_texts() for row in page.locator("#matrix tbody tr").all()]
    assert [[int(cell or 0) for cell in row] for row in rows] == health["confusion"]
    assert page.locator("#health-summary").inner_text().startswith(f"{round(100 * health['accuracy'])} % right")


def test_two_pages_see_the_same_brain_change(open_page: Callable[..., Visitor], taught: Brain) -> None:
    one, two = open_page(), open_page()
    one.visit(taught)
    two.visit(taught)
    two.page.locator(".card", has_text="mug").wait_for()
    one.page.get_by_role("button", name="More about mug").click()
    one.page.get_by_role("menuitem", name="Rename…").click()
    one.page.get_by_label("New name").fill("beaker")
    one.page.keyboard.press("Enter")
    two.page.locator(".card", has_text="beaker").wait_for()


def test_a_label_that_is_likely_wrong_is_kept_or_corrected_by_one_click(visitor: Visitor, taught: Brain) -> None:
    taught.post("examples", images=[base64(jpeg("mug", 2.5))], labels=["sunflower"])

    def review() -> Any:
        page.locator("#to-health").click()
        page.get_by_role("button", name="Review labels that are likely wrong").click(timeout=15_000)
        return page.get_by_role("dialog", name="Review labels")

    page = visitor.visit(taught)
    dialog = review()
    dialog.get_by_text("Taught as sunflower").wait_for()
    dialog.get_by_role("button", name="is sunflower").click()
    dialog.get_by_text("Nothing suspicious is left.").wait_for()
    page.keyboard.press("Escape")
    review().get_by_text("Nothing suspicious is left.").wait_for()
    assert taught.counts == {"mug": 6, "sunflower": 7}
    page.reload()  # what was kept is asked about again
    dialog = review()
    dialog.get_by_role("button", name="is mug").click()
    until(lambda: taught.counts == {"mug": 7, "sunflower": 6})
    dialog.get_by_text("Nothing suspicious is left.").wait_for()


def test_a_slider_moves_both_errors_and_asks_once_when_it_rests(visitor: Visitor, taught: Brain) -> None:
    asked: list[tuple[str, str]] = []
    page = visitor.visit(taught, "health")
    page.locator("#refusing").wait_for()
    assert "cannot be estimated reliably yet: that needs 5 classes." in page.locator("#refusing-words").inner_text()
    assert page.locator("#curve").is_hidden()
    taught.teach("tent", "ball", "box")
    page.locator("#curve").wait_for()
    words, slider = page.locator("#refusing-words"), page.locator("#alpha")
    assert words.inner_text().startswith("2 % of what I know will be refused; of strangers like your other classes, ")
    page.on("request", lambda request: asked.append((request.method, request.url.rpartition("/")[2])))
    box, places = slider.bounding_box(), []
    page.mouse.move(box["x"] + 0.44 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.down()
    for part in (0.6, 0.7, 0.8, 0.85):
        page.mouse.move(box["x"] + part * box["width"], box["y"] + box["height"] / 2, steps=5)
        places.append((page.locator("#refused").inner_text(), page.locator("#accepted").inner_text()))
    assert len(set(places)) == 4
    assert {method for method, _ in asked} <= {"GET"}
    page.mouse.up()
    refused = float(places[-1][0].removesuffix(" %")) / 100
    until(lambda: taught.get("alpha")["alpha"] == refused)
    found = taught.get("alpha")["now"]
    until(lambda: page.locator("#accepted").inner_text() == percent(found["accepted"]).replace("%", " %"))
    page.locator("#toasts", has_text=f"{places[-1][0]} of what is known may be refused.").wait_for()
    assert [one for one in asked if one[0] != "GET"] == [("PUT", "alpha")]
    page.get_by_role("button", name="Undo").last.click()
    until(lambda: words.inner_text().startswith("2 % of what I know"))
    assert taught.get("history")["entries"][0]["kind"] == "rolled back"


def test_the_curve_is_drawn_and_one_who_only_asks_cannot_move_the_slider(
    open_page: Callable[..., Visitor], taught: Brain
) -> None:
    taught.teach("tent", "ball", "box")
    page = open_page().visit(taught, "health")
    page.locator("#curve").wait_for()
    points = page.locator("#curve-line").get_attribute("d").removeprefix("M").split("L")
    heights = [float(point.split()[1]) for point in points]
    assert heights == sorted(heights)
    assert len(heights) >= 10
    page.route("**/v1/brains", lambda route: route.fulfill(json={**route.fetch().json(), "scopes": ["ask"]}))
    page.reload()
    until(lambda: page.locator("#alpha").is_disabled())
    until(lambda: page.locator("#refusing-words").inner_text() != "")
