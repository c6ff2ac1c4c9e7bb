"""Every core keeps the laws of a core, and the suite finds a core that breaks one."""

from __future__ import annotations

import numpy as np
import pytest

from engram.checks import LawBroken
from engram.checks.core_laws import CORE_CHECKS, check_core, core_checks
from engram.features.cores import CORES
from engram.features.cores.core import Core, heard
from engram.learner import InputError

SMALL = {"echo-state": {"width": 30, "leak": 0.5}, "next-generation-reservoir": {"delays": 3, "stride": 2},
         "diagonal-recurrence": {"width": 8}, "neural-circuit-policy": {"width": 11, "sensory_fanout": 3}}


def made(name):
    return CORES.load(name).fresh(3, seed=1, **{"width": 8, **CORES[name].settings, **SMALL.get(name, {})}
                                  if name != "next-generation-reservoir" else SMALL[name])


@pytest.mark.parametrize("name", CORES)
def test_every_core_keeps_every_law(name):
    core = made(name)
    assert isinstance(core, Core)
    assert len(check_core(lambda: made(name))) == len(CORE_CHECKS) - (not core.flows)


@pytest.mark.parametrize("name", CORES)
def test_a_core_is_made_again_of_its_arrays_and_its_config(name):
    core = made(name)
    again = type(core)(core.arrays, **core.config())
    frames = np.random.default_rng(0).normal(size=(1, 5, 3))
    one, two = (each.advance(each.start(1), frames, np.ones((1, 5)))[1] for each in (core, again))
    assert np.array_equal(one, two)


class Lawful:
    """A leaky mean: the least core that keeps every law."""

    flows, channels, width = True, 2, 2

    def start(self, n):
        if n < 1:
            raise InputError("one sequence or more")
        return {"mean": np.zeros((n, 2))}

    def leak(self, dt):
        return np.exp(-dt)

    def advance(self, state, frames, dt):
        given = heard(self, state, frames, dt)
        mean, found = state["mean"].copy(), []
        for t in range(given.dt.shape[1]):
            mean = self.moved(mean, given.frames[:, t], given.dt[:, t, None])
            found.append(mean)
        return {"mean": mean.copy()}, np.stack(found, 1)

    def moved(self, mean, frame, dt):
        keep = self.leak(dt)
        return keep * mean + (1 - keep) * frame


class ForgetsBetweenCalls(Lawful):
    def advance(self, state, frames, dt):
        return super().advance({"mean": 0 * state["mean"]} if len(state["mean"]) else state, frames, dt)


class SharesTimesOfTheBatch(Lawful):
    def leak(self, dt):
        return np.exp(-dt.mean(axis=0, keepdims=True) * (dt > 0))


class HearsPadding(Lawful):
    def leak(self, dt):
        return np.exp(-np.maximum(dt, 0.1))


class MixesTheBatch(Lawful):
    def moved(self, mean, frame, dt):
        return super().moved(mean, frame + 1e-3 * frame.mean(axis=0), dt)


class KeepsTheLastInside(Lawful):
    last = 0.0

    def advance(self, state, frames, dt):
        moved, found = super().advance(state, frames + 0 * self.last, dt)
        before, self.last = self.last, float(found.mean())
        return moved, found + 1e-3 * before


class ChangesWhatWasGiven(Lawful):
    def advance(self, state, frames, dt):
        moved, found = super().advance(state, frames, dt)
        state["mean"][:] = moved["mean"]
        return moved, found


class StepsByFramesAlone(Lawful):
    def leak(self, dt):
        return np.where(dt > 0, 0.5, 1.0)


class GrowsWithTheStream(Lawful):
    def advance(self, state, frames, dt):
        moved, found = super().advance({"mean": state["mean"][:, :2]}, frames, dt)
        return {"mean": np.concatenate([state["mean"], moved["mean"]], 1)[:, ::-1]}, found


class TakesNaN(Lawful):
    def advance(self, state, frames, dt):
        if isinstance(frames, str):
            return super().advance(state, frames, dt)
        return super().advance(state, np.nan_to_num(frames), dt)


class ChangesItsMind(Lawful):
    made = 0

    def __init__(self):
        ChangesItsMind.made += 1
        self.gain = 1 + 0.01 * ChangesItsMind.made

    def moved(self, mean, frame, dt):
        return super().moved(mean, self.gain * frame, dt)


def test_a_lawful_core_passes():
    assert len(check_core(Lawful)) == len(CORE_CHECKS)


@pytest.mark.parametrize(("core", "law"), [
    (ForgetsBetweenCalls, "frames in parts"), (SharesTimesOfTheBatch, "together"), (HearsPadding, "padding"),
    (MixesTheBatch, "together"), (KeepsTheLastInside, "isolated"), (ChangesWhatWasGiven, "caller's"),
    (StepsByFramesAlone, "half steps"), (GrowsWithTheStream, "frames in parts"), (TakesNaN, "bad input"),
    (ChangesItsMind, "seed"),
])
def test_a_core_that_breaks_a_law_is_found_by_its_check(core, law):
    broken = []
    for check in core_checks():
        try:
            check(core)
        except LawBroken:
            broken.append(str(check))
    assert any(law in name for name in broken), broken
