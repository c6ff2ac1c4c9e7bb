"""`engram teach`, `predict` and the other commands on brains, as a person uses them."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from terminal import Terminal

from engram.brain import Brain
from engram.brain.changes.teach import Learned
from engram.features.backbones.bundle import Bundle
from engram.learner import InputError

pytestmark = pytest.mark.long

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (40, 50, 220), "grey": (128, 128, 128)}


def pictures(folder: Path, kinds: tuple[str, ...], count: int, seed: int = 0) -> Path:
    """A folder per class of noisy pictures, striped so that shapes differ too."""
    rng = np.random.default_rng(seed)
    for kind in kinds:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pixels = rng.normal(COLOURS[kind], 25, (24, 24, 3))
            pixels[:: 2 + len(kind) % 3] *= 0.6
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / kind / f"{i}.png")
    return folder


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENGRAM_HOME", str(tmp_path / "home"))
    pictures(tmp_path / "train", ("red", "green", "blue"), 12)
    pictures(tmp_path / "test", ("red", "green", "blue"), 4, seed=1)
    return tmp_path


@pytest.fixture
def tables(shelf: Path) -> None:
    """Files of vectors: red.npy, green.npy, blue.npy, and more_blue.npy."""
    rng = np.random.default_rng(0)
    for i, name in enumerate(("red", "green", "blue")):
        np.save(shelf / f"{name}.npy", np.eye(6)[i] + rng.normal(0, 0.05, (20, 6)))
    np.save(shelf / "more_blue.npy", np.eye(6)[2] + rng.normal(0, 0.05, (5, 6)))


@pytest.fixture
def engram(capsys: pytest.CaptureFixture[str], shelf: Path) -> Terminal:
    return Terminal(capsys)


def test_one_folder_is_taught_and_another_predicted(engram: Terminal) -> None:
    assert "Taught 36" in engram.says("teach", "mybrain", "train")
    answers = engram.answers("predict", "mybrain", "test", "--no-remember")
    assert len(answers["answers"]) == 12
    assert answers["right"] >= 11
    assert "agree with the folders' names" in engram.says("predict", "mybrain", "test", "--top", "2")
    shutil.copytree("test/blue", "test/violet")
    with_strangers = engram.answers("predict", "mybrain", "test", "--no-remember")
    assert (with_strangers["right"], with_strangers["never_taught"]) == (answers["right"], 4)
    shown = engram.says("predict", "mybrain", "test", "--no-remember")
    assert f"{answers['right']} of 12 answers agree with the folders' names" in shown
    refused = with_strangers["never_taught_refused"]
    assert f'4 inputs have a label that was never taught: {refused} of them answered "Nothing I know".' in shown
    lines = engram.answers("predict", "mybrain", "test/red/0.png", "test/blue/1.png", "--top", "3")["answers"]
    assert [line["ranked"][0]["label"] for line in lines] == ["red", "blue"]
    assert all(len(line["ranked"]) == 3 for line in lines)
    assert lines[0]["input"] == "test/red/0.png"


def test_teaching_the_same_again_teaches_nothing(engram: Terminal) -> None:
    first = engram.answers("teach", "b", "train")
    assert (first["taught"], first["skipped"]) == (36, 0)
    again = engram.answers("teach", "b", "train/red", "train/blue")
    assert (again["taught"], again["skipped"], again["digest"]) == (0, 24, first["digest"])


def test_labels_come_from_the_option_else_from_folders(engram: Terminal) -> None:
    engram.says("teach", "b", "train/red/0.png", "train/red/1.png", "--label", "rouge")
    engram.says("teach", "b", "train/green")
    assert engram.answers("info", "b")["labels"] == [
        {"label": "rouge", "examples": 2}, {"label": "green", "examples": 12}
    ]
    refusal = engram.refuses("teach", "b", "train/blue/0.png")
    assert "Pass the label: engram teach b train/blue/0.png --label blue" in refusal


def test_what_is_not_known_waits_to_be_named(engram: Terminal, shelf: Path) -> None:
    rng = np.random.default_rng(0)
    for i, label in enumerate(("a", "b", "c")):
        np.save(shelf / f"{label}.npy", np.eye(6)[i] + rng.normal(0, 0.05, (30, 6)))
        engram.says("teach", "b", f"{label}.npy", "--label", label)
    np.save(shelf / "new.npy", np.eye(6)[4] + rng.normal(0, 0.05, (9, 6)))
    assert "9 of 9 inputs are unknown" in engram.says("predict", "b", "new.npy")
    (group,) = engram.answers("unknowns", "b")
    assert len(group["members"]) == 9
    assert group["sources"][0] == "new.npy:1"
    assert f"engram name b {group['group']} LABEL" in engram.says("unknowns", "b")
    assert engram.answers("name", "b", group["group"], "d")["taught"] == 9
    assert engram.answers("unknowns", "b") == []
    assert "no unknown inputs" in engram.says("unknowns", "b")
    answers = engram.answers("predict", "b", "new.npy")["answers"]
    assert sum(line["label"] == "d" for line in answers) >= 8
    assert "no group 77" in engram.refuses("name", "b", 77, "x")


def test_labels_and_examples_are_forgotten_exactly_and_it_is_proven(engram: Terminal, shelf: Path) -> None:
    engram.says("teach", "never", "train/red", "train/green")
    engram.says("teach", "b", "train/red", "train/green", "train/blue")
    engram.says("teach", "b", "test/red/0.png", "--label", "red")
    engram.says("forget", "b", "--label", "blue")
    assert "FAIL" not in engram.says("prove", "b", "--forgotten", "--label", "blue")
    said = engram.says("forget", "b", "--example", "test/red/0.png", "--label", "red")
    assert "engram prove b --forgotten test/red/0.png --label red" in said
    assert engram.answers("info", "b")["digest"] == engram.answers("info", "never")["digest"]
    line = ("prove", "b", "--forgotten", "test/red/0.png", "--label", "red", "--keep", "kept.npy", "--out", "proof")
    assert engram.answers(*line)["verified"]
    script = [sys.executable, "-I", "proof/verify_certificate.py", "proof", "kept.npy"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "exactly the one before" in done.stdout
    assert "not taught" in engram.refuses("forget", "b", "--example", "test/red/0.png")
    assert "still held" in engram.refuses("prove", "b", "--forgotten", "train/red/0.png")
    assert "'blue' was never taught" in engram.refuses("forget", "b", "--label", "blue")
    engram.refuses("forget", "b", code=2)


def test_every_copy_of_an_example_is_forgotten(engram: Terminal, shelf: Path) -> None:
    np.save(shelf / "x.npy", [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    np.save(shelf / "one.npy", [[1.0, 0.0]])
    engram.says("teach", "b", "x.npy", "--label", "a")
    assert engram.answers("forget", "b", "--example", "one.npy")["forgotten"] == 2


def teach_tables(engram: Terminal, brain: str, **labels: str) -> None:
    for name, label in labels.items():
        engram.says("teach", brain, f"{name}.npy", "--label", label)


@pytest.mark.usefixtures("tables")
def test_brains_are_melded_and_it_is_proven(engram: Terminal) -> None:
    teach_tables(engram, "all", red="red", green="green", blue="blue")
    teach_tables(engram, "one", red="red", green="green")
    teach_tables(engram, "two", blue="blue")
    report = engram.answers("meld", "both", "one", "two")
    assert report["digest"] == engram.answers("info", "all")["digest"]
    assert len(report["added"]) == 2
    assert report["conflicts"] == []
    assert "already contained all of it" in engram.says("meld", "both", "two", "one")
    proof = engram.answers("prove", "both", "--meld", "one", "two")
    assert proof["verified"]
    assert proof["certificate"] == "both-certificate"
    teach_tables(engram, "two", more_blue="blue")
    assert "meld it again" in engram.refuses("prove", "both", "--meld", "one", "two")
    engram.says("meld", "both", "two")
    assert "verify_certificate.py" in engram.says("prove", "both", "--meld", "one", "two")
    engram.refuses("prove", "both", code=2)
    engram.refuses("prove", "both", "--meld", code=2)


@pytest.mark.usefixtures("tables")
def test_conflicting_labels_are_told(engram: Terminal) -> None:
    teach_tables(engram, "one", red="red", green="green", blue="blue")
    teach_tables(engram, "two", red="blue", green="green")
    said = engram.says("meld", "both", "one", "two")
    assert "Conflict: 'blue' means different things" in said
    assert "conflict" in engram.refuses("meld", "strict", "one", "two", "--strict")
    assert not Path("strict").exists()


def test_renaming_consolidating_and_info(engram: Terminal) -> None:
    engram.says("teach", "b", "train")
    assert engram.answers("rename", "b", "red", "rot")["labels"] == ["blue", "green", "rot"]
    assert "exists already" in engram.refuses("rename", "b", "rot", "green")
    digest = engram.answers("info", "b")["digest"]
    done = engram.answers("consolidate", "b")
    assert done["digest"] == digest
    assert done["after"] <= done["before"] == 36
    shown = engram.says("info", "b")
    assert digest in shown
    assert "photos" in shown


def test_numbers_stay_numbers_where_labels_are_numbers(engram: Terminal, shelf: Path) -> None:
    brain = Brain()
    brain.learn([[1.0, 0.0], [0.0, 1.0]], [3, 4])
    brain.save(shelf / "b")
    np.save(shelf / "x.npy", [[0.9, 0.1]])
    engram.says("teach", "b", "x.npy", "--label", "3")
    engram.says("rename", "b", "4", "5")
    assert Brain.open("b").labels == (3, 5)
    assert "whole numbers" in engram.refuses("rename", "b", "5", "five", code=2)


def test_what_cannot_be_is_refused_with_what_to_do(engram: Terminal, shelf: Path) -> None:
    assert "teach one first" in engram.refuses("predict", "nowhere", "test")
    assert "neither a brain nor empty" in engram.refuses("teach", "train", "test")
    assert not (shelf / "train" / "manifest.json").exists()
    assert "No backbone 'none-such'" in engram.refuses("teach", "b", "train", "--backbone", "none-such")
    engram.says("teach", "b", "train", "--backbone", "descriptor", "--gate", "0.5")
    assert "gate" in engram.refuses("teach", "b", "train", "--gate", "0.2")
    (shelf / "b" / "manifest.json").write_text("{}")
    assert "does not describe a brain" in engram.refuses("info", "b")


def test_a_path_that_is_not_there_is_said_so(engram: Terminal) -> None:
    assert "nosuch does not exist" in engram.refuses("teach", "b", "nosuch")
    assert "nosuch does not exist" in engram.refuses("teach", "b", "train", "nosuch", "--label", "x")


def test_vectors_are_refused_by_a_brain_of_pictures_which_is_named_as_the_cause(engram: Terminal, tables: None) -> None:
    engram.says("teach", "b", "train")
    assert "this brain accepts pictures" in engram.refuses("teach", "b", "red.npy")


def test_a_gate_below_nothing_is_wrong_usage(engram: Terminal) -> None:
    assert "--gate" in engram.refuses("teach", "b", "train", "--gate", "-3", code=2)


def test_rows_of_a_table_are_right_by_their_labels_not_by_folders(engram: Terminal, shelf: Path) -> None:
    (shelf / "t.csv").write_text("x,y,label\n" + "1,0.1,a\n0.1,1,b\n" * 5)
    engram.says("teach", "b", "t.csv")
    assert "agree with the labels in the table" in engram.says("predict", "b", "t.csv")


def test_a_table_that_cannot_be_read_says_where(engram: Terminal, shelf: Path) -> None:
    (shelf / "t.csv").write_text("x,y,label\n1,2,a\n3,oops,b\n")
    assert "row 2, column 'y': 'oops'" in engram.refuses("teach", "b", "t.csv")
    (shelf / "u.csv").write_text("1,2\n3,4\n5\n")
    assert "row 3 has 1 values, but row 1 has 2" in engram.refuses("teach", "b", "u.csv", "--label", "a")


def test_the_command_that_is_suggested_can_be_pasted(engram: Terminal) -> None:
    engram.says("teach", "b", "train")
    engram.says("rename", "b", "red", "red, of old")
    said = engram.says("forget", "b", "--label", "red, of old")
    suggested = shlex.split(said.partition("Proof: engram ")[2])
    assert "FAIL" not in engram.says(*suggested)


def test_the_example_that_was_never_taught_is_named(engram: Terminal) -> None:
    before = engram.answers("teach", "b", "train")["digest"]
    said = engram.refuses("forget", "b", "--example", "train/red/0.png", "--example", "test/red/1.png")
    assert "test/red/1.png" in said
    assert "train/red/0.png" not in said
    assert engram.answers("info", "b")["digest"] == before


@pytest.mark.usefixtures("tables")
def test_what_a_brain_left_behind_that_was_never_made_does_not_stop_the_next(engram: Terminal, shelf: Path) -> None:
    Brain.create(shelf / "whole").close()
    (shelf / "b").mkdir()
    for left in (("manifest.json",), ("manifest.json.engram-tmp", ".lock")):
        for name in left:
            (shelf / "b" / name).write_bytes((shelf / "whole" / "manifest.json").read_bytes())
        assert engram.answers("teach", "b", "red.npy", "--label", "red")["taught"] == 20
        assert engram.answers("info", "b")["examples"] == 20
        shutil.rmtree(shelf / "b")
        (shelf / "b").mkdir()
    (shelf / "b" / "thesis.txt").touch()
    assert "neither a brain nor empty" in engram.refuses("teach", "b", "red.npy", "--label", "red")


@pytest.mark.usefixtures("tables")
def test_a_new_brain_that_could_be_taught_nothing_is_not_there_afterwards(engram: Terminal, shelf: Path) -> None:
    np.save(shelf / "far.npy", [[1.0, 2.0], [1e9, np.inf]])
    assert "Vector 2 contains NaN or infinity" in engram.refuses("teach", "b", "far.npy", "--label", "red")
    np.save(shelf / "far.npy", [[1e9, 0.0]])
    Bundle.of_vectors(2).save(shelf / "raw")
    said = engram.refuses("teach", "b", "far.npy", "--label", "red", "--backbone", "./raw")
    assert "0 of 1 are taught" in said
    assert "column 1: 1e+09 is outside -1.332e+07 to 1.332e+07" in said
    assert not (shelf / "b").exists()


def test_a_meld_is_not_proven_of_some_of_its_parts(engram: Terminal) -> None:
    engram.says("teach", "a", "train/red")
    engram.says("teach", "b", "train/green")
    engram.says("meld", "both", "a", "b")
    assert "name every brain" in engram.refuses("prove", "both", "--meld", "a")
    assert "FAIL" not in engram.says("prove", "both", "--meld", "b", "a")
    engram.says("teach", "both", "train/blue")
    assert "name every brain" in engram.refuses("prove", "both", "--meld", "a", "b", "--out", "c")
    assert "FAIL" not in engram.says("prove", "both", "--meld", "both", "a", "b", "--out", "c")


def test_a_proof_about_examples_claims_nothing_about_a_label(engram: Terminal) -> None:
    engram.says("teach", "b", "train")
    engram.says("forget", "b", "--example", "train/red/0.png")
    assert "label is not known" not in engram.says("prove", "b", "--forgotten", "train/red/0.png")


def test_a_bad_picture_stops_a_strict_lesson_and_the_rest_can_be_taught_later(engram: Terminal, shelf: Path) -> None:
    (shelf / "train" / "red" / "00bad.png").write_bytes(b"no")
    said = engram.refuses("teach", "b", "train", "--strict")
    assert "00bad.png" in said
    assert "correct the input named below" in said
    (shelf / "train" / "red" / "00bad.png").unlink()
    engram.says("teach", "b", "train")
    engram.says("teach", "whole", "train")
    assert engram.answers("info", "b")["digest"] == engram.answers("info", "whole")["digest"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_lesson_is_saved_as_far_as_it_went_and_can_be_resumed(
    engram: Terminal, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    learn = Brain.learn_examples
    portions: list[int] = []

    def interrupted(brain: Brain, inputs: Any, *others: Any, **options: Any) -> Learned:
        if len(portions) == 1:
            signal.raise_signal(number)  # in the middle of a portion, which is finished all the same
        portions.append(len(inputs))
        return learn(brain, inputs, *others, **options)

    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr("engram.cli.teach._PICTURES", 16)
        patch.setattr(Brain, "learn_examples", interrupted)
        assert "32 of 36 are taught and saved" in engram.refuses("teach", "b", "train", code=130)
    assert portions == [16, 16]
    assert signal.getsignal(number) is before
    assert engram.answers("info", "b")["examples"] == 32
    resumed = engram.answers("teach", "b", "train")
    assert (resumed["taught"], resumed["skipped"]) == (4, 32)


def test_the_program_itself_teaches_and_predicts(shelf: Path) -> None:
    engram = [sys.executable, "-c", "from engram.cli import main; main()"]
    subprocess.run([*engram, "teach", "b", "train"], check=True, capture_output=True)
    asked = [*engram, "predict", "b", "test/red/0.png", "--json"]
    done = subprocess.run(asked, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["answers"][0]["ranked"][0]["label"] == "red"
    lost = subprocess.run([*engram, "info", "nowhere"], check=False, capture_output=True, text=True)
    assert lost.returncode == 1
    assert lost.stderr.startswith("engram: No brain at")


def test_rows_of_a_table_with_a_label_never_taught_are_counted_apart(engram: Terminal) -> None:
    draw = np.random.default_rng(0)
    levels = {"idle": (2.0, 0.0), "busy": (0.0, 2.0), "worn": (-9.0, -9.0)}

    def table(name: str, *labels: str) -> None:
        rows = [f"{x + draw.normal() / 9:.4f},{y + draw.normal() / 9:.4f},{label}"
                for label in labels for x, y in [levels[label]] * 10]
        Path(name).write_text("\n".join(["one,two,label", *rows]), encoding="utf-8")

    table("known.csv", "idle", "busy")
    engram.says("teach", "t", "known.csv")
    table("asked.csv", "idle", "worn")
    shown = engram.says("predict", "t", "asked.csv", "--no-remember")
    assert " of 10 answers agree with the labels in the table" in shown
    assert '10 rows have a label that was never taught: 10 of them answered "Nothing I know".' in shown
    table("strange.csv", "worn")
    shown = engram.says("predict", "t", "strange.csv", "--no-remember")
    assert "agree" not in shown
    assert '10 rows have a label that was never taught: 10 of them answered "Nothing I know".' in shown


def test_a_text_file_among_pictures_is_told_what_to_do(engram: Terminal) -> None:
    Path("notes.txt").write_text("Remember the milk.\n", encoding="utf-8")
    said = engram.refuses("teach", "t", "notes.txt", "--label", "note", "--backbone", "descriptor")
    assert "notes.txt is a text file, but this brain accepts pictures." in said
    assert "Brain('english-ngrams').learn([TEXT], LABEL)" in said
    with pytest.raises(InputError, match=r"no such file. To teach texts, .*english-ngrams"):
        Brain("descriptor").learn("please cancel my order", "cancel")


def test_how_much_may_be_refused_is_shown_and_set_for_good(engram: Terminal) -> None:
    engram.says("teach", "b", "train", "--backbone", "descriptor")
    shown = engram.says("alpha", "b")
    assert "unknown accepted" in shown
    assert "2% of what I know will be refused" in shown
    assert "5% of what I know will be refused" in engram.says("alpha", "b", "5%", "--teacher", "ada")
    engram.says("alpha", "b", "0.1", "--label", "red")
    told = engram.says("info", "b")
    assert "5% of what I know will be refused; how many strangers would be taken for something cannot be" in told
    assert "that needs 5 labels, and there are 3." in told
    assert "10% of red may be refused" in told
    document = json.loads(engram.says("info", "b", "--json"))
    assert (document["alpha"], document["alphas"]) == (0.05, [{"label": "red", "alpha": 0.1}])
    assert [rates["refused"] for rates in document["error_rates"]][:2] == [0.001, 0.002]
    assert "ada" in engram.says("history", "b")


def test_teaching_sets_how_much_may_be_refused(engram: Terminal) -> None:
    engram.says("teach", "b", "train", "--backbone", "descriptor", "--alpha", "5%")
    assert json.loads(engram.says("alpha", "b", "--json"))["alpha"] == 0.05
    engram.says("teach", "b", "train", "--alpha", "0.1")
    assert json.loads(engram.says("alpha", "b", "--json"))["alpha"] == 0.1


@pytest.mark.parametrize("share", ["0", "1", "200%", "much", "nan"])
def test_what_is_no_share_is_wrong_usage(engram: Terminal, share: str) -> None:
    engram.says("teach", "b", "train", "--backbone", "descriptor")
    assert "not a share between 0 and 1" in engram.refuses("alpha", "b", share, code=2)


def test_what_a_label_is_not_is_taught_and_told_and_forgotten(engram: Terminal, shelf: Path) -> None:
    engram.says("teach", "b", "train", "--backbone", "descriptor")
    before = json.loads(engram.says("info", "b", "--json"))
    grey = pictures(shelf / "odd", ("grey",), 3) / "grey"
    assert engram.says("teach", "b", grey, "--not", "red", "--teacher", "ada") == "Learned 3 that are not red.\n"
    assert "red (3)" in engram.says("info", "b")
    assert "taught not" in engram.says("history", "b")
    answers = json.loads(engram.says("predict", "b", grey, "--json"))["answers"]
    assert "red" not in [one["label"] for one in answers]
    engram.says("forget", "b", "--teacher", "ada")
    after = json.loads(engram.says("info", "b", "--json"))
    assert (after["digest"], after["counterexamples"]) == (before["digest"], [])


def test_counterexamples_need_a_label_that_is_known_and_go_alone(engram: Terminal) -> None:
    engram.says("teach", "b", "train", "--backbone", "descriptor")
    assert "was never taught" in engram.refuses("teach", "b", "test/red", "--not", "mauve")
    blue = engram.refuses("teach", "b", "test/red", "--not", "red", "--label", "blue", code=2)
    assert "combined with --teacher only" in blue
    assert "No brain at" in engram.refuses("teach", "nowhere", "test/red", "--not", "red")


def test_a_table_cut_short_goes_on_without_doubling_and_one_undo_takes_back_all_of_the_command(
    engram: Terminal, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.random.default_rng(1).normal(size=(50, 4))
    lines = [",".join(map(str, row)) + f",thing {place % 10}" for place, row in enumerate(rows.round(3))]
    (shelf / "readings.csv").write_text("a,b,c,d,label\n" + "\n".join(lines) + "\n")
    engram.says("teach", "b", "readings.csv")
    whole = engram.answers("info", "b")["digest"]
    monkeypatch.setattr("engram.cli.teach._ROWS", 20)
    right, calls = Brain.learn_examples, iter(range(9))

    def interrupted(brain: Brain, *given: Any, **options: Any) -> Learned:
        if next(calls) == 1:
            raise KeyboardInterrupt
        return right(brain, *given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Brain, "learn_examples", interrupted)
        said = engram.refuses("teach", "c", "readings.csv", code=130)
    assert "20 of 50 are taught and saved, 30 are missing" in said
    assert engram.answers("teach", "c", "readings.csv")["taught"] == 30
    assert engram.answers("info", "c")["examples"] == 50
    assert len(engram.answers("history", "c")) == 1
    assert engram.answers("info", "c")["digest"] == whole
    assert engram.answers("teach", "c", "readings.csv", "--label", "other", "--alpha", "0.1")["taught"] == 50
    undone = engram.answers("undo", "c")["undone"]["labels"]
    assert undone == [{"label": "other", "examples": 50}]
    assert (engram.answers("info", "c")["digest"], engram.answers("info", "c")["alpha"]) == (whole, 0.02)
    engram.says("undo", "c")
    assert engram.answers("info", "c")["examples"] == 0


def test_a_label_is_forgotten_by_its_name_alone_and_one_typed_otherwise_is_the_same(
    engram: Terminal, shelf: Path
) -> None:
    shutil.copytree(shelf / "train" / "red", shelf / "train" / "rosé")
    shutil.copytree(shelf / "train" / "red", shelf / "later" / "rose\u0301")
    engram.says("teach", "b", "train")
    assert engram.answers("teach", "b", "later")["taught"] == 0
    assert engram.answers("predict", "b", "later")["never_taught"] == 0
    assert engram.answers("forget", "b", "rose\u0301")["labels"] == ["blue", "green", "red"]
    assert "once" in engram.refuses("forget", "b", "red", "--label", "red", code=2)
    assert "is what is answered" in engram.refuses("teach", "b", "train/red/0.png", "--label", "nothing i know")
