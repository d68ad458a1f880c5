"""Places: homes of any name, files that may not be touched, and streams that lead nowhere (review rows F7, F11, F13).

Each of them is one line on stderr and exit 2, from every command, and never a traceback.
"""

import importlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.e2e.house import COMMAND_MAX_S, PROGRAM, environment, nostrbot, nostrbot_here
from tests.e2e.people import Person

PLATFORM = Person("platform")
RELAY = "ws://127.0.0.1:1"
NOBODY = 65_534


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may look into, as pytest's own is not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)


def make_home(home: Path) -> Path:
    made = nostrbot_here("init", "--home", home, "--platform", PLATFORM.npub, "--relay", RELAY)
    assert made.returncode == 0, made.stderr
    return home


@contextmanager
def nobody() -> Iterator[None]:
    """As a user to whom file modes mean something: root gives up what it may. Others are such a user already."""
    was = os.geteuid()
    for module in (
        "backup.copy",
        "backup.restoration",
        "bot",
        "exports.export",
        "exports.trail",
        "runtime.rotation",
        "monitoring.status",
    ):
        importlib.import_module(f"nostrbot.{module}")  # which nobody may be allowed to read
    if was == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(was)


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


# --- F7: a path is never pasted into a URL ----------------------------------------------------------------------------

NAMES = ["x%20y", "a?b=c", "a#b", "s p a c e", "q'uo\"te", "ünï-₿", "-lead", "file:x", ":memory:", "%(here)s", "a%3Fb",
         "a&uri=true", "a\\b", "x;y", "a%zz", "n\new"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_f7_a_home_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Relative or not: the database is in the folder that was named, and nothing is anywhere else."""
    monkeypatch.chdir(tmp_path)
    home = make_home(Path(name))
    assert {path.name for path in tmp_path.iterdir()} == {name}
    assert {path.name for path in (tmp_path / name).iterdir()} >= {"keys", "relays.yaml", "nostrbot.sqlite"}
    assert nostrbot_here("status", "--home", home, "--json").returncode == 0
    assert nostrbot_here("rebuild", "--home", tmp_path / name).returncode == 0


@pytest.mark.parametrize("name", ["x%20y", "a?b#c", "-lead"])
def test_f7_a_backup_of_any_name_comes_back_into_a_home_of_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Backup and restoration open databases in folders of their own, beside the places named."""
    monkeypatch.chdir(tmp_path)
    make_home(Path("plain"))
    where = f"{name}.backup"
    done = nostrbot_here("backup", "--home", "plain", "--", where)
    assert done.returncode == 0, done.stderr
    done = nostrbot_here("restore", "--home", f"again {name}", "--", where)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"plain", where, f"again {name}"}
    assert (tmp_path / f"again {name}" / "nostrbot.sqlite").is_file()


def test_f7_a_path_that_is_too_long_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """A name beyond what the file system takes; a path beyond what SQLite takes. The next try finds nothing in its way."""
    arguments = ("--platform", PLATFORM.npub, "--relay", RELAY)
    assert_one_line(nostrbot_here("init", "--home", tmp_path / ("a" * 300), *arguments), "choose a shorter path")
    deep = tmp_path.joinpath(*["a" * 200] * 3)
    assert_one_line(nostrbot_here("init", "--home", deep, *arguments), "choose a shorter path")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("asked", ["?mode=ro", "?uri=true"])
def test_f7_a_database_url_names_a_file_and_no_more(tmp_path: Path, asked: str) -> None:
    """What stands after a ? would open another file than the one that is backed up."""
    home = make_home(tmp_path / "home")
    url = f"sqlite+aiosqlite:///{home}/nostrbot.sqlite{asked}"
    assert_one_line(nostrbot_here("status", "--home", home, NOSTRBOT_DATABASE_URL=url), "names a file only")
    in_memory = {"NOSTRBOT_DATABASE_URL": "sqlite+aiosqlite:///:memory:"}
    assert_one_line(nostrbot_here("status", "--home", home, **in_memory), "NOSTRBOT_DATABASE_URL")


# --- F11: an OSError at a file of the home is one line and exit 2 -----------------------------------------------------

COMMANDS = {
    "status": ["status"],
    "export": ["export", "legs"],
    "audit export": ["audit", "export", "--operator", PLATFORM.npub],
    "backup": ["backup", "{new}/a.backup"],
    "rebuild": ["rebuild"],
    "rotate begin": ["rotate", "begin"],
    "run": ["run"],
}
FILES = ["", "keys", "keys/bot.nsec", "keys/platform.npub", "relays.yaml", "nostrbot.sqlite", "nostrbot.lock"]
# Which commands have no business with a file.
UNTOUCHED = {
    "relays.yaml": {"status", "export", "audit export", "rebuild", "rotate begin"},
    "nostrbot.sqlite": {"rotate begin", "run"},  # of `run` see below: it is a process of its own by then
    "nostrbot.lock": {"status", "export", "audit export", "backup", "rotate begin"},
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("file", FILES)
def test_f11_a_file_one_may_not_touch(open_folder: Path, file: str, command: str) -> None:
    """Somebody else's, as after a first `run` as root: the line names it and says whose turn it is."""
    if command in UNTOUCHED.get(file, ()):
        pytest.skip("nothing to do with it")
    home = make_home(open_folder / "home")
    for path in (home, *home.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666 if "nsec" not in path.name else 0o600)
    if os.geteuid() == 0:
        os.chown(home / "keys" / "bot.nsec", NOBODY, NOBODY)
    (home / "nostrbot.lock").touch()
    if os.geteuid() == 0:
        os.chown(home / file, 0, 0)
    (home / file).chmod(0o000)
    words = [word.format(new=open_folder) for word in COMMANDS[command]]
    open_folder.chmod(0o777)
    with nobody():
        done = nostrbot_here(*words, "--home", home)
    assert_one_line(done, str(home), "Permission denied: run this as the user it belongs to")
    assert done.stdout == ""


def test_f11_a_home_nobody_may_write_into(open_folder: Path) -> None:
    """`init`, `restore`: nothing is made."""
    home = make_home(open_folder / "home")
    assert nostrbot_here("backup", open_folder / "a.backup", "--home", home).returncode == 0
    (open_folder / "a.backup").chmod(0o644)
    shut = open_folder / "shut"
    shut.mkdir(mode=0o555)
    with nobody():
        for place in (shut, shut / "deeper"):
            made = nostrbot_here("init", "--home", place, "--platform", PLATFORM.npub, "--relay", RELAY)
            assert_one_line(made, str(place), "Permission denied")
            assert_one_line(nostrbot_here("restore", open_folder / "a.backup", "--home", place), str(place), "denied")
    assert list(shut.iterdir()) == []


@pytest.mark.parametrize(
    "file", ["keys/bot.nsec", "keys/platform.npub", "relays.yaml", "nostrbot.sqlite", "nostrbot.lock"]
)
def test_f11_a_folder_where_a_file_should_be(tmp_path: Path, file: str) -> None:
    """By a process of its own, as a supervisor starts it."""
    home = make_home(tmp_path / "home")
    (home / file).unlink(missing_ok=True)
    (home / file).mkdir()
    assert_one_line(nostrbot("run", "--home", home), str(home))


def test_f11_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    """The home itself, and the keys in it."""
    (tmp_path / "file").write_text("mine")
    for words in (["run"], ["status"], ["rebuild"], ["init", "--platform", PLATFORM.npub, "--relay", RELAY]):
        assert_one_line(nostrbot_here(*words, "--home", tmp_path / "file"), str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "mine"
    home = make_home(tmp_path / "home")
    shutil.rmtree(home / "keys")
    (home / "keys").write_text("mine")
    assert_one_line(nostrbot_here("run", "--home", home), str(home / "keys"), "Not a directory")


def test_f11_a_question_makes_no_database(tmp_path: Path) -> None:
    """Asked by root where there is none, it would have made one that the bot may not open."""
    home = make_home(tmp_path / "home")
    (home / "nostrbot.sqlite").unlink()
    for words in (["status"], ["export", "legs"], ["audit", "export", "--operator", PLATFORM.npub]):
        assert_one_line(nostrbot_here(*words, "--home", home), "there is no database", str(home))
    assert not (home / "nostrbot.sqlite").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what is not its own")
def test_f11_a_lock_that_root_made_is_the_home_s(open_folder: Path) -> None:
    """A first `rebuild` as root in a service user's home leaves nothing that keeps the service out."""
    home = make_home(open_folder / "home")
    for path in (home, *home.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    assert nostrbot_here("rebuild", "--home", home).returncode == 0
    assert {path.stat().st_uid for path in home.rglob("*")} == {NOBODY}
    with nobody():
        assert nostrbot_here("rebuild", "--home", home).returncode == 0


def test_f11_a_database_that_another_program_holds(tmp_path: Path) -> None:
    """SQLite's own words alone would not say what to do."""
    home = make_home(tmp_path / "home")
    with closing(sqlite3.connect(home / "nostrbot.sqlite", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.MonkeyPatch.context() as patched:
            from nostrbot.store import sqlite as database

            patched.setattr(database, "_PRAGMAS", ("PRAGMA busy_timeout=50",))
            assert_one_line(nostrbot_here("status", "--home", home), "another program holds it")


# --- F13: streams -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Commands that say something on stdout, each in its own way."""
    folder = tmp_path_factory.mktemp("told")
    home = str(make_home(folder / "home"))
    return {
        "help": ["--help"],
        "status": ["status", "--home", home],
        "export csv": ["export", "legs", "--home", home],
        "rotate begin": ["rotate", "begin", "--home", home],
        "relay": ["relay"],
    }


SAYERS = ["help", "status", "export csv", "rotate begin", "relay"]


def run_shell(words: list[str], streams: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The program, with its streams as a shell arranges them."""
    return subprocess.run(
        ["/bin/sh", "-c", f'"$@" {streams}', "sh", str(PROGRAM), *words],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_MAX_S,
        check=False,
    )


@pytest.mark.parametrize("name", SAYERS)
def test_f13_stdout_that_takes_nothing(told: dict[str, list[str]], name: str) -> None:
    """A full disk, and none at all: said in one line, exit 2."""
    assert_last_line(run_shell(told[name], ">/dev/full"), "stdout cannot be written to: No space left on device")


@pytest.mark.parametrize("name", ["status", "export csv", "relay"])
def test_f13_stdout_that_is_closed(told: dict[str, list[str]], name: str) -> None:
    """Its number must not be given to the database."""
    assert_last_line(run_shell(told[name], ">&-"), "stdout cannot be written to: Bad file descriptor")


def assert_last_line(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    last = done.stderr.splitlines()[-1]  # `rotate begin` says on stderr what comes next
    assert words in last
    assert done.stderr.count("stdout cannot be written to") == 1


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", "2>&- <&-"])
def test_f13_stderr_that_nobody_hears(told: dict[str, list[str]], streams: str) -> None:
    """The exit code says it then, and stdout is what it would have been."""
    assert run_shell(["frobnicate"], streams).returncode == 2
    done = run_shell(told["status"], streams)
    assert (done.returncode, done.stdout.split(":")[0]) == (0, f"bot {done.stdout.split()[1].rstrip(':')}")
    assert run_shell(told["status"], f"{streams} >&-").returncode == 2


@pytest.mark.parametrize("variables", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "C"}])
def test_f13_an_encoding_that_lacks_characters(tmp_path: Path, variables: dict[str, str]) -> None:
    """What it lacks is escaped; exports are UTF-8 whatever the terminal is."""
    home = make_home(tmp_path / "hôme ₿")
    done = nostrbot("run", "--help", **variables)
    assert (done.returncode, done.stderr) == (0, "")
    missing = nostrbot("status", "--home", tmp_path / "nowhere ₿", **variables)
    assert_one_line(missing, "is not a bot's home")
    assert nostrbot("status", "--home", home, **variables).returncode == 0
    assert nostrbot("export", "legs", "--home", home, **variables).returncode == 0


@pytest.mark.parametrize("name", ["help", "status", "export csv"])
def test_f13_a_reader_that_has_had_enough(told: dict[str, list[str]], name: str) -> None:
    """`| head` closes the pipe: no word about it, and nothing but 0 or 1."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        done = subprocess.run(
            [PROGRAM, *told[name]], stdout=pipe, stderr=subprocess.PIPE, env=environment(), timeout=60, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_f13_a_device_is_written_to_and_not_replaced(told: dict[str, list[str]], tmp_path: Path) -> None:
    """`-o /dev/full` is a full disk; `-o /dev/stdout` is stdout; a link stays a link."""
    full = run_shell([*told["export csv"], "-o", "/dev/full"], "")
    assert_one_line(full, "/dev/full cannot be written: No space left on device")
    assert Path("/dev/full").is_char_device()
    sheet, link = tmp_path / "sheet.csv", tmp_path / "link.csv"
    done = run_shell([*told["export csv"], "-o", "/dev/stdout"], f">>'{sheet}'")
    assert (done.returncode, done.stderr) == (0, "")
    once = sheet.read_bytes()
    run_shell([*told["export csv"], "-o", "/dev/stdout"], f">>'{sheet}'")
    assert sheet.read_bytes() == 2 * once
    link.symlink_to(sheet)
    assert run_shell([*told["export csv"], "-o", str(link)], "").returncode == 0
    assert link.is_symlink()
    assert sheet.read_bytes() == once
