"""Receipts in arrays against the obvious counter of each label, and at the size of a million."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.brain import receipts as module
from engram.brain.receipts import Receipts
from engram.learner import Label

# Some share their first half, so that order and equality depend on all of a receipt.
DIGESTS = [bytes([high]) * 8 + bytes([low]) * 8 for high in (0, 7, 255) for low in (0, 1, 255)]
LABELS = ("a", "b", "c")


class Counters:
    """The slow reference."""

    def __init__(self) -> None:
        self.held: dict[Label, Counter[bytes]] = {}

    def add(self, receipts: list[bytes], labels: list[Label]) -> None:
        for receipt, label in zip(receipts, labels, strict=True):
            self.held.setdefault(label, Counter())[receipt] += 1

    def remove(self, receipts: list[bytes], labels: list[Label]) -> None:
        for receipt, label in zip(receipts, labels, strict=True):
            self.held[label][receipt] -= 1
            if not self.held[label][receipt]:
                del self.held[label][receipt]
            if not self.held[label]:
                del self.held[label]

    def drop(self, label: Label) -> None:
        self.held.pop(label, None)

    def rename(self, old: Label, new: Label) -> None:
        if old in self.held:
            self.held[new] = self.held.pop(old)

    def labels_of(self, receipt: bytes) -> list[Label]:
        return [label for label, held in self.held.items() if receipt in held]

    def missing(self, receipts: list[bytes], labels: list[Label]) -> list[int]:
        asked: Counter[tuple[Label, bytes]] = Counter()
        places = []
        for i, key in enumerate(zip(labels, receipts, strict=True)):
            asked[key] += 1
            if asked[key] > self.held.get(key[0], Counter())[key[1]]:
                places.append(i)
        return places


pairs = st.lists(st.tuples(st.sampled_from(DIGESTS), st.sampled_from(LABELS)), max_size=8)
steps = st.one_of(
    st.tuples(st.sampled_from(["add", "remove", "missing"]), pairs),
    st.tuples(st.just("drop"), st.sampled_from(LABELS)),
    st.tuples(st.just("rename"), st.sampled_from(LABELS), st.sampled_from((*LABELS, "d"))),
    st.tuples(st.sampled_from(["save", "copy"])),
)


@given(st.lists(steps, max_size=25), st.sampled_from([0, 3, 2**14]))
@settings(max_examples=300, deadline=None)
def test_receipts_are_what_counters_are(story, waiting):
    receipts, reference = Receipts(), Counters()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_RECENT", waiting)
        for kind, *rest in story:
            if kind in ("add", "remove", "missing"):
                digests, labels = [r for r, _ in rest[0]], [label for _, label in rest[0]]
                assert receipts.missing(digests, labels) == reference.missing(digests, labels)
                if kind == "remove" and reference.missing(digests, labels):
                    with pytest.raises(KeyError):
                        receipts.remove(digests, labels)
                elif kind != "missing":
                    getattr(receipts, kind)(digests, labels)
                    getattr(reference, kind)(digests, labels)
            elif kind == "save":
                labels = list(reference.held)
                receipts = Receipts.from_state(receipts.state(labels), labels)
            elif kind == "copy":
                untouched, receipts = receipts, receipts.copy()
                receipts.add(DIGESTS, ["b"] * len(DIGESTS))
                receipts = untouched
            elif kind == "drop":
                receipts.drop(*rest)
                reference.drop(*rest)
            elif rest[0] != rest[1]:
                receipts.rename(*rest)
                reference.rename(*rest)
            compare(receipts, reference)


def compare(receipts: Receipts, reference: Counters) -> None:
    assert list(receipts.totals().items()) == [(label, held.total()) for label, held in reference.held.items()]
    listed = {label: sorted(r.hex() for r in held.elements()) for label, held in reference.held.items()}
    assert receipts.listed() == listed
    for digest in DIGESTS:
        assert receipts.labels_of(digest) == reference.labels_of(digest)
        assert receipts.count(digest) == sum(held[digest] for held in reference.held.values())
        assert all(
            receipts.count(digest, label) == reference.held.get(label, Counter())[digest] for label in (*LABELS, "d")
        )
    assert receipts.holds_any(DIGESTS) == bool(reference.held)


def million() -> list[bytes]:
    whole = np.random.default_rng(0).bytes(16 * 10**6)
    return [whole[i : i + 16] for i in range(0, len(whole), 16)]


def test_a_million_receipts_take_few_bytes_each_and_are_all_found_again_in_a_saved_state():
    digests, labels = million()[:200_000], [f"c{i % 50}" for i in range(200_000)]
    tracemalloc.start()
    receipts = Receipts()
    for i in range(0, len(digests), 4096):
        receipts.add(digests[i : i + 4096], labels[i : i + 4096])
    taken = tracemalloc.get_traced_memory()[0] / len(digests)
    tracemalloc.stop()
    assert taken < 24 + 300 * 2**14 / len(digests)  # the arrays, and what waits in the dictionary
    names = list(receipts.totals())
    state = receipts.state(names)
    assert sum(array.nbytes for array in state.values()) == 24 * len(digests)
    again = Receipts.from_state(state, names)
    assert again.totals() == receipts.totals() == dict(Counter(labels))
    assert all(again.count(digests[i], labels[i]) == 1 for i in range(0, len(digests), 997))
    assert again.labels_of(digests[123]) == ["c23"]
    assert again.missing([digests[5], digests[5]], ["c5", "c5"]) == [1]


@pytest.mark.parametrize("spoil", [
    lambda s: s.pop("digests"),
    lambda s: s.update(digests=s["digests"][:-1]),
    lambda s: s.update(numbers=s["numbers"] * [1, 0]),
    lambda s: s.update(numbers=s["numbers"] + [5, 0]),
    lambda s: s.update(numbers=s["numbers"] - [1, 0]),
    lambda s: s.update(numbers=s["numbers"] + [0, 2**33]),
    lambda s: s.update(digests=np.repeat(s["digests"][:1], 2, axis=0), numbers=np.repeat(s["numbers"][:1], 2, axis=0)),
])
def test_arrays_that_do_not_fit_are_refused(spoil):
    receipts = Receipts()
    receipts.add(DIGESTS[:2], ["a", "b"])
    state = receipts.state(["a", "b"])
    spoil(state)
    with pytest.raises((KeyError, ValueError, IndexError)):
        Receipts.from_state(state, ["a", "b"])
