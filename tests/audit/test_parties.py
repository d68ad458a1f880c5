"""Parties with their keys: what was said to them or by them is compared with the trail (faults.md row 86)."""

import pytest

from nostrbot.audit.summary import Summary
from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.payloads.subject import Subject
from nostrbot.core.inputs import Signed
from nostrbot.core.rules import FIRST, RULES
from nostrbot.errors import TrailError
from nostrbot.nostr.event import sign_event
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Scheme
from tests.audit.test_examination import without_keys
from tests.audit.test_verification import Trail
from tests.houses import BOT, House, letter, person, report, sale, wrapped_letter
from tests.machines import word


def lived(rules: int = RULES) -> House:
    """2 commands of the platform's, 5 of the operator's and one wrapped, 2 of ana's, one report and one statement of m1's."""
    house = House.open(rules)
    house.add_lp("ana", "9000")
    house.say("ana", "mode fixed")
    house.now += 1
    house.take(report("m1", sale(), at=house.now, scheme=Scheme.NIP44))
    house.take(wrapped_letter("operator", 'settlement note s1 "first"', at=house.now))
    house.take(word(Subject.CASSETTES, {"positions": {"1": {"denomination": 100, "count": 5}}}, at=house.now))
    house.say("operator", "machine suspend m1")
    return house


@pytest.fixture(scope="module")
def trail() -> Trail:
    """As bots wrote trails before messages' keys were kept."""
    return without_keys(lived(FIRST).trail())


def opened_by(trail: Trail, *keys: Keys) -> Summary:
    return verify_trail(trail, keys=keys)


@pytest.mark.parametrize(
    ("who", "count"),
    [(["platform"], 2), (["operator"], 6), (["ana"], 2), (["m1"], 2), (["bot"], 12), (["ana", "m1"], 4), (["eva"], 0)],
    ids=lambda given: " ".join(given) if isinstance(given, list) else str(given),
)
def test_each_party_opens_its_own(trail: Trail, who: list[str], count: int) -> None:
    """NIP-04, NIP-44 and what was in a gift wrap; the bot is a party of all; a stranger opens nothing."""
    found = opened_by(trail, *map(person, who))
    assert (found.encrypted, found.opened_by_parties, found.on_bots_word) == (12, count, 12 - count)


def test_what_has_its_own_keys_needs_no_party() -> None:
    """It is proven to everybody."""
    found = opened_by(lived().trail(), person("operator"))
    assert (found.opened_by_keys, found.opened_by_parties, found.on_bots_word) == (3, 5, 4)


@pytest.mark.parametrize("scheme", [Scheme.NIP04, Scheme.NIP44])
@pytest.mark.parametrize("who", ["operator", "bot"])
def test_a_plaintext_that_was_never_said(scheme: Scheme, who: str) -> None:
    """The bot decided soundly what nobody said: only who holds a key can tell, and can."""
    house = House.open(FIRST)
    house.now += 1
    given = letter("operator", "machine set m1 location=Mercado", at=house.now, scheme=scheme)
    house.take(given._replace(plaintext="machine set m1 location=Parque", keys=None))
    assert opened_by(house.trail(), person("ana")).entries == 4
    with pytest.raises(TrailError) as refused:
        opened_by(house.trail(), person(who))
    assert (refused.value.seq, refused.value.field) == (4, "input.plaintext")
    assert "Mercado" not in str(refused.value)


def test_a_content_that_its_parties_cannot_open() -> None:
    """Whatever the bot says it said."""
    house = House.open()
    house.now += 1
    noise = "AAAAAAAAAAAAAAAAAAAAAA==?iv=AAAAAAAAAAAAAAAAAAAAAA=="
    event = sign_event(person("operator"), kind=4, tags=[["p", BOT.pubkey]], content=noise, created_at=house.now)
    house.take(Signed(event, "machine suspend m1", Scheme.NIP04))
    with pytest.raises(TrailError) as refused:
        opened_by(house.trail(), BOT)
    assert (refused.value.seq, refused.value.field) == (4, "input.plaintext")
