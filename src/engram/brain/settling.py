"""How a brain gets into its folder, and out of it: made there, moved in from memory, saved, copied."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import Any, Self
from uuid import uuid4

from engram.brain.edicts import joined
from engram.brain.erasing import Erasing
from engram.brain.journal import Journal
from engram.brain.timeline import CREATED
from engram.brain.unknowns import Unknowns
from engram.features.backbones.bundle import Bundle
from engram.learner import EngramError, InputError
from engram.store.event import Change, Draft
from engram.store.folder import MANIFEST


class Settling(Erasing):
    """A brain that can be given a folder to last in."""

    @classmethod
    def create(cls, path: str | os.PathLike[str], bundle: Any = None, **options: Any) -> Self:
        """A new brain in a new folder: from now on whatever it learns is on disk when the call returns.

        Args:
            path: a folder that does not exist, or is empty.
            bundle, options: as for the brain itself.

        Raises:
            InputError: there is something already, or the bundle is none.
            OSError: the disk refused.
        """
        made: Any = cls
        brain: Self = made(bundle, **options)
        brain._settle_in(path)
        return brain

    def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Save to a folder, whole: a copy of the brain that can be opened by itself.

        Args:
            path: a new folder, or one in which this very brain was saved before. The folder in which the brain lasts
                (or None) holds all that was learned already; a snapshot of now is added, so that it opens at once.

        Raises:
            InputError: there is another brain already, or something else.
            EngramError: that folder's brain has learned what this one does not know, or another program writes to it.
            OSError: the disk refused; what was there is still there.
        """
        with self._lock:
            self._check_open()
            home = None if self._journal is None else self._journal.folder.path
            if home is None:
                self._save_from_memory(path)
            elif path is None or os.path.realpath(path) == os.fspath(home):
                self._changing()
                self._record_inbox()
                self._snapshot()
            else:
                self._copy_to(path)

    def _save_from_memory(self, path: str | os.PathLike[str] | None) -> None:
        if path is None:
            raise InputError("Say where: this brain lives in memory only.")
        if os.path.isfile(os.path.join(path, MANIFEST)):
            with type(self).open(path) as saved, saved._change():
                saved._become(self)
            return
        seq, live = self.seq, self._taught.own.live
        self._settle_in(path)
        assert self._journal is not None
        self._journal.close()
        self._journal, self.seq, self._taught.own.live = None, seq, live

    def _settle_in(self, path: str | os.PathLike[str]) -> None:
        """Last in a new folder from now on; what is known already is its first checkpoint."""
        journal = Journal.create(path, self.device)
        self._journal = journal
        bundle, seq = self._bundle, self.seq
        try:
            body = {"device": self.device, "options": self._options, "unknowns": self.unknowns.limit}
            first = [Change(events=[Draft(kind=CREATED, body=body, time=self._now())])]
            if bundle is not None:
                self._bundle = None
                first += self._adopting(bundle)
                self._bundle = bundle
            columns, self._columns = self._columns, None
            first += self._naming(columns)
            self._columns = columns
            self.seq = 0
            if self._taught.own.epoch or self._taught.others or self._taught.edicts:
                covers = len(first) + 1
                self._store_slots()
                first.append(Change(events=[self._checkpoint(self._taught, covers)]))
            self._commit([*first, self._inbox_change()])
            self._taught.own.live = False
        except BaseException:
            self._journal, self._bundle, self.seq = None, bundle, seq
            journal.remove()
            raise

    def _become(self, later: Self) -> None:
        """Know what a later version of this very brain knows, from now on.

        Raises:
            InputError: it is another brain.
            EngramError: this one knows what that one does not.
        """
        assert self._journal is not None
        mine, theirs, where = self._taught.own, later._taught.own, self._journal.folder.path
        if mine.device != theirs.device or _print(self._bundle) not in (None, _print(later._bundle)):
            raise InputError(f"{where} holds another brain: save this one elsewhere.")
        if not theirs.lineage.continues(mine.lineage):
            raise EngramError(f"{where} has learned what this brain does not know: save elsewhere, then meld.")
        adopting = self._adopting(later._bundle) if later._bundle is not None else []
        adopting += self._naming(later.columns)
        with self._standing_on(later._bundle) if later._bundle is not None else nullcontext():
            covers = self.seq + sum(len(change.events) for change in adopting) + 1 + (not mine.live)
            self._journal.keep_slots(later._taught.others.values())
            draft = self._checkpoint(later._taught, covers, erased=True)
            known, going = set(later._taught.total.named), self._everything()
            names = self._unnamed(known, joined(self._taught.edicts, later._taught.edicts), uuid4().hex, going)
            self._erase([*adopting, Change(events=[draft])], going, (), later._taught.others, (), names)
        self.unknowns = Unknowns.from_state(later.unknowns.state())
        self._reload()
        self._forgotten()

    def _copy_to(self, path: str | os.PathLike[str]) -> None:
        assert self._journal is not None
        self._journal.finish_saving()
        self._journal.copy_to(path)


def _print(bundle: Bundle | None) -> str | None:
    return None if bundle is None else bundle.fingerprint
