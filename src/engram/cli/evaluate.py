"""`engram backbone evaluate`: how well a backbone is learned upon; see `engram.lab.evaluation.few_shot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engram.cli.backbone import Source
from engram.cli.output import Json, emit, progress, say, table

if TYPE_CHECKING:
    from engram.lab.evaluation.intervals import Interval


def evaluate_backbone(
    source: Source,
    pictures: Annotated[
        Path, typer.Argument(metavar="PICTURES", help="A folder with one folder of pictures, or of sounds, per class.")
    ],
    shots: Annotated[
        str | None, typer.Option("--shots", metavar="N,N", help="Numbers of pictures to teach per class (default: those"
                                 " of 1, 5 and 14 for which every class has enough).")
    ] = None,
    splits: Annotated[int, typer.Option("--splits", metavar="N", help="Number of random splits.")] = 20,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the splits.")] = 0,
    as_json: Json = False,
) -> None:
    """Measure how well a brain learns on a backbone.

    Each split teaches a few pictures per class and predicts the others; then some classes are left out and serve as
    unknown inputs. Intervals are for the mean over splits. Use it to choose between backbones.
    """
    from engram.features.backbones.catalogue import bundle_of
    from engram.inputs.media import MEDIA
    from engram.lab.evaluation.few_shot import evaluate_backbone as evaluate

    counts = None if shots is None else _counts(shots)
    bundle = bundle_of(source, pictures)
    what = MEDIA.get(bundle.takes, MEDIA["pictures"]).one
    with progress(f"taking in {what}s", quiet=as_json) as report:
        found = evaluate(bundle, pictures, shots=counts, splits=splits, seed=seed, progress=report)
    aurocs = found.auroc or [None] * len(found.shots)
    rows = list(zip(found.shots, found.accuracy, aurocs, strict=True))
    if as_json:
        results = [{"shots": count, "accuracy": right._asdict(), "auroc": apart and apart._asdict()}
                   for count, right, apart in rows]
        emit({"backbone": bundle.name, "fingerprint": bundle.fingerprint, "classes": found.classes,
              "pictures": found.pictures, "splits": splits, "left_away": found.left_away, "results": results})
        return
    table(("shots", "accuracy", "95% interval", "unknown inputs (AUROC)", "95% interval"),
          [(count, *_percent(right), *_percent(apart)) for count, right, apart in rows],
          title=f"{bundle.name}: {found.classes} classes, {found.pictures} {what}s, {splits} splits")
    if found.left_away:
        say(f"Too few {what}s for {', '.join(map(str, found.left_away))} shots.")


def _counts(text: str) -> tuple[int, ...]:
    if not all(part.strip().isdecimal() and int(part) > 0 for part in text.split(",")):
        raise typer.BadParameter("--shots must be positive whole numbers separated by commas, such as 1,5.")
    return tuple(int(part) for part in text.split(","))


def _percent(interval: Interval | None) -> tuple[str | None, str | None]:
    if interval is None:
        return None, None
    low, high = max(0.0, 100 * interval.low), min(100.0, 100 * interval.high)
    return f"{100 * interval.mean:.1f}%", f"{low:.1f} to {high:.1f}%"
