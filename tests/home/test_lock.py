"""The lock of a home: one bot at a time, and a bot that died is in nobody's way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nostrbot.errors import ConfigError
from nostrbot.home.config import Home
from nostrbot.home.lock import only_bot

HOLD = "import sys; from pathlib import Path; from nostrbot.home.config import Home; from nostrbot.home.lock import only_bot\n" \
    "with only_bot(Home(Path(sys.argv[1]))): print('held', flush=True); sys.stdin.read()"  # fmt: skip


def test_a_second_bot_is_told_that_one_is_running(tmp_path: Path) -> None:
    """And may begin once the first has ended."""
    home = Home(tmp_path)
    with only_bot(home), pytest.raises(ConfigError, match="already running"), only_bot(home):
        pytest.fail("two bots in one home")
    with only_bot(home):
        assert home.lock_file.exists()


def test_an_error_in_the_block_lets_it_go(tmp_path: Path) -> None:
    """A bot that could not start leaves the home to the next."""
    home = Home(tmp_path)
    with pytest.raises(RuntimeError), only_bot(home):
        raise RuntimeError
    with only_bot(home):
        pass


def test_a_killed_bot_holds_nothing(tmp_path: Path) -> None:
    """The kernel lets it go: nobody must delete a file by hand."""
    home = Home(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match="already running"), only_bot(home):
            pytest.fail("two bots in one home")
        other.kill()
    with only_bot(home):
        pass


def test_a_lock_that_cannot_be_opened_is_a_line_for_people(tmp_path: Path) -> None:
    """It names the file."""
    home = Home(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"nostrbot\.lock cannot be opened"), only_bot(home):
        pytest.fail("a home that is not there")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_root_leaves_the_file_to_whom_the_home_belongs(tmp_path: Path) -> None:
    """Else a first `run` as root would keep its owner out for ever."""
    home = Home(tmp_path)
    os.chown(tmp_path, 65_534, 65_534)
    with only_bot(home):
        assert home.lock_file.stat().st_uid == 65_534
        assert home.lock_file.stat().st_mode & 0o777 == 0o600
