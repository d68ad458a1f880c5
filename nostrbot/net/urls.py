"""URLs of relays: one normal form for each relay, so that the same relay twice is seen to be the same.

What lives here: `relay_url`, the form in which a relay is connected to, shown and announced, and `identity`, by which
two are compared. What does not: which relays of strangers may be connected to (addresses.py). docs/protocol.md section
8. https://www.rfc-editor.org/rfc/rfc3986#section-6
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import quote, unquote_to_bytes, urlsplit

from nostrbot.errors import ConfigError

URL_CHARS_MAX: Final = 1_024
DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}
HOW_IT_LOOKS: Final = "the url must look like wss://relay.example.com"

_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# What may stand in a path or query as it is (RFC 3986, pchar, "/", "?"), besides what is unreserved.
_PLAIN: Final = "!$&'()*+,;=:@/?"
_is_bracketed: Final = re.compile(r"\[[0-9A-Fa-f:.]+\](:[0-9]*)?").fullmatch
_is_label: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?").fullmatch
# The system's resolver reads these as IPv4 addresses: 127.1, 0x7f.1, 2130706433, 0177.0.0.1.
_is_number: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)").fullmatch


def relay_url(text: str) -> str:
    """Return the normal form of a relay's URL. Raises ConfigError with what to write instead."""
    try:
        return _normal(text)
    except ValueError as error:
        shown = re.sub("//.*@", "//…@", text[:200])  # a password is not for the screen
        raise ConfigError(f"relay {shown!r}: {error}") from None


def identity(url: str) -> str:
    """Return what a relay's URL is compared by: a slash at its end and this host's name make no difference."""
    parts = urlsplit(url)
    netloc = re.sub(r"^(localhost|\[::1\])(?=:|$)", "127.0.0.1", parts.netloc)
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}?{parts.query}"


def is_loopback(url: str) -> bool:
    """Whether a URL that relay_url() gave leads to this very host, by an address or the name localhost."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _normal(text: str) -> str:
    """Return the normal form as relay_url() does; raises ValueError."""
    # urlsplit() drops tabs and newlines, and servers read a backslash as they please.
    if len(text) > URL_CHARS_MAX or not text.isprintable() or any(one in text for one in " \\\u3000"):
        raise ValueError(HOW_IT_LOOKS)
    parts = urlsplit(text)
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError(HOW_IT_LOOKS)
    if "@" in parts.netloc:
        raise ValueError("a user name has no place in a relay's url")
    if "#" in text:
        raise ValueError("a fragment, which begins with #, has no place in a relay's url")
    port = parts.port  # reading it checks it
    if port == 0:
        raise ValueError(HOW_IT_LOOKS)
    is_bracketed = "[" in parts.netloc or "]" in parts.netloc
    if is_bracketed and not _is_bracketed(parts.netloc):
        raise ValueError(HOW_IT_LOOKS)
    host = _host(parts.hostname or "", is_bracketed=is_bracketed)
    where = host if port in {None, DEFAULT_PORTS[parts.scheme]} else f"{host}:{port}"
    path = _encoded(_without_dots(_encoded(parts.path)))
    query = f"?{_encoded(parts.query)}" if parts.query else ""
    return f"{parts.scheme}://{where}{'' if path == '/' else path}{query}"


def _host(host: str, *, is_bracketed: bool) -> str:
    if is_bracketed:
        address = IPv6Address(host)  # raises ValueError
        if address.scope_id is None and address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return f"[{address}]"
    try:
        # Nameprep makes full-width letters and dots plain, and capitals small; what is ASCII it leaves as it is.
        name = host.encode("idna").decode().lower().removesuffix(".")
    except UnicodeError:
        raise ValueError(HOW_IT_LOOKS) from None
    labels = name.split(".")
    if _is_number(labels[-1]):
        try:
            return str(IPv4Address(name))
        except ValueError:
            raise ValueError("an IPv4 address is four numbers, like 127.0.0.1") from None
    if len(name) > 253 or not all(_is_label(label) for label in labels):
        raise ValueError(HOW_IT_LOOKS)
    return name


def _encoded(text: str) -> str:
    """Encode a path: each character that may stand for itself does; the others are %XX, in capitals."""
    parts = re.split(r"(%[0-9A-Fa-f]{2})", text)
    return "".join(_decoded(part) if index % 2 else quote(part, safe=_PLAIN) for index, part in enumerate(parts))


def _decoded(triplet: str) -> str:
    byte = unquote_to_bytes(triplet)
    return byte.decode() if byte[0] in _UNRESERVED else triplet.upper()


def _without_dots(path: str) -> str:
    """Return the path with "." and ".." resolved (RFC 3986, section 5.2.4)."""
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            kept = kept[:-1] if len(kept) > 1 else kept  # the first is what stands before the first slash
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/".join(kept)
