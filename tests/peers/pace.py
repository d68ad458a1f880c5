"""How long a started process may take on this computer, as busy as it is.

What lives here: deadlines that are promises made to people (a stop takes at most five seconds), stretched by what one start of
the program takes here and now. What does not: those of tests that wait for what comes at once or never.
"""

import subprocess
import time

from tests.peers.program import PROGRAM

AT_REST_S = 0.25  # a start on a computer that does nothing else


def _slowness() -> float:
    """How many times longer than at rest one start takes. Measured once: what is busy now is so for the whole run."""
    began = time.monotonic()
    subprocess.run([PROGRAM, "--version"], stdout=subprocess.DEVNULL, check=True)
    return max(1.0, (time.monotonic() - began) / AT_REST_S)


SLOWNESS = _slowness()
STOP_MAX_S = 5.0 * SLOWNESS  # what a person, or a supervisor, is willing to wait
READY_MAX_S = 30.0 * SLOWNESS
