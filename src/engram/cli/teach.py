"""`engram teach`: a brain learns what is in folders, and what was learned is on disk portion by portion."""

from __future__ import annotations

import hashlib
import json
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from uuid import uuid4

import typer

from engram.cli import multimodal
from engram.cli.brain import (
    Folder,
    Inputs,
    Strict,
    Teacher,
    as_label,
    as_share,
    can_be_made,
    columns_named,
    labels_of,
    making,
    off_by,
    open_brain,
)
from engram.cli.output import Json, done, emit, few, progress, say, tell_left_out, told_left_out
from engram.progress import Progress

if TYPE_CHECKING:
    from engram.brain import Brain
    from engram.features.backbones.bundle import Bundle
    from engram.inputs.folders import PassedOver
    from engram.inputs.media import Medium
    from engram.learner import Label

_PICTURES, _ROWS = 64, 4096  # are learned by one commit


def teach(
    brain: Folder,
    paths: Inputs,
    label: Annotated[
        str | None, typer.Option("--label", metavar="LABEL", help="The label of all inputs, or the column of a table"
                                 " that holds the labels (default: the name of each input's folder, or the column"
                                 " `label`).")
    ] = None,
    against: Annotated[
        str | None, typer.Option("--not", metavar="LABEL", help="Teach the inputs as counterexamples of this label.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", metavar="NAME", help="For a new brain: the name or folder of its"
                                 " backbone (default: for pictures `efficientnet-lite0` where the extra [photos] is"
                                 " installed, else the packaged `photos`; for sounds `speech` where [sound] is, else"
                                 " `log-mel`; none for vectors).")
    ] = None,
    gate: Annotated[
        float | None, typer.Option("--gate", metavar="G", min=0.0,
                                   help="For a new brain: skip an example whose score already leads the next label's"
                                   " by G.")
    ] = None,
    memory_budget: Annotated[
        float | None, typer.Option("--memory-budget", metavar="MB", min=0.001,
                                   help="For a new brain: megabytes for single examples, in memory and again in the"
                                   " log (default 256). Beyond that the oldest are kept as sums and prototypes.")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option("--alpha", metavar="SHARE", parser=as_share,
                                   help="Share of known inputs that may be refused from now on: 0.05 or 5%. See"
                                   " `engram alpha`.")
    ] = None,
    numbers: Annotated[
        bool | None, typer.Option("--numbers/--labels", help="Whether the column of a table that --label names holds"
                                  " numbers to answer, such as prices, or labels (default: numbers if one has a"
                                  " fraction, or if it has 20 rows or more and more than half of them differ).")
    ] = None,
    augment: Annotated[
        bool, typer.Option("--augment", help="Learn each picture with views of it: mirrored, shifted, turned, in other"
                           " light. It counts once; teaching takes eight times as long.")
    ] = False,
    several: Annotated[
        bool, typer.Option("--multimodal", help="Make a brain that sees, hears and reads: pictures, sounds and texts,"
                           " each with a backbone of its own, have the same labels. Later commands know it.")
    ] = False,
    multilabel: Annotated[
        bool, typer.Option("--multilabel", help="Make a brain that tells several labels of an input: each label is a"
                           " list with semicolons, such as red;round. Later commands know it.")
    ] = False,
    strict: Strict = False,
    teacher: Teacher = None,
    as_json: Json = False,
) -> None:
    """Teach examples to a brain; create it if it does not exist.

    A column of a table that holds numbers makes a brain that answers numbers: engram teach house.brain sold.csv --label
    price.

    A folder of folders is taught with the names of the inner folders as labels; a folder of pictures or sounds with its
    own name. A new brain without --backbone is made for pictures or for sounds, whichever the folder has more of, and
    for texts where it has neither. Inputs already taught under the same label are skipped, so an interrupted command
    can be repeated. Files of another kind, or that cannot be read, are left out and listed. `engram undo` takes back
    all that one command taught.

    With --not LABEL the inputs are counterexamples: inputs like them are not answered with LABEL any more, but with
    "Nothing I know", unless they are also taught under another label.
    """
    from engram.brain import acting
    from engram.inputs.media import MEDIA
    from engram.learner import InputError

    if against is not None:
        if augment or any(one is not None for one in (label, backbone, gate, memory_budget, alpha)):
            raise typer.BadParameter("--not can be combined with --teacher only. Teach the right label in a second"
                                     " command.")
        _teach_not(brain, paths, against, teacher, as_json)
        return
    started = time.perf_counter()
    if several or multimodal.is_one(brain):
        if augment or any(one is not None for one in (backbone, gate, memory_budget, alpha, numbers)):
            raise typer.BadParameter("A brain of several modalities takes --label, --teacher and --strict alone. What"
                                     " else is to be set, is set for the brain of one modality in its folder.")
        multimodal.teach(brain, paths, label, strict=strict, teacher=teacher, as_json=as_json)
        return
    options: dict[str, Any] = {} if gate is None else {"gate": gate}
    if memory_budget is not None:
        options["memory_budget"] = int(memory_budget * 1e6)
    ground = _backbone(brain, backbone, options, paths)
    bundle, inputs, labels, sources, passed_over = _labelled(brain, ground, paths, label, numbers)
    with making(brain, bundle, **options) as mind:
        named: list[Label] = [*labels] if _answers_numbers(inputs) else [as_label(mind, one) for one in labels]
        lessons = _Lessons(inputs, named, sources, teacher, augment, strict, [*passed_over], multilabel or None)
        act = _act(mind, lessons)
        lessons, held = _not_held(mind, lessons)
        with acting(None, act):
            skipped = held + _teach_all(mind, lessons, quiet=as_json)
        unread = len(lessons.left_out) - len(passed_over)
        if unread == len(labels):
            what = f"None of {len(labels)} {MEDIA[bundle.takes].one}s can be read"
            raise InputError(f"{what}: {_first(lessons.left_out)}.")
        if alpha is not None:
            with acting(teacher, act):
                mind.set_alpha(alpha)
        taught, known, digest = len(labels) - skipped - unread, labels_of(mind), mind.digest()
        about = mind.info()
        zero, good_parts = about["zero_columns"], mind.sees_places
    seconds = time.perf_counter() - started
    if as_json:
        emit({"taught": taught, "skipped": skipped, "labels": known, "seconds": seconds, "digest": digest,
              "zero_columns": zero, "numbers": about["numbers"], "left_out": told_left_out(lessons.left_out)})
        return
    if about["numbers"]:
        say(f"Taught {taught} in {seconds:.1f} s. Answers numbers: {off_by(about['numbers'])}")
    else:
        say(f"Taught {taught} in {seconds:.1f} s. {len(known)} label{'s' * (len(known) != 1)}: {few(known, 12)}")
    if good_parts:
        say("Each label is a product, and all its pictures count as good ones.")
    if skipped:
        say(f"{skipped} skipped: taught before.")
    tell_left_out(lessons.left_out)
    if zero:
        say(f"engram: {columns_named(zero)} carry no information: all values are 0 or too small for the range of this"
            " brain.", aside=True)


def _teach_not(path: Path, paths: list[Path], against: str, teacher: str | None, as_json: bool) -> None:
    with open_brain(path) as mind:
        label = as_label(mind, against)
        ground = _Ground(mind.bundle, mind.columns, tuple(mind.labels))
        _, inputs, labels, sources, _ = _labelled(path, ground, paths, against, False)
        learned = mind.learn_not(inputs, [label] * len(labels), teacher=teacher, sources=sources)
    count = len(learned.ids)
    done(f"Learned {count} that {'is' if count == 1 else 'are'} not {label}.",
         {"not": label, "taught": count, "ids": list(learned.ids), "digest": mind.digest()}, as_json)


class _Ground(NamedTuple):
    """What a brain stands on, or is to; None where its first examples decide. The names of its columns, and the labels
    that it was taught."""

    bundle: Bundle | None
    columns: tuple[str, ...] | None = None
    labels: tuple[Label, ...] = ()


def _backbone(path: Path, backbone: str | None, options: dict[str, Any], inputs: list[Path]) -> _Ground:
    """What the brain stands on.

    Raises:
        InputError: it was made otherwise.
    """
    from engram.brain import Brain
    from engram.brain.bundles import as_bundle
    from engram.features.backbones import BACKBONES
    from engram.learner import InputError

    if can_be_made(path):
        return _Ground(None if backbone is None else as_bundle(backbone, inputs))
    if not (path / "manifest.json").exists():
        raise InputError(f"{path} is neither a brain nor empty. The first argument is the brain's folder, the"
                         " others are the inputs.")
    with Brain.open(path, readonly=True) as mind:
        made_of_first = backbone is not None and backbone in BACKBONES and bool(BACKBONES[backbone].first)
        if made_of_first and mind.bundle is not None and mind.bundle.name == backbone:
            return _Ground(mind.bundle, mind.columns, tuple(mind.labels))  # an interrupted command is repeated
        wanted = None if backbone is None else as_bundle(backbone, inputs)
        for name, value in options.items():
            if value != mind.options[name]:
                said = f"the {name.replace('_', ' ')} {mind.options[name]}"
                raise InputError(f"{path} was made with {said}, which cannot be changed: make a new brain.")
        if wanted is not None and mind.bundle is not None and (
            mind.bundle.with_targets(None).fingerprint != wanted.fingerprint
        ):
            raise InputError(f"{path} uses the backbone {mind.bundle.name!r}: another backbone needs a new brain.")
        return _Ground(mind.bundle or wanted, mind.columns, tuple(mind.labels))


@dataclass(frozen=True)
class _Lessons:
    """What is to be taught: an array of vectors, or a list; a label and a source for each; and who teaches."""

    inputs: Any
    labels: list[Label]
    sources: list[str | None]
    teacher: str | None
    augment: bool = False
    strict: bool = True
    left_out: list[PassedOver] = field(default_factory=list)
    multilabel: bool | None = None

    def part(self, places: Sequence[int]) -> tuple[Any, list[Label], list[str | None]]:
        """Inputs, labels and sources at these places."""
        if isinstance(self.inputs, list):
            inputs: Any = [self.inputs[place] for place in places]
        else:
            inputs = self.inputs[places[0] : places[-1] + 1]
        return inputs, [self.labels[place] for place in places], [self.sources[place] for place in places]

    def readable(self, places: Sequence[int], medium: Medium) -> list[int]:
        """The places whose files can be read; the others are told among what was left out."""
        from engram.inputs.folders import PassedOver

        found = medium.unreadable(self.inputs[place] for place in places)
        self.left_out.extend(PassedOver(Path(str(self.sources[places[i]])), why) for i, why in found.items())
        return [place for i, place in enumerate(places) if i not in found]


def _labelled(
    brain: Path, ground: _Ground, paths: list[Path], label: str | None, numbers: bool | None
) -> tuple[Bundle, Any, list[str], list[str | None], list[PassedOver]]:
    """The backbone, which all inputs decide together if there is none yet; the single inputs, for each a label (the one
    given, else found, else the folder's name), and its source; and the files that were passed over. Numbers to answer
    are in a table.
    """
    from engram.brain.bundles import default_bundle
    from engram.brain.numbers import numbers_taught
    from engram.inputs.examples import TABLES, gather
    from engram.inputs.media import MEDIA
    from engram.inputs.tables import LABEL, Table
    from engram.inputs.text_files import STDIN
    from engram.learner import InputError, LabelError

    for path in paths:
        if not path.exists() and str(path) != STDIN:
            raise InputError(f"{path} does not exist: check the path.")
    bundle, columns = ground.bundle or default_bundle(paths, label), ground.columns
    kind = bundle.takes
    if label is None and bundle.targets is not None:
        label = bundle.targets.label
    items: list[Any] = []
    measured: list[Any] = []
    labels: list[str] = []
    sources: list[str | None] = []
    passed_over: list[PassedOver] = []
    for path in paths:
        if kind in MEDIA and path.suffix.lower() in TABLES - MEDIA[kind].suffixes:
            raise InputError(f"{path} holds vectors, but this brain accepts {MEDIA[kind].one}s: teach it to a new "
                             "brain.")
        found = gather(path, kind, columns, label)
        if found.strange is not None:
            raise InputError(found.strange)
        columns = columns or found.columns
        if label is not None and kind != "pictures" and found.labels is not None and found.target is None:
            say(f"engram: {path} has a column of labels of its own, which --label overrides: all are taught as {label}."
                " Leave --label away to use the column.", aside=True)
        items.append(found.items)
        sources += found.sources
        passed_over += found.passed_over
        values = None
        if kind == "vectors":
            given = None if found.target or label is None else label
            values, _ = numbers_taught(bundle.targets, bool(ground.labels), found, given, numbers)
        if values is not None:
            measured.append(values)
            labels += [label or LABEL] * len(found)
            numbers = True
        elif label is not None:
            known = label in map(str, ground.labels)  # then it is no column that was mistyped
            labels += map(str, found.labelled([label] * len(found) if known else label, None))
        elif found.labels is not None or found.folders is not None:
            labels += map(str, found.labelled(None, None))
        else:
            raise LabelError(_how_to_label(path, brain, found.columns))
    if kind == "vectors":
        import numpy as np

        if len({rows.shape[1] for rows in items}) > 1:
            raise InputError(f"Files of different width: {[rows.shape[1] for rows in items]} values per vector.")
        rows = np.concatenate(items)
        if measured and columns is not None:
            whole = Table(rows, columns, target=label or LABEL, numbers=np.concatenate(measured)[:, 0])
            return bundle, whole, labels, sources, []
        return bundle, rows if columns is None else Table(rows, columns), labels, sources, []
    return bundle, [item for part in items for item in part], labels, sources, passed_over


def _answers_numbers(inputs: Any) -> bool:
    """Whether what is taught is a table with numbers to answer."""
    return getattr(inputs, "numbers", None) is not None


def _how_to_label(path: Path, brain: Path, columns: tuple[str, ...] | None) -> str:
    """That a file has no label, and the command that gives it the name of its folder, or that of a column of texts."""
    if str(path) == "-":
        return "Standard input has no label: pass --label LABEL."
    texts = [name.partition("=")[0] for name in columns or () if "=" in name]
    if texts:
        command = shlex.join(map(str, ("engram", "teach", brain, path, "--label", texts[-1])))
        return f"{path} has no label: no column is called `label`. If {texts[-1]!r} holds the labels: {command}"
    folder = path.resolve().parent.name
    command = shlex.join(map(str, ("engram", "teach", brain, path, "--label", folder or "LABEL")))
    if path.suffix.lower() in (".csv", ".npy", ".tsv", ".parquet", ".feather", ".arrow"):
        return f"{path} has no label: add a column `label` to the table, or pass one label for all rows: {command}"
    return f"{path} has no label: a single file does not take the name of its folder. Pass the label: {command}"


def _not_held(mind: Brain, lessons: _Lessons) -> tuple[_Lessons, int]:
    """Without the rows of a table that are held already, as often as they are; and how many these are.

    What a table holds twice is learned twice, and a table that is taught again adds nothing. Pictures and texts are
    compared when they are taught.
    """
    from collections import Counter

    from engram.inputs.tables import Table
    from engram.learner import InputError

    inputs = lessons.inputs
    if isinstance(inputs, list) or not mind.labels:
        return lessons, 0
    rows, values = (inputs.rows, inputs.numbers) if isinstance(inputs, Table) else (inputs, None)
    named = lessons.labels if values is None else values.tolist()
    try:
        held = mind.holds(inputs, None if values is not None else named)
    except InputError:  # teaching it says better what is wrong
        return lessons, 0
    came = Counter[tuple[bytes, Any]]()
    kept = []
    for place, (row, name, times) in enumerate(zip(rows, named, held, strict=True)):
        came[row.tobytes(), name] += 1
        if came[row.tobytes(), name] > times:
            kept.append(place)
    if len(kept) == len(rows):
        return lessons, 0
    some = rows[kept]
    if isinstance(inputs, Table):
        some = Table(some, inputs.columns, target=inputs.target, numbers=None if values is None else values[kept])
    chosen = replace(lessons, inputs=some, labels=[lessons.labels[i] for i in kept],
                     sources=[lessons.sources[i] for i in kept])
    return chosen, len(rows) - len(kept)


def _act(mind: Brain, lessons: _Lessons) -> str:
    """The act that the command is, so that one undo takes back all of it; the act of the same command where that was
    cut short just before.
    """
    command = hashlib.sha256(json.dumps([lessons.labels, lessons.sources, lessons.teacher]).encode())
    if not isinstance(lessons.inputs, list):
        command.update(getattr(lessons.inputs, "rows", lessons.inputs).tobytes())
    last, count = mind.last_change(), len(lessons.labels)
    if last is not None and last.act is not None and last.act.startswith(command.hexdigest()[:32]):
        before = sum(last.labels.values())
        if before < count:
            say(f"engram: {before} of {count} were taught before this command was cut short: going on from there.",
                aside=True)
            return last.act
    return f"{command.hexdigest()[:32]}.{uuid4().hex}"


def _teach_all(mind: Brain, lessons: _Lessons, *, quiet: bool) -> int:
    """Teach in portions, each on disk when it is done; returns how many were skipped.

    Whatever ends it, what was taught stays and is told.
    """
    from engram.learner import InputError, LabelError

    count, tables = len(lessons.labels), not isinstance(lessons.inputs, list)
    portion = _ROWS if tables else _PICTURES
    done = skipped = 0
    then = "repeat the command to teach the rest."
    try:
        with progress("teaching", quiet=quiet) as report, _interruptions() as interrupted:
            while done < count:
                if interrupted():
                    raise KeyboardInterrupt
                some = range(done, min(done + portion, count))
                told = partial(_further, report, done, count)
                skipped += _teach_some(mind, lessons, some, again=tables, progress=told)
                done = min(done + portion, count)
                report(done, count)
    except (InputError, LabelError):  # it would be refused again
        then = "correct the input named below, then repeat the command to teach the rest."
        raise
    finally:
        if done < count:
            missing = f"{count - done} are missing, from {lessons.sources[done] or f'input {done + 1}'} on"
            say(f"engram: {done} of {count} are taught and saved, {missing}; {then}", aside=True)
    return skipped


def _teach_some(mind: Brain, lessons: _Lessons, places: Sequence[int], *, again: bool, progress: Progress) -> int:
    """Teach one portion, without what cannot be read unless that is to stop it; returns how many were skipped."""
    from engram.inputs.media import MEDIA
    from engram.learner import InputError

    def learn(places: Sequence[int]) -> int:
        inputs, labels, sources = lessons.part(places)
        numbers = _answers_numbers(inputs)
        return mind.learn_examples(inputs, None if numbers else labels, again=again, augment=lessons.augment,
                                   numbers=numbers or None, multilabel=lessons.multilabel, teacher=lessons.teacher,
                                   sources=sources, progress=progress).skipped

    try:
        return learn(places)
    except InputError:
        medium = None if lessons.strict or mind.bundle is None else MEDIA.get(mind.bundle.takes)
        if medium is None:
            raise
        readable = lessons.readable(places, medium)
        if len(readable) == len(places):  # it is refused for something else
            raise
        return learn(readable) if readable else 0


def _first(left_out: list[PassedOver]) -> str:
    return "; ".join(f"{path.name}: {why.rstrip('.')}" for path, why in left_out[:3])


def _further(report: Progress, before: int, count: int, done: int, _: int | None) -> None:
    report(before + done, count)


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
