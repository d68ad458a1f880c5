"""What was seen, where, and whether its author published it again."""

from nostrbot.nostr.event import Event, parse, sign_event
from nostrbot.relays.dedupe import Deliveries, Delivery
from tests.relays.conftest import BOT

FIRST, REPEAT, DUPLICATE = Delivery.FIRST, Delivery.REPEAT, Delivery.DUPLICATE
EARLY, NEEDLESS = Delivery.EARLY, Delivery.NEEDLESS


def ephemeral(content: str = "") -> Event:
    return sign_event(BOT, kind=21_000, tags=[], content=content, created_at=1_790_000_000)


def told(deliveries: str, *, kind: int = 21_000) -> list[Delivery]:
    """Deliveries of one event: sources a, b, c one second apart; upper case = before EOSE; "!" = the same moment."""
    sightings = Deliveries(size_max=10, repeat_gap_s=0.5)
    event = sign_event(BOT, kind=kind, tags=[], content="", created_at=1_790_000_000)
    now, found = 0.0, []
    for letter in deliveries:
        if letter == "!":
            now -= 1
            continue
        now += 1
        source = "abc".index(letter.lower())
        found.append(sightings.record(event, source=source, live=letter.islower(), now=now))
    return found


def test_rounds_of_an_ephemeral_event() -> None:
    """A source that brings an event a second time starts a round; in it every other source may bring it once."""
    assert told("abc") == [FIRST, DUPLICATE, DUPLICATE]
    assert told("aa") == [FIRST, REPEAT]
    assert told("abab") == [FIRST, DUPLICATE, REPEAT, DUPLICATE]
    assert told("abaab") == [FIRST, DUPLICATE, REPEAT, REPEAT, DUPLICATE]
    assert told("abba") == [FIRST, DUPLICATE, REPEAT, DUPLICATE]


def test_a_store_is_no_author() -> None:
    """What comes before EOSE was stored: it may be the first sighting, never a repeat."""
    assert told("AAA") == [FIRST, DUPLICATE, DUPLICATE]
    assert told("Aa") == [FIRST, REPEAT]


def test_stored_kinds_are_never_repeated() -> None:
    """A machine repeats only what relays do not keep."""
    assert told("aab", kind=4) == [FIRST, NEEDLESS, DUPLICATE]


def test_faster_than_a_machine_repeats_is_needless() -> None:
    """A relay cannot make repeats at will."""
    assert told("a!a!a") == [FIRST, NEEDLESS, NEEDLESS]


def passed_on(source: int, sightings: Deliveries, *, every_s: float, for_s: float) -> list[float]:
    """When repeats are handed on to the bot, of one event that one source brings again and again."""
    event, times = ephemeral(), [n * every_s for n in range(int(for_s / every_s))]
    return [now for now in times if sightings.record(event, source=source, live=True, now=now) is REPEAT]


def test_the_pauses_a_source_has_to_leave_grow() -> None:
    """After the first few: 1, 2, 4 … 60 seconds, however steadily a relay replays; each repeat costs a signed ack."""
    sightings = Deliveries(size_max=10, repeat_gap_s=0.5, repeats_at_once=8)
    at_once, paused = [1, 2, 3, 4, 5, 6, 7, 8], [9, 10, 12, 16, 24, 40, 72, 132, 192]
    assert passed_on(0, sightings, every_s=1.0, for_s=200) == at_once + paused


def test_a_machine_without_its_ack_is_heard_again_and_again() -> None:
    """One that repeats every three seconds is heard each time for half a minute, and then ever more rarely."""
    sightings = Deliveries(size_max=10, repeat_gap_s=0.5, repeats_at_once=8)
    heard = passed_on(0, sightings, every_s=3.0, for_s=120)
    assert heard == [3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 39, 48, 66, 99]


def test_what_comes_within_the_pause_is_early() -> None:
    """It is told apart from what no machine would do: nobody is at fault for an ack that was lost."""
    assert told("aaaa") == [FIRST, REPEAT, REPEAT, EARLY]
    assert told("aaa!a") == [FIRST, REPEAT, REPEAT, NEEDLESS]


def test_pauses_of_a_liar_do_not_silence_an_honest_relay() -> None:
    """Each source leaves its own."""
    assert told("aaaaa" + "b" + "b") == [FIRST, REPEAT, REPEAT, EARLY, REPEAT, DUPLICATE, REPEAT]


def test_rounds_of_a_liar_do_not_use_up_those_of_an_honest_relay() -> None:
    """However often one relay replays, the second delivery by another in a round is a repeat."""
    assert told("a" * 50 + "bb")[-2:] == [DUPLICATE, REPEAT]


def test_memory_is_bounded_and_forgets_the_least_recent() -> None:
    """The size never grows above the limit; what is seen again stays."""
    sightings = Deliveries(size_max=3, repeat_gap_s=0.5)
    events = [ephemeral(str(n)) for n in range(4)]
    for event in events[:3]:
        sightings.record(event, source=0, live=True, now=0.0)
    sightings.record(events[0], source=1, live=True, now=0.0)
    sightings.record(events[3], source=0, live=True, now=0.0)
    assert len(sightings) == 3
    assert [sightings.verified_before(event) for event in events] == [True, False, True, True]


def test_verified_before_means_this_very_event() -> None:
    """Fault 21: not the id alone, but the id recomputed from what is there and the signature that was checked."""
    sightings = Deliveries(size_max=3, repeat_gap_s=0.5)
    true, other = ephemeral("pay 10"), ephemeral("pay 11")
    sightings.record(true, source=0, live=True, now=0.0)
    assert sightings.verified_before(true)
    for forged in (
        {"content": "pay 1000000"},
        {"sig": other.sig},
        {"created_at": 1},
        {"kind": 4},
        {"tags": [["p", "x"]]},
    ):
        event = parse(true.plain() | forged)
        assert isinstance(event, Event)
        assert not sightings.verified_before(event)
