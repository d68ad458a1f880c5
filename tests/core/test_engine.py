"""The engine: who may say what, when, and how often (docs/protocol.md sections 1, 2 and 6)."""

import pytest

from nostrbot.core.atm.facts import PlatformFeeSet, PreferencesCarried, PreferencesSet
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.commands.specs import Role
from nostrbot.core.engine import COMMAND_AGE_MAX_S, COMMAND_LEAD_MAX_S, DECIDERS, decide
from nostrbot.core.inputs import Signed
from nostrbot.core.rules import RULES
from nostrbot.core.table import TABLE
from nostrbot.nostr.event import sign_event
from nostrbot.nostr.sealing import Scheme
from nostrbot.refusals import Reason, Refusal
from tests.houses import BOT, House, Outcome, letter, person, told

SAID = {
    Role.PLATFORM: "operator suspend antigua",
    Role.OPERATOR: "machine suspend m1",
    Role.LP: "mode flow",
}


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana")
    house.say("ana", "mode fixed")
    return house


def code(outcome: Outcome) -> Code:
    assert isinstance(outcome, CommandRefused), outcome
    return outcome.code


def test_every_command_that_changes_a_book_has_its_decider() -> None:
    """The command table and the engine's know the same commands."""
    assert set(DECIDERS) == {form.verb for form in TABLE if form.changes}


@pytest.mark.parametrize(
    ("who", "role"),
    [(who, role) for who in ("platform", "operator", "ana", "m1", "stranger") for role in SAID],
)
def test_everyone_has_its_own_part_of_the_table(house: House, who: str, role: Role) -> None:
    """The platform is not an operator, an operator is not its LP, a machine commands nothing."""
    mine = {"platform": Role.PLATFORM, "operator": Role.OPERATOR, "ana": Role.LP}.get(who)
    outcome = house.say(who, SAID[role])
    if role is mine:
        assert not isinstance(outcome, CommandRefused | Refusal)
    else:
        assert isinstance(outcome, CommandRefused)
        assert outcome.code is Code.NOT_ALLOWED
        assert SAID[role].startswith(outcome.message.split("`")[1])  # it names the command and nothing of the book


def test_a_suspended_operator_commands_nothing_but_its_lps_still_choose(house: House) -> None:
    """The platform stops an operator, not the LPs whose cash it holds."""
    house.say("platform", "operator suspend antigua")
    assert code(house.say("operator", "machine suspend m1")) is Code.OPERATOR_SUSPENDED
    assert isinstance(house.say("ana", "mode flow"), PreferencesSet)


def test_the_root_book_has_no_operator() -> None:
    """The word root is nobody's key."""
    root = House.root()
    assert code(root.say("operator", "machine suspend m1")) is Code.NOT_ALLOWED


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [
        (0, None),
        (COMMAND_AGE_MAX_S, None),
        (COMMAND_AGE_MAX_S + 1, Code.TOO_OLD),
        (-COMMAND_LEAD_MAX_S, None),
        (-COMMAND_LEAD_MAX_S - 1, Code.IN_THE_FUTURE),
    ],
)
def test_a_command_is_a_thing_of_the_moment(house: House, age_s: int, expected: Code | None) -> None:
    """24 hours old or 15 minutes ahead is accepted, one second more is refused (faults.md row 33)."""
    outcome = house.say("operator", "machine suspend m1", age_s=age_s)
    assert (outcome.code if isinstance(outcome, CommandRefused) else None) is expected


def test_the_limits_of_age_are_the_protocol_s() -> None:
    """docs/protocol.md section 6."""
    assert (COMMAND_AGE_MAX_S, COMMAND_LEAD_MAX_S) == (86_400, 900)


def test_a_command_has_at_most_one_effect_for_ever(house: House) -> None:
    """faults.md rows 2 and 32, invariant I9: also after the state it met has changed back."""
    house.say("operator", "machine suspend m1")
    replayed = house.entries[-1].given
    house.say("operator", "machine resume m1")
    for _ in range(2):
        assert house.take(replayed) == Refusal(Reason.DUPLICATE, "this command has had its effect")
    assert house.book.machines["m1"].active


def test_a_preview_is_never_an_entry(house: House) -> None:
    """Signed as a preview, it cannot be sealed as the command itself, by anybody."""
    assert code(house.say("operator", "preview machine suspend m1")) is Code.NOT_ALLOWED
    assert house.book.machines["m1"].active


def test_a_question_is_never_an_entry(house: House) -> None:
    """It has no decider, so it has no facts."""
    assert code(house.say("operator", "machine list")) is Code.NOT_ALLOWED
    assert code(house.say("ana", "balance")) is Code.NOT_ALLOWED


def test_what_is_no_command_is_refused_as_such(house: House) -> None:
    """The parser's own words reach the author."""
    assert code(house.say("operator", "frobnicate")) is Code.UNKNOWN_COMMAND


def carried(given: Signed) -> Signed:
    return Signed(given.event, given.plaintext, given.scheme, carried=True, answered=False)


def test_what_another_book_decided_in_time_may_be_carried_over(house: House) -> None:
    """A platform fee and an LP's preferences reach a book that was opened or joined later, however old they are."""
    ten_days_ago = house.now - 10 * 86_400
    fee = carried(letter("platform", "platform fee cash_in=2% cash_out=3%", at=ten_days_ago))
    assert house.take(fee) == PlatformFeeSet(20_000, 30_000)
    house.say("operator", "lp add @dora machine=m1 name=dora")
    assert isinstance(house.take(carried(letter("dora", "join mode=flow", at=ten_days_ago))), PreferencesCarried)
    assert code(house.take(carried(letter("ana", "mode fixed", at=ten_days_ago)))) is Code.NOT_ALLOWED


def test_nothing_else_may_be_carried_over(house: House) -> None:
    """An old command that was never obeyed cannot be dug up later under that name."""
    old = letter("operator", "machine suspend m1", at=house.now - 10 * 86_400)
    assert code(house.take(carried(old))) is Code.TOO_OLD


@pytest.mark.parametrize(
    "tags", [[], [["p", person("operator").pubkey]], [["e", BOT.pubkey]], [["p"]], [["P", BOT.pubkey]]]
)
def test_what_is_addressed_to_another_bot_is_none_of_ours(house: House, tags: list[list[str]]) -> None:
    """An operator of two bots does not command one through the other."""
    event = sign_event(person("operator"), kind=4, tags=tags, content="x?iv=x", created_at=house.now)
    decision = decide(house.book, Signed(event, "machine suspend m1", Scheme.NIP04), house.now, RULES)
    assert decision.facts == ()
    assert decision.instead == Refusal(Reason.OFF_FILTER, "not addressed to this bot")


def test_a_relay_hint_and_other_recipients_do_not_matter(house: House) -> None:
    """Clients write more into a tag than its value, and more tags than one."""
    tags = [["p", person("ana").pubkey], ["p", BOT.pubkey, "wss://relay.example.com"]]
    event = sign_event(person("operator"), kind=4, tags=tags, content="x?iv=x", created_at=house.now)
    assert decide(house.book, Signed(event, "machine suspend m1", Scheme.NIP04), house.now, RULES).facts


def test_other_kinds_are_not_taken(house: House) -> None:
    """Not even from the operator."""
    event = sign_event(person("operator"), kind=1, tags=[["p", BOT.pubkey]], content="hello", created_at=house.now)
    decision = decide(house.book, Signed(event, "hello", Scheme.NIP44), house.now, RULES)
    assert decision.instead == Refusal(Reason.OFF_FILTER, "kind 1 is none this book takes")


def test_deciding_changes_nothing(house: House) -> None:
    """decide() looks only: asked twice it says the same, and the book is as before."""
    given = letter("operator", told("machine add @m2 name=m2 fiat=GTQ cash_in=0 cash_out=0"), at=house.now)
    before = house.ledger(), dict(house.book.machines), len(house.book.recall.events)
    assert decide(house.book, given, house.now, RULES) == decide(house.book, given, house.now, RULES)
    assert (house.ledger(), dict(house.book.machines), len(house.book.recall.events)) == before


def test_an_unreadable_settlement_of_a_machine_is_invalid(house: House) -> None:
    """It is answered and kept in the refusal log, not sealed."""
    outcome = house.sell(wire_sats=1.5)
    assert isinstance(outcome, Refusal)
    assert outcome.reason is Reason.INVALID
