"""`nostrbot export` on the command line: its exit codes, its file, and a reader that goes away."""

import csv
import os
import subprocess
from io import StringIO
from pathlib import Path

import pytest

from nostrbot.cli import main
from nostrbot.home.config import Home
from tests.offices import ANA, OPERATOR
from tests.peers.bot_process import nostrbot
from tests.peers.program import PROGRAM


def test_an_export_is_printed(home: Home) -> None:
    """CSV unless something else is asked for; line ends and all; nothing on stderr that is no terminal."""
    done = nostrbot("export", "deposits", "--home", home.path, "--operator", OPERATOR.npub)
    assert (done.returncode, done.stderr) == (0, "")
    assert [row["id"] for row in csv.DictReader(StringIO(done.stdout.removeprefix("\ufeff")))] == [
        "d1",
        "d2",
        "d3",
        "d4",
    ]


def test_an_export_is_a_file_that_bean_check_takes(home: Home, tmp_path: Path) -> None:
    """As the help says it: one file in place of an older one, and nothing beside it."""
    file = tmp_path / "book.beancount"
    file.write_text("of last month")
    done = nostrbot(
        "export", "legs", "--home", home.path, "--format", "beancount", "--operator", OPERATOR.npub, "-o", file
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == [file]
    checked = subprocess.run([Path(PROGRAM).with_name("bean-check"), "--no-cache", file], timeout=60, check=False)
    assert checked.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sales"], "'sales' is not one of 'settlements', 'legs', 'deposits'"),
        (["legs", "--format", "xlsx"], "'xlsx' is not one of 'csv', 'json', 'beancount'"),
        (["legs", "--operator", ANA.npub], "there is no book of that operator here"),
        (["legs", "--operator", "antigua"], "--operator must be an npub"),
        (["legs", "--format", "beancount"], "a ledger is one operator's: add --operator, one of antigua npub1"),
        (["legs", "-o", "no/such/folder/legs.csv"], "no/such/folder/legs.csv cannot be written: No such file"),
    ],
)
def test_bad_usage_is_one_line_that_says_what_to_change(
    home: Home,
    arguments: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, nothing on stdout."""
    monkeypatch.setattr("sys.argv", ["nostrbot", "export", *arguments, "--home", str(home.path)])
    umask = os.umask(0o077)
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        os.umask(umask)
    said = capfd.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert sentence in said.err
    assert said.err.count("\n") == 1


def test_a_reader_that_goes_away_is_no_disaster(home: Home) -> None:
    """`nostrbot export … | head -1`: no traceback, no word."""
    with subprocess.Popen(
        [PROGRAM, "export", "settlements", "--home", str(home.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 1
