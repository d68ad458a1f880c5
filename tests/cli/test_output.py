"""Output: a file is whole or not there, and somebody who waits at a terminal sees that it goes on."""

import os
import pty
import select
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from nostrbot.cli.output import write_out
from nostrbot.errors import BooksError, ConfigError

QUIET_S = 0.2  # a terminal that has shown nothing for so long has shown all


async def pieces(count: int, *, broken: bool = False) -> AsyncGenerator[bytes, None]:
    """So many lines, and trouble after them."""
    for number in range(count):
        yield b"line %d\n" % number
    if broken:
        raise BooksError("the journal is damaged")


async def test_a_file_is_replaced_when_the_new_one_is_whole(tmp_path: Path) -> None:
    """An export that fails halfway leaves the older file as it is, and nothing beside it."""
    file = tmp_path / "legs.csv"
    await write_out(pieces(2), file)
    assert file.read_bytes() == b"line 0\nline 1\n"
    with pytest.raises(BooksError):
        await write_out(pieces(3, broken=True), file)
    assert file.read_bytes() == b"line 0\nline 1\n"
    await write_out(pieces(1), file)
    assert file.read_bytes() == b"line 0\n"
    assert list(tmp_path.iterdir()) == [file]


async def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A folder that is not there, or stands where the file should."""
    with pytest.raises(ConfigError, match=r"legs\.csv cannot be written: No such file or directory"):
        await write_out(pieces(1), tmp_path / "away" / "legs.csv")
    with pytest.raises(ConfigError, match="cannot be written: Is a directory"):
        await write_out(pieces(1), tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_stdout_gets_the_bytes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """All of them, and no more."""
    await write_out(pieces(2), None)
    assert capfdbinary.readouterr() == (b"line 0\nline 1\n", b"")


async def test_a_terminal_sees_how_far_it_has_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On stderr and only where it is a terminal: the count, and the line is cleared at the end."""
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        await write_out(pieces(7), tmp_path / "legs.csv")
        terminal.flush()
        shown = ""
        while select.select([leader], [], [], QUIET_S)[0]:
            shown += os.read(leader, 65_536).decode()
    os.close(leader)
    assert "7 written" in shown
    assert shown.rstrip("\r\n").endswith("\x1b[2K")
    assert (tmp_path / "legs.csv").read_bytes().count(b"\n") == 7
