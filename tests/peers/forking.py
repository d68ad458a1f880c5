"""The process that forks: it has imported all of nostrbot once, and becomes `nostrbot …` as often as it is asked to.

What lives here: one order after the other, and what a child must be given so that it cannot tell how it was started. What does
not: who asks (program.py). It has one thread and does nothing itself, so a child has nothing of it but the imports.
"""

import atexit
import gc
import json
import os
import pkgutil
import signal
import socket
import struct
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import nostrbot

DESCRIPTORS_MAX = 64


def serve(line_number: int) -> None:
    """Take orders from this line until nobody is left at its other end."""
    _import_all()
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a process with threads must not be forked"
    gc.collect()
    gc.freeze()  # what there is by now is shared: children must not touch it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests and for what they started
    with socket.socket(fileno=line_number) as line:
        while order := _next(line):
            asked, descriptors = order
            between = os.fork()
            if between == 0:
                _leave_a_child(line, asked, descriptors)
            for number in descriptors:
                os.close(number)
            os.waitpid(between, 0)
            line.sendall(b".")  # who asked has a child by now


def _import_all() -> None:
    for module in pkgutil.walk_packages(nostrbot.__path__, "nostrbot."):
        if not module.name.startswith(("nostrbot.__main__", "nostrbot.store.migrations.env")):
            import_module(module.name)
    for name in (
        "uvloop",
        "alembic.command",
        "nostr_sdk",
        "aiosqlite",
        "rich.progress",
        "sqlalchemy.dialects.sqlite.aiosqlite",
    ):
        import_module(name)


def _next(line: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    head, descriptors, _, _ = socket.recv_fds(line, 4, 3)
    if not head:
        return None
    size = struct.unpack("!I", head)[0]
    return json.loads(received(line, size)), descriptors


def received(line: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer when the other end is gone."""
    taken = b""
    while len(taken) < size and (part := line.recv(size - len(taken))):
        taken += part
    return taken


def _leave_a_child(line: socket.socket, asked: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Fork once more and be gone: what is left has no parent but the one who asked."""
    child = os.fork()
    if child:
        line.sendall(struct.pack("!I", child))
        os._exit(0)
    line.detach()  # its number will be another file's
    _become(asked, descriptors)


def _become(asked: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Be `nostrbot` from here on."""
    if asked["session"]:
        os.setsid()
    for number, given in enumerate(descriptors):
        os.dup2(given, number)
    os.closerange(3, DESCRIPTORS_MAX)
    _open_streams()
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv = asked["arguments"]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from nostrbot.cli import main

    try:
        main()
    except SystemExit as end:
        # As an interpreter ends, but for giving back a memory that is shared: that alone is two thirds of a start.
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)


def _open_streams() -> None:
    """As an interpreter does when it starts: what it does with a stream depends on what the stream is."""
    like = sys.stdout, sys.stderr
    sys.stdin = sys.__stdin__ = open(0, closefd=False)  # noqa: SIM115 - open as long as the process lives
    sys.stdout, sys.stderr = (
        open(number, "w", encoding=one.encoding, errors=one.errors, closefd=False, buffering=1 if number == 2 else -1)  # noqa: SIM115
        for number, one in enumerate(like, start=1)
    )
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
