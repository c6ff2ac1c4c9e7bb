"""`engram teach`, `predict` and what else is done with one brain; see `engram.brain`."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engram.cli.output import Json, emit, progress, say, table

if TYPE_CHECKING:
    from engram.brain import Brain
    from engram.learner import Label

Folder = Annotated[Path, typer.Argument(metavar="BRAIN", help="The brain's folder.")]
Inputs = Annotated[
    list[Path],
    typer.Argument(metavar="PATH...", help="Pictures, folders of them, or .csv and .npy files of vectors."),
]

_PORTION = 16
_SAVE_EVERY = 5.0  # seconds
_LEFTOVERS = (".", "bundle-", "snapshot-")  # of a first save that was cut short, as by a full disk


def teach(
    brain: Folder,
    paths: Inputs,
    label: Annotated[
        str | None, typer.Option("--label", metavar="LABEL", help="What they are; else the names of their folders.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", metavar="NAME", help="For a new brain: the name or folder of a backbone;"
                                 " without it, pictures are shown to the packaged photo backbone.")
    ] = None,
    gate: Annotated[
        float | None, typer.Option("--gate", metavar="G", min=0.0,
                                   help="For a new brain: skip what it knows by this margin.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Teach a brain, which is made if there is none.

    A folder that holds folders is taught with their names as labels; one that holds pictures only is called by its own
    name. Pictures that are known under their label already are skipped, so an interrupted command can be repeated.
    """
    started = time.perf_counter()
    mind = _open_or_make(brain, backbone, gate)
    inputs, labels = _labelled(mind, paths, label)
    before = _total(mind)
    _teach_all(mind, brain, inputs, labels, quiet=as_json)
    taught, seconds = _total(mind) - before, time.perf_counter() - started
    skipped = len(labels) - taught
    if as_json:
        emit({"taught": taught, "skipped": skipped, "labels": _labels(mind), "seconds": seconds,
              "digest": mind.digest()})
        return
    known = _labels(mind)
    say(f"Taught {taught} in {seconds:.1f} s. {len(known)} label{'s' * (len(known) != 1)}: {_few(known, 12)}")
    if skipped:
        say(f"{skipped} skipped: known already.")


def predict(
    brain: Folder,
    paths: Inputs,
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, help="How many labels to show for each.")] = 1,
    remember: Annotated[
        bool, typer.Option("--remember/--no-remember", help="Keep what is not known in the inbox of unknowns.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Ask a brain what things are; what it does not know it says, and keeps for `engram unknowns`."""
    from engram.brain.examples import gather, takes

    mind = _open(brain)
    if not mind.labels or mind.bundle is None:
        raise typer.BadParameter(f"{brain} knows nothing yet: engram teach {brain} PATH... --label LABEL")
    examples = gather(list(paths), takes(mind.bundle))
    with progress("looking", quiet=as_json) as report:
        answers = mind.predict(list(paths), remember=remember, progress=report)
    truth = examples.labels if examples.labels and set(examples.labels) <= set(map(str, mind.labels)) else None
    lines = [
        {"input": source, "label": answer.label, "known": answer.known, "confidence": answer.confidence,
         "focus": answer.focus, "familiarity": answer.familiarity,
         "ranked": [{"label": name, "score": score} for name, score in answer.ranked[:top]]}
        for source, answer in zip(examples.sources, answers, strict=True)
    ]
    right = None if truth is None else sum(str(line["label"]) == name for line, name in zip(lines, truth, strict=True))
    if as_json:
        emit({"answers": lines, "right": right})
    else:
        _show_answers(lines, top, right, "labels" if takes(mind.bundle) == "vectors" else "folders' names")
    if remember and not answers.known.all():
        mind.save(brain)


def unknowns(brain: Folder, as_json: Json = False) -> None:
    """Show what a brain did not know, grouped by likeness: name a group, and it is learned."""
    groups = _open(brain).unknown_groups()
    if as_json:
        emit([{"group": g.number, "members": g.members, "sources": g.sources, "likeness": g.likeness} for g in groups])
    elif not groups:
        say("Nothing unknown is waiting.")
    else:
        rows = [(g.number, len(g.members), f"{g.likeness:.2f}", _few(g.sources)) for g in groups]
        table(("group", "inputs", "likeness", "from"), rows)
        say(f"Name one: engram name {shlex.quote(str(brain))} {groups[0].number} LABEL")


def name(
    brain: Folder,
    group: Annotated[int, typer.Argument(metavar="GROUP", help="Its number, as `engram unknowns` shows it.")],
    label: Annotated[str, typer.Argument(metavar="LABEL", help="What it is.")],
    as_json: Json = False,
) -> None:
    """Name a group of unknowns: it is learned under that label."""
    mind = _open(brain)
    count = mind.name(group, _as_label(mind, label))
    mind.save(brain)
    _done(f"Learned {count} as {label}.", {"label": label, "taught": count, "digest": mind.digest()}, as_json)


def forget(
    brain: Folder,
    label: Annotated[
        str | None, typer.Option("--label", metavar="LABEL", help="Forget all of it, or with --example, from it.")
    ] = None,
    example: Annotated[
        list[Path] | None, typer.Option("--example", metavar="PATH", help="Forget single examples; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Forget a label, or single examples: afterwards the brain is as if it had never seen them."""
    if label is None and not example:
        raise typer.BadParameter("Say what to forget: --label LABEL, or --example PATH [--label LABEL].")
    mind = _open(brain)
    before = _total(mind)
    what = None if label is None else _as_label(mind, label)
    if example:
        _forget_examples(mind, list(example), what)
    else:
        mind.forget(label=what)
    mind.save(brain)
    gone = before - _total(mind)
    found = {"forgotten": gone, "labels": _labels(mind), "digest": mind.digest()}
    proof = ["engram", "prove", brain, "--forgotten", *(example or ())]
    if label is not None:
        proof += ["--label", label]
    _done(f"Forgot {gone} example(s). Proof: {shlex.join(map(str, proof))}", found, as_json)


def rename(
    brain: Folder,
    old: Annotated[str, typer.Argument(metavar="OLD", help="The label as it is.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The label as it should be.")],
    as_json: Json = False,
) -> None:
    """Call a label by another name."""
    mind = _open(brain)
    mind.rename(_as_label(mind, old), _as_label(mind, new))
    mind.save(brain)
    _done(f"{old} is called {new} now.", {"labels": _labels(mind), "digest": mind.digest()}, as_json)


def consolidate(brain: Folder, as_json: Json = False) -> None:
    """Merge redundant examples into weighted prototypes; what is known stays the same."""
    mind = _open(brain)
    report = mind.consolidate()
    mind.save(brain)
    found = {"before": report.before, "after": report.after, "kept": report.kept, "digest": mind.digest()}
    _done(f"{report.before} vectors became {report.after} ({report.kept:.0%} kept).", found, as_json)


def info(brain: Folder, as_json: Json = False) -> None:
    """Show what a brain knows, what it stands on, and its digest."""
    found = _open(brain).info()
    if as_json:
        emit(found)
        return
    table(("label", "examples"), [(entry["label"], entry["examples"]) for entry in found["labels"]])
    for key in ("examples", "digest", "backbone", "takes", "width", "fingerprint", "device", "seq", "unknowns", "gate"):
        say(f"{key:12} {'–' if found[key] is None else found[key]}")
    devices = ", ".join(f"{entry['device'][:8]} ({entry['epoch']} changes)" for entry in found["devices"])
    say(f"{'devices':12} {devices or '–'}")
    say(f"{'memory':12} {found['memory_bytes'] / 1e6:.1f} MB")


def _open(path: Path) -> Brain:
    from engram.brain import Brain

    return Brain.open(path)


def _open_or_make(path: Path, backbone: str | None, gate: float | None) -> Brain:
    from engram.brain import Brain
    from engram.learner import InputError

    if not (path / "manifest.json").exists():
        if path.is_file() or (path.is_dir() and not all(e.name.startswith(_LEFTOVERS) for e in path.iterdir())):
            raise InputError(f"{path} is no brain, and not empty: name a new folder for the brain first, then inputs.")
        return Brain.create(path, backbone, gate=gate)
    mind = Brain.open(path)
    if gate is not None and gate != mind.options["gate"]:
        raise InputError(f"{path} was made with the gate {mind.options['gate']}: it stays as it is.")
    if backbone is not None:
        from engram.brain.examples import as_bundle

        wanted = as_bundle(backbone)
        if mind.bundle is not None and mind.bundle.fingerprint != wanted.fingerprint:
            raise InputError(f"{path} stands on {mind.bundle.name!r}: another backbone needs a new brain.")
    return mind


def _labelled(mind: Brain, paths: list[Path], label: str | None) -> tuple[Any, list[Label]]:
    """The single inputs, and a label for each: the one given, else found, else the folder's name."""
    from engram.brain.examples import TABLES, default_bundle, gather, takes
    from engram.learner import InputError, LabelError

    for path in paths:
        if not path.exists():
            raise InputError(f"There is no {path}: check the path.")
    kind = takes(mind.bundle or default_bundle(paths))
    items: list[Any] = []
    labels: list[Label] = []
    for path in paths:
        if kind == "pictures" and path.suffix.lower() in TABLES:
            raise InputError(f"{path} holds vectors, but this brain takes pictures: teach a new brain with it.")
        found = gather(path, kind)
        items.append(found.items)
        if label is not None:
            labels += [_as_label(mind, label)] * len(found)
        elif found.labels is not None:
            labels += [_as_label(mind, str(one)) for one in found.labels]
        elif path.is_dir():
            labels += [_as_label(mind, path.resolve().name)] * len(found)
        else:
            raise LabelError(f"What is {path}? Say it with --label LABEL, or give a folder named by what is in it.")
    if kind == "vectors":
        import numpy as np

        return np.concatenate(items), labels
    return [item for part in items for item in part], labels


def _teach_all(mind: Brain, path: Path, inputs: Any, labels: list[Label], *, quiet: bool) -> None:
    """Teach in portions, saved as time goes by; whatever ends it, what was taught is saved and told."""
    tables = not isinstance(inputs, list)
    portion = 4096 if tables else _PORTION
    from engram.learner import EngramError

    saved, done, saved_at = 0, 0, time.monotonic()
    then = "repeat the command for the rest."
    try:
        with progress("teaching", quiet=quiet) as report, _interruptions() as interrupted:
            for done in range(0, len(labels), portion):
                if interrupted():
                    raise KeyboardInterrupt
                mind.learn(inputs[done : done + portion], labels[done : done + portion], again=tables)
                report(min(done + portion, len(labels)), len(labels))
                if time.monotonic() - saved_at > _SAVE_EVERY:
                    mind.save(path)
                    saved, saved_at = done + portion, time.monotonic()
            done = len(labels)
    except EngramError:  # it would be refused again
        then = "mend what is named below, then repeat the command for the rest."
        raise
    finally:
        if done > saved:
            mind.save(path)
        if done < len(labels):
            typer.echo(f"engram: {done} of {len(labels)} are taught and saved; {then}", err=True)


@contextmanager
def _interruptions() -> Iterator[Callable[[], bool]]:
    """While it lasts, Ctrl-C and termination are only noted, so that nothing stops between two halves of a change."""
    seen: list[int] = []
    wanted = [signal.SIGINT, signal.SIGTERM]
    try:
        before = {number: signal.signal(number, lambda got, _: seen.append(got)) for number in wanted}
    except ValueError:  # not the main thread: nobody interrupts it
        before = {}
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _forget_examples(mind: Brain, paths: list[Path], label: Label | None) -> None:
    """Forget every copy of each example."""
    from engram.brain.examples import gather, takes
    from engram.learner import NotTaughtError

    held = mind.holds(paths, label)
    assert mind.bundle is not None
    if not all(held):
        sources = gather(paths, takes(mind.bundle)).sources
        missing = [source for source, times in zip(sources, held, strict=True) if not times]
        named = "" if label is None else f" as {label}"
        raise NotTaughtError(f"{_few(missing)}: never taught{named}, or skipped by a gate. Nothing was forgotten.")
    mind.forget(paths, label)
    for _ in range(max(held) - 1):
        items = gather(paths, takes(mind.bundle)).items
        again = [item for item, times in zip(items, mind.holds(items, label), strict=True) if times]
        if again:
            mind.forget(again, label)


def _as_label(mind: Brain, text: str) -> Label:
    """The label as the brain's other labels are: a number where they are numbers."""
    if mind.labels and isinstance(mind.labels[0], int):
        try:
            return int(text)
        except ValueError as error:
            raise typer.BadParameter(f"This brain's labels are whole numbers, not {text!r}.") from error
    return text


def _labels(mind: Brain) -> list[Label]:
    return list(mind.labels)


def _total(mind: Brain) -> int:
    return sum(entry["examples"] for entry in mind.info()["labels"])


def _show_answers(lines: list[dict[str, Any]], top: int, right: int | None, truth: str) -> None:
    rows = []
    for line in lines:
        ranked = ", ".join(f"{entry['label']} {entry['score']:.2f}" for entry in line["ranked"])
        answer = line["label"] if line["known"] else "Nothing I know"
        rows.append((line["input"], answer, f"{line['confidence']:.0%}", *([ranked] if top > 1 else [])))
    table(("input", "answer", "confidence", *(["best"] if top > 1 else [])), rows)
    refused = sum(not line["known"] for line in lines)
    if refused:
        say(f"{refused} of {len(lines)} are nothing I know.")
    if right is not None:
        say(f"{right} of {len(lines)} are right by their {truth} ({right / len(lines):.1%}).")


def _few(values: Any, most: int = 3) -> str:
    named = [str(value) for value in values if value is not None]
    return ", ".join(named[:most]) + (f" and {len(named) - most} more" if len(named) > most else "")


def _done(sentence: str, document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit(document)
    else:
        say(sentence)
