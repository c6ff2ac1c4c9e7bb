"""`engram serve` as a process that starts quickly: forked from one in which all modules are imported already.

What is forked runs the whole command: it reads its brain's folder, listens, and is a process of its own that can be
killed at any moment. Only the second that Python takes to import is saved.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SNAPSHOT_AFTER = 2000  # values: a short life has many snapshots


class WarmServer:
    """Starts servers, one after another, each under the same address.

    Args:
        folder: what they serve lies in it; their output goes into `server.log` there.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._log = (folder / "server.log").open("ab")
        self._warm = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, cwd=folder,
            text=True, env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        self._pid: int | None = None
        self._cold: subprocess.Popen[bytes] | None = None

    def start(self, *, cold: bool = False) -> None:
        """Start a server; `cold` starts Python anew, too."""
        arguments = ["serve", "brain", "--port", str(self.port), "--rate", "0", "--no-access-log"]
        if cold:
            program = [sys.executable, "-c", "from engram.cli import main; main()", *arguments]
            self._cold = subprocess.Popen(program, stdout=self._log, stderr=self._log, cwd=self._folder)
            self._pid = self._cold.pid
        else:
            self._pid = int(self._tell(arguments))

    @property
    def alive(self) -> bool:
        """Whether it was started and not killed since."""
        return self._pid is not None

    def kill(self, how: int = signal.SIGKILL) -> int:
        """End the server, by default without a word of warning; returns when it is gone: its exit code or -signal."""
        assert self._pid is not None
        pid, self._pid = self._pid, None
        os.kill(pid, how)
        if self._cold is not None:
            process, self._cold = self._cold, None
            return process.wait()
        return int(self._tell(pid))

    def close(self) -> None:
        if self._pid is not None:
            self.kill()
        assert self._warm.stdin is not None
        assert self._warm.stdout is not None
        self._warm.stdin.close()
        self._warm.wait()
        self._warm.stdout.close()
        self._log.close()

    def _tell(self, wish: object) -> str:
        assert self._warm.stdin is not None
        assert self._warm.stdout is not None
        self._warm.stdin.write(json.dumps(wish) + "\n")
        self._warm.stdin.flush()
        return self._warm.stdout.readline()


def free_port() -> int:
    """A port below those that the system hands out by itself: nobody takes it between two lives of a server."""
    while True:
        port = random.SystemRandom().randrange(15_000, 30_000)
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)):
                return port


def _run(arguments: Sequence[str]) -> int:
    """In the forked process: the command, its output in the log."""
    os.dup2(2, 1)
    os.close(0)
    from engram.cli import app

    return app.run(list(arguments))


def _main() -> None:
    import engram.cli.serve
    import engram.server.serving  # noqa: F401
    from engram.brain import folder_ledger

    folder_ledger._REPLAYED = SNAPSHOT_AFTER
    for line in sys.stdin:
        wish = json.loads(line)
        if isinstance(wish, int):
            answer = os.waitstatus_to_exitcode(os.waitpid(wish, 0)[1])
        else:
            answer = os.fork()
            if not answer:
                code = 70
                try:
                    code = _run(wish)
                finally:
                    os._exit(code)
        print(answer, flush=True)


if __name__ == "__main__":
    _main()
