"""What a person does on the page to teach: by camera, files, folders, paste, typing; and what they then see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from driving import Brain, Server, Visitor, jpeg, until, written
from film import picture

from engram import Brain as EngramBrain
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.hashed_ngrams import HashedNgrams


def test_holding_the_button_teaches_what_the_camera_shows(visitor: Visitor, brain: Brain) -> None:
    page = visitor.visit(brain)
    visitor.camera_on()
    page.fill("#new-name", "mug")
    visitor.show("mug")
    page.hover("#new-hold")
    page.mouse.down()
    page.wait_for_timeout(1500)
    page.mouse.up()
    card = page.locator(".card", has_text="mug")
    card.wait_for()
    until(lambda: page.locator("#sending").is_hidden() and brain.counts.get("mug", 0) >= 3)
    until(lambda: card.locator(".count").inner_text() == str(brain.counts["mug"]))
    until(lambda: all(card.locator("img").evaluate_all("all => all.map(image => image.naturalWidth > 0)")))


def test_a_key_held_down_teaches_too(visitor: Visitor, taught: Brain) -> None:
    page = visitor.visit(taught)
    visitor.camera_on()
    page.locator(".card", has_text="sunflower").wait_for()
    page.keyboard.down("2")
    until(lambda: taught.counts["sunflower"] >= 8)
    page.keyboard.up("2")
    page.locator(".card", has_text="mug").get_by_role("button", name="Hold to teach mug").focus()
    page.keyboard.down("Space")
    until(lambda: taught.counts["mug"] >= 8)
    page.keyboard.up("Space")
    until(lambda: page.locator("#sending").is_hidden())
    before = taught.counts
    page.wait_for_timeout(500)
    assert taught.counts == before


def test_the_camera_is_answered_live_and_what_is_new_is_nothing_i_know(visitor: Visitor, taught: Brain) -> None:
    page = visitor.visit(taught)
    visitor.camera_on()
    verdict = page.locator("#verdict-label")
    for thing in ("mug", "sunflower"):
        visitor.show(thing)
        until(lambda thing=thing: verdict.inner_text() == thing)
        assert page.locator(".card.answer h3").inner_text() == thing
        assert page.locator(".level.best .bar-label").inner_text() == thing
    visitor.show("tent")
    until(lambda: verdict.inner_text() == "Nothing I know")
    assert page.locator("#answer").get_attribute("data-kind") == "unknown"
    until(lambda: "Nothing I know" in page.locator("#announcer").inner_text())
    page.fill("#correct-name", "tent")
    page.keyboard.press("Enter")
    until(lambda: taught.counts.get("tent") == 1)


def test_files_dropped_on_a_class_teach_it(visitor: Visitor, taught: Brain, tmp_path: Path) -> None:
    page = visitor.visit(taught)
    page.locator(".card", has_text="mug").wait_for()
    visitor.drop(written(tmp_path, "mug", 3), on='.card[data-label="mug"]')
    until(lambda: taught.counts == {"mug": 9, "sunflower": 6})
    newest = taught.get("examples?label=mug&limit=100")["examples"][-1]
    assert newest["source"].startswith("mug-")
    assert newest["thumbnail"]


def test_a_folder_teaches_a_class_by_the_name_of_each_folder_inside(
    visitor: Visitor, brain: Brain, tmp_path: Path
) -> None:
    for thing in ("mug", "tent"):
        written(tmp_path / "things" / thing, thing, 4)
    (tmp_path / "things" / "mug" / "notes.txt").write_text("no picture")
    page = visitor.visit(brain)
    visitor.drop([tmp_path / "things"], on="#stage")
    dialog = page.get_by_role("dialog", name="Teach 8 pictures in 2 classes?")
    dialog.get_by_role("button", name="Teach").click()
    until(lambda: brain.counts == {"mug": 4, "tent": 4})
    until(lambda: page.locator(".card").count() == 2)


def test_folders_dropped_on_a_class_teach_their_own_classes(visitor: Visitor, taught: Brain, tmp_path: Path) -> None:
    for thing in ("tent", "sunflower"):
        written(tmp_path / "things" / thing, thing, 2)
    page = visitor.visit(taught)
    on = '.card[data-label="mug"]'
    page.locator(on).wait_for()
    visitor.drop([tmp_path / "things"], on=on)
    page.get_by_role("dialog", name="Teach 4 pictures in 2 classes?").get_by_role("button", name="Teach").click()
    until(lambda: taught.counts == {"mug": 6, "sunflower": 8, "tent": 2})
    visitor.drop([tmp_path / "things" / "tent", tmp_path / "things" / "sunflower"], on=on)
    page.get_by_role("dialog", name="Teach 4 pictures in 2 classes?").get_by_role("button", name="Teach").click()
    page.locator(".toast", has_text="4 known already").wait_for()
    visitor.drop([tmp_path / "things" / "tent"], on=on)  # one folder of pictures: what they are is said by the card
    until(lambda: taught.counts == {"mug": 8, "sunflower": 8, "tent": 2})


def test_a_drop_cut_short_says_what_is_missing_and_goes_on_without_doubling(
    visitor: Visitor, taught: Brain, tmp_path: Path
) -> None:
    files = written(tmp_path, "tent", 30)
    page, on = visitor.visit(taught), '.card[data-label="mug"]'
    page.locator(on).wait_for()
    sent: list[str] = []

    def once(route: Any) -> None:
        sent.append(route.request.url)
        route.continue_() if len(sent) < 3 else route.abort()

    page.route("**/examples", once)
    visitor.drop(files, on=on)
    until(lambda: page.wait_for_timeout(50) or len(sent) > 2)  # requests are let through meanwhile
    known = taught.counts["mug"] - 6
    page.close(run_before_unload=False)
    again = Visitor(page.context.new_page(), visitor.server, visitor.film)
    page = again.visit(taught)
    said = f"A drop of 30 files was cut short: {known} are taught, {30 - known} missing."
    note = page.locator(".toast", has_text=said)
    note.get_by_role("button", name="Show all").click()
    page.get_by_role("dialog", name="Messages").get_by_text("mug/tent-29.jpg").wait_for()
    page.keyboard.press("Escape")
    again.drop(files, on=on)
    page.locator(".toast", has_text=f"Taught {30 - known} pictures, {known} known already.").wait_for()
    assert taught.counts["mug"] == 36
    page.reload()
    page.locator(on).wait_for()
    page.wait_for_timeout(300)
    assert page.locator(".toast").count() == 0


def test_messages_about_many_files_are_kept_in_a_list(visitor: Visitor, taught: Brain, tmp_path: Path) -> None:
    files = written(tmp_path, "tent", 2)
    for name in ("torn.jpg", "none.png"):
        (tmp_path / name).write_text("no picture")
    page, on = visitor.visit(taught), '.card[data-label="mug"]'
    page.locator(on).wait_for()
    visitor.drop([*files, tmp_path / "torn.jpg", tmp_path / "none.png"], on=on)
    note = page.locator(".toast", has_text="Taught 2 pictures, 2 left out.")
    close = note.get_by_role("button", name="Dismiss")
    assert close.locator("svg").bounding_box()["width"] >= 16
    close.click()
    page.get_by_role("button", name="Meld, export and more").click()
    menu = page.get_by_role("menu")
    assert menu.bounding_box()["width"] < 480
    menu.get_by_role("menuitem", name="Messages").click()
    kept = page.get_by_role("dialog", name="Messages")
    for name in ("torn.jpg", "none.png"):
        kept.get_by_text(name).wait_for()
    page.keyboard.press("Escape")


def test_folders_in_folders_teach_the_classes_that_the_terminal_teaches(
    visitor: Visitor, brain: Brain, tmp_path: Path
) -> None:
    for moment, place in enumerate(("mug/2020/may", "mug", "tent/2021", "__MACOSX/mug", ".git")):
        written(tmp_path / "things" / place, "tent" if place.startswith("tent") else "mug", 2, 0.1 + moment)
    visitor.visit(brain)
    visitor.drop([tmp_path / "things"], on="#stage")
    dialog = visitor.page.get_by_role("dialog", name="Teach 6 pictures in 2 classes?")
    dialog.get_by_role("button", name="Teach").click()
    until(lambda: brain.counts == {"mug": 4, "tent": 2})


def test_a_switch_teaches_views_of_each_picture_as_one_example(
    visitor: Visitor, taught: Brain, tmp_path: Path
) -> None:
    page = visitor.visit(taught)
    page.locator(".card", has_text="mug").wait_for()
    page.evaluate(
        """() => {
          const [sent, passed] = [[], window.fetch];
          window.sent = sent;
          window.fetch = (where, how) => {
            if (how?.body instanceof FormData) sent.push(how.body.get("augment"));
            return passed(where, how); }; }"""
    )
    page.get_by_label("Learn pictures also mirrored").check()
    visitor.drop(written(tmp_path, "mug", 1), on='.card[data-label="mug"]')
    until(lambda: taught.counts["mug"] == 7)
    assert "true" in page.evaluate("() => window.sent")


def test_a_pasted_picture_is_answered_and_taught_by_one_click(open_page: Callable[..., Visitor], taught: Brain) -> None:
    visitor = open_page(permissions=["clipboard-read", "clipboard-write"])
    page = visitor.visit(taught)
    page.evaluate(
        """async (bytes) => {
          const bitmap = await createImageBitmap(new Blob([new Uint8Array(bytes)], { type: "image/jpeg" }));
          const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
          canvas.getContext("2d").drawImage(bitmap, 0, 0);
          const png = await canvas.convertToBlob({ type: "image/png" });
          await navigator.clipboard.write([new ClipboardItem({ "image/png": png })]); }""",
        list(jpeg("mug", 9.0)),
    )
    page.keyboard.press("Control+v")
    until(lambda: page.locator("#verdict-label").inner_text() == "mug")
    page.locator("#bars").get_by_role("button", name="mug").click()
    until(lambda: taught.counts == {"mug": 7, "sunflower": 6})


def test_a_wrong_answer_is_corrected_in_one_click(visitor: Visitor, brain: Brain, tmp_path: Path) -> None:
    brain.teach("tent", label="mug")
    brain.teach("sunflower")
    page = visitor.visit(brain)
    page.set_input_files("#choose-files", written(tmp_path, "tent", 1))
    until(lambda: page.locator("#verdict-label").inner_text() == "mug")
    page.locator("#bars").get_by_role("button", name="sunflower").click()
    page.get_by_text("Learned: this is sunflower.").wait_for()
    until(lambda: brain.counts == {"mug": 6, "sunflower": 7})


def test_a_wrong_answer_is_said_to_be_wrong_in_one_click(visitor: Visitor, brain: Brain, tmp_path: Path) -> None:
    brain.teach("tent", label="mug")
    brain.teach("sunflower")
    page = visitor.visit(brain)
    page.set_input_files("#choose-files", written(tmp_path, "tent", 1))
    until(lambda: page.locator("#verdict-label").inner_text() == "mug")
    page.get_by_role("button", name="Not a mug").click()
    page.get_by_text("Learned: this is not mug.").wait_for()
    until(lambda: page.locator("#verdict-label").inner_text() == "Nothing I know")
    assert page.get_by_role("button", name="Not a").count() == 0
    assert brain.counts == {"mug": 6, "sunflower": 6}
    assert brain.get("info")["counterexamples"] == [{"label": "mug", "count": 1}]
    assert brain.get("history")["entries"][0]["kind"] == "taught not"
    page.get_by_role("button", name="Undo").first.click()
    until(lambda: page.locator("#verdict-label").inner_text() == "mug")


def test_several_pictures_at_once_are_named_together(visitor: Visitor, brain: Brain, tmp_path: Path) -> None:
    page = visitor.visit(brain)
    page.set_input_files("#choose-files", written(tmp_path, "tent", 10))
    dialog = page.get_by_role("dialog", name="What are these 10 pictures?")
    dialog.get_by_label("Name of the class").fill("tent")
    page.keyboard.press("Enter")
    until(lambda: brain.counts == {"tent": 10})


def test_a_large_picture_is_made_small_before_it_travels(visitor: Visitor, taught: Brain, tmp_path: Path) -> None:
    picture("mug", 1.0).resize((3200, 2400)).save(tmp_path / "large.png")
    page = visitor.visit(taught)
    with page.expect_request_finished(lambda request: request.url.endswith("/predict")) as asked:
        page.set_input_files("#choose-files", [tmp_path / "large.png"])
    assert 1000 < int(asked.value.all_headers()["content-length"]) < 60_000
    until(lambda: page.locator("#verdict-label").inner_text() == "mug")


def test_numbers_are_written_instead_of_shown(visitor: Visitor, server: Server, brain: Brain) -> None:
    name = f"{brain.name}-numbers"
    server.ask("POST", "brains", {"name": name})
    numbers = Brain(server, name)
    page = visitor.visit(numbers)
    page.get_by_role("button", name="Or write rows of numbers").click()
    page.fill("#typed-field", "1, 0.1\n0.9, 0")
    page.fill("#new-name", "right")
    page.click("#new-hold")
    until(lambda: numbers.counts == {"right": 2})
    page.fill("#typed-field", "0, 1")
    page.fill("#new-name", "up")
    page.click("#new-hold")
    until(lambda: numbers.counts == {"right": 2, "up": 1})
    page.fill("#typed-field", "0.95 0.05")
    until(lambda: page.locator("#verdict-label").inner_text() == "right")
    page.fill("#typed-field", "0.95, spam")
    page.get_by_text("Line 1 holds something that is not a number.").wait_for()


def test_a_brain_for_texts_is_taught_by_writing(open_page: Callable[..., Visitor], tmp_path: Path) -> None:
    Bundle.bare(HashedNgrams()).save(tmp_path / "letters")
    EngramBrain.create(tmp_path / "moods", tmp_path / "letters").close()
    server = Server(tmp_path / "home", str(tmp_path / "moods"))
    try:
        moods = Brain(server, "moods")
        page = open_page(server).visit(moods)
        for mood, words in {"glad": "what a lovely day\nhow lovely", "cross": "go away at once\nat once, away"}.items():
            page.fill("#typed-field", words)
            page.fill("#new-name", mood)
            page.get_by_role("button", name="Teach this", exact=True).last.click()
            until(lambda mood=mood: moods.counts.get(mood) == 2)
        page.fill("#typed-field", "a lovely lovely day")
        page.locator(".level", has_text="glad").wait_for()
    finally:
        server.stop()


def test_a_brain_of_good_parts_shows_over_the_camera_where_a_part_is_not_like_them(
    visitor: Visitor, server: Server
) -> None:
    server.ask("POST", "brains", {"name": "parts-seen", "backbone": "good-parts"})
    parts = Brain(server, "parts-seen")
    parts.teach("mug", count=8)
    page = visitor.visit(parts)
    visitor.camera_on()
    verdict, heat = page.locator("#verdict-label"), page.locator("#heat")
    visitor.show("tent")
    until(lambda: verdict.inner_text() == "Nothing I know")
    until(lambda: heat.is_visible() and heat.evaluate("image => image.naturalWidth > 0"))
    page.click("#camera-off")
    until(lambda: not heat.is_visible())


def test_a_box_drawn_around_a_thing_is_taught_and_things_are_found_with_boxes(
    visitor: Visitor, server: Server
) -> None:
    server.ask("POST", "brains", {"name": "where", "backbone": "photos"})
    where = Brain(server, "where")
    where.teach("mug", count=3)
    page = visitor.visit(where)
    visitor.camera_on()
    visitor.show("mug")
    stage = page.locator("#stage").bounding_box()
    page.mouse.move(stage["x"] + 0.3 * stage["width"], stage["y"] + 0.2 * stage["height"])
    page.mouse.down()
    page.mouse.move(stage["x"] + 0.7 * stage["width"], stage["y"] + 0.8 * stage["height"], steps=4)
    until(lambda: page.locator("#mark").is_visible())
    page.mouse.up()
    picture = page.locator("#picture")
    until(lambda: picture.is_visible() and picture.get_attribute("alt") == "The picture part of what the camera showed")
    page.locator(".card", has_text="mug").get_by_role("button", name="Hold to teach mug").click()
    until(lambda: where.counts["mug"] >= 4)
    page.click("#shown-off")
    page.click("#where")
    heat = page.locator("#heat")
    until(lambda: heat.is_visible() and heat.evaluate("image => image.naturalWidth > 0"))
    page.click("#where")
    until(lambda: not heat.is_visible())
