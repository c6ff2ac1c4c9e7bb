"""Sentences from files, folders and standard input."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from engram import Brain
from engram.inputs.text_files import holds_text, lines_of
from engram.learner import InputError


def written(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode(encoding))
    return path


def test_a_text_file_holds_a_text_in_each_line_that_is_not_blank(tmp_path: Path) -> None:
    file = written(tmp_path / "a.txt", "\ufeffplay jazz\r\n\r\n  wake me  \n")
    assert [(line.text, line.label) for line in lines_of(file)] == [("play jazz", None), ("wake me", None)]
    assert [line.source for line in lines_of(file)] == [f"{file}:1 play jazz", f"{file}:3 wake me"]


@pytest.mark.parametrize("content", [
    'text,label\n"book, please",food\nplay jazz,music\n',
    'Label;Text\nfood;"book, please"\nmusic;play jazz\n',
    'intent,utterance,note\nfood,"book, please",x\nmusic,play jazz,y\n',
    'whatever,class\n"book, please",food\nplay jazz,music\n',
])
def test_a_table_says_by_its_first_line_where_texts_and_labels_are(tmp_path: Path, content: str) -> None:
    lines = lines_of(written(tmp_path / "a.csv", content))
    assert [(line.text, line.label) for line in lines] == [("book, please", "food"), ("play jazz", "music")]


def test_one_column_needs_no_name_and_a_tab_separates_a_tsv(tmp_path: Path) -> None:
    assert [line.text for line in lines_of(written(tmp_path / "a.csv", "play jazz\nwake me\n"))] == [
        "play jazz", "wake me"]
    line, = lines_of(written(tmp_path / "a.tsv", "text\tlabel\na, b; c\tx\n"))
    assert (line.text, line.label) == ("a, b; c", "x")


def test_a_folder_names_the_labels_by_inner_folders_and_by_files(tmp_path: Path) -> None:
    written(tmp_path / "music.txt", "play jazz\n")
    written(tmp_path / "alarm" / "one.txt", "wake me\n")
    written(tmp_path / "alarm" / "deeper" / "two.txt", "alarm at six\n")
    written(tmp_path / "alarm" / ".hidden" / "three.txt", "nothing\n")
    written(tmp_path / "__MACOSX" / "four.txt", "nothing\n")
    written(tmp_path / ".git" / "five.txt", "nothing\n")
    found = {(line.text, line.label) for line in lines_of(tmp_path)}
    assert found == {("play jazz", "music"), ("wake me", "alarm"), ("alarm at six", "alarm")}


def test_a_hyphen_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("play jazz\nwake me\n"))
    assert [line.text for line in lines_of("-")] == ["play jazz", "wake me"]


@pytest.mark.parametrize(("name", "content", "said"), [
    ("a.txt", "\n\n", "no text in"),
    ("a.pdf", "x", "as .csv/.tsv/.txt files"),
    ("a.csv", "a,b\n1,2\n", "name the columns in the first line"),
    ("a.csv", "text,label\nplay jazz\n", "row 1 has 1 cells"),
])
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        lines_of(written(tmp_path / name, content))


def test_a_file_that_is_not_utf_8_or_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="save it as UTF-8"):
        lines_of(written(tmp_path / "a.txt", "café", "latin-1"))
    with pytest.raises(InputError, match="engram predict BRAIN -"):
        lines_of(tmp_path / "play some jazz")


def test_tables_of_numbers_hold_no_text(tmp_path: Path) -> None:
    assert not holds_text(written(tmp_path / "a.csv", "temp,load,label\n1,2,ok\n"))
    assert holds_text(written(tmp_path / "b.csv", "text,label\nplay jazz,music\n"))
    assert holds_text(written(tmp_path / "c" / "music.txt", "play jazz\n").parent)


def test_sentences_need_no_backbone_and_paths_are_files(tmp_path: Path) -> None:
    brain = Brain()
    brain.learn(["play some jazz", "play a song"], "music")
    brain.learn(written(tmp_path / "more.csv", "text,label\nwake me at six,alarm\nset an alarm,alarm\n"))
    assert brain.predict("play another song").labels == ["music"]
    assert brain.predict([tmp_path / "more.csv"]).best == ["alarm", "alarm"]


def test_the_name_of_a_file_is_no_text_and_a_text_is_seen_where_it_waits() -> None:
    brain = Brain("english-ngrams")
    with pytest.raises(InputError, match=r"Path\('musc.txt'\) stands for what is in the file"):
        brain.learn(["put on a song", "musc.txt"], "music")
    assert not brain.labels
    brain.learn(["play some jazz", "put on a song", "turn the music up"], "music")
    assert brain.predict("invoice.csv").best == ["music"]  # whoever only asks may send what people wrote
    brain.predict("colourless green ideas sleep furiously", remember=True)
    assert [source for group in brain.unknown_groups() for source in group.sources] in (
        [], ["colourless green ideas sleep furiously"])


def test_one_word_is_no_sentence_so_a_mistyped_folder_teaches_nothing() -> None:
    brain = Brain()
    with pytest.raises(InputError, match="No picture at phtos: no such file"):
        brain.learn("phtos", "fern")
    assert not brain.labels
