"""What becomes of settlements, in the database: the projections say what the dossiers say (docs/protocol.md 5 and 7)."""

import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from nostrbot.core.atm.dossier import Settlement, as_it_stands
from nostrbot.core.atm.states import SettlementStatus
from nostrbot.core.desks import check_books
from nostrbot.core.snapshots import take_snapshot
from nostrbot.runtime.turn import Turn
from tests.offices import MACHINE, OPERATOR, PLATFORM, Office, command, contents, office, report
from tests.signers import Signer, sale_of

BOOK = 2  # the operator's number; the root book is the first
HELD = "guard m1 per_settlement=1"
RELEASED = "settlement release s1"
CORRECTED = "settlement partial s1 fiat=1500 note=jammed"
REFUNDED = "settlement refund s1 reason=odd"
RESET = "settlement reset s1 reason=odd"
RETRY = "settlement retry s1"
BY_HAND = "settlement add machine=m1 fiat_amount=2000 exchange_rate=50"
LIFE = (
    RESET,
    RETRY,
    RELEASED,
    CORRECTED,
    "settlement note s1 odd",
    "settlement partial s1 fiat=1000 note=odd",
    REFUNDED,
)


async def say(at: Office, *texts: str) -> Turn:
    """The operator says these, in one turn a second later."""
    at.now += 1
    return await at.say(*[(OPERATOR, text) for text in texts])


def facts(turn: Turn) -> list[str]:
    """The names of the facts that a turn sealed."""
    return [fact.name for entry in turn.batch.entries for fact in entry.facts]


def texts(turn: Turn) -> list[str]:
    """What was answered."""
    return [orjson.loads(row.body)["text"] for row in turn.batch.owed if row.body is not None]


def answers(turn: Turn) -> list[dict[str, Any]]:
    """What was answered to commands that asked for JSON."""
    return [orjson.loads(text) for text in texts(turn) if text.startswith("{")]


def rows(path: Path, table: str, *names: str) -> list[tuple[Any, ...]]:
    """The operator's rows of a projection, these columns of them."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            f"SELECT {', '.join(names)} FROM {table} WHERE book = {BOOK} ORDER BY {', '.join(names)}"
        ).fetchall()


async def check_projections(at: Office, path: Path) -> dict[int, Settlement]:
    """Every row is what its dossier, read back from the journal, comes to; the books agree with the ledger."""
    stored = await at.store.queries.settlements(OPERATOR.pubkey, limit=1_000)
    folded = {one.number: as_it_stands(one.dossier()) for one in stored}
    for number, dossier in at.book.recall.dossiers.items():
        assert as_it_stands(dossier) == folded[number]
    assert rows(path, "settlement", "number", "status", "at", "since") == sorted(
        (number, now.status.value, now.created_at, now.since) for number, now in folded.items()
    )
    assert rows(path, "leg", "number", "settlement", "lp", "type", "status", "sats", "fiat_minor") == sorted(
        (leg.number, number, leg.lp, leg.type.value, leg.status.value, leg.sats, leg.fiat_minor)
        for number, now in folded.items()
        for leg in now.legs
    )
    changed = sorted((one.number, entry.seq) for one in stored for entry in one.changes)
    assert rows(path, "settlement_change", "number", "seq") == changed
    check_books(at.book)
    kept = {key: amount for key, amount in at.book.balances.items() if amount}
    assert {key: now for key, now in (await at.store.queries.balances(OPERATOR.pubkey)).items() if now} == kept
    return folded


@pytest.mark.parametrize(("together", "reopened"), [(True, False), (False, False), (False, True)])
async def test_a_whole_life(tmp_path: Path, together: bool, reopened: bool) -> None:
    """Turn by turn, or all in one turn with the report itself; with the bot started anew between, or not."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        await say(at, HELD)
        if together:
            await at.take(report(1), *[command(OPERATOR, text, at.now) for text in LIFE])
            await check_projections(at, path)
        else:
            await at.take(report(1))
            for text in LIFE:
                if reopened:
                    await at.reload()
                assert len(facts(await say(at, text))) == 1
                await check_projections(at, path)
        head, snapshot = at.head, take_snapshot(at.book)
    async with office(path) as at:
        assert (at.head, take_snapshot(at.book)) == (head, snapshot)
        folded = await check_projections(at, path)
    now = folded[1]
    assert (now.status, now.owed_sats, now.wire_sats) == (SettlementStatus.REFUNDED, 0, 53_885)
    assert [note.text for note in reversed(now.notes)] == ["odd", "jammed", "odd", "odd", "odd"]
    assert sum(leg.sats for leg in now.legs_in_force) == 53_885


async def test_a_command_right_behind_its_settlement(tmp_path: Path) -> None:
    """In one turn: the report, held; its release; its repeat, which is a duplicate; its correction."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        await say(at, HELD)
        events = [report(1, at.now), command(OPERATOR, RELEASED, at.now), report(1, at.now + 1)]
        turn = await at.take(*events, command(OPERATOR, CORRECTED, at.now))
        assert facts(turn) == ["settlement_pending", "settlement_processed", "settlement_corrected"]
        assert [orjson.loads(message.text)["status"] for message in turn.say] == ["duplicate"]
        assert (await check_projections(at, path))[1].owed_sats == 26_943


@pytest.mark.parametrize("one_turn", [True, False])
async def test_of_two_retries_at_once_one_wins(tmp_path: Path, one_turn: bool) -> None:
    """faults.md row 41: two messages, one sharing; the other is told that it is processed."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        await say(at, HELD)
        await at.take(report(1))
        await say(at, RESET, "guard m1 per_settlement=off")
        at.now += 1
        twice = [command(OPERATOR, f"{RETRY} --json", at.now), command(OPERATOR, f"{RETRY}  --json", at.now)]
        turns = [await at.take(*twice)] if one_turn else [await at.take(event) for event in twice]
        assert [name for turn in turns for name in facts(turn)] == ["settlement_processed"]
        won, lost = [answer for turn in turns for answer in answers(turn)]
        assert (won["ok"], won["data"]["settlement"]["status"]) == (True, "processed")
        assert (lost["ok"], lost["error"]["code"]) == (False, "wrong_status")
        await check_projections(at, path)
        assert at.book.balances.of("assets:sats", "sat") == 107_770


async def test_one_retry_delivered_twice_has_one_effect(tmp_path: Path) -> None:
    """The same message from two relays, or after a restart: it has had its answer."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        await say(at, HELD)
        await at.take(report(1))
        await say(at, RESET, "guard m1 per_settlement=off")
        again = command(OPERATOR, RETRY, at.now)
        await at.take(again, again)
        head = at.head
    async with office(path) as at:
        await at.take(again)
        assert at.head == head
        await check_projections(at, path)


async def test_a_turn_that_was_not_committed_never_was(tmp_path: Path) -> None:
    """A release decided, and the commit lost: after loading again it is held still, and is released once."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        await say(at, HELD)
        await at.take(report(1))
        before = contents(path)
        assert facts(await at.decide(command(OPERATOR, RELEASED, at.now))) == ["settlement_processed"]
        await at.reload()
        assert contents(path) == before
        await say(at, RELEASED)
        assert (await check_projections(at, path))[1].status is SettlementStatus.PROCESSED


async def test_a_preview_moves_nothing(tmp_path: Path) -> None:
    """It shows the settlement as it would stand, and a turn with it and the command itself books once."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        await at.take(report(1))
        turn = await say(at, f"preview {CORRECTED} --json", f"{CORRECTED} --json")
        assert facts(turn) == ["settlement_corrected"]
        shown, done = answers(turn)
        assert shown["data"]["settlement"]["owed_to_customer_sats"] == 26_943
        assert shown["data"] == done["data"]
        await check_projections(at, path)


async def test_added_by_hand(tmp_path: Path) -> None:
    """With its note once; its hash is taken in this turn, in later ones, and after a restart."""
    path = tmp_path / "bot.sqlite"
    taken = sale_of(MACHINE, 1)["payment_hash"]
    async with office(path) as at:
        add = f'{BY_HAND} payment_hash={taken} note="paid by hand" --json'
        turn = await say(at, add, f"{add} ", "settlement note s1 later")
        assert facts(turn) == ["settlement_processed", "settlement_noted", "settlement_noted"]
        first, second = answers(turn)
        shown = first["data"]["settlement"]
        assert (shown["entry"], shown["entry_hash"]) == (turn.batch.entries[0].seq, turn.batch.entries[0].hash)
        assert second["error"]["code"] == "already_booked"
        folded = await check_projections(at, path)
        assert [note.text for note in folded[1].notes] == ["later", "paid by hand"]
        late = await at.take(report(1))
        assert facts(late) == ["settlement_rejected"]
    async with office(path) as at:
        refused = await say(at, f"{add}  ")
        assert [answer["error"]["code"] for answer in answers(refused)] == ["already_booked"]
        assert at.book.balances.of("assets:sats", "sat") == 107_770
        await check_projections(at, path)


async def test_by_hand_and_by_the_machine_in_one_turn(tmp_path: Path) -> None:
    """Whichever comes first is booked; the other one is refused or rejected."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        hashes = [sale_of(MACHINE, n)["payment_hash"] for n in (1, 2)]
        at.now += 1
        adds = [command(OPERATOR, f"{BY_HAND} payment_hash={taken}", at.now) for taken in hashes]
        turn = await at.take(report(1), adds[0], adds[1], report(2))
        assert facts(turn) == ["settlement_processed", "settlement_processed", "settlement_rejected"]
        folded = await check_projections(at, path)
        assert [folded[n].sale.n for n in (1, 2, 3)] == [1, None, 2]


async def test_another_operator_s_settlement_is_none(tmp_path: Path) -> None:
    """Numbers are each book's own: s1 of one is not s1 of the other, in one turn or after a restart."""
    path = tmp_path / "bot.sqlite"
    other, booth = Signer("xela"), Signer("x1")
    async with office(path) as at:
        await at.say((PLATFORM, f"operator add {other.npub} name=xela tz=UTC"))
        await at.say((other, f"machine add {booth.npub} name=x1 fiat=GTQ cash_in=5% cash_out=6%"))
        await at.take(report(1))
        for _ in range(2):
            turn = await at.say((other, f"{CORRECTED} --json"))
            assert [answer["error"]["code"] for answer in answers(turn)] == ["not_found"]
            await at.reload()
            at.now += 1
        turn = await at.say((OPERATOR, CORRECTED), (other, f"{REFUNDED} --json"))
        assert facts(turn) == ["settlement_corrected"]
        await check_projections(at, path)


async def test_no_machine_is_rotated_onto_another_operator_s(tmp_path: Path) -> None:
    """Nobody takes over another's machine by its public key: its sales stay in its own operator's book."""
    path = tmp_path / "bot.sqlite"
    other, booth, next_key = Signer("xela"), Signer("x1"), Signer("m1-new")
    async with office(path) as at:
        await at.say((PLATFORM, f"operator add {other.npub} name=xela tz=UTC"))
        await at.say((other, f"machine add {booth.npub} name=x1 fiat=GTQ cash_in=5% cash_out=6%"))
        await at.say((OPERATOR, f"machine rotate m1 {next_key.npub}"))
        for key in (MACHINE, next_key):
            for text in (f"machine rotate x1 {key.npub} --json", f"preview machine rotate x1 {key.npub} --json"):
                turn = await at.say((other, text))
                assert [answer["error"]["code"] for answer in answers(turn)] == ["key_taken"]
        turn = await at.take(report(1, machine=next_key), report(2))
        assert facts(turn) == ["settlement_processed"]  # the old key writes into no journal
        assert {entry.book for entry in turn.batch.entries} == {OPERATOR.pubkey}
        await check_projections(at, path)


async def test_an_absurd_guard_stops_nothing(tmp_path: Path) -> None:
    """A limit that no journal could hold is refused like any other bad argument."""
    async with office(tmp_path / "bot.sqlite") as at:
        turn = await say(at, "guard m1 per_day=99999999999999999999999 --json", HELD)
        assert [answer["error"]["code"] for answer in answers(turn)] == ["bad_argument"]
        assert facts(turn) == ["machine_changed"]


@pytest.mark.parametrize("restarts", [False, True])
async def test_a13_a_payment_hash_at_two_machines(tmp_path: Path, restarts: bool) -> None:
    """A false sale, held or booked, and the true one with its preimage: by what is in memory, or in the database alone."""
    path, rogue = tmp_path / "bot.sqlite", Signer("rogue")
    preimages = ["5e" * 32, "5f" * 32]
    hashes = [sha256(bytes.fromhex(preimage)).hexdigest() for preimage in preimages]
    async with office(path) as at:
        await say(at, f"machine add {rogue.npub} name=rogue fiat=GTQ cash_in=5% cash_out=6.27%")
        await at.take(report(7, machine=rogue, payment_hash=hashes[0]))
        await say(at, "guard rogue per_settlement=1")
        await at.take(report(8, machine=rogue, payment_hash=hashes[1]))
        for n, (payment_hash, preimage) in enumerate(zip(hashes, preimages, strict=True), start=1):
            if restarts:
                await at.reload()
            turn = await at.take(report(n, payment_hash=payment_hash, preimage=preimage))
            assert facts(turn) == ["settlement_processed", "payment_hash_shared", "settlement_frozen"]
        assert sorted(at.book.frozen) == [1, 2]
        again = await at.take(report(2, payment_hash=hashes[1], preimage=preimages[1]))
        assert '"status":"duplicate","settlement":"s4"' in again.say[0].text
        turn = await say(at, "settlement refund s1 reason=false", "settlement refund s2 reason=false")
        assert facts(turn) == ["settlement_refunded", "settlement_refunded"]
        folded = await check_projections(at, path)
        assert {number: one.status for number, one in folded.items()} == {
            1: "refunded", 2: "refunded", 3: "processed", 4: "processed"
        }  # fmt: skip
        live = dict(at.bookkeeper.live)
        await at.store.examine(live)
        assert [one.flaw for one in live.values()] == [None] * len(live)
