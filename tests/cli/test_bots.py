"""`nostrbot init` in this process: what it prints for programs, and that it overwrites nothing."""

import json
from pathlib import Path

from typer.testing import CliRunner

from nostrbot.cli import app
from nostrbot.home.config import Home
from nostrbot.nostr.keys import read_pubkey
from tests.offices import PLATFORM

RELAY = ("--relay", "wss://relay.example.com")


def test_init_says_as_json_what_it_made(tmp_path: Path) -> None:
    """The npub and the key are the same, and stand in a home that is there."""
    done = CliRunner().invoke(
        app, ["init", "--home", str(tmp_path / "bot"), "--platform", PLATFORM.npub, *RELAY, "--json"]
    )
    said = json.loads(done.stdout)
    assert read_pubkey(said["npub"]) == said["pubkey"]
    assert Path(said["home"]) == tmp_path / "bot"
    assert Home(tmp_path / "bot").key_file.is_file()


def test_a_home_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    """A second `init` changes no byte of the key."""
    words = ["init", "--home", str(tmp_path / "bot"), "--platform", PLATFORM.npub, *RELAY]
    CliRunner().invoke(app, words)
    key = Home(tmp_path / "bot").key_file.read_bytes()
    assert CliRunner().invoke(app, words).exit_code != 0
    assert Home(tmp_path / "bot").key_file.read_bytes() == key


def test_a_bot_that_is_its_own_platform_does_not_run(tmp_path: Path) -> None:
    """Whoever wrote its own npub there would be told by nobody that no platform can be heard."""
    home = Home(tmp_path / "bot")
    made = CliRunner().invoke(app, ["init", "--home", str(home.path), "--platform", PLATFORM.npub, *RELAY, "--json"])
    home.platform_file.write_text(json.loads(made.stdout)["npub"])
    refused = CliRunner().invoke(app, ["run", "--home", str(home.path)])
    assert refused.exit_code != 0
    assert "holds the bot's own npub" in f"{refused.output}{refused.exception}"
