"""The systemd unit, the compose file and docs/operations.md: whatever they name is there, and means what they say.

Nothing here needs systemd or Docker; where `systemd-analyze` is there, it reads the unit too.
"""

import ctypes
import re
import shlex
import shutil
import signal
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from nostrbot.cli import app
from nostrbot.cli.shutdown import END_MAX_S
from nostrbot.cli.terminal import BAD_USAGE
from nostrbot.home.config import Home
from nostrbot.monitoring.endpoint import read_address
from nostrbot.monitoring.exposition import exposition
from tests.e2e.house import environment
from tests.monitoring.test_exposition import BOOKS, read, state
from tests.peers.program import PROGRAM
from tests.test_readme import command_lines

ROOT = Path(__file__).parent.parent
UNIT = (ROOT / "deploy" / "nostrbot.service").read_text()
COMPOSE = (ROOT / "compose.yaml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()

PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
AN_NPUB = "npub1rwzv24nmzfjypx2a8m264ws9vht3uxp5vpypnluuzl67n4waq78suk0wul"


def assert_is_command(words: list[str]) -> None:
    """The command line takes these words after `nostrbot`; nothing is run."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, name
        command = command.commands[name]
    with command.make_context("nostrbot", words) as context:
        assert context.params


def unit() -> dict[str, dict[str, str]]:
    """The unit's sections; of a setting that is there twice, both."""
    parser = ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(re.sub(r"^(SystemCallFilter)=~", r"\1 not=", UNIT, flags=re.MULTILINE))
    return {section: dict(parser[section]) for section in parser.sections()}


def documented_variables() -> set[str]:
    """The environment variables of the contract."""
    return set(re.findall(r"`(NOSTRBOT_\w+)`", PROTOCOL.partition("**Environment:**")[2].partition("\n\n")[0]))


def bot() -> dict[str, Any]:
    """The compose file's only service."""
    services = yaml.safe_load(COMPOSE)["services"]
    assert list(services) == ["bot"]
    service: dict[str, Any] = services["bot"]
    return service


# --- systemd ----------------------------------------------------------------------------------------------------------


def test_the_unit_runs_a_command_that_there_is() -> None:
    """Its program is where the page installs it; its home is the folder that systemd makes for it alone."""
    service = unit()["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert_is_command(words)
    assert f"{Path(program).parent}/pip install" in OPERATIONS
    settings = dict(word.split("=", 1) for word in shlex.split(service["Environment"]))
    assert settings["NOSTRBOT_HOME"] == f"/var/lib/{service['StateDirectory']}"
    assert settings["NOSTRBOT_HOME"] in OPERATIONS
    assert {name for name in settings if name.startswith("NOSTRBOT_")} <= documented_variables()
    assert (service["StateDirectoryMode"], service["UMask"]) == ("0700", "0077")
    assert service["EnvironmentFile"].removeprefix("-") in OPERATIONS


def test_the_unit_waits_for_the_end_and_does_not_repeat_what_a_person_must_change() -> None:
    """It kills later than the bot ends by itself; exit 2 is final, a crash is not."""
    service = unit()["Service"]
    assert int(service["TimeoutStopSec"]) > END_MAX_S
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == str(BAD_USAGE)


def test_the_unit_lets_the_bot_do_no_more_than_it_must() -> None:
    """No privileges, nothing to write to but its home, no code made at run time, only the sockets that relays and metrics need."""
    service = unit()["Service"]
    hardened = (
        "NoNewPrivileges",
        "PrivateTmp",
        "PrivateDevices",
        "ProtectHome",
        "MemoryDenyWriteExecute",
        "LockPersonality",
    )
    assert {service[name] for name in hardened} == {"yes"}
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert set(service["RestrictAddressFamilies"].split()) == {"AF_INET", "AF_INET6", "AF_UNIX"}
    assert (service["SystemCallFilter"], service["SystemCallFilter not"]) == (
        "@system-service",
        "@privileged @resources",
    )
    assert service["LimitCORE"] == "0"


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """Without a warning, and it finds little that could be taken away as well."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    path = tmp_path / "nostrbot.service"
    path.write_text(UNIT.replace("/opt/nostrbot/bin/nostrbot", "/bin/true"))
    verdict = subprocess.run([analyze, "verify", path], capture_output=True, text=True, check=False)
    assert (verdict.returncode, verdict.stdout + verdict.stderr) == (0, "")
    security = [analyze, "security", "--offline=true", "--threshold=20", "--no-pager", path]
    assert subprocess.run(security, capture_output=True, check=False).returncode == 0


def test_the_bot_needs_no_memory_that_is_both_writable_and_executable(tmp_path: Path) -> None:
    """MemoryDenyWriteExecute, as the kernel has it: an encrypted key (a Rust library by ctypes), signatures, the event loop."""
    if ctypes.CDLL(None).prctl(PR_SET_MDWE, 0, 0, 0, 0) != 0:
        pytest.skip("this kernel cannot refuse it")
    line = f"import ctypes, os, sys; assert not ctypes.CDLL(None).prctl({PR_SET_MDWE}, {PR_MDWE_REFUSE_EXEC_GAIN}, 0, 0, 0)"
    denied = [sys.executable, "-c", f"{line}; os.execv(sys.argv[1], sys.argv[1:])", PROGRAM]
    settings = environment(NOSTRBOT_KEY_PASSPHRASE="open sesame", NOSTRBOT_HOME=str(tmp_path / "home"))
    make = [*denied, "init", "--platform", AN_NPUB, "--relay", "ws://127.0.0.1:1"]
    made = subprocess.run(make, env=settings, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    running = subprocess.Popen([*denied, "run"], env=settings, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    assert "cannot be reached" in running.stderr.readline()
    running.send_signal(signal.SIGTERM)
    _, told = running.communicate(timeout=10)
    assert (running.returncode, "stopped" in told) == (0, True), told


# --- containers -------------------------------------------------------------------------------------------------------


def test_compose_runs_the_image_with_its_home_in_a_volume() -> None:
    """The volume is where the image has its home, as user, command and folder of the Dockerfile say."""
    service = bot()
    (volume,) = service["volumes"]
    name, folder = volume.split(":")
    assert name in yaml.safe_load(COMPOSE)["volumes"]
    assert service["environment"]["NOSTRBOT_HOME"] == folder
    assert re.search(rf"^VOLUME {folder}$", DOCKERFILE, flags=re.MULTILINE)
    assert f"NOSTRBOT_HOME={folder}" in DOCKERFILE
    assert 'ENTRYPOINT ["nostrbot"]\nCMD ["run"]' in DOCKERFILE
    assert "command" not in service
    assert set(service["environment"]) <= documented_variables()


def test_compose_lets_the_bot_do_no_more_than_it_must() -> None:
    """A read-only root, no capabilities, no new privileges, bounds; metrics for this network namespace only."""
    service = bot()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"pids_limit", "mem_limit"} <= set(service)
    assert "ports" not in service
    assert read_address(service["environment"]["NOSTRBOT_METRICS"]).is_loopback
    assert int(service["stop_grace_period"].removesuffix("s")) > END_MAX_S


def test_compose_asks_after_the_bots_health() -> None:
    """By the command that the image itself uses."""
    kind, program, *words = bot()["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "nostrbot")
    assert_is_command(words)
    assert str([program, *words]).replace("'", '"') in DOCKERFILE


def test_the_commands_in_the_compose_file_are_commands() -> None:
    """`docker compose run --rm bot …` says what the image's entry point takes."""
    said = re.findall(r"docker compose (?:run --rm|exec) bot (?:nostrbot )?(.*)", COMPOSE + OPERATIONS)
    assert len(said) >= 3
    for words in said:
        assert_is_command(shlex.split(words.replace("npub1…", AN_NPUB)))


# --- docs/operations.md -----------------------------------------------------------------------------------------------


def commented(name: str) -> str:
    """A part of the page between its marks."""
    return OPERATIONS.partition(f"<!-- {name} -->")[2].partition(f"<!-- {name} end -->")[0]


def metrics() -> dict[str, bool]:
    """The names of the bot's own metrics, and whether they have a label."""
    return {
        re.sub(r"_(bucket|sum|count)$", "", name): bool(label)
        for name, label in read(exposition(state(), BOOKS))
        if name.startswith("nostrbot_")
    }


def test_the_page_lists_every_metric_and_no_other() -> None:
    """With the labels they have."""
    rows = dict(re.findall(r"^\| `(nostrbot_\w+)` \|([^|]*)\|", commented("metrics"), flags=re.MULTILINE))
    assert {name: bool(labels.strip()) for name, labels in rows.items()} == {
        **metrics(),
        "nostrbot_commit_duration_seconds": True,
    }


def test_alert_rules_speak_of_metrics_that_there_are() -> None:
    """Each is YAML as Prometheus reads it, with a name of its own."""
    text = commented("alerts").removeprefix("\n```yaml\n").removesuffix("```\n")
    (group,) = yaml.safe_load(text)["groups"]
    rules = group["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 8
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for"}
        for name in re.findall(r"nostrbot_\w+", rule["expr"]):
            assert re.sub(r"_(bucket|sum|count)$", "", name) in metrics(), name


@pytest.mark.parametrize("words", list(command_lines(OPERATIONS)), ids=" ".join)
def test_each_command_line_of_the_page_is_one(words: list[str]) -> None:
    """Every command and option exists."""
    assert_is_command([AN_NPUB if word == "npub1…" else word for word in words])


def test_the_page_names_every_setting_and_every_file_of_the_home() -> None:
    """The contract's variables, and what home/config.py calls the files."""
    assert set(re.findall(r"^\| `(NOSTRBOT_\w+)`", OPERATIONS, flags=re.MULTILINE)) == documented_variables()
    home = Home(Path("home"))
    for file in (home.key_file, home.platform_file, home.relays_file, home.database_file, home.lock_file):
        assert f"| `{file.relative_to(home.path)}`" in OPERATIONS
