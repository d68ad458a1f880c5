"""Announcements: of what people say about where they read, the newest counts; what the bot says of itself is true."""

import json
from typing import Any

import pytest

from nostrbot.nostr.event import VerifiedEvent, read_event
from nostrbot.nostr.keys import Keys
from nostrbot.relays.recipients import relay_lists as announcements
from nostrbot.relays.recipients.relay_lists import RelayLists, digest_of, own_announcements
from nostrbot.relays.relay import RelayConfig
from tests.signers import Signer, verified

BOT = Keys.from_secret("b0" * 32)
ANA, BEN = Signer("ana"), Signer("ben")
OWN = (RelayConfig("wss://own.example.com/"), RelayConfig("ws://127.0.0.1:7447"))
IN_GENERAL, FOR_MESSAGES = 10_002, 10_050


def said(who: Signer, kind: int, *tags: list[str], at: int = 1_790_000_000) -> VerifiedEvent:
    """A relay list."""
    return verified(who.event(kind, "", tags=list(tags), at=at))


def inbox(who: Signer, *names: str, at: int = 1_790_000_000) -> VerifiedEvent:
    """A list of relays for direct messages."""
    return said(who, FOR_MESSAGES, *[["relay", f"wss://{name}.example.com"] for name in names], at=at)


def urls(known: RelayLists, who: Signer = ANA, kind: int = 4) -> list[str]:
    """The names of the relays a message to somebody goes to as well."""
    letter = verified(Signer("the bot").event(kind, "secret", tags=[["p", who.pubkey]], at=1_790_000_000))
    return [url.removeprefix("wss://").removesuffix(".example.com") for url in known.urls_for(letter)]


@pytest.mark.parametrize(("kind", "expected"), [(4, ["a"]), (1_059, ["a"]), (21_000, []), (30_078, []), (1, [])])
def test_messages_go_to_where_people_read_and_words_to_machines_do_not(kind: int, expected: list[str]) -> None:
    """Kinds 4 and 1059 are for people; nobody else's list is asked."""
    known = RelayLists(OWN)
    known.note(inbox(ANA, "a"))
    assert urls(known, kind=kind) == expected
    assert urls(known, BEN, kind=kind) == []


def test_a_message_to_nobody_goes_nowhere() -> None:
    """An event without a recipient has none who announced anything."""
    known = RelayLists(OWN)
    known.note(inbox(ANA, "a"))
    assert known.urls_for(verified(ANA.event(4, "x", tags=[], at=1_790_000_000))) == ()


def test_relays_for_messages_come_before_those_for_everything() -> None:
    """Whoever has a list for direct messages wants them there, even where none of it can be used."""
    known = RelayLists(OWN)
    known.note(said(ANA, IN_GENERAL, ["r", "wss://general.example.com"]))
    assert urls(known) == ["general"]
    known.note(inbox(ANA, "a", "b"))
    assert urls(known) == ["a", "b"]
    known.note(said(ANA, FOR_MESSAGES, ["relay", "ws://hidden.onion"], at=1_790_000_001))
    assert urls(known) == []


def test_of_general_relays_only_those_are_used_where_the_person_reads() -> None:
    """NIP-65: marked `read`, or not marked. Of NIP-17's list, all are."""
    known = RelayLists(OWN)
    tags = [
        ["r", "wss://both.example.com"],
        ["r", "wss://read.example.com", "read"],
        ["r", "wss://write.example.com", "write"],
        ["r", "wss://empty.example.com", ""],
        ["relay", "wss://other.example.com"],
        ["r"],
        ["p", ANA.pubkey],
    ]
    known.note(said(ANA, IN_GENERAL, *tags))
    assert urls(known) == ["both", "read", "empty"]
    known.note(
        said(BEN, FOR_MESSAGES, ["r", "wss://r.example.com"], ["relay", "wss://x.example.com", "write"], ["relay"])
    )
    assert urls(known, BEN) == ["x"]


def test_relays_are_public_not_ours_each_once_and_three_at_most() -> None:
    """What is left out does not count against the three."""
    known = RelayLists(OWN)
    said_urls = [
        "wss://127.0.0.1", "ws://own.example.com", "wss://OWN.example.com:443", "wss://a.example.com",
        "wss://A.example.com/", "not a url", "wss://b.example.com", "wss://c.example.com", "wss://d.example.com",
    ]  # fmt: skip
    known.note(said(ANA, FOR_MESSAGES, *[["relay", url] for url in said_urls]))
    assert urls(known) == ["a", "b", "c"]


def test_a_list_is_not_read_to_its_end() -> None:
    """A list of thousands is nobody's; the first hundred tags are plenty."""
    known = RelayLists(OWN)
    known.note(said(ANA, FOR_MESSAGES, *[["x", str(n)] for n in range(100)], ["relay", "wss://a.example.com"]))
    assert urls(known) == []


def test_the_newest_list_counts_however_they_arrive() -> None:
    """By date, then by the lower id, as relays keep them (NIP-01)."""
    old, new, same = inbox(ANA, "a", at=10), inbox(ANA, "b", at=11), inbox(ANA, "c", at=11)
    lower = min(new, same, key=lambda event: event.id)
    for order in ([old, new, same], [same, new, old], [new, old, same], [same, old, new], [new, same, old, new]):
        known = RelayLists(OWN)
        for event in order:
            known.note(event)
        assert urls(known) == (["b"] if lower is new else ["c"])


def test_an_empty_list_takes_the_old_one_back() -> None:
    """Who reads nowhere else says so by listing nothing."""
    known = RelayLists(OWN)
    known.note(inbox(ANA, "a", at=10))
    known.note(inbox(ANA, at=11))
    assert urls(known) == []


def test_people_who_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who announced first is forgotten first."""
    monkeypatch.setattr(announcements, "PEOPLE_MAX", 2)
    known = RelayLists(OWN)
    for who in (ANA, BEN, Signer("cai")):
        known.note(inbox(who, "a"))
    assert [urls(known, who) for who in (ANA, BEN, Signer("cai"))] == [[], ["a"], ["a"]]


# --- the bot's own -------------------------------------------------------------------------------------------------

RELAYS = (
    RelayConfig("wss://both.example.com"),
    RelayConfig("wss://read.example.com", write=False),
    RelayConfig("wss://write.example.com", read=False),
)


def own(*relays: RelayConfig, at: int = 1_790_000_000) -> dict[int, Any]:
    """The bot's announcements by kind, each found good by our own front door."""
    events = own_announcements(BOT, relays, at)
    assert [read_event(event.plain()) for event in events] == events
    assert {(event.pubkey, event.created_at) for event in events} == {(BOT.pubkey, at)}
    return {event.kind: event.plain() for event in events}


def test_the_bot_says_who_it_is_and_where_to_write() -> None:
    """Kind 0 with NIP-24's `bot`; NIP-65's list with markers; NIP-17's list of where it reads."""
    events = own(*RELAYS)
    assert sorted(events) == [0, 10_002, 10_050]
    profile = json.loads(events[0]["content"])
    assert (profile["name"], profile["bot"], set(profile)) == ("nostrbot", True, {"name", "about", "bot"})
    assert events[10_002]["tags"] == [
        ["r", "wss://both.example.com"],
        ["r", "wss://read.example.com", "read"],
        ["r", "wss://write.example.com", "write"],
    ]
    assert events[10_050]["tags"] == [["relay", "wss://both.example.com"], ["relay", "wss://read.example.com"]]
    assert events[10_002]["content"] == events[10_050]["content"] == ""


def test_a_relay_that_is_not_used_is_not_announced() -> None:
    """Neither read nor write."""
    events = own(RELAYS[0], RelayConfig("wss://off.example.com", read=False, write=False))
    assert events[10_002]["tags"] == [["r", "wss://both.example.com"]]


def test_what_a_url_keeps_secret_is_not_published() -> None:
    """The token for a paid relay stands in relays.yaml, too."""
    events = own(*RELAYS, RelayConfig("wss://paid.example.com/?token=secret"))
    assert events == own(*RELAYS)


def test_the_digest_changes_with_the_content_and_the_places_and_with_nothing_else() -> None:
    """Another date is no news. Another relay is, and so is a secret one, which lacks our profile."""

    def digest(*relays: RelayConfig, at: int = 1_790_000_000, keys: Keys = BOT) -> str:
        return digest_of(own_announcements(keys, relays, at), relays)

    same = digest(*RELAYS)
    assert digest(*RELAYS, at=1_800_000_000) == same
    others = [
        digest(*RELAYS[:2]),
        digest(RelayConfig("wss://both.example.com", write=False), *RELAYS[1:]),
        digest(*RELAYS, RelayConfig("wss://paid.example.com/?token=secret")),
        digest(*RELAYS, keys=Keys.from_secret("b1" * 32)),
    ]
    assert len({same, *others}) == 5
