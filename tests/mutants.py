"""Plants small faults in the code one by one, and shows that the tests of its room find them.

    python tests/mutants.py [--out results/mutants.json] [--only WORD ...] [--so-far FILE] [--at-once 2]

Each mutant changes one place in a copy of the code; the tests of its room are run in that copy until one fails. A mutant
that no test finds survives: then a test is missing. First the tests of each room are run in the code as it is: they must
pass. At least 95% of the mutants must be killed.

With `--so-far`, each verdict is added to that file as it comes. A run that was interrupted goes on from there: what was
killed stays so until the changed file is edited; survivors are tried again.
"""
# ruff: noqa: E501  (code as it stands, and what takes its place)

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from promises import ROOT, copied

LONGEST = 400  # seconds for the tests of one mutant
# Imported once, not for each mutant: what the tests need beside Engram itself.
SHARED = ("numpy", "scipy.linalg", "hypothesis", "pytest", "_pytest.assertion.rewrite", "apsw", "torch")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Room:
    """Code in which faults are planted.

    Attributes:
        name: what it is called in the result.
        tests: those that must find every fault, the quickest first.
        mutants: file below src/engram, the text there, once, and what takes its place.
    """

    name: str
    tests: tuple[str, ...]
    mutants: tuple[tuple[str, str, str], ...]


SUMS = "heads/exact_sums.py"
LOG, TABLES, HELD, LOCK, MARK = (
    "store/event_log.py", "store/database.py", "store/log_files.py", "store/writer_lock.py", "store/log_files.py")
LEDGER, FOLDER, BRAIN = "brain/ledger.py", "brain/folder_ledger.py", "brain/brain.py"
METHODS = "networks/strategies/"
EWC, REPLAY, LWF, STRATEGY = (
    METHODS + "elastic_weight_consolidation.py", METHODS + "experience_replay.py",
    METHODS + "learning_without_forgetting.py", METHODS + "strategy.py")
PENALTY, FISHER = METHODS + "quadratic_penalty.py", METHODS + "fisher_information.py"
ROLLBACK, FORMER = METHODS + "rollback.py", METHODS + "distillation.py"
MEASURES, CONTINUAL = "lab/evaluation/measures.py", "lab/evaluation/report.py"

ROOMS = (
    Room(
        "exact-sums",
        ("tests/heads/test_exact_sums.py",),
        (
            (SUMS, "        if self.total + more > _EXACT_EXAMPLES:", "        if self.total + more > _EXACT_EXAMPLES + 1:"),
            (SUMS, "        if self.total + more > _EXACT_EXAMPLES:", "        if more > _EXACT_EXAMPLES:"),
            (SUMS, "        self.check_capacity(len(rows))\n", ""),
            (SUMS, "            self.check_capacity(other.total)\n", "            pass\n"),
            (SUMS, "        if not self._counts[place]:\n            self._taught = None\n", ""),
            (SUMS, "        self._counts[place] += 1\n", "        self._counts[place] = 1\n"),
            (SUMS, "        self._sums[place] += rows[0]\n", "        self._sums[place] = rows[0]\n"),
            (SUMS, "        if self._waiting == _PENDING:\n            self.gram()", "        self._waiting %= _PENDING"),
            (SUMS, "            self._waiting = 0\n            self._add", "            self._add"),
            (SUMS, "rows = self._pending[: self._waiting]", "rows = self._pending[1 : self._waiting]"),
            (SUMS, '        """Take back (N, D) rows of (N,) classes that were added before."""\n        self.gram()\n        self._change(rows, classes, -1)',
             '        """Take back (N, D) rows of (N,) classes that were added before."""\n        self._change(rows, classes, 1)'),
            (SUMS, "range(0, len(rows), _PORTION)", "range(0, len(rows) - 1, _PORTION)"),
            (SUMS, "self._add_to_gram(sign * (some.T @ some))", "self._add_to_gram(some.T @ some)"),
            (SUMS, "product = sign * (block.T @ block)", "product = block.T @ block"),
            (SUMS, "            self.counts[present] += np.diagonal(product)[self.width :]\n",
             "            self.counts[present] += sign\n"),
            (SUMS, "            if len(present) > _FEW:", "            if len(present) > 4 * _FEW:\n                continue\n"
             "            if len(present) > _FEW:"),
            (SUMS, "        self._add_to_gram(-second_moment)\n", ""),
            (SUMS, "        self.total -= int(self.counts[place])\n", ""),
            (SUMS, "        self.total -= int(self.counts[place])\n        self._taught = None\n",
             "        self.total -= int(self.counts[place])\n"),
            (SUMS, "        self._classes -= 1\n", ""),
            (SUMS, "        self._sums = np.delete(self._sums, place, axis=0)\n", ""),
            (SUMS, "        self.total += sign * other.total\n", "        self.total += other.total\n"),
            (SUMS, "        self.total += sign * other.total\n        self._taught = None\n",
             "        self.total += sign * other.total\n"),
            (SUMS, "np.add.at(self.counts, places, sign * other.counts)", "np.add.at(self.counts, places, other.counts)"),
            (SUMS, "np.add.at(self.sums, places, sign * other.sums)", "self.sums[: len(places)] += sign * other.sums"),
            (SUMS, "        self._add_to_gram(sign * other.gram())", "        self._add_to_gram(sign * other._gram)"),
            (SUMS, "self.sums / np.maximum(self.counts, 1)[:, None]\n        return means",
             "self.sums / np.maximum(self.counts, 2)[:, None]\n        return means"),
            (SUMS, "scaled = self.sums / np.sqrt(np.maximum(self.counts, 1))[:, None]",
             "scaled = self.sums / np.maximum(self.counts, 1)[:, None]"),
            (SUMS, "within: FloatArray = self.gram() - scaled.T @ scaled", "within: FloatArray = self._gram - scaled.T @ scaled"),
            (SUMS, "        return self.total - self.classes", "        return self.total - len(self.counts)"),
            (SUMS, "self._taught = int(np.count_nonzero(self.counts))", "self._taught = len(self.counts)"),
            (SUMS, "if self.counts[i]), key=lambda i: labels[i])", "if self.counts[i]), key=lambda i: i)"),
            (SUMS, "            total.update(_integers(self.gram()).tobytes())\n", ""),
            (SUMS, "            total.update(_integers(self.sums[order]).tobytes())\n", ""),
            (SUMS, 'f"{json.dumps(labels[i])} {int(self.counts[i])}\\n"', 'f"{json.dumps(labels[i])}\\n"'),
            (SUMS, '"gram": self.gram()}', '"gram": self._gram}'),
            (SUMS, "self._shared = made._shared = True", "made._shared = True"),
            (SUMS, "self._shared = made._shared = True", "self._shared = True"),
            (SUMS, "        made._waiting = self._waiting\n", ""),
            (SUMS, "self._holding(self.counts.copy(), self.sums.copy(), self._gram)", "self._holding(self.counts.copy(), self.sums, self._gram)"),
            (SUMS, "        made.total = int(counts.sum())\n", ""),
            (SUMS, "        check_integers(counts, sums, gram)\n", ""),
            (SUMS, "if (counts < 0).any() or counts.sum() > _EXACT_EXAMPLES:", "if (counts < 0).any():"),
            (SUMS, "            self._sums = grown(self._sums, 2 * classes)", "            self._sums = np.zeros((2 * classes, self.width))"),
            (SUMS, "self._classes = max(self._classes, classes)", "self._classes = classes"),
            (SUMS, "        self.total += sign * examples\n        self._taught = None\n", "        self.total += sign * examples\n"),
            (SUMS, "        self.counts[present] += sign * counts\n", "        self.counts[present] += counts\n"),
            (SUMS, "            self.sums[place] += sign * rows[some].sum(axis=0)", "            self.sums[place] += rows[some].sum(axis=0)"),
            (SUMS, 'np.unique(classes, return_inverse=True, return_counts=True)\n        self.counts',
             'np.unique(classes, return_inverse=True, return_counts=True)\n        counts = np.minimum(counts, 99)\n        self.counts'),
        ),
    ),
    Room(
        "metrics",
        ("tests/lab/evaluation/test_measures.py", "tests/lab/evaluation/test_continual_measures.py"),
        (
            (MEASURES, "return sum(p == t for p, t in zip(predicted, truth, strict=True)) / len(truth)",
             "return sum(p == t for p, t in zip(predicted, truth, strict=True)) / max(1, sum(p is not None for p in predicted))"),
            (MEASURES, "mine = [p == label for p, t in zip(predicted, truth, strict=True) if t == label]",
             "mine = [p == label for p, t in zip(predicted, truth, strict=True) if p == label]"),
            (MEASURES, "mine = [t == label for p, t in zip(predicted, truth, strict=True) if p == label]",
             "mine = [t == label for p, t in zip(predicted, truth, strict=True) if t == label]"),
            (MEASURES, 'return sum(mine) / len(mine) if mine else float("nan")\n\n\ndef precision',
             "return sum(mine) / len(mine) if mine else 0.0\n\n\ndef precision"),
            (MEASURES, "([book[t] for t in truth], [book[p] for p in predicted])", "([book[p] for p in predicted], [book[t] for t in truth])"),
            (MEASURES, "np.add.at(matrix, (", "np.maximum.at(matrix, ("),
            (MEASURES, "columns = len(labels) + any(p is None for p in predicted)", "columns = len(labels) + 1"),
            (MEASURES, "    if missing:\n        raise InputError(f\"Not among", "    if False:\n        raise InputError(f\"Not among"),
            (MEASURES, "np.cumsum(times) - (times - 1) / 2", "np.cumsum(times)"),
            (MEASURES, "len(high) * (len(high) + 1) / 2", "len(high) * len(high) / 2"),
            (MEASURES, "midranks[: len(high)]", "midranks[len(high) :]"),
            (MEASURES, "return float(1.0 - flags.mean())", "return float(flags.mean())"),
            (MEASURES, "return 1.0 - share_refused(known)", "return share_refused(known)"),
            (MEASURES, 'float(np.quantile(_scores(scores, "known"), share))', 'float(np.quantile(_scores(scores, "known"), 1 - share))'),
            (MEASURES, "if not array.size or np.isnan(array).any():", "if not array.size:"),
            (MEASURES, "if len(predicted) != len(truth) or not len(truth):", "if not len(truth):"),
            (CONTINUAL, "rows[-1, : len(rows)].mean()", "rows[-1].mean()"),
            (CONTINUAL, "rows[-1, : len(rows)].mean()", "rows.diagonal().mean()"),
            (CONTINUAL, "(rows[-1, :last] - rows.diagonal()[:last]).mean()", "(rows[-1, :last] - rows[0, :last]).mean()"),
            (CONTINUAL, "(rows[-1, :last] - rows.diagonal()[:last]).mean()", "(rows[-1, :last] - rows.diagonal()[:last]).sum() / (last + 1)"),
            (CONTINUAL, "rows.diagonal(1)[:last] - start[1 : last + 1]", "rows.diagonal(1)[:last] - start[:last]"),
            (CONTINUAL, "rows.diagonal(1)[:last] - start[1 : last + 1]", "rows.diagonal()[:last] - start[1 : last + 1]"),
            (CONTINUAL, "_best(rows[:-1, :last]) - rows[-1, :last]", "_best(rows[:, :last]) - rows[-1, :last]"),
            (CONTINUAL, "_best(rows[:-1, :last]) - rows[-1, :last]", "rows.diagonal()[:last] - rows[-1, :last]"),
            (CONTINUAL, "earlier = np.asarray(met) < len(values) - 1", "earlier = np.asarray(met) < len(values)"),
            (CONTINUAL, "losses = _best(values[:-1, earlier]) - values[-1, earlier]", "losses = values[0, earlier] - values[-1, earlier]"),
            (CONTINUAL, "/ counted.sum(axis=0)", "/ len(counted)"),
            (CONTINUAL, "return np.where(np.isinf(best), np.nan, best)", "return best"),
            (CONTINUAL, "not 1 <= len(rows) <= rows.shape[1]", "not len(rows) <= rows.shape[1]"),
        ),
    ),
    Room(
        "event-log",
        (
            "tests/store/test_log_on_disk.py", "tests/store/test_event_log.py", "tests/store/test_held_files.py",
            "tests/store/test_log_damage.py",
            "tests/store/test_group_commit.py",
        ),
        (
            (LOG, "            sync_folder(path.parent)\n        finally:\n            lock.release()", "        finally:\n            lock.release()"),
            (LOG, "        sync_folder(target.parent)\n", ""),
            (LOG, "            create(path)  # SQLite", "            path.touch()  # SQLite"),
            (LOG, "            self._lock.acquire()\n            try:\n                self._writer", "            try:\n                self._writer"),
            (LOG, "            except BaseException:\n                self._lock.release()\n                raise\n            self._mark", "            except ZeroDivisionError:\n                raise\n            self._mark"),
            (LOG, "                if after not in (None, last):", "                if False:"),
            (LOG, "                    last = ranges[-1].stop - 1\n", ""),
            (LOG, "            self._mark.write(last)\n", ""),
            (LOG, "            self._move_into_database()\n            if self.on_sync", "            if self.on_sync"),
            (LOG, "if self._pages >= database.CHECKPOINT_PAGES and", "if"),
            (LOG, "            if self.on_sync is not None:\n                self.on_sync(", "            if self.on_sync is None:\n                self.on_sync("),
            (LOG, '                        self._writer.execute("VACUUM")  #', "                        pass  #"),
            (LOG, "                    self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)\n                    set_count", "                    set_count"),
            (LOG, "                    set_count(self._writer, ERASING, 0)\n", ""),
            (LOG, "                if not isinstance(error.__cause__, apsw.BusyError | apsw.LockedError):\n                    raise\n", ""),
            (LOG, "                self._writer.set_busy_timeout(database.BUSY_MS)\n", "                pass\n"),
            (LOG, "            connection, self._writer = self._writer, None\n            with suppress(apsw.Error):  # as in `close`\n                if connection is not None:\n                    connection.close()\n            self._lock.release()",
             "            connection, self._writer = self._writer, None\n            with suppress(apsw.Error):  # as in `close`\n                if connection is not None:\n                    connection.close()"),
            (LOG, "            self._disconnect()\n            self._lock.release()", "            self._disconnect()"),
            (LOG, "            log._finish_what_was_begun()", "            pass"),
            (LOG, '                connection.execute("BEGIN IMMEDIATE")', '                connection.execute("BEGIN")'),
            (LOG, '                        connection.execute("ROLLBACK")', '                        connection.execute("COMMIT")'),
            (LOG, "        if mark > last:\n", "        if mark > last + 1:\n"),
            (LOG, "            self.check_place()\n            self._stay_connected()", "            self._stay_connected()"),
            (TABLES, "connection.execute(\"DELETE FROM thumbnails WHERE seq = ?\", (seq,))", "pass"),
            (TABLES, "(*event[:4], None, None, None, None, None, 1)", "(*event[:4], None, None, None, event[7], None, 1)"),
            (TABLES, "(*event[:4], None, None, None, None, None, 1)", "(*event[:5], None, None, None, None, 1)"),
            (TABLES, "_add(connection, INBOX, len(change.inbox_add) - gone)", "_add(connection, INBOX, len(change.inbox_add))"),
            (TABLES, "    _add(connection, RARE, sum(draft.kind != TAUGHT for draft in drafts))\n", ""),
            (TABLES, "        set_count(connection, ERASING, VACUUM_DUE)", "        pass"),
            (TABLES, "    check(row)\n    return tuple(row)", "    return tuple(row)"),
            (TABLES, "more + (0 if row is None else sound(\"meta\", row)[1])", "more"),
            (HELD, "return identity(self.path) != self._database", "return not self.path.exists()"),
            (HELD, "            for ending in (\"-wal\", \"-shm\")", "            for ending in (\"-shm\",)"),
            (LOCK, "fcntl.LOCK_EX | fcntl.LOCK_NB", "fcntl.LOCK_SH | fcntl.LOCK_NB"),
            (MARK, "or _with_checksum(packed[:8]) != packed:", "or False:"),
        ),
    ),
    Room(
        "ledger",
        (
            "tests/brain/test_durable_files.py", "tests/brain/test_closed_brain.py", "tests/brain/test_traces.py",
            "tests/brain/test_folder_exchanged.py", "tests/brain/test_columns.py", "tests/brain/test_durable_brain.py",
            "tests/brain/test_brain_folder.py",
        ),
        (
            (LEDGER, "        if self._left is not None:\n            raise EngramError", "        if False:\n            raise EngramError"),
            (LEDGER, "            after += len(change.events)\n", ""),
            (FOLDER, "grown = [label for label in dict.fromkeys(learned) if self.loose[label] >= consolidate.LOOSE]", "grown: list[Label] = []"),
            (FOLDER, "return room // 2 if seq - self._covered > room else 0", "return 0"),
            (FOLDER, "return room // 2 if seq - self._covered > room else 0", "return room if seq - self._covered > room else 0"),
            (FOLDER, "whole_from = max(timeline.erased_at, timeline.covered)", "whole_from = timeline.covered"),
            (FOLDER, "whole_from = max(timeline.erased_at, timeline.covered)", "whole_from = timeline.erased_at"),
            (FOLDER, " and timeline.in_force(seq) == spans.upto(seq)\n", "\n"),
            (FOLDER, "max(span.start - 1, done), span.stop - 1", "max(span.start - 1, done), span.stop"),
            (FOLDER, "max(span.start - 1, done), span.stop - 1", "span.start - 1, span.stop - 1"),
            (FOLDER, "            except (*MISFITS, EngramError):\n                continue", "            except ZeroDivisionError:\n                continue"),
            (FOLDER, "        knowledge.columns = timeline.columns\n", ""),
            (FOLDER, 'content or b""), covers), covers', 'content or b""), covers), checkpoint.seq'),
            (FOLDER, "            if self._bundle.fingerprint != self.about[\"fingerprint\"]:\n                raise DamagedError", "            if False:\n                raise DamagedError"),
            (BRAIN, "            ledger.unswept = True\n", ""),
            (FOLDER, "        self.snapshot(knowledge, seq, alone=True)\n        self.log.finish_erasing()\n        self.check_swept()\n\n    def finish_sweeping", "        self.log.finish_erasing()\n        self.check_swept()\n\n    def finish_sweeping"),
            (FOLDER, "        self.snapshot(knowledge, seq, alone=True)\n        self.log.finish_erasing()\n        self.check_swept()\n\n    def finish_sweeping", "        self.snapshot(knowledge, seq, alone=True)\n        self.check_swept()\n\n    def finish_sweeping"),
            (FOLDER, "            if any(inbox.unsaved()):\n                self.record([], inbox, seq)\n", ""),
            (FOLDER, "        return Ledger(self.path)", "        return Ledger()"),
            (FOLDER, "kept = [] if alone else [pair", "kept = [pair"),
            (FOLDER, "        self.log.check_place()\n        about =", "        about ="),
            (FOLDER, "for n, entry in self.files.items() if n not in left_out}", "for n, entry in self.files.items()}"),
            (FOLDER, "{**files, **wanted}, [(seq, name), *kept]", "{**files}, [(seq, name), *kept]"),
        ),
    ),
    Room(
        "strategies",
        (
            "tests/networks/strategies/test_base.py", "tests/networks/strategies/test_what_is_taken_back.py",
            "tests/networks/strategies/test_what_methods_do.py", "tests/networks/strategies/test_methods_keep_the_laws.py",
            "tests/networks/strategies/test_broken_strategies.py",
        ),
        (
            (EWC, "    boundaries = True\n", ""),
            (EWC, "self.strength / 2 * found", "self.strength * found"),
            (PENALTY, ".square() * importance[name]).sum()", ".square() * importance[name]).mean()"),
            (PENALTY, "(now - centre[name]).square()", "(now - centre[name]).abs()"),
            (PENALTY, "parameter[: len(centre[name])]", "parameter[-len(centre[name]) :]"),
            (EWC, "total = before + fisher[name]", "total = fisher[name]"),
            (EWC, "(before * centre + fisher[name] * now) / total, now)", "(before * centre + fisher[name] * now) / 2, now)"),
            (EWC, "self.decay * before + fisher[name], now", "before + fisher[name], now"),
            (EWC, "self.decay * before + fisher[name], now", "self.decay * before + fisher[name], centre"),
            (EWC, "            self.importance, self.centre, self.recent = importance, centres, Reservoir(self.samples)",
             "            self.importance, self.centre = importance, centres"),
            (EWC, "        self.recent.add(rng, inputs.cpu().numpy(), targets.cpu().numpy())\n", ""),
            (FISHER, "root * (root * signs).sum(dim=1, keepdim=True)", "root * signs.sum(dim=1, keepdim=True)"),
            (FISHER, "direction = root * (signs - root *", "direction = (signs - root *"),
            (FISHER, "total.addcmul_(slope, slope)", "total.add_(slope.abs())"),
            (FISHER, "total / len(inputs) for name", "total for name"),
            (PENALTY, "total = term if total is None else total + term", "total = term"),
            (REPLAY, "            self.memory.add(self._rng, inputs.cpu().numpy(), targets.cpu().numpy())\n", ""),
            (REPLAY, "        if not self.memory.labels:", "        if True:"),
            (REPLAY, "self.memory.draw(self.replayed or count, self._rng)", "self.memory.draw(count, self._rng)"),
            (REPLAY, "torch.cat([inputs, old_inputs]), torch.cat([targets, old_targets])", "old_inputs, old_targets"),
            (REPLAY, "torch.cat([inputs, old_inputs]), torch.cat([targets, old_targets])",
             "torch.cat([inputs, old_inputs]), torch.cat([targets, old_targets.flip(0)])"),
            (REPLAY, "self.register(memory=RULES[keep](capacity, own))", "self.memory = RULES[keep](capacity, own)"),
            (REPLAY, "self._rng = np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator)))\n", "pass\n"),
            (LWF, "    boundaries = True\n", ""),
            (LWF, "share * new + (1 - share) * old.mean()", "new + old.mean()"),
            (LWF, "share * new + (1 - share) * old.mean()", "(1 - share) * new + share * old.mean()"),
            (LWF, "1 / (self.experiences + 1) if", "1 / max(1, self.experiences) if"),
            (LWF, "former = self.teacher.logits(inputs)", "former = self.model(inputs)"),
            (LWF, "agreement(logits[:, group], former[:, group], self.temperature)", "agreement(logits[:, group], former[:, group], 1.0)"),
            (LWF, "            self.experiences += 1\n", ""),
            (LWF, "self.register(experiences=0, teacher=", "self.experiences = 0\n        self.register(teacher="),
            (FORMER, "module_copy(model).eval().requires_grad_(False)", "module_copy(model).requires_grad_(False)"),
            (STRATEGY, "        self.require_finite()  # before", "        pass  # before"),
            (STRATEGY, "planned = self.steps or self.epochs *", "planned = self.steps or 1 *"),
            (STRATEGY, "split(torch.randperm(len(inputs), generator=self.generator)", "split(torch.arange(len(inputs))"),
            (STRATEGY, "        self.optimizer.zero_grad()\n", ""),
            (STRATEGY, "        self.project(inputs, targets)\n", ""),
            (STRATEGY, "logits.masked_fill(~self.companions[targets], -torch.inf)", "logits"),
            (STRATEGY, "                before.restore()\n", ""),
            (ROLLBACK, "        now.update(self._attributes)", "        pass"),
            (ROLLBACK, "    generator.set_state(state)", "    pass"),
            (ROLLBACK, "        optimiser.state.update(averages)\n", ""),
            (ROLLBACK, "                _put_back(tensor, value, trains)", "                pass"),
            (STRATEGY, "            optimisers.exchange(self.optimizer, dict(", "            dict(("),
            (STRATEGY, "        self.companions[: len(known), : len(known)] = known\n", ""),
            (STRATEGY, "        self.companions[together[:, None], together] = True\n", ""),
            (STRATEGY, "remembered | strategy.extra_state()", "remembered"),
            (STRATEGY, "    optimisers.restore(strategy.optimizer, _part(state, \"optimiser\"))", "    pass"),
            (STRATEGY, "    strategy.generator.set_state(torch.from_numpy(np.array(state[\"generator\"])))\n", ""),
        ),
    ),
)


class FirstFailure:
    """A plugin of pytest that writes down the first test that fails."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def pytest_runtest_logreport(self, report: object) -> None:
        if getattr(report, "failed", False):
            self.file.write_text(getattr(report, "nodeid", "") or "collection", encoding="utf-8")

    pytest_collectreport = pytest_runtest_logreport


def run_tests(root: Path, tests: Sequence[str]) -> None:
    """Run tests in a copy of the code until one fails, in a process of its own, which this ends."""
    os.setsid()  # what a test starts is ended with it
    os.chdir(root)
    os.environ.update(PYTHONPATH=str(root / "src"), PYTEST_ADDOPTS="")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False  # the copy is used for many faults: what does not change is compiled once
    sys.path[:] = [str(root / "src"), *(place for place in sys.path if not place.startswith(str(ROOT)))]
    output = os.open(root / "output.txt", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    pytest = importlib.import_module("pytest")
    plugins = [FirstFailure(root / "failure.txt")]
    options = ["-x", "-q", "-p", "no:cacheprovider", "--tb=short", f"--basetemp={root / 'made'}"]
    options += ["--hypothesis-profile", "unshrunk"]
    os._exit(pytest.main([*options, *tests], plugins=plugins))


def found_by(root: Path, tests: Sequence[str]) -> str | None:
    """The first of these tests that fails in a copy of the code, if one does. Raises SystemExit where none can be run."""
    failure = root / "failure.txt"
    failure.unlink(missing_ok=True)
    child = multiprocessing.get_context("forkserver").Process(target=run_tests, args=(root, tests))
    child.start()
    assert child.pid is not None
    child.join(LONGEST)
    late = child.is_alive()
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.join()
    if failure.exists():
        return failure.read_text(encoding="utf-8")
    if late:
        return f"not ended after {LONGEST} s"
    if child.exitcode not in (0, 1, 2):
        raise SystemExit(f"{' '.join(tests)} did not run: {(root / 'output.txt').read_text(encoding='utf-8')[-4000:]}")
    return "not importable" if child.exitcode else None


@contextmanager
def planted(root: Path, mutant: tuple[str, str, str] | None) -> Iterator[None]:
    """Change a copy of the code for a while. Raises SystemExit where the text is not there exactly once."""
    if mutant is None:
        yield
        return
    file, old, new = mutant
    path = root / "src" / "engram" / file
    before = path.read_bytes()
    text = before.decode()
    if text.count(old) != 1:
        raise SystemExit(f"{file} holds {text.count(old)} times: {old!r}. Adapt {Path(__file__).name}.")
    try:
        _write(path, text.replace(old, new).encode())
        yield
    finally:
        _write(path, before)


def _write(path: Path, content: bytes) -> None:
    """Write code, and remove it compiled: Python knows that by second and size of its source, which two faults may share."""
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        compiled.unlink()
    path.write_bytes(content)


def killed(room: Room, mutant: tuple[str, str, str] | None) -> str | None:
    """The first test of the room that finds this fault, if one does; None for the code as it is."""
    with copied() as root, planted(root, mutant):
        return found_by(root, room.tests)


class Notes:
    """Verdicts, as they come, in a file of one JSON object per line.

    Args:
        path: the file; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path is not None and path.exists() else []
        self.known = {line["fault"]: line["found by"] for line in map(json.loads, lines)}

    def add(self, room: Room, mutant: tuple[str, str, str], found: str | None) -> None:
        if self.path is not None:
            line = {"room": room.name, "mutant": mutant, "fault": self.fault(mutant), "found by": found}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def found(self, mutant: tuple[str, str, str]) -> str | None:
        return self.known.get(self.fault(mutant))

    @staticmethod
    def fault(mutant: tuple[str, str, str]) -> str:
        """A mutant and the file that it changes, as a digest."""
        code = (ROOT / "src" / "engram" / mutant[0]).read_bytes()
        return hashlib.sha256(json.dumps(mutant).encode() + code).hexdigest()[:32]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the result to this file")
    parser.add_argument("--only", nargs="*", default=[], help="rooms whose name holds one of these words")
    parser.add_argument("--so-far", type=Path, help="add each verdict to this file, and take those that it holds")
    parser.add_argument("--at-once", type=int, default=2, help="copies whose tests run side by side")
    options = parser.parse_args()
    began = time.monotonic()
    rooms = [room for room in ROOMS if not options.only or any(word in room.name for word in options.only)]
    tasks = [(room, mutant) for room in rooms for mutant in room.mutants]
    notes = Notes(options.so_far)
    values: dict[str, float] = {}
    for name in THREADS:
        os.environ.setdefault(name, "1")
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(SHARED))
    copies = SimpleQueue[Path]()

    def tried(room: Room, mutant: tuple[str, str, str] | None) -> str | None:
        if mutant is not None and notes.found(mutant):
            return notes.found(mutant)
        root = copies.get()
        try:
            with planted(root, mutant):
                found = found_by(root, room.tests)
        finally:
            copies.put(root)
        if mutant is not None:
            notes.add(room, mutant, found)
        return found

    with ExitStack() as stack, ThreadPoolExecutor(options.at_once) as pool:
        for _ in range(options.at_once):
            copies.put(stack.enter_context(copied()))
        open_rooms = [room for room in rooms if not all(map(notes.found, room.mutants))]
        for room, found in zip(open_rooms, pool.map(tried, open_rooms, [None] * len(open_rooms)), strict=True):
            if found is not None:
                raise SystemExit(f"The tests of {room.name} fail without any fault: {found}")
        verdicts = []
        for (room, (file, old, new)), found in zip(tasks, pool.map(tried, *zip(*tasks, strict=True)), strict=True):
            verdicts.append(found)
            ending = [f"found by {found}"] if found else ["SURVIVES"]
            print(room.name, "|", file, "|", *old.split(), "->", *new.split() or ["nothing"], "|", *ending, flush=True)
    shares = []
    for room in rooms:
        own = [found is not None for (other, _), found in zip(tasks, verdicts, strict=True) if other is room]
        shares.append(100 * sum(own) / len(own))
        values[f"killed-{room.name}"] = shares[-1]
        print(f"{room.name:20s} {sum(own)} of {len(own)}")
    values["killed"] = 100 * sum(found is not None for found in verdicts) / len(verdicts)
    values["planted"] = len(verdicts)
    if options.out:
        from engram.lab.experiments import figures_of
        from engram.lab.experiments.result import build, write_json

        command = "python tests/mutants.py --out results/mutants.json"
        summary = "Faults planted in the code, and found by its tests"
        config = {"seconds": round(time.monotonic() - began)}
        write_json(options.out, build("mutants", summary, command, config, [0], [values], figures_of("mutants")))
    return int(min(shares) < 95)


if __name__ == "__main__":
    sys.exit(main())
