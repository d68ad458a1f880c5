"""URLs: one relay has one form, however it is written, so that it never counts twice (review row F12)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.errors import ConfigError
from nostrbot.net.urls import identity, is_loopback, relay_url
from nostrbot.nostr.keys import Keys
from nostrbot.relays.pool import Pool
from nostrbot.relays.relay import RelayConfig

# Each line: one relay, written in several ways; the first is the normal form.
SAME = [
    ["wss://relay.example.com", "WSS://relay.example.com", "wss://Relay.EXAMPLE.com/", "wss://relay.example.com:443"],
    [
        "wss://relay.example.com",
        "wss://relay.example.com.",
        "wss://relay.example.com:",
        "wss://relay.example.com:0443/",
    ],
    [
        "wss://relay.example.com",
        "wss://relay.example.com/.",
        "wss://relay.example.com/a/..",
        "wss://relay.example.com/?",
    ],
    ["ws://relay.example.com", "ws://relay.example.com:80", "wS://relay.example.com:80/"],
    ["ws://relay.example.com:443", "WS://relay.example.com:443/"],
    ["wss://relay.example.com/a~b/c", "wss://relay.example.com/a%7Eb/%63", "wss://relay.example.com/x/../a%7eb/./c"],
    ["wss://relay.example.com/%2F%C3%BC", "wss://relay.example.com/%2f%c3%bc", "wss://relay.example.com/%2fü"],
    ["wss://relay.example.com?a=%2B", "wss://relay.example.com/?a=%2b", "wss://RELAY.example.com:443/?%61=%2b"],
    ["wss://xn--bcher-kva.example", "wss://bücher.example", "wss://BÜCHER.example/", "wss://bu\u0308cher.example"],
    ["wss://relay.example.com", "wss://relay\u3002example\uff0ecom", "wss://\uff52elay.example.com"],
    ["ws://127.0.0.1:7447", "ws://127.0.0.1:7447/", "WS://127.0.0.1.:7447", "ws://[::ffff:127.0.0.1]:7447"],
    ["ws://[2001:db8::1]", "ws://[2001:DB8:0::0001]:80/", "ws://[2001:db8:0:0:0:0:0:1]"],
]

NONE = [
    "", "relay.example.com", "//relay.example.com", "https://relay.example.com", "wss:relay.example.com", "wss://", "wss:///x",
    "wss://relay.example.com:x", "wss://relay.example.com:0", "wss://relay.example.com:70000", "wss://relay.example.com:-1",
    "wss://me@relay.example.com", "wss://me:pw@relay.example.com", "wss://relay.example.com#", "wss://relay.example.com/#a",
    "wss://relay example.com", " wss://relay.example.com", "wss://relay.example.com\n", "wss://rel\tay.example.com",
    "wss://relay.example.com\\x", "wss://relay..example.com", "wss://.relay.example.com", "wss://relay.example.com..",
    "wss://127.1", "wss://2130706433", "wss://0x7f.0.0.1", "wss://0177.0.0.1", "wss://127.0.0.256", "wss://1.2.3.4.5",
    "wss://[::1", "wss://[relay]", "wss://[::1]x", "wss://[fe80::1%25eth0]x", "wss://" + "a" * 64 + ".com", "wss://%61.example.com",
    "wss://a,b.example.com", "wss://relay.example.com/" + "x" * 2_000, "wss://relay\u202e.example.com", "wss://[v1.x]",
]  # fmt: skip


@pytest.mark.parametrize("forms", SAME, ids=lambda forms: forms[0])
def test_f12_one_relay_has_one_form(forms: list[str]) -> None:
    """Case, default port, dots, percent-encoding, IDN, an empty query: all of it is the first form, and is normal itself."""
    assert {relay_url(form) for form in forms} == {forms[0]}
    assert {RelayConfig(form).url for form in forms} == {forms[0]}


@pytest.mark.parametrize("text", NONE)
def test_f12_what_is_no_url_of_a_relay(text: str) -> None:
    """User names, fragments, blanks, numbers that a resolver takes for addresses: one line that names the text."""
    with pytest.raises(ConfigError, match="relay '") as caught:
        relay_url(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("wss://a.example/x", "wss://a.example/x/"),
        ("ws://localhost:7447", "ws://127.0.0.1:7447"),
        ("ws://[::1]:7447", "WS://LocalHost.:7447/"),
        ("wss://a.example", "WSS://A.example:443/"),
    ],
)
async def test_f12_one_relay_never_counts_twice(one: str, other: str) -> None:
    """Wherever a pool is made: the bot's relays, `dm --relay`, tests."""
    assert identity(relay_url(one)) == identity(relay_url(other))
    with pytest.raises(ConfigError, match="one url is there twice"):
        Pool([RelayConfig(one), RelayConfig(other)], Keys.from_secret("b0" * 32), min_ok=2)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("wss://a.example/x", "wss://a.example/y"),
        ("wss://a.example/x", "wss://a.example/X"),
        ("wss://a.example/a%2Fb", "wss://a.example/a/b"),
        ("wss://a.example", "ws://a.example"),
        ("wss://a.example", "wss://a.example:444"),
        ("wss://a.example", "wss://b.a.example"),
        ("wss://a.example?x=1", "wss://a.example?x=2"),
        ("wss://localhost.example", "wss://127.0.0.1"),
    ],
)
def test_what_differs_stays_different(one: str, other: str) -> None:
    """Nothing is normalised away that leads somewhere else."""
    assert identity(relay_url(one)) != identity(relay_url(other))


@given(st.one_of(st.text(), st.text().map("wss://a.example/{}".format), st.text().map("wss://{}".format)))
def test_a_normal_form_is_its_own_and_nothing_else_is_raised(text: str) -> None:
    """Normalising twice changes nothing; what is refused is refused with ConfigError."""
    try:
        url = relay_url(text)
    except ConfigError:
        return
    assert relay_url(url) == url
    assert url.isascii()
    assert identity(url)


def test_which_relays_are_on_this_host() -> None:
    """Loopback addresses and the name localhost, nothing else."""
    here = ["ws://127.0.0.1:1", "ws://127.9.9.9", "ws://[::1]", "ws://localhost:7447", "ws://a.localhost"]
    away = ["ws://10.0.0.1", "wss://localhost.example", "wss://a.example", "ws://[2001:db8::1]", "ws://128.0.0.1"]
    assert [is_loopback(relay_url(url)) for url in here] == [True] * len(here)
    assert [is_loopback(relay_url(url)) for url in away] == [False] * len(away)
