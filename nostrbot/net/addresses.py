"""Addresses: which relays of other people's choosing may be connected to.

What lives here: judging a relay's URL as a person announced it, and the network addresses its name stands for. What
does not: who announced it (relays/recipients/relay_lists.py) and connecting (dialer.py). An announced relay tells
the bot where to connect, so an address of the bot's own network, however it is written, is refused (faults.md,
server-side request forgery). The name is judged first, and what it stands for again when the bot connects.
https://www.rfc-editor.org/rfc/rfc6890
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from nostrbot.net.urls import relay_url

URL_CHARS_MAX: Final = 256  # the longest relay URLs in use name a path and a filter, and stay far below
TLS_PORT: Final = 443
# The usual ports of relay software. Any other would let an announcement make the bot knock at whatever listens there.
PORTS: Final = frozenset({TLS_PORT, 3334, 7777, 8008, 8080, 8443})
# Names that never lead out of a network (RFC 6761, 6762, 8375, 9476; .internal by ICANN), those routers make up, and
# networks we are not in (RFC 7686).
PRIVATE_DOMAINS: Final = frozenset(
    {"alt", "arpa", "corp", "home", "internal", "intranet", "invalid", "lan", "local", "localdomain", "localhost"}
    | {"i2p", "onion", "test"}
)
GLOBAL_UNICAST: Final = IPv6Network("2000::/3")  # all that is assigned; is_global is true of much beyond it
NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address that is reached
ADDRESSES_MAX: Final = 32  # of one name; an honest relay has a handful

_LABEL = "[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?"
# The last label begins with a letter: 127.1, 0x7f.1 and 2130706433 are numbers to the system's resolver.
_is_name: Final = re.compile(rf"({_LABEL}\.)+[a-z]([a-z0-9-]{{0,61}}[a-z0-9])").fullmatch
# Characters that urlsplit() would drop or a server would read as something else: blanks, control characters,
# backslashes, non-ASCII.
_is_plain: Final = re.compile(r"[!-\[\]-~]+").fullmatch


@dataclass(frozen=True, slots=True)
class Unfit:
    """A relay that is not connected to, and why."""

    why: str


class HostPort(NamedTuple):
    """The target of a relay's URL: a DNS name or an IP address without brackets, and a port."""

    host: str
    port: int


LookUp = Callable[[str, int], Awaitable[list[str]]]  # name, port -> IP addresses; raises OSError, TimeoutError


def public_relay(url: str) -> str | Unfit:
    """Return the URL of a relay that anybody may be sent to, in its one normal form."""
    if len(url) > URL_CHARS_MAX or not _is_plain(url):
        return Unfit("not a URL")
    try:
        parts = urlsplit(url)
        port = parts.port or TLS_PORT
    except ValueError:
        return Unfit("not a URL")
    if parts.scheme != "wss":
        return Unfit("not wss://")
    if "@" in parts.netloc or "#" in url:
        return Unfit("a user name or a fragment")
    if parts.port == 0 or port not in PORTS:
        return Unfit("a port that relays do not use")
    host = _public_host(parts.hostname or "", is_bracketed=parts.netloc.startswith("["))
    if isinstance(host, Unfit):
        return host
    query = f"?{parts.query}" if parts.query else ""
    return relay_url(f"wss://{host}{'' if port == TLS_PORT else f':{port}'}{parts.path}{query}")


def place_of(url: str) -> HostPort:
    """Return the host and port of a URL that public_relay() gave."""
    parts = urlsplit(url)
    assert parts.hostname, "a public relay has a host"
    return HostPort(parts.hostname, parts.port or TLS_PORT)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to one host on the public internet."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return _is_public_v4(parsed)
    if parsed.scope_id is not None:
        return False
    if parsed in NAT64:
        return _is_public_v4(IPv4Address(parsed.packed[-4:]))
    return parsed in GLOBAL_UNICAST and parsed.is_global and parsed.sixtofour is None and parsed.teredo is None


async def resolve_public(place: HostPort, look_up: LookUp) -> list[str] | Unfit:
    """Resolve a name to its addresses now, IPv4 first. Connect to one of these, never to the name again.

    One private address among them makes the name unfit: it would be the next one to be tried. Raises what `look_up`
    does.
    """
    if is_public(place.host):
        return [place.host]
    found = await look_up(*place)
    if not found:
        return Unfit("a name without an address")
    if len(found) > ADDRESSES_MAX:
        return Unfit("a name with too many addresses")
    if not all(is_public(address) for address in found):
        return Unfit("a name of a private address")
    # IPv4 works from nearly everywhere; a host without a route to IPv6 may find out only by waiting.
    return sorted(dict.fromkeys(found), key=lambda address: ip_address(address).version)


def _public_host(host: str, *, is_bracketed: bool) -> str | Unfit:
    if is_bracketed:
        return f"[{IPv6Address(host)}]" if is_public(host) else Unfit("a private address")
    if host.replace(".", "").isdigit():
        return host if is_public(host) else Unfit("a private address")
    if not _is_name(host):
        return Unfit("not a public name")
    if host.rpartition(".")[2] in PRIVATE_DOMAINS:
        return Unfit("a private name")
    return host


def _is_public_v4(address: IPv4Address) -> bool:
    return address.is_global and not address.is_multicast
