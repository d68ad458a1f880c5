"""The error tree. Refusing the world's input is not an error: see refusals.py.

NostrbotError
├── ConfigError      a person must change the command line, relays.yaml or a file's mode: one line, exit 2
├── KeyTextError     text that should be an npub, nsec, ncryptsec or 64 hex digits is not
├── SealingError     a message cannot be encrypted or decrypted
├── BooksError       we are wrong: books that do not balance, a broken chain
│   └── FenceError   another writer was at the journal: we must not go on
├── UnwritableError  the database is well, and what we want to keep is nothing it can hold
├── BackupError      a backup file is not what it must be
└── TrailError       a trail file does not say what it claims (carries entry number and field)
"""

import errno


class NostrbotError(Exception):
    """Base of everything nostrbot raises on purpose."""


class ConfigError(NostrbotError):
    """A mistake that a person has to mend; the text is one line that says what to change."""


class KeyTextError(NostrbotError):
    """A text that is not the kind of key it should be. The error never repeats the text: it may be a secret."""


_OWNER = "run this as the user it belongs to, or give it to yours (chown)"
_ADVICE = {
    errno.EACCES: _OWNER,
    errno.EPERM: _OWNER,
    errno.EROFS: "choose a place that can be written to",
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there",
    errno.ENOTDIR: "a file stands where a folder must be: choose another place",
    errno.EISDIR: "a folder stands where the file must be: choose another name",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ELOOP: "its links go round in a circle: choose another place",
}


def file_trouble(error: OSError) -> str:
    """Say what is wrong with a file and what to change: `Permission denied: run this as the user it belongs to, …`."""
    said = error.strerror or type(error).__name__
    advice = _ADVICE.get(error.errno or 0)
    return f"{said}: {advice}" if advice else said


class SealingError(NostrbotError):
    """A message cannot be sealed or opened. Says which rule, never the bytes."""


class BooksError(NostrbotError):
    """A contradiction in our own books. Stop moving money, stay readable, tell a person."""


class FenceError(BooksError):
    """The trace of another writer in a book we hold. Nothing of ours was written."""


class UnwritableError(NostrbotError):
    """A batch holds a value that the database cannot keep, or breaks a constraint. Nothing of it was written."""


class BackupError(NostrbotError):
    """A backup is not what it must be; the text is one line that says why."""


class TrailError(NostrbotError):
    """A trail differs from what it must be, at `seq` (0 = header) in `field`."""

    def __init__(self, seq: int, field: str, message: str) -> None:
        super().__init__(message)
        self.seq = seq
        self.field = field
        self.message = message

    def __str__(self) -> str:
        where = f"entry {self.seq}" if self.seq else "header"
        return f"{where}: {self.field}: {self.message}"
