"""People and machines who talk with the bot, signing and encrypting with nostr-sdk: somebody else's library.

What lives here: their keys, the events they make, what they read. What does not: sockets, and our own code's view of any
of it (`verified` apart: it takes an event through our front door).
"""

import json
from functools import cached_property
from typing import Any, Literal

import nostr_sdk

from nostrbot.nostr.event import VerifiedEvent, read_event
from tests.sales import settlement

Plain = dict[str, Any]  # an event as JSON has it
Scheme = Literal["plain", "nip04", "nip44"]
DIRECT_MESSAGE, SETTLEMENT = 4, 21_000


class Signer:
    """A key pair with a name; the same name is the same keys in every run."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._keys = nostr_sdk.Keys.parse(name.encode().hex().rjust(64, "0"))

    @cached_property
    def pubkey(self) -> str:
        return str(self._keys.public_key().to_hex())

    @cached_property
    def npub(self) -> str:
        return str(self._keys.public_key().to_bech32())

    @property
    def secret(self) -> str:
        return str(self._keys.secret_key().to_hex())

    def event(self, kind: int, content: str, *, tags: list[list[str]], at: int) -> Plain:
        """An event signed by this key, dated `at`."""
        builder = nostr_sdk.EventBuilder(nostr_sdk.Kind(kind), content)
        builder = builder.tags([nostr_sdk.Tag.parse(tag) for tag in tags])
        moment = nostr_sdk.Timestamp.from_secs(at)
        plain: Plain = json.loads(builder.custom_created_at(moment).finalize(self._keys).as_json())
        return plain

    def seal(self, text: str, to: str, scheme: Scheme) -> str:
        """The text as `to` alone can read it."""
        secret, public = self._keys.secret_key(), nostr_sdk.PublicKey.parse(to)
        match scheme:
            case "plain":
                return text
            case "nip04":
                return str(nostr_sdk.nip04_encrypt(secret, public, text))
            case "nip44":
                return str(nostr_sdk.nip44_encrypt(secret, public, text, nostr_sdk.Nip44Version.V2))

    def read(self, event: Plain) -> str:
        """What an event says to this key."""
        secret, author = self._keys.secret_key(), nostr_sdk.PublicKey.parse(event["pubkey"])
        content: str = event["content"]
        if content.startswith("{"):
            return content
        opened = nostr_sdk.nip04_decrypt if "?iv=" in content else nostr_sdk.nip44_decrypt
        return str(opened(secret, author, content))

    def command(
        self, text: str, *, to: str, at: int, scheme: Scheme = "nip04", tags: tuple[list[str], ...] = ()
    ) -> Plain:
        """A direct message to the bot."""
        return self.event(DIRECT_MESSAGE, self.seal(text, to, scheme), tags=[["p", to], *tags], at=at)

    def report(
        self, sale: Plain, *, to: str, at: int, scheme: Scheme = "nip44", tags: tuple[list[str], ...] = ()
    ) -> Plain:
        """A settlement to the bot."""
        return self.event(SETTLEMENT, self.seal(json.dumps(sale), to, scheme), tags=[["p", to], *tags], at=at)


def sale_of(machine: Signer, n: int, **changes: Any) -> Plain:
    """The source documents' sale of 2,000 GTQ for 100,000 sats and a fee of 7,770, the machine's n-th."""
    own = {"n": n, "txid": f"{n:04x}", "payment_hash": f"{machine.pubkey[:16]}{n:048x}"}
    return settlement(machine.pubkey, **(own | changes))


def verified(event: Plain) -> VerifiedEvent:
    """The event as it stands once it came through our front door."""
    read = read_event(event)
    assert isinstance(read, VerifiedEvent), read
    return read
