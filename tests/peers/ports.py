"""Free ports on 127.0.0.1.

Below those that the system hands out by itself, and a range for each process that runs tests: a port that is let go for a
moment, while a relay restarts, must not be somebody else's by then.
"""

import os
import socket
from itertools import count

FIRST, PER_PROCESS = 20_000, 1_500

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_turns = count(os.getpid())


def free_port() -> int:
    """A port nobody listens on at this moment, and another one each time."""
    while True:
        port = FIRST + _worker % 8 * PER_PROCESS + next(_turns) % PER_PROCESS
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue  # taken
            return port
