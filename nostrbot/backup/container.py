"""The container: the bytes of a backup file, written and read.

What lives here: one line of text with the hash of all that follows, and after it a gzip'd tar. What does not: where the
files in it come from and go to (copy.py, restoration.py).

`nostrbot-backup 1 <sha256>` and a line feed: so every byte of the file is covered, and is checked before one of them is
understood. The hash says that the file is as it was written, but not who wrote it: so reading is bounded all the same.
Files are taken by their exact names and in their order; links, folders and further files are refused.
"""

import gzip
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, cast

from nostrbot.backup.manifest import MANIFEST, MANIFEST_BYTES_MAX, Manifest, Member, read_manifest
from nostrbot.errors import BackupError, ConfigError, file_trouble

CHUNK_BYTES: Final = 1024 * 1024
GZIP_LEVEL: Final = 6
_NAME = b"nostrbot-backup "
_FIRST_LINE = re.compile(rb"nostrbot-backup 1 ([0-9a-f]{64})\n")
_NEWER = re.compile(rb"nostrbot-backup (?!1 )[0-9]+ ")
_FIRST_LINE_BYTES: Final = len(b"nostrbot-backup 1 ") + 64 + len(b"\n")

Progress = Callable[[str, int, int], None]  # what is done, how much of it, of how much


class _Hashed:
    """A file that is written from its beginning to its end, and hashed on the way."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = sha256()

    def write(self, data: bytes) -> int:
        """Write and hash."""
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Do nothing: this file holds nothing back."""


class _Watched:
    """A file that is read to its end, and how far it is told on the way."""

    def __init__(self, file: BinaryIO, tell: Callable[[int], None]) -> None:
        self._file = file
        self._tell = tell
        self._count = 0

    def read(self, size: int) -> bytes:
        """Read and tell."""
        data = self._file.read(size)
        self._count += len(data)
        self._tell(self._count)
        return data


def write_backup(file: BinaryIO, manifest: Manifest, sources: Sequence[Path], progress: Progress) -> None:
    """Write a backup of these files, in the order in which the manifest names them. Raises OSError."""
    file.write(bytes(_FIRST_LINE_BYTES))  # the hash is known at the end
    hashed = _Hashed(file)
    raw = manifest.model_dump_json().encode()
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=GZIP_LEVEL, fileobj=hashed, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as archive,
    ):
        archive.addfile(_header(MANIFEST, len(raw)), BytesIO(raw))
        for member, source in zip(manifest.members, sources, strict=True):
            with source.open("rb") as content:
                watched = _Watched(content, partial(_tell, progress, "packing", member))
                archive.addfile(_header(member.name, member.size), watched)  # type: ignore[arg-type]
    file.seek(0)
    file.write(b"nostrbot-backup 1 %s\n" % hashed.digest.hexdigest().encode())


def _tell(progress: Progress, verb: str, member: Member, done: int) -> None:
    progress(f"{verb} {member.name}", done, member.size)


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, 0o600
    return header


class Backup:
    """A backup whose bytes are as they were written. `manifest` says what it holds; `unpack()` gives it, once."""

    def __init__(self, packed: BinaryIO) -> None:
        """`packed`: the tar. Raises BackupError for a manifest that this program would not write."""
        self._packed = packed
        header = self._next_header()
        if header.name != MANIFEST or not 0 <= header.size <= MANIFEST_BYTES_MAX:
            raise BackupError("it does not begin with a manifest")
        content = BytesIO()
        self._copy(header.size, content)
        self.manifest = read_manifest(content.getvalue())

    def unpack(self, targets: Mapping[str, BinaryIO], progress: Progress) -> None:
        """Write every file of the manifest into its target. Raises BackupError, and OSError of the targets."""
        for member in self.manifest.members:
            header = self._next_header()
            if (header.name, header.size) != (member.name, member.size):
                raise BackupError(f"its manifest and its contents differ at {member.name}")
            self._copy(member.size, targets[member.name], partial(_tell, progress, "unpacking", member))
        rest = self._read(2 * tarfile.RECORDSIZE)
        if any(rest) or len(rest) == 2 * tarfile.RECORDSIZE:
            raise BackupError("it holds more than its manifest says")

    def _next_header(self) -> tarfile.TarInfo:
        # One block is one file here. tarfile's own reading would follow links and long names, of any length.
        try:
            header = tarfile.TarInfo.frombuf(self._read(tarfile.BLOCKSIZE), "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError):
            raise BackupError("its contents end too soon, or are not a tar archive") from None
        if header.type != tarfile.REGTYPE:
            raise BackupError("it holds something that is not a file")
        return header

    def _copy(self, size: int, target: BinaryIO, tell: Callable[[int], None] = lambda _: None) -> None:
        done = 0
        while done < size:
            chunk = self._read(min(CHUNK_BYTES, size - done))
            if not chunk:
                raise BackupError("its contents end too soon")
            target.write(chunk)
            done += len(chunk)
            tell(done)
        self._read(-size % tarfile.BLOCKSIZE)

    def _read(self, size: int) -> bytes:
        try:
            return self._packed.read(size)
        except (OSError, EOFError, zlib.error):
            raise BackupError("its contents cannot be unpacked") from None


@contextmanager
def opened_backup(path: Path, progress: Progress) -> Iterator[Backup]:
    """Open a backup to unpack it. Raises BackupError, which names the file and its fault, and ConfigError."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {file_trouble(error)}") from None
    try:
        with file:
            _check_hash(file, path.stat().st_size, progress)
            with gzip.GzipFile(fileobj=file) as packed:
                yield Backup(cast("BinaryIO", packed))
    except BackupError as error:
        raise BackupError(f"{path} is refused: {error}") from None


def _check_hash(file: BinaryIO, size: int, progress: Progress) -> None:
    """Read all of it, and leave the file behind its first line."""
    first_line = file.read(_FIRST_LINE_BYTES)
    said = _FIRST_LINE.fullmatch(first_line)
    if said is None:
        if not first_line.startswith(_NAME):
            raise BackupError("this is not a backup of nostrbot")
        if _NEWER.match(first_line):
            raise BackupError("a newer nostrbot wrote it, or it is damaged: upgrade nostrbot")
        raise BackupError("it is damaged in its first line")
    digest = sha256()
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
        progress("checking", file.tell(), size)
    if digest.hexdigest().encode() != said[1]:
        raise BackupError("it is damaged: its bytes differ from those that were written")
    file.seek(_FIRST_LINE_BYTES)
