"""Workplaces: private, gone with the work, and with the death of whoever worked there; never taken from one who works."""

import asyncio
import os
import signal
import stat
from pathlib import Path

import pytest

from nostrbot.store.workplace import workplace
from tests.peers import mortality


def work_and_die(beside: str) -> None:
    """For a child process: killed with a key in its workplace."""
    with workplace(Path(beside)) as folder:
        (folder / "bot.nsec").write_bytes(b"a key")
        os.kill(os.getpid(), signal.SIGKILL)


def there(beside: Path) -> list[str]:
    """The names in a folder."""
    return sorted(path.name for path in beside.iterdir())


def test_it_is_private_and_gone_at_the_end(tmp_path: Path) -> None:
    """Whether the work went well or not."""
    with workplace(tmp_path) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.parent == tmp_path
        (folder / "file").write_bytes(b"x")
    assert there(tmp_path) == []
    with pytest.raises(FileNotFoundError), workplace(tmp_path) as folder:
        (folder / "nowhere" / "file").write_bytes(b"x")
    assert there(tmp_path) == []


async def test_what_the_killed_left_is_cleared_away_and_nothing_else(tmp_path: Path) -> None:
    """By the next one who works beside it; a link of such a name is no workplace, and what it leads to stays."""
    child = mortality.start(work_and_die, str(tmp_path))
    await asyncio.to_thread(child.join, 20)
    assert child.exitcode == -signal.SIGKILL
    [left] = there(tmp_path)
    assert left.startswith(".nostrbot-work-")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_bytes(b"x")
    (tmp_path / ".nostrbot-work-link").symlink_to(tmp_path / "mine")
    (tmp_path / ".nostrbot-work-file").write_bytes(b"x")
    with workplace(tmp_path) as folder:
        assert there(tmp_path) == sorted([folder.name, ".nostrbot-work-file", ".nostrbot-work-link", "mine"])
    assert (tmp_path / "mine" / "file").read_bytes() == b"x"


def test_a_workplace_is_not_taken_from_one_who_works(tmp_path: Path) -> None:
    """Two backups may be made beside each other at once."""
    with workplace(tmp_path) as first:
        (first / "file").write_bytes(b"x")
        with workplace(tmp_path) as second:
            assert there(tmp_path) == sorted([first.name, second.name])
        assert (first / "file").read_bytes() == b"x"
