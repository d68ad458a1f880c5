"""An operator's day, as an independent client lives it: everything the desks do, over the wire, and the trail at its end.

Each test opens an operator of its own with one bot; what is shared is the bot. docs/protocol.md sections 3 to 6.
"""

import csv
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import nostr_sdk
import pytest

from tests.e2e.house import House, eventually, nostrbot_beside, running_house
from tests.e2e.people import TELEMETRY_KIND, Line
from tests.e2e.sales import sale


@pytest.fixture(scope="module")
def town(relay_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A bot of this file's own: what its operators are told by themselves is nobody else's noise."""
    with running_house(tmp_path_factory.mktemp("day"), relay_url) as house:
        house.line("platform").data("platform fee cash_in=1% cash_out=1.5%")
        yield house


def cash(line: Line) -> dict[str, str]:
    """What an LP has left, by machine."""
    return {row["machine"]: row["remaining"] for row in line.data("balance")}


def legs(settlement: dict[str, Any]) -> list[str]:
    """The legs of a settlement, a line each."""
    return [
        f"{leg['type']} {leg.get('lp') or leg.get('label')} {leg['sats']} {leg['fiat'] or '-'} {leg['status']}"
        for leg in settlement["legs"]
    ]


def test_splits_with_override_and_default_to_the_sat(town: House) -> None:
    """The machine's own set counts where it has one, else the operator's default; parts sum to the pot."""
    dora = town.open_operator("dora", "d1", "d2")
    charity = town.person("dora-charity").npub
    dora.data(f"splits set house=33.3333%:self help=66.6667%:{charity}")
    dora.data("splits set machine=d2 all=100%:self")
    d1, d2 = town.line("d1"), town.line("d2")
    assert d1.settle(sale(d1.person))["status"] == "processed"
    assert d2.settle(sale(d2.person))["status"] == "processed"
    assert legs(dora.data("settlement show s1")["settlement"])[:3] == [
        "super_fee platform 1500 - completed",
        "operator_split house 2090 - completed",
        "operator_split help 4180 - completed",
    ]
    assert legs(dora.data("settlement show s2")["settlement"])[1] == "operator_split all 6270 - completed"
    town.assert_trail_verifies(dora.person)


def test_a_mismatch_of_230_is_recorded_and_told(town: House) -> None:
    """8,000 sats were charged, 7,770 were due; the operator hears of it by itself."""
    edna = town.open_operator("edna", "e1")
    e1 = town.line("e1")
    ack = e1.settle(sale(e1.person, fee_sats=8_000, wire_sats=108_000))
    assert ack["status"] == "processed"
    shown = edna.data("settlement show s1")["settlement"]
    assert (shown["platform_fee_sats"], shown["operator_fee_sats"], shown["fee_mismatch_sats"]) == (1_500, 6_270, 230)
    edna.wait(lambda: any("(+230)" in alert.text for alert in edna.receipts), 20)


def test_partial_dispense_of_1500_of_2000(town: House) -> None:
    """The sharing is reversed and made again; LPs have corrected receipts; the customer is owed until refunded."""
    fay = town.open_operator("fay", "f1")
    gus, hal = town.seat_lp(fay, "gus", "f1", "9000"), town.seat_lp(fay, "hal", "f1", "1000")
    f1 = town.line("f1")
    assert f1.settle(sale(f1.person))["status"] == "processed"
    gus.wait(lambda: gus.receipts)

    preview = fay.data('preview settlement partial s1 fiat=1500 note="jammed after 15 notes"')["settlement"]
    done = fay.data('settlement partial s1 fiat=1500 note="jammed after 15 notes"')["settlement"]
    assert preview | {"entry_hash": 0, "since": 0, "notes": 0, "processed_at": 0} == done | {
        "entry_hash": 0, "since": 0, "notes": 0, "processed_at": 0,
    }  # fmt: skip
    assert done["status"] == "partial"
    assert (done["wire_sats"], done["principal_sats"], done["fee_sats"]) == (80_827, 75_000, 5_827)
    assert (done["fiat_amount"], done["reported"]["fiat_amount"]) == ("1500.00", "2000.00")
    assert done["owed_to_customer_sats"] == 107_770 - 80_827
    assert done["notes"].endswith(f"by {fay.person.npub}] jammed after 15 notes")
    assert legs(done) == [
        "super_fee platform 1500 - voided",
        "operator_split operator 6270 - voided",
        "dca gus 90000 1800.00 voided",
        "dca hal 10000 200.00 voided",
        "super_fee platform 1125 - completed",
        "operator_split operator 4702 - completed",
        "dca gus 67500 1350.00 completed",
        "dca hal 7500 150.00 completed",
    ]
    assert (cash(gus), cash(hal)) == ({"f1": "7650.00"}, {"f1": "850.00"})
    gus.wait(lambda: len(gus.receipts) == 2)
    assert "Corrected, in place of l3" in gus.receipts[1].text
    assert gus.data("receipt l7")["corrects"] == []
    assert gus.data("receipt l3")["status"] == "voided"

    refunded = fay.data('settlement refund s1 reason="sent back over Lightning"')["settlement"]
    assert (refunded["status"], refunded["owed_to_customer_sats"]) == ("refunded", 0)
    assert fay.data("balances")["sats"] == {
        "held": 80_827, "lps": 75_000, "platform": 1_125, "others": 0, "operator": 4_702,
    }  # fmt: skip
    assert fay.refused('settlement refund s1 reason="again"') == "wrong_status"
    assert fay.refused('settlement partial s1 fiat=1 note="x"') == "wrong_status"
    town.assert_trail_verifies(fay.person)


def test_cassettes_a_b_a_leaves_b(town: House) -> None:
    """The newest statement stays however often an older one comes; sales and counts change what is expected."""
    ida = town.open_operator("ida", "i1")
    i1 = town.line("i1")
    assert ida.refused("cassette set i1 1 count=5") == "not_found"
    now = int(time.time())

    def stated(count: int, at: int) -> dict[str, Any]:
        content = {"positions": {"1": {"denomination": 100, "count": count}}}
        return i1.person.state(town.pubkey, "bitspire-cassettes-state", content, scheme="nip44", created_at=at)

    a, b = stated(500, now - 60), stated(400, now - 30)
    for event in (a, b, a):
        i1.offer(event)
    eventually(lambda: ida.data("cassette list i1")["cassettes"])
    eventually(lambda: ida.data("cassette list i1")["cassettes"][0]["state_count"] == 400)
    i1.settle(sale(i1.person))
    [cassette] = ida.data("cassette list i1")["cassettes"]
    assert (cassette["count"], cassette["state_count"], cassette["updated_by"]) == (380, 400, "atm-bootstrap")
    counted = ida.data("cassette count i1 1=378")
    assert (counted["variance"], counted["currency"]) == ("-200.00", "GTQ")
    ida.data("cassette set i1 1 count=500")
    ida.data("cassette publish i1")
    told = i1.wait(lambda: [one for one in i1.heard if one.subject == f"bitspire-cassettes:{i1.person.pubkey}"])
    assert told[0].json == {"positions": {"1": {"denomination": 100, "count": 500}}}
    town.assert_trail_verifies(ida.person)


def test_a_machine_is_told_its_fees_whenever_they_change(town: House) -> None:
    """Platform and operator together, encrypted to the machine, addressable."""
    jan = town.open_operator("jan", "j1")
    j1 = town.line("j1")

    def fees() -> list[Any]:
        return [one.json for one in j1.heard if one.subject == f"bitspire-fees:{j1.person.pubkey}"]

    j1.wait(fees)
    assert fees()[-1] == {"cash_in_ppm": 60_000, "cash_out_ppm": 77_700}
    jan.data("machine set j1 cash_out=5%")
    j1.wait(lambda: fees()[-1] == {"cash_in_ppm": 60_000, "cash_out_ppm": 65_000})


def test_beacons_and_telemetry_are_seen_and_never_go_back(town: House) -> None:
    """A field that is missing stays known; an older word changes nothing."""
    kim = town.open_operator("kim", "k1")
    k1, now = town.line("k1"), int(time.time())
    words = [({"model": "Sintra", "cash_in": True}, -20), ({"cash_level": "high"}, -10), ({"model": "Old"}, -300)]
    for content, ago_s in words:
        k1.offer(k1.person.state(town.pubkey, "bitspire-beacon", content, created_at=now + ago_s))
    told = {"temperature": "31", "load": [1, 2]}
    k1.publish(
        k1.person.state(town.pubkey, "bitspire-telemetry", told, scheme="nip04", kind=TELEMETRY_KIND, created_at=now)
    )
    eventually(lambda: kim.data("telemetry k1")["telemetry"] == told)
    eventually(lambda: kim.data("fleet")["fleet"][0]["beacon"].get("cash_level") == "high")
    [row] = kim.data("fleet")["fleet"]
    assert (row["machine"], row["beacon"]["model"], row["beacon"]["cash_in"]) == ("k1", "Sintra", True)


def test_fixed_and_flow_pause_and_resume(town: House) -> None:
    """A fixed LP and a paused one take no part in sales; their cash stays theirs. `settle` pays by hand."""
    lea = town.open_operator("lea", "l-1")
    mia, nat = town.seat_lp(lea, "mia", "l-1", "1000"), town.seat_lp(lea, "nat", "l-1", "1000")
    oda = town.seat_lp(lea, "oda", "l-1", "1000")
    machine = town.line("l-1")
    mia.data("mode fixed limit=100")
    nat.data("pause")
    machine.settle(sale(machine.person))
    assert (cash(mia), cash(nat), cash(oda)) == ({"l-1": "1000.00"}, {"l-1": "1000.00"}, {"l-1": "0.00"})
    nat.data("resume")
    machine.settle(sale(machine.person, n=43))
    assert cash(nat) == {"l-1": "0.00"}
    paid = lea.data("settle mia 100 machine=l-1")["leg"]
    assert (paid["type"], paid["sats"], paid["fiat"], paid["settlement"]) == ("settlement", 5_000, "100.00", None)
    assert cash(mia) == {"l-1": "900.00"}
    assert lea.refused("settle mia 900.01 machine=l-1") == "not_enough_cash"
    mia.wait(lambda: mia.receipts)
    town.assert_trail_verifies(lea.person)


@pytest.mark.soak  # it waits for the next minute to begin
def test_fixed_mode_pays_at_its_time(town: House) -> None:
    """A slot whose time comes while the bot runs pays each fixed LP once, out of the operator's own sats."""
    pam = town.open_operator("pam", "p1")
    quin = town.seat_lp(pam, "quin", "p1", "1000")
    p1 = town.line("p1")
    quin.data("mode fixed limit=100")
    p1.settle(sale(p1.person))  # a price, and sats of the operator's own
    soon = time.strftime("%H:%M", time.gmtime(time.time() - 6 * 3600 + 61))
    plan = pam.data(f"fixed schedule {soon}")["fixed"]
    assert plan["schedule"] == [soon]
    quin.wait(lambda: quin.receipts, 75)
    assert cash(quin) == {"p1": "900.00"}
    [row] = quin.data("history")["history"]
    assert (row["type"], row["sats"], row["fiat"], row["settlement"]) == ("dca", 5_000, "100.00", None)
    town.assert_trail_verifies(pam.person)


def test_a_guard_holds_until_release(town: House) -> None:
    """Pending is told to the machine; nothing moves until the operator releases it."""
    rosa = town.open_operator("rosa", "r1")
    sam = town.seat_lp(rosa, "sam", "r1", "5000")
    r1 = town.line("r1")
    guarded = rosa.data("guard r1 per_settlement=1500 per_day=10000 rate=5%")["machine"]["guard"]
    assert guarded == {"per_settlement": "1500.00", "per_day": "10000.00", "rate": "5%"}
    report = sale(r1.person)
    assert r1.settle(report)["status"] == "pending"
    assert r1.settle(report)["status"] == "duplicate"
    assert cash(sam) == {"r1": "5000.00"}
    held = rosa.data("settlement show s1")["settlement"]
    assert (held["status"], held["error"], held["legs"]) == ("pending", "guard_per_settlement", [])
    assert rosa.refused("settlement reset s1") == "not_stuck"
    released = rosa.data("settlement release s1")["settlement"]
    assert (released["status"], released["error"]) == ("processed", None)
    sam.wait(lambda: sam.receipts)
    assert cash(sam) == {"r1": "3000.00"}
    assert rosa.refused("settlement release s1") == "wrong_status"
    town.assert_trail_verifies(rosa.person)


def test_a_sale_settled_outside_has_the_operators_command_as_its_source(town: House) -> None:
    """The machine's own report with that payment hash, should it come, is a conflict and pays nothing."""
    tess = town.open_operator("tess", "t1")
    uma = town.seat_lp(tess, "uma", "t1", "5000")
    t1 = town.line("t1")
    report = sale(t1.person)
    command = tess.person.command(
        town.pubkey,
        f"settlement add machine=t1 fiat_amount=2000 principal_sats=100000 fee_sats=7770 "
        f'payment_hash={report["payment_hash"]} note="paid by hand" --json',
    )
    added = tess.say(command).json["data"]["settlement"]
    assert (added["status"], added["event_id"], added["wire_sats"]) == ("processed", command["id"], 107_770)
    assert added["entry_hash"] == tess.data("settlement show s1")["settlement"]["entry_hash"]
    assert cash(uma) == {"t1": "3000.00"}
    assert t1.settle(report)["error"] == "payment_hash_conflict"
    assert cash(uma) == {"t1": "3000.00"}
    town.assert_trail_verifies(tess.person)


def test_suspended_and_rotated_keys_cannot_speak_from_the_past(town: House) -> None:
    """Whatever date an event claims, the order of the journal decides."""
    vera = town.open_operator("vera", "v1")
    old, new = town.line("v1"), town.line("v1-new")
    vera.data("machine suspend v1")
    backdated = old.person.report(town.pubkey, sale(old.person), created_at=int(time.time()) - 3_600)
    assert old.say(backdated).json["error"] == "machine_inactive"
    vera.data("machine resume v1")
    assert old.settle(sale(old.person))["status"] == "processed"
    vera.data(f"machine rotate v1 {new.person.npub}")
    again = old.person.report(town.pubkey, sale(old.person), created_at=int(time.time()) - 3_600)
    assert old.say(again).json["error"] == "machine_inactive"
    assert new.settle(sale(new.person))["status"] == "processed"
    assert vera.refused(f"machine add {old.person.npub} name=v2 fiat=GTQ cash_in=1% cash_out=1%") == "key_taken"
    town.assert_trail_verifies(vera.person)


def test_another_lps_receipt_is_refused_like_a_missing_one(town: House) -> None:
    """The same words, to the letter, but for the number."""
    walt = town.open_operator("walt", "w1")
    xena, yuri = town.seat_lp(walt, "xena", "w1", "5000"), town.seat_lp(walt, "yuri", "w1")
    w1 = town.line("w1")
    w1.settle(sale(w1.person))
    xena.wait(lambda: xena.receipts)
    theirs, missing = yuri.ask_json("receipt l3"), yuri.ask_json("receipt l9999")
    assert theirs["error"]["code"] == missing["error"]["code"] == "not_found"
    assert theirs["error"]["message"] == missing["error"]["message"].replace("l9999", "l3")


def test_a_clients_prefix_is_no_part_of_a_command(town: House) -> None:
    """Some clients put their own line in front."""
    zoe = town.open_operator("zoe", "z1")
    assert zoe.ask("[//]: # (nip18)\r\n/Machine LIST").startswith("z1: GTQ")


def test_gift_wraps_are_answered_by_gift_wraps(town: House) -> None:
    """NIP-17: the answer names the message in the wrap; said again in another wrap it has no second effect."""
    abby = town.open_operator("abby", "a1")
    cleo = town.person("cleo")
    abby.data(f"lp add {cleo.npub} machine=a1 name=cleo")
    line = town.line("cleo")
    joined = line.whisper("join --json")
    assert (joined.kind, joined.json["data"]["lp"]["mode"]) == (1_059, "flow")
    deposit = abby.whisper("deposit add cleo 5000 machine=a1 --json").json["data"]["deposit"]
    abby.whisper(f"deposit confirm {deposit['id']}")
    a1 = town.line("a1")
    a1.settle(sale(a1.person))
    line.wait(lambda: line.receipts)
    assert [receipt.kind for receipt in line.receipts] == [1_059]  # as it wrote when it joined
    assert line.receipts[0].text.startswith("You received 100000 sats for 2000.00 GTQ")

    text = json.dumps(
        {"pubkey": cleo.pubkey, "created_at": int(time.time()), "kind": 14, "tags": [["p", town.pubkey]],
         "content": "mode fixed limit=7 --json"}
    )  # fmt: skip
    rumor = nostr_sdk.UnsignedEvent.from_json(text).ensure_id()
    bot = nostr_sdk.PublicKey.parse(town.pubkey)
    wraps = [json.loads(nostr_sdk.nip59_make_gift_wrap(cleo.keys, bot, rumor).as_json()) for _ in range(2)]
    assert wraps[0]["id"] != wraps[1]["id"]
    line.publish(*wraps)
    rumor_id = rumor.id()
    assert rumor_id is not None
    line.hear(rumor_id.to_hex())
    line.whisper("balance")
    assert len(line.answers_to(rumor_id.to_hex())) == 1
    town.assert_trail_verifies(abby.person)


def test_a_gift_wrap_holds_less_and_its_pages_are_shorter(town: House) -> None:
    """What does not fit in one wrap comes in the next page; nothing is refused, and nothing left out."""
    mona = town.open_operator("mona", "mona-1")
    machine = town.line("mona-1")
    for n in range(16):
        machine.settle(sale(machine.person, n=n, txid="t" * 200))
    seen: list[str] = []
    page = mona.whisper("settlement list limit=16 --json").json["data"]
    assert 0 < len(page["settlements"]) < 16
    while True:
        seen += [row["id"] for row in page["settlements"]]
        if not page.get("more"):
            break
        page = mona.whisper(f"settlement list limit=16 before={page['before']} --json").json["data"]
    assert seen == [f"s{n}" for n in range(16, 0, -1)]


def test_the_command_line_whispers_too(town: House) -> None:
    """`nostrbot dm --scheme nip17`, and its exit codes."""
    lena = town.open_operator("lena", "lena-1")
    key = lena.person.write_key(town.folder)
    words = ("dm", "--key", key, "--to", town.npub, "--relay", town.urls[0], "--scheme", "nip17")
    listed, refused = nostrbot_beside(*words, "machine list"), nostrbot_beside(*words, "machine show nowhere")
    assert (listed.returncode, listed.stdout.split(":")[0]) == (0, "lena-1"), listed.stderr
    assert (refused.returncode, refused.stdout[:8]) == (1, "Refused:")


def test_a_forged_seal_is_nobodys_command(town: House) -> None:
    """The seal is signed by mallory, the message inside claims to be the operator's: nothing happens."""
    bess = town.open_operator("bess", "b-1")
    mallory = town.person("mallory")
    text = json.dumps(
        {"pubkey": bess.person.pubkey, "created_at": int(time.time()), "kind": 14, "tags": [["p", town.pubkey]],
         "content": "machine suspend b-1"}
    )  # fmt: skip
    rumor = nostr_sdk.UnsignedEvent.from_json(text).ensure_id()
    seal_text = nostr_sdk.nip44_encrypt(
        mallory.keys.secret_key(), nostr_sdk.PublicKey.parse(town.pubkey), rumor.as_json(), nostr_sdk.Nip44Version.V2
    )
    seal = mallory.sign(13, seal_text, [])
    throwaway = town.person("throwaway")
    wrap = throwaway.sign(1_059, throwaway.seal(town.pubkey, json.dumps(seal), "nip44"), [["p", town.pubkey]])
    bess.publish(wrap)
    assert bess.data("machine show b-1")["machine"]["active"] is True


def test_missing_settlements_are_told_by_their_numbers(town: House) -> None:
    """The counter of a machine has a gap; when the missing one comes late, it is taken."""
    carl = town.open_operator("carl", "c1")
    c1 = town.line("c1")
    c1.settle(sale(c1.person, n=41))
    c1.settle(sale(c1.person, n=43))
    assert carl.data("fleet")["fleet"][0]["missing"] == ["42"]
    assert c1.settle(sale(c1.person, n=42))["status"] == "processed"
    assert carl.data("fleet")["fleet"][0]["missing"] == []


def test_lps_figures_and_operators_report_match_the_ledger(town: House) -> None:
    """Statement, stats and report of a day add up to what balances say."""
    dina = town.open_operator("dina", "d-1")
    emil = town.seat_lp(dina, "emil", "d-1", "5000")
    machine = town.line("d-1")
    machine.settle(sale(machine.person, n=1))
    machine.settle(sale(machine.person, n=2))
    month = time.strftime("%Y-%m", time.gmtime(time.time() - 6 * 3600))
    statement = json.dumps(emil.data(f"statement month={month}"))
    for figure in ("5000.00", "1000.00", "200000"):
        assert figure in statement, statement
    assert "200000" in json.dumps(emil.data("stats range=all"))
    assert "215540" in json.dumps(dina.data("report day"))
    for words in (emil.ask("stats"), emil.ask("statement"), dina.ask("report week"), dina.ask("fleet")):
        assert not words.startswith("Refused"), words


def test_exports_hold_what_the_bot_says(town: House) -> None:
    """All three, in all formats; the figures are those of the answers."""
    enid = town.open_operator("enid", "e-1")
    town.seat_lp(enid, "finn", "e-1", "5000")
    machine = town.line("e-1")
    machine.settle(sale(machine.person))
    for noun in ("settlements", "legs", "deposits"):
        for shape in ("csv", "json", "beancount"):
            done = nostrbot_beside(
                "export", noun, "--home", town.home, "--operator", enid.person.npub, "--format", shape
            )
            assert done.returncode == 0, done.stderr
            if (noun, shape) == ("legs", "csv"):
                rows = list(csv.DictReader(io.StringIO(done.stdout)))
                assert [(row["type"], row["sats"], row["status"]) for row in rows] == [
                    ("super_fee", "1500", "completed"),
                    ("operator_split", "6270", "completed"),
                    ("dca", "100000", "completed"),
                ]
            if (noun, shape) == ("settlements", "json"):
                [row] = json.loads(done.stdout)
                assert (row["wire_sats"], row["status"]) == (107_770, "processed")


def test_ordinary_clients_find_the_bot(town: House) -> None:
    """Kinds 0, 10002 and 10050 of the bot are on its relay."""
    line = town.line("anyone")
    line._socket.send(json.dumps(["REQ", "bot", {"authors": [town.pubkey], "kinds": [0, 10002, 10050]}]))
    found: dict[int, Any] = {}
    while len(found) < 3:
        match json.loads(line._socket.recv(timeout=10)):
            case ["EVENT", "bot", event]:
                found[event["kind"]] = event
    assert json.loads(found[0]["content"])["bot"] is True
    assert ["relay", town.urls[0]] in [tag[:2] for tag in found[10050]["tags"]]
    assert ["r", town.urls[0]] in [tag[:2] for tag in found[10002]["tags"]]


def test_one_who_floods_is_slowed_down_and_others_are_served(town: House) -> None:
    """1,000 commands a minute (faults.md row 46): some are refused by name, none has an effect later."""
    flora, gwen = town.open_operator("flora", "f-1"), town.open_operator("gwen", "g-1")
    commands = [flora.person.command(town.pubkey, f"machine set f-1 location=place-{n} --json") for n in range(400)]
    flora.publish(*commands)
    assert gwen.data("machine list")["machines"][0]["name"] == "g-1"
    refused = flora.wait(lambda: [one for one in flora.heard if one.kind == 4 and '"rate_limited"' in one.text], 30)
    assert refused[0].json["error"]["code"] == "rate_limited"
    shown = flora.repeat_until_ok("machine show f-1")["machine"]
    assert shown["location"].startswith("place-")
    town.assert_trail_verifies(flora.person)
