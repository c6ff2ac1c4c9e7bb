"""What every command says, and how: text for people, one JSON document for machines, progress on stderr.

Labels, names and messages may be written by others: everything goes through `engram.printable` here, and nowhere else.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, cast

import typer

from engram.printable import printable, printable_json
from engram.progress import Progress

if TYPE_CHECKING:
    from engram.inputs.folders import PassedOver

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
"""The option that every command has: `as_json: Json = False`."""


REFUSED, USAGE, INTERRUPTED = 1, 2, 130


class Interrupted(typer.Abort):
    """Somebody pressed Ctrl-C."""


@contextmanager
def resumable(*, fresh: bool = False) -> Iterator[None]:
    """Ctrl-C within it is told with how to go on: by the same command, but for --fresh, which would begin again.

    Raises:
        Interrupted: Ctrl-C was pressed.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        same = "the same command without --fresh" if fresh else "the same command"
        raise Interrupted(f"interrupted; {same} resumes it") from error


def emit(document: Any) -> None:
    """Print the command's one JSON document on stdout."""
    written = json.dumps(document, indent=1, ensure_ascii=False, default=_plain)
    sys.stdout.write(printable_json(written, sys.stdout.encoding) + "\n")


def say(text: str, *, aside: bool = False) -> None:
    """Print one line for people on stdout, or `aside` on stderr; control characters in it are shown, not obeyed."""
    stream = sys.stderr if aside else sys.stdout
    stream.write(_shown(text, stream) + "\n")


def or_dash(value: Any) -> str:
    """A value as text; None is a dash."""
    return _dash() if value is None else str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Print a table on stdout; None is shown as a dash."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def text(cell: Any) -> Text:  # never a str: rich would take [brackets] in it for markup
        return Text(_shown(or_dash(cell), sys.stdout))

    shown = Table(title=title and text(title), box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for column in columns:
        shown.add_column(text(column), overflow="fold")
    for row in rows:
        shown.add_row(*map(text, row))
    # A pipe has no width of its own: lines are not folded there, so that other programs can read them.
    console = Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else 10_000)
    console.print(shown)


@contextmanager
def progress(what: str, *, quiet: bool = False) -> Iterator[Progress]:
    """A progress bar on stderr, where stderr is a terminal and `quiet` (as under --json) is not set.

    Yields:
        a function of (done, total), and what to show beside the bar if that changes.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda done, total, now="": None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress as Bars

    def text(words: str) -> str:
        return escape(_shown(words, sys.stderr))

    with Bars(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(text(what), total=None)
        yield lambda done, total, now="": bars.update(bar, completed=done, total=total, description=text(now or what))


def failed(error: BaseException, as_json: bool) -> int:
    """Say on stderr why a command failed; returns the exit code.

    A mistake of Engram's own is raised again: its traceback is what is needed then.
    """
    if type(error).__name__ == "NoArgsIsHelpError":  # its class has no public place: typer brings its own click
        sys.stdout.write(f"{cast(Any, error).ctx.get_help()}\n")
        return 0
    code, message = _verdict(error)
    if code is None:
        raise error
    usage = _usage(error)
    if as_json:
        document = {"error": type(error).__name__, "message": message, "code": code}
        sys.stderr.write(printable_json(json.dumps(document, ensure_ascii=False), sys.stderr.encoding) + "\n")
    else:
        say(f"engram: {message}", aside=True)
        if usage:
            sys.stderr.write(f"\n{usage}\n")
    return code


def _verdict(error: BaseException) -> tuple[int | None, str]:
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return INTERRUPTED, str(error) or "interrupted"
    if hasattr(error, "format_message"):  # wrong usage, as typer tells it
        return USAGE, error.format_message()
    if isinstance(error, _refusals()):
        return REFUSED, str(error)
    if isinstance(error, OSError):
        return REFUSED, _trouble(error)
    if isinstance(error, ImportError):
        from engram.extras import refusal

        told = refusal(error)
        return (None, "") if told is None else (REFUSED, str(told))
    return None, ""


def _usage(error: BaseException) -> str:
    """How the command is used, where it was used otherwise."""
    context = getattr(error, "ctx", None) if hasattr(error, "format_message") else None
    return "" if context is None else str(context.get_usage())


def _shown(text: str, stream: TextIO) -> str:
    return printable(text, stream.encoding)


def _dash() -> str:
    try:
        "–".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "-"
    return "–"


def _refusals() -> tuple[type[BaseException], ...]:
    """Engram's own refusals; the ground floor is only loaded where something below the terminal was."""
    if "engram.learner" not in sys.modules:
        return ()
    from engram.learner import EngramError

    return (EngramError,)


def _trouble(error: OSError) -> str:
    named = f"{error.filename}: " if error.filename else ""
    return f"{named}{error.strerror or error}"


def _plain(value: Any) -> Any:
    """What JSON does not know itself: numpy's numbers and arrays, paths."""
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not for JSON")


def done(sentence: str, document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit(document)
    else:
        say(sentence)


def few(values: Any, most: int = 3) -> str:
    named = [str(value) for value in values if value is not None]
    return ", ".join(named[:most]) + (f" and {len(named) - most} more" if len(named) > most else "")


def show_answers(lines: list[dict[str, Any]], top: int) -> None:
    rows = []
    for line in lines:
        ranked = ", ".join(f"{entry['label']} {entry['score']:.2f}" for entry in line["ranked"])
        told = ", ".join(map(str, line["labels"])) or "no label" if "labels" in line else line["label"]
        answer = told if line["known"] else "Nothing I know"
        sure = f"{line['confidence']:.0%}" if line["known"] else None  # among what is known, which this is not
        rows.append((line["input"], answer, sure, *([ranked] if top > 1 else [])))
    table(("input", "answer", "confidence", *(["best"] if top > 1 else [])), rows)
    refused = sum(not line["known"] for line in lines)
    if refused:
        say(f"{refused} of {len(lines)} inputs are unknown.")


def told_left_out(left_out: Sequence[PassedOver]) -> list[dict[str, str]]:
    """The files that were left out, as JSON values."""
    return [{"file": str(path), "why": why} for path, why in left_out]


def tell_left_out(left_out: Sequence[PassedOver]) -> None:
    """Say which files were left out, how many and why."""
    from engram.inputs.endings import kind_of

    if left_out:
        kinds = Counter(kind_of(path) or "other file" for path, _ in left_out)
        counts = ", ".join(f"{count} {kind}{'s' * (count != 1)}" for kind, count in kinds.items())
        say(f"{len(left_out)} left out ({counts}):")
    for path, why in left_out:
        say(f"  {why}" if why.startswith(str(path)) else f"  {path}: {why}")
