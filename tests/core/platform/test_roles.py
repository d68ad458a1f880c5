"""Which roles one key may have together, and whose a share is by now (the review of November 2026, A10 and A15)."""

import pytest

from nostrbot.core.book import Book
from nostrbot.core.commands.command import Command
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.commands.specs import Part
from nostrbot.core.engine import apply, decide
from nostrbot.core.facts import Fact
from nostrbot.core.parsing import parse
from nostrbot.core.platform.facts import BotRotated
from nostrbot.core.platform.roles import BARRED, keys_given, parts_of
from nostrbot.core.rules import FIRST
from nostrbot.core.table import TABLE
from nostrbot.refusals import Reason, Refusal
from tests.houses import DAWN, House, letter, of_legs, person, report, sale, succession, told

# In the house below this key has each of these parts, and no other one.
HOLDERS = {
    Part.BOT: "bot",
    Part.PLATFORM: "platform",
    Part.OPERATOR: "operator",
    Part.FORMER_OPERATOR: "first-operator",
    Part.MACHINE: "m1",
    Part.LP: "ana",
    Part.PARTY: "xena",
}
# What gives a key each part, in the operator's book; the platform's part is given once, by whoever runs the bot.
GIVES = {
    Part.MACHINE: ("operator", "machine add @{} name=m9 fiat=GTQ cash_in=0 cash_out=0"),
    Part.LP: ("operator", "lp add @{} machine=m1 name=new"),
    Part.PARTY: ("operator", "splits set new=100%:@{}"),
}


def furnished() -> House:
    """A book in which each part is somebody's."""
    house = House.empty(person("first-operator").pubkey)
    house.say("platform", "operator add @first-operator name=antigua tz=America/Guatemala")
    house.say("platform", "operator replace antigua @operator")
    house.add_machine("m1")
    house.add_lp("ana")
    house.say("operator", "splits set xena=50%:@xena self=50%:self")
    return house


@pytest.fixture
def house() -> House:
    return furnished()


def is_taken(outcome: object) -> bool:
    return isinstance(outcome, CommandRefused) and outcome.code is Code.KEY_TAKEN


def test_each_part_is_held_by_one_key_in_this_house(house: House) -> None:
    """The table below means what it says."""
    assert {part: tuple(parts_of(house.book, person(name).pubkey)) for part, name in HOLDERS.items()} == {
        part: (part,) for part in HOLDERS
    }


@pytest.mark.parametrize("held", Part)
@pytest.mark.parametrize("given", GIVES)
def test_a15_each_pair_of_parts_is_decided(house: House, given: Part, held: Part) -> None:
    """The whole table, pair by pair, by what an operator says."""
    who, words = GIVES[given]
    outcome = house.say(who, words.format(HOLDERS[held]))
    if given == held == Part.LP:
        assert isinstance(outcome, CommandRefused)
        assert outcome.code is Code.ALREADY_ENROLLED
    else:
        assert is_taken(outcome) == (held in BARRED[given]), outcome


@pytest.mark.parametrize("name", ["bot", "old-bot"])
def test_a15_the_bot_s_keys_become_no_operator(name: str) -> None:
    """Neither at once nor in another's place; nor does one it had before."""
    root = House.root()
    root.say("platform", "operator add @operator name=antigua")
    root.book.former_bots.append(person("old-bot").pubkey)
    assert is_taken(root.say("platform", f"operator add @{name} name=lima"))
    assert is_taken(root.say("platform", f"operator replace antigua @{name}"))


def test_a15_a_former_key_of_the_bot_has_no_role_either(house: House) -> None:
    """After a rotation both are barred, for LPs, machines and parties alike."""
    assert isinstance(house.take(succession("bot", "new-bot", at=house.now)), BotRotated)
    house.bot = "new-bot"
    for name in ("bot", "new-bot"):
        for who, words in GIVES.values():
            assert is_taken(house.say(who, words.format(name)))
        assert is_taken(house.say("operator", f"machine rotate m1 @{name}"))


@pytest.mark.parametrize("held", [part for part in Part if part is not Part.BOT])
def test_a15_a_key_with_a_role_does_not_become_the_bot_s(house: House, held: Part) -> None:
    """Whatever the role: the rotation is refused before anything is changed."""
    outcome = house.take(succession("bot", HOLDERS[held], at=house.now))
    assert isinstance(outcome, Refusal)
    assert outcome.reason is Reason.INVALID


def test_a15_the_root_book_knows_every_operator_s_key() -> None:
    """Those that were replaced, too."""
    root = House.root()
    root.say("platform", "operator add @operator name=antigua")
    root.say("platform", "operator replace antigua @new-operator")
    for name in ("operator", "new-operator"):
        assert isinstance(root.take(succession("bot", name, at=root.now)), Refusal)


def test_a15_what_the_bot_wrote_is_never_a_command_nor_a_report() -> None:
    """A book in which the bot is an LP and a machine from before hears nothing from it."""
    house = House.open()
    of_before(house, "operator", "lp add @bot machine=m1 name=me")
    of_before(house, "operator", "machine add @bot name=m2 fiat=GTQ cash_in=0 cash_out=0")
    for given in (letter("bot", "join", at=house.now), report("bot", sale("bot"), at=house.now)):
        outcome = house.take(given)
        assert isinstance(outcome, Refusal)
        assert outcome.reason is Reason.OWN_WORD


def of_before(house: House, who: str, text: str) -> Fact:
    """Something said before 27 November 2026, decided by the rules of then. Not sealed: the chain has the rules of now."""
    house.now += 1
    given = letter(who, text, at=house.now)
    decision = decide(house.book, given, house.now, FIRST)
    assert decision.facts, decision.instead
    apply(house.book, given.id, decision.facts, seq=house.chain.seq + 1, at=house.now, rules=FIRST)
    return decision.facts[0]


def test_a15_a_bot_that_is_an_lp_from_before_is_not_paid() -> None:
    """Its commission is the operator's own, and its cash is not used."""
    house = House.open()
    of_before(house, "operator", "lp add @bot machine=m1 name=me")
    of_before(house, "bot", "join")
    of_before(house, "operator", "splits set me=40%:me too=10%:@bot ana=50%:self")
    of_before(house, "operator", "deposit add me 9000 machine=m1")
    of_before(house, "operator", "deposit confirm d1")
    sold = house.sell()
    assert of_legs(sold, "operator_split") == [
        "operator_split me 2508",
        "operator_split too 627",
        "operator_split ana 3135",
    ]
    assert of_legs(sold, "operator") == ["operator operator 100000 for 2000.00"]
    assert house.book.sats_owed("me") == 0
    assert not any("party" in account for account in house.ledger())
    assert is_taken(house.say("operator", "settle me 100 machine=m1"))
    assert is_taken(house.say("operator", "splits set me=100%:me"))


def test_the_rules_of_before_share_as_they_did() -> None:
    """An entry of rules 1 with the bot as an LP decides as it did."""
    house = House.open()
    of_before(house, "operator", "lp add @bot machine=m1 name=me")
    assert "me" in house.book.lps


def test_a10_a_share_is_whose_its_key_is_when_it_is_shared_out(house: House) -> None:
    """Named by a key, then that key becomes an LP: by then the share is the LP's."""
    before = house.sell()
    assert of_legs(before, "operator_split")[0].startswith("operator_split xena")
    house.say("operator", "lp add @xena machine=m1 name=xe")
    after = house.sell()
    assert of_legs(after, "operator_split")[0].startswith("operator_split xe ")


def test_a10_a_share_of_a_key_that_becomes_the_operator_s_is_its_own(house: House) -> None:
    """For as long as it speaks for the operator; a key that did so once is another key again."""
    house.say("platform", "operator replace antigua @xena")
    assert "party" not in "".join(house.ledger())
    house.sell()
    assert "party" not in "".join(house.ledger())
    house.say("platform", "operator replace antigua @third")
    house.sell()
    assert "party" in "".join(house.ledger())


def test_a10_by_name_or_by_key_an_lp_is_the_same(house: House) -> None:
    """A split that names an LP by its npub is kept as one that names it."""
    by_key, by_name = (furnished() for _ in range(2))
    by_key.say("operator", "splits set a=100%:@ana")
    by_name.say("operator", "splits set a=100%:ana")
    assert by_key.book.splits == by_name.book.splits


def test_every_command_that_names_a_key_is_in_the_table() -> None:
    """A command to come that gives a key a part must be asked about it, too."""
    naming = {form.verb for form in TABLE if any(arg.name == "npub" for arg in form.args)}
    assert naming - {"machine free"} | {"splits set"} == {spec.verb for spec in TABLE if spec.gives}


def test_the_keys_a_command_gives_a_part_to() -> None:
    """By npub, and in splits by what stands after the colon."""
    said = parse(told("splits set a=10%:@ana b=20%:self c=70%:ben"))
    assert isinstance(said, Command)
    assert list(keys_given(said)) == [person("ana").pubkey]
    said = parse(told("machine rotate m1 @m2"))
    assert isinstance(said, Command)
    assert list(keys_given(said)) == [person("m2").pubkey]


def test_a_restart_knows_the_operator_s_former_keys(house: House) -> None:
    """They are in the snapshot."""
    before: Book = house.book
    house.restart()
    assert house.book.former_operators == before.former_operators == [person("first-operator").pubkey]
    assert house.now > DAWN
