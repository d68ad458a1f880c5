"""The words: what the README and the pages of docs/ show is what the program does.

What lives here: the sessions that the pages show, run as they stand; their command lines, what they say to the bot, the
relays.yaml, and the names the contract must list. What does not: whether each command of the command line is mentioned at
all (tests/test_repository.py).

The README ends with a first sale. Every other page goes on from there, on its own: a reader needs no other page first.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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

# What people follow. Rows of the lists below cite tests and code instead, and CHANGELOG.md has commands that are no more.
PAGES = {
    name: (ROOT / name).read_text()
    for name in ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
    if name not in ("docs/acceptance.md", "docs/faults.md", "docs/protocol.md")
}

README_LINES_MAX = 200
SESSION_TIMEOUT_S = 600  # some 20 commands, each a process of its own: 15 s on two idle cores
AN_NPUB = "npub1rwzv24nmzfjypx2a8m264ws9vht3uxp5vpypnluuzl67n4waq78suk0wul"
THE_PORT = "7447"

WITH_ARGUMENTS = re.compile(rf"(?:preview )?(?:{'|'.join(spec.verb for spec in TABLE)}) ")

# What stands before `nostrbot`, or for it, where a container or another user runs it.
BEHIND_OTHER_WORDS = re.compile(
    r"^(?:docker compose run --rm bot|docker compose exec bot nostrbot|sudo -u \w+ \S*/nostrbot)\b"
)


def code_blocks(text: str) -> list[str]:
    """Return the inside of every fenced block."""
    return re.findall(r"^```\w*\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def marked_blocks(text: str, mark: str) -> list[str]:
    """Return the inside of every fenced block that follows the comment `<!-- mark -->`."""
    return re.findall(rf"^<!-- {mark} -->\n```\w*\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def session(page: str) -> str:
    """Return the blocks of a page that are marked as one session, one after the other."""
    return "".join(marked_blocks(PAGES[page], "session"))


def without_blocks(text: str) -> str:
    """Return the sentences and tables of a page."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def answers_promised(script: str) -> list[str]:
    """Return the lines after `#>`."""
    return [line.removeprefix("#> ") for line in script.splitlines() if line.startswith("#> ")]


def command_lines(text: str) -> Iterator[list[str]]:
    """Yield the arguments of every `nostrbot …` in the code blocks, also inside `$( )`, a function, and behind others' words."""
    for block in code_blocks(text):
        for line in block.splitlines():
            bare = BEHIND_OTHER_WORDS.sub("nostrbot", line)
            outer = re.sub(r"\$\((?!nostrbot)[^)]*\)", "x", bare)  # "$(cat ana.npub)" is one word
            for found in re.findall(r"(?:^|\$\(|\{ |\| )nostrbot((?: [^)&|;>#]*)?)(?=[)&|;>#]|$)", outer):
                yield shlex.split(found)


def command_lines_in_sentences(text: str) -> Iterator[list[str]]:
    """Yield the arguments of every `nostrbot …` in backticks; they may leave out what must be given."""
    for said in re.findall(r"`nostrbot ([^`…]+)[^`]*`", without_blocks(text)):
        yield shlex.split(said if said.count('"') % 2 == 0 else said.replace('"', ""))


def things_said(text: str) -> Iterator[str]:
    """Yield the commands to the bot: in a session, in a block or a table of them, and with arguments in a sentence."""
    for block in marked_blocks(text, "session"):
        yield from re.findall(r'^say \w+ "(.*)"(?: >.*)?$', block, flags=re.MULTILINE)
    for block in marked_blocks(text, "say"):
        yield from block.splitlines()
    for table in re.findall(r"^\| say \| and \|\n(.*?)(?:\n\n|\Z)", text, flags=re.MULTILINE | re.DOTALL):
        for row in table.splitlines():
            yield from re.findall(r"`([^`]+)`", row.partition(" | ")[0])
    yield from (said for said in re.findall(r"`([^`\n]+)`", without_blocks(text)) if WITH_ARGUMENTS.match(said))


LINES = [(page, line) for page, text in PAGES.items() for line in command_lines(text)]
SENTENCES = [(page, line) for page, text in PAGES.items() for line in command_lines_in_sentences(text)]
SAID = sorted({said for text in PAGES.values() for said in things_said(text)})
GOING_ON = [page for page in PAGES if session(page) and page != "README.md"]


def named(value: str | list[str]) -> str:
    """Return the name of a parameter in the list of tests."""
    return value if isinstance(value, str) else " ".join(value)


class Outcome(NamedTuple):
    """What became of a session."""

    script: str
    code: int
    printed: str
    complaints: str


def follow(script: str, folder: Path, port: str) -> Outcome:
    """Type a session into a shell, as a reader would, and stop the bot and the relay at its end."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("NOSTRBOT_")}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    script = f"{script}\nkill $(jobs -pr) || true\nwait || true\n".replace(THE_PORT, port)
    with subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
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
    return Outcome(script, shell.returncode, printed, complaints)


def check_answers(outcome: Outcome) -> None:
    """Check that a session printed every line it promises, in their order; `…` stands for anything."""
    assert outcome.code == 0, f"{outcome.printed}\n{outcome.complaints}"
    left = outcome.printed.splitlines()
    for promised in answers_promised(outcome.script):
        wanted = re.compile(".*".join(re.escape(part) for part in promised.split("…")))
        at = next((number for number, line in enumerate(left) if wanted.fullmatch(line)), None)
        assert at is not None, (
            f"never printed, or not in its place: {promised}\n{outcome.printed}\n{outcome.complaints}"
        )
        left = left[at + 1 :]


@pytest.fixture(scope="module")
def first_sale(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """The README's session, followed once, and the folder it left behind."""
    folder = tmp_path_factory.mktemp("nostrbot-try")
    return folder, follow(session("README.md"), folder, str(free_port()))


def test_the_readme_session_does_what_it_says(first_sale: tuple[Path, Outcome]) -> None:
    """From keys to a receipt, by real processes over a real relay: the very commands, and every answer in its order."""
    check_answers(first_sale[1])


@pytest.mark.parametrize("page", GOING_ON)
def test_a_page_goes_on_from_the_first_sale(page: str, first_sale: tuple[Path, Outcome], tmp_path: Path) -> None:
    """Each page's session, started by the README's lines for coming back, in a copy of the folder of its own."""
    folder, before = first_sale
    assert before.code == 0, f"{before.printed}\n{before.complaints}"
    own = tmp_path / "nostrbot-try"
    shutil.copytree(folder, own)
    relays = own / "bot" / "relays.yaml"
    port = str(free_port())  # a reader keeps the port; here another test may have taken it since
    relays.write_text(re.sub(r"(?<=127\.0\.0\.1:)\d+", port, relays.read_text()))
    (come_back,) = marked_blocks(README, "come back")

    check_answers(follow(come_back + session(page), own, port))


def test_the_sessions_are_found() -> None:
    """Were the marks to change, the tests here would check nothing."""
    assert set(GOING_ON) >= {f"docs/{name}.md" for name in ("audit", "lps", "machines", "operations", "operators")}
    assert sum(len(answers_promised(session(page))) for page in PAGES) >= 40
    assert len(SAID) >= 60
    assert len(LINES) >= 40
    assert len(SENTENCES) >= 20


def test_the_readme_is_short() -> None:
    """What not everybody needs is on a page of its own."""
    assert len(README.splitlines()) <= README_LINES_MAX


@pytest.mark.parametrize(("page", "arguments"), LINES, ids=named)
def test_each_command_line_of_a_page_is_one(page: str, arguments: list[str]) -> None:
    """Every command and option exists and every option that must be given is; nothing is run."""
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *arguments = arguments
        assert name in command.commands
        command = command.commands[name]
    with command.make_context("nostrbot", arguments) as context:
        assert context.params


@pytest.mark.parametrize(("page", "arguments"), SENTENCES, ids=named)
def test_each_command_line_in_a_sentence_exists(page: str, arguments: list[str]) -> None:
    """Its command is one, and so is each option it names."""
    command = typer.main.get_command(app)
    while hasattr(command, "commands") and arguments:
        name, *arguments = arguments
        assert name in command.commands
        command = command.commands[name]
    options = {option for parameter in command.params for option in [*parameter.opts, "--help"]}
    assert {word for word in arguments if word.startswith("-") and word != "-"} <= options


@pytest.mark.parametrize("said", SAID)
def test_each_thing_a_page_says_to_the_bot_is_understood(said: str) -> None:
    """A command on a page is one of the table, with arguments it takes."""
    filled = re.sub(r"\$\([^)]*\)|npub1…", AN_NPUB, said)
    assert isinstance(parse(filled), Command), parse(filled)


def test_every_path_a_contributor_is_sent_to_is_there() -> None:
    """A module that was renamed is renamed in CONTRIBUTING.md too; its paths begin at the package, or at the checkout."""
    paths = re.findall(r"`((?:[\w.-]+/)*(?:[\w-]+\.py|[\w-]+/))`", PAGES["CONTRIBUTING.md"])
    assert len(paths) >= 20
    assert [path for path in paths if not (ROOT / "nostrbot" / path).exists() and not (ROOT / path).exists()] == []


def test_the_relays_file_on_its_page_is_read_as_it_says(tmp_path: Path) -> None:
    """The example in docs/operations.md is a whole relays.yaml."""
    (example,) = marked_blocks(PAGES["docs/operations.md"], "relays.yaml")
    path = tmp_path / "relays.yaml"
    path.write_text(example)

    settings = read_relays(path)

    assert settings.relays == (RelayConfig("wss://relay.example.com", read=True, write=True),)
    assert (settings.min_ok, settings.recipient_relays) == (1, True)


def test_the_figures_of_the_readme_are_those_of_the_page() -> None:
    """Both come from one run of `make bench`."""
    quoted = README.partition("## Figures")[2].partition("\n## ")[0]
    rows = [line for line in quoted.splitlines() if line.startswith("| ") and not line.startswith("| | ")]
    assert len(rows) >= 5
    for row in rows:
        for figure in re.findall(r"\d[\d,.]*\d", row.rpartition(" | ")[2] or row.split(" | ")[-1]):
            assert figure in PAGES["docs/figures.md"], f"{figure} of {row}"


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


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md", "keys/README.md", "docs/protocol.md"])
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
