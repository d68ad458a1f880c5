"""What the repository promises a newcomer: make's targets, the example relays.yaml, the locks, the README.

Nothing here runs the bot; the borders inside the package are tests/test_layers.py.
"""

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import LONG, TESTS

ROOT = Path(__file__).parent.parent
LOCKS = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.lock"), *ROOT.glob("tests/*.lock")])

# A path that exists on one machine only.
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root)/[\w.]")


def test_make_alone_lists_every_promised_target() -> None:
    """`make` with no target changes nothing and says what there is to make."""
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    listing = subprocess.run(["make"], cwd=ROOT, env=quiet, capture_output=True, text=True, check=True).stdout
    described = dict(re.findall(r"^ *make (\w+) +(\S.*)$", listing, flags=re.MULTILINE))
    assert set(described) == {"help", "demo", "test", "coverage", "soak", "bench", "lint", "types", "lock", "clean"}


def test_the_files_that_are_begun_first_are_there() -> None:
    """One that was renamed would be begun last."""
    assert [name for name in LONG if not (TESTS / name).is_file()] == []


@pytest.mark.parametrize("page", ["faults", "acceptance"])
def test_the_tests_that_a_page_names_are_there(page: str) -> None:
    """A row without its test would be a promise that nobody checks."""
    named = re.findall(r"`(?:tests/)?([\w/]+\.py)(?:::(\w+)\*?)?`", (ROOT / "docs" / f"{page}.md").read_text())
    assert len(named) > 50
    assert [
        (file, test)
        for file, test in named
        if not (TESTS / file).is_file() or (test and f"def {test}" not in (TESTS / file).read_text())
    ] == []


def test_example_relays_file_has_exactly_the_documented_settings() -> None:
    """relays.yaml is the example in docs/protocol.md section 8: no setting more, none less, each of its type."""
    settings = yaml.safe_load((ROOT / "relays.yaml").read_text())

    assert {name: type(value) for name, value in settings.items()} == {"relays": list, "publish": dict}
    for relay in settings["relays"]:
        assert {name: type(value) for name, value in relay.items()} == {"url": str, "read": bool, "write": bool}
    assert {name: type(value) for name, value in settings["publish"].items()} == {
        "min_ok": int,
        "recipient_relays": bool,
    }
    assert 1 <= settings["publish"]["min_ok"] <= sum(relay["write"] for relay in settings["relays"])


def locked_requirements(lock: str) -> Iterator[tuple[Requirement, list[str]]]:
    """Each requirement of a lock with its options (`--hash=...`)."""
    logical_lines = (ROOT / lock).read_text().replace("\\\n", " ").splitlines()
    for line in logical_lines:
        requirement, *options = re.split(r"\s+(?=--)", line.strip())
        if requirement and not requirement.startswith("#"):
            yield Requirement(requirement), [option.strip() for option in options]


def test_there_is_a_lock_for_the_package() -> None:
    """Without it the tests below would check nothing."""
    assert "requirements.lock" in LOCKS


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_every_requirement_by_hash(lock: str) -> None:
    """pip refuses a file that is not, byte for byte, the one that was locked."""
    for requirement, options in locked_requirements(lock):
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), f"{requirement} is not pinned to one version"
        assert options, f"{requirement} has no hash"
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", option) for option in options), requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_registry_and_no_folder(lock: str) -> None:
    """Where packages come from is the business of whoever installs them."""
    text = (ROOT / lock).read_text()
    assert not re.search(r"\w://|^\s*-(?!-hash=)|@\s|file:", text, flags=re.MULTILINE)


def test_lock_agrees_with_pyproject() -> None:
    """Everything pyproject.toml asks for is locked, in a version it accepts; so is what builds the package offline."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    locked = {canonicalize_name(pin.name): pin.specifier for pin, _ in locked_requirements("requirements.lock")}

    for text in [*wanted, "editables"]:  # hatchling asks for editables when it installs the package in place
        requirement = Requirement(text)
        pin = locked.get(canonicalize_name(requirement.name))
        assert pin, f"{text} is not in requirements.lock: run `make lock`"
        version = str(pin).removeprefix("==")
        assert requirement.specifier.contains(version), f"{text} is locked at {version}: run `make lock`"


def commands_of(group: object, *above: str) -> Iterator[tuple[str, str]]:
    """(command as typed, its help) for every command below a group of the command line."""
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            yield from commands_of(command, *above, name)
        elif not command.hidden:
            yield " ".join(["nostrbot", *above, name]), command.help or ""


def test_a_page_mentions_each_command_and_each_has_help() -> None:
    """A command that neither the README nor a page of docs/ names is one that nobody finds."""
    try:
        from nostrbot.cli import app
    except ImportError as missing:
        pytest.fail(f"nostrbot.cli has no `app` to read the commands from: {missing}")
    pages = "".join(path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    commands = dict(commands_of(typer.main.get_command(app)))

    assert commands, "the command line has no commands"
    assert [command for command in commands if command not in pages] == []
    assert [command for command, explained in commands.items() if not explained.strip()] == []


def tracked_files() -> list[Path]:
    """Every file in git, or a skip where this is no checkout (a source archive, an image)."""
    git = shutil.which("git")
    if not git or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_path_of_one_machine() -> None:
    """A checkout works wherever it lies."""
    found = []
    for path in tracked_files():
        lines = path.read_text(errors="replace").splitlines()
        found += [f"{path}:{number}: {line}" for number, line in enumerate(lines, 1) if MACHINE_PATH.search(line)]
    assert found == []


def test_no_key_is_in_git() -> None:
    """Of keys/ only the page about it and its .gitignore are ever committed."""
    assert {path.name for path in tracked_files() if path.parent == ROOT / "keys"} <= {".gitignore", "README.md"}


@pytest.mark.parametrize("folder", ["work/x", "root/.profile"])
@pytest.mark.parametrize("before", ["", " ", "'", "file://", "HOME="])
def test_a_path_of_one_machine_is_recognised(before: str, folder: str) -> None:
    """Put together here, so that this file does not find itself."""
    assert MACHINE_PATH.search(f"{before}/{folder}")


@pytest.mark.parametrize("path", ["docs/work/x", "/workshop/x", "a.b/root/x", "work on it"])
def test_other_paths_are_left_in_peace(path: str) -> None:
    """Folders of the same name elsewhere, and the words themselves, are no machine's path."""
    assert not MACHINE_PATH.search(path)
