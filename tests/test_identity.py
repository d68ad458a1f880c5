"""Who a key is, and who may know, across all books of a bot (the review of November 2026, A8, A10, A12, A15)."""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.book import Book
from nostrbot.errors import BooksError, ConfigError
from nostrbot.exports.trail import export_trail
from nostrbot.home.config import Home
from nostrbot.home.keyfile import write_key_file
from nostrbot.messages.receipts import Message, entry_messages
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Scheme
from nostrbot.refusals import Reason
from nostrbot.runtime.freed_keys import CLAIMS_MAX, Claims
from nostrbot.runtime.outbox import _own_keys
from nostrbot.runtime.rotation import NextKey, begin, finish, require_free
from nostrbot.runtime.turn import Turn
from nostrbot.store.sqlite import sqlite_url
from nostrbot.store.store import Store
from tests.offices import ANA, BOT, MACHINE, OPERATOR, PLATFORM, Office, command, office, report
from tests.reading.asking import asked
from tests.runtime.test_rotation import countersigned
from tests.signers import Signer

FLORES, NEXT, M2 = Signer("flores"), Signer("next-bot"), Signer("m2")
MYSELF = Signer("myself")


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Office]:
    async with office(tmp_path / "bot.sqlite") as at:
        yield at


def answers(turn: Turn) -> list[dict[str, Any]]:
    """The answers that a turn owes, as data (ask with --json)."""
    rows = [json.loads(row.body) for row in turn.batch.owed if row.body is not None]
    return [json.loads(row["text"]) for row in rows if row["name"].startswith("answer:")]


async def ask(at: Office, who: Signer, text: str) -> dict[str, Any]:
    """What one command is answered."""
    at.now += 1
    turn = await at.say((who, f"{text} --json"))
    [said] = answers(turn)
    return said


async def summary_of(at: Office, operator: Signer) -> None:
    """The operator's trail verifies, to the head that the bot has."""
    lines = [line async for line in export_trail(at.store.queries, BOT.pubkey, operator.pubkey)]
    assert verify_trail(lines, bot=BOT.pubkey).head == at.bookkeeper.live[operator.pubkey].chain.head


def code(said: dict[str, Any]) -> str:
    return "ok" if said["ok"] else said["error"]["code"]


# --- A15: the bot's own keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "text"),
    [
        (PLATFORM, "operator add {} name=lima"),
        (PLATFORM, "operator replace antigua {}"),
        (OPERATOR, "machine add {} name=m9 fiat=GTQ cash_in=0 cash_out=0"),
        (OPERATOR, "machine rotate m1 {}"),
        (OPERATOR, "lp add {} machine=m1 name=me"),
        (OPERATOR, "splits set me=30%:{} self=70%:self"),
    ],
)
async def test_a15_no_key_of_the_bot_gets_a_role(at: Office, who: Signer, text: str) -> None:
    """Neither its own nor the one a rotation is about to give it; previews say the same."""
    at.bookkeeper._people._next_bot = lambda: NEXT.pubkey
    for key in (BOT.npub, NEXT.npub):
        for words in (text.format(key), "preview " + text.format(key)):
            assert code(await ask(at, who, words)) == "key_taken"


async def test_a15_a_machine_s_key_speaks_for_no_operator(at: Office) -> None:
    """Whoever breaks a machine open must not command a book: the platform hears that the key is taken."""
    assert code(await ask(at, PLATFORM, f"operator add {MACHINE.npub} name=lima")) == "key_taken"
    assert code(await ask(at, PLATFORM, f"operator replace antigua {MACHINE.npub}")) == "key_taken"


@pytest.mark.parametrize("kind", [4, 21_000, 30_078, 1_059])
async def test_a15_what_the_bot_wrote_goes_no_further_than_the_door(at: Office, kind: int) -> None:
    """Whatever its kind, by whatever relay it comes back."""
    from nostrbot.nostr.event import sign_event
    from nostrbot.nostr.giftwrap import make_wrap
    from nostrbot.nostr.sealing import Envelope

    if kind == 1_059:
        event = make_wrap(BOT, Envelope(BOT), to=BOT.pubkey, text="join", at=at.now, name=b"x")
    else:
        content = Envelope(BOT).seal_to(BOT.pubkey, "join", Scheme.NIP04, b"x")
        event = sign_event(BOT, kind=kind, tags=[["p", BOT.pubkey]], content=content, created_at=at.now)
    turn = await at.take(event.plain())
    assert not turn.batch.entries
    assert not turn.batch.owed
    assert at.bookkeeper.refusals == {Reason.OWN_WORD: 1}


async def test_a15_the_bot_writes_nothing_to_itself(at: Office) -> None:
    """Neither to its key nor to one it had: the outbox counts such messages as delivered."""
    book = at.book
    book.former_bots.append(MYSELF.pubkey)
    own = _own_keys(BOT, at.bookkeeper.books)
    assert own == {BOT.pubkey, MYSELF.pubkey}
    assert Message("a", 4, BOT.pubkey, "", Scheme.NIP04, None).to in own
    assert ANA.pubkey not in own


@pytest.fixture
async def home(tmp_path: Path) -> Home:
    """A bot's home with the usual house in it, and a next key that somebody put there: ana's."""
    home = Home(tmp_path / "home")
    home.key_file.parent.mkdir(parents=True)
    write_key_file(home.key_file, BOT, None)
    home.write_platform(PLATFORM.pubkey)
    async with office(home.database_file):
        pass
    return home


async def test_a15_a_rotation_to_a_key_with_a_role_says_so_before_anything_is_changed(home: Home) -> None:
    """At its begin and at its end."""
    write_key_file(home.next_key_file, Keys.from_secret(ANA.secret), None)
    store = await Store.open(sqlite_url(home.database_file))
    try:
        with pytest.raises(ConfigError, match=r"the book of antigua .*is an LP's.* remove keys/bot\.next\.nsec"):
            await require_free(store, begin(home, None, 0), PLATFORM.pubkey)
        before = home.key_file.read_bytes()
        with pytest.raises(BooksError, match=r"the book of antigua .*is an LP's.*nothing was changed"):
            await finish(home, store, countersigned(home), None, 0)
        assert home.key_file.read_bytes() == before
        home.next_key_file.unlink()
        await require_free(store, begin(home, None, 0), PLATFORM.pubkey)
    finally:
        await store.close()


async def test_a15_the_next_key_is_known_as_soon_as_it_is_there(home: Home) -> None:
    """It is made while the bot runs; a file that is no key is no reason to stop."""
    next_key = NextKey(home, None)
    assert next_key() is None
    statement = begin(home, None, 0)
    assert next_key() == statement.new
    home.next_key_file.unlink()
    assert next_key() is None
    home.next_key_file.write_text("no key")
    home.next_key_file.chmod(0o600)
    assert next_key() is None
    assert next_key() is None


# --- A8: what an LP has with others ---------------------------------------------------------------------------------

M3, ZOE, NOBODY, GTQ = Signer("m3"), Signer("zoe"), Signer("nobody"), "fiat=GTQ cash_in=5% cash_out=6.27%"
SECOND = (
    (PLATFORM, f"operator add {FLORES.npub} name=flores tz=America/Guatemala"),
    (FLORES, f"machine add {M3.npub} name=m3 {GTQ}"),
)
CHOICES = (
    (ANA, "join mode=flow"),
    (ANA, "mode fixed limit=700"),
    (ANA, "forward ana@wallet.example.com"),
    (ANA, "pause"),
)
# Everything an operator can say that names a key, and what it can say of an LP that it enrolled.
ABOUT_A_KEY = (
    "lp add {npub} machine=m3 name=who",
    "lp add {npub} machine=m9 name=who",
    "deposit add who 50 machine=m3",
    "settle who 50 machine=m3",
    "settle who 50 machine=m3 rate=50",
    "lp suspend who",
    "lp resume who",
    "splits set x=100%:{npub}",
    "lp add {npub} machine=m3 name=other",
    "machine add {npub} name=m8 fiat=GTQ cash_in=0 cash_out=0",
    "machine rotate m3 {npub}",
)


async def test_a8_no_command_tells_whether_a_key_is_an_lp_elsewhere(tmp_path: Path) -> None:
    """Each with its preview: the same words for an LP of antigua's with choices and cash as for nobody."""
    told = {}
    for who in (ANA, NOBODY):
        async with office(tmp_path / f"{who.name}.sqlite") as at:
            told[who.name] = await told_about(at, who)
    assert told["ana"] == told["nobody"]
    assert len(told["ana"]) == 3 * len(ABOUT_A_KEY)


async def told_about(at: Office, who: Signer) -> list[str]:
    """What flores is answered, command by command."""
    await at.say(*SECOND, *CHOICES)
    told = []
    for text in ABOUT_A_KEY:
        for words in (f"preview {text}", f"preview {text} --json", text):
            at.now += 1
            turn = await at.say((FLORES, words.format(npub=who.npub)))
            rows = [json.loads(row.body) for row in turn.batch.owed if row.body is not None]
            told += [row["text"].replace(who.npub, "<npub>") for row in rows if row["to"] == FLORES.pubkey]
            told += [repr(question.begun) for question, _ in turn.questions]
    return told


async def test_a8_an_lp_is_told_and_brings_its_choices_by_its_own_join_only(at: Office) -> None:
    """Flores enrols ana: she hears of it. What she chose at antigua is flores' to know once she says `join`."""
    await at.say(*SECOND, *CHOICES)
    turn = await at.say((FLORES, f"lp add {ANA.npub} machine=m3 name=anita --json"))
    rows = [json.loads(row.body) for row in turn.batch.owed if row.body is not None]
    [told] = [row["text"] for row in rows if row["to"] == ANA.pubkey]
    assert told.startswith("flores enrolled you as anita at m3.")
    [lp] = [one["data"]["lp"] for one in answers(turn)]
    nothing = {"lp_onboarded": False, "mode": None, "limit": None, "paused": False, "forward": None}
    assert {name: lp[name] for name in nothing} == nothing
    here = at.bookkeeper.books[FLORES.pubkey].lps["anita"]
    at.now += 1
    await at.say((ANA, "resume"), (ANA, "mode fixed limit=800"))
    assert (here.preferences, here.brought) == (None, None)
    assert code(await ask(at, FLORES, "deposit add anita 5 machine=m3")) == "lp_not_onboarded"
    at.now += 1
    await at.say((ANA, "join"))
    there = at.book.lps["ana"].preferences
    assert here.preferences is not None
    assert there is not None
    for name in ("mode", "limit", "paused", "forward"):
        assert getattr(here.preferences, name) == getattr(there, name)
    assert here.preferences.joined_at == at.now
    await at.reload()
    for operator in (OPERATOR, FLORES):
        await summary_of(at, operator)
    assert at.bookkeeper.books[FLORES.pubkey].lps["anita"] == here


async def test_a8_through_three_books(at: Office) -> None:
    """What was brought into the second book comes along into the third, and the newest word is the last."""
    lima, m4 = Signer("lima"), Signer("m4")
    await at.say(*SECOND, *CHOICES, (FLORES, f"lp add {ANA.npub} machine=m3 name=anita"))
    at.now += 1
    await at.say((ANA, "join"), (PLATFORM, f"operator add {lima.npub} name=lima"))
    await at.say((lima, f"machine add {m4.npub} name=m4 {GTQ}"), (lima, f"lp add {ANA.npub} machine=m4 name=a"))
    at.bookkeeper.directory._lps[ANA.pubkey] = (lima.pubkey, FLORES.pubkey, OPERATOR.pubkey)
    at.now += 1
    await at.say((ANA, "join mode=flow"))
    chosen = [
        book.lps[book.lp_of_key[ANA.pubkey]].preferences for key, book in at.bookkeeper.books.items() if key != "root"
    ]
    assert [one and (one.mode, one.paused, one.forward) for one in chosen] == [
        ("flow", True, "ana@wallet.example.com")
    ] * 3
    await at.reload()
    for operator in (OPERATOR, FLORES, lima):
        await summary_of(at, operator)


async def test_a8_an_operator_that_was_not_joined_stands_in_nobody_s_way(at: Office) -> None:
    """An LP's `pause` counts where it takes part, whoever else enrolled it, and in whatever order."""
    await at.say(*SECOND, (FLORES, f"lp add {ZOE.npub} machine=m3 name=zoe"))
    assert code(await ask(at, ZOE, "pause")) == "lp_not_onboarded"
    await at.say((FLORES, f"lp add {ANA.npub} machine=m3 name=a"))
    at.bookkeeper.directory._lps[ANA.pubkey] = (FLORES.pubkey, OPERATOR.pubkey)
    assert code(await ask(at, ANA, "pause")) == "ok"
    assert at.book.lps["ana"].preferences is not None
    assert at.book.lps["ana"].preferences.paused
    assert at.bookkeeper.books[FLORES.pubkey].lps["a"].preferences is None


async def test_a8_who_takes_part_nowhere_is_told_nothing(at: Office) -> None:
    """The bot writes to strangers at nobody's wish."""
    turn = await at.say(*SECOND, (FLORES, f"lp add {NOBODY.npub} machine=m3 name=who"))
    assert all(json.loads(row.body)["to"] != NOBODY.pubkey for row in turn.batch.owed if row.body is not None)


# --- A12: whose machine a key is -------------------------------------------------------------------------------------

FREE = (PLATFORM, f"machine free {M3.npub}")
ENROL = f"machine add {M3.npub} name=mine {GTQ}"


def told_to(turn: Turn, who: Signer) -> list[str]:
    """What a person is told in this turn besides answers: by rows of their own, and by entries."""
    rows = [json.loads(row.body) for row in turn.batch.owed if row.body is not None]
    return [row["text"] for row in rows if row["to"] == who.pubkey and not row["name"].startswith("answer:")]


def acks(turn: Turn) -> list[dict[str, Any]]:
    return [json.loads(message.text) for message in turn.say]


async def test_a12_a_sale_of_before_is_a_duplicate_while_nobody_has_the_key(at: Office) -> None:
    """It was booked, and its ack was lost: once the key is free, it is no `rejected` sale (the simulator's seed 300307)."""
    await at.say(*SECOND)
    at.now += 1
    sold = report(7, at.now, machine=M3)
    assert [entry.book for entry in (await at.take(sold)).batch.entries] == [FLORES.pubkey]
    await at.say(FREE)
    assert [(ack["status"], ack["settlement"]) for ack in acks(await at.take(sold))] == [("duplicate", None)]
    at.now += 1
    other = await at.take(report(8, at.now, machine=M3))
    assert [(ack["status"], ack["error"]) for ack in acks(other)] == [("rejected", "machine_inactive")]


async def test_a12_the_platform_frees_a_key_for_its_owner(at: Office) -> None:
    """Flores enrolled antigua's machine first. After `machine free` antigua has it, and both trails verify."""
    await at.say(*SECOND)
    assert code(await ask(at, OPERATOR, ENROL)) == "key_taken"
    turn = await at.say((FREE[0], f"{FREE[1]} --json"))
    [said] = answers(turn)
    assert said["data"] == {"machine": {"npub": M3.npub, "freed_from": "flores"}}
    assert sorted(entry.book for entry in turn.batch.entries) == sorted([FLORES.pubkey, "root"])
    assert [text.split(",")[0] for text in told_to(turn, OPERATOR)] == [f"The key {M3.npub}"]
    entry = turn.entries[FLORES.pubkey, at.bookkeeper.live[FLORES.pubkey].chain.seq]
    [message] = entry_messages(at.bookkeeper.books[FLORES.pubkey], entry)
    assert message.to == FLORES.pubkey
    assert message.text.startswith("The platform took the key npub1")
    assert code(await ask(at, FLORES, "machine resume m3")) == "key_taken"
    assert code(await ask(at, FLORES, f"machine add {M3.npub} name=m9 {GTQ}")) == "key_taken"
    assert code(await ask(at, OPERATOR, ENROL)) == "ok"
    at.now += 1
    turn = await at.take(report(7, at.now, machine=M3))
    assert [entry.book for entry in turn.batch.entries] == [OPERATOR.pubkey]
    await at.reload()
    assert at.bookkeeper.directory.standing(M3.pubkey).machine == OPERATOR.pubkey
    for operator in (OPERATOR, FLORES):
        await summary_of(at, operator)
    assert code(await ask(at, FLORES, f"machine rotate m3 {M2.npub}")) == "ok"
    assert code(await ask(at, FLORES, "machine resume m3")) == "ok"


async def test_a12_what_cannot_be_freed(at: Office) -> None:
    """A key that is nobody's machine; one that is free already answers as if it were done, and makes no entry."""
    await at.say(*SECOND)
    assert code(await ask(at, PLATFORM, f"machine free {NOBODY.npub}")) == "not_found"
    assert code(await ask(at, OPERATOR, f"machine free {M3.npub}")) == "not_allowed"
    at.now += 1
    assert not (await at.say((PLATFORM, f"preview {FREE[1]}"))).batch.entries
    assert code(await ask(at, PLATFORM, FREE[1])) == "ok"
    at.now += 1
    turn = await at.say((FREE[0], f"{FREE[1]} --json"))
    assert [one["ok"] for one in answers(turn)] == [True]
    assert not turn.batch.entries


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "days later"])
async def test_a12_a_sale_is_never_in_two_books(at: Office, together: bool) -> None:
    """An old report handed on again, and the same sale in a fresh event, are answered and booked nowhere."""
    await at.say(*SECOND)
    old, fresh = report(7, at.now, machine=M3), report(7, at.now + 60, machine=M3)
    moves = [command(*FREE, at.now), command(OPERATOR, ENROL, at.now)]
    if together:
        turn = await at.take(old, *moves, old, fresh, report(8, at.now, machine=M3))
    else:
        await at.take(old)
        await at.take(*moves)
        await at.reload()
        turn = await at.take(old, fresh, report(8, at.now, machine=M3))
    said = [ack for ack in acks(turn) if ack["payment_hash"]]
    assert [(ack["status"], ack["settlement"]) for ack in said] == [("duplicate", None)] * 2
    assert at.bookkeeper.books[FLORES.pubkey].settlement_count == 1
    assert at.book.settlement_count == 1
    for operator in (OPERATOR, FLORES):
        await summary_of(at, operator)


async def test_a12_who_had_a_key_sees_and_sends_nothing_more(at: Office) -> None:
    """Until the owner enrols it sales are rejected and make no entry; no fees and cassettes come from the book that lost it."""
    await at.say(*SECOND, FREE)
    turn = await at.take(report(9, at.now, machine=M3))
    assert not turn.batch.entries
    assert [(ack["status"], ack["error"], ack["settlement"]) for ack in acks(turn)] == [
        ("rejected", "machine_inactive", None)
    ]
    at.now += 1
    turn = await at.say((FLORES, "machine set m3 cash_out=1%"), (PLATFORM, "platform fee cash_in=2% cash_out=2%"))
    told = [fact for entry in turn.batch.entries if entry.book == FLORES.pubkey for fact in entry.facts]
    assert [fact.name for fact in told] == ["machine_changed", "platform_fee_set"]
    assert code(await ask(at, FLORES, "cassette publish m3")) in ("key_taken", "not_found", "wrong_status")
    at.now += 1
    await at.say((OPERATOR, ENROL))
    turn = await at.take(report(9, at.now, machine=M3))
    assert [entry.book for entry in turn.batch.entries] == [OPERATOR.pubkey]


async def test_a12_who_waits_for_a_key_is_known_after_trouble_and_a_restart() -> None:
    """The last one that was refused, once."""
    claims = Claims()
    for n in range(CLAIMS_MAX + 1):
        claims.note(f"{n}", "one")
    claims.note("5", "two")
    assert len(claims.of_key) == CLAIMS_MAX
    again = Claims(json.loads(json.dumps(claims.of_key)))
    book = Book("b", "two", "p")
    message = again.answer(ANA.pubkey, {"two": book}, 1)
    assert message is None
    again.note(ANA.pubkey, "two")
    message = again.answer(ANA.pubkey, {"two": book}, 1)
    assert message is not None
    assert message.to == "two"
    assert again.answer(ANA.pubkey, {"two": book}, 1) is None


# --- A10: what waited for a key ---------------------------------------------------------------------------------------

XENA = Signer("xena")


async def test_a10_what_waited_is_seen_by_its_lp_wherever_it_looks(at: Office) -> None:
    """The answer, balance, history, receipt and statement say the same; the projections are those of the journal."""
    await at.say((OPERATOR, f"splits set xena=50%:{XENA.npub} self=50%:self"))
    await at.take(report(1, at.now))
    preview = await ask(at, OPERATOR, f"preview lp add {XENA.npub} machine=m1 name=xe")
    said = await ask(at, OPERATOR, f"lp add {XENA.npub} machine=m1 name=xe")
    assert said["data"]["lp"]["sats"] == preview["data"]["lp"]["sats"] == 3_135
    at.now += 1
    await at.say((XENA, "join"))
    at.now += 1
    [row] = await asked(at, XENA, "balance")
    assert row["sats"] == 3_135
    at.now += 1
    [leg] = (await asked(at, XENA, "history"))["history"]
    assert (leg["type"], leg["sats"], leg["settlement"], leg["machine"]) == ("operator_split", 3_135, None, "m1")
    at.now += 1
    receipt = await asked(at, XENA, f"receipt {leg['id']}")
    assert (receipt["sats"], receipt["fiat"]) == (3_135, None)
    at.now += 1
    month = datetime.fromtimestamp(at.now, ZoneInfo("America/Guatemala")).strftime("%Y-%m")
    statement = (await asked(at, XENA, f"statement month={month}"))["statement"]
    [sats] = statement["sats"]
    assert (sats["opening"], sats["closing"]) == (0, 3_135)
    await at.reload()
    assert not at.bookkeeper.closed_books
    at.now += 1
    await at.say((OPERATOR, 'settlement refund s1 reason="false"'))
    assert at.book.sats_owed("xe") == 0
    await at.reload()
    assert not at.bookkeeper.closed_books
    at.now += 1
    [sats] = (await asked(at, XENA, f"statement month={month}"))["statement"]["sats"]
    assert sats["closing"] == 0
    await summary_of(at, OPERATOR)
