"""A learner that keeps every law passes; a learner that breaks one is caught by that law's check."""

import threading
import time

import numpy as np
import pytest

from engram.checks import CHECKS, LawBroken, check_learner, learner_checks
from engram.heads.head import Head, grown
from engram.inputs.vectors import as_labels, as_vectors
from engram.learner import InputError, MeldError, NotTaughtError, Predictions


class Lawful(Head):
    """Nearest class mean over integer sums: the least learner that speaks every protocol."""

    exact = True
    steps_taken = 0

    def __init__(self):
        super().__init__()
        self.sums = np.zeros((0, 0), np.int64)
        self.counts = np.zeros(0, np.int64)

    def learn(self, inputs, targets):
        before = {**vars(self), "_book": dict(self._book)}
        try:
            super().learn(inputs, targets)
        except BaseException:
            vars(self).update(before)
            raise

    def _check(self, vectors, labels):
        if np.abs(vectors).max() > 2**20:
            raise InputError("numbers too large")

    def _whole(self, vectors):
        return np.rint(vectors * 2**20).astype(np.int64)

    def _learn(self, vectors, classes, sign=1):
        if not len(self.sums):
            self.sums = np.zeros((0, vectors.shape[1]), np.int64)
        sums, counts = grown(self.sums.copy(), len(self._book)), grown(self.counts.copy(), len(self._book))
        np.add.at(sums, classes, sign * self._whole(vectors))
        np.add.at(counts, classes, sign)
        self.sums, self.counts = sums, counts

    def _scores(self, vectors):
        means = self.sums / self.counts[:, None] / 2**20
        return 2 * vectors @ means.T - (means**2).sum(1)

    def forget(self, inputs, targets):
        with self._lock:
            vectors = as_vectors(inputs, self.width)
            labels = as_labels(targets, len(vectors))
            if any(labels.count(x) > self.counts[self._book[x]] if x in self._book else True for x in labels):
                raise NotTaughtError("never taught")
            self._learn(vectors, np.array([self._book[x] for x in labels]), -1)
            self._drop_empty()

    def _drop_empty(self):
        kept = np.flatnonzero(self.counts)
        self._book = {x: i for i, x in enumerate(np.array(self.labels, object)[kept])}
        self.sums, self.counts = self.sums[kept], self.counts[kept]
        if not len(kept):
            self.width = None

    def meld(self, other):
        if not isinstance(other, Lawful) or None is not self.width != other.width is not None:
            raise MeldError("another kind or width")
        for label, row, count in zip(other.labels, other.sums, other.counts, strict=True):
            self.width = other.width
            place = self._book.setdefault(label, len(self._book))
            self.sums = grown(self.sums.reshape(-1, self.width), len(self._book))
            self.counts = grown(self.counts, len(self._book))
            self.sums[place] += row
            self.counts[place] += count

    def digest(self):
        order = sorted(self.labels)
        places = [self._book[x] for x in order]
        return repr((order, self.sums[places].tolist(), self.counts[places].tolist()))

    def _arrays(self):
        return {"sums": self.sums, "counts": self.counts}

    def _restore(self, state):
        self.sums, self.counts = state["sums"].copy(), state["counts"].copy()


class NeedsAllLabelsAtFirst(Lawful):
    def _scores(self, vectors):
        scores = super()._scores(vectors)
        scores[:, 3:] = -1e9
        return scores


class ForgetsOnConsolidating(Lawful):
    def consolidate(self):
        self.counts[-1:] = 0
        self._drop_empty()
        return super().consolidate()


class LearnsOncePerBatch(Lawful):
    def _learn(self, vectors, classes, sign=1):
        _, first = np.unique(classes, return_index=True)
        super()._learn(vectors[first], classes[first], sign)


class WeighsWhatCameLater(Lawful):
    def _learn(self, vectors, classes, sign=1):
        for vector, place in zip(vectors, classes, strict=True):
            super()._learn(vector[None] * (1 + self.counts.sum() / 1000), np.array([place]), sign)


class LosesItsCounts(Lawful):
    def _restore(self, state):
        super()._restore(state)
        self.counts = np.minimum(self.counts, 5)


class SharesItsState(Lawful):
    def state(self):
        return {**super().state(), "sums": self.sums}

    def _learn(self, vectors, classes, sign=1):
        if len(self.sums) == len(self._book):
            np.add.at(self.sums, classes, sign * self._whole(vectors))
            np.add.at(self.counts, classes, sign)
        else:
            super()._learn(vectors, classes, sign)


class ForgetsWhatConsolidatingLeft(Lawful):
    def consolidate(self):
        self.counts, self.told = self.counts + 1, True
        return super().consolidate()

    def _learn(self, vectors, classes, sign=1):
        super()._learn(vectors * (1.5 if hasattr(self, "told") else 1), classes, sign)


class LearnsByHalf(Lawful):
    learn = Head.learn

    def _learn(self, vectors, classes, sign=1):
        for vector, place in zip(vectors, classes, strict=True):
            super()._learn(vector[None], np.array([place]), sign)


class DivergesForGood(Lawful):
    def _check(self, vectors, labels):
        if np.abs(vectors).max() > 2**20:
            self.spoilt = True
            raise InputError("numbers too large")

    def _learn(self, vectors, classes, sign=1):
        super()._learn(-vectors if hasattr(self, "spoilt") else vectors, classes, sign)

    def learn(self, inputs, targets):
        Head.learn(self, inputs, targets)


class LoadsAnything(Lawful):
    @classmethod
    def from_state(cls, state):
        return super().from_state(state) if state else cls()


class MeldDropsLabels(Lawful):
    def meld(self, other):
        before = self.labels
        super().meld(other)
        self.counts[len(before) :] = 0
        self._drop_empty()


class MeldEmptiesTheOther(Lawful):
    def meld(self, other):
        super().meld(other)
        other.counts[:-1] = 0
        other._drop_empty()


class MeldCountsOnce(Lawful):
    def meld(self, other):
        super().meld(other)
        self.counts = np.minimum(self.counts, 15)


class ForgetsTheLabelOnly(Lawful):
    def _learn(self, vectors, classes, sign=1):
        super()._learn(vectors * (sign > 0), classes, sign)


class ForgetsNothing(Lawful):
    exact = False

    def _learn(self, vectors, classes, sign=1):
        if sign > 0:
            super()._learn(vectors, classes)


class ForgetsTheUntaught(Lawful):
    exact = False

    def forget(self, inputs, targets):
        if set(targets) <= set(self.labels):
            self.counts[self._book[targets[0]]] = 0
            self._drop_empty()
        else:
            raise NotTaughtError("never taught")


class KeepsEverything(Lawful):
    exact = False

    def __init__(self):
        super().__init__()
        self.kept = np.zeros((0, 0))

    def _learn(self, vectors, classes, sign=1):
        super()._learn(vectors, classes, sign)
        self.kept = np.concatenate([self.kept.reshape(-1, vectors.shape[1]), vectors])

    def _arrays(self):
        return {**super()._arrays(), "kept": self.kept}

    def _restore(self, state):
        super()._restore(state)
        self.kept = state["kept"].copy()


class HidesWhatItKeeps(KeepsEverything):
    memory_bytes = 10


class StatesTooSmallABound(Lawful):
    memory_limit = -5000


class LetsNaNIn(Lawful):
    def learn(self, inputs, targets):
        super().learn(np.nan_to_num(np.asarray(inputs)), targets)


class LearnsBeforeItLooks(Lawful):
    def learn(self, inputs, targets):
        if len(targets) > 1 and isinstance(inputs, np.ndarray) and inputs.ndim == 2 and self.width:
            super().learn(inputs[:1], targets[:1])
            super().learn(inputs[1:], targets[1:])
        else:
            super().learn(inputs, targets)


class RaisesSomethingElse(Lawful):
    def learn(self, inputs, targets):
        np.asarray(inputs, float).reshape(len(targets), -1)
        super().learn(inputs, targets)


class AnswersInText(Lawful):
    def predict(self, inputs, among=None):
        answers = super().predict(inputs, among)
        return Predictions(tuple(map(str, answers.candidates)), answers.scores, answers.known)


class FoldsAccents(Lawful):
    def learn(self, inputs, targets):
        targets = as_labels(targets, len(as_vectors(inputs)))
        super().learn(inputs, [x.strip() if isinstance(x, str) else x for x in targets])


class IgnoresAmong(Lawful):
    def predict(self, inputs, among=None):
        self._columns(among if among is None else (among := list(among)))
        return super().predict(inputs)


class AnswersWithNaN(Lawful):
    def _scores(self, vectors):
        return super()._scores(vectors) * np.where(vectors[:, :1] > 0.5, np.nan, 1)


class LearnsWhatItIsAsked(Lawful):
    def predict(self, inputs, among=None):
        answers = super().predict(inputs, among)
        if self.labels:
            self.sums = self.sums + 1
        return answers


class CountsWhatItIsAsked(Lawful):
    exact, asked = False, 0

    def predict(self, inputs, among=None):
        self.asked += among is not None
        return super().predict(inputs, among)

    def _learn(self, vectors, classes, sign=1):
        super()._learn(vectors * (1 + self.asked), classes, sign)


class KeepsTheCallersArray(Lawful):
    def learn(self, inputs, targets):
        super().learn(inputs, targets)
        self.last, self.seen = inputs, inputs.copy()

    def _scores(self, vectors):
        return super()._scores(vectors) + (self.last.sum() - self.seen.sum())


class WritesIntoItsInput(Lawful):
    def learn(self, inputs, targets):
        super().learn(inputs, targets)
        inputs -= inputs.mean(0)


class TearsUnderThreads(Lawful):
    def learn(self, inputs, targets):
        half = len(targets) // 2
        if isinstance(inputs, np.ndarray) and inputs.ndim == 2 and half:
            super().learn(inputs[:half], targets[:half])
            time.sleep(0.002)
            super().learn(inputs[half:], targets[half:])
        else:
            super().learn(inputs, targets)


class UsesTheGlobalGenerator(Lawful):
    exact = False

    def _learn(self, vectors, classes, sign=1):
        super()._learn(vectors + 1e-3 * np.random.normal(size=vectors.shape), classes, sign)  # noqa: NPY002


class Derives(Lawful):
    """Scores by a threshold that is derived from the counts; equal sums, equal digests, whatever is derived."""

    turn = 30
    threshold = 0.0

    def _fresh(self):
        return float(self.counts.sum() >= self.turn)

    def _learn(self, vectors, classes, sign=1):
        super()._learn(vectors, classes, sign)
        self.threshold = self._fresh()

    def meld(self, other):
        super().meld(other)
        self.threshold = self._fresh()

    def _restore(self, state):
        super()._restore(state)
        self.threshold = self._fresh()

    def _scores(self, vectors):
        return super()._scores(vectors) * (1 + self.threshold)


class DerivesInItsOwnTime(Derives):
    """Once past 256 examples it derives anew only where the number has doubled; it does not save what it goes by."""

    turn, derived_at = 256, 0

    def _learn(self, vectors, classes, sign=1):
        before = self.threshold
        super()._learn(vectors, classes, sign)
        if 128 < self.counts.sum() < 2 * self.derived_at:
            self.threshold = before
        else:
            self.derived_at = self.counts.sum()

    def rebuild(self):
        self.threshold = self._fresh()


class LooksAtTheWholeBatch(Derives):
    def _scores(self, vectors):
        return super()._scores(vectors) - (self.counts.sum() >= 200) * vectors.mean()


class DerivesForEachThread(Derives):
    def __init__(self):
        super().__init__()
        self.home = threading.get_ident()

    def _scores(self, vectors):
        return super()._scores(vectors) * (1 if threading.get_ident() == self.home or self.counts.sum() < 128 else 2)


class DerivesWhenAsked(Derives):
    def _fresh(self):
        return self.threshold

    def _scores(self, vectors):
        self.threshold = max(self.threshold, float(64 <= self.counts.sum() < 65))
        return super()._scores(vectors)


class CountsCalls(Derives):
    def _fresh(self):
        self.calls = getattr(self, "calls", 0) + 1
        return float(self.counts.sum() >= 64 and self.calls > 3)


class ForgetsWithoutDeriving(Derives):
    turn = 200

    def _learn(self, vectors, classes, sign=1):
        before = self.threshold
        super()._learn(vectors, classes, sign)
        if sign < 0:
            self.threshold = before


class ForgetsLabelsByHalf(Derives):
    def forget_label(self, label):
        with self._lock:
            self.counts[self._book[label]] = 0
            self._drop_empty()


class DropsAClassByHalf(Derives):
    def _drop_empty(self):
        before = len(self.counts)
        super()._drop_empty()
        self.threshold += before - len(self.counts) if self.counts.sum() >= 30 else 0


class MeldsWithoutDeriving(Derives):
    turn = 128

    def meld(self, other):
        before = self.threshold
        super().meld(other)
        self.threshold = before


BROKEN = {
    NeedsAllLabelsAtFirst: "a new label can arrive",
    ForgetsOnConsolidating: "consolidating keeps",
    LearnsOncePerBatch: "a batch is learned",
    WeighsWhatCameLater: "order does not matter",
    LosesItsCounts: "what was saved",
    SharesItsState: "what was saved",
    ForgetsWhatConsolidatingLeft: "saved after consolidating",
    LoadsAnything: "a damaged state",
    MeldDropsLabels: "melding never loses",
    MeldEmptiesTheOther: "melding never loses",
    MeldCountsOnce: "melding equals",
    ForgetsTheLabelOnly: "forgetting equals",
    ForgetsNothing: "what was forgotten",
    ForgetsTheUntaught: "what was forgotten",
    KeepsEverything: "memory stays",
    HidesWhatItKeeps: "memory stays",
    StatesTooSmallABound: "memory stays",
    LetsNaNIn: "bad input",
    LearnsBeforeItLooks: "bad input",
    RaisesSomethingElse: "bad input",
    LearnsByHalf: "interrupted anywhere",
    DivergesForGood: "where training diverges",
    AnswersInText: "labels go out",
    FoldsAccents: "labels go out",
    IgnoresAmong: "the candidates",
    AnswersWithNaN: "answers are",
    LearnsWhatItIsAsked: "predicting changes",
    CountsWhatItIsAsked: "predicting changes",
    KeepsTheCallersArray: "the caller's arrays",
    WritesIntoItsInput: "the caller's arrays",
    TearsUnderThreads: "asked while learning",
    UsesTheGlobalGenerator: "the same seed",
    DerivesInItsOwnTime: "saved at any count",
    LooksAtTheWholeBatch: "how it is asked",
    DerivesForEachThread: "how it is asked",
    DerivesWhenAsked: "how it is asked",
    CountsCalls: "what is taught past",
    ForgetsWithoutDeriving: "forgotten back past",
    ForgetsLabelsByHalf: "forgotten back past",
    DropsAClassByHalf: "forgotten back past",
    MeldsWithoutDeriving: "melded past",
}


@pytest.mark.parametrize("check", learner_checks(), ids=str)
def test_a_lawful_learner_keeps(check):
    assert check(Lawful), "the law must bind this learner"


@pytest.mark.parametrize("check", learner_checks(width=7, seed=5, scale=0.1), ids=str)
def test_in_another_setting_a_lawful_learner_keeps(check):
    assert check(Lawful)


@pytest.mark.parametrize("check", learner_checks(), ids=str)
def test_a_learner_that_derives_what_it_answers_from_keeps(check):
    assert check(Derives)


@pytest.mark.parametrize("count", [1024, 8192])
def test_a_turn_that_comes_late_is_found_where_its_count_is_given(count):
    class TurnsLate(ForgetsWithoutDeriving):
        turn = count

    (check,) = [check for check in learner_checks(counts=(count,)) if check.name.startswith("forgotten back")]
    with pytest.raises(LawBroken, match="answers differ"):
        check(TurnsLate)
    assert all(check(TurnsLate) for check in learner_checks())


@pytest.mark.parametrize(("learner", "law"), BROKEN.items(), ids=lambda x: getattr(x, "__name__", ""))
def test_who_breaks_a_law_is_caught_by_its_check(learner, law):
    (check,) = [check for check in CHECKS if check.name.startswith(law)]
    with pytest.raises(LawBroken, match=f"^law {check.law}: {law}"):
        check(learner)
    with pytest.raises(LawBroken):
        check_learner(learner)


def test_every_check_has_a_learner_that_breaks_it():
    assert {check.name for check in CHECKS} == {c.name for c in CHECKS for law in BROKEN.values()
                                               if c.name.startswith(law)}


def test_an_exact_learner_without_a_digest_is_judged_by_its_answers():
    class Undigested:
        exact, boundaries = True, False

        def __init__(self):
            self._head = WeighsWhatCameLater()
            self.learn, self.predict = self._head.learn, self._head.predict
            self.consolidate = self._head.consolidate

    with pytest.raises(LawBroken, match=r"^law 2.*the answers differ"):
        check_learner(Undigested)


def test_laws_that_do_not_bind_are_not_counted_as_kept():
    class Plain:
        exact = boundaries = False

        def __init__(self):
            self._head = Lawful()
            self.learn, self.predict = self._head.learn, self._head.predict
            self.consolidate = self._head.consolidate

    kept = check_learner(Plain)
    assert {int(name.split()[1].rstrip(":")) for name in kept} == {1, 8, 9, 10, 11}
