"""`engram alpha`: how much of what a brain knows may be refused, and what becomes of strangers then."""

from __future__ import annotations

from typing import Annotated

import typer

from engram.cli.brain import Folder, Teacher, as_label, as_share, open_brain
from engram.cli.output import Json, emit, or_dash, say, table


def alpha(
    brain: Folder,
    share: Annotated[
        float | None, typer.Argument(metavar="SHARE", parser=as_share, show_default=False,
                                     help="The new share: 0.05 or 5%. Without it, both error rates are shown for ten"
                                     " shares.")
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", metavar="LABEL", help="Set it only for inputs that are most similar to this"
                                 " label.")
    ] = None,
    teacher: Teacher = None,
    as_json: Json = False,
) -> None:
    """Show or set the share of known inputs that may be refused.

    A larger share refuses more known inputs as "Nothing I know", and accepts fewer unknown ones. The change takes
    effect at once, without teaching anything again.
    """
    from engram.brain import acting
    from engram.brain.both_errors import accepted as taken
    from engram.brain.both_errors import as_json as as_document
    from engram.brain.both_errors import between, percent

    if share is None and label is not None:
        raise typer.BadParameter("--label needs a share: engram alpha BRAIN 5% --label LABEL.")
    with open_brain(brain, readonly=share is None) as mind:
        if share is not None:
            with acting(teacher):
                mind.set_alpha(share, None if label is None else as_label(mind, label))
        found, curve, parts = mind.info(), mind.error_rates(), mind.sees_places
    if as_json:
        told = {name: found[name] for name in ("alpha", "alphas", "errors")}
        emit({**told, "error_rates": [as_document(rates) for rates in curve]})
        return
    if share is None and curve:
        shown = [[or_dash(None) if one is None else percent(one) for one in
                  (rates.alpha, rates.refused, taken(rates), *(between(rates) or (None, None)))] for rates in curve]
        names = ("alpha", "known refused", "unknown accepted", "at least", "at most")
        width = 2 if found["numbers"] or parts else len(names)  # there are no other classes to be strangers
        table(names[:width], [line[:width] for line in shown])
    say(found["errors"] or f"{percent(found['alpha'])} of known inputs may be refused; the brain has not been taught"
        " yet.")
