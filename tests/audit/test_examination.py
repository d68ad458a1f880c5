"""The auditor and the newer inputs: ticks of the clock, and messages in gift wraps (faults.md row 86).

The forger is as strong as in test_verification.py: it may seal everything again, and lacks only the keys of those who signed.
"""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.inputs import Signed, Tick, open_signed
from nostrbot.core.rules import FIRST
from nostrbot.journal.entry import canonical
from nostrbot.nostr.event import event_id
from nostrbot.refusals import Reason, Refusal
from tests.audit.test_verification import Content, Trail, changed, resealed, sealed_again, trouble
from tests.houses import House, person, wrapped_letter

pytestmark = pytest.mark.usefixtures("any_page")

# 20:00 on 2026-09-21 and 08:00 on the day after, in Guatemala.
EVENING, MORNING = 1_790_042_400, 1_790_085_600


def lived(rules: int = FIRST) -> House:
    """A day of fixed mode: paid in the evening, short of sats the next morning; then words in gift wraps."""
    house = House.open(rules)
    house.add_lp("ana", "9000")
    house.add_lp("ben", "1000")
    house.say("ana", "mode fixed limit=1000")
    house.sell()
    house.say("operator", "fixed schedule 08:00,20:00")
    house.tick(EVENING)
    house.tick(MORNING)
    for nth, text in enumerate(('settlement note s1 "first"', 'settlement note s1 "second"')):
        house.now += 1
        house.take(wrapped_letter("operator", text, at=house.now, name=bytes([nth])))
    return house


LIFE = lived()
PAID, SHORT, FIRST, SECOND = range(len(LIFE.entries) - 3, len(LIFE.entries) + 1)


def without_keys(trail: Trail) -> Trail:
    """The trail as bots wrote it before they kept the keys of messages: what a seal holds rests on their word."""
    for seq in range(1, len(trail)):
        if "keys" in orjson.loads(trail[seq])["input"]:
            trail = changed(trail, seq, lambda content: content["input"].pop("keys"))
    return sealed_again(trail)


@pytest.fixture(scope="module")
def trail() -> Trail:
    return without_keys(LIFE.trail())


def test_it_verifies(trail: Trail) -> None:
    """Two ticks, the second short of sats, and two gift-wrapped commands."""
    assert [type(entry.given) for entry in LIFE.entries[-4:]] == [Tick, Tick, Signed, Signed]
    summary = verify_trail(trail)
    assert (summary.entries, summary.settlements, summary.receipts) == (len(LIFE.entries), 1, 2)


def plus(seconds: int) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        content["input"]["tick"] += seconds

    return change


@pytest.mark.parametrize("seconds", [-1, 1, 86_400])
def test_a_tick_of_another_time(trail: Trail, seconds: int) -> None:
    """A tick is decided when the entry says it was accepted."""
    assert trouble(resealed(trail, PAID, plus(seconds))) == (PAID, "facts")


def test_a_tick_before_its_slot(trail: Trail) -> None:
    """Moved with its entry to where nothing was due yet."""

    def change(content: Content) -> None:
        content["at"] = content["input"]["tick"] = EVENING - 1

    assert trouble(resealed(trail, PAID, change)) == (PAID, "facts")


@pytest.mark.parametrize("tick", [True, 5.0, "5", None, [5]])
def test_a_tick_that_is_no_time(trail: Trail, tick: Any) -> None:
    """JSON has other things that compare equal to a number."""

    def change(content: Content) -> None:
        content["input"]["tick"] = tick

    assert trouble(resealed(trail, PAID, change)) == (PAID, "input")


@pytest.mark.parametrize("at", [253_370_764_800, 2**40, 2**62])
def test_a_time_no_calendar_has(trail: Trail, at: int) -> None:
    """It is named, and does not stop the auditor."""

    def change(content: Content) -> None:
        content["at"] = content["input"]["tick"] = at

    assert trouble(resealed(trail, PAID, change)) == (PAID, "at")


def test_a_tick_added(trail: Trail) -> None:
    """Twice the same evening; or out of the blue, with nothing due."""
    assert trouble(sealed_again([*trail[: PAID + 1], trail[PAID], *trail[PAID + 1 :]])) == (PAID + 1, "facts")
    last = orjson.loads(trail[-1])
    nothing = {**last, "input": {"tick": last["at"]}, "facts": [], "postings": []}
    assert trouble(sealed_again([*trail, canonical(nothing)])) == (len(trail), "facts")


def test_a_tick_removed(trail: Trail) -> None:
    """What the next one gives rests on it: other sats are left, and other numbers of legs."""
    assert trouble(sealed_again([*trail[:PAID], *trail[PAID + 1 :]]))[0] == PAID
    assert trouble(sealed_again([*trail[:PAID], *trail[PAID + 1 :]]))[1].startswith("facts[")


def facts_of(name: str, content: Content) -> Content:
    found: Content = next(fact for fact in content["facts"] if fact["fact"] == name)
    return found


def _set(name: str, **changes: Any) -> Callable[[Content], None]:
    return lambda content: facts_of(name, content).update(changes)


def _leg(**changes: Any) -> Callable[[Content], None]:
    return lambda content: facts_of("lp_paid", content)["legs"][0].update(changes)


@pytest.mark.parametrize(
    ("seq", "change", "field"),
    [
        (PAID, _set("slots_kept", day="2026-09-22"), "facts[0].day"),
        (PAID, _set("slots_kept", slots=["08:00", "20:00"]), "facts[0].slots[0]"),
        (PAID, _set("slots_kept", short_sats=1), "facts[0].short_sats"),
        (SHORT, _set("slots_kept", short_sats=0), "facts[0].short_sats"),
        (PAID, _set("lp_paid", rate="49"), "facts[1].rate"),
        (PAID, _set("lp_paid", slot=None), "facts[1].slot"),
        (PAID, _leg(sats=49_999), "facts[1].legs[0].sats"),
        (PAID, _leg(fiat_minor=100_001), "facts[1].legs[0].fiat_minor"),
        (PAID, _leg(lp="ben"), "facts[1].legs[0].lp"),
        (SHORT, _leg(status="completed"), "facts[1].legs[0].status"),
        (SHORT, _leg(reason="zero_share"), "facts[1].legs[0].reason"),
    ],
)
def test_facts_of_a_slot_changed(trail: Trail, seq: int, change: Callable[[Content], None], field: str) -> None:
    """Who got how much at what price, who did not, and why: decided again, each is found."""
    place, name = trouble(resealed(trail, seq, change))
    assert place == seq
    assert name == field


def test_the_facts_of_a_slot_left_out(trail: Trail) -> None:
    """A slot that is kept with nobody paid."""

    def change(content: Content) -> None:
        content["facts"], content["postings"] = content["facts"][:1], []

    assert trouble(resealed(trail, PAID, change)) == (PAID, "facts")


# --- seals ---------------------------------------------------------------------------------------------------------


def rumor_in(content: Content) -> Content:
    rumor: Content = orjson.loads(content["input"]["plaintext"])
    return rumor


def said(content: Content, rumor: Content, *, with_id: bool = True) -> None:
    """Put another rumor into a seal's plaintext, under its own true id."""
    rumor.pop("id", None)
    if with_id:
        names = ("pubkey", "created_at", "kind", "tags", "content")
        rumor["id"] = event_id(*(rumor[name] for name in names))
    content["input"]["plaintext"] = orjson.dumps(rumor).decode()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"pubkey": person("ana").pubkey}, "input.plaintext"),
        ({"kind": 4}, "facts"),
        ({"kind": 7}, "facts"),
        ({"tags": []}, "facts"),
        ({"tags": [["p", person("ben").pubkey]]}, "facts"),
        ({"created_at": 1_700_000_000}, "facts"),
        ({"content": 'settlement note s2 "first"'}, "facts"),
        ({"content": 'settlement note s1 "worst"'}, "facts[0].note"),
        ({"content": 'preview settlement note s1 "first"'}, "facts"),
        ({"content": "settlement list"}, "facts"),
    ],
)
@pytest.mark.parametrize("with_id", [True, False])
def test_a_seal_with_another_rumor(trail: Trail, changes: Content, field: str, *, with_id: bool) -> None:
    """Another author, kind, recipient, date or text is not what the facts were decided from."""

    def change(content: Content) -> None:
        said(content, rumor_in(content) | changes, with_id=with_id)

    assert trouble(resealed(trail, FIRST, change)) == (FIRST, field)


@pytest.mark.parametrize("plaintext", ["", "{}", "[]", 'settlement note s1 "first"', '{"content": "help"}'])
def test_a_seal_that_holds_no_rumor(trail: Trail, plaintext: str) -> None:
    """The words alone are not what was sealed."""

    def change(content: Content) -> None:
        content["input"]["plaintext"] = plaintext

    assert trouble(resealed(trail, FIRST, change)) == (FIRST, "input.plaintext")


def test_a_seal_without_its_plaintext(trail: Trail) -> None:
    """Nobody could say what it means."""
    assert trouble(resealed(trail, FIRST, lambda content: content["input"].pop("plaintext"))) == (
        FIRST,
        "input.plaintext",
    )


def test_a_rumor_with_an_id_it_has_not(trail: Trail) -> None:
    """The id under which it has its one effect is computed, not believed."""

    def change(content: Content) -> None:
        content["input"]["plaintext"] = orjson.dumps(rumor_in(content) | {"id": "0" * 64}).decode()

    assert trouble(resealed(trail, FIRST, change)) == (FIRST, "input.plaintext")


def test_a_seal_used_for_two_messages(trail: Trail) -> None:
    """One signature of the operator's gives no second command, whatever the bot says was in it."""

    def change(content: Content) -> None:
        content["input"]["event"] = orjson.loads(trail[FIRST])["input"]["event"]

    assert trouble(resealed(trail, SECOND, change)) == (SECOND, "input.event")


def test_a_message_sealed_anew(trail: Trail) -> None:
    """The same rumor in another seal of its author's has no second effect."""
    house = lived()
    again = wrapped_letter("operator", 'settlement note s1 "first"', at=house.now - 1, name=b"again")
    first = LIFE.entries[-2].given
    assert isinstance(first, Signed)
    assert (again.id, again.event.id != first.event.id) == (first.id, True)
    copied = orjson.loads(trail[FIRST])
    copied |= {"input": again.plain(), "at": house.now}
    assert trouble(sealed_again([*trail, canonical(copied)])) == (len(trail), "facts")


def test_a_seal_of_somebody_elses_words_is_no_input() -> None:
    """The author of what counts is who signed; a rumor that claims another is refused wherever it is read."""
    given = wrapped_letter("operator", "balances", at=EVENING)
    rumor = orjson.loads(given.plaintext) | {"pubkey": person("ana").pubkey}
    rumor.pop("id")
    assert open_signed(given.event, orjson.dumps(rumor).decode()) == Refusal(Reason.SEAL_MISMATCH)


# --- time zones ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tz", ["Mars/Base", "America", "../../etc/passwd", ""])
def test_a_time_zone_nobody_knows(trail: Trail, tz: str) -> None:
    """The plaintext of the platform's command rests on the bot's word: the auditor says so and does not stop."""

    def change(content: Content) -> None:
        content["input"]["plaintext"] = content["input"]["plaintext"].replace("America/Guatemala", tz)
        facts_of("book_opened", content)["tz"] = tz

    where, field = trouble(resealed(trail, 1, change))
    assert where == 1
    assert field.startswith("facts")
