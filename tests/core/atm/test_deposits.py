"""Deposits: an LP's cash on its way into a machine, and back (acceptance D1-D9, L5)."""

import pytest

from nostrbot.core.atm.deposits import REVERSALS_MAX
from nostrbot.core.atm.facts import DepositChanged
from nostrbot.core.atm.records import Deposit
from nostrbot.core.atm.states import DepositStatus
from nostrbot.core.commands.refused import Code, CommandRefused
from tests.houses import House, Outcome


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana")
    return house


def deposit(outcome: Outcome) -> Deposit:
    assert isinstance(outcome, DepositChanged), outcome
    return outcome.deposit


def refused(outcome: Outcome) -> tuple[Code, str]:
    assert isinstance(outcome, CommandRefused), outcome
    return outcome.code, outcome.message


def test_a_deposit_is_born_pending_and_does_not_count(house: House) -> None:
    """D1, D3, D9."""
    assert deposit(house.say("operator", 'deposit add ana 9000.00 machine=m1 note="two bundles"')) == Deposit(
        number=1,
        lp="ana",
        machine="m1",
        amount_minor=900_000,
        currency="GTQ",
        status=DepositStatus.PENDING,
        note="two bundles",
        created_at=house.now,
        confirmed_at=None,
    )
    assert house.remaining("ana") == "0.00"


def test_a_confirmed_deposit_counts_from_its_moment_on(house: House) -> None:
    """D4, D5: confirmed_at is the bot's time."""
    house.say("operator", "deposit add ana 9000 machine=m1")
    confirmed = deposit(house.say("operator", "deposit confirm d1"))
    assert (confirmed.status, confirmed.confirmed_at) == (DepositStatus.CONFIRMED, house.now)
    assert house.remaining("ana") == "9000.00"
    assert house.ledger() == {"assets:cash:m1 GTQ": 900_000, "liabilities:lp:ana:cash:m1 GTQ": -900_000}


def test_refused_until_the_lp_has_joined(house: House) -> None:
    """L5, faults.md row 64."""
    house.say("operator", "lp add @ben machine=m1 name=ben")
    assert refused(house.say("operator", "deposit add ben 1000 machine=m1")) == (
        Code.LP_NOT_ONBOARDED,
        "ben has not joined yet: ask them to send `join` to this bot",
    )
    house.say("ben", "join")
    assert deposit(house.say("operator", "deposit add ben 1000 machine=m1")).lp == "ben"


def test_the_currency_is_the_machine_s_whatever_is_asked(house: House) -> None:
    """D2, faults.md row 65."""
    assert deposit(house.say("operator", "deposit add ana 9000 machine=m1 currency=USD")).currency == "GTQ"
    house.add_machine("yen", fiat="JPY")
    house.say("operator", "lp add @ana machine=yen name=ana")
    in_yen = deposit(house.say("operator", "deposit add ana 9000 machine=yen currency=GTQ"))
    assert (in_yen.currency, in_yen.amount_minor) == ("JPY", 9_000)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("deposit add leo 5 machine=m1", Code.NOT_FOUND),
        ("deposit add ana 5 machine=m9", Code.NOT_FOUND),
        ("deposit add ana 5 machine=m2", Code.NOT_FOUND),  # there is an m2, but ana is not enrolled at it
        ("deposit add ana 5.001 machine=m1", Code.BAD_ARGUMENT),
        ("deposit add ana 10000000000000.01 machine=m1", Code.BAD_ARGUMENT),
        ("deposit add ana 0 machine=m1", Code.BAD_ARGUMENT),
        ("deposit add ana -5 machine=m1", Code.BAD_ARGUMENT),
        ("deposit confirm d1", Code.NOT_FOUND),
        ("deposit edit d1 amount=5", Code.NOT_FOUND),
        ("deposit cancel d1", Code.NOT_FOUND),
        ("deposit reverse d1 reason=x", Code.NOT_FOUND),
    ],
)
def test_what_cannot_be_a_deposit(house: House, asked: str, code: Code) -> None:
    """Refused with what to do, and no number is used up."""
    house.add_machine("m2")
    assert refused(house.say("operator", asked))[0] is code
    assert house.book.deposits == {}


def test_a_pending_deposit_is_edited(house: House) -> None:
    """D7: amount, note, or both; the number and the rest stay."""
    house.say("operator", 'deposit add ana 9000 machine=m1 note="two bundles"')
    edited = deposit(house.say("operator", "deposit edit d1 amount=8000"))
    assert (edited.number, edited.amount_minor, edited.note) == (1, 800_000, "two bundles")
    assert deposit(house.say("operator", 'deposit edit d1 note=""')).note == ""
    assert house.say("operator", "deposit edit d1 amount=8000.00") is None
    assert refused(house.say("operator", "deposit edit d1 amount=0.005"))[0] is Code.BAD_ARGUMENT
    house.say("operator", "deposit confirm d1")
    assert house.remaining("ana") == "8000.00"


def test_a_cancelled_deposit_never_counts(house: House) -> None:
    """Its number stays: nothing is ever deleted."""
    house.say("operator", "deposit add ana 9000 machine=m1")
    assert deposit(house.say("operator", "deposit cancel d1")).status is DepositStatus.CANCELLED
    assert house.remaining("ana") == "0.00"
    assert deposit(house.say("operator", "deposit add ana 1 machine=m1")).number == 2


@pytest.mark.parametrize(
    ("befores", "asked", "sentence"),
    [
        ("confirm", "confirm d1", "d1 is confirmed: only `deposit reverse` can take it back"),
        ("confirm", "cancel d1", "d1 is confirmed: only `deposit reverse` can take it back"),
        ("confirm", "edit d1 amount=1", "d1 is confirmed: only `deposit reverse` can take it back"),
        ("cancel", "confirm d1", "d1 is cancelled: add a new one"),
        ("cancel", "cancel d1", "d1 is cancelled: add a new one"),
        ("cancel", "edit d1 amount=1", "d1 is cancelled: add a new one"),
        ("cancel", "reverse d1 reason=x", "d1 is cancelled: add a new one"),
        ("", "reverse d1 reason=x", "d1 is pending: confirm it first, or cancel it"),
        ("confirm reverse", "reverse d1 reason=x", "d1 is reversed: add a new one"),
        ("confirm reverse", "confirm d1", "d1 is reversed: add a new one"),
        ("confirm reverse", "edit d1 amount=1", "d1 is reversed: add a new one"),
    ],
)
def test_a_move_that_is_not_legal_is_refused_with_the_next_step(
    house: House, befores: str, asked: str, sentence: str
) -> None:
    """D5, D7: a confirmed deposit is never un-confirmed."""
    house.say("operator", "deposit add ana 9000 machine=m1")
    for before in befores.split():
        house.say("operator", f"deposit {before} d1{' reason=x' if before == 'reverse' else ''}")
    before_money = house.ledger()
    assert refused(house.say("operator", f"deposit {asked}")) == (Code.WRONG_STATUS, sentence)
    assert house.ledger() == before_money


def test_an_unspent_deposit_is_reversed_whole(house: House) -> None:
    """A new fact with its own postings and its reason."""
    house.add_cash("ana", "9000")
    reversal = house.say("operator", 'deposit reverse d1 reason="counted wrong"')
    assert isinstance(reversal, DepositChanged)
    assert (reversal.reason, reversal.returned_minor) == ("counted wrong", 900_000)
    assert (reversal.deposit.status, reversal.deposit.reversed_minor) == (DepositStatus.REVERSED, 900_000)
    assert house.ledger() == {}


def test_a_deposit_is_reversed_in_parts(house: House) -> None:
    """It stays confirmed until the last of it is taken back."""
    house.add_cash("ana", "9000")
    part = deposit(house.say("operator", "deposit reverse d1 amount=2000 reason=torn"))
    assert (part.status, part.reversed_minor) == (DepositStatus.CONFIRMED, 200_000)
    assert house.remaining("ana") == "7000.00"
    rest = deposit(house.say("operator", "deposit reverse d1 reason=rest"))
    assert (rest.status, rest.reversed_minor) == (DepositStatus.REVERSED, 900_000)
    assert house.remaining("ana") == "0.00"


def test_what_is_spent_cannot_be_taken_back(house: House) -> None:
    """Only what is not yet spent; the answer says how much that is."""
    house.add_cash("ana", "9000")
    house.sell(fiat="2000.00")
    assert refused(house.say("operator", "deposit reverse d1 reason=x")) == (
        Code.DEPOSIT_SPENT,
        "only 7000.00 GTQ of d1 is unspent: add amount=7000.00 to take that much back",
    )
    assert refused(house.say("operator", "deposit reverse d1 amount=7000.01 reason=x"))[0] is Code.DEPOSIT_SPENT
    assert deposit(house.say("operator", "deposit reverse d1 amount=7000 reason=x")).reversed_minor == 700_000
    assert refused(house.say("operator", "deposit reverse d1 reason=x")) == (
        Code.DEPOSIT_SPENT,
        "only 0.00 GTQ of d1 is unspent",
    )


def test_one_deposit_gives_back_no_more_than_itself(house: House) -> None:
    """The cash of another deposit is that deposit's."""
    house.add_cash("ana", "1000")
    house.add_cash("ana", "500")
    assert refused(house.say("operator", "deposit reverse d2 amount=501 reason=x"))[0] is Code.DEPOSIT_SPENT
    house.sell(fiat="1200.00")
    assert refused(house.say("operator", "deposit reverse d2 reason=x"))[0] is Code.DEPOSIT_SPENT
    assert deposit(house.say("operator", "deposit reverse d2 amount=300 reason=x")).reversed_minor == 30_000


def test_a6_so_many_reversals_in_part(house: House) -> None:
    """Each entry has all of them. The rest can be taken back at once."""
    house.say("operator", "deposit add ana 1000 machine=m1")
    house.say("operator", "deposit confirm d1")
    for _ in range(REVERSALS_MAX):
        deposit(house.say("operator", "deposit reverse d1 reason=x amount=1"))
    code, words = refused(house.say("operator", "deposit reverse d1 reason=x amount=1"))
    assert code is Code.TOO_MANY
    assert "the whole rest" in words
    assert deposit(house.say("operator", "deposit reverse d1 reason=x")).status is DepositStatus.REVERSED
