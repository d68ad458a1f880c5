"""Settlements over the wire: every rejection, every scheme, everything unreadable, and the order of the rules.

One operator with a machine of each sort; every case is an event of its own from a machine's own key.
"""

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.house import House
from tests.e2e.people import Line
from tests.e2e.sales import sale

Plain = dict[str, Any]


@dataclass
class Fleet:
    """An operator's machines: f1 plain; `proud` wants a preimage, `exact` its fee, `slow` a wallet; `off` is suspended."""

    house: House
    operator: Line
    machines: dict[str, Line]

    def settle(self, by: str, /, **changes: Any) -> Plain:
        line = self.machines[by]
        return line.settle(sale(line.person, **changes))


@pytest.fixture(scope="module")
def fleet(town: House) -> Fleet:
    names = ("f1", "proud", "exact", "slow", "off")
    operator = town.open_operator("fuego", *names)
    operator.data("machine set proud trust=preimage")
    operator.data("machine set exact enforce_fee_match=on")
    operator.data("machine set slow trust=wallet")
    operator.data("machine suspend off")
    town.seat_lp(operator, "fina", "f1", "100000")
    return Fleet(town, operator, {name: town.line(name) for name in names})


OTHER = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


@pytest.mark.parametrize(
    ("machine", "changes", "reason"),
    [
        ("f1", {"machine": OTHER}, "attribution_mismatch"),
        ("f1", {"wire_sats": 107_771}, "amounts_inconsistent"),
        ("f1", {"tx_type": "cash_in"}, "amounts_inconsistent"),
        ("f1", {"exchange_rate": "51"}, "rate_inconsistent"),
        ("f1", {"fiat_code": "USD"}, "currency_mismatch"),
        ("f1", {"fee_sats": -1, "wire_sats": 99_999}, "amount_out_of_range"),
        ("f1", {"principal_sats": 0, "fee_sats": 1, "wire_sats": 1, "fiat_amount": "0"}, "amount_out_of_range"),
        ("f1", {"bills": [{"denomination": 0, "count": 1}]}, "amount_out_of_range"),
        ("f1", {"cassettes": {"1": {"denomination": 100, "count": -1}}}, "amount_out_of_range"),
        (
            "f1",
            {
                "principal_sats": 21 * 10**14 + 100,
                "wire_sats": 21 * 10**14 + 100,
                "fee_sats": 0,
                "fiat_amount": "42000000000002.00",
            },
            "amount_out_of_range",
        ),
        ("f1", {"preimage": "00" * 32}, "preimage_mismatch"),
        ("proud", {}, "preimage_missing"),
        ("proud", {"preimage": "00" * 32}, "preimage_mismatch"),
        ("exact", {"fee_sats": 7_770 + 101, "wire_sats": 107_770 + 101}, "fee_mismatch"),
    ],
)
def test_a_broken_rule_names_itself(fleet: Fleet, machine: str, changes: Plain, reason: str) -> None:
    """Section 3.1: recorded as `rejected` with the reason, which the ack carries; no legs; the hash stays free."""
    ack = fleet.settle(machine, **changes)
    assert (ack["status"], ack["error"]) == ("rejected", reason)
    shown = fleet.operator.data(f"settlement show {ack['settlement']}")["settlement"]
    assert (shown["status"], shown["error"], shown["legs"]) == ("rejected", reason, [])
    assert shown["machine"] == machine
    assert shown["processed_at"] is None


def test_a20_a_machine_that_may_not_speak_is_answered_and_not_recorded(fleet: Fleet) -> None:
    """Its operator finds what it says it sold on the worklist, until it has dealt with it."""
    ack = fleet.settle("off")
    assert (ack["status"], ack["error"], ack["settlement"]) == ("rejected", "machine_inactive", None)
    [row] = [row for row in fleet.operator.data("worklist")["unreadable"] if row["event_id"] == ack["event"]]
    assert (row["machine"], row["field"]) == ("off", "signer")
    left = fleet.operator.data(f"unreadable dismiss {ack['event']}")["unreadable"]
    assert ack["event"] not in [row["event_id"] for row in left]


def test_the_first_broken_rule_in_order_names_the_reason(fleet: Fleet) -> None:
    """With everything wrong at once, mending one thing after the other walks down the table."""
    wrong: Plain = {
        "machine": OTHER,
        "wire_sats": 1,
        "fiat_amount": "3000.00",
        "fiat_code": "USD",
        "fee_sats": -5,
        "preimage": "00" * 32,
    }
    mended: list[tuple[Plain, str]] = [
        ({"machine": fleet.machines["f1"].person.pubkey}, "attribution_mismatch"),
        ({"wire_sats": 99_995}, "amounts_inconsistent"),
        ({"fiat_amount": "2000.00"}, "rate_inconsistent"),
        ({"fiat_code": "GTQ"}, "currency_mismatch"),
        ({"fee_sats": 7_770, "wire_sats": 107_770}, "amount_out_of_range"),
        ({"preimage": None}, "preimage_mismatch"),
    ]
    for mend, reason in mended:
        assert fleet.settle("f1", **wrong)["error"] == reason
        wrong |= mend
    assert fleet.settle("f1", **wrong)["status"] == "processed"


def test_a_hash_is_used_once(fleet: Fleet) -> None:
    """Fault 4: same hash, other content: `payment_hash_conflict`, and the first one stands."""
    payment_hash = secrets.token_hex(32)
    first = fleet.settle("f1", payment_hash=payment_hash)
    second = fleet.settle("f1", payment_hash=payment_hash, txid="another")
    assert first["status"] == "processed"
    assert (second["status"], second["error"]) == ("rejected", "payment_hash_conflict")
    assert second["settlement"] != first["settlement"]
    again = fleet.settle("f1", payment_hash=payment_hash)
    assert (again["status"], again["settlement"]) == ("duplicate", first["settlement"])
    elsewhere = fleet.settle("exact", payment_hash=payment_hash)
    assert elsewhere["error"] != "payment_hash_conflict"  # each machine has its own


def test_a_rejected_settlement_does_not_take_the_hash(fleet: Fleet) -> None:
    """A rogue machine cannot block a true sale by using its hash first."""
    payment_hash = secrets.token_hex(32)
    assert fleet.settle("f1", payment_hash=payment_hash, wire_sats=5)["status"] == "rejected"
    assert fleet.settle("f1", payment_hash=payment_hash)["status"] == "processed"


def test_a_rejected_event_repeated_is_answered_the_same(fleet: Fleet) -> None:
    """Each repeat is answered again; the same event makes no second row."""
    f1 = fleet.machines["f1"]
    report = f1.person.report(fleet.house.pubkey, sale(f1.person, wire_sats=5))
    first, again = f1.say(report).json, f1.say(report).json
    assert first == again
    assert first["status"] == "rejected"


def test_a_preimage_is_proof(fleet: Fleet) -> None:
    """`sha256(preimage) = payment_hash`, where the machine must give one and where it may."""
    for machine in ("proud", "f1"):
        preimage = secrets.token_bytes(32)
        payment_hash = hashlib.sha256(preimage).hexdigest()
        ack = fleet.settle(machine, payment_hash=payment_hash, preimage=preimage.hex())
        assert (ack["status"], ack["payment_hash"]) == ("processed", payment_hash)


def test_a_wallets_word_is_waited_for(fleet: Fleet) -> None:
    """trust=wallet: `pending`, with no legs; its hash is taken."""
    payment_hash = secrets.token_hex(32)
    ack = fleet.settle("slow", payment_hash=payment_hash)
    assert (ack["status"], ack["error"]) == ("pending", None)
    shown = fleet.operator.data(f"settlement show {ack['settlement']}")["settlement"]
    assert (shown["status"], shown["legs"]) == ("pending", [])
    assert fleet.settle("slow", payment_hash=payment_hash)["status"] == "duplicate"


def test_fees_within_tolerance_are_taken(fleet: Fleet) -> None:
    """`enforce_fee_match`: one sat in a thousand is borne, and always recorded."""
    ack = fleet.settle("exact", fee_sats=7_870, wire_sats=107_870)
    assert ack["status"] == "processed"
    shown = fleet.operator.data(f"settlement show {ack['settlement']}")["settlement"]
    assert shown["fee_mismatch_sats"] == 100


def test_a_fee_far_off_is_recorded_and_warned_of(fleet: Fleet) -> None:
    """Fault 68: beyond 0.1 % a WARNING with all the numbers; what was really charged is shared out."""
    ack = fleet.settle("f1", fee_sats=7_871, wire_sats=107_871)
    shown = fleet.operator.data(f"settlement show {ack['settlement']}")["settlement"]
    assert shown["fee_mismatch_sats"] == 101
    assert (shown["platform_fee_sats"], shown["operator_fee_sats"]) == (1_500, 6_270)
    assert [leg["sats"] for leg in shown["legs"][:2]] == [1_500, 6_371]
    (line,) = (one for one in fleet.house.log.splitlines() if f"fee mismatch: {ack['settlement']} of fuego" in one)
    assert "WARNING" in line
    for number in ("7871", "7770", "delta=101", "tolerance=100", "100000", "15000", "62700", "cash_out"):
        assert number in line


def test_cash_in_touches_no_lp(fleet: Fleet) -> None:
    """cash_in: `wire = principal - fee`; the operator's sats pay, the fee is shared, LPs are not touched."""
    before = fleet.operator.data("lp show fina")["lp"]
    ack = fleet.settle("f1", tx_type="cash_in", wire_sats=94_000, fee_sats=6_000)
    assert ack["status"] == "processed"
    shown = fleet.operator.data(f"settlement show {ack['settlement']}")["settlement"]
    assert [(leg["type"], leg["sats"]) for leg in shown["legs"]] == [("super_fee", 1_000), ("operator_split", 5_000)]
    assert shown["fee_mismatch_sats"] == 0
    assert fleet.operator.data("lp show fina")["lp"] == before


def test_without_an_lp_the_operator_has_it_all(fleet: Fleet) -> None:
    """Fault 57: no candidate: one skipped leg with the reason, and the principal is the operator's."""
    ack = fleet.settle("exact")
    legs = fleet.operator.data(f"settlement show {ack['settlement']}")["settlement"]["legs"]
    assert [(leg["type"], leg["sats"], leg["status"]) for leg in legs] == [
        ("super_fee", 1_500, "completed"),
        ("operator_split", 6_270, "completed"),
        ("dca", 0, "skipped"),
        ("operator", 100_000, "completed"),
    ]
    assert legs[2]["reason"]
    assert legs[3]["fiat"] == "2000.00"


def test_commission_shared_with_an_lp(fleet: Fleet) -> None:
    """A split to an LP is a completed leg of an LP: it has a receipt of its own, for sats without fiat."""
    fleet.operator.data("splits set machine=f1 house=60%:self fina=40%:fina")
    ack = fleet.settle("f1")
    fleet.operator.data("splits clear machine=f1")
    legs = fleet.operator.data(f"settlement show {ack['settlement']}")["settlement"]["legs"]
    assert [(leg["type"], leg.get("lp") or leg["label"], leg["sats"]) for leg in legs] == [
        ("super_fee", "platform", 1_500),
        ("operator_split", "house", 3_762),
        ("operator_split", "fina", 2_508),
        ("dca", "fina", 100_000),
    ]
    fina = fleet.house.line("fina")
    for leg in legs[2:]:
        fina.wait(lambda leg=leg: [one for one in fina.receipts if f"{leg['sats']} sats" in one.text])
        receipt = fina.data(f"receipt {leg['id']}")
        assert (receipt["sats"], receipt["fiat"], receipt["settlement"]) == (
            leg["sats"],
            leg["fiat"],
            ack["settlement"],
        )


@pytest.mark.parametrize("scheme", ["plain", "nip04", "nip44"])
def test_the_ack_comes_back_the_same_way(fleet: Fleet, scheme: str) -> None:
    """Plain, NIP-04 and NIP-44 are told apart by shape; accepted, repeated or unreadable, the ack is in kind."""
    f1 = fleet.machines["f1"]
    report = f1.person.report(fleet.house.pubkey, sale(f1.person), scheme=scheme)
    for status in ("processed", "duplicate"):
        heard = f1.say(report)
        assert (heard.scheme, heard.json["status"]) == (scheme, status)
    heard = f1.say(f1.person.report(fleet.house.pubkey, '{"type": "settlement"}', scheme=scheme))
    assert (heard.scheme, heard.json["status"]) == (scheme, "invalid")


def test_decimals_may_be_written_as_integers(fleet: Fleet) -> None:
    """Fiat and rates are decimal strings, integers allowed; unneeded zeros change nothing."""
    ack = fleet.settle("f1", fiat_amount=2000, exchange_rate=50)
    shown = fleet.operator.data(f"settlement show {ack['settlement']}")["settlement"]
    assert (shown["status"], shown["fiat_amount"], shown["exchange_rate"]) == ("processed", "2000.00", "50")
    assert fleet.settle("f1", exchange_rate="50.000", fiat_amount="2000")["status"] == "processed"


def test_only_optional_fields_may_be_missing(fleet: Fleet) -> None:
    """`n` and `preimage` are optional, and a field we do not know is no reason to refuse."""
    f1 = fleet.machines["f1"]
    report = sale(f1.person, firmware="9.1")
    del report["n"]
    assert f1.settle(report)["status"] == "processed"


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("not JSON", "{", "["),
        ("a list", None, "[]"),
        ("a number", None, "7"),
        ("nothing", None, ""),
        ("a missing field", '"txid"', '"txId"'),
        ("another type", '"type": "settlement"', '"type": "refund"'),
        ("another direction", '"cash_out"', '"cash_up"'),
        ("sats as text", ": 107770", ': "107770"'),
        ("sats as a truth", ": 7770", ": true"),
        ("sats as a float", ": 107770", ": 107770.0"),
        ("a float by its exponent", ": 107770", ": 10777e1"),
        ("fiat as a float", '"2000.00"', "2000.00"),
        ("a float in an unknown field", '"n": 42', '"n": 42, "temperature": 36.6'),
        ("NaN", ": 107770", ": NaN"),
        ("infinity", ": 107770", ": 1e400"),
        ("a number beyond counting", ": 107770", ": 1" + "0" * 400),
        ("a lone surrogate", '"b0c2"', r'"\ud800"'),
        ("a key twice", '"wire_sats"', '"wire_sats": 5, "wire_sats"'),
        ("too deep", '"n": 42', '"n": 42, "x": ' + "[" * 5_000 + "]" * 5_000),
        ("half a cent of fiat", '"2000.00"', '"2000.005"'),
        ("fiat with an exponent", '"2000.00"', '"2e3"'),
        ("a rate that is no number", '"50"', '"fifty"'),
        ("a short hash", '"payment_hash": "', '"payment_hash": "0'),
        ("an upper-case hash", '"payment_hash": "', '"payment_hash": "ABCDEF'),
    ],
)
def test_what_cannot_be_read_is_invalid(fleet: Fleet, name: str, old: str | None, new: str) -> None:
    """Answered `invalid`, kept in the refusal log, and never a settlement (fault 29)."""
    f1 = fleet.machines["f1"]
    before = fleet.operator.data("settlement list limit=1")["settlements"][0]["id"]
    text = json.dumps(sale(f1.person))
    text = new if old is None else text.replace(old, new, 1)
    report = f1.person.report(fleet.house.pubkey, text, scheme="nip04")
    ack = f1.say(report).json
    assert ack == {
        "type": "ack",
        "event": report["id"],
        "payment_hash": ack["payment_hash"],
        "status": "invalid",
        "settlement": None,
        "error": ack["error"],
    }
    assert type(ack["error"]) is str
    assert fleet.operator.data("settlement list limit=1")["settlements"][0]["id"] == before


@pytest.mark.parametrize(
    ("content", "scheme"),
    [
        ("AAAA?iv=BBBB", "nip04"),
        ("?iv=", "nip04"),
        ("bm90IGJsb2Nrcw==?iv=AAAAAAAAAAAAAAAAAAAAAA==", "nip04"),
        ("Ag" + "A" * 130, "nip44"),
        ("not a payload at all", "nip44"),
        ('{"type": "settle', "plain"),
    ],
)
def test_a_bad_cipher_is_invalid(fleet: Fleet, content: str, scheme: str) -> None:
    """Fault 43: what cannot be decrypted is answered `invalid` too, in the scheme it seems to have."""
    f1 = fleet.machines["f1"]
    heard = f1.say(f1.person.sign(21_000, content, [["p", fleet.house.pubkey]]))
    assert heard.scheme == scheme
    assert (heard.json["status"], heard.json["settlement"]) == ("invalid", None)


def test_an_unknown_machine_gets_no_reply(fleet: Fleet) -> None:
    """A settlement signed by an unknown key is dropped without a word, whatever it says."""
    stranger = fleet.house.line("stranger")
    report = stranger.person.report(fleet.house.pubkey, sale(fleet.machines["f1"].person))
    before = fleet.operator.data("settlement list limit=1")
    stranger.publish(report)
    fleet.settle("f1", wire_sats=5)  # taken by the same relay after it, and answered
    stranger.publish(stranger.person.report(fleet.house.pubkey, sale(stranger.person)))
    assert fleet.operator.data("settlement list limit=2")["settlements"][1] == before["settlements"][0]
    assert stranger.heard == []


def test_an_expired_settlement_is_dropped(fleet: Fleet) -> None:
    """NIP-40: an event past its expiration has no effect (the relay may pass it on or not)."""
    f1 = fleet.machines["f1"]
    before = fleet.operator.data("settlement list limit=1")
    content = f1.person.seal(fleet.house.pubkey, json.dumps(sale(f1.person)), "nip44")
    report = f1.person.sign(21_000, content, [["p", fleet.house.pubkey], ["expiration", "1700000000"]])
    f1.offer(report)
    assert fleet.operator.data("settlement list limit=1") == before
    assert f1.answers_to(report["id"]) == []


def test_a_settlement_may_be_old(fleet: Fleet) -> None:
    """A machine that was offline reports late, or with a clock ahead: the cash is gone either way (faults 14, 15)."""
    f1 = fleet.machines["f1"]
    for created_at in (1_700_000_000, 4_000_000_000):
        report = f1.person.report(fleet.house.pubkey, sale(f1.person), created_at=created_at)
        assert f1.say(report).json["status"] == "processed"


def test_the_worklist_names_what_was_rejected(fleet: Fleet) -> None:
    """Four buckets, each row with its next safe action."""
    work = fleet.operator.data("worklist")
    assert {"rejected", "errored", "stuck_pending", "stuck_processing"} <= set(work)
    assert (work["errored"], work["stuck_pending"], work["stuck_processing"]) == ([], [], [])
    assert {row["status"] for row in work["rejected"]} == {"rejected"}
    assert all("retr" in row["next"] for row in work["rejected"])


def test_everything_is_in_the_trail(fleet: Fleet) -> None:
    """After all of it the trail verifies."""
    fleet.house.assert_trail_verifies(fleet.operator.person)
