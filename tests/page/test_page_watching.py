"""A camera that decides: a part of its picture, what several frames agree on, and examples drawn from the stream."""

from __future__ import annotations

from driving import Brain, Server, Visitor, until


def test_three_of_the_last_five_frames_decide(visitor: Visitor, taught: Brain) -> None:
    page = visitor.visit(taught)
    decided = page.evaluate(
        """async () => {
          const { decided } = await import("./js/watching.js");
          const said = (label) => ({ answer: { known: label !== null, label } });
          const shown = (one) => (one ? String(one.answer.label) : "undecided");
          return ["a", "b", "a", "a", "b", null, null, null].map((one) => shown(decided(said(one)))); }""")
    assert decided == ["undecided"] * 3 + ["a", "a"] + ["undecided"] * 2 + ["null"]


def test_a_part_of_the_picture_is_looked_at_and_a_second_click_gives_the_whole_back(
    visitor: Visitor, taught: Brain
) -> None:
    page = visitor.visit(taught)
    visitor.camera_on()
    looked = """async () => {
      const [{ looked }, video] = [await import("./js/camera.js"), document.getElementById("video")];
      return looked(video).map((one) => one / video.videoHeight); }"""
    whole = page.evaluate(looked)
    page.get_by_role("button", name="Only a part").click()
    box = page.locator("#stage").bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.9 * box["height"])
    page.mouse.up()
    page.locator("#mark").wait_for()
    _, top, width, height = page.evaluate(looked)
    assert abs(width / whole[2] - 0.5) < 0.02
    assert abs(height / whole[3] - 0.4) < 0.02
    assert abs((top - whole[1]) / whole[3] - 0.5) < 0.02
    page.get_by_role("button", name="Only a part").click()
    assert page.evaluate(looked) == whole


def test_at_an_interval_it_looks_at_as_many_frames_as_decide_and_rests(visitor: Visitor, taught: Brain) -> None:
    page = visitor.visit(taught)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/predict") else None)
    page.evaluate("document.getElementById('when').value = '10000'")
    visitor.camera_on()
    until(lambda: page.locator("#verdict-label").inner_text() == "mug")
    page.wait_for_timeout(600)
    assert len(asked) == 5


def test_the_most_different_pictures_of_the_stream_are_collected_and_named(visitor: Visitor, brain: Brain) -> None:
    page = visitor.visit(brain)
    visitor.camera_on()
    button = page.locator("#collect")
    button.click()
    until(lambda: button.inner_text().startswith("3 kept"))
    button.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name of the class").fill("mug")
    page.keyboard.press("Enter")
    until(lambda: brain.counts.get("mug", 0) >= 3)


def test_a_number_is_taught_by_writing_it(visitor: Visitor, server: Server, brain: Brain) -> None:
    name = f"{brain.name}-numbers"
    server.ask("POST", "brains", {"name": name, "backbone": "hashed-ngrams"})
    numbers = Brain(server, name)
    page = visitor.visit(numbers)
    for text, number in (("one small thing", "1.5"), ("two large things", "20")):
        page.fill("#typed-field", text)
        page.fill("#new-name", number)
        page.keyboard.press("Enter")
        page.get_by_placeholder("Its number (value)").wait_for()
    until(lambda: numbers.counts == {"value": 2})
