"""Key files: one secret key in one file that only its owner can read.

What lives here: the file, its mode, and NIP-49 where there is a passphrase (by nostr-sdk). What does not: what a key
is and does (nostr/keys.py), where key files lie (home/config.py).

A key file holds one line: an nsec, 64 hex digits, or an ncryptsec. No error repeats what the file says.
https://github.com/nostr-protocol/nips/blob/master/49.md
"""

import codecs
import os
import stat
from pathlib import Path
from typing import Final

from nostrbot.errors import ConfigError, KeyTextError, file_trouble
from nostrbot.nostr.keys import Keys, read_secret

KEY_FILE_MODE: Final = 0o600
# An ncryptsec has 162 characters; a larger file is some other file, and is not read into memory.
KEY_FILE_MAX_BYTES: Final = 4_096
NCRYPTSEC_PREFIX: Final = "ncryptsec1"


def read_key_file(path: Path, passphrase: str | None) -> Keys:
    """Read keys from a file of mode 0600 or stricter; `passphrase` opens an ncryptsec and is ignored otherwise.

    Raises ConfigError, in one line that says what to change. An ncryptsec takes some 0.2 s and 64 MiB (scrypt).
    """
    text = _read_private_text(path)
    if text.lower().startswith(NCRYPTSEC_PREFIX):
        return _decrypted(path, text, passphrase)
    try:
        return read_secret(text)
    except KeyTextError:
        raise ConfigError(
            f"key file {path} does not hold an nsec, an ncryptsec or 64 hex digits{_known(text)}"
        ) from None


def _known(text: str) -> str:
    """Name what a file holds that is not a key file, if that can be said without repeating it."""
    return ": it holds an npub, which is the public key" if text.lower().startswith("npub1") else ""


def write_key_file(path: Path, keys: Keys, passphrase: str | None) -> None:
    """Write a new key file of mode 0600, as an ncryptsec when there is a passphrase; on disk when this returns.

    Raises ConfigError if the file exists (a key is never overwritten) or cannot be written.
    """
    line = (keys.nsec() if passphrase is None else _encrypted(keys, passphrase)) + "\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, KEY_FILE_MODE)
    except FileExistsError:
        raise ConfigError(f"key file {path} exists and is not overwritten: move it away first") from None
    except OSError as error:
        raise ConfigError(f"key file {path} cannot be written: {file_trouble(error)}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), KEY_FILE_MODE)  # whatever the umask took away
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)  # half a key would stand in the way of the next try
        raise ConfigError(f"key file {path} cannot be written: {file_trouble(error)}") from None


def _read_private_text(path: Path) -> str:
    try:
        # Non-blocking, or opening a pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _require_private(path, os.fstat(descriptor))  # of the very file that is read, whatever the path names now
            raw = os.read(descriptor, KEY_FILE_MAX_BYTES + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ConfigError(f"key file {path} cannot be read: {file_trouble(error)}") from None
    raw = raw.removeprefix(codecs.BOM_UTF8)  # as editors on Windows begin a file
    if len(raw) > KEY_FILE_MAX_BYTES or not raw.isascii():
        raise ConfigError(f"key file {path} is not a key file")
    return raw.decode().strip()


def _require_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"key file {path} is not a regular file")
    mode = stat.S_IMODE(status.st_mode)
    if mode & ~KEY_FILE_MODE:
        raise ConfigError(f"key file {path} has mode {mode:04o}, others may read it: chmod 600 {path}")


def _encrypted(keys: Keys, passphrase: str) -> str:
    from nostr_sdk import SecretKey  # 0.2 s to import, which a plain key need not wait for

    return str(SecretKey.parse(keys.nsec()).encrypt(passphrase).to_bech32())


def _decrypted(path: Path, text: str, passphrase: str | None) -> Keys:
    if passphrase is None:
        raise ConfigError(f"key file {path} is encrypted: set NOSTRBOT_KEY_PASSPHRASE")
    try:
        from nostr_sdk import EncryptedSecretKey, NostrSdkError
    except ImportError:  # the verifier that is installed alone does without it
        raise ConfigError(f"key file {path} is encrypted (NIP-49): install nostr-sdk, which opens it") from None
    try:
        return Keys.from_secret(EncryptedSecretKey.from_bech32(text).decrypt(passphrase).to_hex())
    except NostrSdkError:
        raise ConfigError(f"key file {path} is damaged, or this passphrase does not open it") from None


def sync_directory(directory: Path) -> None:
    """Have what was made, named or moved in a directory on disk. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
