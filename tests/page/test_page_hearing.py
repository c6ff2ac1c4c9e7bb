"""What a person does on the page with sounds: by microphone and by files; and what they then see."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from driving import Brain, Server, Visitor, base64, until
from tape import record, sound


@pytest.fixture
def new(server: Server) -> Brain:
    """A new brain that takes whatever it is taught first."""
    name = f"s-{uuid4().hex[:8]}"
    server.ask("POST", "brains", {"name": name})
    return Brain(server, name)


@pytest.fixture
def hearing(new: Brain) -> Brain:
    """A brain that knows a low tone and a high one."""
    for name in ("low", "high"):
        made = [base64(sound(name, seed, seconds)) for seed, seconds in enumerate((1.0, 1.3, 1.6, 1.5, 1.5, 1.5))]
        new.post("examples", sounds=made, label=name)
    return new


def test_holding_the_button_teaches_what_the_microphone_hears(visitor: Visitor, new: Brain, tape: Path) -> None:
    record(tape, "low")
    page = visitor.visit(new)
    page.click("#microphone-on")
    page.locator("#record").wait_for()
    until(lambda: page.locator("#loudness span").evaluate_all(
        "all => all.some(bar => Number(bar.style.getPropertyValue('--loud')) > 0.5)"))
    page.fill("#new-name", "low")
    page.hover("#new-hold")
    page.mouse.down()
    page.wait_for_timeout(1000)
    page.mouse.up()
    until(lambda: new.counts == {"low": 1})
    assert new.get("info")["takes"] == "sound"
    card = page.locator(".card", has_text="low")
    until(lambda: all(card.locator("img").evaluate_all("all => all.map(image => image.naturalWidth > 0)")))


def test_the_microphone_is_answered_live_and_a_recording_that_is_new_is_nothing_i_know(
    visitor: Visitor, hearing: Brain, tape: Path
) -> None:
    record(tape, "high")
    page = visitor.visit(hearing)
    page.click("#microphone-on")
    verdict = page.locator("#verdict-label")
    until(lambda: verdict.inner_text() == "high")
    assert page.locator(".level.best .bar-label").inner_text() == "high"
    page.click("#microphone-off")
    record(tape, "rush")
    page.click("#microphone-on")
    page.hover("#record")
    page.mouse.down()
    page.wait_for_timeout(900)
    page.mouse.up()
    until(lambda: page.locator("#heard").inner_text() == "microphone.wav")
    until(lambda: verdict.inner_text() == "Nothing I know")
    page.fill("#correct-name", "rush")
    page.keyboard.press("Enter")
    until(lambda: hearing.counts.get("rush") == 1)


def test_files_of_sound_are_dropped_on_a_class_or_asked_about(visitor: Visitor, hearing: Brain, tmp_path: Path) -> None:
    files = [tmp_path / f"{seed}.wav" for seed in range(3)]
    for seed, file in enumerate(files):
        file.write_bytes(sound("low", 20 + seed, 1.5))
    page = visitor.visit(hearing)
    page.locator('.card[data-label="low"]').wait_for()
    visitor.drop(files[:2], on='.card[data-label="low"]')
    until(lambda: hearing.counts == {"low": 8, "high": 6})
    visitor.drop(files[2:], on="#stage")
    until(lambda: page.locator("#verdict-label").inner_text() == "low")
    assert page.locator("#heard").inner_text() == "2.wav"
