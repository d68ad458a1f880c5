"""The desk: the order of its checks, who is let in, and what is entered in which book so that each trail stands alone."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from nostrbot.audit.summary import Summary
from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.unread import UNREAD_KEPT
from nostrbot.core.ledger.transaction import Transaction
from nostrbot.core.snapshots import restore_snapshot
from nostrbot.exports.trail import export_trail
from nostrbot.runtime.hearing import CHOICES_AT_ONCE
from nostrbot.runtime.machines import RECORDS_AT_ONCE
from nostrbot.runtime.shelf import SNAPSHOT_EVERY_ENTRIES
from nostrbot.runtime.turn import Turn
from tests.offices import (
    ANA,
    BOT,
    MACHINE,
    OPENED_AT,
    OPERATOR,
    PLATFORM,
    Office,
    command,
    office,
    report,
)
from tests.signers import SETTLEMENT, Signer, sale_of

STRANGER, FLORES, M3, CARLA = Signer("stranger"), Signer("flores"), Signer("m3"), Signer("carla")
YEARS = 365 * 24 * 60 * 60
MINUTE = 60


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Office]:
    async with office(tmp_path / "bot.sqlite") as at:
        yield at


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What is logged as a warning or worse."""
    lines: list[str] = []
    number = logger.add(lambda message: lines.append(str(message).strip()), level="WARNING", format="{message}")
    yield lines
    logger.remove(number)


def acks(turn: Turn) -> list[dict[str, Any]]:
    """The acks of a turn that owe nothing to an entry."""
    return [json.loads(message.text) for message in turn.say]


def answers(turn: Turn) -> list[dict[str, Any]]:
    """The answers that a turn owes, as data (ask with --json)."""
    return [json.loads(json.loads(row.body)["text"]) for row in turn.batch.owed if row.body is not None]


async def summary_of(at: Office, operator: Signer) -> Summary:
    """An operator's trail, exported and verified from nothing."""
    lines = [line async for line in export_trail(at.store.queries, BOT.pubkey, operator.pubkey)]
    return verify_trail(lines, bot=BOT.pubkey)


# --- who and when, before what ------------------------------------------------------------------------------------


async def test_strangers_are_counted_and_get_no_reply(at: Office) -> None:
    """faults.md rows 23 and 31: commands and settlements of unknown keys leave a count, and nothing else."""
    turn = await at.take(
        command(STRANGER, "help"), command(STRANGER, "whoami"), report(1, machine=STRANGER), report(2, machine=ANA)
    )
    assert not turn.batch
    assert not turn.say
    assert not turn.questions
    assert dict(at.bookkeeper.refusals) == {"unknown_author": 4}


async def test_a_stranger_is_refused_before_anything_of_it_is_read(at: Office) -> None:
    """Author, then expiration, then decryption: of several faults the first in the contract's order names the reason."""
    past = ["expiration", str(OPENED_AT - 1)]
    bad = "rubbish?iv=rubbish"
    stranger = STRANGER.event(4, bad, tags=[["p", BOT.pubkey], past], at=OPENED_AT)
    expired = OPERATOR.event(4, bad, tags=[["p", BOT.pubkey], past], at=OPENED_AT)
    sealed_badly = OPERATOR.event(4, bad, tags=[["p", BOT.pubkey]], at=OPENED_AT)
    for event, reason in ((stranger, "unknown_author"), (expired, "expired"), (sealed_badly, "undecryptable")):
        at.bookkeeper.refusals.clear()
        turn = await at.take(event)
        assert (dict(at.bookkeeper.refusals), bool(turn.batch), turn.say) == ({reason: 1}, False, [])


@pytest.mark.parametrize(
    ("expires_at", "is_taken"), [(OPENED_AT - 1, False), (OPENED_AT, False), (OPENED_AT + 1, True)]
)
async def test_an_expired_event_is_not_obeyed(at: Office, expires_at: int, is_taken: bool) -> None:
    """NIP-40: from its expiration on, an event is none; that holds for commands and settlements alike."""
    tags = (["expiration", str(expires_at)],)
    deposit = command(OPERATOR, "deposit add ana 5 machine=m1", tags=tags)
    sale = MACHINE.report(sale_of(MACHINE, 1), to=BOT.pubkey, at=OPENED_AT, tags=tags)
    await at.take(deposit, sale)
    assert (len(at.book.deposits), at.book.settlement_count) == ((3, 1) if is_taken else (2, 0))
    assert dict(at.bookkeeper.refusals) == ({} if is_taken else {"expired": 2})


async def test_a_command_in_plain_text_is_not_obeyed(at: Office) -> None:
    """Anybody could read it: a direct message that is not encrypted is refused in silence."""
    plain = OPERATOR.command("{deposit add ana 5 machine=m1}", to=BOT.pubkey, at=OPENED_AT, scheme="plain")
    turn = await at.take(plain)
    assert not turn.batch
    assert dict(at.bookkeeper.refusals) == {"undecryptable": 1}


@pytest.mark.parametrize(
    ("dated", "code"),
    [
        (OPENED_AT - 24 * 60 * MINUTE - 1, "too_old"),
        (OPENED_AT - 24 * 60 * MINUTE, None),
        (OPENED_AT + 15 * MINUTE, None),
        (OPENED_AT + 15 * MINUTE + 1, "in_the_future"),
    ],
)
async def test_a_command_is_of_its_day(at: Office, dated: int, code: str | None) -> None:
    """Older than 24 h or more than 15 min ahead: refused with a reply (faults.md row 33), and not obeyed."""
    turn = await at.take(command(OPERATOR, "deposit add ana 5 machine=m1 --json", dated))
    (answer,) = answers(turn)
    assert answer["ok"] is (code is None)
    assert (answer.get("error") or {}).get("code") == code
    assert len(at.book.deposits) == (3 if code is None else 2)


async def test_a_settlement_from_the_future_is_booked_with_a_warning(at: Office, warnings: list[str]) -> None:
    """faults.md row 14: the cash is gone whatever the machine's clock says; the skew is told, and nothing is poisoned."""
    await at.take(report(1, OPENED_AT + 60 * MINUTE))
    await at.take(report(2, OPENED_AT))
    assert at.book.settlement_count == 2
    assert at.bookkeeper.live[OPERATOR.pubkey].chain.at == OPENED_AT
    assert warnings == [f"machine {MACHINE.npub[:16]} is 3600 s ahead of my clock"]


async def test_a_settlement_years_old_is_booked_if_its_machine_is_enrolled(at: Office) -> None:
    """faults.md row 15: a machine that was offline tells late; what counts is the journal's order, not its clock."""
    turn = await at.take(report(1, OPENED_AT - 5 * YEARS))
    assert [fact.name for entry in turn.batch.entries for fact in entry.facts] == ["settlement_processed"]
    await at.say((OPERATOR, "machine suspend m1"))
    turn = await at.take(report(2, OPENED_AT - 5 * YEARS))
    assert turn.batch.entries == []
    assert acks(turn)[0]["error"] == "machine_inactive"


async def test_the_journals_time_never_runs_back(at: Office) -> None:
    """faults.md row 17: when the bot's clock jumps back, entries go on with the time of the last one."""
    await at.take(report(1))
    at.now = OPENED_AT - 60 * MINUTE
    turn = await at.take(report(2))
    assert turn.batch.entries[0].at == OPENED_AT
    assert (await summary_of(at, OPERATOR)).settlements == 2


# --- machines -----------------------------------------------------------------------------------------------------


async def test_each_repeat_is_answered_and_changes_nothing(at: Office) -> None:
    """The same event, or a fresh one with the same sale, in this batch, a later one, or after a restart (rows 1-3)."""
    first, fresh = report(1), report(1)
    turn = await at.take(first, first, fresh)
    assert len(turn.batch.entries) == 1
    assert [(ack["event"], ack["status"], ack["settlement"]) for ack in acks(turn)] == [
        (first["id"], "duplicate", "s1"),
        (fresh["id"], "duplicate", "s1"),
    ]
    await at.reload()
    turn = await at.take(fresh, first)
    assert [(ack["status"], ack["settlement"]) for ack in acks(turn)] == [("duplicate", "s1")] * 2
    assert at.book.settlement_count == 1


async def test_the_same_hash_with_another_amount_is_rejected(at: Office) -> None:
    """faults.md row 4: the first stays, the conflict is an entry with its reason, no money moves for it."""
    await at.take(report(1))
    before = dict(at.book.balances.items())
    turn = await at.take(report(1, wire_sats=107_771, fee_sats=7_771))
    assert [fact.reason for entry in turn.batch.entries for fact in entry.facts] == ["payment_hash_conflict"]
    assert dict(at.book.balances.items()) == before


async def test_a_rejected_settlement_takes_no_hash_and_stays_rejected(at: Office) -> None:
    """Told again it is `rejected` again with its reason; the true sale with the same hash is accepted."""
    wrong = report(1, wire_sats=107_771)
    await at.take(wrong)
    turn = await at.take(wrong)
    assert [(ack["status"], ack["error"]) for ack in acks(turn)] == [("rejected", "amounts_inconsistent")]
    turn = await at.take(report(1))
    assert [fact.name for entry in turn.batch.entries for fact in entry.facts] == ["settlement_processed"]


@pytest.mark.parametrize("content", ["rubbish?iv=rubbish", "{", "[]", '{"type":"settlement"}', "A" * 132])
async def test_what_cannot_be_read_is_answered_invalid_and_logged(at: Office, content: str) -> None:
    """Bad cipher, not JSON, a missing field: `invalid`, a line in the refusal log, no entry; the machine may stop."""
    event = MACHINE.event(SETTLEMENT, content, tags=[["p", BOT.pubkey]], at=OPENED_AT)
    turn = await at.take(event)
    (ack,) = acks(turn)
    assert (ack["event"], ack["status"], ack["settlement"], ack["error"]) == (event["id"], "invalid", None, "invalid")
    assert turn.batch.entries == []
    assert [(row.reason, row.author, row.event_id) for row in turn.batch.refusals] == [
        ("invalid", MACHINE.pubkey, event["id"])
    ]


@pytest.mark.parametrize("scheme", ["plain", "nip04", "nip44"])
async def test_an_ack_comes_in_the_scheme_of_the_settlement(at: Office, scheme: Any) -> None:
    """NIP-44 is answered in NIP-44, NIP-04 in NIP-04, plain in plain."""
    event = MACHINE.report(sale_of(MACHINE, 1), to=BOT.pubkey, at=OPENED_AT, scheme=scheme)
    turn = await at.take(event, event)
    assert turn.entries[OPERATOR.pubkey, 12].scheme == scheme
    assert turn.say[0].scheme == scheme


# --- people -------------------------------------------------------------------------------------------------------


async def test_a_command_twice_in_a_batch_is_obeyed_and_answered_once(at: Office) -> None:
    """faults.md row 41: however often and however soon, one event has one effect."""
    deposit = command(OPERATOR, "deposit add ana 5 machine=m1")
    turn = await at.take(deposit, deposit)
    assert len(turn.batch.entries) == len(turn.batch.owed) == 1
    assert len(at.book.deposits) == 3


async def test_preview_shows_what_would_happen_and_changes_nothing(at: Office) -> None:
    """The answer is the command's own; the books, the journal and the counters stay."""
    previewed = await at.take(command(OPERATOR, "preview deposit add ana 5 machine=m1 --json"))
    assert previewed.batch.entries == []
    done = await at.take(command(OPERATOR, "deposit add ana 5 machine=m1 --json"))
    (shown,), (real,) = answers(previewed), answers(done)
    assert shown["data"] == real["data"]
    assert len(at.book.deposits) == 3


async def test_a_command_for_another_role_says_whose_it_is(at: Office) -> None:
    """Known people are told; nothing is entered."""
    turn = await at.take(
        command(ANA, "deposit add ana 5 machine=m1 --json"),
        command(OPERATOR, "platform fee cash_in=0 cash_out=0 --json"),
    )
    assert [answer["error"]["code"] for answer in answers(turn)] == ["not_allowed", "not_allowed"]
    assert turn.batch.entries == []


async def test_a_machine_enrolled_in_this_batch_may_settle_in_it(at: Office) -> None:
    """Events are taken in order: who is enrolled by the one before is known to the next."""
    turn = await at.take(
        report(1, machine=M3),
        command(OPERATOR, f"machine add {M3.npub} name=m3 fiat=GTQ cash_in=5% cash_out=6.27%"),
        report(2, machine=M3),
    )
    assert turn.registry_changed
    assert dict(at.bookkeeper.refusals) == {"unknown_author": 1}
    assert [fact.name for entry in turn.batch.entries for fact in entry.facts] == [
        "machine_added",
        "fees_published",
        "settlement_processed",
    ]


# --- several books ------------------------------------------------------------------------------------------------

SECOND = (
    (PLATFORM, f"operator add {FLORES.npub} name=flores tz=America/Guatemala"),
    (FLORES, f"machine add {M3.npub} name=m3 fiat=GTQ cash_in=5% cash_out=6.27%"),
)


async def test_an_operator_added_after_the_platform_fee_has_it(at: Office) -> None:
    """The command that set the fee is carried into the new book, so that its trail stands alone and verifies."""
    await at.say(*SECOND)
    await at.take(report(1, machine=M3))
    flores = at.bookkeeper.books[FLORES.pubkey]
    assert (flores.cash_in_ppm, flores.cash_out_ppm) == (10_000, 15_000)
    summary = await summary_of(at, FLORES)
    assert (summary.settlements, summary.sats_settled) == (1, 107_770)
    entries = [entry.plain() async for entry in at.store.queries.entries(FLORES.pubkey)]
    assert [entry["input"].get("carried", False) for entry in entries] == [False, True, False, False]


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "a day later"])
async def test_an_lp_that_joined_with_one_operator_brings_its_choices_when_it_joins_the_next(
    at: Office, together: bool
) -> None:
    """Its first join, and its newest choice, are carried into the other book; that trail stands alone and verifies."""
    choices = [(ANA, "mode fixed limit=500"), (ANA, "mode fixed limit=700")]
    enrolment = [
        (FLORES, f"lp add {ANA.npub} machine=m3 name=anita"),
        (ANA, "join  "),
        (FLORES, "deposit add anita 5 machine=m3"),
    ]
    if together:
        await at.say(*choices, *SECOND, *enrolment)
    else:
        await at.say(*choices)
        await at.reload()
        at.now += 2 * 24 * 60 * MINUTE  # older than a command may be: what is carried was fresh once
        await at.say(*SECOND, *enrolment)
    lp = at.bookkeeper.books[FLORES.pubkey].lps["anita"]
    assert lp.preferences is not None
    assert (lp.preferences.mode, lp.preferences.limit) == ("fixed", "700")
    assert [deposit.lp for deposit in at.bookkeeper.books[FLORES.pubkey].deposits.values()] == ["anita"]
    carried = [
        entry.plain()["input"]["plaintext"]
        async for entry in at.store.queries.entries(FLORES.pubkey)
        if entry.plain()["input"].get("carried")
    ]
    assert carried == ["platform fee cash_in=1% cash_out=1.5%", "join", "mode fixed limit=700"]
    for operator in (OPERATOR, FLORES):
        await summary_of(at, operator)


async def test_what_an_lp_chooses_counts_in_every_book_and_is_answered_once(at: Office) -> None:
    """One command, an entry in each of its books, one answer; both trails verify."""
    await at.say(*SECOND, (FLORES, f"lp add {ANA.npub} machine=m3 name=ana"), (ANA, "join "))
    turn = await at.say((ANA, "mode fixed limit=250"))
    assert sorted(entry.book for entry in turn.batch.entries) == sorted([OPERATOR.pubkey, FLORES.pubkey])
    assert len(turn.batch.owed) == 1
    for operator in (OPERATOR, FLORES):
        preferences = at.bookkeeper.books[operator.pubkey].lps["ana"].preferences
        assert preferences is not None
        assert preferences.limit == "250"
        await summary_of(at, operator)


async def test_the_platform_fee_is_entered_in_every_book(at: Office) -> None:
    """Each operator's trail shows the fee it pays, whoever was there first; one answer, and its machines are told."""
    await at.say(*SECOND)
    turn = await at.say((PLATFORM, "platform fee cash_in=2% cash_out=3%"))
    assert sorted(entry.book for entry in turn.batch.entries) == sorted(["root", OPERATOR.pubkey, FLORES.pubkey])
    answer, *told = sorted(turn.batch.owed, key=lambda owed: owed.book or "")
    assert (answer.book, answer.body is None) == (None, False)
    assert [(owed.book, owed.body) for owed in told] == [
        (key, None) for key in sorted([OPERATOR.pubkey, FLORES.pubkey])
    ]
    assert {book.cash_out_ppm for book in at.bookkeeper.books.values()} == {30_000}
    for operator in (OPERATOR, FLORES):
        await summary_of(at, operator)


async def test_a_key_is_one_operators_machine_only(at: Office) -> None:
    """Or its settlements would have two books; the other operator learns no more than that."""
    await at.say(*SECOND)
    turn = await at.say((FLORES, f"machine add {MACHINE.npub} name=mine fiat=GTQ cash_in=1% cash_out=1% --json"))
    assert [answer["error"]["code"] for answer in answers(turn)] == ["key_taken"]


async def test_a_suspended_operator_is_told_so_and_its_machines_are_rejected(at: Office) -> None:
    """Commands, questions and settlements alike; resumed, everything works again. The trail verifies throughout."""
    await at.say((PLATFORM, "operator suspend antigua"))
    turn = await at.take(
        command(OPERATOR, "deposit add ana 5 machine=m1 --json"), command(OPERATOR, "worklist --json"), report(1)
    )
    assert [answer["error"]["code"] for answer in answers(turn)] == ["operator_suspended"] * 2
    assert turn.batch.entries == []
    assert [ack["error"] for ack in acks(turn)] == ["machine_inactive"]
    await at.say((PLATFORM, "operator resume antigua"))
    turn = await at.take(report(2))
    assert [fact.name for entry in turn.batch.entries for fact in entry.facts] == ["settlement_processed"]
    assert (await summary_of(at, OPERATOR)).settlements == 1


async def test_no_secret_and_no_plaintext_is_logged(at: Office) -> None:
    """faults.md row 90: at the lowest level the log has no key and no word of what people wrote."""
    lines: list[str] = []
    number = logger.add(lambda message: lines.append(str(message)), level="TRACE")
    try:
        words = ['deposit add ana 5 machine=m1 note="under the blue stone"', "nonsense of the fifth kind"]
        await at.say(*[(OPERATOR, text) for text in words], (STRANGER, "let me in by the back door"))
        await at.take(report(1, wire_sats=1), report(2))
    finally:
        logger.remove(number)
    text = "".join(lines)
    assert text
    for private in ("blue stone", "fifth kind", "back door", BOT.nsec(), OPERATOR.secret, ANA.secret):
        assert private not in text


async def test_the_bots_key_is_not_in_the_database(at: Office, tmp_path: Path) -> None:
    """What the journal keeps is signed by others and addressed to us; our secret is nowhere in it."""
    await at.take(report(1))
    raw = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert OPERATOR.pubkey.encode() in raw
    for secret in (b"b0" * 32, b"\xb0" * 32, BOT.nsec().encode()):
        assert secret not in raw


@pytest.mark.parametrize("back_s", [1, MINUTE, 60 * MINUTE])
async def test_a_clock_that_steps_back_leaves_a_trail_that_verifies(at: Office, back_s: int) -> None:
    """What is decided at a time is sealed at that time, also when the book's last entry is ahead of the clock."""
    at.now += 100
    await at.take(report(1, at.now))
    at.now -= back_s
    await at.say((OPERATOR, "deposit add ana 50 machine=m1"), (OPERATOR, "machine set m1 cash_in=4%"))
    assert (await summary_of(at, OPERATOR)).entries == at.bookkeeper.live[OPERATOR.pubkey].chain.seq


async def test_a_rogue_machine_cannot_fill_the_books_with_sums_no_database_holds(at: Office) -> None:
    """A hundred times every satoshi there is, and its sales are out of range; the others and the operator go on."""
    live = at.bookkeeper.live[OPERATOR.pubkey]
    live.book.tills["m1"].volume_sats = 100 * 21 * 10**14
    turn = await at.take(report(1, at.now))
    assert [type(fact).__name__ for entry in turn.batch.entries for fact in entry.facts] == ["SettlementRejected"]
    assert turn.batch.entries[0].facts[0].reason == "amount_out_of_range"
    live.book.balances.apply(Transaction((("assets:sats", "sat", 2**70), ("equity:operator", "sat", -(2**70)))))
    live.snapshot_seq = -SNAPSHOT_EVERY_ENTRIES
    await at.say((OPERATOR, "machine suspend m1"))
    kept = await at.store.queries.snapshot(OPERATOR.pubkey)
    assert kept is not None
    restored = restore_snapshot(json.loads(kept.body))
    assert restored.balances.of("assets:sats", "sat") == live.book.balances.of("assets:sats", "sat") >= 2**70


# --- what no book holds -------------------------------------------------------------------------------------------


async def asked(at: Office, text: str) -> dict[str, Any]:
    """The data of an answer to the operator's question."""
    turn = await at.take(command(OPERATOR, text, at.now))
    [(question, _)] = turn.questions
    found = await at.bookkeeper.reading.answer(question)
    assert isinstance(found, dict), found
    return found


HALF = {"bills": [{"denomination": 0.5, "count": 4}]}


async def test_f3_a_sale_that_cannot_be_read_is_on_the_worklist_until_somebody_has_dealt_with_it(at: Office) -> None:
    """The cash is out: the machine is told `invalid` and its operator which field of which event it is."""
    bad = report(1, **HALF)
    turn = await at.take(bad)
    assert [ack["status"] for ack in acks(turn)] == ["invalid"]
    [row] = (await asked(at, "worklist"))["unreadable"]
    assert (row["machine"], row["event_id"], row["field"]) == ("m1", bad["id"], "bills.0.denomination")
    await at.reload()
    [kept] = (await asked(at, "worklist"))["unreadable"]
    assert kept == row
    unknown = await at.take(command(OPERATOR, f"unreadable dismiss {'0' * 64} --json"))
    assert answers(unknown)[0]["error"]["code"] == "not_found"
    shown = await at.take(command(OPERATOR, f"preview unreadable dismiss {bad['id']} --json"))
    assert answers(shown)[0]["data"] == {"unreadable": []}
    assert "unreadable" in await asked(at, "worklist")
    done = await at.take(command(OPERATOR, f"unreadable dismiss {bad['id']} --json"))
    assert answers(done)[0]["data"] == {"unreadable": []}
    assert "unreadable" not in await asked(at, "worklist")
    assert (done.batch.entries, (await summary_of(at, OPERATOR)).settlements) == ([], 0)


async def test_f3_a_good_report_of_the_same_sale_takes_it_off(at: Office) -> None:
    """Known by its payment hash, as `settlement add` knows it too."""
    await at.take(report(1, **HALF))
    assert len((await asked(at, "worklist"))["unreadable"]) == 1
    await at.take(report(1))
    assert "unreadable" not in await asked(at, "worklist")


async def test_a20_a_suspended_machine_is_answered_and_noted_and_enters_nothing(at: Office) -> None:
    """Its operator sees what it says it sold; resumed, the machine may say it again, and it is booked."""
    await at.say((OPERATOR, "machine suspend m1"))
    turn = await at.take(report(1))
    assert turn.batch.entries == []
    assert [(ack["status"], ack["error"], ack["settlement"]) for ack in acks(turn)] == [
        ("rejected", "machine_inactive", None)
    ]
    [row] = (await asked(at, "worklist"))["unreadable"]
    assert (row["field"], row["detail"]) == ("signer", "machine_inactive: cash_out of 2000.00 GTQ, 107770 sats")
    await at.say((OPERATOR, "machine resume m1"))
    turn = await at.take(report(1))
    assert [fact.name for entry in turn.batch.entries for fact in entry.facts] == ["settlement_processed"]
    assert "unreadable" not in await asked(at, "worklist")


async def test_a20_what_cannot_be_read_is_answered_so_many_times_and_no_more(at: Office) -> None:
    """A true machine says it again; one that floods costs no answers."""
    floods = [report(n, **HALF) for n in range(RECORDS_AT_ONCE + 30)]
    turn = await at.take(*floods)
    assert len(acks(turn)) == RECORDS_AT_ONCE
    assert len(at.bookkeeper.sightings[OPERATOR.pubkey, "m1"].unread) == UNREAD_KEPT


async def test_a20_an_lp_changes_its_mind_so_often_and_no_more(at: Office) -> None:
    """Each choice is an entry for ever; what is beyond is refused with a word."""
    flips = [command(ANA, f"{'pause' if n % 2 else 'resume'} --json", at.now) for n in range(1, CHOICES_AT_ONCE + 12)]
    turn = await at.take(*flips)
    assert len(turn.batch.entries) <= CHOICES_AT_ONCE
    refused = [answer["error"]["code"] for answer in answers(turn) if not answer["ok"]]
    assert set(refused) == {"rate_limited"}
