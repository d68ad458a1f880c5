"""What a verification remembers: enough for every repeat and every correction, on disk, whatever the length (row 86)."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.facts import MachineCompromised
from nostrbot.core.atm.settlements.facts import (
    SettlementCorrected,
    SettlementFrozen,
    SettlementPending,
    SettlementProcessed,
    SettlementRefunded,
    SettlementRejected,
)
from nostrbot.core.atm.states import SettlementStatus
from tests.audit.test_verification import sealed_again, trouble
from tests.houses import DAWN, House, payment_hash, report, sale, wrapped_letter


def troubled() -> House:
    """Settlements that are held, released, corrected twice, refunded, rejected, added by hand; and repeats of them."""
    house = House.open()
    house.add_lp("ana", "9000")
    house.say("operator", "guard m1 per_settlement=1000")
    assert house.sell(fiat="2000.00").status is SettlementStatus.PENDING
    house.say("operator", 'settlement note s1 "asked the customer"')
    assert isinstance(house.say("operator", "settlement release s1"), SettlementProcessed)
    assert isinstance(house.say("operator", 'settlement partial s1 fiat=1000 note="jam"'), SettlementCorrected)
    assert isinstance(house.say("operator", 'settlement partial s1 fiat=500 note="more jam"'), SettlementCorrected)
    assert isinstance(house.say("operator", 'settlement refund s1 reason="all back"'), SettlementRefunded)
    assert isinstance(house.sell(fiat="1.00", wire_sats=1), SettlementRejected)
    house.say(
        "operator", f"settlement add machine=m1 fiat_amount=100 exchange_rate=50 payment_hash={payment_hash('outside')}"
    )
    house.now += 1
    house.take(report("m1", sale(payment_hash=payment_hash("outside"), txid="again"), at=house.now))
    return house


@pytest.mark.usefixtures("any_page")
def test_what_becomes_of_a_settlement_is_decided_from_all_its_past() -> None:
    """Each command on it finds what came before, however far apart they are."""
    house = troubled()
    found = verify_trail(house.trail())
    assert found.head == house.chain.head
    assert house.entries[-1].facts[0].reason == "payment_hash_conflict"


@pytest.mark.usefixtures("any_page")
def test_a_correction_of_a_settlement_that_another_one_is_about() -> None:
    """The number in a command is signed; facts about another settlement are a difference."""
    house = troubled()
    seq = next(entry.seq for entry in house.entries if isinstance(entry.facts[0], SettlementCorrected))
    content = orjson.loads(house.trail()[seq])
    content["facts"][0]["number"] = 2
    forged = [*house.trail()[:seq], orjson.dumps(content), *house.trail()[seq + 1 :]]
    assert trouble(sealed_again(forged)) == (seq, "facts[0].number")


@pytest.mark.usefixtures("any_page")
def test_nothing_has_its_effect_twice_however_much_lies_between() -> None:
    """A sale, the same sale in a fresh event, a command, a wrapped command, each again at the end."""
    house = troubled()
    house.now += 1
    house.take(wrapped_letter("operator", 'settlement note s1 "wrapped"', at=house.now))
    trail = house.trail()
    sold = next(entry.seq for entry in house.entries if isinstance(entry.facts[0], SettlementPending))
    for seq in (4, sold, sold + 1, sold + 2, len(trail) - 2, len(trail) - 1):
        assert trouble(sealed_again([*trail, trail[seq]]))[0] == len(trail), seq
    fresh = report("m1", orjson.loads(house.entries[sold - 1].given.plaintext), at=house.now)
    again = orjson.loads(trail[sold]) | {"input": fresh.plain(), "at": house.now}
    assert trouble(sealed_again([*trail, orjson.dumps(again)])) == (len(trail), "facts")


@pytest.mark.usefixtures("any_page")
@pytest.mark.parametrize("freeze_max", [1_000, 3])
def test_what_a_stolen_key_sold_is_remembered(monkeypatch: pytest.MonkeyPatch, freeze_max: int) -> None:
    """All of it since then, with what became of each: frozen ones, lifted ones and refunded ones are not frozen again."""
    for module in ("nostrbot.core.atm.settlements.compromise", "nostrbot.audit.memory"):
        monkeypatch.setattr(f"{module}.FREEZE_MAX", freeze_max)
    monkeypatch.setattr("nostrbot.audit.memory.PAST_ROWS", 2)
    house = House.open()
    house.add_machine("m2")
    for _ in range(2):
        house.sell("m1", fiat="100.00")
        house.sell("m2", fiat="100.00")
        house.sell("m1", fiat="100.00", wire_sats=1)
    assert isinstance(house.say("operator", f"machine compromised m1 since={DAWN}"), MachineCompromised)
    assert [fact.number for fact in house.entries[-1].facts if isinstance(fact, SettlementFrozen)] == [1, 4]
    house.say("operator", "settlement release s1")
    house.say("operator", 'settlement refund s4 reason="nobody paid"')
    house.say("operator", "machine resume m1")
    since = house.now
    house.sell("m1", fiat="100.00")
    house.say("operator", f"machine compromised m1 since={since}")
    assert [fact.number for fact in house.entries[-1].facts if isinstance(fact, SettlementFrozen)] == [7]
    assert verify_trail(house.trail()).head == house.chain.head


# Measured in a process of its own: the peak of everything, database and Python, in KiB. (ru_maxrss would do, but on Linux it
# begins with that of the process it was started from.)
MEASURE = """
import pathlib, re, resource, sys
from nostrbot.audit.verification import verify_trail
with open(sys.argv[1], "rb") as lines:
    entries = verify_trail(lines).entries
status = pathlib.Path("/proc/self/status")
if status.exists():
    peak_kib = int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1])
else:
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(entries, peak_kib)
"""
SHORT, LONG = 1_000, 5_000
GROWTH_MAX_KIB = 4_096


def test_memory_does_not_grow_with_the_trail(tmp_path: Path) -> None:
    """Five times the entries, and nothing to speak of more in memory: the trail itself would be 15 MiB more."""
    house = House.open()
    house.add_lp("ana", "9000000")
    for n in range(LONG):
        house.now += 1
        house.take(report("m1", sale(payment_hash=payment_hash(n), n=n + 1), at=house.now))
    trail, peaks = house.trail(), []
    for length in (SHORT, LONG):
        path = tmp_path / f"{length}.jsonl"
        path.write_bytes(b"\n".join(trail[: length + 1]) + b"\n")
        done = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True)
        entries, peak_kib = map(int, done.stdout.split())
        assert entries == length
        peaks.append(peak_kib)
    assert peaks[1] - peaks[0] <= GROWTH_MAX_KIB, peaks
