"""What people who do not trust the bot can check, as an independent client checks it: over the wire and by the command line.

The root of a checkpoint is computed here once more from docs/protocol.md section 7 alone, with no code of the package.
"""

import json
import random
import re
import shutil
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import nostr_sdk
import pytest
from websockets.sync.client import connect

from tests.e2e.house import House, nostrbot_here, running_house
from tests.e2e.people import Line
from tests.e2e.sales import sale

Plain = dict[str, Any]
CHECKPOINT_KIND = 78


@pytest.fixture(scope="module")
def town(relay_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A bot of this file's own."""
    with running_house(tmp_path_factory.mktemp("trust"), relay_url) as house:
        house.line("platform").data("platform fee cash_in=1% cash_out=1.5%")
        yield house


def kept_by(url: str, wanted: Plain) -> list[Plain]:
    """What a relay keeps that fits a filter."""
    events: list[Plain] = []
    with connect(url, open_timeout=10, max_size=None) as socket:
        socket.send(json.dumps(["REQ", "kept", wanted]))
        while (message := json.loads(socket.recv(10)))[0] != "EOSE":
            if message[0] == "EVENT":
                events.append(message[2])
    return events


def checkpoint_of(house: House, operator: Line, checkpoint_id: str) -> Plain:
    """A checkpoint's event, from the relay, verified by nostr-sdk."""
    wanted = {
        "kinds": [CHECKPOINT_KIND],
        "authors": [house.pubkey],
        "#d": [f"nostrbot-checkpoint:{operator.person.pubkey}"],
    }
    [event] = [event for event in kept_by(house.urls[0], wanted) if event["id"] == checkpoint_id]
    assert nostr_sdk.Event.from_json(json.dumps(event)).verify()
    return event


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


# --- the tree, from the document ----------------------------------------------------------------------------------------


def tagged(tag: str, message: bytes) -> bytes:
    tag_hash = sha256(f"nostrbot/liabilities/{tag}".encode()).digest()
    return sha256(tag_hash + tag_hash + message).digest()


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def added(one: Plain, other: Plain) -> Plain:
    total = {unit: Decimal(str(one[unit])) + Decimal(str(other[unit])) for unit in one}
    return {unit: int(amount) if unit == "sat" else f"{amount:.2f}" for unit, amount in total.items()}


def root_from(proof: Plain, leaf: Plain, part: int) -> tuple[str, Plain]:
    """The root and the sums that one leaf of a proof leads to."""
    sums = leaf["balances"]
    node = tagged("leaf", bytes.fromhex(leaf["salt"] + proof["lp"]) + bytes([part]) + canonical(sums))
    for step in leaf["path"]:
        here, there = (node, sums), (bytes.fromhex(step["hash"]), step["liabilities"])
        (left, left_sums), (right, right_sums) = (there, here) if step["side"] == "left" else (here, there)
        node = tagged("node", left + right + canonical(left_sums) + canonical(right_sums))
        sums = added(left_sums, right_sums)
    place = bytes.fromhex(proof["bot"] + proof["book"]) + proof["seq"].to_bytes(8, "big") + bytes.fromhex(proof["head"])
    return tagged("root", place + node + canonical(sums)).hex(), sums


# --- tests ---------------------------------------------------------------------------------------------------------------


def test_a_checkpoint_owes_what_lps_see_and_each_lp_can_prove_it(town: House, tmp_path: Path) -> None:
    """Liabilities are the sum of what `balance` tells; every proof leads to the root that was signed, and no altered one."""
    ines = town.open_operator("ines", "i1")
    lps = {
        name: town.seat_lp(ines, name, "i1", cash)
        for name, cash in (("ivo", "9000"), ("ida", "1000"), ("isa", "77.50"))
    }
    i1 = town.line("i1")
    assert i1.settle(sale(i1.person))["status"] == "processed"

    said = ines.data("checkpoint")["checkpoint"]
    event = checkpoint_of(town, ines, said["id"])
    content = json.loads(event["content"])
    seen = {name: line.data("balance")[0] for name, line in lps.items()}
    assert content["liabilities"] == {
        "sat": sum(row["sats"] for row in seen.values()),
        "GTQ": str(sum(Decimal(row["remaining"]) for row in seen.values())),
    }
    assert content["liabilities"] == {"sat": 100_000, "GTQ": "8077.50"}
    assert set(content) == {"v", "seq", "head", "liabilities_root", "liabilities", "prev"}
    trail = [json.loads(line) for line in town.export(ines.person).read_text().splitlines()]
    assert content["head"] == trail[content["seq"]]["hash"]

    signed = write(tmp_path / "checkpoint.json", event)
    for name, line in lps.items():
        data = line.data("proof")
        proof = data["proof"]
        assert proof["balances"] == {"sat": seen[name]["sats"], "GTQ": seen[name]["remaining"]}
        for part, leaf in enumerate(proof["leaves"]):
            assert root_from(proof, leaf, part) == (content["liabilities_root"], content["liabilities"])
        file = write(tmp_path / f"{name}.json", data)
        verdict = nostrbot_here(
            "audit", "proof", file, "--checkpoint", signed, "--bot", town.npub, "--lp", line.person.npub
        )
        assert verdict.returncode == 0, verdict.stdout
        other = next(one for one in lps.values() if one is not line)
        assert nostrbot_here("audit", "proof", file, "--checkpoint", signed, "--lp", other.person.npub).returncode == 1


def test_one_digit_changed_is_refused_whichever_it_is(town: House, tmp_path: Path) -> None:
    """In the proof as in the checkpoint."""
    joan = town.open_operator("joan", "j1")
    jim, _ = (town.seat_lp(joan, name, "j1", "5000") for name in ("jim", "jon"))
    event = checkpoint_of(town, joan, joan.data("checkpoint")["checkpoint"]["id"])
    proof = json.dumps(jim.data("proof"))
    signed = write(tmp_path / "checkpoint.json", event)
    assert (
        nostrbot_here("audit", "proof", write(tmp_path / "proof.json", proof), "--checkpoint", signed).returncode == 0
    )
    chance = random.Random(4)
    for number, (original, place) in enumerate(
        [(proof, place) for place in chance.sample([one.start() for one in re.finditer("[0-9]", proof)], 40)]
        + [
            (json.dumps(event), place)
            for place in chance.sample([one.start() for one in re.finditer("[0-9]", json.dumps(event))], 20)
        ]
    ):
        altered = original[:place] + str((int(original[place]) + 1) % 10) + original[place + 1 :]
        file = write(tmp_path / f"altered-{number}.json", altered)
        files = (file, signed) if original is proof else (tmp_path / "proof.json", file)
        verdict = nostrbot_here("audit", "proof", files[0], "--checkpoint", files[1])
        assert verdict.returncode == 1, f"{original[place - 20 : place + 20]} became {altered[place - 20 : place + 20]}"


def test_checkpoints_are_a_chain_that_a_follower_sees(town: House) -> None:
    """`prev` names the one before; asked again with nothing new, the same one is told; `audit follow` finds nothing wrong."""
    kate = town.open_operator("kate", "k1")
    first = kate.data("checkpoint")["checkpoint"]
    assert kate.data("checkpoint")["checkpoint"]["id"] == first["id"]
    town.seat_lp(kate, "kim", "k1", "100")
    second = kate.data("checkpoint")["checkpoint"]
    assert (first["prev"], second["prev"]) == (None, first["id"])
    assert first["seq"] < second["seq"]
    checkpoint_of(town, kate, second["id"])
    followed = nostrbot_here(
        "audit", "follow", "--bot", town.npub, "--relay", town.urls[0], "--operator", kate.person.npub, "--once"
    )
    assert (followed.returncode, followed.stdout.count("\n")) == (0, 2), followed.stdout + followed.stderr


def test_an_auditor_ties_a_receipt_to_a_checkpoint(town: House, tmp_path: Path) -> None:
    """The receipt names an entry; the trail has it; the checkpoint pins the trail."""
    lena = town.open_operator("lena", "l1")
    lou = town.seat_lp(lena, "lou", "l1", "9000")
    l1 = town.line("l1")
    assert l1.settle(sale(l1.person))["status"] == "processed"
    event = checkpoint_of(town, lena, lena.data("checkpoint")["checkpoint"]["id"])
    leg = lou.data("history")["history"][0]["id"]
    receipt = lou.data(f"receipt {leg}")
    trail, signed = town.export(lena.person), write(tmp_path / "checkpoint.json", event)

    def verify(told: Plain) -> int:
        file = write(tmp_path / "receipt.json", told)
        ran = nostrbot_here(
            "audit",
            "verify",
            trail,
            "--bot",
            town.npub,
            "--checkpoint",
            signed,
            "--receipt",
            file,
            "--lp",
            lou.person.npub,
        )
        return ran.returncode

    assert verify(receipt) == 0
    assert verify(receipt | {"sats": receipt["sats"] + 1}) == 1


def test_a_backup_taken_while_it_runs_comes_back_and_pays_once(relay_url: str, tmp_path: Path) -> None:
    """One byte flipped is refused; the restored bot takes what happened since from those who say it again, once."""
    with running_house(tmp_path, relay_url) as house:
        mona = house.open_operator("mona", "m1")
        max_ = house.seat_lp(mona, "max", "m1", "9000")
        m1 = house.line("m1")
        before, after = sale(m1.person, n=1), sale(m1.person, n=2)
        assert m1.settle(before)["status"] == "processed"
        backup = tmp_path / "backup"
        made = nostrbot_here("backup", "--home", house.home, backup)
        assert made.returncode == 0, made.stderr
        assert m1.settle(after)["status"] == "processed"
        assert max_.data("balance")[0]["remaining"] == "5000.00"
        assert house.stop() == 0

        whole = backup.read_bytes()
        for place in (0, 30, len(whole) // 2, len(whole) - 1):
            spoilt = tmp_path / "spoilt"
            spoilt.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            refused = nostrbot_here("restore", spoilt, "--home", tmp_path / "elsewhere")
            assert refused.returncode != 0, f"byte {place}"
            assert not (tmp_path / "elsewhere" / "nostrbot.sqlite").exists()

        shutil.move(house.home, tmp_path / "lost")
        restored = nostrbot_here("restore", backup, "--home", house.home)
        assert restored.returncode == 0, restored.stderr
        house.start()
        assert max_.data("balance")[0]["remaining"] == "7000.00"
        assert m1.settle(before)["status"] == "duplicate"
        assert m1.settle(after)["status"] == "processed"
        assert m1.settle(after)["status"] == "duplicate"
        row = max_.data("balance")[0]
        assert (row["remaining"], row["sats"]) == ("5000.00", 200_000)
        house.assert_trail_verifies(mona.person)
