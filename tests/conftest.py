"""What every test may rely on.

A program that was started with Ctrl-C ignored, as a shell does with what it puts into the background, leaves that to its
children: tests that interrupt one of theirs would wait in vain.
"""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
