"""One effect: whatever is said twice, wrapped twice, or said in one breath with what it rests on, happens once.

The desk over a real database. What dies in the middle of it is test_crash.py's matter. docs/protocol.md section 6;
invariant I9.
"""

from collections.abc import Callable
from pathlib import Path
from random import Random
from shutil import copy
from typing import Any

import orjson
import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.desks import check_books
from nostrbot.exports.trail import export_trail
from nostrbot.nostr.giftwrap import make_wrap
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Envelope
from nostrbot.runtime.turn import Turn
from nostrbot.store.batch import Batch
from tests.offices import (
    ANA,
    BOT,
    HOUSE,
    OPENED_AT,
    OPERATOR,
    PLATFORM,
    Office,
    command,
    contents,
    office,
    report,
)
from tests.signers import Plain, Signer

FLORES, M9 = Signer("flores"), Signer("m9")


def whispered(who: Signer, text: str, *, at: int = OPENED_AT, wrap: int = 0) -> Plain:
    """A command in a gift wrap; by another number it is the same message in another wrap and another seal."""
    keys = Keys.from_secret(who.secret)
    return make_wrap(keys, Envelope(keys), to=BOT.pubkey, text=text, at=at, name=bytes([wrap])).plain()


@pytest.fixture
async def at(tmp_path: Path) -> Any:
    async with office(tmp_path / "office.sqlite") as at:
        yield at


def said(turn: Turn) -> list[str]:
    """What is answered."""
    return [orjson.loads(row.body)["text"] for row in turn.batch.owed if row.body is not None]


async def verified_head(at: Office) -> str:
    """The head of the operator's trail, once it is verified and the books add up."""
    check_books(at.book)
    trail = [line async for line in export_trail(at.store.queries, BOT.pubkey, OPERATOR.pubkey)]
    return verify_trail(trail, bot=BOT.pubkey).head


# --- the same message ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("together", [False, True])
async def test_one_message_in_two_wraps_is_obeyed_once(at: Office, *, together: bool, restarts: bool) -> None:
    """In one turn, in two, across a restart: one deposit and one answer."""
    wraps = [whispered(OPERATOR, "deposit add ana 5 machine=m1", wrap=nth) for nth in range(3)]
    answers = []
    for turn_of in [wraps] if together else [[wrap] for wrap in wraps]:
        answers += said(await at.take(*turn_of))
        if restarts:
            await at.reload()
    assert not said(await at.take(*wraps))
    assert len(answers) == 1
    assert len(at.book.deposits) == 3
    assert await verified_head(at) == at.head


async def test_a_refusal_is_final_too(at: Office) -> None:
    """What was refused once has no effect when it comes again in another wrap, though by then it could."""
    wraps = [whispered(OPERATOR, "deposit confirm d3", wrap=nth) for nth in range(2)]
    await at.take(wraps[0])
    await at.say((OPERATOR, "deposit add ana 5 machine=m1"))
    await at.take(wraps[1])
    assert at.book.deposits[3].confirmed_at is None


async def test_what_is_said_both_ways_is_said_twice(at: Office) -> None:
    """A direct message and a gift wrap of the same words are two messages: their author signed two."""
    await at.take(
        command(OPERATOR, "deposit add ana 5 machine=m1"), whispered(OPERATOR, "deposit add ana 5 machine=m1")
    )
    assert len(at.book.deposits) == 4


@pytest.mark.parametrize("speaks", [command, whispered])
async def test_what_is_carried_elsewhere_has_no_second_effect(at: Office, speaks: Callable[..., Plain]) -> None:
    """An LP's choice that a second operator's book took over is done with there, too, when relays give it again."""
    chosen = speaks(ANA, "mode fixed limit=50", at=OPENED_AT)
    await at.take(chosen)
    await at.say(
        (PLATFORM, f"operator add {FLORES.npub} name=flores"),
        (FLORES, f"machine add {M9.npub} name=m9 fiat=GTQ cash_in=5% cash_out=6.27%"),
        (FLORES, f"lp add {ANA.npub} machine=m9 name=ana"),
        (ANA, "join"),
    )
    heads = {key: live.chain.head for key, live in at.bookkeeper.live.items()}
    for _ in range(2):
        await at.take(chosen)
        await at.reload()
    assert {key: live.chain.head for key, live in at.bookkeeper.live.items()} == heads
    flores = at.bookkeeper.books[FLORES.pubkey].lps["ana"].preferences
    assert flores is not None
    assert (flores.mode, flores.limit) == ("fixed", "50")


# --- previews ------------------------------------------------------------------------------------------------------


PREVIEWED = [
    (PLATFORM, f"operator add {FLORES.npub} name=flores"),
    (PLATFORM, "platform fee cash_in=3% cash_out=3%"),
    (PLATFORM, "operator suspend antigua"),
    (OPERATOR, f"machine add {M9.npub} name=m9 fiat=GTQ cash_in=5% cash_out=6.27%"),
    (OPERATOR, f"machine rotate m1 {M9.npub}"),
    (OPERATOR, f"lp add {M9.npub} machine=m1 name=eva"),
    (OPERATOR, "deposit add ana 5 machine=m1"),
    (OPERATOR, "settlement partial s1 fiat=1000 note=x"),
    (OPERATOR, "settlement refund s1 reason=x"),
    (OPERATOR, "settlement note s1 x"),
    (OPERATOR, "settlement add machine=m1 fiat_amount=100 exchange_rate=50"),
    (OPERATOR, "settle ana 5 machine=m1"),
    (OPERATOR, "splits set self=100%:self"),
    (OPERATOR, "fixed schedule 08:00"),
    (OPERATOR, "guard m1 per_settlement=100"),
    (OPERATOR, "alerts low=5"),
    (ANA, "mode fixed"),
]


@pytest.mark.parametrize("speaks", [command, whispered])
async def test_a_preview_leaves_nothing_but_its_answer(tmp_path: Path, speaks: Callable[..., Plain]) -> None:
    """No entry, no row, no book changed in memory, whatever is previewed; the same said afterwards is as if never previewed."""
    path = tmp_path / "previewed.sqlite"
    async with office(path) as at:
        await at.take(report(1))
        before, heads = contents(path), {key: live.chain.head for key, live in at.bookkeeper.live.items()}
        for who, text in PREVIEWED:
            turn = await at.take(speaks(who, f"preview {text}", at=OPENED_AT))
            assert turn.batch.entries == []
            assert not turn.registry_changed
            if turn.questions:  # it looks back over what there was, which is a question's work
                [(question, _)] = turn.questions
                assert isinstance(await at.bookkeeper.reading.answer(question), dict)
            else:
                [answer] = said(turn)
                assert "OUR_FAULT" not in answer
        after = contents(path)
        assert {key: live.chain.head for key, live in at.bookkeeper.live.items()} == heads
        changed = {name for name in after if after[name] != before[name]}
        assert changed <= {"answered", "outbox", "sqlite_sequence"}
        books = dict(at.bookkeeper.books)
        await at.reload()
        for key, book in at.bookkeeper.books.items():
            book.recall.forget()
            books[key].recall.forget()
            assert vars_of(books[key]) == vars_of(book)


def vars_of(book: Any) -> dict[str, Any]:
    """All of a book's state but its recall."""
    return {name: getattr(book, name) for name in book.__slots__ if name not in ("recall", "balances")}


# --- one breath ----------------------------------------------------------------------------------------------------


STORY = (
    report(1),
    command(OPERATOR, 'settlement note s1 "seen"'),
    command(OPERATOR, "settlement partial s1 fiat=1500 note=jam"),
    whispered(OPERATOR, "settlement partial s1 fiat=1000 note=worse"),
    command(PLATFORM, f"operator add {FLORES.npub} name=flores"),  # ends a segment
    command(OPERATOR, f"machine add {M9.npub} name=m9 fiat=GTQ cash_in=5% cash_out=6.27%"),
    command(OPERATOR, 'settlement refund s1 reason="paid back"'),
    command(OPERATOR, "settlement refund s1 reason=again"),
    report(1),
    command(OPERATOR, "settlement add machine=m1 fiat_amount=100 exchange_rate=50 payment_hash=" + "ab" * 32),
    command(OPERATOR, "settlement add machine=m1 fiat_amount=100 exchange_rate=51 payment_hash=" + "AB" * 32),
    report(3, payment_hash="ab" * 32),
    command(OPERATOR, "settlement partial s2 fiat=50 note=half"),
    command(OPERATOR, "guard m1 per_settlement=100"),
    report(4),
    whispered(OPERATOR, "settlement release s4"),
    command(OPERATOR, "settlement partial s4 fiat=10 note=x"),
    report(4),
)


async def told_in(path: Path, sizes: list[int], *, reloads: bool) -> tuple[str, dict[str, list[Any]]]:
    """The story in turns of these sizes; afterwards the head and what the database holds."""
    async with office(path) as at:
        waiting = list(STORY)
        for size in [*sizes, len(STORY)]:
            turn_of, waiting = waiting[:size], waiting[size:]
            if turn_of:
                if reloads:
                    await at.decide(*turn_of)  # not committed
                    await at.reload()
                await at.take(*turn_of)
        head = await verified_head(at)
        await at.reload()
        assert at.head == head
    tables = contents(path)
    names = ("book", "entry", "settlement", "settlement_change", "leg", "balance")
    return head, {name: tables[name] for name in names}


async def test_turns_may_be_cut_anywhere(tmp_path: Path) -> None:
    """A settlement, its corrections and its refund in one turn or in eighteen, with commits that fail or without: the
    same journal, byte for byte, and the same rows beside it."""
    random = Random(3)
    house = tmp_path / "house.sqlite"
    async with office(house):
        pass
    whole = await told_in(copy(house, tmp_path / "0.sqlite"), [len(STORY)], reloads=False)
    statuses = {row[1]: row[3] for row in whole[1]["settlement"]}
    assert statuses == {1: "refunded", 2: "partial", 3: "rejected", 4: "partial"}
    for nth in range(1, 9):
        sizes = [1] * len(STORY) if nth == 1 else [random.randint(1, 6) for _ in STORY]
        assert await told_in(copy(house, tmp_path / f"{nth}.sqlite"), sizes, reloads=nth % 2 == 0) == whole, sizes


async def test_numbers_no_settlement_has(at: Office) -> None:
    """A command about none is refused before and after there are some, and remembers nothing of it."""
    for _ in range(2):
        [answer] = said(await at.take(command(OPERATOR, "settlement note s1 --json x", at.now)))
        assert orjson.loads(answer)["error"]["code"] == "not_found"
        at.now += 1
    await at.take(command(OPERATOR, "settlement note s1 early", at.now), report(1, at.now))
    [answer] = said(await at.take(command(OPERATOR, "settlement note s1 --json late", at.now)))
    assert orjson.loads(answer)["ok"] is True


# --- too much ------------------------------------------------------------------------------------------------------


async def test_a_flood_is_slowed_down_and_others_are_served(at: Office) -> None:
    """faults.md row 46: 1,000 commands of one key in a second; its machine and its LPs notice nothing of it."""
    flood = [command(OPERATOR, f"settlement note s1 {nth}") for nth in range(1_000)]
    owed, entries = 0, 0
    for start in range(0, len(flood), 250):
        turn = await at.take(
            *flood[start : start + 250], report(start + 1), command(ANA, "pause" if start % 500 else "resume")
        )
        owed += len(said(turn))
        entries += sum(entry.given.event.kind == 21_000 for entry in turn.batch.entries)  # type: ignore[union-attr]
    assert entries == 4
    assert owed <= 240 + 5 + 4
    await at.store.writer.commit(Batch())
    assert not said(await at.take(*flood[:200]))  # what was dropped is not obeyed later


async def test_a_platform_that_enrols_by_script_is_not_slowed_down(tmp_path: Path) -> None:
    """Its key is the one that everybody else's standing comes from."""
    async with office(tmp_path / "bot.sqlite", house=()) as at:
        operators = [Signer(f"operator {n}") for n in range(300)]
        await at.say(*[(PLATFORM, f"operator add {who.npub} name=o{n}") for n, who in enumerate(operators)])
        assert len(at.bookkeeper.books) == 301
        assert at.bookkeeper.refusals == {}


async def test_answers_are_remembered_for_a_week(tmp_path: Path) -> None:
    """By then a command is too old to be obeyed, and the journal knows for ever what had an effect."""
    async with office(tmp_path / "bot.sqlite") as at:
        before = len(contents(tmp_path / "bot.sqlite")["answered"])
        await at.store.writer.commit(Batch(answered=[("ab" * 32, OPENED_AT + 5)], forget_answers_before=OPENED_AT + 5))
        assert (before, len(contents(tmp_path / "bot.sqlite")["answered"])) == (len(HOUSE), 1)
