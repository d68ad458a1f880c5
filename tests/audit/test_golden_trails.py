"""Golden trails: what code of before decided, under the number of its rules, is decided so for ever.

The trails of tests/vectors/trails/<rules>/ were recorded by that code and are never written again. To verify one is to decide
each of its inputs once more and to get the same bytes. docs/architecture.md, "Golden trails", says how the next number's are
recorded.
"""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.bounds import BOOK_SATS_MAX
from nostrbot.core.atm.settlements import rules as settlements
from nostrbot.core.commands.command import Command
from nostrbot.core.parsing import parse
from nostrbot.errors import TrailError
from tests.vectors import record

HEADS: dict[str, dict[str, Any]] = orjson.loads((record.TRAILS / record.HEADS).read_bytes())
NAMES = sorted(HEADS)
RULES = sorted({name.partition("/")[0] for name in HEADS})

# What the trails of each number must hold, all together: what that number's code could be brought to decide. Frozen: a list
# of an older number is never changed, whatever has come since.
FACTS = {
    "1": """
        operator_added operator_switched operator_replaced bot_rotated predecessor_named book_opened platform_fee_set
        machine_added machine_changed machine_compromised lp_enrolled lp_switched preferences_set deposit_changed splits_set
        settlement_rejected settlement_pending settlement_processed settlement_moved settlement_noted settlement_corrected
        settlement_refunded settlement_frozen settlement_lifted lp_paid slots_kept fixed_plan_set alert_plan_set
        fees_published cassettes_stated cassette_set cassettes_counted cassettes_published
    """,  # no settlement_retried: no input of rules 1 leads to it, because without payouts no leg fails
    "2": """
        operator_added operator_switched operator_replaced bot_rotated predecessor_named book_opened platform_fee_set
        machine_added machine_changed machine_freed machine_compromised lp_enrolled lp_switched preferences_set
        preferences_carried deposit_changed splits_set settlement_rejected settlement_pending settlement_processed
        settlement_moved settlement_noted settlement_corrected settlement_refunded settlement_frozen settlement_lifted
        payment_hash_shared lp_paid payment_voided party_moved slots_kept fixed_plan_set alert_plan_set fees_published
        cassettes_stated cassette_set cassettes_counted cassettes_published gaps_dismissed clock_set_right
    """,  # nor of rules 2
}
VERBS = {
    "1": """
        operator add|operator suspend|operator resume|operator replace|platform fee|machine add|machine set|machine suspend
        machine resume|machine rotate|machine compromised|guard|cassette set|cassette count|cassette publish|lp add
        lp suspend|lp resume|join|mode|pause|resume|forward|deposit add|deposit edit|deposit confirm|deposit cancel
        deposit reverse|settlement note|settlement release|settlement reset|settlement retry|settlement partial
        settlement refund|settlement add|splits set|splits clear|settle|fixed schedule|fixed limit|alerts
    """,
    "2": """
        operator add|operator suspend|operator resume|operator replace|platform fee|machine add|machine set|machine suspend
        machine resume|machine rotate|machine compromised|machine free|gap dismiss|guard|cassette set|cassette count
        cassette publish|lp add|lp suspend|lp resume|join|mode|pause|resume|forward|deposit add|deposit edit|deposit confirm
        deposit cancel|deposit reverse|settlement note|settlement release|settlement reset|settlement retry
        settlement partial|settlement refund|settlement add|splits set|splits clear|settle|payment void|fixed schedule
        fixed limit|alerts
    """,
}
VALUES = {
    "1": {
        "rejected": """
            attribution_mismatch machine_inactive amounts_inconsistent rate_inconsistent currency_mismatch
            amount_out_of_range preimage_missing preimage_mismatch payment_hash_conflict fee_mismatch
        """,
        "held": "awaiting_wallet guard_per_settlement guard_per_day guard_rate",
        "held again": "awaiting_wallet guard_per_settlement guard_per_day guard_rate",
        "direction": "cash_out cash_in",
        "leg": "dca settlement super_fee operator_split operator",
        "leg status": "completed skipped voided",
        "skipped": "no_lp_with_a_balance share_rounds_to_zero no_price_yet operator_short_of_sats",
        "deposit": "pending confirmed cancelled reversed",
        "scheme": "plain nip04 nip44 nip44-without-keys nip17 nip17-without-keys tick",
        "kind": "4 13 78 21000 30078",
        "currency": "GTQ JPY KWD EUR COP USD",
    },
    # No machine_inactive: who may not speak writes into no journal. No message without its keys: an auditor refuses one.
    "2": {
        "rejected": """
            attribution_mismatch amounts_inconsistent rate_inconsistent currency_mismatch amount_out_of_range
            preimage_missing preimage_mismatch payment_hash_conflict fee_mismatch
        """,
        "held": "awaiting_wallet guard_per_settlement guard_per_day guard_rate guard_book_total",
        "held again": "awaiting_wallet guard_per_settlement guard_per_day guard_rate guard_book_total",
        "direction": "cash_out cash_in",
        "leg": "dca settlement super_fee operator_split operator",
        "leg status": "completed skipped voided",
        "skipped": "no_lp_with_a_balance share_rounds_to_zero no_price_yet price_unsettled operator_short_of_sats",
        "deposit": "pending confirmed cancelled reversed",
        "scheme": "plain nip04 nip44 nip17 tick clock",
        "kind": "4 13 78 21000 30078",
        "currency": "GTQ JPY KWD EUR COP USD",
    },
}


def trail(name: str) -> list[bytes]:
    """The lines of a golden trail."""
    return (record.TRAILS / name).read_bytes().splitlines()


@cache
def entries(rules: str) -> tuple[dict[str, Any], ...]:
    """Every entry of one number's trails."""
    return tuple(orjson.loads(line) for name in NAMES if name.startswith(f"{rules}/") for line in trail(name)[1:])


def decided_again(name: str, *, jobs: int = 1) -> None:
    """Verify a golden trail; fails in words that say what to do."""
    expected, rules = HEADS[name], name.partition("/")[0]
    try:
        summary = verify_trail(trail(name), bot=expected["bot"], platform=expected["platform"], jobs=jobs)
    except TrailError as error:
        pytest.fail(
            f"{name}: {error}\n"
            f"A decision of rules {rules} changed, or how a fact changes a book: what was decided stays decided. Give the "
            "new behaviour a new number (nostrbot/core/rules.py) and keep this one's branch."
        )
    assert (summary.entries, summary.head) == (expected["entries"], expected["head"]), name


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_trail_verifies_to_its_head(name: str) -> None:
    """Each input decided again gives the facts, the postings and the hash that were sealed."""
    decided_again(name)


def test_one_verifies_by_two_processes() -> None:
    """The same judgement on all cores."""
    decided_again(max(NAMES, key=lambda name: HEADS[name]["entries"]), jobs=2)


@pytest.mark.parametrize("name", NAMES)
def test_a_head_is_the_hash_of_its_bytes(name: str) -> None:
    """By sha256 and nothing of ours: numbers, links and hashes from the first entry to the recorded head, one rules' number."""
    prev, lines = "0" * 64, trail(name)[1:]
    for seq, line in enumerate(lines, start=1):
        content = orjson.loads(line)
        body, ending = line.rsplit(b',"hash":"', maxsplit=1)
        assert ending == content["hash"].encode() + b'"}'
        assert sha256(body + b"}").hexdigest() == content["hash"]
        assert (content["seq"], content["prev"], str(content["rules"])) == (seq, prev, name.partition("/")[0])
        prev = content["hash"]
    assert HEADS[name] == record.head_of((record.TRAILS / name).read_bytes())
    assert (prev, len(lines)) == (HEADS[name]["head"], HEADS[name]["entries"])


def test_every_file_has_a_head() -> None:
    """None is left out of what is verified, and together they stay small."""
    files = [path for path in record.TRAILS.rglob("*") if path.is_file() and path.name != record.HEADS]
    assert sorted(path.relative_to(record.TRAILS).as_posix() for path in files) == NAMES
    assert sum(path.stat().st_size for path in files) < 1_700_000 * len(RULES)


def test_a_changed_decision_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that becomes milder by one sat fails, by the number of the entry and with the next step."""
    monkeypatch.setattr(settlements, "_rate_holds", lambda *_: True)
    with pytest.raises(pytest.fail.Exception, match=r"nostrbot/core/rules\.py"):
        decided_again("1/rejections-antigua.jsonl")


@pytest.mark.parametrize("rules", RULES)
def test_every_fact_is_in_some_golden_trail(rules: str) -> None:
    """The lists above are complete, and nothing in the trails is missing in them."""
    assert {fact["fact"] for entry in entries(rules) for fact in entry["facts"]} == set(FACTS[rules].split())


@pytest.mark.parametrize("rules", RULES)
def test_every_changing_command_is_in_some_golden_trail(rules: str) -> None:
    """As its author said it."""
    said = {command.verb for entry in entries(rules) for command in _commands(entry["input"])}
    assert said == {verb.strip() for line in VERBS[rules].strip().splitlines() for verb in line.split("|")}


@pytest.mark.parametrize("rules", RULES)
def test_every_reason_and_status_is_in_some_golden_trail(rules: str) -> None:
    """Each way to be rejected, held, skipped and sealed, each currency's decimals."""
    found: dict[str, set[str]] = {name: set() for name in VALUES[rules]}
    for entry in entries(rules):
        for name, value in (*_of_input(entry["input"]), *(v for fact in entry["facts"] for v in _of_fact(fact))):
            found[name].add(value)
    assert found == {name: set(values.split()) for name, values in VALUES[rules].items()}


def test_what_is_rare_is_there() -> None:
    """Rules 1: carried commands, refunds of what stood so or so, slots at both changes of a clock, many years' worth of sats."""
    all_facts = [fact for entry in entries("1") for fact in entry["facts"]]
    carried = Counter(command.verb for entry in entries("1") for command in _commands(entry["input"], carried=True))
    assert {"platform fee", "join", "mode", "forward"} <= set(carried)
    refunds = {
        (bool(fact["voided"]), bool(fact["sats"]), bool(fact["fiat_minor"])) for fact in _named("settlement_refunded")
    }
    assert refunds == {(True, True, True), (False, True, False), (False, False, False)}
    assert {fact["slots"][0] for fact in _named("slots_kept") if fact["day"] in ("2026-10-25", "2027-03-28")} == {
        "02:30",
        "03:30",
    }
    assert max(fact["short_sats"] for fact in _named("slots_kept")) > 2**62
    assert any(fact["fact"] == "splits_set" and not fact["splits"] for fact in all_facts)
    assert any(fact["sale"]["fiat_minor"] == 9 * 10**15 for fact in _named("settlement_processed"))


def test_what_is_rare_is_there_by_rules_2() -> None:
    """What was heard before its entry's time, time set right, a correction taken back, proofs, jumps, sats that go both ways, half units."""
    inputs = [entry["input"] for entry in entries("2")]
    assert {given["event"]["kind"] for given in inputs if "heard" in given} == {4, 13, 21000}
    assert all(fact["is"] < fact["was"] for fact in _named("clock_set_right", "2"))
    whole = [fact for fact in _named("settlement_corrected", "2") if fact["fiat_minor"] == fact["sale"]["fiat_minor"]]
    assert len(whole) > 1
    assert all(fact["owed_sats"] == 0 and fact["was_owed_sats"] for fact in whole)
    assert {fact["is_proven"] for fact in _named("payment_hash_shared", "2")} == {False, True}
    proven = [{fact["fact"] for fact in entry["facts"]} for entry in entries("2")]
    assert any({"payment_hash_shared", "settlement_frozen"} <= facts for facts in proven)
    assert {fact["is_over"] for fact in _named("gaps_dismissed", "2")} == {False, True}
    moves = {(fact["lp"] is None, fact["sats"] > 0) for fact in _named("party_moved", "2")}
    assert moves == {(own, more) for own in (False, True) for more in (False, True)}
    assert {fact["slot"] is None for fact in _named("payment_voided", "2")} == {False, True}
    assert {bool(fact["machine"]) for fact in _named("machine_freed", "2")} == {False, True}
    assert any(note[0] == "0.5" for fact in _named("settlement_processed", "2") for note in fact["sale"]["bills"])
    assert any(fact["cassette"]["denomination"] == "0.5" for fact in _named("cassette_set", "2"))
    assert max(fact["short_sats"] for fact in _named("slots_kept", "2")) == BOOK_SATS_MAX
    assert any(_is_within_a_sat_alone(fact["sale"]) for fact in _named("settlement_processed", "2"))


def _is_within_a_sat_alone(sale: dict[str, Any]) -> bool:
    """One that rules 1 rejected: 1.00 at 1.5 sats a unit for a sat or two."""
    return (sale["currency"], sale["fiat_minor"], sale["rate"]) == ("GTQ", 100, "1.5")


def _named(name: str, rules: str = "1") -> Iterator[dict[str, Any]]:
    return (fact for entry in entries(rules) for fact in entry["facts"] if fact["fact"] == name)


def _commands(given: dict[str, Any], *, carried: bool = False) -> Iterator[Command]:
    """The command that an input is, if it is one; `carried`: only one that was."""
    if "event" not in given or given["event"]["kind"] not in (4, 13) or (carried and "carried" not in given):
        return
    text = given["plaintext"]
    said = parse(orjson.loads(text)["content"] if given["event"]["kind"] == 13 else text)
    assert isinstance(said, Command), said
    yield said


def _of_input(given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "event" not in given:
        yield "scheme", *given
        return
    event = given["event"]
    yield "kind", str(event["kind"])
    if "plaintext" not in given:
        yield "scheme", "plain"
    elif "?iv=" in event["content"]:
        yield "scheme", "nip04"
    else:
        yield "scheme", ("nip17" if event["kind"] == 13 else "nip44") + ("" if "keys" in given else "-without-keys")


def _of_fact(fact: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for leg in (*fact.get("legs", ()), *fact.get("voided", ())):
        yield "leg", leg["type"]
        yield "leg status", leg["status"]
        if leg["reason"]:
            yield "skipped", leg["reason"]
    match fact["fact"]:
        case "settlement_rejected":
            yield "rejected", fact["reason"]
        case "settlement_pending":
            yield "held", fact["reason"]
            yield "direction", fact["sale"]["direction"]
        case "settlement_moved" if fact["status"] == "pending":
            yield "held again", fact["error"]
        case "settlement_processed":
            yield "direction", fact["sale"]["direction"]
        case "deposit_changed":
            yield "deposit", fact["deposit"]["status"]
        case "machine_added":
            yield "currency", fact["machine"]["fiat"]


def test_vectors_lie_where_they_are_looked_for() -> None:
    """Beside the recorder."""
    assert Path(record.__file__).parent / "trails" == record.TRAILS
