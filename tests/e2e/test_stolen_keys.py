"""The drill of docs/operations.md, "When a key is stolen", walked over a real relay and by the command line.

One machine's key, then its operator's, then the bot's own; afterwards what was signed before still verifies, and the sums
are those of the true sales (faults.md rows 26, 27 and 47).
"""

import json
import time
from pathlib import Path
from typing import Any

import nostr_sdk
from websockets.sync.client import connect

from tests.e2e.house import House, eventually, nostrbot_here, running_house
from tests.e2e.people import Line, Person
from tests.e2e.sales import sale

SUCCESSION_KIND = 78
ONE_SALE_SATS = 100_000  # ana's, of each


def kept_by(url: str, subject: str) -> list[dict[str, Any]]:
    """The events of a subject that a relay keeps, each verified by nostr-sdk."""
    events = []
    with connect(url, open_timeout=10) as socket:
        socket.send(json.dumps(["REQ", "kept", {"kinds": [SUCCESSION_KIND], "#d": [subject]}]))
        while (message := json.loads(socket.recv(10)))[0] != "EOSE":
            if message[0] == "EVENT":
                assert nostr_sdk.Event.from_json(json.dumps(message[2])).verify()
                events.append(message[2])
    return events


def verify(trail: Path, *options: str | Path) -> int:
    return nostrbot_here("audit", "verify", trail, *options).returncode


def machine_key_is_stolen(house: House, operator: Line, thief: Line) -> None:
    """The thief prints two sales; the operator freezes what came since, and sorts the true from the false."""
    stolen_at = int(time.time()) + 1
    eventually(lambda: time.time() >= stolen_at)
    assert thief.settle(sale(thief.person))["settlement"] == "s2"
    assert thief.settle(sale(thief.person, occurred_at=1))["settlement"] == "s3"
    assert thief.settle(sale(thief.person))["settlement"] == "s4"  # the machine itself, at the same time

    frozen = operator.data(f"machine compromised m1 since={stolen_at}")["frozen"]
    assert (frozen["count"], frozen["lp_sats"], frozen["settlements"]) == (3, 3 * ONE_SALE_SATS, ["s4", "s3", "s2"])
    assert thief.settle(sale(thief.person))["error"] == "machine_inactive"
    assert [row["id"] for row in operator.data("worklist")["frozen"]] == ["s4", "s3", "s2"]
    for false in ("s2", "s3"):
        assert operator.data(f'settlement refund {false} reason="printed by a thief"')["settlement"]["legs"]
    assert operator.data("settlement release s4")["settlement"]["frozen"] is False

    new_key = house.person("m1-new")
    operator.data(f"machine rotate m1 {new_key.npub}")
    operator.data("machine resume m1")
    assert house.line("m1-new").settle(sale(new_key))["status"] == "processed"
    assert thief.settle(sale(thief.person))["error"] == "machine_inactive"


def operator_key_is_stolen(house: House, platform: Line, old: Line) -> Line:
    """The platform names another key; what the old one says is a stranger's: it is not even answered."""
    replaced = platform.data(f"operator replace antigua {house.person('antigua-new').npub}")["operator"]
    assert replaced["npub"] == house.person("antigua-new").npub
    command = old.person.command(house.pubkey, "machine suspend m1 --json")
    old.publish(command)
    operator = house.line("antigua-new")
    assert operator.data("machine show m1")["machine"]["active"] is True
    assert old.answers_to(command["id"]) == []
    return operator


def bot_key_is_rotated(house: House, platform: Person, tmp_path: Path) -> str:
    """Begun while the bot runs, countersigned elsewhere, finished while it is stopped."""
    statement, succession = tmp_path / "statement.json", tmp_path / "succession.json"
    begun = nostrbot_here("rotate", "begin", "--home", house.home, "-o", statement)
    assert begun.returncode == 0, begun.stderr
    key = platform.write_key(tmp_path)
    assert nostrbot_here("rotate", "countersign", statement, "--key", key, "-o", succession).returncode == 0
    busy = nostrbot_here("rotate", "finish", succession, "--home", house.home)
    assert (busy.returncode, "already running" in busy.stderr) == (2, True)
    assert house.stop() == 0
    mine = nostrbot_here("rotate", "finish", statement, "--home", house.home)
    assert (mine.returncode, "the platform has not countersigned it" in mine.stderr) == (2, True)
    for _ in range(2):  # the second time there is nothing left to do
        done = nostrbot_here("rotate", "finish", succession, "--home", house.home)
        assert done.returncode == 0, done.stderr
    new_npub = done.stdout.strip()
    house.npub, house.pubkey = new_npub, nostr_sdk.PublicKey.parse(new_npub).to_hex()
    house.launch()
    house.wait_ready()
    return new_npub


def test_the_drill(relay_url: str, tmp_path: Path) -> None:
    """Three keys are stolen one after the other, and the books are right."""
    with running_house(tmp_path, relay_url) as house:
        platform = house.line("platform")
        platform.data("platform fee cash_in=1% cash_out=1.5%")
        operator = house.open_operator("antigua", "m1", platform=platform)
        ana = house.seat_lp(operator, "ana", "m1", "9000.00")
        thief = house.line("m1")  # whoever has the key is the machine
        assert thief.settle(sale(thief.person))["settlement"] == "s1"
        receipt = tmp_path / "receipt.json"
        receipt.write_text(json.dumps(ana.data("receipt l3")))
        first_trail = house.export(operator.person).rename(tmp_path / "before.jsonl")
        old_npub, old_pubkey = house.npub, house.pubkey

        machine_key_is_stolen(house, operator, thief)
        ana.wait(lambda: any(one.text.startswith("Frozen: 300000 sats of 3 sales at m1") for one in ana.heard))
        operator = operator_key_is_stolen(house, platform, operator)
        new_npub = bot_key_is_rotated(house, platform.person, tmp_path)

        announced = eventually(
            lambda: found if len(found := kept_by(relay_url, f"nostrbot-succession:{old_pubkey}")) == 2 else []
        )
        assert {event["pubkey"] for event in announced} == {old_pubkey, platform.person.pubkey}
        ana, operator, machine = (house.line(name) for name in ("ana", "antigua-new", "m1-new"))
        for person in (ana, operator):
            person.wait(
                lambda person=person: any(one.text.startswith(f"I have a new key: {new_npub}.") for one in person.heard)
            )
        assert machine.settle(sale(machine.person))["status"] == "processed"

        (row,) = ana.data("balance")
        assert (row["sats"], row["remaining"], "frozen_sats" in row) == (4 * ONE_SALE_SATS, "1000.00", False)
        sats = operator.data("balances")["sats"]
        assert (sats["held"], sats["lps"], sats["platform"], sats["operator"]) == (431_080, 400_000, 6_000, 25_080)

        whole_trail = house.export(house.person("antigua-new"))
        for npub in (old_npub, new_npub):
            assert verify(whole_trail, "--bot", npub, "--receipt", receipt) == 0
        assert verify(first_trail, "--bot", old_npub, "--receipt", receipt) == 0
        assert whole_trail.read_bytes().startswith(first_trail.read_bytes())
        assert house.export(house.person("antigua")).read_bytes() == whole_trail.read_bytes()  # by either key
