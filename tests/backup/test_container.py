"""The container: every byte is covered, and what is covered is bounded all the same."""

import gzip
import tarfile
from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from random import Random

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nostrbot.backup.container import opened_backup, write_backup
from nostrbot.backup.manifest import BookHead, Manifest, Member
from nostrbot.errors import BackupError, ConfigError, NostrbotError
from tests.backup.homes import unseen
from tests.offices import BOT, PLATFORM

FILES = {
    "nostrbot.sqlite": Random(1).randbytes(70_000),
    "relays.yaml": b"relays: []\n",
    "keys/platform.npub": b"npub1\n",
    "keys/bot.nsec": b"nsec1\n",
}


def manifest_of(files: dict[str, bytes]) -> Manifest:
    """What a backup of these files says."""
    members = [Member.model_validate({"name": name, "size": len(content)}) for name, content in files.items()]
    books = [BookHead(key="root", entries=2, head="ab" * 32)]
    return Manifest(
        backup=1, bot=BOT.pubkey, platform=PLATFORM.pubkey, created_at=1_790_000_000, books=books, members=members
    )


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A backup as it is written."""
    folder = tmp_path_factory.mktemp("sources")
    sources = []
    for number, content in enumerate(FILES.values()):
        (folder / str(number)).write_bytes(content)
        sources.append(folder / str(number))
    file = BytesIO()
    write_backup(file, manifest_of(FILES), sources, unseen)
    return file.getvalue()


def read(path: Path) -> dict[str, bytes]:
    """All that a backup gives."""
    with opened_backup(path, unseen) as backup:
        targets = {member.name: BytesIO() for member in backup.manifest.members}
        backup.unpack(targets, unseen)
        return {name: target.getvalue() for name, target in targets.items()}


def sealed(payload: bytes) -> bytes:
    """Bytes with the first line that covers them, as anybody can make it."""
    return b"nostrbot-backup 1 " + sha256(payload).hexdigest().encode() + b"\n" + payload


def packed(*members: tuple[tarfile.TarInfo, bytes], after: bytes = b"") -> bytes:
    """A sealed backup of whatever there is in a tar."""
    file = BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for header, content in members:
            archive.addfile(header, BytesIO(content))
    return sealed(gzip.compress(file.getvalue() + after, 1))


def member(name: str, content: bytes, **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """A file for a tar."""
    header = tarfile.TarInfo(name)
    header.size = len(content)
    for field, value in fields.items():
        setattr(header, field, value)
    return header, content


def written(files: dict[str, bytes], manifest: bytes | None = None) -> list[tuple[tarfile.TarInfo, bytes]]:
    """The members of a backup, as this program orders them."""
    first = manifest_of(FILES).model_dump_json().encode() if manifest is None else manifest
    return [member("manifest.json", first), *(member(name, content) for name, content in files.items())]


def test_what_is_written_is_read(tmp_path: Path, raw: bytes) -> None:
    """Every file comes back byte for byte, and the first line is what the protocol says."""
    path = tmp_path / "b.backup"
    path.write_bytes(raw)
    assert read(path) == FILES
    first, rest = raw.split(b"\n", 1)
    assert first == b"nostrbot-backup 1 " + sha256(rest).hexdigest().encode()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_flipped_bit_is_refused(tmp_path: Path, raw: bytes, data: st.DataObject) -> None:
    """Anywhere in the file."""
    place, bit = data.draw(st.integers(0, len(raw) - 1)), data.draw(st.integers(0, 7))
    assert_refused(tmp_path, flipped(raw, place, bit))


def test_any_flipped_bit_of_the_first_line_is_refused(tmp_path: Path, raw: bytes) -> None:
    """Each bit of each of its bytes: letters of the hash in upper case are another line."""
    for place in range(raw.index(b"\n") + 1):
        for bit in range(8):
            assert_refused(tmp_path, flipped(raw, place, bit))


def flipped(raw: bytes, place: int, bit: int) -> bytes:
    return raw[:place] + bytes([raw[place] ^ 1 << bit]) + raw[place + 1 :]


def assert_refused(tmp_path: Path, raw: bytes, complaint: str = "is refused") -> None:
    """One line that names the file, and nothing is given."""
    path = tmp_path / "b.backup"
    path.write_bytes(raw)
    with pytest.raises(BackupError, match=complaint) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path} is refused: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda raw: b"", "not a backup of nostrbot"),
        (lambda raw: raw[:40], "damaged in its first line"),
        (lambda raw: raw[:-1], "its bytes differ from those"),
        (lambda raw: raw + b"\n", "its bytes differ from those"),
        (lambda raw: raw.replace(b"backup 1", b"backup 2", 1), "a newer nostrbot wrote it"),
        (lambda raw: raw.replace(b"backup 1", b"backup 17", 1), "a newer nostrbot wrote it"),
        (lambda raw: b"SQLite format 3\0" + raw, "not a backup of nostrbot"),
    ],
)
def test_cut_grown_foreign_and_newer_files_are_refused(
    tmp_path: Path, raw: bytes, change: Callable[[bytes], bytes], complaint: str
) -> None:
    """Each by the reason it has."""
    assert_refused(tmp_path, change(raw), complaint)


LINK = member("nostrbot.sqlite", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")
BOMB = member("manifest.json", b"", size=2**40)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (sealed(b"this is not gzip"), "cannot be unpacked"),
        (sealed(b""), "end too soon, or are not a tar archive"),
        (sealed(gzip.compress(b"this is no tar")), "end too soon, or are not a tar archive"),
        (sealed(gzip.compress(bytes(10_240))), "end too soon, or are not a tar archive"),
        (packed(member("relays.yaml", b"")), "does not begin with a manifest"),
        (sealed(gzip.compress(BOMB[0].tobuf(tarfile.GNU_FORMAT))), "does not begin with a manifest"),
        (packed(*written(FILES, b"[]")), "its manifest"),
        (packed(*written(FILES, b"{}")), "its manifest"),
        (packed(*written(FILES, b"\xff")), "its manifest"),
        (packed(*written(FILES)[:-1]), "end too soon"),
        (packed(*written(FILES), member("more", b"x")), "holds more than its manifest says"),
        (packed(*written(FILES), after=b"\1"), "holds more than its manifest says"),
        (packed(*written(FILES), after=bytes(50_000)), "holds more than its manifest says"),
        (packed(written(FILES)[0], LINK, *written(FILES)[2:]), "not a file"),
        (packed(*written({**FILES, "nostrbot.sqlite": b"short"})), "its manifest and its contents differ"),
        (packed(*written({"../../etc/passwd": b"", **FILES})), "its manifest and its contents differ"),
        (packed(*written({"/etc/passwd": b"", **FILES})), "its manifest and its contents differ"),
        (packed(*written({"x" * 300: b"", **FILES})), "not a file"),  # its name stands in a header of its own
        (packed(*written(dict(reversed(FILES.items())))), "its manifest and its contents differ"),
    ],
)
def test_a_sound_hash_over_a_hostile_tar_opens_nothing(tmp_path: Path, raw: bytes, complaint: str) -> None:
    """Whoever writes a backup can hash it: links, other places, other sizes, more files and none are refused."""
    assert_refused(tmp_path, raw, complaint)


@pytest.mark.parametrize(
    "change",
    [
        {"backup": 2},
        {"bot": "AB" * 32},
        {"bot": "ab" * 32 + "\n"},
        {"created_at": "1"},
        {"books": [{"key": "../x", "entries": 1, "head": "ab" * 32}]},
        {"books": [{"key": "root", "entries": 0, "head": "ab" * 32}]},
        {"members": []},
        {"members": [{"name": "nostrbot.sqlite", "size": 1}] * 3},
        {"members": [{"name": "/etc/passwd", "size": 1}]},
        {"more": 1},
    ],
)
def test_a_manifest_of_another_shape_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    """Fields, types, keys and names are what this program writes, or the backup is not read on."""
    manifest = orjson.dumps(manifest_of(FILES).model_dump() | change)
    assert_refused(tmp_path, packed(*written(FILES, manifest)), "its manifest")


def test_a_small_file_may_not_be_large(tmp_path: Path) -> None:
    """What is held in memory is bounded before it is read."""
    large = {**FILES, "relays.yaml": bytes(64 * 1024 + 1)}
    manifest = manifest_of(large).model_dump_json().encode()
    assert_refused(tmp_path, packed(*written(large, manifest)), "relays.yaml is larger than such a file can be")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=2_000), st.booleans(), st.booleans())
def test_whatever_it_is_it_is_refused_by_name(tmp_path: Path, rubbish: bytes, zipped: bool, hashed: bool) -> None:
    """Nothing raises past the door but what has one line for a person."""
    content = gzip.compress(rubbish, 1) if zipped else rubbish
    path = tmp_path / "b.backup"
    path.write_bytes(sealed(content) if hashed else content)
    with pytest.raises(NostrbotError):
        read(path)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """And so is a folder."""
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            read(path)
