"""Questions answered over a database: what many rows, many machines and many operators come to."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.messages.replies import answer
from nostrbot.runtime.hearing import COMMANDS_AT_ONCE, COMMANDS_PER_S
from nostrbot.store.queries import Queries
from nostrbot.store.stored import StoredLeg, StoredSettlement
from nostrbot.views.fitting import REPLY_BYTES_MAX
from tests.offices import ANA, BEN, HOUSE, MACHINE, OPERATOR, PLATFORM, Office, command, office, report
from tests.signers import Signer

LPS = 60  # at one machine: an entry of a sale has a leg for each
SALES = 60
MANY = 400  # machines of one LP, more than fit in one answer
CROWD = tuple(Signer(f"lp{number}") for number in range(LPS))
EVIL, FAR = Signer("evil"), Signer("far")


class Made(NamedTuple):
    """A database that tests have copies of, and the time in it."""

    path: Path
    now: int


@pytest.fixture(scope="module")
def crowd_made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A machine that 60 LPs have cash in, after 60 sales; made once, for each test to have a copy."""
    house = [
        *HOUSE[:3],
        *((OPERATOR, f"lp add {lp.npub} machine=m1 name={lp.name}") for lp in CROWD),
        *((lp, "join") for lp in CROWD),
        *((OPERATOR, f"deposit add {lp.name} 9000 machine=m1") for lp in CROWD),
        *((OPERATOR, f"deposit confirm d{number}") for number in range(1, LPS + 1)),
    ]
    path = tmp_path_factory.mktemp("made") / "crowd.sqlite"

    async def make() -> Made:
        async with office(path, house=house) as opened:
            await opened.take(*[report(number) for number in range(1, SALES + 1)])
        return Made(path, opened.now)

    return asyncio.run(make())


@pytest.fixture(scope="module")
def scattered_made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Ana has cash with antigua; a second operator enrolled her at 400 machines, without asking."""
    path = tmp_path_factory.mktemp("made") / "scattered.sqlite"

    async def make() -> Made:
        async with office(path) as opened:
            machines = [Signer(f"e{number}") for number in range(MANY)]
            await opened.say((PLATFORM, f"operator add {EVIL.npub} name=aaa"))
            said = [f"machine add {one.npub} name={one.name} fiat=USD cash_in=1% cash_out=1%" for one in machines]
            said += [f"lp add {ANA.npub} machine={one.name} name=a" for one in machines]
            for first in range(0, len(said), COMMANDS_AT_ONCE):
                opened.now += COMMANDS_AT_ONCE // COMMANDS_PER_S
                await opened.say(*[(EVIL, words) for words in said[first : first + COMMANDS_AT_ONCE]])
            opened.now += COMMANDS_AT_ONCE // COMMANDS_PER_S
        return Made(path, opened.now)

    return asyncio.run(make())


@asynccontextmanager
async def copy_of(made: Made, folder: Path) -> AsyncIterator[Office]:
    """What was made, for one test alone."""
    path = folder / made.path.name
    shutil.copy(made.path, path)
    async with office(path, house=()) as opened:
        opened.now = made.now
        yield opened


@pytest.fixture
async def crowd(crowd_made: Made, tmp_path: Path) -> AsyncIterator[Office]:
    """A copy of the crowd."""
    async with copy_of(crowd_made, tmp_path) as opened:
        yield opened


@pytest.fixture
async def scattered(scattered_made: Made, tmp_path: Path) -> AsyncIterator[Office]:
    """A copy of the scattered machines."""
    async with copy_of(scattered_made, tmp_path) as opened:
        yield opened


@pytest.fixture
async def neighbours(tmp_path: Path) -> AsyncIterator[Office]:
    """Ana has cash with antigua and with quetzal; their sales take turns, and some fall in the same second."""
    async with office(tmp_path / "neighbours.sqlite") as opened:
        await opened.say(
            (PLATFORM, f"operator add {EVIL.npub} name=quetzal"),
            (EVIL, f"machine add {FAR.npub} name=far fiat=GTQ cash_in=5% cash_out=6.27%"),
            (EVIL, f"lp add {ANA.npub} machine=far name=anna"),
            (ANA, "join "),
        )
        await opened.say((EVIL, "deposit add anna 9000 machine=far"), (EVIL, "deposit confirm d1"))
        for number in range(1, 31):
            opened.now += number % 3 == 0
            await opened.take(report(number, opened.now, fiat_amount="20.00", **_SMALL))
            if number % 2:
                far = report(number + 500, opened.now, machine=FAR, fiat_amount="20.00", **_SMALL)
                await opened.take(far)
        yield opened


_SMALL = {"wire_sats": 1077, "principal_sats": 1000, "fee_sats": 77}


async def asked(at: Office, who: Signer, words: str) -> Any:
    """The data of an answer, or the refusal."""
    turn = await at.take(command(who, words, at.now))
    ((question, _),) = turn.questions
    return await at.bookkeeper.reading.answer(question)


async def paged(at: Office, who: Signer, words: str, noun: str) -> tuple[list[Any], int]:
    """All rows of a list, page after page, and how many pages that took."""
    page = await asked(at, who, words)
    rows, pages = list(page[noun]), 1
    while page.get("more"):
        page = await asked(at, who, f"{words} before={page['before']}")
        rows += page[noun]
        pages += 1
    return rows, pages


@pytest.fixture
def entries_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many entries each look into the journal brought."""
    counts: list[int] = []
    settlements, legs_of = Queries.settlements, Queries.legs_of

    async def counting(self: Queries, *args: Any, **options: Any) -> list[StoredSettlement]:
        found = await settlements(self, *args, **options)
        counts.append(len(found))
        return found

    async def counting_legs(self: Queries, *args: Any, **options: Any) -> list[StoredLeg]:
        found = await legs_of(self, *args, **options)
        counts.append(len(found))
        return found

    monkeypatch.setattr(Queries, "settlements", counting)
    monkeypatch.setattr(Queries, "legs_of", counting_legs)
    return counts


async def test_a_list_reads_no_further_than_an_event_has_room(crowd: Office, entries_read: list[int]) -> None:
    """Three sales with 60 legs fill an answer: whatever limit= says, 20 entries are read and not 60."""
    page = await asked(crowd, OPERATOR, "settlement list limit=1000")
    assert [row["id"] for row in page["settlements"]] == ["s60", "s59", "s58"]
    assert (page["more"], page["before"]) == (True, "s58")
    assert entries_read == [20]


async def test_what_a_machine_reported_is_one_line_of_a_list(tmp_path: Path) -> None:
    """Of a rejected settlement the currency is whatever the machine wrote: it is shown escaped (faults.md row 45)."""
    async with office(tmp_path / "bot.sqlite") as opened:
        await opened.take(report(1, fiat_code="\u202eGTQ\x1b[2J\ns9: m1 cash_out 5 GTQ, 250 sats, processed"))
        words = answer("settlement list", await asked(opened, OPERATOR, "settlement list"), json=False)
    assert words.isprintable()
    assert "2000.00 \\u202eGTQ" in words


async def test_few_rows_read_few_entries(crowd: Office, entries_read: list[int]) -> None:
    """One more than asked for, to see whether there is more."""
    assert len((await asked(crowd, OPERATOR, "settlement list limit=2"))["settlements"]) == 2
    assert len((await asked(crowd, CROWD[0], "history limit=3"))["history"]) == 3
    assert entries_read == [3, 4]


async def test_an_lp_s_long_history_is_read_a_few_entries_at_a_time(crowd: Office, entries_read: list[int]) -> None:
    """All 60 legs of one LP are in one answer, from entries that were never all in memory."""
    page = await asked(crowd, CROWD[0], "history limit=1000")
    assert [row["settlement"] for row in page["history"]] == [f"s{number}" for number in range(SALES, 0, -1)]
    assert "more" not in page
    assert entries_read == [20, 20, 20, 0]


async def test_pages_of_settlements_are_the_whole_list_and_each_fits(crowd: Office) -> None:
    """60 settlements, three a page and four of the earliest, each with all its legs."""
    rows, pages = await paged(crowd, OPERATOR, "settlement list limit=1000", "settlements")
    assert [row["id"] for row in rows] == [f"s{number}" for number in range(SALES, 0, -1)]
    assert pages == 19
    shown = [await asked(crowd, OPERATOR, f"settlement show s{number}") for number in (60, 1)]
    assert [rows[0], rows[-1]] == [one["settlement"] for one in shown]


async def test_a_history_over_several_operators_is_one_list(neighbours: Office) -> None:
    """By time, then the operator's name, then the number; in pages of any size the same list."""
    whole, _ = await paged(neighbours, ANA, "history limit=1000", "history")
    places = [(row["at"], row["operator"], int(row["id"][1:])) for row in whole]
    assert places == sorted(places, reverse=True)
    assert [row["operator"] for row in whole].count("antigua") == 30
    assert [row["operator"] for row in whole].count("quetzal") == 15
    for limit in (1, 7, 20):
        rows, _ = await paged(neighbours, ANA, f"history limit={limit}", "history")
        assert rows == whole


@pytest.mark.parametrize(
    ("who", "words"),
    [
        (PLATFORM, "operator list before=nobody"),
        (OPERATOR, "machine list before=m9"),
        (OPERATOR, "machine list before="),
        (OPERATOR, "lp list before=s1"),
        (OPERATOR, "deposit list before=d99"),
        (OPERATOR, "balances before=ana"),
        (OPERATOR, "settlement list before=l5"),
        (OPERATOR, "settlement list before=?"),
        (BEN, "deposits before=d1"),
        (BEN, "history before=s1"),
        (BEN, "history before=quetzal/l40"),
        (ANA, "history before=coban/l5"),
        (ANA, "history before=antigua/"),
    ],
)
async def test_before_what_is_no_id_of_the_list_is_refused(neighbours: Office, who: Signer, words: str) -> None:
    """Page one again would keep a program that pages asking for ever. An id of somebody else's is none either."""
    refused = await asked(neighbours, who, words)
    assert refused == CommandRefused(Code.BAD_ARGUMENT, "before must be an id of this list")


async def test_a_page_goes_on_after_a_deposit_that_changed_its_status(neighbours: Office) -> None:
    """What ended one page may be no longer what was asked for when the next is asked for."""
    await neighbours.say(*[(OPERATOR, "deposit add ben 5 machine=m1") for _ in range(4)])
    page = await asked(neighbours, OPERATOR, "deposit list status=pending limit=2")
    assert ([row["id"] for row in page["deposits"]], page["before"]) == (["d6", "d5"], "d5")
    await neighbours.say((OPERATOR, "deposit confirm d5"))
    page = await asked(neighbours, OPERATOR, "deposit list status=pending before=d5")
    assert [row["id"] for row in page["deposits"]] == ["d4", "d3"]


async def test_strange_enrolments_do_not_hide_a_balance(scattered: Office) -> None:
    """Where there is cash or sats comes first; as many others as fit follow, and both answers say that there is more."""
    rows = await asked(scattered, ANA, "balance")
    assert rows[0] == {
        "operator": "antigua",
        "machine": "m1",
        "currency": "GTQ",
        "deposited": "9000.00",
        "spent": "0.00",
        "remaining": "9000.00",
        "sats": 0,
    }
    assert 200 < len(rows) < MANY
    text, words = answer("balance", rows, json=True), answer("balance", rows, json=False)
    assert len(text.encode()) <= REPLY_BYTES_MAX
    assert len(words.encode()) <= REPLY_BYTES_MAX
    assert (orjson.loads(text)["more"], orjson.loads(text)["data"]) == (True, rows)
    assert words.endswith("\nThere is more: add operator=<operator> or machine=<machine>")


async def test_cash_comes_before_none_whoever_enrolled_first(scattered: Office) -> None:
    """An LP with cash at the last of 400 machines finds it at the top."""
    await scattered.say((ANA, "join"), (EVIL, f"deposit add a 7 machine=e{MANY - 1}"), (EVIL, "deposit confirm d1"))
    rows = await asked(scattered, ANA, "balance operator=aaa")
    assert (rows[0]["machine"], rows[0]["remaining"]) == (f"e{MANY - 1}", "7.00")
    assert rows[1]["machine"] == "e0"


async def test_a_balance_by_operator_and_by_machine(scattered: Office) -> None:
    """Every row can be asked for; a list that is whole says nothing of more."""
    mine = await asked(scattered, ANA, "balance operator=ANTIGUA")
    assert [(row["operator"], row["machine"]) for row in mine] == [("antigua", "m1")]
    assert orjson.loads(answer("balance", mine, json=True)) == {"ok": True, "command": "balance", "data": mine}
    far = await asked(scattered, ANA, "balance machine=e399")
    assert [(row["operator"], row["machine"]) for row in far] == [("aaa", "e399")]
    assert await asked(scattered, ANA, "balance operator=aaa machine=e399") == far


@pytest.mark.parametrize("words", ["operator=coban", "machine=m9", "operator=antigua machine=e1"])
async def test_a_balance_where_one_is_not(scattered: Office, words: str) -> None:
    """Not there and not existing get the same answer."""
    refused = await asked(scattered, ANA, f"balance {words}")
    assert refused == CommandRefused(Code.NOT_FOUND, "you are not at that machine: `balance` shows where you are")


@pytest.mark.parametrize("words", ["lp show a", "lp list"])
async def test_an_lp_at_very_many_machines_fits(scattered: Office, words: str) -> None:
    """The 200 it was enrolled at last, and `more`; `balances` has them all."""
    data = await asked(scattered, EVIL, words)
    lp = data["lp"] if "lp" in data else data["lps"][0]
    assert [row["machine"] for row in lp["machines"]] == [f"e{number}" for number in range(200, 400)]
    assert lp["more"] is True
    text, said = (answer(words.removesuffix(" a"), data, json=json) for json in (True, False))
    assert max(len(text.encode()), len(said.encode())) <= REPLY_BYTES_MAX
    assert "there are more machines: `balances` shows all" in said
    rows, _ = await paged(scattered, EVIL, "balances limit=1000", "balances")
    assert [row["machine"] for row in rows] == [f"e{number}" for number in range(MANY)]


async def test_an_lp_at_a_few_machines_is_shown_whole(neighbours: Office) -> None:
    """No `more` where there is none."""
    lp = (await asked(neighbours, OPERATOR, "lp show ana"))["lp"]
    assert [row["machine"] for row in lp["machines"]] == [MACHINE.name]
    assert "more" not in lp
