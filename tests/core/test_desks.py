"""The desks: all that they bring, fact by fact and row by row, is joined, read back, projected, told and answered.

What lives here: walks over the union of facts and the table of commands. What does not: what a fact does to a book, or a
command to a house (the tests beside the modules). A new fact or row that lacks one of its parts is named here.
"""

from typing import Any, get_args

import pytest

from nostrbot.core.atm.desk import ATM
from nostrbot.core.atm.facts import AtmFact
from nostrbot.core.book import ROOT, Book
from nostrbot.core.commands.specs import BY_LP, BY_OPERATOR, BY_PLATFORM, Answerer, CommandSpec, Part, Past, Scope
from nostrbot.core.desk import Desk
from nostrbot.core.desks import BOOKING, DECIDERS, DESKS, EVOLUTION, HEARERS, OBSERVERS, check_books, joined
from nostrbot.core.facts import Fact, plain_fact, read_fact
from nostrbot.core.payouts.desk import PAYOUTS
from nostrbot.core.payouts.facts import PayoutFact
from nostrbot.core.platform.desk import PLATFORM
from nostrbot.core.platform.facts import PlatformFact
from nostrbot.core.rules import FIRST, RULES
from nostrbot.core.table import EVERYBODY, SPECS, TABLE
from nostrbot.errors import BooksError
from nostrbot.messages.receipts import payment_of
from nostrbot.messages.replies import WORDS
from nostrbot.nostr import kinds
from nostrbot.store.batch import Outcome, Projections
from tests.facts_met import FACTS, LIVES
from tests.houses import House
from tests.tallies import MOVES_NOTHING

KINDS = get_args(Fact)
UNION = {kind.name for kind in KINDS}

# Facts that change rows of settlements or legs. All others are in the journal and in snapshots only.
PROJECTED = {
    "settlement_processed", "settlement_pending", "settlement_rejected", "settlement_retried", "settlement_moved",
    "settlement_noted", "settlement_corrected", "settlement_refunded", "settlement_frozen", "settlement_lifted",
    "lp_paid", "party_moved", "payment_voided",
}  # fmt: skip
# Facts that neither an answer by their name nor a message tells: what shows them instead.
SHOWN_ELSEWHERE = {
    "book_opened": "operator add",  # the root book answers
    "bot_rotated": "whoami",  # of the next bot; messages to everybody: tests/runtime/test_rotation.py
    "predecessor_named": "proof",  # a checkpoint's chain of keys
    "clock_set_right": "report",  # the days it tells are those of the new clock; `audit verify` names it
    "preferences_carried": "balance",  # the book that was spoken to answers
    "cassettes_stated": "cassette list",
}
# Nobody can ask for a payout yet (core/payouts/desk.py): nobody is told of one.
UNTOLD = {kind.name for kind in get_args(PayoutFact)}
BY_SCOPE = {
    Scope.OWN: BY_OPERATOR,
    Scope.JOINED: BY_LP,
    Scope.ENROLLED: BY_LP,
    Scope.EVERY: BY_PLATFORM,
    Scope.OPENED: BY_PLATFORM,
    Scope.NAMED: BY_PLATFORM,
    Scope.HOLDER: BY_PLATFORM,
}
# What a row must be told to have looked up, to find its book, or to give a key.
NAMES_PAST = {
    Past.SETTLEMENT: {"settlement"},
    Past.LEG: {"leg"},
    Past.PAYMENT_HASH: {"payment_hash"},
    Past.STOLEN: {"machine", "since"},
}
NAMES_BOOK = {Scope.OPENED: {"npub", "name"}, Scope.NAMED: {"name"}, Scope.HOLDER: {"npub"}}

each_fact = pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
each_row = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.verb)


def arguments_of(row: CommandSpec) -> set[str]:
    return {arg.name for arg in row.args}


# --- desks -------------------------------------------------------------------------------------------------------------


def test_each_desk_evolves_its_own_facts_and_no_other() -> None:
    """Together they know every fact of the union."""
    assert set(PLATFORM.evolution) == set(get_args(PlatformFact))
    assert set(ATM.evolution) == set(get_args(AtmFact))
    assert set(PAYOUTS.evolution) == set(get_args(PayoutFact))
    assert set(EVOLUTION) == set(KINDS)
    assert len({kind.name for kind in KINDS}) == len(KINDS)


def test_desks_share_no_name_row_event_or_observation() -> None:
    """What is joined has all that was brought, so nothing was brought twice."""
    assert len({desk.name for desk in DESKS}) == len(DESKS)
    verbs = [row.verb for desk in DESKS for row in desk.specs] + [row.verb for row in EVERYBODY]
    assert sorted(verbs) == sorted(SPECS)
    assert len(DECIDERS) == sum(len(desk.deciders) for desk in DESKS)
    assert len(OBSERVERS) == sum(len(desk.observers) for desk in DESKS)
    assert set(HEARERS) == {kinds.SETTLEMENT, kinds.MACHINE_STATE, kinds.APP_DATA}


PARTS: list[tuple[str, Any]] = [
    ("deciders", "settle"),
    ("hearers", kinds.SETTLEMENT),
    ("evolution", next(iter(ATM.evolution))),
    ("booking", next(iter(ATM.booking))),
]


@pytest.mark.parametrize(("part", "claimed"), PARTS, ids=[part for part, _ in PARTS])
def test_a_desk_that_claims_what_another_has_is_no_desk(part: str, claimed: Any) -> None:
    """Importing core/desks.py would fail: nobody starts with a rule that another one hides."""
    greedy = Desk("greedy", specs=(), **({"deciders": {}, "evolution": {}} | {part: {claimed: print}}))
    with pytest.raises(ValueError, match="two desks claim"):
        joined(getattr(desk, part) for desk in (*DESKS, greedy))


def test_joined_has_everything_of_every_table() -> None:
    """Empty tables are welcome: most desks observe nothing."""
    assert joined([{}, {"a": 1}, {}, {"b": 2}]) == {"a": 1, "b": 2}
    assert joined([]) == {}


def test_each_row_is_decided_by_the_desk_that_brings_it() -> None:
    """Help and the engine agree on whose command it is."""
    for desk in DESKS:
        assert set(desk.deciders) == {row.verb for row in desk.specs if row.changes}


def test_books_are_checked_by_every_desk() -> None:
    """A seat that spent more than it holds is the ATM desk's to notice, and the ledger's sum everybody's."""
    house = House.open()
    house.add_lp("ana", "100")
    check_books(house.book)
    house.book.lps["ana"].seats["m1"].spent_minor += 1
    with pytest.raises(BooksError):
        check_books(house.book)


# --- facts -------------------------------------------------------------------------------------------------------------


@each_fact
def test_a_fact_has_a_reader_and_is_what_it_was(fact: Fact) -> None:
    """Plain and back, by the name that the journal keeps."""
    assert plain_fact(fact)["fact"] == fact.name
    assert read_fact(plain_fact(fact)) == fact


def test_a_fact_is_booked_or_is_known_to_move_no_money() -> None:
    """None is both, none is neither."""
    booked = {kind.name for kind in BOOKING}
    assert booked & MOVES_NOTHING == set()
    assert booked | MOVES_NOTHING == UNION


def test_what_moves_no_money_carries_none() -> None:
    """In the lives of real houses: an entry of such facts alone has no posting."""
    entries = [entry for house in LIVES for entry in house.entries]
    quiet = [entry for entry in entries if {fact.name for fact in entry.facts} <= MOVES_NOTHING]
    assert len(quiet) > 20
    assert [entry.seq for entry in quiet if b'"postings":[]' not in entry.body] == []


@each_fact
def test_a_fact_is_projected_or_is_known_not_to_be(fact: Fact) -> None:
    """Rows of settlements and legs come from facts alone, as they would at a rebuild."""
    rows = Projections()
    rows.add_facts(1, Outcome(7, 1_790_000_000, getattr(fact, "event_id", None), (fact,)))
    changed = rows.settlements or rows.changes or rows.legs or rows.moved or rows.voided
    assert bool(changed) == (fact.name in PROJECTED)


def test_only_facts_there_are_are_projected() -> None:
    """A name that was changed would hide a fact without its rows."""
    assert PROJECTED <= UNION


def test_each_fact_is_told_to_somebody() -> None:
    """By the answer to its command, by a message, or by the question that shows it."""
    told = {name for house in LIVES for tellings in (house.answers, house.messages) for name in tellings}
    paying = {fact.name for fact in FACTS if payment_of(fact) is not None}  # a receipt, once a payout may be retried
    assert told | paying | set(SHOWN_ELSEWHERE) | UNTOLD == UNION
    assert (told | paying) & (set(SHOWN_ELSEWHERE) | UNTOLD) == set()
    assert set(SHOWN_ELSEWHERE.values()) <= set(SPECS)


def test_what_is_told_is_told_in_words() -> None:
    """No answer is empty, and none falls back to data."""
    answers = [text for house in LIVES for texts in house.answers.values() for text in texts]
    assert len(answers) > 30
    assert [text for text in answers if not text.strip() or text.startswith("{")] == []


# --- rows --------------------------------------------------------------------------------------------------------------


@each_row
def test_a_row_has_who_does_it_and_how_it_is_told(row: CommandSpec) -> None:
    """A change has a decider, a question an answerer; both have words."""
    assert (row.verb in DECIDERS) == row.changes
    assert row.verb in WORDS
    assert row.roles
    assert FIRST <= row.since_rules <= RULES
    if row.changes:
        assert row.answerer is Answerer.READING  # what is not said of a change


@each_row
def test_a_question_needs_nothing_of_what_changes_need(row: CommandSpec) -> None:
    """It gives no key, is carried nowhere, and is decided with nothing of the past."""
    if not row.changes:
        needs = (row.scope, row.gives, row.enrols, row.is_alone, row.may_be_carried, row.one_limit, row.pasts)
        assert needs == (Scope.OWN, None, False, False, False, False, frozenset())


@each_row
def test_a_row_names_what_is_looked_up_for_it(row: CommandSpec) -> None:
    """The past is found by an argument that the row takes."""
    for past in row.pasts:
        assert NAMES_PAST[past] <= arguments_of(row)
    if row.is_alone:
        assert row.pasts


@each_row
def test_a_change_finds_its_books(row: CommandSpec) -> None:
    """By who says it, and by what it names."""
    if row.changes:
        assert row.roles == BY_SCOPE[row.scope]
        assert NAMES_BOOK.get(row.scope, set()) <= arguments_of(row)


@each_row
def test_a_row_that_gives_a_key_takes_one(row: CommandSpec) -> None:
    """A party's stands in the splits; everybody else's is an npub. Who enrols somebody gives a part, or takes it away."""
    if row.gives is Part.PARTY:
        assert "npub" in row.rest
    elif row.gives is not None or row.enrols:
        assert "npub" in arguments_of(row)
    if row.one_limit:
        assert "limit" in arguments_of(row)


def test_parts_that_people_may_be_given_are_given_by_some_row() -> None:
    """The bot, the platform and who was replaced are what they are by no command."""
    given = {row.gives for row in TABLE if row.gives is not None}
    assert given == {Part.OPERATOR, Part.MACHINE, Part.LP, Part.PARTY}


def test_a_book_of_nothing_is_sound() -> None:
    """Of the root and of an operator."""
    for house in (House.root(), House.empty()):
        check_books(house.book)
    assert isinstance(House.root().book, Book)
    assert House.root().book.key == ROOT
