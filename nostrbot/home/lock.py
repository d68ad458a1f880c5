"""The lock of a home: one bot at a time works there.

What lives here: taking the lock and letting it go. What does not: the journal's fence, which stands behind it (store/).
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from nostrbot.errors import ConfigError, file_trouble
from nostrbot.home.config import Home


@contextlib.contextmanager
def only_bot(home: Home) -> Iterator[None]:
    """Hold the home's lock while the block runs; the kernel lets it go when the process dies.

    Two bots on one home would only hit the journal's fence. Raises ConfigError if another runs there.
    """
    path = home.lock_file
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"{path} cannot be opened: {file_trouble(error)}") from None
    with contextlib.suppress(OSError):  # whoever may not give a file away need not
        folder = path.parent.stat()
        if os.geteuid() == 0 != folder.st_uid:
            # Made by root in somebody's home, it would keep that somebody out for ever. SQLite does the same.
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"a bot is already running in {path.parent}: stop it first") from None
        yield
    finally:
        os.close(descriptor)
