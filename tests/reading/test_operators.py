"""The worklist as an operator reads it: five buckets, each settlement with its next safe step (acceptance W1-W4)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nostrbot.messages.replies import answer
from tests.offices import OPERATOR, PLATFORM, Office, office
from tests.reading.asking import asked, small_sale
from tests.signers import Signer

EVIL = Signer("evil")
HALF_AN_HOUR_S = 1_800


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Office]:
    """The usual house, where a guard holds every sale; and another operator."""
    async with office(tmp_path / "bot.sqlite") as opened:
        await opened.say((PLATFORM, f"operator add {EVIL.npub} name=quetzal"), (OPERATOR, "guard m1 per_settlement=1"))
        yield opened


async def buckets(at: Office, who: Signer = OPERATOR) -> dict[str, list[str]]:
    """The ids in each bucket."""
    data = await asked(at, who, "worklist")
    return {bucket: [row["id"] for row in rows] for bucket, rows in data.items()}


async def test_what_is_held_is_stuck_after_half_an_hour_and_the_oldest_comes_first(at: Office) -> None:
    """W1, W2: counted from when it came to be held; one held anew by a retry is not stuck at once."""
    await at.take(small_sale(1, at.now), small_sale(2, at.now))
    at.now += HALF_AN_HOUR_S
    assert (await buckets(at))["stuck_pending"] == []
    at.now += 1
    assert (await buckets(at))["stuck_pending"] == ["s1", "s2"]
    await at.say((OPERATOR, "settlement reset s1"), (OPERATOR, "settlement retry s1"))
    assert await buckets(at) == {
        "rejected": [],
        "errored": [],
        "stuck_pending": ["s2"],
        "stuck_processing": [],
    }


async def test_rejected_and_errored_ones_are_there_at_once_the_newest_first(at: Office) -> None:
    """W1, W4: what was rejected is never retried; what was set aside is retried, or refunded."""
    await at.take(*(small_sale(number, at.now) for number in (1, 2)))
    await at.take(*(small_sale(number, at.now, wire_sats=1) for number in (3, 4)))
    await at.say((OPERATOR, "settlement reset s1 reason=odd"), (OPERATOR, "settlement reset s2 reason=odd"))
    assert await buckets(at) == {
        "rejected": ["s4", "s3"],
        "errored": ["s2", "s1"],
        "stuck_pending": [],
        "stuck_processing": [],
    }
    assert answer("worklist", await asked(at, OPERATOR, "worklist"), json=False).splitlines() == [
        "rejected:",
        "  s4: m1 cash_out 20.00 GTQ, 1 sats, rejected (amounts_inconsistent): "
        "look into the machine: a rejected settlement is never retried",
        "  s3: m1 cash_out 20.00 GTQ, 1 sats, rejected (amounts_inconsistent): "
        "look into the machine: a rejected settlement is never retried",
        "errored:",
        "  s2: m1 cash_out 20.00 GTQ, 1077 sats, errored (force-reset by operator (was stuck)): "
        'settlement retry s2, or settlement refund s2 reason="…"',
        "  s1: m1 cash_out 20.00 GTQ, 1077 sats, errored (force-reset by operator (was stuck)): "
        'settlement retry s1, or settlement refund s1 reason="…"',
    ]


async def test_a_worklist_is_one_operators(at: Office) -> None:
    """W3; and it says where to look for what is held and not stuck yet."""
    await at.take(small_sale(1, at.now, wire_sats=1))
    nothing = await asked(at, EVIL, "worklist")
    assert nothing == {"rejected": [], "errored": [], "stuck_pending": [], "stuck_processing": []}
    assert answer("worklist", nothing, json=False) == (
        "Nothing needs you. Held settlements show here after 30 minutes, and at once in `settlement list "
        "status=pending`."
    )


async def test_what_a_stolen_key_printed_since_can_be_listed(at: Office) -> None:
    """faults.md row 27: all of a machine's settlements since a moment, that moment included, whatever their status."""
    await at.take(small_sale(1, at.now))
    at.now += 60
    stolen_at = at.now
    await at.take(small_sale(2, at.now), small_sale(3, at.now, wire_sats=1))
    listed = await asked(at, OPERATOR, f"settlement list machine=m1 since={stolen_at}")
    assert [(row["id"], row["status"]) for row in listed["settlements"]] == [("s3", "rejected"), ("s2", "pending")]
