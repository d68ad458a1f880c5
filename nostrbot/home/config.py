"""Configuration: a home folder, relays.yaml in it, and the environment.

What lives here: reading and writing them, each mistake answered by one line that says what to change (ConfigError).
What does not: keys (home/keyfile.py). docs/protocol.md section 8.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from yaml.composer import ComposerError

from nostrbot.errors import ConfigError, KeyTextError, file_trouble
from nostrbot.net.urls import identity, relay_url
from nostrbot.nostr.keys import npub, read_pubkey
from nostrbot.relays.relay import RelayConfig

RELAYS_BYTES_MAX = 64 * 1024
RELAYS_MAX = 64
# A scalar that does not fit its tag (`!!bool maybe`, `!!timestamp soon`, `!!int ""`) makes PyYAML raise what it
# stumbles over.
YAML_TROUBLE = (yaml.YAMLError, ValueError, LookupError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of a bot: its key, its relays, its database."""

    path: Path

    @property
    def key_file(self) -> Path:
        """The bot's secret key."""
        return self.path / "keys" / "bot.nsec"

    @property
    def next_key_file(self) -> Path:
        """The bot's next secret key, while its rotation is on the way."""
        return self.path / "keys" / "bot.next.nsec"

    def retired_key_file(self, pubkey: str) -> Path:
        """Return the file of a key that was rotated out."""
        return self.path / "keys" / f"bot.{npub(pubkey)[:13]}.retired.nsec"

    @property
    def platform_file(self) -> Path:
        """The platform's public key."""
        return self.path / "keys" / "platform.npub"

    @property
    def relays_file(self) -> Path:
        """The file that names the relays to use."""
        return self.path / "relays.yaml"

    @property
    def database_file(self) -> Path:
        """The journal and its projections."""
        return self.path / "nostrbot.sqlite"

    @property
    def lock_file(self) -> Path:
        """Held while a bot runs here."""
        return self.path / "nostrbot.lock"

    def database_url(self, environ: Mapping[str, str] = os.environ) -> str:
        """NOSTRBOT_DATABASE_URL, or the file in this home."""
        # Half a second to import, which `nostrbot dm` and `nostrbot machine settle` need not wait for.
        from nostrbot.store.sqlite import sqlite_url

        return environ.get("NOSTRBOT_DATABASE_URL") or sqlite_url(self.database_file)

    def platform(self) -> str:
        """Read the platform's public key as hex."""
        try:
            return read_pubkey(self.platform_file.read_text().strip())
        except FileNotFoundError:
            raise ConfigError(
                f"{self.path} is not a bot's home: make a home with `nostrbot init --home {self.path} …`"
            ) from None
        except OSError as error:
            raise ConfigError(f"{self.platform_file} cannot be read: {file_trouble(error)}") from None
        except (UnicodeDecodeError, KeyTextError):
            raise ConfigError(
                f"{self.platform_file} must hold the platform's npub, as `nostrbot init` wrote it"
            ) from None

    def write_platform(self, pubkey: str) -> None:
        """Note whose bot this is. Raises OSError."""
        self.platform_file.write_text(npub(pubkey) + "\n")


class _Loader(yaml.SafeLoader):
    """YAML without aliases: with them, and with merge keys, a few lines stand for more than fits in memory."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise ComposerError(problem="aliases are not understood here", problem_mark=self.get_mark())
        return super().compose_node(parent, index)


class _Relay(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    url: str
    read: bool = True
    write: bool = True


class _Publish(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    min_ok: int = Field(default=1, ge=1)
    recipient_relays: bool = True


class _File(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    relays: list[_Relay] = Field(min_length=1, max_length=RELAYS_MAX)
    publish: _Publish = _Publish()


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """The settings in relays.yaml. `min_ok`: how many relays must accept a message before it counts as sent."""

    relays: tuple[RelayConfig, ...]
    min_ok: int
    recipient_relays: bool


def read_relays(path: Path) -> RelaySettings:
    """Read relays.yaml. Raises ConfigError naming the file, the place and what is wanted there."""
    try:
        with path.open("rb") as file:
            raw = file.read(RELAYS_BYTES_MAX + 1)  # of some other file only enough is read to tell
    except OSError as error:
        raise ConfigError(f"{path}: {file_trouble(error)}; `nostrbot init` writes one") from None
    return parse_relays(raw, path)


def parse_relays(raw: bytes, path: Path) -> RelaySettings:
    """Understand the bytes of a relays.yaml that is, or will be, at `path`. Raises ConfigError as read_relays()
    does.
    """
    if len(raw) > RELAYS_BYTES_MAX:
        raise ConfigError(f"{path}: larger than {RELAYS_BYTES_MAX} bytes")
    try:
        said = yaml.load(raw, _Loader)  # noqa: S506 - a SafeLoader that takes less
    except YAML_TROUBLE as error:
        place = getattr(error, "problem_mark", None)
        line = f" line {place.line + 1}" if place else ""
        raise ConfigError(f"{path}{line}: not YAML: {getattr(error, 'problem', None) or 'unreadable'}") from None
    try:
        file = _File.model_validate(said)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_what_to_change(error)}") from None
    try:
        relays = tuple(RelayConfig(relay.url, relay.read, relay.write) for relay in file.relays)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    _require_distinct(relays, path)
    if not any(relay.read for relay in relays):
        raise ConfigError(f"{path}: set read: true for at least one relay")
    writers = sum(relay.write for relay in relays)
    if file.publish.min_ok > writers:
        have = "1 relay has" if writers == 1 else f"{writers} relays have"
        raise ConfigError(
            f"{path}: publish.min_ok is {file.publish.min_ok}, but {have} write: true: make min_ok smaller, or add "
            "relays"
        )
    return RelaySettings(relays, file.publish.min_ok, file.publish.recipient_relays)


def _require_distinct(relays: tuple[RelayConfig, ...], path: Path) -> None:
    seen: dict[str, str] = {}
    for relay in relays:
        before = seen.get(identity(relay.url))
        if before is not None:
            other = "" if before == relay.url else f", once as {before}"
            raise ConfigError(f"{path}: {relay.url} is there twice{other}: leave one of them out")
        seen[identity(relay.url)] = relay.url


_URL_LIKE = "- url: wss://relay.example.com"
# What each kind of pydantic's complaints means for who wrote the file; its own words are about Python.
_WANTED = {
    "missing": "is missing",
    "bool_type": "must be true or false, without quotes",
    "string_type": "must be text",
    "int_type": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number",
    "greater_than_equal": "must be 1 or more",
    "list_type": f"must be a list: each relay on its own line, like {_URL_LIKE}",
    "too_short": f"must name at least one relay, like {_URL_LIKE}",
    "too_long": f"must name at most {RELAYS_MAX} relays",
}


def _what_to_change(error: ValidationError) -> str:
    """Say of the first mistake where it is, relays counted from one, and what must stand there."""
    first = error.errors(include_url=False)[0]
    loc = first["loc"]
    if not loc:
        return f"must begin with `relays:`, and below it a line for each relay, like {_URL_LIKE}"
    in_relay = len(loc) > 1 and isinstance(loc[1], int)
    place = f"relay {int(loc[1]) + 1}" if in_relay else str(loc[0])
    inner = [str(part) for part in loc[2 if in_relay else 1 :]]
    if first["type"] == "extra_forbidden":
        known = _Relay if in_relay else _Publish if inner else _File
        where = f" of {place}" if inner else ""
        named = inner[-1] if inner else place
        return f"there is no setting {named[:40]!r}{where}: there is {', '.join(known.model_fields)}"
    name = f"{place}: {'.'.join(inner)}" if in_relay and inner else ".".join([place, *inner])
    wanted = _WANTED.get(first["type"])
    if wanted is None:  # something else than settings stands where settings belong
        wanted = f"must be written like {_URL_LIKE}" if in_relay else "must have its settings below it, a line each"
    return f"{name} {wanted}"


def relays_text(urls: list[str]) -> str:
    """Return the relays.yaml that `init` writes. Raises ConfigError for anything but a relay's URL."""
    listed = []
    for url in urls:
        shown = yaml.safe_dump(relay_url(url), width=10_000).splitlines()[0]
        listed.append(f"  - url: {shown}\n    read: true\n    write: true\n")
    return (
        "# Relays this bot uses: read = subscribe there, write = publish there.\n"
        "relays:\n" + "".join(listed) + "publish:\n"
        "  min_ok: 1               # a message counts as sent when this many relays said OK\n"
        "  recipient_relays: true  # also to the relays a person has announced\n"
    )
