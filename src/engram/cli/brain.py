"""`engram predict`, `forget` and what else is done with one brain; see `engram.brain`."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from engram.cli import multimodal
from engram.cli.output import (
    Json,
    done,
    emit,
    few,
    or_dash,
    progress,
    say,
    show_answers,
    table,
    tell_left_out,
    told_left_out,
)
from engram.printable import from_file_name

if TYPE_CHECKING:
    from engram.brain import Brain
    from engram.features.backbones.bundle import Bundle
    from engram.inputs.examples import Examples
    from engram.inputs.folders import PassedOver
    from engram.learner import Label, Prediction, Predictions

Folder = Annotated[Path, typer.Argument(metavar="BRAIN", help="The brain's folder.")]
Inputs = Annotated[
    list[Path],
    typer.Argument(metavar="PATH...", help="Pictures or sounds, folders of them, .csv and .npy files of vectors, or"
                   " .txt and .csv files of text; - reads text from standard input."),
]

Strict = Annotated[
    bool, typer.Option("--strict", help="Stop at a file that cannot be read (default: leave it out and list it).")
]
Together = Annotated[
    bool, typer.Option("--together", help="For a brain of several modalities (`engram teach --multimodal`): files whose"
                       " names differ in their endings alone are one thing, seen, heard or read.")
]
Teacher = Annotated[str | None, typer.Option("--teacher", metavar="NAME", help="Name of the person who makes this"
                                               " change, for the history.")]


def predict(
    brain: Folder,
    paths: Inputs,
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, help="Labels to show for each input.")] = 1,
    remember: Annotated[
        bool, typer.Option("--remember/--no-remember", help="Keep unknown inputs for `engram unknowns`.")
    ] = True,
    heat: Annotated[
        Path | None, typer.Option("--heat", metavar="OUT", help="For a brain of good parts (--backbone good-parts):"
                                  " write each picture with a map of what is not like good ones into this folder, or"
                                  " the one picture into this .png file.")
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", metavar="COLUMN", help="The column of a table that holds the right labels"
                                 " (default: the column `label`, if there is one).")
    ] = None,
    together: Together = False,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Answer with the label of each input, or "Nothing I know".

    Unknown inputs are kept for `engram unknowns`, unless --no-remember is given. If the folders (or the column `label`)
    name labels of the brain, the share of right answers is shown. Inputs of a label never taught are counted apart. Of
    a brain of good parts it is shown how many pictures of each folder were refused as unknown: faults should be.
    Files of another kind, or that cannot be read, are left out and listed.
    """
    from engram.brain.bundles import check_sees_places

    if multimodal.is_one(brain):
        multimodal.predict(brain, paths, top, remember=remember, together=together, as_json=as_json)
        return
    if together:
        raise typer.BadParameter(f"{brain} takes one kind of inputs: --together is for a brain of several modalities.")
    with open_brain(brain) as mind:
        if not mind.labels or mind.bundle is None:
            raise typer.BadParameter(f"{brain} has not been taught yet. Teach it: engram teach {brain} PATH... --label"
                                     " LABEL")
        if heat is not None:
            check_sees_places(mind.bundle)
        asked = _asked(mind, mind.bundle, paths, label, remember, strict, as_json)
        known, bundle, good_parts = {as_text(label) for label in mind.labels}, mind.bundle, mind.sees_places
        written = [] if heat is None else _write_heat(mind, asked.examples, heat)
        trouble = _keep_unknowns(mind) if remember and not asked.answers.known.all() else None
    if bundle.targets is not None:
        _tell_numbers(bundle.targets.names, asked.answers, asked.examples, asked.left_out, as_json)
        return
    scores = _scored(asked, known, bundle.takes, top, good_parts)
    if as_json:
        lines = scores.lines
        if heat is not None:
            lines = [{**line, "heat": str(file)} for line, file in zip(lines, written, strict=True)]
        emit({"answers": lines, "right": scores.right, "never_taught": scores.strange,
              "never_taught_refused": scores.refused, "inbox": trouble, "left_out": told_left_out(asked.left_out)})
        return
    show_answers(scores.lines, top)
    folders = asked.examples.folders or ()
    if good_parts and len({*folders}) > 1:
        say(f"Refused as unknown, by folder: {_refused_by_folder(scores.lines, folders)}.")
    _tell_scores(scores)
    if written:
        say(f"{len(written)} picture{'s' * (len(written) != 1)} with heat maps: {heat}")
    tell_left_out(asked.left_out)
    if trouble:
        say(f"engram: the inbox of unknowns was not updated: {trouble}", aside=True)


class _Asked(NamedTuple):
    """What was asked about, what was answered, and what could not be read."""

    examples: Examples
    answers: Predictions
    left_out: list[PassedOver]


def _asked(
    mind: Brain, bundle: Bundle, paths: Sequence[Path], label: str | None, remember: bool, strict: bool, quiet: bool
) -> _Asked:
    """Ask about files; those that cannot be read are left out, unless `strict`."""
    from engram.inputs.examples import gather
    from engram.inputs.folders import PassedOver
    from engram.inputs.media import MEDIA
    from engram.learner import ColumnsError, InputError

    column = label or (bundle.targets.label if bundle.targets else None)
    examples = gather(list(paths), bundle.takes, None, column)
    left_out = [*examples.passed_over]
    given = examples.items if bundle.takes == "text" else list(paths)  # standard input is read once
    if label is not None and examples.target is None:
        raise typer.BadParameter(f"No column is called {label!r}: --label names the column of a table that holds the"
                                 " right labels.")
    try:
        if label is not None:
            given = _without_labels(gather(list(paths), bundle.takes, mind.columns, label))
        with progress("looking", quiet=quiet) as report, _saying_warnings():
            answers = mind.predict(given, remember=remember, sources=examples.sources, progress=report)
    except ColumnsError as error:
        if quiet:  # a program that reads the answers learns for each row why there is none
            emit(_nothing_known(examples, str(error)))
        raise
    except InputError:
        medium = None if strict else MEDIA.get(bundle.takes)
        bad = {} if medium is None else medium.unreadable(examples.items)
        if not 0 < len(bad) < len(examples):
            raise
        left_out += [PassedOver(Path(str(examples.sources[place])), why) for place, why in bad.items()]
        examples = examples.without(bad)
        answers = mind.predict(examples.items, remember=remember, sources=examples.sources)
    return _Asked(examples, answers, left_out)


class _Scores(NamedTuple):
    """Answers beside the labels that folders or a column give.

    Attributes:
        lines: the answers as JSON values.
        right: how many agree, or None where nothing says what is right.
        strange: how many have a label that was never taught.
        refused: how many of these are "Nothing I know".
        compared: what the labels stand in, and what has one.
    """

    lines: list[dict[str, Any]]
    right: int | None
    strange: int
    refused: int
    compared: tuple[str, str]


def _scored(asked: _Asked, known: set[str], kind: str | None, top: int, good_parts: bool) -> _Scores:
    """Compare answers with the labels that their inputs came with."""
    examples, answers = asked.examples, asked.answers
    found = [as_text(label) for label in examples.labels or ()]
    parts = {part.strip() for label in found for part in label.split(";")} if answers.holding is not None else {*found}
    agrees = kind == "vectors" or (known & parts and not good_parts)
    truth = found if found and agrees else None
    lines = [
        {"input": source, "label": answer.label, "known": answer.known, "confidence": answer.confidence,
         "focus": answer.focus, "familiarity": answer.familiarity,
         "ranked": [{"label": name, "score": score} for name, score in answer.ranked[:top]],
         **({} if answer.labels is None else {"labels": list(answer.labels)})}
        for source, answer in zip(examples.sources, answers, strict=True)
    ]
    if truth is not None and answers.holding is not None:
        wanted = [{part.strip() for part in name.split(";")} for name in truth]
        known = {";".join(sorted(name)) for name in wanted if name <= known}
        truth = [";".join(sorted(name)) for name in wanted]
    strange = [line for line, name in zip(lines, truth or (), strict=False) if name not in known]
    right = None if truth is None else sum(_said(answer) == name for answer, name in zip(answers, truth, strict=True))
    compared = {"vectors": ("labels in the table", "row"), "text": ("labels in the files", "text")}.get(
        kind or "", ("folders' names", "input"))
    return _Scores(lines, right, len(strange), sum(not line["known"] for line in strange), compared)


def _said(answer: Prediction) -> str | None:
    """The label of an answer as text, or its labels with semicolons between them."""
    if answer.labels is not None:
        return ";".join(sorted(map(as_text, answer.labels)))
    return None if answer.label is None else as_text(answer.label)


def _tell_scores(scores: _Scores) -> None:
    by, what = scores.compared
    counted = len(scores.lines) - scores.strange
    if scores.right is not None and counted:
        say(f"{scores.right} of {counted} answers agree with the {by} ({scores.right / counted:.1%}).")
    if scores.strange:
        have = f"1 {what} has" if scores.strange == 1 else f"{scores.strange} {what}s have"
        say(f'{have} a label that was never taught: {scores.refused} of them answered "Nothing I know".')


def _refused_by_folder(lines: Sequence[dict[str, Any]], folders: Sequence[Label]) -> str:
    """How many pictures of each folder are unknown."""
    told = []
    for folder in dict.fromkeys(folders):
        known = [line["known"] for line, where in zip(lines, folders, strict=True) if where == folder]
        told.append(f"{len(known) - sum(known)} of {len(known)} in {folder}")
    return few(told, 12)


def _without_labels(examples: Examples) -> Any:
    """The rows of a table, without the column that was named."""
    from engram.inputs.tables import Table

    assert examples.columns is not None
    return Table(examples.items, examples.columns, strange=examples.strange, lacking=examples.lacking)


def _write_heat(mind: Brain, examples: Examples, out: Path) -> list[Path]:
    """Write each picture with its heat map; the files, in the order of the examples."""
    from engram.files import make_folder, write_atomically
    from engram.inputs.overlay import heat_overlay

    files: list[Path] = []
    if len(examples) == 1 and out.suffix.lower() == ".png":
        make_folder(out.parent)
        files.append(out)
    else:
        make_folder(out)
        taken: set[str] = set()
        for place, source in enumerate(examples.sources):
            stem = Path(str(source)).stem if source else f"picture-{place}"
            name = stem if stem not in taken else f"{stem}-{place}"
            taken.add(name)
            files.append(out / f"{name}.png")
    for item, file in zip(examples.items, files, strict=True):
        write_atomically(file, heat_overlay(item, mind.heat([item])[0]))
    return files


def _tell_numbers(
    names: Sequence[str], answers: Predictions, examples: Examples, left_out: Sequence[PassedOver], as_json: bool
) -> None:
    """Each number with its interval; and how far off they are, where the table holds the right ones."""
    import numpy as np

    assert answers.values is not None
    assert answers.intervals is not None
    truth, off, inside = examples.numbers, None, None
    if truth is not None and np.isfinite(truth).any():
        there = np.isfinite(truth) & answers.known
        low, high = answers.intervals[there, 0].T
        off = float(np.sqrt(np.square(answers.values[there, 0] - truth[there]).mean())) if there.any() else None
        if there.any() and np.isfinite(high - low).all():  # before the third example there are no intervals
            inside = float(((low <= truth[there]) & (truth[there] <= high)).mean())
    lines = [
        {"input": source, "known": answer.known, "values": _finite(answer.values),
         "intervals": _finite(answer.interval), "confidence": answer.confidence, "familiarity": answer.familiarity}
        for source, answer in zip(examples.sources, answers, strict=True)
    ]
    if as_json:
        emit({"answers": lines, "numbers": list(names), "off_by": off, "inside": inside,
              "left_out": told_left_out(left_out)})
        return
    level = f"{float(answers.confidence[0]):.0%} within" if len(answers) else "within"
    rows = [(line["input"], str(answer) if answer.known else "Nothing I know")
            for line, answer in zip(lines, answers, strict=True)]
    table(("input", f"{few(names, 12)} ({level})"), rows)
    refused = int((~answers.known).sum())
    if refused:
        say(f"{refused} of {len(answers)} inputs are unknown.")
    if off is not None:
        held = "" if inside is None else f"; {inside:.0%} of its numbers lie in their intervals"
        say(f"Root mean square error against the table: {off:.6g}{held}.")
    tell_left_out(left_out)


def _finite(values: Any) -> Any:
    """Numbers as JSON has them: null for what is infinite."""
    if isinstance(values, float):
        return values if abs(values) < float("inf") else None
    return [_finite(one) for one in values.tolist()] if hasattr(values, "tolist") else [_finite(one) for one in values]


def off_by(numbers: dict[str, Any]) -> str:
    """What the numbers are called, and how far off left-out examples are."""
    parts = [name if error is None else f"{name}, off by {error:.4g} (root mean square of left-out examples)"
             for name, error in zip(numbers["names"], numbers["error"], strict=True)]
    return "; ".join(parts)


@contextmanager
def _saying_warnings() -> Iterator[None]:
    """Say on the error stream what is warned of meanwhile."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield
    for one in found:
        say(f"engram: {one.message}", aside=True)


def _nothing_known(examples: Examples, why: str) -> dict[str, Any]:
    """The answers to inputs that were refused."""
    nothing: dict[str, Any] = {"label": None, "known": False, "confidence": 0.0, "ranked": [], "refused": why}
    return {"answers": [{"input": source, **nothing} for source in examples.sources], "right": 0, "refused": why}


def unknowns(brain: Folder, as_json: Json = False) -> None:
    """List the unknown inputs of a brain, grouped by similarity.

    `engram name` teaches a group under a label. A group's id is the number of its oldest input: the groups are not
    numbered 1, 2, 3, and an id never stands for another group.

    A brain of good parts keeps here what it refused, faults and false alarms: name false alarms alone.
    """
    with open_brain(brain, readonly=True) as mind:
        groups, products = mind.unknown_groups(), labels_of(mind) if mind.sees_places else None
    if as_json:
        emit([{"group": g.number, "members": g.members, "sources": g.sources, "likeness": g.likeness} for g in groups])
    elif not groups:
        say("There are no unknown inputs.")
    else:
        rows = [(g.number, len(g.members), f"{g.likeness:.2f}", few(g.sources)) for g in groups]
        table(("group id", "inputs", "similarity", "source"), rows)
        command = f"engram name {shlex.quote(str(brain))} {groups[0].number}"
        if products is None:
            say(f"Name one: {command} LABEL")
        else:
            product = shlex.quote(str(products[0])) if len(products) == 1 else "PRODUCT"
            say("These pictures are not like the good ones that were taught. Leave faults here. Good ones that were "
                f"refused by mistake are taught as good ones: a whole group by {command} {product}, single pictures by "
                f"engram teach {shlex.quote(str(brain))} PICTURE... --label {product}")


def name(
    brain: Folder,
    group: Annotated[int, typer.Argument(metavar="GROUP", help="Id of the group in `engram unknowns`.")],
    label: Annotated[str, typer.Argument(metavar="LABEL", help="The label to teach it under.")],
    teacher: Teacher = None,
    as_json: Json = False,
) -> None:
    """Teach a group of unknown inputs under a label.

    A brain of good parts learns them as good ones of a product: name false alarms alone, by a label that was taught.
    """
    with open_brain(brain) as mind:
        count, good = mind.name(group, as_label(mind, label), teacher=teacher), mind.sees_places
    done(f"Learned {count} as {'good pictures of ' if good else ''}{label}.",
         {"label": label, "taught": count, "digest": mind.digest()}, as_json)


def forget(
    brain: Folder,
    named: Annotated[
        str | None, typer.Argument(metavar="[LABEL]", show_default=False,
                                   help="Forget this label and all its examples.")
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", metavar="LABEL", help="The same; with --example, the label of these"
                                 " examples.")
    ] = None,
    example: Annotated[
        list[Path] | None, typer.Option("--example", metavar="PATH", help="Forget every copy of this example;"
                                 " repeatable.")
    ] = None,
    ids: Annotated[
        list[int] | None, typer.Option("--id", metavar="ID", help="Forget the example with this number in `engram"
                                       " examples`; repeatable.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option("--teacher", metavar="NAME", help="Forget every example that this teacher taught.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Forget a label or single examples permanently.

    Afterwards the brain is, bit for bit, one that was never taught them. Their data leave every file of the brain. What
    was taught and then undone can be forgotten too. This cannot be undone.
    """
    if named is not None and (label is not None or example):
        raise typer.BadParameter("Pass the label once: LABEL to forget all of it, or --example PATH --label LABEL.")
    label = label if named is None else named
    if sum((label is not None or bool(example), bool(ids), teacher is not None)) != 1:
        raise typer.BadParameter(
            "Pass exactly one of LABEL, --example PATH [--label LABEL], --id ID or --teacher NAME."
        )
    if label is not None and not example and multimodal.is_one(brain):
        multimodal.forget(brain, label, as_json)
        return
    with open_brain(brain) as mind:
        before = total(mind)
        what = None if label is None else as_label(mind, label)
        if example:
            mind.forget(list(example), what, every_copy=True)
        elif ids or teacher is not None:
            mind.forget(ids=ids or None, teacher=teacher)
        else:
            mind.forget(label=what)
        gone = before - total(mind)
        found = {"forgotten": gone, "labels": labels_of(mind), "digest": mind.digest()}
    proof = ["engram", "prove", brain, "--forgotten", *(example or ()), *(("--label", label) if label else ())]
    told = f" Proof: {shlex.join(map(str, proof))}" if label or example else ""
    count = f"Forgot {gone} example(s)." if gone else ("Nothing that the brain knows changed. What was undone, or only"
                                                      " named in its history, has left its files.")
    done(f"{count}{told}", found, as_json)


def rename(
    brain: Folder,
    old: Annotated[str, typer.Argument(metavar="OLD", help="The present label.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The new label; it must not exist yet.")],
    as_json: Json = False,
) -> None:
    """Rename a label."""
    if multimodal.is_one(brain):
        multimodal.rename(brain, old, new, as_json)
        return
    with open_brain(brain) as mind:
        mind.rename(as_label(mind, old), as_label(mind, new))
    done(f"Renamed {old} to {new}.", {"labels": labels_of(mind), "digest": mind.digest()}, as_json)


def consolidate(brain: Folder, as_json: Json = False) -> None:
    """Merge redundant examples into weighted prototypes.

    The labels and the sums behind the answers do not change; the brain takes less memory.
    """
    with open_brain(brain) as mind:
        report = mind.consolidate()
    found = {"before": report.before, "after": report.after, "kept": report.kept, "digest": mind.digest()}
    done(f"Merged {report.before} vectors into {report.after} ({report.kept:.0%}).", found, as_json)


def info(brain: Folder, as_json: Json = False) -> None:
    """Show the labels, settings, digest and error rates of a brain."""
    from engram.brain.both_errors import as_json as as_document

    if multimodal.is_one(brain):
        multimodal.info(brain, as_json)
        return
    with open_brain(brain, readonly=True) as mind:
        found, rates = mind.info(), mind.error_rates()
    if as_json:
        emit({**found, "error_rates": [as_document(one) for one in rates]})
        return
    table(("label", "examples"), [(entry["label"], entry["examples"]) for entry in found["labels"]])
    for key in ("examples", "digest", "backbone", "takes", "width", "fingerprint", "device", "seq", "unknowns", "gate"):
        say(f"{key:12} {or_dash(found[key])}")
    if found["counterexamples"]:
        against = few([f"{one['label']} ({one['examples']})" for one in found["counterexamples"]], 12)
        say(f"{'not':12} {against}")
    if found["numbers"]:
        say(f"{'numbers':12} {off_by(found['numbers'])}; {found['numbers']['function']} function")
    if found["columns"]:
        say(f"{'columns':12} {few(found['columns'], 12)}")
    if found["zero_columns"]:
        say(f"{'kept as 0':12} {columns_named(found['zero_columns'])}: all values are 0 or too small for the range")
    devices = ", ".join(f"{entry['device'][:8]} ({entry['epoch']} changes)" for entry in found["devices"])
    say(f"{'devices':12} {devices or or_dash(None)}")
    say(f"{'memory':12} {found['memory_bytes'] / 1e6:.1f} MB")
    say(f"{'alpha':12} {found['alpha']:g}")
    if found["errors"]:
        say(found["errors"])


def open_brain(path: Path, *, readonly: bool = False) -> Brain:
    """The brain in a folder. Raises InputError where it holds one for each modality."""
    from engram.brain import Brain
    from engram.learner import InputError

    if multimodal.is_one(path):
        member = min(path.glob("*/manifest.json"), default=path / "sound" / "manifest.json").parent
        raise InputError(f"{path} holds a brain for each modality, and this command works on one of them: pass"
                         f" {member}, say.")
    return Brain.open(path, readonly=readonly)


def can_be_made(path: Path) -> bool:
    """Whether a new brain may be made there: nothing is, or what the making of one left that was cut short."""
    from engram.brain.folder_ledger import unborn

    return not path.exists() or (path.is_dir() and unborn(path))


@contextmanager
def making(path: Path, bundle: Bundle | None, **options: Any) -> Iterator[Brain]:
    """The brain in the folder, or a new one, which goes away again where nothing can be taught to it."""
    import shutil

    from engram.brain import Brain

    new = can_be_made(path)
    with Brain.create(path, bundle, **options) if new else Brain.open(path) as mind:
        try:
            yield mind
        except BaseException:
            if new and not mind.labels:
                mind.close()
                shutil.rmtree(path, ignore_errors=True)
            raise


def _keep_unknowns(mind: Brain) -> str | None:
    """Keep what was remembered; why that cannot be."""
    from engram.learner import EngramError

    try:
        mind.keep_unknowns()
    except (EngramError, OSError) as error:
        return str(error)
    return None


def as_share(text: str) -> float:
    """A share, as people write one. Raises BadParameter where it is none between 0 and 1.

    >>> as_share("0.05"), as_share("5%")
    (0.05, 0.05)
    """
    number, percent = (text[:-1], 100.0) if text.endswith("%") else (text, 1.0)
    try:
        share = float(number) / percent
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise typer.BadParameter(f"{text!r} is not a share between 0 and 1, such as 0.05 or 5%.")
    return share


def as_label(mind: Brain, text: str) -> Label:
    """The label as the brain's other labels are: a number where they are numbers. Raises BadParameter where it is none.
    """
    if mind.labels and isinstance(mind.labels[0], int):
        try:
            return int(text)
        except ValueError as error:
            raise typer.BadParameter(f"This brain's labels are whole numbers, not {text!r}.") from error
    return text if text in mind.labels else from_file_name(text)  # earlier versions kept bytes that are not UTF-8


def as_text(label: Label) -> str:
    """A label as text in the normal form that labels are kept in."""
    from engram.inputs.vectors import normal_form

    return str(normal_form(label))


def labels_of(mind: Brain) -> list[Label]:
    return list(mind.labels)


def total(mind: Brain) -> int:
    return mind.total


def columns_named(columns: list[str | int]) -> str:
    """Columns by their names or places, to be shown."""
    return few([one if isinstance(one, str) else f"column {one + 1}" for one in columns], 12)
