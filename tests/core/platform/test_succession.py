"""The bot's key handed on: three signatures, and what every book makes of them (faults.md row 47)."""

import dataclasses
from collections.abc import Callable

import orjson
import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.facts import LpEnrolled, PlatformFeeSet, PreferencesCarried, PreferencesSet
from nostrbot.core.atm.settlements.facts import SettlementProcessed
from nostrbot.core.book import Book
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.inputs import Signed
from nostrbot.core.platform.facts import BotRotated, PredecessorNamed
from nostrbot.core.platform.succession import (
    Statement,
    Succession,
    countersign,
    make_statement,
    read_statement,
    read_succession,
)
from nostrbot.errors import TrailError
from nostrbot.messages.receipts import Sealed, entry_messages
from nostrbot.nostr import kinds
from nostrbot.nostr.event import VerifiedEvent, sign_event
from nostrbot.nostr.sealing import Scheme
from nostrbot.refusals import Reason, Refusal
from tests.houses import DAWN, House, letter, person, succession

OLD, NEW, PLATFORM = person("bot"), person("new-bot"), person("platform")


def event_of(
    by: str, content: str, *names: str, kind: int = kinds.APP_DATA, subject: str | None = None
) -> VerifiedEvent:
    """An event as a succession has them, or nearly so."""
    named = [person(name).pubkey for name in names or ("bot", "new-bot")]
    tags = [["d", subject or f"nostrbot-succession:{named[0]}"], *(["p", pubkey] for pubkey in named)]
    return sign_event(person(by), kind=kind, tags=tags, content=content, created_at=DAWN)


def text_of(event: VerifiedEvent) -> str:
    return orjson.dumps(event.plain()).decode()


ACCEPTED = event_of("new-bot", "")
STATED = event_of("bot", text_of(ACCEPTED))


def test_three_sign_and_each_holds_the_one_before() -> None:
    """The new key accepts, the old one names it, the platform countersigns."""
    statement = read_statement(make_statement(OLD, NEW, DAWN))
    assert statement == Statement(OLD.pubkey, NEW.pubkey, STATED)
    event = countersign(PLATFORM, statement, DAWN)
    assert read_succession(event, PLATFORM.pubkey) == Succession(OLD.pubkey, NEW.pubkey, STATED, event)
    assert (event.kind, event.tags) == (
        78,
        (("d", f"nostrbot-succession:{OLD.pubkey}"), ("p", OLD.pubkey), ("p", NEW.pubkey)),
    )


SPOILT: dict[str, Callable[[], VerifiedEvent]] = {
    "by another platform": lambda: event_of("mallory", text_of(STATED)),
    "nothing in it": lambda: event_of("platform", ""),
    "no JSON in it": lambda: event_of("platform", "{"),
    "too long": lambda: event_of("platform", " " * 8_193),
    "a letter in it": lambda: event_of("platform", text_of(letter("bot", "help", at=DAWN).event)),
    "no statement in it": lambda: event_of("platform", text_of(ACCEPTED)),
    "another key named": lambda: event_of("platform", text_of(STATED), "bot", "mallory"),
    "another kind": lambda: event_of("platform", text_of(STATED), kind=1),
    "another subject": lambda: event_of("platform", text_of(STATED), subject="nostrbot-checkpoint:x"),
    "nobody named": lambda: event_of("platform", text_of(STATED), "bot"),
    "itself": lambda: event_of("platform", text_of(event_of("bot", text_of(event_of("bot", "", "bot", "bot")), "bot", "bot"))),
    "stated by another": lambda: event_of("platform", text_of(event_of("mallory", text_of(ACCEPTED)))),
    "not accepted": lambda: event_of("platform", text_of(event_of("bot", text_of(event_of("mallory", ""))))),
    "accepted for another": lambda: event_of(
        "platform", text_of(event_of("bot", text_of(event_of("new-bot", "", "mallory", "new-bot"))))
    ),
    "a signature changed": lambda: event_of("platform", text_of(STATED).replace(STATED.sig[:8], "00000000")),
}  # fmt: skip


@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=SPOILT)
def test_two_signatures_are_not_three(spoilt: Callable[[], VerifiedEvent]) -> None:
    """A thief of one key, or of two, hands on nothing."""
    event = spoilt()
    assert isinstance(read_succession(event, PLATFORM.pubkey), Refusal)
    house = House.open()
    assert isinstance(house.take(Signed(event, event.content, Scheme.PLAIN)), Refusal)
    assert house.book.bot == OLD.pubkey


def rotated() -> House:
    """A house that has sold, and whose bot has a new key since."""
    house = House.open()
    house.add_lp("ana", "9000")
    house.sell()
    house.now += 1
    assert house.take(succession("bot", "new-bot", at=house.now)) == BotRotated(OLD.pubkey, NEW.pubkey)
    house.bot = "new-bot"
    return house


def test_from_that_entry_on_the_new_key_is_addressed() -> None:
    """What is said to the old one is not taken, whatever its date; the whole trail verifies under the first key."""
    house = rotated()
    assert house.take(letter("operator", "machine suspend m1", at=house.now)) == Refusal(
        Reason.OFF_FILTER, "not addressed to this bot"
    )
    assert isinstance(house.sell(), SettlementProcessed)
    assert (house.book.first_bot, house.book.bot) == (OLD.pubkey, NEW.pubkey)
    for key in (OLD.pubkey, NEW.pubkey):
        assert verify_trail(house.trail(), bot=key).head == house.chain.head
    with pytest.raises(TrailError):
        verify_trail(house.trail(), bot=person("mallory").pubkey)


def test_a_trail_of_before_verifies_as_it_did() -> None:
    """What was sealed stays sealed."""
    house = rotated()
    before = house.trail()[: len(house.entries)]
    assert verify_trail(before, bot=OLD.pubkey).settlements == 1


def test_a_rotation_happens_once_and_goes_on_from_where_it_is() -> None:
    """The same one again is known; one of another bot's, back to a key of before, or to the platform's own is none."""
    house = rotated()
    done = house.entries[-1].given
    assert house.take(done) == Refusal(Reason.DUPLICATE, "this rotation has had its effect")
    for old, new in (("bot", "mallory"), ("new-bot", "bot"), ("new-bot", "platform"), ("stranger", "mallory")):
        assert isinstance(house.take(succession(old, new, at=house.now)), Refusal)
    assert house.take(succession("new-bot", "third-bot", at=house.now)) == BotRotated(
        NEW.pubkey, person("third-bot").pubkey
    )
    assert house.book.former_bots == [OLD.pubkey, NEW.pubkey]
    assert verify_trail(house.trail(), bot=OLD.pubkey).head == house.chain.head


def test_a_book_loaded_under_the_new_key_knows_the_first() -> None:
    """Folded from facts alone, whichever key it is loaded under."""
    house = rotated()
    loaded = House(Book(NEW.pubkey, house.book.key, house.book.platform), house.chain, entries=house.entries)
    assert (loaded.rebuilt().first_bot, loaded.rebuilt().bot) == (OLD.pubkey, NEW.pubkey)


def carried(given: Signed) -> Signed:
    return given._replace(carried=True, answered=False)


def test_a_book_opened_later_is_told_who_was_before() -> None:
    """What is carried into it was said to the old key, so it needs the rotations, the newest first; its trail stands alone."""
    first, second = succession("bot", "new-bot", at=DAWN), succession("new-bot", "third-bot", at=DAWN)
    fee = letter("platform", "platform fee cash_in=1% cash_out=1.5%", at=DAWN)
    joined = letter("ana", "join", at=DAWN)
    house = House.empty(bot="third-bot")
    house.say("platform", "operator add @operator name=antigua tz=America/Guatemala")
    assert isinstance(house.take(carried(fee)), Refusal)
    assert isinstance(house.take(carried(first)), Refusal)
    assert house.take(carried(second)) == PredecessorNamed(NEW.pubkey, person("third-bot").pubkey)
    assert house.take(carried(first)) == PredecessorNamed(OLD.pubkey, NEW.pubkey)
    assert isinstance(house.take(carried(fee)), PlatformFeeSet)
    house.add_machine("m1")
    assert isinstance(house.say("operator", "lp add @ana machine=m1 name=ana"), LpEnrolled)
    assert isinstance(house.take(joined), Refusal)
    assert isinstance(house.take(carried(joined)), PreferencesCarried)
    assert isinstance(house.say("ana", "join"), PreferencesSet)
    assert house.book.first_bot == person("third-bot").pubkey
    assert verify_trail(house.trail(), bot=person("third-bot").pubkey).head == house.chain.head
    assert house.take(succession("third-bot", "bot", at=DAWN)) == Refusal(
        Reason.INVALID, "this rotation does not go on from where this book is"
    )


def test_everybody_who_writes_to_the_bot_is_told_once() -> None:
    """The operator and each LP; in the root book nobody. Whoever is in several books gets the same message twice, which is one."""
    house = rotated()
    entry = house.entries[-1]
    sealed = Sealed(entry.book, entry.seq, entry.at, entry.hash, entry.facts, kinds.APP_DATA, "", Scheme.PLAIN)
    messages = entry_messages(house.book, sealed)
    assert [message.to for message in messages] == [person("operator").pubkey, person("ana").pubkey]
    other = dataclasses.replace(house.book, key="0" * 64, handle="coban")
    assert entry_messages(other, sealed._replace(book=other.key, seq=99))[1] == messages[1]
    assert messages[0].text == (
        f"I have a new key: {NEW.npub}. Write to it from now on; I do not read messages to {OLD.npub} any more. The "
        "old key named the new one and the platform countersigned it, for everybody to see. Your balances are as they were."
    )
    root = House.root()
    root.take(succession("bot", "new-bot", at=DAWN))
    (sealed_root,) = root.entries
    assert entry_messages(root.book, sealed._replace(facts=sealed_root.facts)) == []


def test_nobody_rotates_by_a_command() -> None:
    """There is no such word: it takes the old key's own signature."""
    outcome = House.open().say("platform", "rotate bot @new-bot")
    assert isinstance(outcome, CommandRefused)
    assert outcome.code is Code.UNKNOWN_COMMAND
