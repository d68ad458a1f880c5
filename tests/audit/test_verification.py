"""The auditor: a true trail verifies, and whatever was done to it is named by entry and field (faults.md row 86).

A forger here is as strong as the bot itself: it may seal again, with every hash of the chain recomputed. What it lacks
are the keys of those who signed.
"""

import json
from collections.abc import Callable
from typing import Any

import nostr_sdk
import orjson
import pytest

from nostrbot.audit import examination
from nostrbot.audit.summary import Summary
from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.facts import MachineChanged
from nostrbot.core.atm.settlements.facts import SettlementProcessed
from nostrbot.core.inputs import Signed
from nostrbot.core.rules import FIRST, RULES
from nostrbot.errors import TrailError
from nostrbot.journal.entry import GENESIS, canonical, digest, trail_line
from nostrbot.nostr.event import VerifiedEvent, read_event
from nostrbot.nostr.sealing import Scheme
from tests.houses import BOT, DAWN, House, letter, person, report, sale

pytestmark = pytest.mark.usefixtures("any_page")

# The life of the house below, by entry number.
OPENING, FEE, MACHINE, ENROLLED, JOINED, ADDED, CONFIRMED, PLAIN_SALE, SEALED_SALE, REJECTED, FIXED = range(1, 12)

Trail = list[bytes]
Content = dict[str, Any]


def lived() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    house.sell()
    house.take(report("m1", sale(), at=house.now, scheme=Scheme.NIP44))
    house.sell(wire_sats=1)
    house.say("ana", "mode fixed")
    return house


@pytest.fixture(scope="module")
def trail() -> Trail:
    return lived().trail()


def changed(trail: Trail, seq: int, change: Callable[[Content], None]) -> Trail:
    """The trail with one entry (0 = header) changed and nothing else."""
    content = orjson.loads(trail[seq])
    change(content)
    return [*trail[:seq], canonical(content), *trail[seq + 1 :]]


def sealed_again(trail: Trail) -> Trail:
    """The trail with numbers, links and hashes made right, as only the bot could."""
    lines, head = [trail[0]], GENESIS
    for seq, line in enumerate(trail[1:], start=1):
        content = orjson.loads(line) | {"seq": seq, "prev": head}
        content.pop("hash", None)
        body = canonical(content)
        head = digest(body)
        lines.append(trail_line(body, head))
    return lines


def resealed(trail: Trail, seq: int, change: Callable[[Content], None]) -> Trail:
    return sealed_again(changed(trail, seq, change))


def trouble(trail: Trail, **asked: Any) -> tuple[int, str]:
    """Entry number and field that the auditor names."""
    with pytest.raises(TrailError) as refused:
        verify_trail(trail, **asked)
    where = f"entry {refused.value.seq}" if refused.value.seq else "header"
    assert str(refused.value).startswith(f"{where}: {refused.value.field}: ")
    return refused.value.seq, refused.value.field


# --- what is true ---------------------------------------------------------------------------------------------------


def test_a_true_trail_verifies(trail: Trail) -> None:
    """From nothing but its lines; the summary is what an auditor compares with what it was told."""
    assert verify_trail(trail, bot=BOT.pubkey) == Summary(
        bot=BOT.pubkey,
        bot_now=BOT.pubkey,
        book=person("operator").pubkey,
        platform=person("platform").pubkey,
        handle="antigua",
        entries=11,
        head=lived().chain.head,
        settlements=2,
        receipts=2,
        encrypted=9,
        sats_settled=215_540,
        signed=11,
        plain=2,
        opened_by_keys=1,
        on_bots_word=8,
        numbers_missing={"m1": ["3-41"]},
        by_rules={2: 11},
    )


def test_line_ends_do_not_matter(trail: Trail) -> None:
    """A file's lines come with them."""
    assert verify_trail([line + b"\n" for line in trail]).entries == 11


def test_the_root_book_has_a_trail_too() -> None:
    """Operators and the platform fee."""
    root = House.root()
    root.say("platform", "operator add @operator name=antigua")
    root.say("platform", "operator suspend antigua")
    assert verify_trail(root.trail()).entries == 2


def test_a_trail_that_is_cut_at_its_end_is_a_shorter_true_trail(trail: Trail) -> None:
    """Only a checkpoint can tell; the summary's head and count are there to be compared."""
    assert verify_trail(trail[:-1]).entries == 10


def sdk_event(who: str, kind: int, content: str, *, to: str, at: int) -> VerifiedEvent:
    """An event made and signed by an independent library."""
    keys = nostr_sdk.Keys.parse(person(who).nsec())
    recipient = nostr_sdk.Tag.public_key(nostr_sdk.PublicKey.parse(to))
    draft = nostr_sdk.EventBuilder(nostr_sdk.Kind(kind), content).tags([recipient])
    event = read_event(
        orjson.loads(draft.custom_created_at(nostr_sdk.Timestamp.from_secs(at)).finalize(keys).as_json())
    )
    assert isinstance(event, VerifiedEvent)
    return event


def test_what_another_library_signed_and_encrypted_is_verified_as_well() -> None:
    """An operator and a machine that run on nostr-sdk."""
    house = House.open()
    said = "machine set m1 cash_out=6.27% location=Mercado"
    keys, bot = nostr_sdk.Keys.parse(person("operator").nsec()), nostr_sdk.PublicKey.parse(BOT.pubkey)
    ciphertext = nostr_sdk.nip04_encrypt(keys.secret_key(), bot, said)
    house.now += 1
    commanded = sdk_event("operator", 4, ciphertext, to=BOT.pubkey, at=house.now)
    assert isinstance(house.take(Signed(commanded, said, Scheme.NIP04)), MachineChanged)
    payload = orjson.dumps(sale()).decode()
    reported = sdk_event("m1", 21_000, payload, to=BOT.pubkey, at=house.now)
    assert isinstance(house.take(Signed(reported, payload, Scheme.PLAIN)), SettlementProcessed)
    summary = verify_trail(house.trail())
    assert (summary.entries, summary.settlements) == (5, 1)


# --- lines ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seq", range(1, 11))
def test_a_line_removed(trail: Trail, seq: int) -> None:
    """The next entry is out of place."""
    assert trouble([*trail[:seq], *trail[seq + 1 :]]) == (seq, "seq")


def test_a_line_twice(trail: Trail) -> None:
    assert trouble([*trail[:4], trail[3], *trail[4:]]) == (4, "seq")


def test_two_lines_swapped(trail: Trail) -> None:
    assert trouble([*trail[:8], trail[9], trail[8], *trail[10:]]) == (8, "seq")


def test_numbers_made_right_after_a_removal_break_the_links(trail: Trail) -> None:
    """seq alone is not the chain."""

    def renumber(content: Content) -> None:
        content["seq"] = 8

    shorter = [*trail[:8], *trail[9:]]
    assert trouble(changed(shorter, 8, renumber)) == (8, "prev")


@pytest.mark.parametrize("field", ["at", "facts", "input", "postings", "rules"])
def test_a_field_changed_and_nothing_else(trail: Trail, field: str) -> None:
    """The hash covers all of an entry."""

    def change(content: Content) -> None:
        content[field] = content["at"] + 1 if field == "at" else []

    assert trouble(changed(trail, PLAIN_SALE, change)) == (PLAIN_SALE, "hash")


def test_a_hash_changed(trail: Trail) -> None:
    assert trouble(changed(trail, 3, lambda content: content.update(hash="ab" * 32))) == (3, "hash")


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"", "line"),
        (b"\n", "line"),
        (b"{", "line"),
        (b"[]", "line"),
        (b"null", "line"),
        (b"\xff\xfe", "line"),
        (b"[" * 5_000, "line"),
        (b"{}", "entry"),
        (b'{"seq":3}', "entry"),
    ],
)
def test_a_line_that_is_no_entry(trail: Trail, line: bytes, field: str) -> None:
    """Whatever stands in a file is answered with the place and never a crash."""
    assert trouble([*trail[:3], line, *trail[4:]]) == (3, field)


def test_half_a_line(trail: Trail) -> None:
    """A file that was cut within its last entry."""
    assert trouble([*trail[:-1], trail[-1][:-40]]) == (11, "line")


def test_an_entry_with_a_field_too_many_or_too_few(trail: Trail) -> None:
    assert trouble(changed(trail, 5, lambda content: content.update(note="x"))) == (5, "entry")
    assert trouble(changed(trail, 5, lambda content: content.pop("postings"))) == (5, "entry")


def test_nesting_that_can_be_read_but_not_written(trail: Trail) -> None:
    """Depth between what the JSON library reads and what it writes is a bad trail, not a crash."""
    deep = b"[" * 500 + b"]" * 500
    line = changed(trail, 5, lambda content: content.update(facts="HERE"))[5].replace(b'"HERE"', deep)
    assert orjson.loads(line)
    assert trouble([*trail[:5], line, *trail[6:]]) == (5, "entry")


def test_a18_a_key_twice_in_a_line(trail: Trail) -> None:
    """A reader who takes the first of the two would see another entry than one who takes the last."""
    for seq in (1, PLAIN_SALE, len(trail) - 1):
        twice = trail[seq].replace(b'"seq":', b'"seq":0,"seq":')
        assert orjson.loads(twice) == orjson.loads(trail[seq])
        assert trouble([*trail[:seq], twice, *trail[seq + 1 :]]) == (seq, "line")


def test_a18_a_header_is_canonical(trail: Trail) -> None:
    """A field twice, or in another order; that is said where nothing worse is found."""
    twice = trail[0].replace(b'"trail":', b'"trail":2,"trail":')
    assert orjson.loads(twice) == orjson.loads(trail[0])
    assert trouble([twice, *trail[1:]]) == (0, "line")
    assert trouble([twice, *resealed(trail, 4, lambda content: content.update(rules=FIRST))[1:]]) == (4, "rules")


def test_a18_a_line_is_canonical(trail: Trail) -> None:
    """The same JSON in other bytes: blanks, another order, an escape, what a pretty-printer makes of it."""
    line, content = trail[FIXED], orjson.loads(trail[FIXED])
    for other in (
        b" " + line,
        line + b" ",
        line.replace(b":", b": ", 1),
        canonical(content),
        line.replace(b"m", b"\\u006d", 1),
    ):
        assert orjson.loads(other) == content
        assert trouble([*trail[:FIXED], other, *trail[FIXED + 1 :]]) == (FIXED, "line")


def test_a18_a_line_longer_than_any_entry(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before it is read as JSON, which would take many times its length in memory."""
    monkeypatch.setattr(examination, "LINE_BYTES_MAX", 20_000)
    monkeypatch.setattr(
        examination.orjson, "loads", lambda line: pytest.fail("read") if len(line) > 20_000 else json.loads(line)
    )
    assert trouble([*trail[:3], trail[3].rstrip(b"}") + b" " * 20_000 + b"}", *trail[4:]]) == (3, "line")


# --- the header -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], (0, "line")),
        ([b""], (0, "line")),
        ([b'{"trail":1,"bot":"ab'], (0, "line")),
        ([b"[]"], (0, "line")),
        ([b"{}"], (0, "trail")),
        ([b'{"trail":1}'], (0, "trail")),
        ([b'{"trail":2,"bot":"a","book":"b","created_at":1}'], (0, "trail")),
        ([b'{"trail":1,"bot":5,"book":"b","created_at":1}'], (0, "bot")),
        ([f'{{"trail":1,"bot":"{"ab" * 32}","book":null,"created_at":1}}'.encode()], (0, "book")),
        ([f'{{"trail":1,"bot":"root","book":"{"ab" * 32}","created_at":1}}'.encode()], (0, "bot")),
        ([f'{{"trail":1,"bot":"{"AB" * 32}","book":"root","created_at":1}}'.encode()], (0, "bot")),
        ([f'{{"trail":1,"bot":"{"ab" * 32}\\n","book":"root","created_at":1}}'.encode()], (0, "bot")),
        ([f'{{"trail":1,"bot":"{"ab" * 32}","book":"antigua","created_at":1}}'.encode()], (0, "book")),
        ([f'{{"trail":1,"bot":"{"ab" * 32}","book":"{"cd" * 31}","created_at":1}}'.encode()], (0, "book")),
        ([f'{{"book":"{"cd" * 32}","bot":"{"ab" * 32}","created_at":1,"trail":1}}'.encode()], (0, "entries")),
        ([f'{{"trail":1,"bot":"{"ab" * 32}","book":"{"cd" * 32}","created_at":1}}'.encode()], (0, "entries")),
        ([f'{{"book":"root","bot":"{"ab" * 32}","created_at":1,"trail":1}}'.encode()], (0, "entries")),
    ],
)
def test_a_header_that_is_none(lines: Trail, expected: tuple[int, str]) -> None:
    assert trouble(lines) == expected


def test_a_trail_without_its_header(trail: Trail) -> None:
    assert trouble(trail[1:]) == (0, "trail")


def test_the_trail_of_another_bot(trail: Trail) -> None:
    """Asked for one bot's trail, another's is refused at once; a changed header, at the first event to the true bot."""
    other = person("another bot").pubkey
    assert trouble(trail, bot=other) == (0, "bot")
    assert trouble(changed(trail, 0, lambda header: header.update(bot=other)), bot=other) == (1, "facts")


def test_the_trail_of_another_platform(trail: Trail) -> None:
    """Anybody can be a platform, enrol an operator and have a trail that is sound: asked for one platform's, it is refused."""
    assert trouble(trail, platform=person("another platform").pubkey) == (1, "input.event")
    assert verify_trail(trail, platform=person("platform").pubkey).platform == person("platform").pubkey


def test_the_trail_of_one_operator_under_another_s_name(trail: Trail) -> None:
    """The opening command names whose book it is."""
    other = person("other").pubkey
    assert trouble(changed(trail, 0, lambda header: header.update(book=other))) == (1, "facts")


# --- sealed again by the bot itself ---------------------------------------------------------------------------------


def test_sealing_again_alone_changes_nothing(trail: Trail) -> None:
    """The forger's tool is sound: what the tests below find is what was changed before it was used."""
    assert sealed_again(trail) == trail


def test_a_forged_signature(trail: Trail) -> None:
    """A signature by another key over the same event."""

    def forge(content: Content) -> None:
        content["input"]["event"]["sig"] = person("forger").sign(bytes.fromhex(content["input"]["event"]["id"]))

    assert trouble(resealed(trail, PLAIN_SALE, forge)) == (PLAIN_SALE, "input.event")


@pytest.mark.parametrize(
    "change",
    [
        {"content": orjson.dumps(sale(fee_sats=9_770, wire_sats=109_770)).decode()},
        {"created_at": DAWN},
        {"kind": 21_001},
        {"tags": []},
        {"pubkey": person("forger").pubkey},
        {"id": "ab" * 32},
        {"id": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_event(trail: Trail, change: Content) -> None:
    """Everything in an event is under its id, and the id under the signature."""
    forged = resealed(trail, PLAIN_SALE, lambda content: content["input"]["event"].update(change))
    assert trouble(forged) == (PLAIN_SALE, "input.event")


def test_an_event_signed_by_the_forger_for_another(trail: Trail) -> None:
    """Well signed, by nobody of this book."""
    own = report("forger", sale("m1", payment_hash="11" * 32), at=DAWN + 60).event.plain()
    forged = resealed(trail, PLAIN_SALE, lambda content: content["input"].update(event=own))
    assert trouble(forged) == (PLAIN_SALE, "facts")


def test_an_event_that_says_more_than_was_signed(trail: Trail) -> None:
    """What is beside an event's seven fields is not signed, so it has no place in a trail."""
    forged = resealed(trail, PLAIN_SALE, lambda content: content["input"]["event"].update(note="paid"))
    assert trouble(forged) == (PLAIN_SALE, "input.event.note")


def shift(content: Content) -> None:
    """9,000 sats from the LP to the operator, still exact and balanced."""
    legs = content["facts"][0]["legs"]
    legs[1]["sats"] += 9_000
    legs[2]["sats"] -= 9_000
    for posting in content["postings"]:
        if posting[:2] == ["equity:operator", "sat"]:
            posting[2] -= 9_000
        if posting[0] == "liabilities:lp:ana:sats":
            posting[2] += 9_000


def test_changed_facts(trail: Trail) -> None:
    """Decided again, the LP's leg is another, though every sum is right."""
    assert trouble(resealed(trail, PLAIN_SALE, shift)) == (PLAIN_SALE, "facts[0].legs[1].sats")


@pytest.mark.parametrize(
    ("seq", "change", "field"),
    [
        (PLAIN_SALE, lambda fact: fact.update(platform_fee_sats=0), "facts[0].platform_fee_sats"),
        (PLAIN_SALE, lambda fact: fact.update(number=2), "facts[0].number"),
        (PLAIN_SALE, lambda fact: fact["legs"].pop(), "facts[0].legs"),
        (PLAIN_SALE, lambda fact: fact["sale"].update(wire_sats=107_771), "facts[0].sale.wire_sats"),
        (PLAIN_SALE, lambda fact: fact.update(extra=1), "facts[0].extra"),
        (PLAIN_SALE, lambda fact: fact.pop("legs"), "facts[0].legs"),
        (PLAIN_SALE, lambda fact: fact.update(number=True), "facts[0].number"),
        (REJECTED, lambda fact: fact.update(reason="fee_mismatch"), "facts[0].reason"),
        (CONFIRMED, lambda fact: fact["deposit"].update(amount_minor=800_000), "facts[0].deposit.amount_minor"),
        (MACHINE, lambda fact: fact["machine"].update(cash_out_ppm=72_700), "facts[0].machine.cash_out_ppm"),
    ],
)
def test_any_changed_field_of_a_fact_is_named(
    trail: Trail, seq: int, change: Callable[[Content], None], field: str
) -> None:
    """The first difference, by its path."""
    assert trouble(resealed(trail, seq, lambda content: change(content["facts"][0]))) == (seq, field)


def test_facts_left_out_or_added(trail: Trail) -> None:
    """An entry has all its facts and no others."""
    assert trouble(resealed(trail, PLAIN_SALE, lambda content: content.update(facts=[]))) == (PLAIN_SALE, "facts")
    twice = resealed(trail, PLAIN_SALE, lambda content: content["facts"].append(content["facts"][0]))
    assert trouble(twice) == (PLAIN_SALE, "facts")
    assert trouble(resealed(trail, PLAIN_SALE, lambda content: content.update(facts={}))) == (PLAIN_SALE, "facts")


def test_changed_postings(trail: Trail) -> None:
    """Facts left alone, money booked elsewhere."""

    def embezzle(content: Content) -> None:
        content["postings"][4][0] = "equity:operator"

    assert trouble(resealed(trail, PLAIN_SALE, embezzle)) == (PLAIN_SALE, "postings[4][0]")


def test_postings_left_out_or_added(trail: Trail) -> None:
    """Also a pair that balances, and also where no money moved."""
    assert trouble(resealed(trail, CONFIRMED, lambda content: content["postings"].clear())) == (CONFIRMED, "postings")
    pair = [["equity:operator", "sat", -5], ["liabilities:lp:ana:sats", "sat", 5]]
    assert trouble(resealed(trail, JOINED, lambda content: content["postings"].extend(pair))) == (JOINED, "postings")


def test_a_changed_plaintext(trail: Trail) -> None:
    """Another plaintext for an encrypted command is decided to other facts."""

    def change(content: Content) -> None:
        content["input"]["plaintext"] = "deposit add ana 8000 machine=m1"

    assert trouble(resealed(trail, ADDED, change)) == (ADDED, "facts[0].deposit.amount_minor")


def test_a_plaintext_that_is_no_command(trail: Trail) -> None:
    """There should be no entry then."""
    forged = resealed(trail, ADDED, lambda content: content["input"].update(plaintext="good morning"))
    assert trouble(forged) == (ADDED, "facts")


def test_a_plaintext_beside_a_signed_plain_content(trail: Trail) -> None:
    """What came plain is signed: it cannot be read as anything else, not even with facts and postings to match."""
    forged_sale = orjson.dumps(sale(payment_hash="22" * 32)).decode()
    true = lived()
    plain = true.entries[PLAIN_SALE - 1].given
    other = House.open()
    other.add_lp("ana", "9000")
    other.now = true.entries[PLAIN_SALE - 1].at
    other.take(Signed(plain.event, forged_sale, Scheme.NIP44))
    assert trouble(other.trail()) == (PLAIN_SALE, "input.plaintext")


def test_a_ciphertext_without_its_plaintext(trail: Trail) -> None:
    """Nothing can be decided from it."""
    forged = resealed(trail, ADDED, lambda content: content["input"].pop("plaintext"))
    assert trouble(forged) == (ADDED, "input.plaintext")


@pytest.mark.parametrize("extra", [{"plaintext": 5}, {"carried": 1}, {"answered": "no"}])
def test_an_input_with_a_field_of_a_wrong_type(trail: Trail, extra: Content) -> None:
    assert trouble(resealed(trail, ADDED, lambda content: content["input"].update(extra))) == (ADDED, "input")


@pytest.mark.parametrize("given", [None, [], "event", {"tick": 5}, {"event": {}, "source": "lamassu"}])
def test_an_input_that_is_none(trail: Trail, given: object) -> None:
    assert trouble(resealed(trail, ADDED, lambda content: content.update(input=given)))[0] == ADDED


def test_an_entry_before_its_time(trail: Trail) -> None:
    """`at` is never smaller than the entry before; and what was decided at that time says so too."""
    assert trouble(resealed(trail, 6, lambda content: content.update(at=DAWN - 1))) == (6, "at")
    assert trouble(resealed(trail, 6, lambda content: content.update(at="now"))) == (6, "at")
    assert trouble(resealed(trail, ADDED, lambda content: content.update(at=content["at"] + 1))) == (
        ADDED,
        "facts[0].deposit.created_at",
    )


@pytest.mark.parametrize("number", [0, -1, RULES + 1, 2**63])
def test_rules_of_another_version(trail: Trail, number: int) -> None:
    """This program cannot decide again what others decided."""
    assert trouble(resealed(trail, 4, lambda content: content.update(rules=number))) == (4, "rules")


def test_r1_a_bot_may_not_go_back_to_older_rules(trail: Trail) -> None:
    """Else it could choose for each sale by which rules it is decided."""
    assert trouble(resealed(trail, 4, lambda content: content.update(rules=FIRST))) == (4, "rules")


@pytest.mark.parametrize("value", [True, 1.0])
def test_a_number_written_as_another_type(trail: Trail, value: object) -> None:
    """true is not 1, nor is 1.0: the bytes would be others."""
    assert trouble(resealed(trail, 4, lambda content: content.update(rules=value))) == (4, "rules")
    content = orjson.loads(trail[1]) | {"seq": value}
    content.pop("hash")
    body = canonical(content)
    assert trouble([trail[0], trail_line(body, digest(body)), *trail[2:]]) == (1, "seq")


# --- true signatures in the wrong place -----------------------------------------------------------------------------


def test_one_event_has_one_entry(trail: Trail) -> None:
    """A command or a sale replayed by the bot itself (invariant I9)."""
    for seq in (JOINED, CONFIRMED, PLAIN_SALE):
        assert trouble(sealed_again([*trail, trail[seq]]))[0] == 12


def test_two_entries_in_another_order(trail: Trail) -> None:
    """Confirmed before it was added: decided in that order there is nothing to confirm."""
    assert trouble(sealed_again([*trail[:ADDED], trail[CONFIRMED], trail[ADDED], *trail[CONFIRMED + 1 :]])) == (
        ADDED,
        "facts",
    )


def test_an_entry_left_out_that_others_rest_on(trail: Trail) -> None:
    """Sealed again without the deposit, the sales would have been shared otherwise."""
    assert trouble(sealed_again([*trail[:CONFIRMED], *trail[CONFIRMED + 1 :]])) == (
        CONFIRMED,
        "facts[0].legs[2].after_minor",
    )


def test_a_header_that_dates_the_book_otherwise(trail: Trail) -> None:
    """A book is as old as its first entry."""
    assert trouble(changed(trail, 0, lambda header: header.update(created_at=1))) == (0, "created_at")


def test_a_book_that_no_platform_opened() -> None:
    """An operator alone has no book, though every entry follows from those before."""
    house = House.empty()
    house.add_machine("m1")
    house.say("operator", "machine suspend m1")
    assert trouble(house.trail()) == (1, "facts")


def smuggled(given: Signed) -> tuple[int, str]:
    """Where the auditor stops when the bot seals an input it should not have obeyed, as if its rules were others."""
    house = lived()
    content = {"input": given.plain(), "facts": [], "postings": [], "at": house.now, "rules": RULES}
    return trouble(sealed_again([*house.trail(), canonical(content)]))


@pytest.mark.parametrize(
    ("who", "text", "age_s"),
    [
        ("stranger", "machine suspend m1", 0),
        ("ana", "machine suspend m1", 0),
        ("operator", "preview machine suspend m1", 0),
        ("operator", "machine suspend m1", 2 * 86_400),
        ("operator", "machine list", 0),
        ("platform", "operator suspend coban", 0),
        ("platform", "operator add @other name=coban", 0),
    ],
)
def test_a_true_command_that_had_no_business_here(who: str, text: str, age_s: int) -> None:
    """Signed for something else, at another time, or by somebody without that right."""
    given = letter(who, text, at=DAWN + 60 - age_s)
    assert smuggled(given) == (12, "facts")
    assert smuggled(given._replace(carried=True)) == (12, "input.carried")


def test_a_sale_addressed_to_another_bot() -> None:
    """A machine that serves two bots is not booked by both."""
    payload = orjson.dumps(sale(payment_hash="33" * 32)).decode()
    event = sdk_event("m1", 21_000, payload, to=person("another bot").pubkey, at=DAWN)
    assert smuggled(Signed(event, payload, Scheme.PLAIN)) == (12, "facts")


def carried(who: str, text: str, days: int) -> Signed:
    """What somebody said to the bot so many days ago, as it is entered in another book."""
    return letter(who, text, at=DAWN - days * 86_400)._replace(carried=True, answered=False)


def test_a8_what_an_lp_chose_elsewhere_is_followed_at_once_by_its_join_here() -> None:
    """Anywhere else it would be an old command obeyed again, or an LP's affairs told to an operator it did not join."""
    house = House.open()
    house.say("operator", "lp add @ana machine=m1 name=ana")
    house.take(carried("ana", "join mode=flow", 10))
    house.take(carried("ana", "mode fixed limit=7", 9))
    assert house.book.lps["ana"].preferences is None
    house.say("ana", "join")
    assert house.book.lps["ana"].preferences is not None
    assert house.book.lps["ana"].preferences.limit == "7"
    assert verify_trail(house.trail()).entries == len(house.entries)
    house.say("operator", "lp add @ben machine=m1 name=ben")
    house.take(carried("ben", "join", 8))
    assert verify_trail(house.trail()).entries == len(house.entries)  # so far nothing is wrong with it
    house.say("operator", "machine set m1 location=Mercado")
    assert trouble(house.trail()) == (len(house.entries), "input")


def test_a8_the_join_of_somebody_else_is_not_what_was_announced() -> None:
    """Each LP brings its own choices."""
    house = House.open()
    house.say("operator", "lp add @ana machine=m1 name=ana")
    house.say("operator", "lp add @ben machine=m1 name=ben")
    house.take(carried("ana", "join mode=flow", 10))
    house.say("ben", "join")
    assert trouble(house.trail()) == (len(house.entries), "input")


def test_what_is_carried_otherwise_follows_at_once_whom_it_belongs_to() -> None:
    """The fee as the book opens. Later it would be an old command obeyed again."""
    house = House.open()
    house.take(carried("platform", "platform fee cash_in=1% cash_out=9%", 9))
    assert trouble(house.trail()) == (len(house.entries), "input.carried")


@pytest.mark.parametrize(("name", "value"), [("trail", True), ("trail", 1.0), ("created_at", float(DAWN))])
def test_a_header_with_numbers_that_are_none(trail: Trail, name: str, value: object) -> None:
    """What is equal in Python is not the same in JSON."""
    assert trouble(changed(trail, 0, lambda header: header.update({name: value}))) == (0, name)


# --- what nothing proves wrong, and a person should ask about -------------------------------------------------------


def test_a18_what_is_carried_is_named_with_its_date() -> None:
    """A fee of three years ago, carried into a book as it opens, may be the one in force; who is told its date can ask."""
    house = House.empty()
    house.say("platform", "operator add @operator name=antigua")
    old = DAWN - 3 * 365 * 86_400
    house.take(letter("platform", "platform fee cash_in=1% cash_out=9%", at=old)._replace(carried=True, answered=False))
    summary = verify_trail(house.trail())
    assert summary.carried == [(2, "platform fee", person("platform").pubkey, old)]
    assert summary.carried_count == 1


def test_a18_slots_that_were_due_and_never_kept_are_counted() -> None:
    """The bot looked at its clock in the evening of the 21st and of the 24th: the five slots in between had no turn."""
    house = House.open()
    house.add_lp("ana", "9000")
    house.say("ana", "mode fixed")
    house.sell()
    house.say("operator", "fixed schedule 08:00,20:00")
    evening = 1_790_042_400  # 20:00 on 2026-09-21 in Guatemala
    house.tick(evening)
    assert verify_trail(house.trail()).slots_missed == 0
    house.tick(evening + 3 * 86_400)
    summary = verify_trail(house.trail())
    assert (summary.slots_missed, summary.slot_missed_on) == (4, "2026-09-23")


def test_a18_slots_of_a_clock_that_leapt_by_millennia_are_counted_at_once() -> None:
    """Days are counted, not walked."""
    house = House.open()
    house.say("operator", "fixed schedule 08:00")
    house.now = 250_000_000_000
    house.say("operator", "fixed limit 5")
    assert verify_trail(house.trail()).slots_missed == (250_000_000_000 - DAWN) // 86_400


def test_a18_settlements_that_a_counter_counts_and_the_trail_lacks_are_named() -> None:
    """A bot that leaves sales out leaves holes in their numbers."""
    house = House.open()
    for n in (1, 2, 4, 7):
        house.sell(n=n)
    assert verify_trail(house.trail()).numbers_missing == {"m1": ["3", "5-6"]}


def test_a18_numbers_that_a_counter_jumped_over_are_missing_too() -> None:
    """A bot that leaves out more than any machine can sell must not pass as a machine that was reset."""
    house = House.open()
    for n in (1, 2, 20_003, 20_005):
        house.sell(n=n)
    assert verify_trail(house.trail()).numbers_missing == {"m1": ["3-20002", "20004"]}


def heard_at(who: str, text: str, *, said_at: int, heard: int) -> Signed:
    """A command that the bot says it heard long before its entry's time."""
    return letter(who, text, at=said_at)._replace(heard=heard)


def test_an_old_command_is_not_made_fresh_by_a_bot_that_says_when_it_heard_it() -> None:
    """The book's time went on, so the clock was right: there is no other time at which anything was heard."""
    house = House.open()
    old = house.now - 365 * 86_400
    house.now += 60
    house.take(heard_at("operator", "machine suspend m1", said_at=old, heard=old))
    assert not house.book.machines["m1"].active
    assert trouble(house.trail()) == (len(house.entries), "input.heard")


def test_what_was_obeyed_although_it_was_too_old_is_named() -> None:
    """While the book's time waits, a clock may have been anything, and that rests on the bot's word: a person can ask."""
    house = House.open()
    old = house.now - 365 * 86_400
    house.take(heard_at("operator", "machine suspend m1", said_at=old, heard=old))
    house.take(heard_at("operator", "machine resume m1", said_at=house.now - 5, heard=house.now - 1))
    summary = verify_trail(house.trail())
    assert (summary.heard_before, summary.aged_count) == (2, 1)
    assert summary.aged == [(len(house.entries) - 1, "machine suspend", person("operator").pubkey, old)]


def test_entries_that_were_decided_by_older_rules_are_counted_and_dated() -> None:
    """A bot that goes on deciding by rules that were found wanting is asked why."""
    house = House.open(rules=FIRST)
    house.sell()
    until = house.now
    house.rules = RULES
    house.sell()
    summary = verify_trail(house.trail())
    assert summary.by_rules == {FIRST: len(house.entries) - 1, RULES: 1}
    assert summary.old_rules_until == until
