"""A brain in a folder does whatever a brain in memory does, and can be closed, cut off and reopened at any moment."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engram.brain import Brain
from engram.brain.ledger import Ledger
from engram.learner import EngramError, InputError

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # hundreds of commits: without a disk's waits
WIDTH = 4
LABELS = st.sampled_from(["a", "b", "c", "d"])
POINTS = st.lists(st.tuples(*[st.integers(-4, 4)] * WIDTH).filter(any), min_size=1, max_size=5)


class DurableBrain(RuleBasedStateMachine):
    """One brain in a folder, one in memory, taught alike; and the memory's earlier states, to roll back to."""

    @initialize(budget=st.sampled_from([2**28, 400]))
    def begin(self, budget: int) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY))
        self.brain = Brain.create(self.folder / "brain", memory_budget=budget)
        self.brain.learn(np.ones(WIDTH), "a")
        self.held: list[tuple[tuple[int, ...], str]] = [((1,) * WIDTH, "a")]
        self.past: dict[int, list[tuple[tuple[int, ...], str]]] = {}
        self.note_moment()

    def teardown(self) -> None:
        if hasattr(self, "brain"):
            self.brain.close()
            shutil.rmtree(self.folder)

    def note_moment(self) -> None:
        self.past[self.brain.seq] = list(self.held)

    @rule(points=POINTS, label=LABELS)
    def learn(self, points: list[tuple[int, ...]], label: str) -> None:
        self.brain.learn(np.array(points, float), label, teacher=f"teacher of {label}")
        self.held += [(point, label) for point in points]
        self.note_moment()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def forget_an_example(self, data: st.DataObject) -> None:
        point, label = data.draw(st.sampled_from(self.held))
        self.brain.forget(np.array(point, float), label)
        self.held.remove((point, label))
        self.past = {}
        self.note_moment()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def forget_a_label(self, data: st.DataObject) -> None:
        label = data.draw(st.sampled_from(sorted({label for _, label in self.held})))
        self.brain.forget(label=label)
        self.held = [pair for pair in self.held if pair[1] != label]
        self.past = {}
        self.note_moment()

    @rule(data=st.data())
    def forget_by_number(self, data: st.DataObject) -> None:
        examples = self.brain.examples(limit=1000)
        if not examples:
            return
        example = data.draw(st.sampled_from(examples))
        before = sorted(self.held)
        self.brain.forget(ids=[example.id])
        (lost,) = [pair for pair in set(before) if self.count(pair) < before.count(pair)]
        assert lost[1] == example.label
        self.held.remove(lost)
        self.past = {}
        self.note_moment()

    @rule(data=st.data(), label=LABELS)
    def correct(self, data: st.DataObject, label: str) -> None:
        examples = self.brain.examples(limit=1000)
        if not examples:
            return
        example = data.draw(st.sampled_from(examples))
        held = {pair: self.count(pair) for pair in set(self.held)}
        self.brain.relabel([example.id], label)
        if example.label != label:
            (lost,) = [pair for pair, times in held.items() if self.count(pair) < times]
            self.held.remove(lost)
            self.held.append((lost[0], label))
        self.note_moment()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def rename(self, data: st.DataObject) -> None:
        known = sorted({label for _, label in self.held})
        old = data.draw(st.sampled_from(known))
        new = data.draw(LABELS)
        if new in known:
            with pytest.raises(EngramError):
                self.brain.rename(old, new)
            return
        self.brain.rename(old, new)
        self.held = [(point, new if label == old else label) for point, label in self.held]
        self.note_moment()

    @rule(data=st.data(), alpha=st.sampled_from([0.01, 0.1, 0.3]))
    def set_alpha(self, data: st.DataObject, alpha: float) -> None:
        known = [None, *sorted({label for _, label in self.held})]
        self.brain.set_alpha(alpha, data.draw(st.sampled_from(known)))
        self.note_moment()

    @rule()
    def consolidate(self) -> None:
        self.brain.consolidate()
        self.note_moment()

    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(sorted(self.past)))
        try:
            self.brain.rollback(seq)
        except InputError as error:
            if "budget" not in str(error):  # let go since
                raise
            return
        self.held = list(self.past[seq])
        self.note_moment()

    @rule(points=POINTS, label=LABELS)
    def undo(self, points: list[tuple[int, ...]], label: str) -> None:
        before = list(self.held)
        learned = self.brain.learn_examples(np.array(points, float), label)
        try:
            undone = self.brain.undo()
        except InputError as error:
            if "budget" not in str(error):  # let go since
                raise
            self.held += [(point, label) for point in points]
            return
        assert undone.seq == learned.ids[-1]
        assert set(undone.labels) == {label}
        self.held = before
        self.note_moment()

    @rule(cut=st.booleans(), bare=st.booleans())
    def reopen(self, cut: bool, bare: bool) -> None:
        """Properly closed, or as after a crash; with the snapshots, or without."""
        shares = self.brain.alpha, self.brain.alphas
        if cut:
            self.brain._ledger.log.close()  # type: ignore[union-attr]  # lets go of the lock, as the system would
            self.brain._ledger = Ledger()
            gc.collect()
        else:
            self.brain.close()
        if bare:
            for snapshot in (self.folder / "brain").glob("snapshot-*"):
                snapshot.unlink()
        self.brain = Brain.open(self.folder / "brain")
        assert (self.brain.alpha, self.brain.alphas) == shares

    def count(self, pair: tuple[tuple[int, ...], str]) -> int:
        return self.brain.holds(np.array(pair[0], float), pair[1])[0]

    @invariant()
    def same_digest_as_one_that_never_saw_anything_else(self) -> None:
        if not hasattr(self, "brain"):
            return
        memory = Brain()
        memory.learn(np.ones(WIDTH), "gone")
        for point, label in self.held:
            memory.learn(np.array(point, float), label)
        memory.forget(label="gone")
        assert self.brain.digest() == memory.digest()


DurableBrain.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
test_a_brain_in_a_folder = DurableBrain.TestCase
