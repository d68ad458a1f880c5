"""The auditor and the messages' own keys: what was said in NIP-44 is proven, and not only said by the bot (row 86).

The forger seals everything again. It has the bot's key, so it may open whatever was said to the bot, and lie about it.
"""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.payloads.subject import Subject
from nostrbot.core.inputs import Signed, reopen
from nostrbot.core.rules import FIRST, RULES
from nostrbot.nostr.event import VerifiedEvent, read_event
from nostrbot.nostr.sealing import Scheme, open_with
from tests.audit.test_examination import rumor_in, without_keys
from tests.audit.test_verification import Content, Trail, resealed, trouble
from tests.houses import House, letter, report, sale, wrapped_letter
from tests.machines import word

NIP04, NIP44, REPORTED, STATED, WRAPPED, PLAIN = range(7, 13)


def lived(rules: int = RULES) -> House:
    """A house in which everything that can be NIP-44 is."""
    house = House.open(rules)
    house.add_lp("ana", "9000")
    house.now += 1
    house.take(letter("operator", "machine set m1 location=Mercado", at=house.now, scheme=Scheme.NIP44))
    house.take(report("m1", sale(), at=house.now, scheme=Scheme.NIP44))
    house.take(word(Subject.CASSETTES, {"positions": {"1": {"denomination": 100, "count": 5}}}, at=house.now))
    house.take(wrapped_letter("operator", 'settlement note s1 "first"', at=house.now))
    house.sell()
    return house


@pytest.fixture(scope="module")
def trail() -> Trail:
    return lived().trail()


def given_in(trail: Trail, seq: int) -> Content:
    found: Content = orjson.loads(trail[seq])["input"]
    return found


def on_input(**changes: Any) -> Callable[[Content], None]:
    return lambda content: content["input"].update(changes)


def test_every_nip44_input_has_its_keys_and_no_other_has(trail: Trail) -> None:
    """152 hex digits beside event and plaintext: of a command, a settlement, a statement and the seal of a gift wrap."""
    for seq in (NIP44, REPORTED, STATED, WRAPPED):
        given = given_in(trail, seq)
        assert set(given) == {"event", "plaintext", "keys"}
        assert len(given["keys"]) == 152
    assert "keys" not in given_in(trail, NIP04)
    assert set(given_in(trail, PLAIN)) == {"event"}


def test_what_they_prove_is_counted(trail: Trail) -> None:
    """Four by their own keys, one plain, the rest on the bot's word; without keys, as in old trails, all encrypted are."""
    found = verify_trail(trail)
    assert (found.signed, found.ticks, found.plain) == (12, 0, 1)
    assert (found.encrypted, found.opened_by_keys, found.opened_by_parties, found.on_bots_word) == (11, 4, 0, 7)
    old = verify_trail(without_keys(lived(FIRST).trail()))
    assert (old.encrypted, old.opened_by_keys, old.opened_by_parties, old.on_bots_word) == (11, 0, 0, 11)


def test_keys_of_one_message_say_nothing_of_another(trail: Trail) -> None:
    """An auditor with the whole trail opens what is in it, and no other message of the same two people."""
    same_people = letter("operator", "machine suspend m1", at=1, scheme=Scheme.NIP44)
    event = read_event(given_in(trail, NIP44)["event"])
    assert isinstance(event, VerifiedEvent)
    kept = reopen(event, given_in(trail, NIP44))
    assert isinstance(kept, Signed)
    assert kept.keys is not None
    assert open_with(kept.keys, kept.event.content) == "machine set m1 location=Mercado"
    with pytest.raises(Exception, match="cannot be opened"):
        open_with(kept.keys, same_people.event.content)


@pytest.mark.parametrize(
    "keys", ["", "00", "00" * 75, "00" * 77, "AB" * 76, "zz" * 76], ids=["none", "1", "75", "77", "upper", "no hex"]
)
def test_keys_that_are_none(trail: Trail, keys: str) -> None:
    """There is one way to write them."""
    assert trouble(resealed(trail, NIP44, on_input(keys=keys))) == (NIP44, "input.keys")


@pytest.mark.parametrize("keys", [5, None, [], True])
def test_keys_of_another_type(trail: Trail, keys: object) -> None:
    assert trouble(resealed(trail, NIP44, on_input(keys=keys))) == (NIP44, "input")


@pytest.mark.parametrize("seq", [NIP44, REPORTED, STATED, WRAPPED])
def test_keys_of_another_message(trail: Trail, seq: int) -> None:
    """They fail at the MAC."""
    other = given_in(trail, REPORTED if seq == NIP44 else NIP44)["keys"]
    assert trouble(resealed(trail, seq, on_input(keys=other))) == (seq, "input.keys")


@pytest.mark.parametrize("position", [0, 31, 32, 43, 44, 75])
def test_one_byte_of_the_keys_changed(trail: Trail, position: int) -> None:
    """Whichever of the three keys it is in."""
    keys = bytearray.fromhex(given_in(trail, NIP44)["keys"])
    keys[position] ^= 1
    assert trouble(resealed(trail, NIP44, on_input(keys=keys.hex()))) == (NIP44, "input.keys")


@pytest.mark.parametrize("seq", [NIP04, PLAIN])
def test_keys_where_there_can_be_none(trail: Trail, seq: int) -> None:
    """What looks proven must be: keys beside a content that has none of its own are a difference."""
    keys = given_in(trail, NIP44)["keys"]
    assert trouble(resealed(trail, seq, on_input(keys=keys))) == (seq, "input.keys")


def test_keys_of_a_tick(trail: Trail) -> None:
    """Nobody signed one."""
    forged = resealed(trail, PLAIN, lambda content: content.update(input={"tick": content["at"], "keys": "00" * 76}))
    assert trouble(forged) == (PLAIN, "input")


def test_another_plaintext_with_facts_to_match() -> None:
    """What the bot could do before there were keys: decide soundly what was never said."""
    true, said = House.open(), 'machine set m1 location="Mercado"'
    true.now += 1
    given = letter("operator", said, at=true.now, scheme=Scheme.NIP44)
    true.take(given._replace(plaintext=said.replace("Mercado", "Parque")))
    assert trouble(true.trail()) == (4, "input.plaintext")
    bare = House.open(FIRST)
    bare.now += 1
    bare.take(given._replace(plaintext=said.replace("Mercado", "Parque"), keys=None))
    found = verify_trail(bare.trail())
    assert (found.entries, found.opened_by_keys, found.on_bots_word) == (4, 0, 4)


def test_another_rumor_in_a_seal_with_keys(trail: Trail) -> None:
    """Of a gift wrap too, the words are proven."""

    def change(content: Content) -> None:
        rumor = rumor_in(content) | {"content": 'settlement note s1 "other"'}
        rumor.pop("id")
        content["input"]["plaintext"] = orjson.dumps(rumor).decode()

    assert trouble(resealed(trail, WRAPPED, change)) == (WRAPPED, "input.plaintext")


def test_keys_are_under_the_hash(trail: Trail) -> None:
    """Taking them away, or adding them, is a change like any other."""
    bare = given_in(trail, NIP44)
    bare.pop("keys")
    unsealed = [*trail[:NIP44], orjson.dumps(orjson.loads(trail[NIP44]) | {"input": bare}), *trail[NIP44 + 1 :]]
    assert trouble(unsealed) == (NIP44, "hash")


@pytest.mark.parametrize("seq", [NIP44, REPORTED, STATED, WRAPPED])
def test_a9_from_the_first_keys_on_each_message_has_its_own(seq: int) -> None:
    """Left out, they would hide another plaintext. By today's rules there are no older ones; in an old trail the first tell."""
    today, old = lived().trail(), lived(FIRST).trail()
    assert trouble(resealed(today, seq, lambda content: content["input"].pop("keys"))) == (seq, "input.keys")
    bare = resealed(old, seq, lambda content: content["input"].pop("keys"))
    if seq == NIP44:
        assert verify_trail(bare).on_bots_word == 8
    else:
        assert trouble(bare) == (seq, "input.keys")
