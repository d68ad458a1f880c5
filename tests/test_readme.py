"""The words: what README and docs/protocol.md show is what the program does.

What lives here: the README's session run as it stands, its command lines, its relays.yaml, and the names the contract
must list. What does not: whether each command of the command line is mentioned at all (tests/test_repository.py).
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from nostrbot.cli import app
from nostrbot.core.commands.command import Command
from nostrbot.core.commands.refused import Code
from nostrbot.core.parsing import parse
from nostrbot.core.table import TABLE
from nostrbot.home.config import read_relays
from nostrbot.refusals import Reason
from nostrbot.relays.relay import RelayConfig
from tests.peers.ports import free_port

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()

SESSION_TIMEOUT_S = 600  # some 40 commands, each a process of its own: 30 s on two idle cores
AN_NPUB = "npub1rwzv24nmzfjypx2a8m264ws9vht3uxp5vpypnluuzl67n4waq78suk0wul"


def code_blocks(text: str) -> list[str]:
    """The inside of every fenced block."""
    return re.findall(r"^```\w*\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def session() -> str:
    """The blocks of the README that are marked as one session, one after the other."""
    return "".join(re.findall(r"^<!-- session -->\n```sh\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL))


def answers_promised(script: str) -> list[str]:
    """The lines after `#>`."""
    return [line.removeprefix("#> ") for line in script.splitlines() if line.startswith("#> ")]


def command_lines(text: str) -> Iterator[list[str]]:
    """The arguments of every `nostrbot …` in the code blocks, also inside `$( )`, a function and `docker run`."""
    for block in code_blocks(text):
        for line in block.splitlines():
            outer = re.sub(r"\$\((?!nostrbot)[^)]*\)", "x", line)  # "$(cat ana.npub)" is one word
            found = re.search(r"(?:^|\$\(|\{ |docker (?:run|exec) .* )nostrbot((?: [^)&|;>]*)?)(?:[)&|;>]|$)", outer)
            if found:
                yield shlex.split(found[1], comments=True)


def things_to_say(text: str) -> list[str]:
    """The commands in the first column of the table of things to say."""
    table = text.partition("| say | and |")[2].partition("\n\n")[0]
    return [said for row in table.splitlines() for said in re.findall(r"`([^`]+)`", row.partition(" | ")[0])]


LINES = list(command_lines(README))
SAID = re.findall(r'^say \w+ "(.*)"$', session(), flags=re.MULTILINE)
TO_SAY = things_to_say(README)


def test_the_readme_session_does_what_it_says(tmp_path: Path) -> None:
    """From keys to an audit, by real processes over a real relay: the very commands, and every answer in its order."""
    script = session().replace("7447", str(free_port()))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("NOSTRBOT_")}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    with subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environ,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as shell:
        try:
            printed, complaints = shell.communicate(timeout=SESSION_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            printed, complaints = shell.communicate()
            pytest.fail(f"not over within {SESSION_TIMEOUT_S} s:\n{printed}\n{complaints}")
        finally:
            if shell.poll() is None:
                os.killpg(shell.pid, signal.SIGKILL)

    assert shell.returncode == 0, f"{printed}\n{complaints}"
    left = printed.splitlines()
    for promised in answers_promised(script):
        wanted = re.compile(".*".join(re.escape(part) for part in promised.split("…")))
        at = next((number for number, line in enumerate(left) if wanted.fullmatch(line)), None)
        assert at is not None, f"never printed, or not in its place: {promised}\n{printed}\n{complaints}"
        left = left[at + 1 :]


def test_the_session_is_found() -> None:
    """Were the marks to change, the tests here would check nothing."""
    assert len(answers_promised(session())) >= 20
    assert len(SAID) >= 12
    assert len(TO_SAY) >= 8
    assert len(LINES) >= 12


@pytest.mark.parametrize("arguments", LINES, ids=" ".join)
def test_each_command_line_in_the_readme_is_one(arguments: list[str]) -> None:
    """Every command and option exists and every option that must be given is; nothing is run."""
    command = typer.main.get_command(app)
    if not arguments:
        return  # `docker run … nostrbot`: what the image runs by itself
    while hasattr(command, "commands"):
        name, *arguments = arguments
        assert name in command.commands
        command = command.commands[name]
    with command.make_context("nostrbot", arguments) as context:
        assert context.params


@pytest.mark.parametrize("said", [*SAID, *TO_SAY])
def test_each_thing_the_readme_says_to_the_bot_is_understood(said: str) -> None:
    """A command in the README is one of the table, with arguments it takes."""
    filled = re.sub(r"\$\([^)]*\)|npub1…", AN_NPUB, said)
    assert isinstance(parse(filled), Command), parse(filled)


def test_the_relays_file_in_the_readme_is_read_as_it_says(tmp_path: Path) -> None:
    """The example in the README is a whole relays.yaml."""
    (example,) = re.findall(r"^<!-- relays.yaml -->\n```yaml\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    path = tmp_path / "relays.yaml"
    path.write_text(example)

    settings = read_relays(path)

    assert settings.relays == (RelayConfig("wss://relay.example.com", read=True, write=True),)
    assert (settings.min_ok, settings.recipient_relays) == (1, True)


@pytest.mark.parametrize("verb", [form.verb for form in TABLE])
def test_every_command_of_the_table_is_in_the_contract(verb: str) -> None:
    """docs/protocol.md has a row that begins with the command, and names each of its arguments."""
    (form,) = (form for form in TABLE if form.verb == verb)
    rows = [line for line in PROTOCOL.splitlines() if re.match(rf"\| `{verb}[ `]", line)]
    assert len(rows) == 1, f"docs/protocol.md has {len(rows)} rows for `{verb}`"
    for arg in form.args:
        if arg.positional or arg.shown:
            assert re.search(rf"<{arg.name}>|\b{arg.name}=", rows[0]), f"`{verb}`: {arg.name} is not in its row"


@pytest.mark.parametrize("code", Code)
def test_every_code_of_a_refused_command_is_in_the_contract(code: Code) -> None:
    """The list of codes is closed."""
    assert re.search(rf"^\| `{code}` \|", PROTOCOL, flags=re.MULTILINE)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_of_a_refusal_is_in_the_contract(reason: Reason) -> None:
    """What `status` counts and what an ack names can be looked up."""
    assert f"`{reason}`" in PROTOCOL


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CHANGELOG.md",
        "keys/README.md",
        "docs/protocol.md",
        "docs/architecture.md",
        "docs/operations.md",
        "docs/security.md",
    ],
)
def test_every_link_to_a_file_leads_somewhere(page: str) -> None:
    """A file that was renamed is renamed in the words too, and a heading that is linked to is there."""
    path = ROOT / page
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([\w-]+))?\)", path.read_text()):
        linked = path.parent / target if target else path
        assert linked.exists(), f"{page} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), flags=re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", ["docs/acceptance.md", "docs/faults.md", "docs/security.md"])
def test_every_test_a_row_names_is_there(page: str) -> None:
    """A test that was renamed is renamed in the row too."""
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", (ROOT / page).read_text())
    assert len(named) >= 20
    for file, test in named:
        found = re.search(rf"^(?:async )?def {test}\(", (ROOT / "tests" / file).read_text(), flags=re.MULTILINE)
        assert found, f"{page} names {file}::{test}"
