"""From sums to answers: the derived part of the fast head, rebuilt whenever it has to be.

Nothing here is knowledge: it all follows from the sums and the episodes. It is kept up to date lazily, in blocks, so
that learning costs little more than adding. The trust in the backbone's statistics (κ, t) and the calibration stay
fixed until the data has grown. When they fall due depends on what was taught and never on what was asked: work that
is due is done at the next question, or else before the next change. With wide features κ, t and the precision are
fitted on a copy, beside serving, and swapped in.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import asdict
from threading import Thread
from typing import Any

import numpy as np

from engram.heads.class_spread import ClassSpread, class_spread
from engram.heads.discriminant import FIT_FROM, Change, Discriminant, Prior
from engram.heads.episodes import Episodes
from engram.heads.evidence import PriorTrust
from engram.heads.exact_sums import ExactSums
from engram.heads.head import Positions
from engram.heads.metric import Centres
from engram.heads.novelty import Axis, Novelty, calibrate, distances, uncalibrated
from engram.heads.reading import Calibration, Reading, ReadOutKind, score
from engram.heads.temperature import Tempered, temper
from engram.learner import FloatArray

_BLOCK = 128  # changes after which the precision is brought up to date, asked or not
_SAMPLE = 64  # examples of a class that calibrate ...
_SAMPLES = 640  # ... and of all classes together
_WIDE = 512  # features from which on fitting runs beside serving
_ERRORS = {"prototypes": 2.0}  # standard errors by which a kind must win: prototypes are many, and fit by chance
_SETTLED = 200  # left-out examples from which on they can choose between cosine and linear
_MANY_PROTOTYPES = 2**15  # beyond which none compete: comparing with each would take too long
_ENOUGH = 10  # left-out examples without which nothing can be calibrated


class ReadOut:
    """Answers from sums and episodes that grow beside it.

    Args:
        sums: the exact sums; read, never written.
        episodes: the examples of each class; read, never written.
        prior: the backbone's covariance.
        alpha: share of known things that may be refused.
        kind: "auto" takes what does best on left-out examples; the others are fixed.
    """

    def __init__(
        self, sums: ExactSums, episodes: Sequence[Episodes], prior: Prior, alpha: float, kind: ReadOutKind
    ) -> None:
        self.sums, self.episodes, self.prior, self.alpha, self.kind = sums, episodes, prior, alpha, kind
        self._discriminant: Discriminant | None = None
        self._trust: PriorTrust | None = None
        self._fitted_at = 0
        self._queue: list[Change] = []
        self._waiting = 0
        self._calibration: Calibration | None = None
        self._prototypes: Centres | None = None
        self._fitting: _Fitting | None = None
        self._fit_due = self._calibration_due = True

    def copy(self, sums: ExactSums, episodes: Sequence[Episodes]) -> ReadOut:
        """The same read-out of copies of the sums and episodes."""
        made = copy(self)
        made.sums, made.episodes, made._queue = sums, episodes, list(self._queue)
        made._discriminant = self._discriminant and self._discriminant.copy(sums)
        made._fitting = self._fitting and self._fitting.copy()
        return made

    def before_change(self) -> None:
        """The sums are about to change: do first what has fallen due at their present state."""
        if (self._fit_due or self._calibration_due) and self.sums.total:
            self.settle()

    def note(self, change: Change) -> None:
        """The sums have changed by these examples; the read-out follows when asked, or in blocks."""
        self._prototypes = None
        self._find_due()
        if self._discriminant is None:
            return
        self._waiting += len(change.rows)
        if self._waiting > max(self.sums.width // 2, _BLOCK):
            self.invalidate()
            return
        self._queue.append(change._replace(rows=change.rows.astype(np.float64)))
        if self._waiting >= _BLOCK:
            self.discriminant()

    def regrouped(self) -> None:
        """The same examples belong to other prototypes now."""
        self._prototypes = None

    def invalidate(self) -> None:
        """Make the precision anew from the sums when next asked; κ and t stay unless the data has doubled."""
        self._discriminant, self._fitting, self._prototypes = None, None, None
        self._queue, self._waiting = [], 0
        self._find_due()

    def rebuild(self) -> None:
        """Everything anew from sums and episodes, κ, t and the calibration included."""
        self.reset()
        self.settle()

    def reset(self) -> None:
        """Everything anew, as `rebuild`, when next asked or about to change: several melds cost one rebuild."""
        self._trust, self._calibration = None, None
        self.invalidate()

    def settle(self) -> None:
        """Do now what the next question would have to wait for."""
        self._swap_in()
        self._calibrated()

    def discriminant(self) -> Discriminant:
        """The read-out's metric, up to date with the sums."""
        if self._discriminant is None:
            if self._trust is None or self._fit_due:
                self._trust, self._fitted_at = self.prior.trust(self.sums), self.sums.degrees
                self._fit_due = False
            self._discriminant = Discriminant(self.sums, self.prior, self._trust)
        elif self._queue:
            changes, self._queue, self._waiting = self._queue, [], 0
            steps = self._discriminant.absorb(changes)
            if self._fitting:
                self._fitting.since.extend(steps)
        if self._fit_due:
            self._refit()
        return self._discriminant

    def novelty(self) -> Novelty:
        """The calibrated test in force."""
        self._swap_in()
        return self._calibrated().novelty

    def _swap_in(self) -> None:
        """Take over what was fitted beside serving, once it is done; what counts as known is measured anew with it."""
        self.discriminant()
        if self._fitting and self._fitting.done:
            fitted, self._fitting = self._fitting.result(self.sums), None
            if fitted:
                self._discriminant, self._trust, self._prototypes = fitted, fitted.trust, None
                self._calibration_due = True

    def reading(self) -> Reading:
        """What answers come from, brought up to date; the class sums and counts in it change with the next example."""
        self._swap_in()
        calibration = self._calibrated()
        discriminant = self.discriminant()
        return Reading(discriminant.metric, discriminant.classes(), self._centres(calibration.kind), calibration)

    def cosines(self, rows: FloatArray) -> FloatArray:
        """(N, C) cosines with the class means."""
        discriminant = self.discriminant()
        return discriminant.compare(rows, discriminant.classes()).cosine()

    def derived(self) -> dict[str, Any]:
        """κ, t and the calibration in force, as JSON values: with them a saved head answers as before."""
        self.before_change()
        return {
            "trust": asdict(self._trust) if self._trust else None,
            "fitted_at": self._fitted_at,
            "calibration": asdict(self._calibration) if self._calibration else None,
        }

    def restore(self, derived: dict[str, Any]) -> None:
        """Take back what `derived` gave. Raises KeyError or TypeError where it does not fit."""
        self._trust = PriorTrust(**derived["trust"]) if derived["trust"] else None
        self._fitted_at = int(derived["fitted_at"])
        if derived["calibration"]:
            saved = dict(derived["calibration"])
            axes = dict(saved.pop("novelty"))
            for name in ("focus", "familiarity"):
                axes[name] = Axis(**axes[name]) if axes[name] else None
            typical, scales = saved.pop("spread")
            spread = ClassSpread(float(typical), tuple(map(float, scales)))
            self._calibration = Calibration(novelty=Novelty(**axes), spread=spread, **saved)
        self._fit_due = self._calibration_due = False
        self._find_due()

    def _find_due(self) -> None:
        """See whether the data has outgrown κ and t (N has doubled, or halved), or the calibration."""
        now, then = self.sums.degrees, self._fitted_at
        constant = self.prior.shipped and max(now, then) < FIT_FROM
        outgrown = not constant and (now >= 2 * max(then, 1) or 2 * now < then)
        self._fit_due |= self._trust is None or outgrown
        self._calibration_due |= self._calibration is None or not self._calibration.fits(self.sums)

    def _refit(self) -> None:
        self._fit_due, self._fitted_at = False, self.sums.degrees
        if self.sums.width >= _WIDE:
            self._fitting = _Fitting(self.sums, self.prior)
            return
        self._trust = self.prior.trust(self.sums)
        self._discriminant = Discriminant(self.sums, self.prior, self._trust)

    def _centres(self, kind: ReadOutKind) -> Centres:
        discriminant = self.discriminant()
        if kind != "prototypes":
            return discriminant.classes()
        if self._prototypes is None:
            parts = [episodes.prototypes() for episodes in self.episodes]
            counts, sums = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
            starts = np.cumsum([0] + [len(part[0]) for part in parts[:-1]])
            self._prototypes = discriminant.centres(sums, counts, starts)
        return self._prototypes

    def _calibrated(self) -> Calibration:
        if self._calibration is None or self._calibration_due:
            self._calibration = self._calibrate()
            self._calibration_due = False
        return self._calibration

    def _calibrate(self) -> Calibration:
        rows, truth, own = self.sample()
        now = (self.sums.total, self.sums.degrees, self.sums.classes)
        kinds = self._kinds()
        if len(rows) < _ENOUGH:
            return Calibration(kinds[0], uncalibrated(self.sums.width, self.alpha), ClassSpread(1.0, ()), *now)
        discriminant = self.discriminant()
        by_class = discriminant.compare_without(rows, truth, discriminant.classes(), truth)
        width = class_spread(by_class.cosine(), truth)
        chosen: tuple[ReadOutKind, Tempered, FloatArray] | None = None
        for kind in kinds:
            centres, comparison = self._centres(kind), by_class
            if kind == "prototypes":
                comparison = discriminant.compare_without(rows, truth, centres, own)
            if kind == "linear" and len(kinds) > 1 and len(rows) < _SETTLED:
                continue
            found = temper(centres.best(score(comparison, kind, discriminant.freedom, width)), truth)
            if chosen is None or found.better_than(chosen[1], _ERRORS.get(kind, 0.0)):
                chosen = kind, found, distances(comparison, centres, discriminant.freedom)
        assert chosen is not None
        kind, found, spread = chosen
        return Calibration(kind, calibrate(spread, found.temperature, self.alpha), width, *now)

    def _kinds(self) -> list[ReadOutKind]:
        """The kinds in question; prototypes compete once a consolidation has made some."""
        if self.kind not in ("auto", "class"):
            return [self.kind]
        merged = self.kind == "auto" and any(len(episodes.counts) for episodes in self.episodes)
        few = merged and sum(episodes.prototype_count for episodes in self.episodes) <= _MANY_PROTOTYPES
        return ["cosine", "linear", "prototypes"] if few else ["cosine", "linear"]

    def sample(self) -> tuple[FloatArray, Positions, Positions]:
        """Up to 64 examples of each class with two or more: rows, classes, and the prototypes that hold them."""
        places = np.flatnonzero(self.sums.counts > 1)
        if len(places) > _SAMPLES:  # very many classes: an even choice of them
            places = places[np.linspace(0, len(places) - 1, _SAMPLES).astype(np.intp)]
        most = int(np.clip(_SAMPLES // max(len(places), 1), 1, _SAMPLE))
        starts = np.cumsum([0] + [episodes.prototype_count for episodes in self.episodes])
        rows, truth, own = [np.zeros((0, self.sums.width))], [np.zeros(0, np.intp)], [np.zeros(0, np.intp)]
        for place in places.tolist():
            episodes = self.episodes[place]
            chosen = episodes.smallest(most)
            rows.append(episodes.rows[chosen].astype(np.float64))
            truth.append(np.full(len(chosen), place))
            own.append(starts[place] + episodes.places()[chosen])
        return np.concatenate(rows), np.concatenate(truth), np.concatenate(own)


class _Fitting:
    """κ, t and the precision, made in a thread from a copy of the sums."""

    def __init__(self, sums: ExactSums, prior: Prior) -> None:
        self.since: list[tuple[int, FloatArray]] = []
        self._made: list[Discriminant] = []
        then, made = sums.copy(), self._made

        def fit() -> None:
            made.append(Discriminant(then, prior))

        self._thread = Thread(target=fit, name="engram-fit", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def result(self, sums: ExactSums) -> Discriminant | None:
        """What was fitted, brought up to date with what came meanwhile; None where the fit failed."""
        return self._made[0].copy(sums).moved_by(self.since) if self._made else None

    def copy(self) -> _Fitting:
        """The same fit, for another read-out to swap in."""
        made = copy(self)
        made.since = list(self.since)
        return made
