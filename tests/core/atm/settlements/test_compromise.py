"""A machine's key was stolen: what it sold is frozen until somebody has looked (faults.md rows 26, 27).

The house has ana with 9,000 and ben with 1,000 GTQ; each sale is one of 2,000 for 107,770 sats, of which 1,500 are the
platform's, 6,270 the operator's, 90,000 ana's and 10,000 ben's.
"""

import re

import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.dossier import as_it_stands
from nostrbot.core.atm.facts import LpPaid, MachineChanged, MachineCompromised, SlotsKept
from nostrbot.core.atm.settlements import compromise
from nostrbot.core.atm.settlements.facts import (
    FrozenPart,
    SettlementFrozen,
    SettlementLifted,
    SettlementMoved,
    SettlementPending,
    SettlementProcessed,
    SettlementRefunded,
)
from nostrbot.core.atm.settlements.moves import next_step
from nostrbot.core.atm.states import LegStatus, SkipReason
from nostrbot.core.commands.command import Command
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.facts import Fact
from nostrbot.core.parsing import parse
from nostrbot.messages.receipts import Sealed, entry_messages
from nostrbot.messages.replies import answer
from nostrbot.nostr.sealing import Scheme
from nostrbot.refusals import Reason, Refusal
from nostrbot.views.outcomes import outcome_view, show_settlement
from nostrbot.views.records import balance_rows, machine_view
from tests.houses import House, Outcome, person

ONE_SALE = (FrozenPart("ana", 90_000), FrozenPart("ben", 10_000))


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    house.add_lp("ben", "1000")
    return house


def do(house: House, text: str) -> Outcome:
    return house.say("operator", text)


def newest(house: House) -> tuple[Fact, ...]:
    """The facts of the last entry."""
    return house.entries[-1].facts


def refused(outcome: Outcome, code: Code) -> str:
    assert isinstance(outcome, CommandRefused), outcome
    assert outcome.code is code
    return outcome.message


def is_frozen(house: House, number: int) -> bool:
    """As its dossier says; the book must say the same."""
    frozen = as_it_stands(house.book.recall.dossiers[number]).is_frozen
    assert frozen is (number in house.book.frozen)
    return frozen


def test_what_was_sold_since_is_frozen_and_the_machine_suspended(house: House) -> None:
    """By the bot's clock: a date that a thief chose is no help to it. No sum changes; the trail says why."""
    house.sell()
    stolen_at = house.now + 1
    house.sell(occurred_at=1)  # what the thief says of the time
    before = house.ledger()
    do(house, f"machine compromised m1 since={stolen_at}")
    declared, suspended, *frozen = newest(house)
    assert declared == MachineCompromised("m1", stolen_at)
    assert isinstance(suspended, MachineChanged)
    assert not suspended.machine.active
    assert frozen == [SettlementFrozen(2, "m1", ONE_SALE, 6_270)]
    assert (is_frozen(house, 1), is_frozen(house, 2)) == (False, True)
    assert house.ledger() == before
    assert isinstance(house.sell(), Refusal)
    assert verify_trail(house.trail()).head == house.chain.head


def test_frozen_sats_are_owed_and_cannot_be_used(house: House) -> None:
    """They show in `balance`; of the operator's own those of s1 are left to pay LPs with."""
    house.sell()
    house.sell()
    do(house, f"machine compromised m1 since={house.now}")
    book = house.book
    assert (book.sats_owed("ana"), book.frozen_sats("ana"), book.frozen_sats("ben")) == (180_000, 90_000, 10_000)
    assert (book.own_sats(), book.own_frozen_sats(), book.free_sats()) == (12_540, 6_270, 6_270)
    (row,) = balance_rows(book, book.lps["ana"])
    assert (row["sats"], row["frozen_sats"]) == (180_000, 90_000)
    assert answer("balance", [row], json=False) == (
        "antigua m1: 5400.00 GTQ left of 9000.00 deposited; 180000 sats with this operator, 90000 of them frozen "
        "until the operator has looked into them"
    )
    assert refused(do(house, "settle ana 200 machine=m1 rate=50"), Code.NOT_ENOUGH_SATS) == (
        "that takes 10000 sats and you have 6270 of your own and 6270 that are frozen: settle less, or wait"
    )
    assert isinstance(do(house, "settle ana 125 machine=m1 rate=50"), LpPaid)
    do(house, "settlement release s2")
    assert book.free_sats() == 6_290


def test_a_thief_s_rate_prices_nothing(house: House) -> None:
    """Fixed mode has no price, nor has `settle`, until a true sale came; what was frozen is no price when it is released."""
    house.say("ana", "mode fixed")
    do(house, "fixed schedule 00:00")
    house.sell(rate="5000")
    do(house, "machine compromised m1 since=0")
    do(house, "settlement release s1")
    _, paid = house.tick(house.now + 86_400)
    assert isinstance(paid, LpPaid)
    assert [(leg.sats, leg.status, leg.reason) for leg in paid.legs] == [(0, LegStatus.SKIPPED, SkipReason.NO_PRICE)]
    refused(do(house, "settle ana 1 machine=m1"), Code.NO_PRICE)
    do(house, "machine rotate m1 @new-1")
    do(house, "machine resume m1")
    house.sell(by="new-1", machine=person("new-1").pubkey)
    assert isinstance(do(house, "settle ana 1 machine=m1"), LpPaid)


def test_fixed_mode_does_not_use_frozen_sats(house: House) -> None:
    """The slot is kept, short of sats: what another machine's thief brought the operator is not given away."""
    house.say("ana", "mode fixed")
    do(house, "fixed schedule 00:00")
    house.add_machine("m2")
    house.sell()  # all of it is ben's and the operator's
    house.sell("m2")  # all of it is the operator's
    do(house, "machine compromised m2 since=0")
    free_sats = house.book.free_sats()
    kept, paid = house.tick(house.now + 86_400)
    assert free_sats == 56_270
    assert isinstance(kept, SlotsKept)
    assert isinstance(paid, LpPaid)
    assert kept.short_sats == 43_730
    assert [(leg.status, leg.reason) for leg in paid.legs] == [(LegStatus.SKIPPED, SkipReason.SHORT_OF_SATS)]


def test_a_cash_in_freezes_none_of_the_operators_sats(house: House) -> None:
    """It took them; what it gave are fees, and an LP's split of those is frozen."""
    do(house, "splits set a=50%:self b=50%:ana")
    house.sell(tx_type="cash_in")
    do(house, "machine compromised m1 since=0")
    assert newest(house)[2:] == (SettlementFrozen(1, "m1", (FrozenPart("ana", 2_500),), 0),)


def test_one_that_is_true_is_released_and_stays_so(house: House) -> None:
    """It counts again; going back further does not freeze it once more, whatever its status."""
    house.sell()
    house.sell()
    do(house, f"machine compromised m1 since={house.now}")
    assert do(house, "settlement release s2") == SettlementLifted(2, "m1", person("operator").pubkey)
    assert not is_frozen(house, 2)
    do(house, "machine compromised m1 since=0")
    assert newest(house) == (MachineCompromised("m1", 0), SettlementFrozen(1, "m1", ONE_SALE, 6_270))
    refused(do(house, "settlement release s2"), Code.WRONG_STATUS)


def test_one_that_is_a_thiefs_is_refunded(house: House) -> None:
    """Reversed as any other: sats, cash and all, and no longer frozen."""
    before = house.ledger()
    house.sell()
    do(house, "machine compromised m1 since=0")
    assert isinstance(do(house, 'settlement refund s1 reason="a thief"'), SettlementRefunded)
    assert not is_frozen(house, 1)
    assert house.ledger() == before
    assert (house.book.frozen_sats("ana"), house.book.own_frozen_sats()) == (0, 0)
    assert verify_trail(house.trail()).head == house.chain.head


def test_nothing_new_is_built_on_one_that_is_frozen(house: House) -> None:
    """No correction, no sharing out, no reset, until it was looked into; notes are always added."""
    do(house, "guard m1 per_settlement=2000")
    house.sell()
    assert isinstance(house.sell(fiat="2000.01"), SettlementPending)
    do(house, "machine compromised m1 since=0")
    for text in ("settlement partial s1 fiat=1500 note=jam", "settlement reset s2 reason=odd", "settlement retry s2"):
        message = refused(do(house, text), Code.WRONG_STATUS)
        assert "frozen" in message
        assert re.search(r"Next: settlement release s[12] once you know that it is true", message)
    do(house, 'settlement note s1 "the customer was here"')
    assert isinstance(do(house, "settlement release s2"), SettlementLifted)
    assert refused(do(house, "settlement release s2"), Code.WRONG_STATUS).startswith("m1 is suspended")
    do(house, "machine rotate m1 @new-1")
    do(house, "machine resume m1")
    assert is_frozen(house, 1)
    assert isinstance(do(house, "settlement release s2"), SettlementProcessed)


def test_what_waits_and_what_was_set_aside_is_frozen_too(house: House) -> None:
    """A refund ends it; nothing was booked."""
    do(house, "machine set m1 trust=wallet")
    house.sell()
    house.sell()
    assert isinstance(do(house, "settlement reset s2 reason=odd"), SettlementMoved)
    do(house, "machine compromised m1 since=0")
    assert newest(house)[2:] == (SettlementFrozen(1, "m1", (), 0), SettlementFrozen(2, "m1", (), 0))
    for number in (1, 2):
        do(house, f"settlement refund s{number} reason=thief")
        assert not is_frozen(house, number)


def test_what_was_rejected_or_refunded_is_passed_over(house: House) -> None:
    """There is nothing of it that could leave; only the machine is suspended, and asking again changes nothing."""
    house.sell(wire_sats=1)
    house.sell()
    do(house, "settlement refund s2 reason=back")
    do(house, "machine compromised m1 since=0")
    assert [fact.name for fact in newest(house)] == ["machine_compromised", "machine_changed"]
    assert do(house, "machine compromised m1 since=0") is None


def test_of_a_corrected_one_the_rest_stays_frozen_when_the_customer_is_paid(house: House) -> None:
    """Its refund gives back what was owed; what was shared out is there still, and released by itself."""
    house.sell()
    do(house, "settlement partial s1 fiat=1500 note=jam")
    do(house, "machine compromised m1 since=0")
    assert newest(house)[2:] == (
        SettlementFrozen(1, "m1", (FrozenPart("ana", 67_500), FrozenPart("ben", 7_500)), 4_702),
    )
    do(house, "settlement refund s1 reason=back")
    assert is_frozen(house, 1)
    assert next_step(as_it_stands(house.book.recall.dossiers[1])) == (
        "settlement release s1 once you know that the rest of it is true"
    )
    do(house, "settlement release s1")
    assert not is_frozen(house, 1)


def test_only_that_machine_s_and_only_what_is_there(house: House) -> None:
    """Another machine's sales are nobody's concern; a time to come, or no such machine, is refused."""
    house.add_machine("m2")
    house.sell("m2")
    assert refused(do(house, f"machine compromised m1 since={house.now + 2}"), Code.BAD_ARGUMENT)
    refused(do(house, "machine compromised m9 since=0"), Code.NOT_FOUND)
    do(house, "machine compromised m1 since=0")
    assert house.book.frozen == {}
    assert house.book.machines["m2"].active


def test_too_many_at_once_are_frozen_in_steps(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry has a size: what is newest first, then further back."""
    monkeypatch.setattr(compromise, "FREEZE_MAX", 2)
    times = []
    for _ in range(4):
        house.sell(fiat="20.00")
        times.append(house.now)
    message = refused(do(house, "machine compromised m1 since=0"), Code.TOO_LONG)
    assert "name a later time first, then an earlier one" in message
    do(house, f"machine compromised m1 since={times[2]}")
    do(house, "machine compromised m1 since=0")
    assert list(house.book.frozen) == [3, 4, 1, 2]


def test_each_lp_is_told_once(house: House) -> None:
    """One message an LP, however many of its sales; by a name of the entry's, so that it is the same when made again."""
    house.sell()
    house.sell()
    do(house, "machine compromised m1 since=0")
    entry = house.entries[-1]
    sealed = Sealed(entry.book, entry.seq, entry.at, entry.hash, entry.facts, 4, "", Scheme.NIP04)
    messages = entry_messages(house.book, sealed)
    assert [message.to for message in messages] == [person("ana").pubkey, person("ben").pubkey]
    assert messages[0].name == f"frozen:{house.book.key}:{entry.seq}:ana"
    assert messages[0].text == (
        "Frozen: 180000 sats of 2 sales at m1, antigua. The machine's key may have been stolen, so your operator looks "
        "into each sale; until then these sats are kept and cannot leave. `balance` shows them.\n"
        f"Journal entry {entry.seq} {entry.hash}"
    )


def test_the_answer_says_what_was_frozen(house: House) -> None:
    """In sum by status, with ids; in words with what to do next. `settlement show` says so of each."""
    do(house, "guard m1 per_settlement=2000")
    house.sell()
    house.sell(fiat="2000.01")
    command = parse("machine compromised m1 since=0")
    assert isinstance(command, Command)
    do(house, "machine compromised m1 since=0")
    view = outcome_view(house.book, person("operator").pubkey, command, newest(house), at=house.now)
    assert view == {
        "machine": machine_view(house.book.machines["m1"]),
        "frozen": {
            "since": 0,
            "since_local": "1969-12-31 18:00 (America/Guatemala)",
            "count": 2,
            "statuses": {
                "processed": {"count": 1, "wire_sats": 107_770},
                "pending": {"count": 1, "wire_sats": 107_770},
            },
            "lp_sats": 100_000,
            "own_sats": 6_270,
            "settlements": ["s2", "s1"],
        },
        "priced": [],
    }
    assert answer("machine compromised", view, json=False).splitlines() == [
        "m1 is suspended. Frozen since 1969-12-31 18:00 (America/Guatemala): 1 processed (107770 sats), 1 pending "
        "(107770 sats). "
        "Of that 100000 sats are LPs', 6270 yours.",
        "s2, s1: `settlement list machine=m1 since=0` shows all.",
        'Next, for each: settlement release <s> if it is true, settlement refund <s> reason="…" if it is not; then '
        "machine rotate m1 <new npub> and machine resume m1",
    ]
    shown = show_settlement(house.book.recall.dossiers[1])
    assert shown["frozen"] is True
    assert shown["next"] == (
        'settlement release s1 once you know that it is true; if it is not, settlement refund s1 reason="…"'
    )
    line = answer("settlement show", {"settlement": shown}, json=False).splitlines()[0]
    assert line == "s1: m1 cash_out 2000.00 GTQ, 107770 sats, processed, frozen"


def test_an_old_key_s_report_is_rejected_after_all_that(house: House) -> None:
    """Row 26: rotated out, the stolen key speaks for nobody; the new one is believed at once."""
    do(house, "machine compromised m1 since=0")
    do(house, "machine rotate m1 @new-1")
    do(house, "machine resume m1")
    rejected = house.sell()
    assert isinstance(rejected, Refusal)
    assert rejected.reason is Reason.MACHINE_INACTIVE
    assert isinstance(house.sell(by="new-1", machine=person("new-1").pubkey), SettlementProcessed)
