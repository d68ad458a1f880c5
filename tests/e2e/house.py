"""A house: one bot as an operating system sees it, in a folder, started and stopped as a process.

What lives here: processes and their exits. What does not: what people say to the bot (people.py, the tests).
"""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import nostr_sdk

from nostrbot.cli import main
from tests.e2e.people import Line, Person
from tests.peers.pace import READY_MAX_S, STOP_MAX_S
from tests.peers.program import COMMAND_MAX_S, PROGRAM, Program, run

WORDS_CHARS, WORDS_CHARS_MIN = 60, 16  # of private words that are looked for in a log


def environment(**more: str) -> dict[str, str]:
    """Ours, without what would change how nostrbot behaves."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NOSTRBOT_")}
    return {**kept, **more}


def nostrbot(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, by the installed program."""
    return subprocess.run(
        [PROGRAM, *map(str, arguments)],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=COMMAND_MAX_S,
        check=False,
    )


def nostrbot_beside(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The same, in a process that was forked: a second sooner."""
    return run(*arguments, env=environment(**variables))


def nostrbot_here(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The same entry point, run in this interpreter: for what needs no process of its own, a second sooner."""
    output, errors = io.StringIO(), io.StringIO()
    words = [str(PROGRAM), *map(str, arguments)]
    with (
        mock.patch.object(sys, "argv", words),
        mock.patch.dict(os.environ, environment(**variables), clear=True),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int)
    return subprocess.CompletedProcess(words, code, output.getvalue(), errors.getvalue())


def eventually(condition: Callable[[], Any], timeout_s: float = 10.0, every_s: float = 0.05) -> Any:
    """Poll until a condition holds; returns what it gave. Fails when it never does."""
    deadline = time.monotonic() + timeout_s
    while not (outcome := condition()):
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(every_s)
    return outcome


class RunningRelay:
    """`nostrbot relay`, as a process."""

    def __init__(self, folder: Path, port: int | None = None, data: Path | None = None) -> None:
        arguments = [*(["--port", str(port)] if port else []), *(["--data", str(data)] if data else [])]
        self._log = (folder / "relay.log").open("ab")
        self.process: subprocess.Popen[str] = Program(
            ["relay", *arguments], env=environment(), stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("ws://127.0.0.1:"), self.url

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it; returns its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(STOP_MAX_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()
        return code


@contextmanager
def running_relay(folder: Path, **options: Any) -> Iterator[RunningRelay]:
    """A relay for the length of a block."""
    relay = RunningRelay(folder, **options)
    try:
        yield relay
    finally:
        if relay.process.poll() is None:
            relay.stop()


class House:
    """A bot's home and its process. The platform and everyone enrolled are kept in `people`."""

    def __init__(self, folder: Path, *urls: str, passphrase: str | None = None, **variables: str) -> None:
        """`variables` are set for its processes."""
        self.folder = folder
        self.home = folder / "home"
        self.urls = urls
        self.people: dict[str, Person] = {}
        self.lines: list[Line] = []
        self._variables = {"NOSTRBOT_LOG_LEVEL": "DEBUG", **variables}
        if passphrase is not None:
            self._variables["NOSTRBOT_KEY_PASSPHRASE"] = passphrase
        self.process: subprocess.Popen[bytes] | None = None
        relays = [word for url in urls for word in ("--relay", url)]
        platform = self.person("platform")
        made = nostrbot_here(
            "init", "--home", self.home, "--platform", platform.npub, *relays, "--json", **self._variables
        )
        assert made.returncode == 0, made.stderr
        self.npub: str = json.loads(made.stdout)["npub"]
        self.pubkey = nostr_sdk.PublicKey.parse(self.npub).to_hex()

    def use(self, **variables: str) -> None:
        """Set variables for the processes that are started from now on."""
        self._variables |= variables

    # --- the process ---

    @property
    def output(self) -> str:
        """All that `run` has printed so far."""
        return (self.folder / "run.out").read_text()

    @property
    def log(self) -> str:
        """All that `run` has logged so far."""
        return (self.folder / "run.err").read_text()

    def launch(self) -> None:
        """Start `nostrbot run` without waiting for it."""
        with (self.folder / "run.out").open("ab") as output, (self.folder / "run.err").open("ab") as log:
            self.process = Program(
                ["run", "--home", str(self.home)], env=environment(**self._variables), stdout=output, stderr=log
            )

    def wait_ready(self, starts: int = 1) -> None:
        """Wait until `run` has said it is ready, for the so-many-th time in this folder."""
        assert self.process is not None
        process = self.process

        def is_ready() -> bool:
            assert process.poll() is None, self.log[-2000:]
            return self.output.count(f"ready {self.npub}\n") >= starts

        eventually(is_ready, READY_MAX_S)

    def start(self) -> None:
        """Start `nostrbot run` and wait until it is ready."""
        starts = self.output.count("ready") if (self.folder / "run.out").exists() else 0
        self.launch()
        self.wait_ready(starts + 1)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop; returns the exit code. It must not take longer than people wait."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(STOP_MAX_S)
        self.process = None
        return code

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_MAX_S)
        self.process = None

    def close(self) -> None:
        """Hang up all lines and stop the bot, whatever state it is in."""
        for line in self.lines:
            line.close()
        if self.process is not None and self.process.poll() is None:
            self.stop()

    # --- looking in ---

    def status(self) -> dict[str, Any]:
        """`nostrbot status --json`."""
        told = nostrbot_here("status", "--home", self.home, "--json", **self._variables)
        assert told.returncode == 0, told.stderr
        state: dict[str, Any] = json.loads(told.stdout)
        return state

    def export(self, operator: Person) -> Path:
        """An operator's trail, as `nostrbot audit export` writes it."""
        path = self.folder / f"{operator.name}.jsonl"
        done = nostrbot_here(
            "audit", "export", "--home", self.home, "--operator", operator.npub, "-o", path, **self._variables
        )
        assert done.returncode == 0, done.stderr
        return path

    def assert_trail_verifies(self, operator: Person) -> None:
        """What an auditor does with an operator's trail."""
        verdict = nostrbot_here("audit", "verify", self.export(operator), "--bot", self.npub)
        assert (verdict.returncode, verdict.stderr) == (0, ""), verdict.stdout

    def told_secrets(self) -> list[str]:
        """What of people's keys and private words stands in the bot's output or log, where it must not (fault 90).

        Words are looked for by how they begin: a log would cut them short. The shortest are left out ("ok", "join").
        """
        written = self.log + self.output
        looked_for = {secret for person in self.people.values() for secret in person.secrets}
        key_file = (self.home / "keys" / "bot.nsec").read_text().strip()
        if key_file.startswith("nsec1"):
            looked_for |= {key_file, nostr_sdk.Keys.parse(key_file).secret_key().to_hex()}
        said = [text for person in self.people.values() for text in person.said]
        heard = [line for one in self.lines for answer in one.heard for line in answer.text.splitlines()]
        looked_for |= {text[:WORDS_CHARS] for text in (*said, *heard) if len(text) >= WORDS_CHARS_MIN}
        return sorted(text for text in looked_for if text in written)

    # --- people ---

    def person(self, name: str) -> Person:
        """Somebody by name, made when first named."""
        if name not in self.people:
            self.people[name] = Person(name)
        return self.people[name]

    def line(self, name: str, url: str | None = None) -> Line:
        """A line of that person's to a relay (the first, if not said)."""
        line = Line(self.person(name), self.pubkey, url or self.urls[0])
        self.lines.append(line)
        return line

    def open_operator(self, operator: str, *machines: str, platform: Line | None = None) -> Line:
        """Enrol an operator, and machines with 6.27 % of cash-out and 5 % of cash-in, in GTQ."""
        platform = platform or self.line("platform")
        platform.data(f"operator add {self.person(operator).npub} name={operator} tz=America/Guatemala")
        line = self.line(operator)
        for machine in machines:
            npub = self.person(machine).npub
            line.data(f"machine add {npub} name={machine} fiat=GTQ cash_in=5% cash_out=6.27%")
        return line

    def seat_lp(self, operator: Line, lp: str, machine: str, cash: str | None = None) -> Line:
        """Enrol an LP at a machine, let it join, and put cash into the machine for it."""
        operator.data(f"lp add {self.person(lp).npub} machine={machine} name={lp}")
        line = self.line(lp)
        line.data("join mode=flow")
        if cash is not None:
            deposit = operator.data(f"deposit add {lp} {cash} machine={machine}")["deposit"]
            operator.data(f"deposit confirm {deposit['id']}")
        return line


@contextmanager
def running_house(folder: Path, *urls: str, **options: Any) -> Iterator[House]:
    """A started bot for the length of a block. At its end the bot must stop at once, in peace, and have told no secret."""
    house = House(folder, *urls, **options)
    try:
        house.start()
        yield house
        if house.process is not None:
            assert house.stop() == 0, house.log[-2000:]
        assert house.told_secrets() == []
        assert "Traceback" not in house.log
    finally:
        house.close()
