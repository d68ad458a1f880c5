"""Key files: private or not read at all, and never quoted."""

import os
import stat
import traceback
from pathlib import Path

import pytest

from nostrbot.errors import ConfigError
from nostrbot.home.keyfile import KEY_FILE_MAX_BYTES, read_key_file, write_key_file
from nostrbot.nostr.keys import Keys

SECRET = "67dea2ed018072d675f5415ecfaed7d2597555e202d85b3d65ea4e58d2d92ffa"
KEYS = Keys.from_secret(SECRET)

# The example of NIP-49: its secret, and that secret under the passphrase "nostr".
NIP49_SECRET = "3501454135014541350145413501453fefb02227e449e57cf4d3a3ce05378683"
NIP49_TEXT = (
    "ncryptsec1qgg9947rlpvqu76pj5ecreduf9jxhselq2nae2kghhvd5g7dgjtcxfqtd67p9m0w57lspw8gsq6yphnm8623nsl8xn9j4"
    "jdzz84zm3frztj3z7s35vpzmqf6ksu8r89qk5z2zxfmu5gv8th8wclt0h4p"
)


def key_file(directory: Path, text: str, mode: int = 0o600) -> Path:
    path = directory / "bot.key"
    path.write_text(text)
    path.chmod(mode)
    return path


def refusal_of(path: Path, passphrase: str | None = None) -> str:
    """The one line a person sees; the whole chain behind it must not quote the file either."""
    with pytest.raises(ConfigError) as caught:
        read_key_file(path, passphrase)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert KEYS.nsec() not in shown
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("text", [SECRET, SECRET.upper(), KEYS.nsec(), KEYS.nsec() + "\n", f"  {SECRET}\r\n"])
@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_an_nsec_or_hex_in_a_private_file_is_read(tmp_path: Path, text: str, mode: int) -> None:
    assert read_key_file(key_file(tmp_path, text, mode), None) == KEYS


def test_a_passphrase_is_not_looked_at_for_a_plain_key(tmp_path: Path) -> None:
    """The bot's passphrase stands in the environment also when a machine's plain key is used from there."""
    assert read_key_file(key_file(tmp_path, SECRET), "passphrase") == KEYS


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o666, 0o601, 0o700, 0o4600])
def test_a_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path, SECRET, mode)
    assert f"chmod 600 {path}" in refusal_of(path)


def test_what_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    """A pipe too, at once: opening one must not wait for a writer."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    assert "not a regular file" in refusal_of(pipe)
    assert "not a regular file" in refusal_of(tmp_path)
    assert "not a regular file" in refusal_of(Path("/dev/null"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "nowhere") in refusal_of(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "text",
    ["", SECRET[:-1], f"{SECRET}\n{SECRET}", KEYS.npub, f"key={SECRET}", "0" * 64, "é" * 64, KEYS.nsec()[:-1] + "q"],
)
def test_a_file_without_a_key_is_refused_without_quoting_it(tmp_path: Path, text: str) -> None:
    assert "key" in refusal_of(key_file(tmp_path, text))


def test_a_large_file_is_not_a_key_file(tmp_path: Path) -> None:
    assert "not a key file" in refusal_of(key_file(tmp_path, SECRET + " " * KEY_FILE_MAX_BYTES))


# --- NIP-49


def test_the_example_of_nip_49(tmp_path: Path) -> None:
    path = key_file(tmp_path, NIP49_TEXT + "\n")
    assert read_key_file(path, "nostr") == Keys.from_secret(NIP49_SECRET)
    assert "NOSTRBOT_KEY_PASSPHRASE" in refusal_of(path)
    assert "passphrase" in refusal_of(path, "Nostr")
    assert "passphrase" in refusal_of(path, "")


def test_a_damaged_ncryptsec_is_refused(tmp_path: Path) -> None:
    assert "damaged" in refusal_of(key_file(tmp_path, NIP49_TEXT[:-1] + "q"), "nostr")


# --- writing


@pytest.mark.parametrize("passphrase", [None, "correct horse", "päss\U0001f511"])
def test_what_is_written_reads_back(tmp_path: Path, passphrase: str | None) -> None:
    path = tmp_path / "bot.key"
    write_key_file(path, KEYS, passphrase)
    assert read_key_file(path, passphrase) == KEYS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert text == KEYS.nsec() + "\n" if passphrase is None else text.startswith("ncryptsec1")
    assert passphrase is None or KEYS.nsec() not in text


@pytest.mark.parametrize("umask", [0o000, 0o277])
def test_the_mode_does_not_depend_on_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_key_file(tmp_path / "bot.key", KEYS, None)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "bot.key").stat().st_mode) == 0o600


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    """Not even an empty file, nor where a dangling link points."""
    path, link = key_file(tmp_path, ""), tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    for existing in (path, link):
        with pytest.raises(ConfigError, match="not overwritten"):
            write_key_file(existing, KEYS, None)
    assert path.read_text() == ""
    assert not (tmp_path / "elsewhere").exists()


def test_a_directory_that_is_not_there_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written: No such file"):
        write_key_file(tmp_path / "nowhere" / "bot.key", KEYS, None)


def test_half_a_key_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails at fsync (row 51) leaves nothing that would stand in the way of the next try."""

    def disk_full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(ConfigError, match="No space left"):
        write_key_file(tmp_path / "bot.key", KEYS, None)
    assert list(tmp_path.iterdir()) == []


def test_u3_a_public_key_in_the_place_of_a_secret_one_is_named(tmp_path: Path) -> None:
    """`--key ana.npub`: the file that stands beside the right one."""
    assert refusal_of(key_file(tmp_path, KEYS.npub)).endswith("it holds an npub, which is the public key")


def test_u3_a_file_that_an_editor_on_windows_wrote_is_read(tmp_path: Path) -> None:
    """A byte order mark and CRLF."""
    assert read_key_file(key_file(tmp_path, f"\ufeff{KEYS.nsec()}\r\n"), None) == KEYS
