"""The manifest: what a backup says it holds.

What lives here: its shape, its bounds, and the names of what may be in a backup. What does not: the file
(container.py).
"""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nostrbot.core.book import ROOT
from nostrbot.errors import BackupError
from nostrbot.home.config import RELAYS_BYTES_MAX
from nostrbot.home.keyfile import KEY_FILE_MAX_BYTES

MANIFEST, DATABASE, RELAYS, PLATFORM, KEY = (
    "manifest.json",
    "nostrbot.sqlite",
    "relays.yaml",
    "keys/platform.npub",
    "keys/bot.nsec",
)
MANIFEST_BYTES_MAX: Final = 16 * 1024 * 1024  # some hundred thousand books
PLATFORM_BYTES_MAX: Final = 4_096
# What is small enough to be held in memory. The database is not: it is bounded by the room there is for it.
BYTES_MAX = {RELAYS: RELAYS_BYTES_MAX, PLATFORM: PLATFORM_BYTES_MAX, KEY: KEY_FILE_MAX_BYTES}

_Hex = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_BookKey = Annotated[str, Field(pattern=f"^(?:[0-9a-f]{{64}}|{ROOT})$")]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class BookHead(_Strict):
    """A book as it stood when the backup was made: how many entries, and the hash of the last."""

    key: _BookKey
    entries: int = Field(ge=1)
    head: _Hex


class Member(_Strict):
    """A file in the backup, and how many bytes it has."""

    name: Literal["nostrbot.sqlite", "relays.yaml", "keys/platform.npub", "keys/bot.nsec"]
    size: int = Field(ge=0)


class Manifest(_Strict):
    """The contents of a backup. `bot`, `platform`: keys (hex); `created_at`: unix seconds; `members`: in their
    order.
    """

    backup: Literal[1]
    bot: _Hex
    platform: _Hex
    created_at: int
    books: list[BookHead]
    members: list[Member]

    @property
    def has_key(self) -> bool:
        """Whether the bot's key file is in it."""
        return any(member.name == KEY for member in self.members)


def read_manifest(raw: bytes) -> Manifest:
    """Understand a manifest. Raises BackupError for anything but what this program writes."""
    try:
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "it"
        raise BackupError(f"its manifest is not one that this nostrbot writes: {place}: {first['msg']}") from None
    if [member.name for member in manifest.members] not in (
        [DATABASE, RELAYS, PLATFORM],
        [DATABASE, RELAYS, PLATFORM, KEY],
    ):
        raise BackupError("its manifest does not name the files that a backup holds")
    for member in manifest.members:
        if member.size > BYTES_MAX.get(member.name, member.size):
            raise BackupError(f"its {member.name} is larger than such a file can be")
    return manifest
