"""Replies: what the bot says, as JSON and as plain words that are safe to show and fit in one event."""

import asyncio
import unicodedata
from typing import Any, cast

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.core.commands.command import SPLITS_MAX, Command
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.directory import Directory
from nostrbot.core.parsing import parse
from nostrbot.core.table import TABLE
from nostrbot.messages.replies import WORDS, answer, answer_that_fits, escape, is_refusal, refusal
from nostrbot.nostr.giftwrap import WRAPPED_TEXT_MAX_BYTES
from nostrbot.nostr.sealing import Scheme
from nostrbot.reading.question import Question
from nostrbot.reading.reading import Reading
from nostrbot.store.queries import Queries
from nostrbot.views.fitting import REPLY_BYTES_MAX
from nostrbot.views.outcomes import outcome_view
from tests.houses import House, letter, person, told

REFUSAL = CommandRefused(Code.NOT_FOUND, "there is no machine m9: `machine list` shows yours")


def test_every_command_has_its_words() -> None:
    """Nothing is answered in JSON that was asked in words."""
    assert set(WORDS) == {form.verb for form in TABLE}


def test_an_answer_in_json_is_one_object() -> None:
    """docs/protocol.md section 6."""
    data = {"operator": {"name": "antigua", "npub": "npub1", "tz": "UTC", "active": True}}
    assert orjson.loads(answer("operator add", data, json=True)) == {
        "ok": True,
        "command": "operator add",
        "data": data,
    }
    assert orjson.loads(answer("operator add", data, json=True, preview=True))["preview"] is True


def test_a_refusal_in_json_has_a_code_and_a_sentence() -> None:
    """docs/protocol.md section 6."""
    assert orjson.loads(refusal("machine show", REFUSAL, json=True)) == {
        "ok": False,
        "command": "machine show",
        "error": {"code": "not_found", "message": REFUSAL.message},
    }


def test_a_refusal_in_words_says_what_to_do() -> None:
    """And names its code, so that one can be told from another."""
    assert refusal("machine show", REFUSAL, json=False) == (
        "Refused: there is no machine m9: `machine list` shows yours [not_found]"
    )


@pytest.mark.parametrize("json", [True, False])
def test_a_refusal_is_known_from_its_text_alone(json: bool) -> None:
    """`nostrbot dm` exits with 1 on it, whichever way it was asked."""
    assert is_refusal(refusal("machine show", REFUSAL, json=json))
    assert not is_refusal(answer("whoami", {"whoami": {"npub": "npub1", "roles": ["the platform"]}}, json=json))
    assert not is_refusal("{not json")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("plain, with ñ, 日本 and 🙂", "plain, with ñ, 日本 and 🙂"),
        ("\u202eyap", "\\u202eyap"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\x1b[2Jgone", "\\u001b[2Jgone"),
        ("nul\x00", "nul\\u0000"),
        ("over\rwritten", "over\\u000dwritten"),
        ("\ufeffbom", "\\ufeffbom"),
        ("soft\u00adhyphen", "soft\\u00adhyphen"),
        ("line\nfeed", "line\\nfeed"),
        ("line\u2028separator", "line\\u2028separator"),
    ],
)
def test_nobody_plays_tricks_with_the_reader_s_screen(typed: str, shown: str) -> None:
    """Control, bidirectional and invisible characters are shown as escapes (faults.md row 45)."""
    assert escape(typed) == shown


@given(st.text(max_size=100))
@settings(max_examples=100, deadline=None)
def test_no_control_or_format_character_survives(text: str) -> None:
    """Whatever was typed, what is shown has none of Unicode's controls, formats, surrogates or private characters."""
    assert not [char for char in escape(text) if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co")]


@pytest.mark.parametrize(
    "said",
    [
        'machine set m1 location="\u202eevil\x07"',
        'deposit edit d1 note="\u202eevil\x07"',
        "splits set \u202eevil\x07=100%:self",
        "\u202eevil\x07",
        'deposit confirm "\u202eevil\x07"',
        'deposit confirm d1 "\u202eevil\x07"',
    ],
)
def test_what_people_typed_is_shown_escaped_wherever_it_is_shown(said: str) -> None:
    """Places, notes, labels, and what was not understood."""
    house = House.open()
    house.add_lp("ana")
    house.say("operator", "deposit add ana 5 machine=m1")
    reply = spoken(house, "operator", said)
    assert "evil" in reply or "must be" in reply
    assert "\u202e" not in reply
    assert "\x07" not in reply


def spoken(house: House, who: str, text: str, *, json: bool = False) -> str:
    """What the bot would answer to a command that changes the book, which is sealed too."""
    command = parse(told(text))
    if not isinstance(command, Command):
        return refusal(command.verb, command.refused, json=json)
    outcome = house.say(who, text)
    if isinstance(outcome, CommandRefused):
        return refusal(command.verb, outcome, json=json)
    facts = () if outcome is None else house.entries[-1].facts
    view = outcome_view(house.book, person(who).pubkey, command, facts, at=house.now)
    return answer(command.verb, view, json=json)


def test_the_answers_of_a_first_hour() -> None:
    """Each says what happened and what can be done next."""
    house = House.empty()
    house.say("platform", "operator add @operator name=antigua")
    conversation = [
        ("operator", "machine add @m1 name=m1 fiat=GTQ cash_in=5% cash_out=6.27% location=Mercado"),
        ("operator", "lp add @ana machine=m1 name=ana"),
        ("ana", "join"),
        ("operator", 'deposit add ana 9000 machine=m1 note="two bundles"'),
        ("operator", "deposit confirm d1"),
        ("operator", "splits set house=60%:self ana=40%:ana"),
        ("operator", "splits set machine=m1 ana=100%:ana"),
        ("operator", "splits clear machine=m1"),
        ("operator", "machine suspend m1"),
        ("operator", 'deposit reverse d1 amount=1000 reason="torn"'),
    ]
    assert [spoken(house, who, text) for who, text in conversation] == [
        "Enrolled m1: GTQ, fees 5% in, 6.27% out, active, trust=signature, Mercado\n"
        "Next: lp add <npub> machine=m1 name=<name>",
        "Enrolled ana: has not joined yet, 0 sats; m1 0.00 GTQ left\n"
        "Next: they send `join` to this bot; then you can add deposits.",
        "You are in as ana: mode flow. `balance` shows your cash and sats.",
        "Deposit d1: ana 9000.00 GTQ at m1, pending (two bundles)\n"
        "Next, when the cash is in the machine: deposit confirm d1",
        "Deposit d1: ana 9000.00 GTQ at m1, confirmed (two bundles)",
        "Splits, default: house 60% to self, ana 40% to ana.",
        "Splits, machine m1: ana 100% to ana.",
        "Splits, machine m1 (follows the default): house 60% to self, ana 40% to ana.",
        "m1: GTQ, fees 5% in, 6.27% out, suspended, trust=signature, Mercado",
        "Deposit d1: ana 9000.00 GTQ at m1, confirmed, 1000.00 taken back (two bundles)",
    ]


def test_the_answers_of_a_later_day() -> None:
    """Guards, keys and modes in words; a settlement in trouble ends with its next safe step."""
    house = House.open()
    house.add_lp("ana", cash="9000")
    key = person("m1").npub
    assert asked(house, "operator", "machine show m1", json=False) == (
        f"m1: GTQ, fees 5% in, 6.27% out, active, trust=signature\nIts key: {key}"
    )
    assert spoken(house, "operator", "guard m1 per_settlement=1500 per_day=20000 rate=5%") == (
        "m1: GTQ, fees 5% in, 6.27% out, active, trust=signature, "
        "sales are held above 1500.00 a sale or above 20000.00 a day or with a rate more than 5% off"
    )
    house.sell()
    released = spoken(house, "operator", "settlement release s1")
    assert "Next:" not in released
    corrected = spoken(house, "operator", 'settlement partial s1 fiat=1500 note="jammed"').splitlines()
    assert "26943 sats are owed to the customer" in corrected
    assert corrected[-1] == 'Next: settlement refund s1 reason="…" once the customer has the rest back'
    assert spoken(house, "ana", "mode fixed limit=500") == (
        "You are in as ana: mode fixed, up to 500.00 a day, at your operator's times. `balance` shows your cash and sats."
    )
    assert spoken(house, "operator", "machine rotate m1 @m1-new") == (
        f"m1 has the key {person('m1-new').npub}. From now on I reject what any other key signs in its name."
    )
    assert asked(house, "operator", "splits show", json=False) == (
        "Splits, default: all to you. `help splits set` shows how to share it."
    )


def test_u4_an_answer_never_lets_one_believe_what_is_not() -> None:
    """A stolen key given anew, a day that begins by another clock, a limit that nothing is held to."""
    house = House.open()
    house.add_lp("ana", cash="9000")
    spoken(house, "operator", "machine rotate m1 @m1-new")
    assert spoken(house, "operator", "machine rotate m1 @m1-new") == (
        f"Nothing changed: m1 had the key {person('m1-new').npub} already. If that key was stolen, say the new key."
    )
    assert spoken(house, "operator", "machine compromised m1 since=2026-01-15").endswith(
        "none of its sales since 2026-01-14 18:00 (America/Guatemala) is left to freeze."
    )
    assert spoken(house, "ana", "mode flow limit=100") == (
        "You are in as ana: mode flow (your limit, 100.00 a day, counts in mode fixed only). `balance` shows your cash and "
        "sats."
    )
    root = House.root()
    spoken(root, "platform", "operator add @operator name=antigua")
    assert "Nothing changed" not in spoken(root, "platform", "operator replace antigua @new-operator")
    assert "\nNothing changed: it had this key already." in spoken(
        root, "platform", "operator replace antigua @new-operator"
    )


def asked(house: House, who: str, text: str, *, json: bool) -> str:
    """The answer to a question that the books in memory can answer."""
    command = parse(told(text))
    assert isinstance(command, Command), command
    books = {house.book.key: house.book}
    standing = Directory(books.values()).standing(person(who).pubkey)
    question = Question(command, person(who).pubkey, standing, house.now)
    no_database = cast("Queries", None)  # the questions asked here are answered from the books alone
    data = asyncio.run(Reading(books, {}, no_database).answer(question))
    assert not isinstance(data, CommandRefused), data
    return answer(command.verb, data, json=json)


@pytest.fixture(scope="module")
def crowded() -> House:
    """A house of 200 machines and 200 LPs, each with as long and as awkward a text as it may have."""
    house = House.open()
    awkward = "\u202e" * 280
    for number in range(200):
        house.add_machine(f"machine-{number}", more=f'location="{awkward}"')
        house.add_lp(f"lp-{number}")
        house.say("operator", f'deposit add lp-{number} 9000000000000.00 machine=m1 note="{awkward}"')
    return house


@pytest.mark.parametrize("verb", ["machine list", "lp list", "deposit list"])
@pytest.mark.parametrize("json", [True, False], ids=["json", "words"])
def test_a_list_fits_in_one_event_however_long_it_is(crowded: House, verb: str, json: bool) -> None:
    """Answers are at most 40 KiB; what does not fit is on the next page."""
    reply = asked(crowded, "operator", f"{verb} limit=1000", json=json)
    assert len(reply.encode()) <= REPLY_BYTES_MAX
    assert '"more":true' in reply if json else "There is more: add before=" in reply


def test_pages_follow_one_another_and_miss_nobody(crowded: House) -> None:
    """`before=<id>` goes on where the page ended, newest first, twenty rows unless more are asked for."""
    seen: list[str] = []
    page: dict[str, Any] = {"before": "", "more": True}
    while page.get("more"):
        before = f" before={page['before']}" if page["before"] else ""
        page = orjson.loads(asked(crowded, "operator", f"lp list{before}", json=True))["data"]
        assert len(page["lps"]) <= 20
        seen += [row["name"] for row in page["lps"]]
    assert seen == [f"lp-{number}" for number in reversed(range(200))]


@pytest.mark.parametrize("json", [True, False], ids=["json", "words"])
@pytest.mark.parametrize("who", ["platform", "operator", "lp-0"])
def test_help_fits_in_one_event_for_every_role(crowded: House, who: str, json: bool) -> None:
    """All of it, and each command's own."""
    assert len(asked(crowded, who, "help", json=json).encode()) <= REPLY_BYTES_MAX
    for form in TABLE:
        assert form.summary in asked(crowded, who, f"help {form.verb}", json=json)


@pytest.mark.parametrize("json", [True, False], ids=["json", "words"])
def test_the_longest_answers_to_commands_fit_in_one_event(crowded: House, json: bool) -> None:
    """An LP at 200 machines, and as many splits with as long labels as there may be."""
    for number in range(200):
        crowded.say("operator", f"lp add @lp-0 machine=machine-{number} name=lp-0")
    shares = " ".join(
        f"{chr(0x202E) * 30}{number:02}={3 if number else 7}%:@lp-{number}" for number in range(SPLITS_MAX)
    )
    for text in (
        "lp suspend lp-0",
        "lp resume lp-0",
        f"splits set {shares}",
        'machine set machine-0 location="' + "\u202d" * 280 + '"',
        'deposit edit d1 note="' + "\u202d" * 280 + '"',
        "\u202e" * 5_000,
        "x" * 5_000,
    ):
        assert len(spoken(crowded, "operator", text, json=json).encode()) <= REPLY_BYTES_MAX


@pytest.mark.parametrize(
    ("scheme", "bytes_max"),
    [(Scheme.NIP04, REPLY_BYTES_MAX), (Scheme.NIP44, REPLY_BYTES_MAX), (Scheme.NIP17, WRAPPED_TEXT_MAX_BYTES)],
)
def test_an_answer_that_does_not_fit_is_refused_in_its_place(scheme: Scheme, bytes_max: int) -> None:
    """At the limit it goes out, one byte more and its author is told to ask for less; wrapped twice, less fits."""
    fits = "x" * bytes_max
    assert answer_that_fits("balance", fits, json=False, scheme=scheme) == fits
    assert answer_that_fits("balance", fits + "x", json=False, scheme=scheme).endswith("[too_long]")
    too_long = answer_that_fits("balance", "ñ" * (bytes_max // 2 + 1), json=True, scheme=scheme)
    assert orjson.loads(too_long)["ok"] is False


def test_the_sender_s_letter_is_what_was_told() -> None:
    """The @names of these tests are the npubs that were sent."""
    assert letter("operator", "lp show @ana", at=1).plaintext == f"lp show {person('ana').npub}"
