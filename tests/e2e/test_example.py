"""The source documents' example, from the machine's sale to the auditor: 9,000 and 1,000 GTQ; 2,000 sold: 1,800 and 200.

One bot, one sale; each test looks at it from where one of the parties stands.
"""

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.house import House, eventually, nostrbot_here
from tests.e2e.people import Heard, Line
from tests.e2e.sales import HASH, sale


@dataclass
class Example:
    """The house after the sale, with a line to everyone in it."""

    house: House
    antigua: Line
    ana: Line
    ben: Line
    m1: Line
    report: dict[str, Any]  # the settlement's event
    ack: Heard


@pytest.fixture(scope="module")
def example(town: House) -> Example:
    antigua = town.open_operator("antigua", "m1")
    ana = town.seat_lp(antigua, "ana", "m1", "9000")
    ben = town.seat_lp(antigua, "ben", "m1", "1000")
    m1 = town.line("m1")
    report = m1.person.report(town.pubkey, sale(m1.person, payment_hash=HASH))
    return Example(town, antigua, ana, ben, m1, report, m1.say(report))


def test_the_machine_has_its_ack(example: Example) -> None:
    """Kind 21000, to the machine, about its event, in the scheme it used, with exactly these fields."""
    assert example.ack.kind == 21_000
    assert example.ack.event["tags"] == [["p", example.m1.person.pubkey], ["e", example.report["id"]]]
    assert example.ack.scheme == "nip44"
    assert example.ack.json == {
        "type": "ack",
        "event": example.report["id"],
        "payment_hash": HASH,
        "status": "processed",
        "settlement": "s1",
        "error": None,
    }


def test_each_lp_reads_one_receipt(example: Example) -> None:
    """Sats, fiat, rate, machine, what is left, and where it is sealed: in a DM that the LP's own client decrypts."""
    shown = example.antigua.data("settlement show s1")["settlement"]
    for line, sats, fiat, left, leg in (
        (example.ana, "90000", "1800.00", "7200.00", "l3"),
        (example.ben, "10000", "200.00", "800.00", "l4"),
    ):
        line.wait(lambda line=line: line.receipts)
        line.ask("balance")  # whatever else the bot had to say has come by now
        assert len(line.receipts) == 1
        receipt = line.receipts[0]
        assert receipt.event["tags"] == [["p", line.person.pubkey]]
        words = receipt.text.replace(".\n", " ").replace(",", " ").replace("(", " ").split()
        for wanted in (sats, fiat, "GTQ", "50", "m1", left, leg, "s1", str(shown["entry"]), shown["entry_hash"]):
            assert wanted in words, f"{wanted} is not in {receipt.text!r}"


def test_receipt_on_request(example: Example) -> None:
    """`receipt <l> --json` gives exactly the fields of section 6."""
    shown = example.antigua.data("settlement show s1")["settlement"]
    assert example.ana.data("receipt l3") == {
        "receipt": "l3",
        "status": "completed",
        "corrects": [],
        "settlement": "s1",
        "event_id": example.report["id"],
        "operator": "antigua",
        "machine": "m1",
        "sats": 90_000,
        "fiat": "1800.00",
        "currency": "GTQ",
        "rate": "50",
        "balance_before": "9000.00",
        "balance_after": "7200.00",
        "entry": shown["entry"],
        "entry_hash": shown["entry_hash"],
        "tag": "aio-dca",
    }


def test_the_operator_sees_every_field(example: Example) -> None:
    """`settlement show`: what the machine reported, what was computed from it, the legs, and where it is sealed."""
    shown = example.antigua.data("settlement show s1")["settlement"]
    reported = sale(example.m1.person, payment_hash=HASH)
    del reported["type"]
    assert {name: shown[name] for name in reported} == reported | {"machine": "m1"}
    assert shown["id"] == "s1"
    assert shown["status"] == "processed"
    assert shown["error"] is None
    assert shown["event_id"] == example.report["id"]
    assert (shown["platform_fee_sats"], shown["operator_fee_sats"], shown["fee_mismatch_sats"]) == (1_500, 6_270, 0)
    assert not shown["notes"]
    assert type(shown["entry"]) is int
    assert len(bytes.fromhex(shown["entry_hash"])) == 32
    assert shown["processed_at"] == shown["created_at"]
    assert {"preimage", "n", "txid"} <= set(shown)


def test_the_legs_are_the_whole_sale(example: Example) -> None:
    """Platform, operator, LPs: to the last sat, in their order, each with exactly the fields of a leg."""
    legs = example.antigua.data("settlement show s1")["settlement"]["legs"]
    common = {"settlement": "s1", "currency": "GTQ", "rate": "50", "status": "completed", "reason": None}
    assert legs == [
        {"id": "l1", "type": "super_fee", "label": "platform", "sats": 1_500, "fiat": None, **common},
        {"id": "l2", "type": "operator_split", "label": "operator", "sats": 6_270, "fiat": None, **common},
        {"id": "l3", "type": "dca", "lp": "ana", "sats": 90_000, "fiat": "1800.00", **common},
        {"id": "l4", "type": "dca", "lp": "ben", "sats": 10_000, "fiat": "200.00", **common},
    ]
    assert sum(leg["sats"] for leg in legs) == 107_770


def test_balance_and_history_of_an_lp(example: Example) -> None:
    """`balance` is a bare list; a history row is a leg with the machine and the time."""
    assert example.ana.data("balance") == [
        {
            "operator": "antigua",
            "machine": "m1",
            "currency": "GTQ",
            "deposited": "9000.00",
            "spent": "1800.00",
            "remaining": "7200.00",
            "sats": 90_000,
        }
    ]
    (row,) = example.ana.data("history")["history"]
    created_at = example.antigua.data("settlement show s1")["settlement"]["created_at"]
    legs = example.antigua.data("settlement show s1")["settlement"]["legs"]
    assert row == legs[2] | {"machine": "m1", "at": created_at, "operator": "antigua"}


def test_one_lp_sees_nothing_of_another(example: Example) -> None:
    """Fault 35: another's receipt is answered as one that does not exist."""
    other, nowhere = example.ben.ask("receipt l3"), example.ben.ask("receipt l9")
    assert other.replace("l3", "l9") == nowhere
    assert example.ben.refused("receipt l3") == "not_found"
    assert example.ben.refused("receipt l1") == "not_found"


def test_a_repeat_is_answered_again_and_changes_nothing(example: Example) -> None:
    """The same event, and a fresh one with the same hash and content: `duplicate` of the same settlement (faults 2, 3)."""
    again = example.m1.say(example.report).json
    fresh = example.m1.settle(sale(example.m1.person, payment_hash=HASH))
    for ack in (again, fresh):
        assert (ack["status"], ack["settlement"], ack["error"]) == ("duplicate", "s1", None)
    assert again["event"] == example.report["id"]
    assert [row["id"] for row in example.antigua.data("settlement list")["settlements"]] == ["s1"]
    assert example.ana.data("balance")[0]["sats"] == 90_000
    assert len(example.ana.receipts) == 1


def test_status_tells_of_books_and_relays(example: Example) -> None:
    """`status --json` while the bot runs: books with entries and heads, backlog, relays; in words too."""
    state = eventually(lambda: _settled(example.house.status()), every_s=0.3)
    assert state["npub"] == example.house.npub
    assert (state["running"], state["healthy"]) == (True, True)
    books = {book["book"]: book for book in state["books"]}
    assert {"root", "antigua"} <= set(books)
    shown = example.antigua.data("settlement show s1")["settlement"]
    assert books["antigua"]["entries"] >= shown["entry"]
    assert len(books["antigua"]["head"]) == 64
    assert state["backlog"] == 0
    assert [relay["url"] for relay in state["relays"]] == list(example.house.urls)
    assert state["relays"][0]["last_event_at"] > 0
    words = nostrbot_here("status", "--home", example.house.home)
    assert words.returncode == 0
    assert books["antigua"]["head"] in words.stdout
    assert example.house.urls[0] in words.stdout


def _settled(state: dict[str, Any]) -> dict[str, Any] | None:
    """The bot notes its deliveries, and tells of itself, a moment after the fact."""
    return state if state["backlog"] == 0 and state["relays"][0]["last_event_at"] else None


# --- the auditor ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trail(example: Example) -> list[str]:
    """The lines of antigua's trail."""
    return example.house.export(example.antigua.person).read_text().splitlines()


def verdict_on(lines: list[str], folder: Path, *options: str) -> tuple[int, str]:
    """What `audit verify` makes of these lines: its exit code and what it printed."""
    path = folder / "trail.jsonl"
    path.write_text("".join(line + "\n" for line in lines))
    done = nostrbot_here("audit", "verify", path, *options)
    return done.returncode, done.stdout + done.stderr


def test_a_trail_is_a_header_and_every_entry(example: Example, trail: list[str]) -> None:
    """JSON Lines of section 7; the settlement's entry is where `settlement show` says, with the signed event verbatim."""
    header, *entries = map(json.loads, trail)
    assert header["trail"] == 1
    assert header["bot"] == example.house.pubkey
    assert header["book"] == example.antigua.person.pubkey
    assert header["created_at"] > 0
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert [entry["prev"] for entry in entries[1:]] == [entry["hash"] for entry in entries[:-1]]
    shown = example.antigua.data("settlement show s1")["settlement"]
    sealed = entries[shown["entry"] - 1]
    assert sealed["hash"] == shown["entry_hash"]
    assert sealed["input"]["event"] == example.report
    assert json.loads(sealed["input"]["plaintext"])["payment_hash"] == HASH


def test_a_true_trail_is_verified(example: Example, trail: list[str], tmp_path: Path) -> None:
    """Exit 0 and a summary, also with the bot's npub given."""
    code, words = verdict_on(trail, tmp_path, "--bot", example.house.npub)
    assert code == 0, words
    assert f"{len(trail) - 1} entries" in words
    assert "107770 sats" in words


@pytest.mark.parametrize(
    ("what", "named"), [("removed", "entry 4: seq"), ("swapped", "entry 4: seq"), ("changed", "entry 4: hash")]
)
def test_a_false_trail_is_refused(trail: list[str], tmp_path: Path, what: str, named: str) -> None:
    """Exit 1, and the first difference by entry and field (faults 86)."""
    lines = list(trail)
    if what == "removed":
        del lines[4]
    elif what == "swapped":
        lines[4], lines[5] = lines[5], lines[4]
    else:
        at = json.loads(lines[4])["at"]
        lines[4] = lines[4].replace(f'"at":{at}', f'"at":{at + 1}', 1)
    code, words = verdict_on(lines, tmp_path)
    assert code == 1
    assert named in words


def test_a_forged_decision_is_found(trail: list[str], tmp_path: Path) -> None:
    """A bot that books another share and seals it soundly is found by deciding again."""
    _, *entries = map(json.loads, trail)
    place = next(i for i, entry in enumerate(entries) if "wire_sats" in entry["input"].get("plaintext", ""))
    decided = {name: entries[place][name] for name in ("facts", "postings")}
    forged = entries[place] | json.loads(json.dumps(decided).replace("90000", "89999").replace("10000,", "10001,"))
    assert forged != entries[place]
    prev = forged["prev"]
    resealed = []
    for entry in [forged, *entries[place + 1 :]]:
        body = {name: value for name, value in entry.items() if name != "hash"} | {"prev": prev}
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        prev = sha256(text.encode()).hexdigest()
        resealed.append(f'{text[:-1]},"hash":"{prev}"}}')
    code, words = verdict_on([*trail[: place + 1], *resealed], tmp_path)
    assert code == 1
    assert f"entry {place + 1}: facts" in words
