"""The demonstration as one page that needs nothing else: no script, no font, no request.

The demonstration's pictures as SVG inside a page: they take the page's colours, light or dark.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from engram import __version__
from engram.demo.digits_events import (
    Consolidated,
    Event,
    Finished,
    Forgotten,
    Image,
    Measured,
    Melded,
    Named,
    NeverSeen,
    Opened,
    Refused,
    Rival,
    Shots,
    Streamed,
    Taught,
    Verified,
)
from engram.files import write_atomically
from engram.lab.evaluation.plots import COLOURS, canvas, draw_confusion, draw_curves

PEAK = 16


def curve_svg(measured: Sequence[Measured]) -> str:
    """Accuracy on all held-out images against images taught."""
    steps = [event.step for event in measured]
    none = [0.0] * len(steps)
    figure, (axes,) = canvas(width=5.2, height=3.2)
    draw_curves(axes, {
        "fast head": (steps, [100 * event.fast for event in measured], none),
        "softmax layer": (steps, [100 * event.softmax for event in measured], none),
        "of digits taught so far": (steps, [100 * event.possible for event in measured], none),
    }, "images taught", "accuracy, all ten digits (%)")
    axes.set_ylim(0, 102)
    return _inline(figure, "Learning curve: accuracy against images taught")


def confusion_svg(confusion: Sequence[Sequence[int]], title: str) -> str:
    """Counts of (true, best label)."""
    figure, (axes,) = canvas(width=3.6, height=3.4)
    draw_confusion(axes, confusion, [str(digit) for digit in range(len(confusion))], title)
    return _inline(figure, f"Confusion matrix of the {title}")


def image_png(image: Image) -> str:
    """A digit as a data URI, a pixel for a pixel."""
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(np.round(image / PEAK * 255).astype(np.uint8)).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _inline(figure: Any, about: str) -> str:
    import matplotlib

    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": about}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)  # a page needs no name spaces
    tag = rf'<svg viewBox="\1" role="img" aria-label="{about}">'
    svg = re.sub(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', tag, svg, count=1)
    for i, colour in enumerate(COLOURS[:3]):
        svg = re.sub(colour, f"var(--c{i})", svg, flags=re.IGNORECASE)
    svg = re.sub("#dddddd", "var(--grid)", svg, flags=re.IGNORECASE)
    return re.sub("#000000", "currentColor", svg)


E = TypeVar("E")
STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6570;--page:#fff;--card:#f4f6f8;--line:#dfe3e8;--grid:#d9dde2;
--c0:#0072b2;--c1:#d55e00;--c2:#007a5a;--good:#007a5a;--bad:#b33c00}
@media (prefers-color-scheme:dark){:root{--ink:#e7eaee;--soft:#9aa5b1;--page:#14171b;--card:#1d2227;--line:#31383f;
--grid:#333a42;--c0:#56b4e9;--c1:#f0883e;--c2:#3dbf94;--good:#3dbf94;--bad:#f0883e}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:46rem;padding:2rem 1.1rem 4rem;background:var(--page);color:var(--ink);
font:1rem/1.55 system-ui,sans-serif}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .4rem}h2{font-size:1.25rem;margin:2.8rem 0 .5rem}
p{margin:.5rem 0}.soft{color:var(--soft)}small{color:var(--soft)}
.tiles{display:grid;grid-template-columns:repeat(3,1fr);gap:.7rem;margin:1.6rem 0}
@media (max-width:34rem){.tiles{grid-template-columns:repeat(2,1fr)}}
.tile{background:var(--card);border-radius:.6rem;padding:.8rem .9rem}
.tile b{display:block;font-size:1.55rem;line-height:1.25;font-variant-numeric:tabular-nums}
.tile>span{color:var(--soft);font-size:.86rem;line-height:1.35;display:block}
.fast{color:var(--c0)}.softmax{color:var(--c1)}.good{color:var(--good)}.bad{color:var(--bad)}
figure{margin:1rem 0}svg{width:100%;height:auto;display:block}
svg text{font-family:system-ui,sans-serif!important;fill:currentColor}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:1rem}
.digits{display:flex;flex-wrap:wrap;gap:.4rem;margin:.8rem 0}
.digits img{width:3rem;height:3rem;image-rendering:pixelated;border-radius:.35rem;background:#000}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.93rem}
th,td{text-align:right;padding:.32rem .6rem;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:500}th:first-child,td:first-child{text-align:left;padding-left:0}
.sha{font-family:ui-monospace,monospace;font-size:.82rem;white-space:nowrap}
pre{background:var(--card);border-radius:.6rem;padding:.8rem .9rem;overflow-x:auto;font-size:.82rem;margin:.6rem 0}
summary{cursor:pointer}ul.checks{list-style:none;padding:0;margin:.6rem 0;font-size:.93rem;overflow-wrap:anywhere}
footer{margin-top:3.5rem;border-top:1px solid var(--line);padding-top:.8rem;font-size:.86rem;color:var(--soft)}
"""


def write_report(events: Iterable[Event], folder: Path) -> Path:
    """Write report.html into the folder, once all is told; returns its path."""
    told = list(events)
    path = folder / "report.html"
    write_atomically(path, page(told).encode(), public=True)
    return path


def page(told: Sequence[Event]) -> str:
    """The page; the events are those of a whole story."""
    sections = [
        _head(told), _stream(told), _never_seen(told), _unknown(told), _consolidation(told), _meld(told),
        _forgetting(told), _foot(told),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>Engram demo</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n" + "\n".join(sections) + "\n</body>\n</html>\n"
    )


def _head(told: Sequence[Event]) -> str:
    opened, streamed, first = _one(told, Opened), _one(told, Streamed), _all(told, Shots)[0]
    refused, slept = _one(told, Refused), _one(told, Consolidated)
    proven = [event.code == 0 for event in _all(told, Verified)]
    tiles = [
        (f'<span class="fast">{_p(streamed.fast)}</span>',
         f"of held-out digits right, after {streamed.examples} images seen once, digit after digit"),
        (f'<span class="softmax">{_p(streamed.softmax)}</span>', "a softmax layer fine-tuned on the same stream"),
        (_p(first.fast), f"of {first.label}s recognised after one image of a digit the network had never seen"),
        (f"{refused.refused} of {refused.shown}", "images of a digit not yet taught: “Nothing I know”"),
        (f"{slept.before} → {slept.after}", "vectors after consolidation"),
        (f"{sum(proven)} of {len(proven)}", "certificates verified without Engram"),
    ]
    cards = "".join(f'<div class="tile"><b>{number}</b><span>{about}</span></div>' for number, about in tiles)
    return (
        "<h1>A brain that learns at once and forgets only when asked</h1>"
        f"<p class=soft>{_one(told, Finished).seconds:.1f} seconds of real handwritten digits. A small network that "
        f"was trained without a single {opened.withheld} turns each image into {opened.width} numbers; everything "
        f"below was learned on top of it, and computed in this run.</p><div class=tiles>{cards}</div>"
    )


def _stream(told: Sequence[Event]) -> str:
    opened, streamed = _one(told, Opened), _one(told, Streamed)
    examples = [next(e.image for e in told if isinstance(e, Taught) and e.label == digit) for digit in range(10)]
    rows = [(f"features {r.features}", f"{r.rate:g}", _p(r.shuffled), _p(r.streamed)) for r in _all(told, Rival)]
    return (
        f"<h2>One digit after another</h2>{_digits(examples)}"
        f"<p>{streamed.examples} images, each shown once: first all {opened.order[0]}s, then all "
        f"{', '.join(f'{digit}s' for digit in opened.order[1:])}, at last {opened.withheld}s and {opened.unknown}s. "
        'The <b class="fast">fast head</b> keeps it all; the <b class="softmax">softmax layer</b> overwrites it. '
        f"Teaching one image took {streamed.milliseconds:.1f} ms, network included.</p>"
        f"<figure>{curve_svg(_all(told, Measured))}</figure>"
        f"<div class=pair><figure>{confusion_svg(streamed.confusion_fast, 'fast head')}</figure>"
        f"<figure>{confusion_svg(streamed.confusion_softmax, 'softmax layer')}</figure></div>"
        f"<p>Is the comparison fair? The layer's learning rate is the best of {opened.rates} for shuffled images, by "
        "cross-entropy on held-back ones. How far it falls in this order depends on the scale of the features; for "
        "every scale it is tuned anew:</p>"
        + _table(("softmax layer", "rate", "shuffled", "this order"), [
            *rows, ("fast head", "none", _p(streamed.fast_shuffled), _p(streamed.fast)),
        ])
        + "<p><small>Order cannot change what the fast head knows: its SHA-256 below is the same.</small></p>"
    )


def _never_seen(told: Sequence[Event]) -> str:
    before, shots = _one(told, NeverSeen), _all(told, Shots)
    rows = [(str(s.shots), _p(s.fast), _p(s.fast_all), _p(s.softmax), _p(s.softmax_all)) for s in shots]
    right = f"{before.label}s right"
    return (
        f"<h2>A digit the network had never seen: {before.label}</h2>{_digits(before.images)}"
        f"<p>Before the first was taught, {before.refused} of {before.shown} were “Nothing I know”.</p>"
        + _table((f"images of {before.label}", right, "all digits", f"softmax: {right}", "all digits"), rows)
        + f"<p><small>The softmax layer calls nearly everything {before.label} by now: read its two columns together. "
        f"{_one(told, Opened).unknown} is not taught yet and counts as wrong.</small></p>"
    )


def _unknown(told: Sequence[Event]) -> str:
    refused = _one(told, Refused)
    text = (
        f"<h2>Nothing I know</h2>{_digits(refused.images)}"
        f"<p>{refused.shown} images of a digit that was not taught yet. To the first it says: "
        f"<b>{escape(refused.answer)}</b>. {refused.refused} are refused, and kept in groups of what is alike: "
        f"{', '.join(map(str, refused.groups)) or 'none'}.</p>"
    )
    named = _all(told, Named)
    if not named:
        return text + "<p>Nothing was refused, so there was nothing to name.</p>"
    known = named[0]
    return text + (
        f"<p>The largest group is named “{known.label}”: {known.learned} images learned at once.</p>"
        f"{_digits([known.image])}<p>To this one, never taught, it says: <b>{escape(known.answer)}</b>. "
        f"Of all held-out {known.label}s {_p(known.recognised)} are recognised now. Of held-out images of all digits "
        f"{_p(known.known_refused)} are refused; {known.alpha:.0%} were allowed.</p>"
    )


def _consolidation(told: Sequence[Event]) -> str:
    done = _one(told, Consolidated)
    return (
        f"<h2>Consolidation</h2><p>Redundant vectors merge with their counts, outliers stay: {done.before} become "
        f"<b>{done.after}</b>. Accuracy {_p(done.accuracy_before)} before, {_p(done.accuracy_after)} after. The exact "
        f"sums are {_verdict(done.same_digest, 'untouched', 'changed')}.</p>"
    )


def _meld(told: Sequence[Event]) -> str:
    event = _one(told, Melded)
    rows = [
        (f"brain taught {', '.join(map(str, part.labels))}", str(part.examples), _p(part.accuracy), _sha(part.digest))
        for part in event.parts
    ]
    rows += [
        ("the two melded", str(event.examples), f"<b>{_p(event.accuracy)}</b>", _sha(event.digest)),
        ("one that saw all, shuffled", "", "", _same(event.together, event.digest)),
        ("the one taught one by one above", "", "", _same(event.streamed, event.digest)),
    ]
    return (
        "<h2>Two brains become one</h2>" + _table(("", "images", "accuracy", "SHA-256"), rows)
        + _proof(told, "meld")
    )


def _forgetting(told: Sequence[Event]) -> str:
    event = _one(told, Forgotten)
    rows = [
        (f"the melded brain without its {event.examples} images of {event.label}", _sha(event.digest)),
        (f"one that was never taught {event.label}", _same(event.never, event.digest)),
    ]
    return (
        f"<h2>Forgetting {event.label}, exactly</h2>" + _table(("", "SHA-256"), rows)
        + f"<p>The other digits: {_p(event.accuracy_before)} before, {_p(event.accuracy_after)} after. {event.refused} "
        f"of {event.asked} held-out {event.label}s are “Nothing I know” again; the others are taken for what they "
        "resemble most.</p>" + _proof(told, "forgotten")
    )


def _proof(told: Sequence[Event], claim: str) -> str:
    event = next(found for found in _all(told, Verified) if found.claim == claim)
    held = sum(good for good, _ in event.checks)
    items = "".join(f"<li>{_verdict(good, '✓', '✗')} {escape(sentence)}</li>" for good, sentence in event.checks)
    return (
        "<p>Proof, checked in another process by a short script that needs numpy alone. Check it yourself:</p>"
        f"<pre>{escape(event.command)}</pre><details><summary>{_verdict(not event.code, '✓', '✗')} {held} of "
        f"{len(event.checks)} checks hold</summary><ul class=checks>{items}</ul></details>"
    )


def _foot(told: Sequence[Event]) -> str:
    opened = _one(told, Opened)
    return (
        f"<footer>Engram {__version__}, seed {opened.seed}. {opened.teach} images to teach, {opened.test} held out, "
        "from the 1,797 that scikit-learn ships (E. Alpaydin and C. Kaynak, UCI, 1998). Accuracy is the share of "
        "held-out images whose best label is right. Backbone "
        f'“{escape(opened.backbone)}” <span class=sha>{opened.fingerprint[:16]}</span>.</footer>'
    )


def _digits(images: Iterable[Image]) -> str:
    shown = "".join(f'<img src="{image_png(np.asarray(image))}" alt="a handwritten digit">' for image in images)
    return f"<div class=digits>{shown}</div>"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{column}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _verdict(good: bool, yes: str, no: str) -> str:
    return f'<b class="{"good" if good else "bad"}">{yes if good else no}</b>'


def _sha(digest: str) -> str:
    return f'<span class=sha title="{digest}">{digest[:12]}…</span>'


def _same(one: str, other: str) -> str:
    return f"{_sha(one)} {_verdict(one == other, '✓ same', '✗ another')}"


def _p(share: float) -> str:
    return f"{share:.1%}"


def _one(told: Sequence[Event], kind: type[E]) -> E:
    return next(event for event in told if isinstance(event, kind))


def _all(told: Sequence[Event], kind: type[E]) -> list[E]:
    return [event for event in told if isinstance(event, kind)]
