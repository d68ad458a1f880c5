"""What strangers' relays and people's own relay lists say, spoilt: nothing raises, and no private address gets through.

faults.md rows 28, 91, 93.
"""

import asyncio
from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect

from nostrbot.net.addresses import Unfit, public_relay
from nostrbot.nostr.event import sign_event
from nostrbot.nostr.kinds import DIRECT_MESSAGE, DM_RELAY_LIST, RELAY_LIST
from nostrbot.relays.recipients.courier import Courier
from nostrbot.relays.recipients.letters import CourierLimits
from nostrbot.relays.recipients.relay_lists import RELAYS_A_LIST_MAX, RelayLists
from nostrbot.relays.relay import RelayConfig
from tests.fuzz.effort import effort
from tests.fuzz.spoiling import TEXTS, Plain, spoilt_json, spoilt_text
from tests.houses import BOT, person
from tests.peers.hostile_relay import hostile_relay, ok_frames
from tests.relays.conftest import eventually
from tests.relays.recipients.test_courier import QUICK

ANA = person("ana")
URLS = (
    *("wss://relay.example.com", "wss://relay.example.com:8443/path?key=1", "wss://[2001:db8::1]:443", "wss://xn--a.example"),
    *("wss://127.0.0.1", "wss://[::1]", "wss://0x7f.1", "wss://2130706433", "wss://localhost", "wss://a.local", "ws://a.example"),
    *("wss://[::ffff:10.0.0.1]", "wss://10.0.0.1.", "wss://user:pw@a.example", "wss://a.example@127.0.0.1", "https://a.example"),
    *("wss://\u2460\u2461\u2466.0.0.1", "wss://\uff11\uff12\uff17.0.0.1", "wss://127\u30020\u30020\u30021"),
)  # fmt: skip
urls = st.sampled_from(URLS) | st.sampled_from(URLS).flatmap(spoilt_text) | st.sampled_from(TEXTS)


@effort(400)
@given(url=urls)
def test_an_address_is_public_or_refused(url: str) -> None:
    """However it is written: what is let through is a wss:// address in the one form that is dialled and compared."""
    read = public_relay(url)
    if isinstance(read, Unfit):
        return
    assert read.startswith("wss://")
    assert read.isascii()
    assert public_relay(read) == read
    host = urlsplit(read).hostname or ""
    assert host not in {"127.0.0.1", "10.0.0.1", "::1", "localhost"}
    assert not host.endswith((".local", "."))


names = st.sampled_from(["relay", "r", "R", "", "p"])
markers = st.sampled_from(["", "read", "write", "both"])
tags = st.lists(
    st.tuples(names, urls, markers).map(list) | st.tuples(names, urls).map(list) | names.map(lambda name: [name])
)


@effort(150)
@given(lists=st.lists(st.tuples(st.sampled_from([RELAY_LIST, DM_RELAY_LIST]), tags, st.integers(0, 3)), max_size=6))
def test_lists_of_relays(lists: list[tuple[int, list[list[str]], int]]) -> None:
    """Signed lists of anything at all: a few addresses that may be dialled, none of them the bot's own."""
    known = RelayLists([RelayConfig("wss://relay.example.com")])
    for kind, said, at in lists:
        known.note(sign_event(ANA, kind=kind, tags=said, content="", created_at=at))
    letter = sign_event(BOT, kind=DIRECT_MESSAGE, tags=[["p", ANA.pubkey]], content="", created_at=1)
    found = known.urls_for(letter)
    assert len(found) <= RELAYS_A_LIST_MAX
    assert all(public_relay(url) == url for url in found)
    assert public_relay("wss://relay.example.com") not in found


LETTER = sign_event(BOT, kind=DIRECT_MESSAGE, tags=[["p", ANA.pubkey]], content="?iv=", created_at=1)
WORDS = (
    ["OK", LETTER.id, True, ""],
    ["OK", LETTER.id, False, "rate-limited: slow down"],
    ["EVENT", "s", LETTER.plain()],
    ["AUTH", "who?"],
)


@effort(10)
@given(said=st.lists(st.sampled_from(WORDS).flatmap(spoilt_json), max_size=20))
def test_a_visit_outlives_what_a_strangers_relay_says(said: list[str]) -> None:
    """The courier hands a letter over whatever else it is told, or comes again."""

    async def deliver() -> None:
        greetings = [said]

        def replies(event: Plain) -> list[str]:
            return [*(greetings.pop() if greetings else []), *ok_frames(event)]

        async with hostile_relay(event_replies=replies) as relay:
            courier = Courier(lambda _: connect(relay.url, compression=None, proxy=None), limits=CourierLimits(**QUICK))
            try:
                courier.deliver(LETTER, ["wss://relay.example.com"])
                await eventually(lambda: courier.tally().accepted + courier.tally().refused)
            finally:
                await courier.stop()

    asyncio.run(deliver())
