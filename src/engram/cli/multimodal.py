"""What the commands do with a brain of several modalities; see `engram.brain.multimodal`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from engram.cli.output import done, emit, few, progress, say, show_answers, table, tell_left_out, told_left_out

if TYPE_CHECKING:
    from engram.brain.multimodal import MultimodalBrain
    from engram.inputs.folders import PassedOver
    from engram.inputs.modalities import Things
    from engram.learner import Label

_PORTION = 64  # things that are learned by one commit


def is_one(path: Path) -> bool:
    """Whether a folder holds a brain for each modality."""
    return (path / "multimodal.json").is_file()


def teach(
    path: Path, paths: Sequence[Path], label: str | None, *, strict: bool, teacher: str | None, as_json: bool
) -> None:
    """Teach the things in files and folders; one undo takes all of it back."""
    from engram.brain.changes import acting
    from engram.brain.multimodal import MultimodalBrain
    from engram.inputs.modalities import labelled, things_in
    from engram.learner import InputError

    started = time.perf_counter()
    things = things_in(list(paths))
    labels = list(labelled(things, label))
    left_out = [*things.passed_over]
    if not strict:
        bad = things.unreadable()
        left_out += bad.values()
        if len(bad) == things.count:
            raise InputError(f"None of {things.count} files can be read: {next(iter(bad.values())).why}")
        kept = [place for place in range(things.count) if place not in bad]
        things, labels = things.at(kept), [labels[place] for place in kept]
    learned: dict[str, int] = {}
    with MultimodalBrain.open(path) if is_one(path) else MultimodalBrain.create(path) as mind:
        labels = [_like(mind, one) for one in labels]
        with acting(None, uuid4().hex), progress("teaching", quiet=as_json) as report:
            for start in range(0, things.count, _PORTION):
                places = range(start, min(start + _PORTION, things.count))
                some = mind.learn_things(things.at(places), [labels[place] for place in places], again=False,
                                         teacher=teacher)
                for name, one in some.items():
                    learned[name] = learned.get(name, 0) + len(one.ids)
                report(places.stop, things.count)
        known, digest = list(mind.labels), mind.digest()
    skipped = sum(len(part.items) for part in things.parts.values()) - sum(learned.values())
    seconds = time.perf_counter() - started
    if as_json:
        emit({"taught": learned, "skipped": skipped, "labels": known, "seconds": seconds, "digest": digest,
              "left_out": told_left_out(left_out)})
        return
    told = ", ".join(f"{count} of {name}" for name, count in learned.items())
    say(f"Taught {told} in {seconds:.1f} s. {len(known)} label{'s' * (len(known) != 1)}: {few(known, 12)}")
    if skipped:
        say(f"{skipped} skipped: taught before.")
    tell_left_out(left_out)


def predict(
    path: Path, paths: Sequence[Path], top: int, *, remember: bool, together: bool, as_json: bool
) -> None:
    """Answer with the label of each thing, and how many agree with the folders' names."""
    from engram.brain.multimodal import MultimodalBrain
    from engram.inputs.modalities import things_in
    from engram.learner import InputError

    with MultimodalBrain.open(path) as mind:
        if not mind.labels:
            raise InputError(f"{path} has not been taught yet. Teach it: engram teach {path} PATH... --label LABEL")
        things, left_out = _readable(things_in(list(paths), together=together))
        answers = mind.predict_things(things, remember=remember)
        known = {str(label) for label in mind.labels}
    lines: list[dict[str, Any]] = [
        {"input": things.source(place), "label": answer.label, "known": answer.known, "confidence": answer.confidence,
         "familiarity": answer.familiarity if abs(answer.familiarity) < float("inf") else None,
         "ranked": [{"label": name, "score": score} for name, score in answer.ranked[:top] if score > float("-inf")]}
        for place, answer in enumerate(answers)
    ]
    truth = [str(label) for label in things.labels or ()]
    judged = [(line, name) for line, name in zip(lines, truth, strict=False) if name in known]
    right = sum(str(line["label"]) == name for line, name in judged) if judged else None
    if as_json:
        emit({"answers": lines, "right": right, "never_taught": len(truth) - len(judged) if judged else 0,
              "left_out": told_left_out(left_out)})
        return
    show_answers(lines, top)
    if right is not None:
        say(f"{right} of {len(judged)} answers agree with the folders' names ({right / len(judged):.1%}).")
    tell_left_out(left_out)


def _readable(things: Things) -> tuple[Things, list[PassedOver]]:
    """The things of which every file can be read, and what was left out."""
    bad = things.unreadable()
    kept = [place for place in range(things.count) if place not in bad]
    return things.at(kept) if bad and kept else things, [*things.passed_over, *(bad.values() if kept else ())]


def forget(path: Path, label: str, as_json: bool) -> None:
    """Forget a label in every modality."""
    with _opened(path) as mind:
        named = _like(mind, label)
        gone = sum(mind.counts().get(named, {}).values())
        mind.forget(label=named)
        found = {"forgotten": gone, "labels": list(mind.labels), "digest": mind.digest()}
    done(f"Forgot {gone} example(s).", found, as_json)


def rename(path: Path, old: str, new: str, as_json: bool) -> None:
    """Rename a label in every modality."""
    with _opened(path) as mind:
        mind.rename(_like(mind, old), _like(mind, new))
        found = {"labels": list(mind.labels), "digest": mind.digest()}
    done(f"Renamed {old} to {new}.", found, as_json)


def undo(path: Path, as_json: bool) -> None:
    """Undo the last change, in every modality that it changed."""
    with _opened(path) as mind:
        undone = mind.undo()
        found = {"undone": {name: {"kind": entry.kind, "seq": entry.seq} for name, entry in undone.items()},
                 "labels": list(mind.labels), "digest": mind.digest()}
    kinds = ", ".join(f"{entry.kind} ({name})" for name, entry in undone.items())
    done(f"Undone: {kinds}.", found, as_json)


def meld(out: Path, parts: Sequence[Path], as_json: bool) -> None:
    """Merge brains of several modalities into one that knows what all of them know."""
    from contextlib import ExitStack

    from engram.brain.multimodal import MultimodalBrain

    with ExitStack() as stack:
        brains = [stack.enter_context(MultimodalBrain.open(part, readonly=True)) for part in parts]
        made = stack.enter_context(MultimodalBrain.open(out) if is_one(out) else MultimodalBrain.create(out))
        reports = made.meld(*brains)
        found = {"labels": list(made.labels), "digest": made.digest(),
                 "added": {name: report.added for name, report in reports.items()}}
    done(f"{out}: {len(found['labels'])} labels, digest {found['digest']}", found, as_json)


def info(path: Path, as_json: bool) -> None:
    """Show the labels of each modality, and what it stands on."""
    with _opened(path, readonly=True) as mind:
        found, members = mind.info(), mind.members
        names = list(members)
    if as_json:
        emit(found)
        return
    table(("label", *names), [(one["label"], *(one["examples"].get(name, 0) for name in names))
                              for one in found["labels"]])
    for name in names:
        about = found["modalities"][name]
        say(f"{name:12} {about['backbone']}, {about['unknowns']} unknown; engram info {path / name} tells all")
    say(f"{'digest':12} {found['digest']}")


def _opened(path: Path, *, readonly: bool = False) -> MultimodalBrain:
    from engram.brain.multimodal import MultimodalBrain

    return MultimodalBrain.open(path, readonly=readonly)


def _like(mind: MultimodalBrain, label: Label) -> Label:
    """The label as the brain's other labels are: a number where they are numbers."""
    number = bool(mind.labels) and isinstance(mind.labels[0], int)
    return int(label) if number and str(label).lstrip("-").isdigit() else label
