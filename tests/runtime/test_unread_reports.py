"""Reports that no book holds, where a thief has a key: nothing true is hidden, nothing comes back, nobody is drowned.

What lives here: the list as the desk keeps it, attacked. What does not: what it is for (tests/runtime/test_bookkeeper.py, F3 and A20), and its
bounds (tests/core/test_unread.py). faults.md row K2.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nostrbot.core.atm.unread import SIGNER, SILENCED_KEPT
from nostrbot.messages.alerts import AlertState, Surroundings, find_alerts, notify
from tests.offices import MACHINE, OPERATOR, Office, command, office, report
from tests.signers import Signer

NEW_KEY, OTHER = Signer("m1 anew"), Signer("m2")
HASH = "aa" * 32
HALF: dict[str, Any] = {"bills": [{"denomination": 0.5, "count": 4}]}


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Office]:
    """A house with a second machine, m2; and m1 has a new key: MACHINE is a thief's by now."""
    async with office(tmp_path / "bot.sqlite") as opened:
        await opened.say(
            (OPERATOR, f"machine add {OTHER.npub} name=m2 fiat=GTQ cash_in=5% cash_out=6.27%"),
            (OPERATOR, f"machine rotate m1 {NEW_KEY.npub}"),
        )
        yield opened


async def unreadable(at: Office) -> list[dict[str, Any]]:
    """The rows of the worklist."""
    turn = await at.take(command(OPERATOR, "worklist", at.now))
    [(question, _)] = turn.questions
    found = await at.bookkeeper.reading.answer(question)
    assert isinstance(found, dict), found
    rows: list[dict[str, Any]] = found.get("unreadable", [])
    return rows


async def listed(at: Office) -> list[tuple[str, str]]:
    """Machine and event of each row."""
    return [(row["machine"], row["event_id"]) for row in await unreadable(at)]


async def test_an_old_key_takes_no_true_report_off_the_list_by_naming_its_payment_hash(at: Office) -> None:
    """It would take its place, and then twenty more would crowd it out."""
    true = report(1, machine=NEW_KEY, payment_hash=HASH, **HALF)
    await at.take(true, report(1, machine=MACHINE, payment_hash=HASH))
    await at.take(*[report(n, machine=MACHINE) for n in range(2, SILENCED_KEPT + 5)])
    assert ("m1", true["id"]) in await listed(at)


async def test_what_an_old_key_says_that_cannot_be_read_stands_among_its_like(at: Office) -> None:
    """Else a hundred of them crowd out what the true machine said."""
    true = report(1, machine=NEW_KEY, **HALF)
    await at.take(true)
    await at.take(*[report(n, machine=MACHINE, **HALF) for n in range(2, 112)])
    assert ("m1", true["id"]) in await listed(at)
    kept = at.bookkeeper.sightings[OPERATOR.pubkey, "m1"].unread
    assert [one.event_id for one in kept if one.field != SIGNER] == [true["id"]]
    assert len(kept) == 1 + SILENCED_KEPT
    assert kept[-1].detail.startswith("machine_inactive: bills.0.denomination: ")


async def test_another_machine_s_good_report_takes_nothing_off_the_list(at: Office) -> None:
    """A payment hash is whatever its reporter says."""
    true = report(1, machine=NEW_KEY, payment_hash=HASH, **HALF)
    await at.take(true)
    await at.take(report(1, machine=OTHER, payment_hash=HASH))
    assert at.book.settlement_count == 1
    assert await listed(at) == [("m1", true["id"])]
    await at.take(report(1, machine=NEW_KEY, payment_hash="77" * 32))
    assert await listed(at) == [("m1", true["id"])]


async def test_an_operator_s_word_takes_it_off(at: Office) -> None:
    """`settlement add` under the same payment hash, at the same machine."""
    true = report(1, machine=NEW_KEY, payment_hash=HASH, **HALF)
    await at.take(true)
    said = f"settlement add machine={{}} fiat_amount=2000 exchange_rate=50 payment_hash={HASH}"
    await at.say((OPERATOR, "preview " + said.format("m1")))
    assert await listed(at) == [("m1", true["id"])]
    await at.say((OPERATOR, said.format("m1")))
    assert await listed(at) == []


async def test_what_was_dealt_with_is_not_put_there_again_by_whoever_hands_it_on(at: Office) -> None:
    """A relay that kept an event may repeat it for ever, also after a restart of the bot."""
    dismissed, booked = (report(n, machine=NEW_KEY, **HALF) for n in (1, 2))
    await at.take(dismissed, booked)
    await at.say((OPERATOR, f"unreadable dismiss {dismissed['id']}"))
    await at.take(report(2, machine=NEW_KEY))
    assert await listed(at) == []
    await at.reload()
    turn = await at.take(dismissed, booked)
    assert len(turn.say) == 2  # both are answered as before
    assert await listed(at) == []


async def test_a_flood_at_one_machine_hides_nothing_of_another(at: Office) -> None:
    """The worklist has room for twenty: machines take turns, and keys without standing come last."""
    true = report(1, machine=NEW_KEY, **HALF)
    await at.take(true)
    at.now += 60
    await at.take(*[report(n, machine=OTHER, **HALF) for n in range(2, 40)])
    await at.take(*[report(n, machine=MACHINE) for n in range(40, 70)])
    rows = await unreadable(at)
    assert len(rows) == 20
    assert {row["machine"] for row in rows[:2]} == {"m1", "m2"}
    assert true["id"] in [row["event_id"] for row in rows]
    assert not [row for row in rows if row["field"] == SIGNER]


async def test_a_thief_who_never_stops_is_told_of_once_an_hour(at: Office) -> None:
    """And a true report in the midst of it by itself."""
    known: dict[str, AlertState] = {}
    lines: list[str] = []

    def look() -> None:
        nonlocal known
        around = Surroundings(at.now, at.now, 1, 1, None)
        alarms = find_alerts(at.book, at.bookkeeper.sightings, around, known=known)
        told, known = notify(known, alarms, at.now)
        lines.extend(told)

    for n in range(1, 60):
        at.now += 30
        await at.take(report(n, machine=MACHINE), report(100 + n, machine=OTHER, **HALF))
        if n == 30:
            await at.take(report(1, machine=NEW_KEY, **HALF))
        look()
    assert len([line for line in lines if line.startswith("m1: a key that may not speak")]) == 1
    assert len([line for line in lines if line.startswith("m1 reported a sale that I cannot book")]) == 1
    assert len([line for line in lines if line.startswith("m2 reported")]) == 4


async def test_what_an_old_key_says_is_no_line_of_its_own_in_an_alert(at: Office) -> None:
    """The currency is whatever the report says, for nobody has judged it: it must not pass for another alarm's end."""
    await at.take(report(1, machine=MACHINE, fiat_code="GTQ\nOver: m2 down\u202e"))
    around = Surroundings(at.now, at.now, 1, 1, None)
    lines, _ = notify({}, find_alerts(at.book, at.bookkeeper.sightings, around, known={}), at.now)
    [line] = [line for line in lines if "m2 down" in line]
    assert "GTQ\\nOver: m2 down\\u202e" in line
