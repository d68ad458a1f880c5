"""Addresses: what people announce is connected to only when it is a relay on the public internet, however it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.net.addresses import (
    ADDRESSES_MAX,
    PORTS,
    HostPort,
    Unfit,
    is_public,
    place_of,
    public_relay,
    resolve_public,
)


@pytest.mark.parametrize(
    ("said", "normal"),
    [
        ("wss://relay.example.com", "wss://relay.example.com"),
        ("wss://relay.example.com/", "wss://relay.example.com"),
        ("WSS://Relay.Example.COM:443/", "wss://relay.example.com"),
        ("wss://relay.example.com:8443/inbox/", "wss://relay.example.com:8443/inbox/"),
        ("wss://relay.example.com/Inbox?for=Ana", "wss://relay.example.com/Inbox?for=Ana"),
        ("wss://xn--bcher-kva.example.com", "wss://xn--bcher-kva.example.com"),
        ("wss://8.8.8.8", "wss://8.8.8.8"),
        ("wss://[2606:4700:0:0::1111]:7777", "wss://[2606:4700::1111]:7777"),
    ],
)
def test_a_public_relay_has_one_normal_form(said: str, normal: str) -> None:
    """However often and however a relay is announced, it is one relay; the normal form is its own."""
    assert public_relay(said) == normal
    assert public_relay(normal) == normal


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "not a URL"),
        ("wss://relay.example.com" + "/x" * 120, "not a URL"),
        ("wss://relay.example.com/a b", "not a URL"),
        ("wss://relay.example.com\n", "not a URL"),
        ("wss://relay.example.com\\@10.0.0.1", "not a URL"),
        ("wss://[::1", "not a URL"),
        ("wss://relay.example.com:99999", "not a URL"),
        ("wss://bücher.example.com", "not a URL"),
        ("ws://relay.example.com", "not wss://"),
        ("https://relay.example.com", "not wss://"),
        ("relay.example.com", "not wss://"),
        ("wss://ana:secret@relay.example.com", "a user name or a fragment"),
        ("wss://relay.example.com@10.0.0.1", "a user name or a fragment"),
        ("wss://relay.example.com#", "a user name or a fragment"),
        ("wss://relay.example.com:22", "a port that relays do not use"),
        ("wss://relay.example.com:0", "a port that relays do not use"),
        ("wss://relay.example.com:5432", "a port that relays do not use"),
        ("wss://", "not a public name"),
        ("wss://localhost", "not a public name"),
        ("wss://nas", "not a public name"),
        ("wss://relay.example.com.", "not a public name"),
        ("wss://relay..example.com", "not a public name"),
        ("wss://-relay.example.com", "not a public name"),
        ("wss://%31%30.0.0.1", "not a public name"),
        ("wss://" + ".".join(["a" * 30] * 9) + ".com", "not a URL"),
        ("wss://relay.localhost", "a private name"),
        ("wss://printer.local", "a private name"),
        ("wss://db.svc.cluster.local", "a private name"),
        ("wss://metadata.google.internal", "a private name"),
        ("wss://abcdefghij.onion", "a private name"),
        ("wss://1.0.0.127.in-addr.arpa", "a private name"),
    ],
)
def test_what_is_no_public_relay_is_refused(said: str, why: str) -> None:
    """Another scheme, secrets, odd ports, names that lead nowhere or into the bot's own network."""
    assert public_relay(said) == Unfit(why)


PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "255.255.255.255",
    "224.0.0.1", "240.0.0.1", "192.0.2.1", "198.18.0.1",
    "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "ff0e::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::7f00:1", "2002:7f00:1::", "2002:808:808::", "2001:0:7f00:1::",
    "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b:1::808:808", "fe80::1%eth0", "2606:4700::1111%1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a01:4f8::1", "64:ff9b::8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused_as_a_url_and_as_what_a_name_stands_for(address: str) -> None:
    """Loopback, private, link-local (cloud metadata), shared, multicast, reserved; and IPv4 dressed up as IPv6."""
    assert not is_public(address)
    host = f"[{address}]" if ":" in address else address
    assert public_relay(f"wss://{host}") == Unfit("a private address")


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_announced(address: str) -> None:
    """An address is as good as a name, if its relay has a certificate for it."""
    assert is_public(address)
    host = f"[{address}]" if ":" in address else address
    assert isinstance(public_relay(f"wss://{host}"), str)


@pytest.mark.parametrize(
    "number", ["127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001", "0177.0.0.1", "127.0.0.0x1",
               "010.0.0.1", "1.2.3.4.5", "8.8.8.8.", "a.0x7f", "relay.1"]
)  # fmt: skip
def test_numbers_that_resolvers_take_for_addresses_are_refused(number: str) -> None:
    """The system's resolver reads all of these as an address: inet_aton() has many spellings for one."""
    assert isinstance(public_relay(f"wss://{number}"), Unfit)


@given(st.text() | st.from_regex(r"\A[wW]ss://[^/]{0,30}(:[0-9]{0,6})?(/.*)?\Z"))
def test_no_text_raises_and_what_is_given_stays(said: str) -> None:
    """Whatever is announced: a refusal, or a URL that is public, short, on a relay's port and its own normal form."""
    url = public_relay(said)
    if isinstance(url, str):
        assert public_relay(url) == url
        assert place_of(url).port in PORTS


RELAY = HostPort("relay.example.com", 443)


async def resolved(*addresses: str, place: HostPort = RELAY) -> list[str] | Unfit:
    """What a name is worth that stands for these addresses."""

    async def look_up(host: str, port: int) -> list[str]:
        assert (host, port) == place
        return list(addresses)

    return await resolve_public(place, look_up)


async def test_a_name_stands_for_its_public_addresses() -> None:
    """IPv4 first, each once."""
    assert await resolved("2606:4700::1111", "1.1.1.1", "8.8.8.8", "1.1.1.1") == [
        "1.1.1.1",
        "8.8.8.8",
        "2606:4700::1111",
    ]


@pytest.mark.parametrize("private", ["127.0.0.1", "10.0.0.1", "::1", "fe80::1%eth0", "::ffff:10.0.0.1"])
async def test_one_private_address_makes_a_name_unfit(private: str) -> None:
    """Else the next connection might go to that one."""
    assert await resolved("8.8.8.8", private) == Unfit("a name of a private address")


async def test_a_name_has_an_address_and_not_too_many() -> None:
    """An honest relay has a handful."""
    assert await resolved() == Unfit("a name without an address")
    many = [f"8.8.8.{n}" for n in range(ADDRESSES_MAX + 1)]
    assert await resolved(*many[:-1]) == many[:-1]
    assert await resolved(*many) == Unfit("a name with too many addresses")


async def test_an_address_needs_no_look_up() -> None:
    """It stands for itself."""

    async def look_up(host: str, port: int) -> list[str]:
        raise AssertionError("nothing to look up")

    assert await resolve_public(place_of("wss://[2606:4700::1111]:8443"), look_up) == ["2606:4700::1111"]
