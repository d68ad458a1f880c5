"""Backups, spoilt in every layer: the file, what is packed in it, the archive, the manifest (faults.md rows 54, 55).

Whoever spoils an inner layer makes the hash of the outermost anew: it says that a file is as it was written, not by whom.
"""

import gzip
import io
import tarfile
from hashlib import sha256
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.backup.container import opened_backup, write_backup
from nostrbot.backup.manifest import DATABASE, MANIFEST, PLATFORM, RELAYS, Manifest, Member
from nostrbot.errors import BackupError, ConfigError
from tests.fuzz.effort import effort
from tests.fuzz.spoiling import spoilt_bytes, spoilt_json
from tests.fuzz.test_files import outcome_of
from tests.houses import BOT, person

CONTENTS = {
    DATABASE: b"SQLite format 3\0" + bytes(range(256)) * 40,
    RELAYS: b"relays:\n  - url: wss://relay.example.com\n",
    PLATFORM: person("platform").npub.encode() + b"\n",
}
FIRST_LINE_BYTES = len("nostrbot-backup 1 \n") + 64
ROOM_BYTES = 64 * 1024


class Room(io.BytesIO):
    """A disk with so much room and no more."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self.tell() + len(data) > ROOM_BYTES:
            raise OSError("no room")
        return super().write(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backups")


@pytest.fixture(scope="module")
def backup(folder: Path) -> bytes:
    """A true one."""
    for name, content in CONTENTS.items():
        (folder / name.replace("/", "-")).write_bytes(content)
    manifest = Manifest(
        backup=1,
        bot=BOT.pubkey,
        platform=person("platform").pubkey,
        created_at=1_790_000_000,
        books=[],
        members=[Member(name=name, size=len(content)) for name, content in CONTENTS.items()],
    )
    file = io.BytesIO()
    write_backup(file, manifest, [folder / name.replace("/", "-") for name in CONTENTS], lambda *_: None)
    return file.getvalue()


def unpacked(folder: Path, raw: bytes) -> dict[str, bytes]:
    """What comes out of a backup. Raises BackupError and ConfigError, and OSError where there is no room."""
    path = folder / "backup"
    path.write_bytes(raw)
    with opened_backup(path, lambda *_: None) as opened:
        rooms = {member.name: Room() for member in opened.manifest.members}
        opened.unpack(rooms, lambda *_: None)
        return {name: room.getvalue() for name, room in rooms.items()}


def hashed(packed: bytes) -> bytes:
    """A backup around this, with its true hash."""
    return b"nostrbot-backup 1 %s\n" % sha256(packed).hexdigest().encode() + packed


def sizes(files: dict[str, bytes]) -> dict[str, int]:
    """How large each file is."""
    return {name: len(content) for name, content in files.items()}


def test_a_true_backup_is_unpacked(folder: Path, backup: bytes) -> None:
    """Otherwise the tests below would show nothing."""
    assert unpacked(folder, backup) == CONTENTS
    assert unpacked(folder, hashed(backup[FIRST_LINE_BYTES:])) == CONTENTS


@effort(100)
@given(data=st.data())
def test_a_damaged_file(folder: Path, backup: bytes, data: st.DataObject) -> None:
    """Whatever happened to its bytes: all of it, or none."""
    raw = data.draw(spoilt_bytes(backup))
    found = outcome_of(lambda: unpacked(folder, raw), BackupError)
    assert isinstance(found, BackupError) if raw != backup else found == CONTENTS


@effort(100)
@given(data=st.data())
def test_damage_below_a_true_hash(folder: Path, backup: bytes, data: st.DataObject) -> None:
    """The packed bytes are spoilt, and the hash is made anew: refused by name, or unpacked as it says."""
    raw = hashed(data.draw(spoilt_bytes(backup[FIRST_LINE_BYTES:])))
    found = outcome_of(lambda: unpacked(folder, raw), BackupError)
    assert isinstance(found, BackupError) or sizes(found) == sizes(CONTENTS)


@effort(100)
@given(data=st.data())
def test_a_spoilt_archive(folder: Path, backup: bytes, data: st.DataObject) -> None:
    """The tar below: headers of other files, sizes, links, names; only files that the manifest names, of the sizes it says.

    What is in them is for the restoration to judge: whoever can make the hash anew can write anything there.
    """
    archive = gzip.decompress(backup[FIRST_LINE_BYTES:])
    header = data.draw(
        st.sampled_from([at for at in range(0, len(archive), 512) if archive[at + 257 : at + 262] == b"ustar"])
    )
    changed = data.draw(spoilt_bytes(archive[header : header + 512]))
    raw = hashed(gzip.compress(archive[:header] + changed + archive[header + 512 :], compresslevel=1))
    found = outcome_of(lambda: unpacked(folder, raw), BackupError)
    assert isinstance(found, BackupError) or sizes(found) == sizes(CONTENTS)


@effort(100)
@given(data=st.data())
def test_a_spoilt_manifest(folder: Path, backup: bytes, data: st.DataObject) -> None:
    """A manifest of anything at all, in an archive that is well made otherwise."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(backup[FIRST_LINE_BYTES:]))) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive.getmembers()}  # type: ignore[union-attr]
    files[MANIFEST] = data.draw(spoilt_json(orjson.loads(files[MANIFEST]))).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    raw = hashed(gzip.compress(packed.getvalue(), compresslevel=1))
    found = outcome_of(lambda: unpacked(folder, raw), BackupError)
    assert isinstance(found, BackupError) or found == {name: CONTENTS[name] for name in found}


@pytest.mark.parametrize(
    "raw", [b"", b"\x1f\x8b", b"nostrbot-backup ", b"nostrbot-backup 2 x\n", b"nostrbot-backup 1 "]
)
def test_what_is_no_backup(folder: Path, raw: bytes) -> None:
    """One line that names the file, and nothing is unpacked."""
    with pytest.raises((BackupError, ConfigError)) as refused:
        unpacked(folder, raw)
    assert str(folder / "backup") in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
