"""`nostrbot` as a process: started as an operating system does, or forked from a process that has imported everything once.

What lives here: starting. What does not: homes, what a command is told and what it answers; the process that forks (forking.py).

Most of what a command costs is imports, so most tests fork theirs: the same `main()`, in a process of its own, a child of the
tests like any other, with its own descriptors, environment, folder and signals. What only a true start shows (the installed
entry point, what is imported when, how the interpreter is set) is shown by those who run PROGRAM by subprocess itself.
"""

import atexit
import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.peers.forking import received

PROGRAM = str(Path(sys.executable).with_name("nostrbot"))
COMMAND_MAX_S = 120.0  # a start takes seconds where every core is busy

_PR_SET_CHILD_SUBREAPER = 36
_OF_THE_INTERPRETER = ("PYTHON", "LC_", "LANG", "LD_")  # variables that are looked at before our code runs


class _Forker:
    """The process that forks, and the line to it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from tests.peers.forking import serve; serve({theirs.fileno()})"],
                cwd=Path(__file__).parent.parent.parent,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._line = ours
        self._lock = threading.Lock()
        atexit.register(self._end)

    def start(self, order: dict[str, Any], descriptors: list[int]) -> int:
        """Have a process started; returns its number. It is a child of ours by then, as if we had forked it."""
        text = json.dumps(order).encode()
        with self._lock, _adopting():
            socket.send_fds(self._line, [struct.pack("!I", len(text))], descriptors)
            self._line.sendall(text)
            told = received(self._line, 5)
        assert len(told) == 5, "the process that forks is gone"
        number: int = struct.unpack("!I", told[:4])[0]
        return number

    def _end(self) -> None:
        self._line.close()
        self._process.wait()


@contextmanager
def _adopting() -> Iterator[None]:
    """Meanwhile, what is left behind below us becomes our child."""
    prctl = ctypes.CDLL(None).prctl
    assert prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


class Program(subprocess.Popen[Any]):
    """`nostrbot` with these arguments, as subprocess has it. Forked where the system can, else started."""

    _forker: _Forker | None = None
    _first = threading.Lock()

    def __init__(self, arguments: list[str], **options: Any) -> None:
        super().__init__([PROGRAM, *arguments], **options)

    def _execute_child(self, args: Any, *rest: Any) -> None:
        # The one place where Popen starts what it then looks after: all else of it, pipes and waiting, is left as it is.
        (_, _, _, _, cwd, env, _, _, _, *pipes) = rest
        pipes, (_, _, _, _, _, start_new_session, _) = pipes[:6], pipes[6:]
        environment = dict(os.environ if env is None else env)
        if sys.platform != "linux" or _interpreter_of(environment) != _interpreter_of(dict(os.environ)):
            super()._execute_child(args, *rest)  # type: ignore[misc]
            return
        with Program._first:
            Program._forker = Program._forker or _Forker()
        p2cread, _, _, c2pwrite, _, errwrite = pipes
        order = {
            "arguments": [*map(str, args)],
            "folder": str(cwd or Path.cwd()),
            "environment": environment,
            "session": start_new_session,
        }
        self.pid = Program._forker.start(
            order, [n if n != -1 else own for own, n in enumerate((p2cread, c2pwrite, errwrite))]
        )
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


def _interpreter_of(environment: dict[str, str]) -> dict[str, str]:
    """What of an environment an interpreter is set by, before it runs anything of ours."""
    return {name: value for name, value in environment.items() if name.startswith(_OF_THE_INTERPRETER)}


def run(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """One command, forked, run to its end."""
    words = [*map(str, arguments)]
    with Program(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            output, errors = process.communicate(timeout=COMMAND_MAX_S)
        finally:
            process.kill()
    return subprocess.CompletedProcess([PROGRAM, *words], process.returncode, output, errors)
