"""Group commit: everybody's item is carried out once, together with others', and each gets its own result."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from engram.store.group_commit import GroupCommit


def run(callers: int, target: object) -> None:
    threads = [threading.Thread(target=target, args=(i,)) for i in range(callers)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.parametrize("most", [1, 3, 1024])
@pytest.mark.parametrize("announced", [True, False])
def test_every_item_is_carried_out_once_and_answered(most: int, announced: bool) -> None:
    groups: list[list[int]] = []

    def together(items: Sequence[int]) -> list[int | BaseException]:
        groups.append(list(items))
        time.sleep(0.001)
        return [ValueError(str(item)) if item % 5 == 0 else -item for item in items]

    group = GroupCommit(together, most=most)
    answers: dict[int, int | str] = {}

    start = threading.Barrier(16)

    def call(caller: int) -> None:
        start.wait()
        for i in range(20):
            item = caller * 100 + i
            try:
                if announced:
                    with group.announced():
                        answers[item] = group.commit(item)
                else:
                    answers[item] = group.commit(item)
            except ValueError as error:
                answers[item] = str(error)

    run(16, call)
    wanted = {c * 100 + i for c in range(16) for i in range(20)}
    assert sorted(item for one in groups for item in one) == sorted(wanted)
    assert answers == {item: -item if item % 5 else str(item) for item in wanted}
    assert max(map(len, groups)) <= most
    if most == 1024:
        assert len(groups) < 320 / 4


def test_what_the_group_raises_each_of_its_callers_gets() -> None:
    def together(items: Sequence[int]) -> list[int | BaseException]:
        time.sleep(0.01)
        raise OSError("the disk")

    group = GroupCommit(together)
    raised: list[str] = []

    def call(_: int) -> None:
        try:
            group.commit(1)
        except OSError as error:
            raised.append(str(error))

    run(5, call)
    assert raised == ["the disk"] * 5


def test_a_lone_caller_does_not_wait_and_an_announced_one_is_waited_for_only_so_long() -> None:
    group: GroupCommit[int, int] = GroupCommit(lambda items: list(items), patience=0.2)
    begun = time.monotonic()
    with group.announced():
        group.commit(1)
    assert time.monotonic() - begun < 0.1
    with group.announced():  # one that never comes
        begun = time.monotonic()
        group.commit(1)
        group.commit(1)
        assert time.monotonic() - begun < 0.1  # it is the announced one itself that commits
        with group.announced():
            group.commit(2)
        assert 0.15 < time.monotonic() - begun < 2


def test_a_leader_that_is_interrupted_while_it_waits_leaves_the_way_free(monkeypatch: pytest.MonkeyPatch) -> None:
    group: GroupCommit[int, int] = GroupCommit(lambda items: [item * 2 for item in items])

    def interrupted() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as pressed:
        pressed.setattr(group, "_wait_for_announced", interrupted)
        with pytest.raises(KeyboardInterrupt):
            group.commit(1)
    answers: list[int] = []
    later = threading.Thread(target=lambda: answers.append(group.commit(21)), daemon=True)
    later.start()
    later.join(5)
    assert answers == [42]
