"""Sums: whatever happens in a book, the answers that are made of them are those of every entry read one by one (A5).

Voided legs, refunds, corrections, what is held and released, fixed mode, `settle`; time zones whose days begin on any
quarter of an hour; amounts larger than a database's integer.
"""

import asyncio
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nostrbot.core.local_time import local_day, moment_of, month_after
from nostrbot.store import sums
from nostrbot.store.leg_sums import ENDLESS, Span, pieces_of
from nostrbot.store.rebuilding import rebuild
from nostrbot.store.sums import month_of
from tests.effort import examples
from tests.offices import ANA, BEN, BOT, MACHINE, OPERATOR, PLATFORM, Office, contents, look_at_clock, office
from tests.peers.figures_one_by_one import Figures, figures_of
from tests.reading.asking import asked, small_sale
from tests.signers import Signer

M2 = Signer("m2")
DAY, QUARTER = 24 * 60 * 60, 15 * 60
ZONES = (
    "UTC", "America/Guatemala", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Chatham",
    "Pacific/Kiritimati", "America/New_York", "Africa/Casablanca",
)  # fmt: skip
BEGIN = 1_790_000_000 // DAY * DAY  # some weeks before clocks change in most places
SUMS = ("leg_quarter", "leg_month", "sale_quarter", "sale_month")


@dataclass(frozen=True)
class Deed:
    """Something that happens, so many seconds after what was before."""

    after_s: int
    what: str
    fiat: int
    pick: int


deeds = st.builds(
    Deed,
    after_s=st.one_of(
        st.integers(0, 2 * QUARTER), st.integers(0, 2 * QUARTER), st.integers(0, 3 * DAY), st.integers(0, 35 * DAY)
    ),
    what=st.sampled_from(
        [
            "sale",
            "sale",
            "sale",
            "sale at m2",
            "cash in",
            "spoilt",
            "held",
            "partial",
            "refund",
            "release",
            "settle",
            "slot",
        ]
    ),
    fiat=st.integers(1, 400),
    pick=st.integers(0, 10**6),
)


def house(tz: str) -> tuple[tuple[Signer, str], ...]:
    return (
        (PLATFORM, f"operator add {OPERATOR.npub} name=antigua tz={tz}"),
        (PLATFORM, "platform fee cash_in=1% cash_out=1.5%"),
        (OPERATOR, f"machine add {MACHINE.npub} name=m1 fiat=GTQ cash_in=5% cash_out=6.27%"),
        (OPERATOR, f"machine add {M2.npub} name=m2 fiat=GTQ cash_in=5% cash_out=6.27%"),
        (OPERATOR, f"lp add {ANA.npub} machine=m1 name=ana"),
        (OPERATOR, f"lp add {BEN.npub} machine=m1 name=ben"),
        (OPERATOR, f"lp add {ANA.npub} machine=m2 name=ana"),
        (ANA, "join"),
        (BEN, "join mode=fixed"),
        *[(OPERATOR, f"deposit add {lp} 90000 machine={machine}") for lp, machine in (("ana", "m1"), ("ben", "m1"), ("ana", "m2"))],
        *[(OPERATOR, f"deposit confirm d{n}") for n in (1, 2, 3)],
        (OPERATOR, "splits set house=50%:self ana=30%:ana ben=20%:ben"),
        (OPERATOR, "guard m1 per_settlement=350"),
        (OPERATOR, "fixed schedule 00:00,23:50"),
        (OPERATOR, "fixed limit 20"),
    )  # fmt: skip


async def happen(at: Office, deed: Deed, number: int) -> None:
    """Have it happen; what is refused is refused."""
    at.now += deed.after_s
    which = f"s{deed.pick % max(1, at.book.settlement_count) + 1}"
    match deed.what:
        case "sale":
            await at.take(small_sale(number, at.now, min(deed.fiat, 350)))
        case "sale at m2":
            await at.take(small_sale(number, at.now, deed.fiat, M2))
        case "cash in":
            principal = deed.fiat * 50
            amounts: dict[str, Any] = {
                "principal_sats": principal,
                "fee_sats": principal // 20,
                "wire_sats": principal - principal // 20,
            }
            await at.take(small_sale(number, at.now, deed.fiat, tx_type="cash_in", **amounts))
        case "spoilt":
            await at.take(small_sale(number, at.now, deed.fiat, wire_sats=1))
        case "held":
            await at.take(small_sale(number, at.now, 351 + deed.fiat))
        case "partial":
            await at.say((OPERATOR, f"settlement partial {which} fiat={deed.fiat % 100 + 1} note=jammed"))
        case "refund":
            await at.say((OPERATOR, f"settlement refund {which} reason=x"))
        case "release":
            await at.say((OPERATOR, f"settlement release {which}"))
        case "settle":
            await at.say((OPERATOR, f"settle ana {deed.fiat % 20 + 1} machine=m1"))
        case _:
            if at.bookkeeper.books_due(at.now):
                await at.store.writer.commit((await look_at_clock(at.bookkeeper, OPERATOR.pubkey, at.now)).batch)


async def answer_as_one_by_one(at: Office, figures: Figures) -> None:
    """Every question that is answered from sums."""
    for who, lp in ((ANA, "ana"), (BEN, "ben")):
        for words, days in (("7d", 7), ("90d", 90), ("1y", 365), ("all", None)):
            said = (await asked(at, who, f"stats range={words}"))["stats"]
            expected = figures.stats(lp, days, at.now)
            assert {name: said[name] for name in expected if name != "reached"} | {
                "reached": said["milestones"]["reached"]
            } == expected, (lp, words)
        month, last = local_day(figures.tz, BEGIN)[:7], local_day(figures.tz, at.now)[:7]
        while month <= last:
            said = (await asked(at, who, f"statement month={month}"))["statement"]
            start, end = (moment_of(figures.tz, f"{one}-01", "00:00") for one in (month, month_after(month)))
            assert start is not None
            assert end is not None
            expected = figures.statement(lp, start, end)
            assert {name: said["sats"][0][name] for name in ("opening", "received", "corrections", "closing")} == {
                name: expected[name] for name in ("opening", "received", "corrections", "closing")
            }, month
            assert {
                (row["machine"], part["type"]): (part["count"], part["sats"], part["fiat"])
                for row in said["cash"]
                for part in row["received"]
            } == expected["payouts"]
            for row in said["cash"]:
                assert row["corrections"] == expected["corrected"].get(row["machine"], "0.00")
            month = month_after(month)
    for period, since in (("day", None), ("week", at.now - 7 * DAY), ("month", at.now - 30 * DAY)):
        said = (await asked(at, OPERATOR, f"report {period}"))["report"]
        assert reported(said) == figures.report(said["since"] if since is None else since), period


def reported(said: dict[str, Any]) -> dict[str, Any]:
    """The totals of a report as the other reckoning has them."""
    totals = said["totals"][0] if said["totals"] else None
    if totals is None:
        return {"statuses": {}, "sums": {}}
    sums: dict[str, int] = {f"rejected {reason}": count for reason, count in totals["rejected"].items()}
    for side in ("cash_in", "cash_out"):
        row = totals[side]
        sums |= {
            f"{side} count": row["count"],
            f"{side} wire": row["wire_sats"],
            f"{side} principal": row["principal_sats"],
        }
        sums[f"{side} fiat"] = minor(row["fiat"])
    for part in ("to_lps", "own_part"):
        row = totals[part]
        sums |= {f"{part} count": row["count"], f"{part} sats": row["sats"], f"{part} fiat": minor(row["fiat"])}
    for what in ("fixed", "settle"):
        sums |= {f"{what} {name}": totals["payouts"][what][name] for name in ("count", "sats")}
    sums |= {"mismatch": totals["mismatch_sats"], "owed": totals["owed_to_customers_sats"], **totals["fees"]}
    return {"statuses": totals["settlements"], "sums": {name: value for name, value in sums.items() if value > 0}}


def minor(text: str) -> int:
    return int(text.replace(".", ""))


@given(tz=st.sampled_from(ZONES), life=st.lists(deeds, min_size=5, max_size=18), bits=st.sampled_from([62, 62, 16]))
@settings(max_examples=examples(30), deadline=None, suppress_health_check=list(HealthCheck))
def test_a5_answers_from_sums_are_those_of_every_entry(tz: str, life: list[Deed], bits: int) -> None:
    """Whatever happens; a home that is loaded again and one whose sums are made again say the same.

    Amounts of more than so many bits are in no sum, as those are that a home of before may have and no database can add.
    """

    async def live(path: Path) -> None:
        async with office(path, house=()) as at:
            at.now = BEGIN
            await at.say(*house(tz))
            for number, deed in enumerate(life, start=1):
                await happen(at, deed, number)
            await answer_as_one_by_one(at, await figures_of(at))
            await at.reload()
            assert at.bookkeeper.closed_books == {}, "a start finds its sums right"
            kept = {name: contents(path)[name] for name in SUMS}
            assert await rebuild(at.store, BOT.pubkey, PLATFORM.pubkey) == {}
            assert {name: contents(path)[name] for name in SUMS} == kept

    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums, "AMOUNT_BITS_MAX", bits)
        asyncio.run(live(Path(folder) / "bot.sqlite"))


@given(st.lists(st.integers(0, 2_000_000), min_size=2, max_size=6, unique=True).map(sorted), st.booleans())
def test_months_and_the_quarters_at_their_ends_are_the_span(ends: list[int], is_endless: bool) -> None:
    """Each quarter of a span is counted once, and none beside it."""
    starts = [end * QUARTER for end in ends]
    spans = [Span(str(n), start, end) for n, (start, end) in enumerate(pairwise(starts))]
    if is_endless:
        spans.append(Span("rest", starts[-1], ENDLESS))
    months, quarters = pieces_of(spans)
    for span in spans:
        for probe in {span.start, span.start - QUARTER, min(span.end, span.start + 400 * DAY) - QUARTER, span.end}:
            if not 0 <= probe < ENDLESS:
                continue
            counted = sum(
                piece.sign
                for pieces, at in ((months, month_of(probe)), (quarters, probe))
                for piece in pieces
                if piece.span == span.name and piece.start <= at < piece.end
            )
            assert counted == (span.start <= probe < span.end)
