"""Payouts in tests: people who may ask for sats, and a rail that sees what a test says.

What lives here: the commands of payouts laid into the tables, as a rail will lay them there, and the observations of a rail
with invoices that are nothing but their numbers. What does not: what comes of it, which the tests say.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from nostrbot.core.desks import DECIDERS
from nostrbot.core.inputs import Observed
from nostrbot.core.payouts.commands import REQUEST_SPECS
from nostrbot.core.payouts.desk import PAYOUTS
from nostrbot.core.payouts.facts import AttemptPrepared, PayoutRequested
from nostrbot.core.payouts.records import Attempt, Payout
from nostrbot.core.payouts.requests import REQUEST_DECIDERS
from nostrbot.core.payouts.states import PaymentOutcome
from nostrbot.core.table import SPECS
from tests.houses import House, Outcome

WALLET = "wallet-of-antigua"
INVOICE_S = 600  # how long invoices live


@contextmanager
def payouts_open() -> Iterator[None]:
    """People may ask for payouts, and auditors know these commands, for as long as this lasts."""
    specs, deciders = dict(SPECS), dict(DECIDERS)
    assert isinstance(SPECS, dict)
    assert isinstance(DECIDERS, dict)
    SPECS.update({spec.verb: spec for spec in REQUEST_SPECS})
    DECIDERS.update({verb: (PAYOUTS, decider) for verb, decider in REQUEST_DECIDERS.items()})
    try:
        yield
    finally:
        for table, before in ((SPECS, specs), (DECIDERS, deciders)):
            table.clear()
            table.update(before)


def preimage_of(name: object) -> str:
    """What proves that the invoice called so was paid."""
    return sha256(f"preimage of {name}".encode()).hexdigest()


def hash_of(name: object) -> str:
    """The payment hash of the invoice called so."""
    return sha256(bytes.fromhex(preimage_of(name))).hexdigest()


def prepared(payout: Payout, at: int, **changes: Any) -> Observed:
    """The destination gave an invoice for a payout's next attempt; `name` is what the invoice is called."""
    number = changes.pop("attempt", len(payout.attempts) + 1)
    name = changes.pop("name", f"{payout.id}.{number}")
    seen = {
        "payout": payout.number,
        "attempt": number,
        "attempt_id": hash_of(name),
        "instrument": f"lnbc {name}",
        "amount_msat": 1_000 * payout.sats,
        "payment_hash": hash_of(name),
        "network": "bc",
        "expires_at": at + INVOICE_S,
        "why": "",
    } | changes
    return Observed("lnbits", WALLET, f"p{seen['payout']}.{number}:prepared", at, "attempt_prepared", seen)


def outcome(payout: Payout, attempt: Attempt, is_now: str, at: int, *, n: int = 1, **changes: Any) -> Observed:
    """What a wallet says became of an attempt."""
    is_paid = is_now == PaymentOutcome.SETTLED
    seen = {
        "payout": payout.number,
        "attempt": attempt.number,
        "attempt_id": attempt.attempt_id,
        "outcome": is_now,
        "n": n,
        "asked_sats": payout.sats,
        "amount_msat": 1_000 * payout.sats if is_paid else 0,
        "fee_msat": 1_500 if is_paid else None,
        "preimage": preimage_of(f"{payout.id}.{attempt.number}") if is_paid else None,
        "is_confirmed": False,
        "why": "" if is_paid else "the wallet says so",
    } | changes
    key = f"p{payout.number}.{attempt.number}:{seen['outcome']}:{n}"
    return Observed("lnbits", WALLET, key, at, "payment_outcome", seen)


def house_that_owes() -> House:
    """Three sales of antigua at m1: ana is owed 270,000 sats, ben 30,000, the operator and the platform their fees."""
    house = House.open()
    house.add_lp("ana", "9000")
    house.add_lp("ben", "1000")
    for _ in range(3):
        house.sell()
    return house


def move_on(house: House, seconds: int = 1) -> None:
    """Time passes, and the bot looks at its clock."""
    house.tick(house.now + seconds)


def withdraw(house: House, sats: int | str = 10_000, who: str = "ana", more: str = "") -> Payout:
    """Somebody asks for sats, and is given a payout."""
    fact = house.say(who, f"withdraw {sats} {who}@wallet.example.com {more}")
    assert isinstance(fact, PayoutRequested), fact
    return fact.payout


def sending(house: House, payout: Payout, **changes: Any) -> Payout:
    """It is a payout's turn, and its destination gives an invoice."""
    move_on(house)
    house.now += 1
    fact = house.take(prepared(now(house, payout), house.now, **changes))
    assert isinstance(fact, AttemptPrepared), fact
    return fact.payout


def now(house: House, payout: Payout) -> Payout:
    """A payout as it is now."""
    found = house.book.payouts.find(payout.number)
    assert found is not None
    return found


def told(house: House, payout: Payout, is_now: str, *, attempt: int = 0, n: int = 1, **changes: Any) -> Outcome:
    """The wallet says something of an attempt of a payout, the newest if none is named."""
    house.now += 1
    here = now(house, payout)
    of = here.attempts[attempt - 1]
    return house.take(outcome(here, of, is_now, house.now, n=n, **changes))


def sats_of(house: House, *accounts: str) -> list[int]:
    """What accounts owe, in sats."""
    return [-house.book.balances.of(account, "sat") for account in accounts]


def house_with_every_fact() -> House:
    """A house in which all that can become of payouts has. To be lived with payouts_open()."""
    house = house_that_owes()
    payout = withdraw(house)
    move_on(house)
    house.take(prepared(now(house, payout), house.now, network="tb"))  # attempt_failed
    house.now += 10_000
    sent = sending(house, payout)
    told(house, sent, "unknown")
    told(house, sent, "settled")
    told(house, sent, "failed")  # outcome_contradicted
    cancelled = withdraw(house, 2_000)
    house.say("operator", 'payout cancel p2 reason="asked twice"')
    lost = withdraw(house, 3_000, "operator")
    for n in range(1, 5):
        told(house, sending(house, lost), "failed", n=n)  # payout_failed
        move_on(house, 10_000)
    told(house, lost, "settled", attempt=1, n=9)  # payment_late
    again = withdraw(house, 4_000, "platform")
    for n in range(1, 5):
        told(house, sending(house, again), "failed", n=n)
        move_on(house, 10_000)
    house.say("operator", "payout retry p4")
    move_on(house)
    house.say("operator", "payout pause")
    house.take(prepared(now(house, again), house.now))  # payout_held
    house.say("operator", "payout resume")  # payout_queued
    assert cancelled.number == 2
    return house
