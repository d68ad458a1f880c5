"""The command line: exit codes and one-line messages of docs/protocol.md section 8, by the installed program."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.house import House, environment, eventually, nostrbot, nostrbot_here
from tests.e2e.people import Line, Person
from tests.e2e.sales import HASH, sale
from tests.houses import House as Books
from tests.peers.pace import STOP_MAX_S
from tests.peers.program import COMMAND_MAX_S, PROGRAM, Program


@dataclass
class Desk:
    """A running bot, and key files of those who use the program with it."""

    house: House
    operator: Line
    folder: Path

    def dm(self, who: str, text: str, *more: str) -> list[str | Path]:
        """`nostrbot dm` with somebody's key."""
        key = self.folder / f"{who}.nsec"
        return ["dm", "--key", key, "--to", self.house.npub, "--relay", self.house.urls[0], text, *more]

    def settle(self, who: str, payload: dict[str, Any] | str, *more: str) -> list[str | Path]:
        """`nostrbot machine settle` with somebody's key."""
        path = self.folder / "sale.json"
        path.write_text(payload if isinstance(payload, str) else json.dumps(payload))
        where = ["--bot", self.house.npub, "--relay", self.house.urls[0], "--payload", path]
        return ["machine", "settle", "--key", self.folder / f"{who}.nsec", *where, *more]


@pytest.fixture(scope="module")
def bookkeeper(town: House, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    operator = town.open_operator("berne", "b1")
    for name in ("berne", "b1", "stranger"):
        town.person(name).write_key(folder)
    return Desk(town, operator, folder)


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit 2, nothing on stdout, and one line on stderr that has these words."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


# --- people -----------------------------------------------------------------------------------------------------------


def test_dm_prints_the_answer(bookkeeper: Desk) -> None:
    """Exit 0, and the same words that a client of one's own reads."""
    done = nostrbot(*bookkeeper.dm("berne", "machine list"))
    assert (done.returncode, done.stdout, done.stderr) == (0, bookkeeper.operator.ask("machine list") + "\n", "")


@pytest.mark.parametrize("text", ["machine show m9", "machine show m9 --json"])
def test_dm_exits_1_when_the_answer_is_no(bookkeeper: Desk, text: str) -> None:
    """`ok: false` is exit 1, asked for in words or in JSON; the answer is printed all the same."""
    done = nostrbot_here(*bookkeeper.dm("berne", text))
    assert done.returncode == 1
    assert "not_found" in done.stdout


def test_dm_exits_3_when_nobody_answers(bookkeeper: Desk) -> None:
    """A stranger gets no reply."""
    done = nostrbot_here(*bookkeeper.dm("stranger", "whoami", "--timeout", "1"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)


def test_a_key_that_others_may_read_is_not_used(bookkeeper: Desk) -> None:
    """Mode 0644: exit 2, and the line says `chmod 600`; the secret is not in it."""
    lax = bookkeeper.folder / "lax.nsec"
    shutil.copy(bookkeeper.folder / "berne.nsec", lax)
    lax.chmod(0o644)
    done = nostrbot_here(*bookkeeper.dm("lax", "whoami"))
    assert_one_line(done, "chmod 600", str(lax))
    assert lax.read_text().strip() not in done.stderr


# --- machines ---------------------------------------------------------------------------------------------------------


def test_machine_settle_prints_the_ack(bookkeeper: Desk) -> None:
    """Exit 0 when it is booked, now or before; 1 when rejected or unreadable; 3 when the bot does not know the machine."""
    payload = sale(bookkeeper.house.person("b1"), payment_hash=HASH)
    first = nostrbot(*bookkeeper.settle("b1", payload))
    assert first.returncode == 0, first.stderr
    ack = json.loads(first.stdout)
    assert (ack["type"], ack["status"], ack["settlement"], ack["payment_hash"]) == ("ack", "processed", "s1", HASH)
    again = nostrbot_here(*bookkeeper.settle("b1", payload))
    assert (again.returncode, json.loads(again.stdout)["status"]) == (0, "duplicate")
    wrong = nostrbot_here(*bookkeeper.settle("b1", payload | {"wire_sats": 5}))
    assert (wrong.returncode, json.loads(wrong.stdout)["error"]) == (1, "amounts_inconsistent")
    unread = nostrbot_here(*bookkeeper.settle("b1", "this is no JSON"))
    assert (unread.returncode, json.loads(unread.stdout)["status"]) == (1, "invalid")
    unknown = nostrbot_here(*bookkeeper.settle("stranger", payload, "--timeout", "1"))
    assert (unknown.returncode, unknown.stdout, unknown.stderr.count("\n")) == (3, "", 1)


# --- homes ------------------------------------------------------------------------------------------------------------


def test_a_second_bot_in_one_home_is_refused(bookkeeper: Desk) -> None:
    """`run` twice: the second one says so and changes nothing; the first goes on."""
    assert_one_line(nostrbot("run", "--home", bookkeeper.house.home), "already running")
    assert "berne" in bookkeeper.operator.ask("whoami")


def test_init_does_not_overwrite(bookkeeper: Desk) -> None:
    """An existing home keeps every byte."""
    kept = {path: path.read_bytes() for path in (bookkeeper.house.home / "keys").iterdir()}
    kept[bookkeeper.house.home / "relays.yaml"] = (bookkeeper.house.home / "relays.yaml").read_bytes()
    platform = bookkeeper.house.person("platform").npub
    done = nostrbot_here("init", "--home", bookkeeper.house.home, "--platform", platform, "--relay", "ws://127.0.0.1:1")
    assert_one_line(done, "exists")
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_home_made_by_init(bookkeeper: Desk) -> None:
    """keys/ holds the secret with mode 0600, as an nsec; nothing else in the home holds it."""
    secret = bookkeeper.house.home / "keys" / "bot.nsec"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert secret.read_text().startswith("nsec1")
    for path in bookkeeper.house.home.rglob("*"):
        if path.is_file() and path != secret:
            assert secret.read_text().strip().encode() not in path.read_bytes(), path


# --- bad configuration ------------------------------------------------------------------------------------------------

RELAYS = {
    "not YAML": ("relays: [", "relays.yaml"),
    "empty": ("", "relays.yaml"),
    "no relays": ("relays: []\n", "relays"),
    "another key": ("relays:\n  - url: ws://127.0.0.1:1\n    reed: true\n", "reed"),
    "no relay's URL": ("relays:\n  - url: https://relay.example.com\n", "wss"),
    "a host with a blank": ("relays:\n  - url: ws://relay example.com\n", "wss"),
    "a host with a NUL": ('relays:\n  - url: "ws://relay\\0"\n', "wss"),
    "a host of dots": ("relays:\n  - url: ws://..\n", "wss"),
    "one relay twice": ("relays:\n  - url: ws://127.0.0.1:1\n  - url: ws://127.0.0.1:1/\n", "twice"),
    "a word for a truth": ('relays:\n  - url: ws://127.0.0.1:1\n    read: "perhaps"\n', "read"),
    "nowhere to read": ("relays:\n  - url: ws://127.0.0.1:1\n    read: false\n", "read"),
    "more OKs than relays": ("relays:\n  - url: ws://127.0.0.1:1\npublish:\n  min_ok: 2\n", "min_ok"),
    "no OK at all": ("relays:\n  - url: ws://127.0.0.1:1\npublish:\n  min_ok: 0\n", "min_ok"),
}


@pytest.mark.parametrize("wrong", RELAYS)
def test_bad_relays_are_one_line_and_exit_2(bookkeeper: Desk, tmp_path: Path, wrong: str) -> None:
    """relays.yaml, in many ways wrong: the line names the file and what is wanted there."""
    text, word = RELAYS[wrong]
    shutil.copytree(bookkeeper.house.home / "keys", tmp_path / "keys")
    (tmp_path / "relays.yaml").write_text(text)
    assert_one_line(nostrbot_here("run", "--home", tmp_path), str(tmp_path / "relays.yaml"), word)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["run", "--home", "{new}"], "nostrbot init"),
        (["run"], "--home"),
        (["run", "--home", "{home}", "--metrics", "relay.example.com:9464"], "--metrics"),
        (["run", "--home", "{home}", "--log-format", "xml"], "--log-format"),
        (["status", "--home", "{new}"], "nostrbot init"),
        (["init", "--home", "{new}", "--platform", "nobody", "--relay", "ws://127.0.0.1:1"], "npub"),
        (["init", "--home", "{new}", "--platform", "{npub}", "--relay", "relay.example.com"], "wss"),
        (["init", "--home", "{new}", "--platform", "{npub}"], "--relay"),
        (["frobnicate"], "frobnicate"),
        (["audit", "verify", "{new}/trail.jsonl"], "trail.jsonl"),
        (["audit", "export", "--home", "{home}", "--operator", "{npub}"], "operator"),
        (["audit", "export", "--home", "{home}", "--operator", "nobody"], "npub"),
        (["dm", "--key", "{new}/none.nsec", "--to", "{npub}", "--relay", "ws://127.0.0.1:1", "help"], "none.nsec"),
        (["dm", "--key", "{key}", "--to", "{npub}", "--relay", "http://127.0.0.1:1", "help"], "wss"),
        (["dm", "--key", "{key}", "--to", "{npub}", "help"], "--relay"),
        (
            ["dm", "--key", "{key}", "--to", "{npub}", "--relay", "ws://127.0.0.1:1", "deposit", "add", "ana"],
            "in quotes",
        ),
        (["export", "legs", "--home", "{home}", "--format", "excel"], "'--format': 'excel' is not one of"),
        (
            ["init", "--home", "{new}", "--platform", "{npub}", "--relay", "ws://127.0.0.1:1", "ws://localhost:1"],
            "--relay: ws",
        ),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(bookkeeper: Desk, tmp_path: Path, arguments: list[str], word: str) -> None:
    """No home, no key, no such thing: one line that says what to change, and nothing was made."""
    new = tmp_path / "new"
    known = {
        "new": new,
        "npub": Person("somebody").npub,
        "home": bookkeeper.house.home,
        "key": bookkeeper.folder / "berne.nsec",
    }
    assert_one_line(nostrbot_here(*(argument.format(**known) for argument in arguments)), word)
    assert not new.exists()


def test_the_root_book_is_verified_by_name(tmp_path: Path) -> None:
    """It is no operator's, so there is no npub to show."""
    root = Books.root()
    root.say("platform", "operator add @operator name=antigua")
    trail = tmp_path / "root.jsonl"
    trail.write_bytes(b"\n".join(root.trail()))
    done = nostrbot_here("audit", "verify", trail)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Verified: the trail of the root book, kept by bot npub1")


def test_init_takes_several_relays(tmp_path: Path) -> None:
    """`--relay URL …`, once for all or once each; the home may be named by NOSTRBOT_HOME; the npub is on stdout."""
    npub, urls = Person("platform").npub, ["ws://127.0.0.1:1", "ws://127.0.0.1:2", "wss://relay.example.com"]
    for number, words in enumerate((["--relay", *urls], [word for url in urls for word in ("--relay", url)])):
        home = tmp_path / str(number)
        done = nostrbot_here("init", "--platform", npub, *words, NOSTRBOT_HOME=str(home))
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("npub1")
        assert [relay["url"] for relay in yaml.safe_load((home / "relays.yaml").read_text())["relays"]] == urls


def test_relay_on_a_port_that_is_taken(tmp_path: Path) -> None:
    """One line that says what to change, whether it keeps events or not."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_one_line(nostrbot("relay", "--port", str(port)), "choose another --port")
        both = nostrbot("relay", "--port", str(port), "--data", tmp_path / "events")
        assert_one_line(both, "choose another --port or --data")


def test_relay_whose_folder_is_a_file(tmp_path: Path) -> None:
    """One line that says what to change, and the file is left alone."""
    file = tmp_path / "events"
    file.write_text("mine")
    assert_one_line(nostrbot("relay", "--data", file), str(file), "choose another --data")
    assert file.read_text() == "mine"


def test_relay_stops_in_peace(tmp_path: Path) -> None:
    """`nostrbot relay` prints its URL; Ctrl-C and SIGTERM end it with exit 0."""
    for number in (signal.SIGINT, signal.SIGTERM):
        command = [PROGRAM, "relay", "--data", tmp_path / "events"]
        process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ws://127.0.0.1:")
        process.send_signal(number)
        assert process.wait(STOP_MAX_S) == 0
        process.communicate()


# --- starts -----------------------------------------------------------------------------------------------------------

LOADED = (
    "import sys; sys.argv = ['nostrbot', *sys.argv[1:]]; import atexit; atexit.register(lambda: print(*sys.modules)); "
)


def test_t3_a_command_imports_what_it_needs_and_no_more(bookkeeper: Desk) -> None:
    """`--help` waits for no database and no schemas, and `status` not for migrations of a database that is up to date."""
    heavy = {"--help": {"alembic", "sqlalchemy", "pydantic", "yaml", "nostr_sdk", "websockets"}, "status": {"alembic"}}
    for command, unwanted in heavy.items():
        words = [command] if command == "--help" else [command, "--home", str(bookkeeper.house.home)]
        done = subprocess.run(
            [sys.executable, "-c", f"{LOADED} from nostrbot.cli import main; main()", *words],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=COMMAND_MAX_S,
            check=True,
        )
        assert "nostrbot.cli" in done.stdout.split()
        assert unwanted.isdisjoint(done.stdout.split()), command


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["frobnicate"], ["status"], ["key", "no/such.nsec"]])
def test_a_forked_command_is_the_same(tmp_path: Path, words: list[str]) -> None:
    """What tests start by forking says and does what the installed program does."""
    started = subprocess.run(
        [PROGRAM, *words], env=environment(), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    with Program(words, env=environment(), cwd=tmp_path, stdout=-1, stderr=-1, text=True) as forked:
        said = forked.communicate(timeout=COMMAND_MAX_S)
    assert (forked.returncode, *said) == (started.returncode, started.stdout, started.stderr)


def test_a_forked_command_is_a_child_like_any_other(tmp_path: Path) -> None:
    """Its folder, environment, session and signals are its own, and it has nothing open that it was not given."""
    with (tmp_path / "out").open("w") as output:
        relay = Program(
            ["relay", "--data", "events"], env=environment(), cwd=tmp_path, start_new_session=True, stdout=output
        )
    eventually(lambda: (tmp_path / "out").read_text().startswith("ws://127.0.0.1:"), COMMAND_MAX_S)
    assert (tmp_path / "events").is_dir()
    if sys.platform == "linux":
        assert os.getsid(relay.pid) == relay.pid
        opened = [str(one.readlink()) for one in Path(f"/proc/{relay.pid}/fd").iterdir()]
        assert str(tmp_path / "out") in opened
        assert not [one for one in opened if one.endswith("relay.log")]
    relay.kill()
    assert relay.wait(COMMAND_MAX_S) == -signal.SIGKILL
