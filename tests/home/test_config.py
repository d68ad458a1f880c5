"""Configuration: each mistake in relays.yaml, the home and the environment is one line that says what to change."""

from pathlib import Path

import pytest
import yaml

from nostrbot.errors import ConfigError
from nostrbot.home.config import Home, read_relays, relays_text
from nostrbot.relays.relay import RelayConfig
from tests.signers import Signer

# What a person wrote, and the words by which they are told what is wrong.
MISTAKES = {
    "nothing": ("", r"must begin with `relays:`, and below it a line for each relay"),
    "only a comment": ("# relays\n", r"must begin with `relays:`, and below it a line for each relay"),
    "a list": ("- url: wss://a.example\n", r"must begin with `relays:`, and below it a line for each relay"),
    "not YAML": ("relays: [\n", r"line 2: not YAML"),
    "a tab": ("relays:\n\t- url: wss://a.example\n", r"line 2: not YAML"),
    "not text": (b"\xff\xfe\x00relays", r"not YAML"),
    "a control character": ("relays: \x00\n", r"not YAML"),
    "an object of Python": ("relays: !!python/object/apply:os.getcwd []\n", r"line 1: not YAML"),
    "no relays": ("publish:\n  min_ok: 1\n", r"relays is missing"),
    "an empty list": ("relays: []\n", r"relays must name at least one relay, like - url: wss://"),
    "one relay, not a list": (
        "relays:\n  url: wss://a.example\n",
        r"relays must be a list: each relay on its own line, like - url: wss://",
    ),
    "a bare url": ("relays:\n  - wss://a.example\n", r"relay 1 must be written like - url: wss://"),
    "no url": ("relays:\n  - read: true\n", r"relay 1: url is missing"),
    "a number": ("relays:\n  - url: 7\n", r"relay 1: url must be text"),
    "https": ("relays:\n  - url: https://a.example\n", r"relay 'https://a\.example': the url must look like wss://"),
    "no host": ("relays:\n  - url: 'wss://'\n", r"relay 'wss://': the url must look like wss://"),
    "no port": ("relays:\n  - url: wss://a.example:x\n", r"relay 'wss://a\.example:x': "),
    "a port too far": ("relays:\n  - url: wss://a.example:70000\n", r"relay 'wss://a\.example:70000': "),
    "twice": (
        "relays:\n  - url: wss://a.example\n  - url: wss://a.example\n",
        r": wss://a\.example is there twice: leave one",
    ),
    "twice, written otherwise": (
        "relays:\n  - url: wss://a.example/x\n  - url: WSS://A.Example.:443/y/../%78/\npublish:\n  min_ok: 2\n",
        r": wss://a\.example/x/ is there twice, once as wss://a\.example/x: leave one",
    ),
    "a user name": ("relays:\n  - url: wss://me:pw@a.example\n", r"a user name has no place in a relay's url"),
    "a fragment": ("relays:\n  - url: 'wss://a.example/#x'\n", r"a fragment, which begins with #, has no place"),
    "a misspelt key": (
        "relays:\n  - url: wss://a.example\n    raed: true\n",
        r"there is no setting 'raed' of relay 1: there is url, read, write",
    ),
    "a word for a switch": (
        "relays:\n  - url: wss://a.example\n    read: often\n",
        r"relay 1: read must be true or false, without quotes",
    ),
    "a number for a switch": (
        "relays:\n  - url: wss://a.example\n    read: 1\n",
        r"relay 1: read must be true or false, without quotes",
    ),
    "no one to read": ("relays:\n  - url: wss://a.example\n    read: false\n", r"set read: true for at least one"),
    "no one to write to": (
        "relays:\n  - url: wss://a.example\n    write: false\n",
        r"publish\.min_ok is 1, but 0 relays have write: true: make min_ok smaller, or add relays",
    ),
    "min_ok above the writers": (
        "relays:\n  - url: wss://a.example\npublish:\n  min_ok: 2\n",
        r"publish\.min_ok is 2, but 1 relay has write: true: ",
    ),
    "min_ok zero": (
        "relays:\n  - url: wss://a.example\npublish:\n  min_ok: 0\n",
        r"publish\.min_ok must be 1 or more",
    ),
    "min_ok a half": (
        "relays:\n  - url: wss://a.example\npublish:\n  min_ok: 0.5\n",
        r"publish\.min_ok must be a whole number",
    ),
    "a misspelt section": ("relay:\n  - url: wss://a.example\n", r"relays is missing"),
    "a word of another language for a switch": (
        "relays:\n  - url: wss://a.example\n    read: si\n",
        r"read must be true or false",
    ),
    "the second of two": (
        "relays:\n  - url: wss://a.example\n  - wss://b.example\n",
        r"relay 2 must be written like - url",
    ),
    "a section without settings": (
        "relays:\n  - url: wss://a.example\npublish: 1\n",
        r"publish must have its settings below it",
    ),
    "a misspelt key of a section": (
        "relays:\n  - url: wss://a.example\npublish:\n  minok: 1\n",
        r"there is no setting 'minok' of publish: there is min_ok, recipient_relays",
    ),
    "an unknown section": (
        "relays:\n  - url: wss://a.example\nlimits: {}\n",
        r"there is no setting 'limits': there is relays, publish",
    ),
    "65 relays": (
        "relays:\n" + "".join(f"  - url: wss://r{n}.example\n" for n in range(65)),
        r"relays must name at most 64 relays",
    ),
    "too large": ("# " + "x" * 70_000, r"larger than 65536 bytes"),
    "3,000 deep": ("[" * 3_000, r"not YAML"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_relays_yaml_is_one_line(tmp_path: Path, mistake: str) -> None:
    """It names the file, the place, and what is wanted there."""
    written, complaint = MISTAKES[mistake]
    path = tmp_path / "relays.yaml"
    path.write_bytes(written if isinstance(written, bytes) else written.encode())
    with pytest.raises(ConfigError, match=complaint) as caught:
        read_relays(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_no_relays_yaml_is_one_line(tmp_path: Path) -> None:
    """A missing file, or a folder in its place."""
    with pytest.raises(ConfigError, match=r"relays\.yaml: No such file or directory; `nostrbot init` writes one"):
        read_relays(tmp_path / "relays.yaml")
    with pytest.raises(ConfigError, match="Is a directory"):
        read_relays(tmp_path)


def test_what_is_not_written_has_its_default(tmp_path: Path) -> None:
    """A url is enough: read and write, one OK, recipients' relays too."""
    path = tmp_path / "relays.yaml"
    path.write_text("relays:\n  - url: wss://a.example\n  - url: ws://b.example:7447/path\n    write: false\n")
    settings = read_relays(path)
    assert settings.relays == (
        RelayConfig("wss://a.example", read=True, write=True),
        RelayConfig("ws://b.example:7447/path", read=True, write=False),
    )
    assert (settings.min_ok, settings.recipient_relays) == (1, True)


@pytest.mark.parametrize(
    "url", ["wss://a.example", "ws://127.0.0.1:7447", "wss://a.example/%23'%22:!x", "ws://[::1]:81"]
)
def test_what_init_writes_is_read_back(tmp_path: Path, url: str) -> None:
    """Whatever is in the url: the text is YAML, and says the same."""
    path = tmp_path / "relays.yaml"
    path.write_text(relays_text([url, "wss://other.example"]))
    assert [relay.url for relay in read_relays(path).relays] == [url, "wss://other.example"]
    assert yaml.safe_load(path.read_text())["publish"] == {"min_ok": 1, "recipient_relays": True}


@pytest.mark.parametrize("url", ["", "relay.example.com", "https://relay.example.com", "wss://", "wss://a:b"])
def test_init_refuses_what_is_no_relay(url: str) -> None:
    """Before anything is written."""
    with pytest.raises(ConfigError, match="relay '"):
        relays_text([url])


# --- the home -----------------------------------------------------------------------------------------------------


def test_the_database_is_in_the_home_unless_the_environment_says_otherwise(tmp_path: Path) -> None:
    """NOSTRBOT_DATABASE_URL wins; empty it counts as not set."""
    home = Home(tmp_path)
    inside = f"sqlite+aiosqlite:///{tmp_path}/nostrbot.sqlite"
    assert home.database_url({}) == inside
    assert home.database_url({"NOSTRBOT_DATABASE_URL": ""}) == inside
    elsewhere = "sqlite+aiosqlite:////elsewhere/bot.sqlite"
    assert home.database_url({"NOSTRBOT_DATABASE_URL": elsewhere}) == elsewhere


def test_the_platform_is_read_as_it_was_written(tmp_path: Path) -> None:
    """As an npub in a file that people can read."""
    platform, home = Signer("platform"), Home(tmp_path)
    home.key_file.parent.mkdir()
    home.write_platform(platform.pubkey)
    assert home.platform_file.read_text() == platform.npub + "\n"
    assert home.platform() == platform.pubkey


def test_a_folder_that_is_no_home_says_how_to_make_one(tmp_path: Path) -> None:
    """The commonest mistake of all."""
    with pytest.raises(ConfigError, match=r"is not a bot's home: make a home with `nostrbot init --home"):
        Home(tmp_path).platform()


@pytest.mark.parametrize("said", [b"", b"platform\n", b"\xff\xfe", b"nsec1" + b"q" * 58])
def test_a_platform_file_that_is_none_is_never_repeated(tmp_path: Path, said: bytes) -> None:
    """One line that names the file and what must be in it; what is in it may be a secret."""
    home = Home(tmp_path)
    home.key_file.parent.mkdir()
    home.platform_file.write_bytes(said)
    with pytest.raises(ConfigError, match=r"platform\.npub must hold the platform's npub") as caught:
        home.platform()
    assert "qqqq" not in str(caught.value)
